"""`POST /token`: the exchange (RFC 8693 s2)."""

from starlette.requests import Request
from starlette.responses import Response

from tokensvc.exchange.holder import Presented
from tokensvc.exchange.service import ExchangeService
from tokensvc.server.answer import headers_of, uncached_json
from tokensvc.server.client_auth import Door
from tokensvc.server.routes import Endpoint

__all__ = ["token_endpoint"]


def token_endpoint(door: Door, exchange: ExchangeService) -> Endpoint:
    """The endpoint that issues."""

    async def token(request: Request) -> Response:
        admitted = await door.admit(request)
        nonce = exchange.nonce()
        if nonce is not None:
            # For whichever answer follows, a refusal included (RFC 9449 s8.2).
            request.state.headers = {"DPoP-Nonce": nonce}
        presented = Presented(dpop=tuple(request.headers.getlist("dpop")), certificate=admitted.certificate)
        issued = await exchange.exchange(admitted.form, admitted.client, presented=presented)
        details = {"authorization_details": issued.authorization_details} if issued.authorization_details else {}
        return uncached_json(
            {
                "access_token": issued.access_token,
                "issued_token_type": issued.issued_token_type,
                "token_type": issued.token_type,
                "expires_in": issued.expires_in,
                "scope": issued.scope,
                **details,
            },
            headers=headers_of(request),
        )

    return token
