"""A token of one's own, read without verifying it.

An agent may do so with what it got over TLS from the token service itself: only to know what it holds and until when,
never to decide what somebody else may do. That is `tokensvc.verify_token`'s.
"""

from dataclasses import dataclass, field
from typing import Final

from tokensvc.core.chain import GrantChain
from tokensvc.core.claims import AccessTokenClaims, parse_claims, parse_delegation
from tokensvc.core.entry import Hop, parse_hop
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import split_compact
from tokensvc.errors import Malformed, TokenRefused

__all__ = ["HeldToken", "read_grant", "read_held_token"]

# What a verifier takes.
_MAX_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """What a token of one's own says, nothing proven."""

    text: str = field(repr=False)
    claims: AccessTokenClaims
    chain: GrantChain

    @property
    def leaf(self) -> Hop:
        """The last hop: what was delegated, to whom and until when."""
        return self.chain.hops[-1]

    @property
    def index(self) -> int:
        """The place of the last hop in the chain; the first hop is 1."""
        return len(self.chain.hops)

    @property
    def is_exchange_only(self) -> bool:
        """True when it is good for the token endpoint alone."""
        return self.claims.aud == self.claims.iss


def read_held_token(text: str) -> HeldToken:
    """The token `text`, unverified. Raises: Malformed, which does not repeat it."""
    try:
        payload = parse_json_object(split_compact(text, max_bytes=_MAX_BYTES).payload)
        return HeldToken(text=text, claims=parse_claims(payload), chain=parse_delegation(payload).chain)
    except (Malformed, TokenRefused) as exc:
        raise Malformed(f"not a token of a token service of this profile: {exc.description}") from None


def read_grant(text: str) -> Hop:
    """The hop that the signed grant `text` is, unverified. Raises: Malformed."""
    return parse_hop({"jws": text})
