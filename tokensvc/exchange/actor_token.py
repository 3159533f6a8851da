"""The actor token (RFC 8693 s2.1): word, for one request, that the client is the acting party (step 7).

It is the client's own word, or that of an identity provider that is registered for it, or that of the platform on which
the client runs, by the same token that proves it as a client. It names the client and nobody
else: a credential of another agent in the asker's hands could be played as that agent.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import split_compact
from tokensvc.core.keyset import PublicKey
from tokensvc.core.members import parse_text
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.assertion import (
    ACTOR_TOKEN,
    MAX_ACTOR_TOKEN_LIFETIME_S,
    open_assertion,
    require_assertion,
)
from tokensvc.exchange.jwt_header import parse_header, parse_typ
from tokensvc.exchange.parties import Agent, Terms, UpstreamIssuer, WorkloadName
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.subject import issuer_of
from tokensvc.exchange.workload import open_workload_token, require_workload_token
from tokensvc.ports import OneTimeValue
from tokensvc.verify.expectation import MAX_TOKEN_BYTES

__all__ = ["ActorToken", "refuse_actor_token", "verify_actor_token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorToken:
    """Word that the client acts, until `exp` (epoch seconds). `once` is to be claimed; None for a platform's token."""

    exp: int
    once: OneTimeValue | None


async def verify_actor_token(text: str, *, client: Agent, registry: Registry, terms: Terms, now: int) -> ActorToken:
    """The proof that `text` says, for us and for now, that `client` acts. Waits for nothing but an issuer's keys.

    Raises: OAuthRefused (`actor_token_invalid`); Unavailable when those keys cannot be had.
    """
    issuer = registry.issuers.get(issuer_of(text) or "")
    try:
        if client.workload is not None and not _is_actor_jwt(text):
            return await _word_of_platform(text, client.workload, registry=registry, terms=terms, now=now)
        if issuer is not None and issuer.actor_tokens:
            keys = await _keys_of(issuer, text)
            iss, sub = issuer.iss, client.upstream_client_ids.get(issuer.iss, client.id)
        else:
            keys = client.keys
            iss = sub = client.id
        assertion = require_assertion(
            open_assertion(text, ACTOR_TOKEN, keys),
            ACTOR_TOKEN,
            iss=iss,
            sub=sub,
            audiences=frozenset({terms.issuer}),
            max_lifetime_s=MAX_ACTOR_TOKEN_LIFETIME_S,
            leeway_s=terms.leeway_s,
            now=now,
        )
        return ActorToken(exp=assertion.exp, once=assertion.once)
    except Malformed as exc:
        raise refuse_actor_token(exc.description) from exc


def _is_actor_jwt(text: str) -> bool:
    """True for a JWT that is typed as an actor token, which no platform's is. Raises: Malformed."""
    return parse_typ(parse_header(split_compact(text, max_bytes=MAX_TOKEN_BYTES).header)) in ACTOR_TOKEN.typ


async def _word_of_platform(
    text: str, workload: WorkloadName, *, registry: Registry, terms: Terms, now: int
) -> ActorToken:
    """The token of the client's own platform, about the client. Raises: Malformed, Unavailable."""
    platform = registry.platforms.get(workload.platform)
    if platform is None:
        raise Malformed("the client's platform is not registered")
    payload = await open_workload_token(text, platform)
    if payload.get("sub") != workload.sub:
        raise Malformed("the token is another workload's")
    return ActorToken(exp=require_workload_token(payload, platform, terms=terms, now=now), once=None)


async def _keys_of(issuer: UpstreamIssuer, text: str) -> Iterable[PublicKey]:
    """The key that the header names, of the algorithms that the issuer is registered with. Raises: Malformed."""
    header = parse_json_object(split_compact(text, max_bytes=MAX_TOKEN_BYTES).header)
    key = await issuer.keys.find(parse_text(header.get("kid"), "kid"))
    return [key] if key is not None and key.alg in issuer.algorithms else []


def refuse_actor_token(detail: str) -> OAuthRefused:
    """One refusal for every fault: whoever holds another's credential learns nothing of it."""
    return OAuthRefused(
        OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID, "the actor_token is not acceptable", detail=detail
    )
