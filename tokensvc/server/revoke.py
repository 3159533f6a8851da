"""`POST /revoke` (RFC 7009 s2), with our parameter `hop`. `token_type_hint` and unknown parameters are ignored."""

from starlette.requests import Request
from starlette.responses import Response

from tokensvc.exchange.revoke import RevocationService
from tokensvc.server.answer import UNCACHED
from tokensvc.server.client_auth import Door
from tokensvc.server.form import require_token
from tokensvc.server.routes import Endpoint

__all__ = ["revocation_endpoint"]


def revocation_endpoint(door: Door, revocation: RevocationService) -> Endpoint:
    """The endpoint that ends a delegation; it answers with an empty body once that is durable."""

    async def revoke(request: Request) -> Response:
        admitted = await door.admit(request)
        token = require_token(admitted.form)
        (hop,) = admitted.form.get("hop", (None,))
        await revocation.revoke(token, admitted.client, hop=hop)
        return Response(headers=UNCACHED)

    return revoke
