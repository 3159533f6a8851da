"""The application: its endpoints, its answers to errors, and its lifetime.

What follows from the configuration is one immutable value, `Configured`. A request takes the one of its moment and is
answered by it to its end, whatever the next requests are answered by.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from tokensvc.exchange.authenticate import ClientAuthenticator
from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.exchange.operate import OperatorService
from tokensvc.exchange.parties import AuthMethod, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.revoke import RevocationService
from tokensvc.exchange.service import ExchangeService
from tokensvc.ports import Signer, Store
from tokensvc.server.agents import AGENT_SEGMENT, agent_endpoint
from tokensvc.server.client_auth import Door
from tokensvc.server.client_certificate import CertificateSource
from tokensvc.server.errors import FaultGuard, exception_handlers
from tokensvc.server.health import liveness_endpoint, readiness_endpoint
from tokensvc.server.introspect import introspection_endpoint
from tokensvc.server.jwks import jwks_endpoint
from tokensvc.server.metadata import metadata_endpoint, render_metadata
from tokensvc.server.operator import operator_revocations_endpoint
from tokensvc.server.revoke import revocation_endpoint
from tokensvc.server.routes import (
    AGENTS,
    INTROSPECT,
    JWKS,
    OPERATOR_REVOCATIONS,
    REVOKE,
    TOKEN,
    Endpoint,
    issuer_path,
    metadata_paths,
)
from tokensvc.server.shed import Shed
from tokensvc.server.token import token_endpoint
from tokensvc.telemetry import Telemetry

__all__ = ["Configured", "Current", "configure", "make_app"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Configured:
    """The service as one configuration has it: its terms, and the endpoints that follow from them.

    `while_running` is entered before the first request is answered by this, and left after the last one, unless what
    follows has the same.
    """

    terms: Terms
    token: Endpoint
    introspect: Endpoint
    revoke: Endpoint
    operate: Endpoint
    agent: Endpoint
    metadata: Endpoint
    while_running: AbstractAsyncContextManager[object] | None = None


class Current:
    """The `Configured` that requests are answered by now."""

    __slots__ = ("_ending", "_in_flight", "_is_running", "_less", "value")

    def __init__(self, value: Configured) -> None:
        self.value = value
        self._is_running = False
        self._in_flight: Counter[Configured] = Counter()
        self._less = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()

    @contextmanager
    def taken(self) -> Iterator[Configured]:
        """What a request is answered by, from its first to its last step."""
        taken = self.value
        self._in_flight[taken] += 1
        try:
            yield taken
        finally:
            self._in_flight[taken] -= 1
            if not self._in_flight[taken]:
                del self._in_flight[taken]
            self._less.set()

    async def replace(self, following: Configured) -> None:
        """From here on requests are answered by `following`. One call at a time."""
        former = self.value
        is_other = self._is_running and following.while_running is not former.while_running
        if is_other and following.while_running is not None:
            await following.while_running.__aenter__()
        self.value = following
        if is_other and former.while_running is not None:
            ending = asyncio.create_task(self._end(former, former.while_running))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Has `while_running` of the one that counts entered; at its end no request is in flight."""
        if self.value.while_running is not None:
            await self.value.while_running.__aenter__()
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False
            if self._ending:
                await asyncio.wait(self._ending)
            if self.value.while_running is not None:
                await self.value.while_running.__aexit__(None, None, None)

    async def _end(self, former: Configured, while_running: AbstractAsyncContextManager[object]) -> None:
        while self._in_flight[former]:
            self._less.clear()
            await self._less.wait()
        await while_running.__aexit__(None, None, None)


def configure(
    *,
    exchange: ExchangeService,
    introspection: IntrospectionService,
    revocation: RevocationService,
    operation: OperatorService,
    authenticator: ClientAuthenticator,
    registry: Registry,
    terms: Terms,
    telemetry: Telemetry,
    certificates: CertificateSource | None = None,
    certificate_methods: Iterable[AuthMethod] = (),
    while_running: AbstractAsyncContextManager[object] | None = None,
) -> Configured:
    """The endpoints over these services. `certificates` come with requests; what works with them is published."""
    door = Door(authenticator, registry, telemetry, certificates)
    return Configured(
        terms=terms,
        token=token_endpoint(door, exchange),
        introspect=introspection_endpoint(door, introspection),
        revoke=revocation_endpoint(door, revocation),
        operate=operator_revocations_endpoint(door, operation),
        agent=agent_endpoint(door, registry),
        metadata=metadata_endpoint(render_metadata(terms, registry, certificate_methods)),
        while_running=while_running,
    )


def make_app(current: Current, *, store: Store, signer: Signer, telemetry: Telemetry, max_requests: int) -> Starlette:
    """The ASGI application. Its lifespan opens `store` and closes it. The issuer stays what it is at first."""
    issuer = current.value.terms.issuer
    path = issuer_path(issuer)
    routes = [
        _route("POST", path + TOKEN, _by(current, lambda configured: configured.token)),
        _route("POST", path + INTROSPECT, _by(current, lambda configured: configured.introspect)),
        _route("POST", path + REVOKE, _by(current, lambda configured: configured.revoke)),
        _route("POST", path + OPERATOR_REVOCATIONS, _by(current, lambda configured: configured.operate)),
        _agent_route(path + AGENTS, _by(current, lambda configured: configured.agent)),
        _route("GET", path + JWKS, jwks_endpoint(signer)),
        *(_route("GET", at, _by(current, lambda configured: configured.metadata)) for at in metadata_paths(issuer)),
        _route("GET", "/healthz", liveness_endpoint()),
        _route("GET", "/readyz", readiness_endpoint(store, signer)),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        signing_kid = signer.signing_key().kid
        await store.open()
        configuration = current.value.terms.configuration
        telemetry.started(issuer=issuer, configuration=configuration, signing_kid=signing_kid)
        try:
            async with current.running():
                yield
        finally:
            await store.close()
            telemetry.stopped()

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(FaultGuard, telemetry),
            Middleware(Shed, telemetry, most=max_requests, costly=path + AGENTS),
        ],
        exception_handlers=exception_handlers(telemetry),
        lifespan=lifespan,
    )
    # `/token/` is another path than `/token`; a redirect would be built from the Host header of a stranger.
    app.router.redirect_slashes = False
    return app


def _by(current: Current, choose: Callable[[Configured], Endpoint]) -> Endpoint:
    """The endpoint that counts when a request comes. It is asked for once, so that no request is half old, half new."""

    async def endpoint(request: Request) -> Response:
        with current.taken() as configured:
            return await choose(configured)(request)

    return endpoint


class _PlainRoute(Route):
    """A path that is written in one way only: a rule of a proxy for it would not see another spelling."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette does, which compares the decoded path; one with an escape matches nothing."""
        return (Match.NONE, {}) if b"%" in scope.get("raw_path", b"") else super().matches(scope)


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    route = _PlainRoute(path, endpoint, methods=[method])
    # Starlette's own pattern ends in `$` and lets a line feed follow.
    route.path_regex = re.compile(re.escape(path) + r"\Z")
    return route


def _agent_route(path: str, endpoint: Endpoint) -> Route:
    route = _PlainRoute(path + "{agent_id}", endpoint, methods=["GET", "POST"])
    route.path_regex = re.compile(re.escape(path) + AGENT_SEGMENT + r"\Z")
    return route
