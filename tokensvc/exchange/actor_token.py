"""The actor token (RFC 8693 s2.1): the client's own word, for one request, that it is the acting party (step 7).

It names the client and nobody else: a credential of another agent in the asker's hands could be played as that agent.
"""

from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.assertion import (
    ACTOR_TOKEN,
    MAX_ACTOR_TOKEN_LIFETIME_S,
    Assertion,
    open_assertion,
    require_assertion,
)
from tokensvc.exchange.parties import Agent, Terms

__all__ = ["refuse_actor_token", "verify_actor_token"]


def verify_actor_token(text: str, *, client: Agent, terms: Terms, now: int) -> Assertion:
    """The proof that `client` made `text` for us and for now. Raises: OAuthRefused (`actor_token_invalid`)."""
    try:
        return require_assertion(
            open_assertion(text, ACTOR_TOKEN, client.keys),
            ACTOR_TOKEN,
            agent=client,
            audiences=frozenset({terms.issuer}),
            max_lifetime_s=MAX_ACTOR_TOKEN_LIFETIME_S,
            leeway_s=terms.leeway_s,
            now=now,
        )
    except Malformed as exc:
        raise refuse_actor_token(exc.description) from exc


def refuse_actor_token(detail: str) -> OAuthRefused:
    """One refusal for every fault: whoever holds another's credential learns nothing of it."""
    return OAuthRefused(
        OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID, "the actor_token is not acceptable", detail=detail
    )
