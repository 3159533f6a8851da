"""A stand-in for your identity provider. Whoever asks is logged in: it is here so that the rest can be real."""

import secrets
from collections.abc import Mapping, Sequence
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
from tokensvc.settings import Settings, load_upstream_keys

__all__ = ["LOGIN_LIFETIME_S", "make_idp", "make_stand_in"]

# A working day: what --serve started in the morning can be used in the afternoon. The service allows no longer root.
LOGIN_LIFETIME_S: Final = 8 * 3600


def make_idp(
    *,
    iss: str,
    audience: str,
    key: SigningKey,
    clock: Clock,
    clients: Sequence[str] = (FRONT,),
    scopes: Sequence[str] = SUBJECT_SCOPES,
) -> Starlette:
    """`GET /jwks`, and `POST /login` (form: `user`, `client_id`), which answers with an access token of RFC 9068.

    The token is what that client would get for alice: for the token service, with all of `scopes`. The client is one of
    `clients`, which are not asked who they are; without `client_id` the first.
    """

    async def jwks(_request: Request) -> JSONResponse:
        return JSONResponse(render_jwks(KeySet([key.public])))

    async def login(request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode("ascii", "replace"))
        if form.get("user") != [USER]:
            return JSONResponse({"error": "invalid_grant", "error_description": f"only {USER} is known"}, 400)
        asked = form.get("client_id", list(clients[:1]))
        if len(asked) != 1 or asked[0] not in clients:
            return JSONResponse({"error": "invalid_client", "error_description": "no such client"}, 401)
        claims = _claims(iss=iss, audience=audience, client=asked[0], scopes=scopes, now=clock())
        token = seal_compact(claims, typ="at+jwt", key=key)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": LOGIN_LIFETIME_S})

    return Starlette(routes=[Route("/jwks", jwks), Route("/login", login, methods=["POST"])])


def make_stand_in(settings: Settings, key: SigningKey, *, clock: Clock) -> Starlette | None:
    """The same for the identity provider of `settings` that has `key`, its agents and its scopes; None without one."""
    upstream = load_upstream_keys(settings)
    for provider in settings.identity_providers:
        if any(held.thumbprint == key.public.thumbprint for held in upstream.get(provider.iss, ())):
            resources = [resource for resource in settings.resources if resource.id in provider.ceiling.resources]
            return make_idp(
                iss=provider.iss,
                audience=min(provider.audience),
                key=key,
                clock=clock,
                clients=[agent.id for agent in settings.agents],
                scopes=sorted(frozenset[str]().union(*(resource.scopes for resource in resources))),
            )
    return None


def _claims(*, iss: str, audience: str, client: str, scopes: Sequence[str], now: int) -> Mapping[str, JsonValue]:
    return {
        "iss": iss,
        "sub": USER,
        "aud": audience,
        "client_id": client,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + LOGIN_LIFETIME_S,
        "jti": secrets.token_urlsafe(16),
    }
