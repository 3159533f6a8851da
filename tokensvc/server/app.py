"""The application: its endpoints, its answers to errors, and its lifetime.

What follows from the configuration is one immutable value, `Configured`. A request takes the one of its moment and is
answered by it to its end, whatever the next requests are answered by.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.exchange.parties import Registry, Terms
from tokensvc.exchange.revoke import RevocationService
from tokensvc.exchange.service import ExchangeService
from tokensvc.ports import Signer, Store
from tokensvc.server.client_auth import Door
from tokensvc.server.errors import FaultGuard, exception_handlers
from tokensvc.server.health import liveness_endpoint, readiness_endpoint
from tokensvc.server.introspect import introspection_endpoint
from tokensvc.server.jwks import jwks_endpoint
from tokensvc.server.metadata import metadata_endpoint, render_metadata
from tokensvc.server.revoke import revocation_endpoint
from tokensvc.server.routes import INTROSPECT, JWKS, REVOKE, TOKEN, Endpoint, issuer_path, metadata_paths
from tokensvc.server.token import token_endpoint
from tokensvc.telemetry import Telemetry

__all__ = ["Configured", "Current", "configure", "make_app"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The service as one configuration has it: its terms, and the endpoints that follow from them.

    `while_running` is entered before the first request is answered by this, and left once another one has followed.
    """

    terms: Terms
    token: Endpoint
    introspect: Endpoint
    revoke: Endpoint
    metadata: Endpoint
    while_running: AbstractAsyncContextManager[object] = field(default_factory=nullcontext)


class Current:
    """The `Configured` that requests are answered by now."""

    __slots__ = ("_is_running", "value")

    def __init__(self, value: Configured) -> None:
        self.value = value
        self._is_running = False

    async def replace(self, following: Configured) -> None:
        """From here on requests are answered by `following`. One call at a time."""
        if self._is_running:
            await following.while_running.__aenter__()
        former, self.value = self.value, following
        if self._is_running:
            await former.while_running.__aexit__(None, None, None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Has `while_running` of the one that counts entered."""
        await self.value.while_running.__aenter__()
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False
            await self.value.while_running.__aexit__(None, None, None)


def configure(
    *,
    exchange: ExchangeService,
    introspection: IntrospectionService,
    revocation: RevocationService,
    registry: Registry,
    terms: Terms,
    telemetry: Telemetry,
) -> Configured:
    """The endpoints over these services."""
    door = Door(registry, telemetry)
    return Configured(
        terms=terms,
        token=token_endpoint(door, exchange),
        introspect=introspection_endpoint(door, introspection),
        revoke=revocation_endpoint(door, revocation),
        metadata=metadata_endpoint(render_metadata(terms, registry)),
    )


def make_app(current: Current, *, store: Store, signer: Signer, telemetry: Telemetry) -> Starlette:
    """The ASGI application. Its lifespan opens `store` and closes it. The issuer stays what it is at first."""
    issuer = current.value.terms.issuer
    path = issuer_path(issuer)
    routes = [
        _route("POST", path + TOKEN, _by(current, lambda configured: configured.token)),
        _route("POST", path + INTROSPECT, _by(current, lambda configured: configured.introspect)),
        _route("POST", path + REVOKE, _by(current, lambda configured: configured.revoke)),
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
        middleware=[Middleware(FaultGuard, telemetry)],
        exception_handlers=exception_handlers(telemetry),
        lifespan=lifespan,
    )
    # `/token/` is another path than `/token`; a redirect would be built from the Host header of a stranger.
    app.router.redirect_slashes = False
    return app


def _by(current: Current, choose: Callable[[Configured], Endpoint]) -> Endpoint:
    """The endpoint that counts when a request comes. It is asked for once, so that no request is half old, half new."""

    async def endpoint(request: Request) -> Response:
        return await choose(current.value)(request)

    return endpoint


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    route = Route(path, endpoint, methods=[method])
    # Starlette's own pattern ends in `$` and lets a line feed follow: a rule of a proxy for the one path would not see
    # the other.
    route.path_regex = re.compile(re.escape(path) + r"\Z")
    return route
