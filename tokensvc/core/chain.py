"""The grant chain, and `act`, the actors alone (RFC 8693 s4.1); how they hang together and shrink.

A chain is oldest first: the root, then one hop for each delegation. `act` is newest first. Parsing gives values of the
right shape; `require_aligned`, `require_hop_attenuated` and, for signed entries, `evidence` are the proof.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Final

from tokensvc.core.authority import Order, is_proper, widened
from tokensvc.core.construct import constructor_of
from tokensvc.core.entry import Entry, Hop, Root, parse_hop, parse_root, render_hop, render_root
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.members import parse_text
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.errors import Malformed, Reason, TokenRefused

__all__ = [
    "HARD_MAX_DEPTH",
    "PROFILE",
    "GrantChain",
    "Hop",
    "Root",
    "parse_act",
    "parse_grant_chain",
    "render_act",
    "render_grant_chain",
    "require_aligned",
    "require_hop_attenuated",
]

# The version of the profile, as the claim `grant_profile`.
PROFILE: Final = 1
# Past some six hops with real scope lists a token no longer fits a request header; nobody may configure more than this.
HARD_MAX_DEPTH: Final = 10
_ACT: Final = frozenset({"sub", "act"})
_revocable: Final = constructor_of(Revocable)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantChain:
    """A root and at least one hop, oldest first."""

    root: Root
    hops: tuple[Hop, ...]

    @property
    def leaf(self) -> Hop:
        """The last hop: what the current actor was granted."""
        return self.hops[-1]

    @property
    def actors(self) -> tuple[str, ...]:
        """The actors, current one first, as `act` nests them."""
        return tuple([hop.actor for hop in reversed(self.hops)])

    @property
    def entry_ids(self) -> tuple[str, ...]:
        """The `jti` of every entry, oldest first."""
        return (self.root.jti, *[hop.jti for hop in self.hops])

    def revocables(self, *, iss: str, sub: str, key: str | None) -> tuple[Revocable, ...]:
        """Everything whose revocation kills a token with this chain.

        `iss` and `sub` are the token's: an authority signs roots in its own name and by its own names for users. `key`
        is the thumbprint in the token's `cnf`, if any.
        """
        root_iat = self.root.authority.iat
        entries = [_revocable(kind=RevocationKind.ENTRY, id=jti, iat=root_iat) for jti in self.entry_ids]
        actors = [_revocable(kind=RevocationKind.ACTOR, id=hop.actor, iat=hop.authority.iat) for hop in self.hops]
        thumbprints = dict.fromkeys([*(hop.jkt for hop in self.hops), key])
        keys = [_revocable(kind=RevocationKind.KEY, id=jkt, iat=root_iat) for jkt in thumbprints if jkt]
        user = _revocable(kind=RevocationKind.USER, id=sub, iat=root_iat)
        issuers = [
            _revocable(kind=RevocationKind.ISSUER, id=name, iat=root_iat)
            for name in dict.fromkeys([iss, self.root.iss])
        ]
        return (*entries, user, *issuers, *actors, *keys)


def parse_act(value: JsonValue) -> tuple[str, ...]:
    """The actors that nested `act` objects name, current one first (RFC 8693 s4.1).

    Each level is exactly `sub` and, below it, `act`. Walked in a loop and capped. Raises: Malformed.
    """
    actors: list[str] = []
    level: JsonValue = value
    while True:
        if not isinstance(level, dict) or not level.keys() <= _ACT:
            raise Malformed("act is an object with sub, and act where there are prior actors")
        if len(actors) == HARD_MAX_DEPTH:
            raise Malformed(f"act nests more than {HARD_MAX_DEPTH} actors")
        actors.append(parse_text(level.get("sub"), "the sub of an act"))
        if "act" not in level:
            return tuple(actors)
        level = level["act"]


def render_act(actors: tuple[str, ...]) -> dict[str, JsonValue]:
    """Nested `act` objects for `actors`, current one first."""
    act: dict[str, JsonValue] = {}
    for actor in reversed(actors):
        act = {"sub": actor, "act": act} if act else {"sub": actor}
    return act


def parse_grant_chain(value: JsonValue) -> GrantChain:
    """The chain that the claim `grant_chain` says, every entry closed and of exact types. Raises: Malformed."""
    if not isinstance(value, list) or not 1 < len(value) <= HARD_MAX_DEPTH + 1:
        raise Malformed(f"grant_chain is an array of a root and 1 to {HARD_MAX_DEPTH} hops")
    root, *hops = value
    return GrantChain(root=parse_root(root), hops=tuple(map(parse_hop, hops)))


def render_grant_chain(chain: GrantChain) -> list[dict[str, JsonValue]]:
    """The claim `grant_chain`, oldest first."""
    return [render_root(chain.root), *map(render_hop, chain.hops)]


def require_aligned(chain: GrantChain, *, act: tuple[str, ...], token_jti: str) -> None:
    """Prove that `act` and the chain name the same actors, and that the entries hang together.

    Raises: TokenRefused (`chain_misaligned`).
    """
    if chain.actors != act:
        raise _misaligned("act and grant_chain name different actors")
    parent = chain.root.jti
    for hop in chain.hops:
        if hop.parent != parent:
            raise _misaligned("a hop does not name the entry before it as its parent")
        parent = hop.jti
    if len({token_jti, *chain.entry_ids}) != len(act) + 2:
        raise _misaligned("a jti stands twice")
    # An actor repeats only where it narrowed its own grant, in hops next to each other; anything else is a loop.
    if len(set(act)) != len(act) and len(set(act)) != sum(1 for _run in groupby(act)):
        raise _misaligned("an actor returns after another one")


def require_hop_attenuated(hop: Hop, above: Entry, *, index: int, order: Order, max_depth: int) -> None:
    """Prove that `hop` is within the entry before it, properly less where it has to be, and not deeper than allowed.

    `index` is the hop's place (the first is 1); `max_depth` the verifier's own cap.
    Raises: TokenRefused (`not_narrower`, `not_proper`, `depth_exceeded`); Malformed (`too_large`).
    """
    dimension = widened(above.authority, hop.authority, order)
    if dimension is not None:
        raise TokenRefused(Reason.NOT_NARROWER, f"hop {index} widens the {dimension} of the entry before it")
    if index >= order.proper_from and not is_proper(above.authority, hop.authority, order):
        raise TokenRefused(Reason.NOT_PROPER, f"hop {index} has everything that the entry before it has")
    # max_depth only falls from entry to entry, so the entry just above has the least of all above.
    if index > above.authority.max_depth or index > max_depth:
        raise TokenRefused(Reason.DEPTH_EXCEEDED, f"hop {index} is deeper than allowed")


def _misaligned(description: str) -> TokenRefused:
    return TokenRefused(Reason.CHAIN_MISALIGNED, description)
