"""`GET /.well-known/jwks.json`: the keys that tokens are verified with (RFC 7517 s5)."""

from starlette.requests import Request
from starlette.responses import Response

from tokensvc.core.keyset import render_jwks
from tokensvc.ports import Signer
from tokensvc.server.answer import public_json
from tokensvc.server.routes import Endpoint

__all__ = ["jwks_endpoint"]


def jwks_endpoint(signer: Signer) -> Endpoint:
    """The endpoint that publishes every key the signer has at that moment."""

    async def jwks(_request: Request) -> Response:
        return public_json({**render_jwks(signer.public_keys())})

    return jwks
