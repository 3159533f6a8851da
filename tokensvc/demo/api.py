"""The downstream API: a customer database behind `TokenMiddleware`. It never asks the token service about a token."""

from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tokensvc.core.keyset import KeySet
from tokensvc.demo.cast import CRM_SCOPES, DELETE, READ
from tokensvc.integrations.asgi import TokenMiddleware, metadata_url, protected_resource_metadata, verified_token
from tokensvc.ports import Clock
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys

__all__ = ["CUSTOMERS", "MAX_LIFETIME_S", "make_api"]

CUSTOMERS: Final = "/customers"
# The service issues for 300 s: an API that hears of no revocation takes nothing that lives longer.
MAX_LIFETIME_S: Final = 300


def make_api(*, expect: Expectation, resource: str, issuer: str, keys: KeySet, clock: Clock) -> Starlette:
    """The API as `resource`, which takes tokens on the terms `expect`.

    GET /customers needs the read scope, DELETE /customers/ID the scope for that.
    """
    customers = {"1": "Ada Lovelace", "2": "Grace Hopper"}

    async def read(request: Request) -> JSONResponse:
        token = verified_token(request.scope)
        token.require(scope=READ)
        return JSONResponse({"customers": customers, "for": token.sub, "by": list(token.actors)})

    async def delete(request: Request) -> JSONResponse:
        verified_token(request.scope).require(scope=DELETE)
        customers.pop(request.path_params["id"], None)
        return JSONResponse({"customers": customers})

    guard = Middleware(
        TokenMiddleware,
        keys=StaticKeys({issuer: keys}),
        expect=expect,
        revocations=LifetimeOnly(max_s=MAX_LIFETIME_S),
        resource_metadata=metadata_url(resource),
        metadata=protected_resource_metadata(
            resource=resource, authorization_servers=[issuer], scopes_supported=CRM_SCOPES
        ),
        clock=clock,
    )
    routes = [Route(CUSTOMERS, read), Route(CUSTOMERS + "/{id}", delete, methods=["DELETE"])]
    return Starlette(routes=routes, middleware=[guard])
