"""A stand-in for your identity provider. Whoever asks is logged in: it is here so that the rest can be real."""

import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tokensvc.core.jsontext import JsonValue
from tokensvc.core.jws import SigningKey, seal_compact
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.demo.cast import FRONT, SUBJECT_SCOPES, USER
from tokensvc.ports import Clock

__all__ = ["LOGIN_LIFETIME_S", "make_idp"]

# A working day: what --serve started in the morning can be used in the afternoon. The service allows no longer root.
LOGIN_LIFETIME_S: Final = 8 * 3600


def make_idp(*, iss: str, audience: str, key: SigningKey, clock: Clock) -> Starlette:
    """`GET /jwks`, and `POST /login` (form: `user`), which answers with an access token of RFC 9068.

    The token is what chat-ui would get for alice: for the token service, `client_id` chat-ui.
    """

    async def jwks(_request: Request) -> JSONResponse:
        return JSONResponse(render_jwks(KeySet([key.public])))

    async def login(request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode("ascii", "replace"))
        if form.get("user") != [USER]:
            return JSONResponse({"error": "invalid_grant", "error_description": f"only {USER} is known"}, 400)
        claims = _claims(iss=iss, audience=audience, now=clock())
        token = seal_compact(claims, typ="at+jwt", key=key)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": LOGIN_LIFETIME_S})

    return Starlette(routes=[Route("/jwks", jwks), Route("/login", login, methods=["POST"])])


def _claims(*, iss: str, audience: str, now: int) -> Mapping[str, JsonValue]:
    return {
        "iss": iss,
        "sub": USER,
        "aud": audience,
        "client_id": FRONT,
        "scope": " ".join(SUBJECT_SCOPES),
        "iat": now,
        "exp": now + LOGIN_LIFETIME_S,
        "jti": secrets.token_urlsafe(16),
    }
