"""Forgeries with a valid signature of the token service itself: what a thief of its key, or a bad service, could do."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from tokensvc.core.chain import GrantChain, Hop
from tokensvc.core.claims import AccessTokenClaims, parse_claims, parse_delegation, render_access_token
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import SigningKey, seal_compact, split_compact
from tokensvc.verify.expectation import MAX_TOKEN_BYTES

__all__ = ["Workpiece"]

_TYP: Final = "at+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workpiece:
    """A genuine token taken apart, to be changed and sealed again."""

    claims: AccessTokenClaims
    chain: GrantChain

    @classmethod
    def of(cls, token: str) -> Self:
        """The parts of `token`, nothing verified. Raises: Malformed."""
        payload = parse_json_object(split_compact(token, max_bytes=MAX_TOKEN_BYTES).payload)
        return cls(claims=parse_claims(payload), chain=parse_delegation(payload).chain)

    @property
    def leaf(self) -> Hop:
        """The last hop."""
        return self.chain.leaf

    def with_hops(self, hops: Iterable[Hop]) -> Self:
        """The same with other hops; `act` follows from them when it is sealed."""
        return replace(self, chain=replace(self.chain, hops=tuple(hops)))

    def with_last_hop(self, hop: Hop) -> Self:
        """The same with another last hop."""
        return self.with_hops((*self.chain.hops[:-1], hop))

    def with_last_scope(self, scope: Iterable[str]) -> Self:
        """The same with another scope in the last hop and, to fit it, in the token."""
        authority = replace(self.leaf.authority, scope=frozenset(scope))
        forged = self.with_last_hop(replace(self.leaf, authority=authority))
        return replace(forged, claims=replace(self.claims, scope=authority.scope))

    def seal(self, key: SigningKey, *, without: frozenset[str] = frozenset()) -> str:
        """The token, truly signed with `key`, the claims `without` left out."""
        claims = render_access_token(self.claims, self.chain)
        return seal_compact({name: value for name, value in claims.items() if name not in without}, typ=_TYP, key=key)
