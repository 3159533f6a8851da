"""The actor token (RFC 8693 s2.1): word, for one request, that the client is the acting party (step 7).

It is the client's own word, or that of an identity provider that is registered for it. It names the client and nobody
else: a credential of another agent in the asker's hands could be played as that agent.
"""

from collections.abc import Iterable

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import split_compact
from tokensvc.core.keyset import PublicKey
from tokensvc.core.members import parse_text
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.assertion import (
    ACTOR_TOKEN,
    MAX_ACTOR_TOKEN_LIFETIME_S,
    Assertion,
    open_assertion,
    require_assertion,
)
from tokensvc.exchange.parties import Agent, Registry, Terms, UpstreamIssuer
from tokensvc.exchange.subject import issuer_of
from tokensvc.verify.expectation import MAX_TOKEN_BYTES

__all__ = ["refuse_actor_token", "verify_actor_token"]


async def verify_actor_token(text: str, *, client: Agent, registry: Registry, terms: Terms, now: int) -> Assertion:
    """The proof that `text` says, for us and for now, that `client` acts. Waits for nothing but an issuer's keys.

    Raises: OAuthRefused (`actor_token_invalid`); Unavailable when those keys cannot be had.
    """
    issuer = registry.issuers.get(issuer_of(text) or "")
    try:
        if issuer is not None and issuer.actor_tokens:
            keys = await _keys_of(issuer, text)
            iss, sub = issuer.iss, client.upstream_client_ids.get(issuer.iss, client.id)
        else:
            keys = client.keys
            iss = sub = client.id
        return require_assertion(
            open_assertion(text, ACTOR_TOKEN, keys),
            ACTOR_TOKEN,
            iss=iss,
            sub=sub,
            audiences=frozenset({terms.issuer}),
            max_lifetime_s=MAX_ACTOR_TOKEN_LIFETIME_S,
            leeway_s=terms.leeway_s,
            now=now,
        )
    except Malformed as exc:
        raise refuse_actor_token(exc.description) from exc


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
