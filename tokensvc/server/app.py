"""The application: its endpoints, its answers to errors, and its lifetime."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from tokensvc.exchange.authenticate import ClientAuthenticator
from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.exchange.operate import OperatorService
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
from tokensvc.server.operator import operator_revocations_endpoint
from tokensvc.server.revoke import revocation_endpoint
from tokensvc.server.routes import (
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

__all__ = ["make_app"]


def make_app(
    *,
    exchange: ExchangeService,
    introspection: IntrospectionService,
    revocation: RevocationService,
    operation: OperatorService,
    authenticator: ClientAuthenticator,
    registry: Registry,
    terms: Terms,
    store: Store,
    signer: Signer,
    telemetry: Telemetry,
    max_requests: int,
    while_running: AbstractAsyncContextManager[object] | None = None,
) -> Starlette:
    """The ASGI application. Its lifespan opens `store` and closes it, and has `while_running` entered."""
    door = Door(authenticator, registry, telemetry)
    path = issuer_path(terms.issuer)
    well_known = metadata_endpoint(render_metadata(terms, registry))
    routes = [
        _route("POST", path + TOKEN, token_endpoint(door, exchange)),
        _route("POST", path + INTROSPECT, introspection_endpoint(door, introspection)),
        _route("POST", path + REVOKE, revocation_endpoint(door, revocation)),
        _route("POST", path + OPERATOR_REVOCATIONS, operator_revocations_endpoint(door, operation)),
        _route("GET", path + JWKS, jwks_endpoint(signer)),
        *(_route("GET", at, well_known) for at in metadata_paths(terms.issuer)),
        _route("GET", "/healthz", liveness_endpoint()),
        _route("GET", "/readyz", readiness_endpoint(store, signer)),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        signing_kid = signer.signing_key().kid
        await store.open()
        telemetry.started(issuer=terms.issuer, configuration=terms.configuration, signing_kid=signing_kid)
        try:
            async with while_running or nullcontext():
                yield
        finally:
            await store.close()
            telemetry.stopped()

    app = Starlette(
        routes=routes,
        middleware=[Middleware(FaultGuard, telemetry), Middleware(Shed, telemetry, most=max_requests)],
        exception_handlers=exception_handlers(telemetry),
        lifespan=lifespan,
    )
    # `/token/` is another path than `/token`; a redirect would be built from the Host header of a stranger.
    app.router.redirect_slashes = False
    return app


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    route = Route(path, endpoint, methods=[method])
    # Starlette's own pattern ends in `$` and lets a line feed follow: a rule of a proxy for the one path would not see
    # the other.
    route.path_regex = re.compile(re.escape(path) + r"\Z")
    return route
