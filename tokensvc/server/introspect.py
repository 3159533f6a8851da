"""`POST /introspect` (RFC 7662 s2). `token_type_hint` and unknown parameters are ignored."""

from starlette.requests import Request
from starlette.responses import Response

from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.server.answer import uncached_json
from tokensvc.server.client_auth import Door
from tokensvc.server.form import require_token
from tokensvc.server.routes import Endpoint

__all__ = ["introspection_endpoint"]


def introspection_endpoint(door: Door, introspection: IntrospectionService) -> Endpoint:
    """The endpoint that says what a token is good for now."""

    async def introspect(request: Request) -> Response:
        admitted = await door.admit(request)
        return uncached_json(await introspection.introspect(require_token(admitted.form), admitted.client))

    return introspect
