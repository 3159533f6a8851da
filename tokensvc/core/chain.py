"""The grant chain: the root, then one hop for each delegation; and `act`, the actors alone (RFC 8693 s4.1).

A chain is oldest first, `act` is newest first. Members are closed and nothing is inherited: what a hop does not say,
it does not grant. Parsing gives values of the right shape; `require_aligned` and `require_attenuated` are the proof.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokensvc.core.authority import Authority, is_proper, is_resource, widened
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.core.scope import parse_scope, render_scope
from tokensvc.errors import Malformed, Reason, TokenRefused

__all__ = [
    "HARD_MAX_DEPTH",
    "PROFILE",
    "GrantChain",
    "Hop",
    "Root",
    "parse_act",
    "parse_grant_chain",
    "parse_integer",
    "parse_jti",
    "parse_text",
    "parse_thumbprint",
    "render_act",
    "render_grant_chain",
    "require_aligned",
    "require_attenuated",
]

# The version of the profile, as the claim `grant_profile`.
PROFILE: Final = 1
# Past some six hops with real scope lists a token no longer fits a request header; nobody may configure more than this.
HARD_MAX_DEPTH: Final = 10

_JTI: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_ROOT_MEMBERS: Final = frozenset({"iss", "sub", "scope", "resources", "max_depth", "iat", "exp", "jti"})
_HOP_MEMBERS: Final = frozenset({"actor", "scope", "resources", "max_depth", "iat", "exp", "jti", "parent"})
_HOP_MEMBERS_BOUND: Final = _HOP_MEMBERS | {"cnf"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What the user could authorise: the ceiling of everything below. `jti` is the lineage id."""

    iss: str
    sub: str
    jti: str
    authority: Authority


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Who got what. `parent` is the `jti` of the entry before; `jkt` is the delegatee's key (RFC 9449), if bound."""

    actor: str
    jti: str
    parent: str
    jkt: str | None
    authority: Authority


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
        return tuple(hop.actor for hop in reversed(self.hops))

    @property
    def entry_ids(self) -> tuple[str, ...]:
        """The `jti` of every entry, oldest first."""
        return (self.root.jti, *(hop.jti for hop in self.hops))

    def revocables(self) -> tuple[Revocable, ...]:
        """Everything whose revocation kills this chain."""
        root_iat = self.root.authority.iat
        entries = [Revocable(kind=RevocationKind.ENTRY, id=jti, iat=root_iat) for jti in self.entry_ids]
        actors = [Revocable(kind=RevocationKind.ACTOR, id=hop.actor, iat=hop.authority.iat) for hop in self.hops]
        keys = [Revocable(kind=RevocationKind.KEY, id=hop.jkt, iat=root_iat) for hop in self.hops if hop.jkt]
        user = Revocable(kind=RevocationKind.USER, id=self.root.sub, iat=root_iat)
        issuer = Revocable(kind=RevocationKind.ISSUER, id=self.root.iss, iat=root_iat)
        return (*entries, user, issuer, *actors, *keys)


def parse_act(value: JsonValue) -> tuple[str, ...]:
    """The actors that nested `act` objects name, current one first (RFC 8693 s4.1).

    Each level is exactly `sub` and, below it, `act`. Walked in a loop and capped. Raises: Malformed.
    """
    actors: list[str] = []
    level: JsonValue = value
    while level is not None or not actors:
        if not isinstance(level, dict) or not level.keys() <= {"sub", "act"}:
            raise Malformed("act is an object with sub, and act where there are prior actors")
        if len(actors) == HARD_MAX_DEPTH:
            raise Malformed(f"act nests more than {HARD_MAX_DEPTH} actors")
        actors.append(parse_text(level.get("sub"), "the sub of an act"))
        if "act" in level and level["act"] is None:
            raise Malformed("act is an object")
        level = level.get("act")
    return tuple(actors)


def render_act(actors: tuple[str, ...]) -> dict[str, JsonValue]:
    """Nested `act` objects for `actors`, current one first."""
    act: dict[str, JsonValue] = {}
    for actor in reversed(actors):
        act = {"sub": actor, "act": act} if act else {"sub": actor}
    return act


def parse_grant_chain(value: JsonValue) -> GrantChain:
    """The chain that the claim `grant_chain` says, every entry closed and of exact types.

    Raises: Malformed; TokenRefused (`root_invalid`, `grant_invalid`) for signed entries, which cannot be checked yet.
    """
    if not isinstance(value, list) or not 1 < len(value) <= HARD_MAX_DEPTH + 1:
        raise Malformed(f"grant_chain is an array of a root and 1 to {HARD_MAX_DEPTH} hops")
    root, *hops = value
    return GrantChain(root=_parse_root(root), hops=tuple(_parse_hop(hop) for hop in hops))


def render_grant_chain(chain: GrantChain) -> list[dict[str, JsonValue]]:
    """The claim `grant_chain`, plain entries, oldest first."""
    root = {"iss": chain.root.iss, "sub": chain.root.sub, **_render_authority(chain.root.authority)}
    return [{**root, "jti": chain.root.jti}, *(_render_hop(hop) for hop in chain.hops)]


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
    if len({token_jti, *chain.entry_ids}) != len(chain.hops) + 2:
        raise _misaligned("a jti stands twice")
    # An actor repeats only where it narrowed its own grant, in hops next to each other; anything else is a loop.
    runs = [hop.actor for index, hop in enumerate(chain.hops) if index == 0 or chain.hops[index - 1].actor != hop.actor]
    if len(set(runs)) != len(runs):
        raise _misaligned("an actor returns after another one")


def require_attenuated(chain: GrantChain, *, max_depth: int) -> None:
    """Prove that every hop is properly less than the entry before it, and that none is deeper than allowed.

    `max_depth` is the verifier's own cap. Raises: TokenRefused (`not_narrower`, `not_proper`, `depth_exceeded`).
    """
    above = chain.root.authority
    for index, hop in enumerate(chain.hops, start=1):
        dimension = widened(above, hop.authority)
        if dimension is not None:
            raise TokenRefused(Reason.NOT_NARROWER, f"hop {index} widens the {dimension} of the entry before it")
        if not is_proper(above, hop.authority):
            raise TokenRefused(Reason.NOT_PROPER, f"hop {index} has every scope of the entry before it")
        # max_depth only falls from entry to entry, so the entry just above is the least of all above.
        if index > min(above.max_depth, max_depth):
            raise TokenRefused(Reason.DEPTH_EXCEEDED, f"hop {index} is deeper than allowed")
        above = hop.authority


def _misaligned(description: str) -> TokenRefused:
    return TokenRefused(Reason.CHAIN_MISALIGNED, description)


def _parse_root(value: JsonValue) -> Root:
    members = _parse_entry(value, signed=Reason.ROOT_INVALID)
    if members.keys() != _ROOT_MEMBERS:
        raise Malformed("the root has exactly the members of the profile")
    return Root(
        iss=parse_text(members["iss"], "the iss of the root"),
        sub=parse_text(members["sub"], "the sub of the root"),
        jti=parse_jti(members["jti"]),
        authority=_parse_authority(members, bound=False),
    )


def _parse_hop(value: JsonValue) -> Hop:
    members = _parse_entry(value, signed=Reason.GRANT_INVALID)
    if members.keys() != _HOP_MEMBERS and members.keys() != _HOP_MEMBERS_BOUND:
        raise Malformed("a hop has exactly the members of the profile")
    jkt = _parse_hop_cnf(members["cnf"]) if "cnf" in members else None
    return Hop(
        actor=parse_text(members["actor"], "the actor of a hop"),
        jti=parse_jti(members["jti"]),
        parent=parse_jti(members["parent"]),
        jkt=jkt,
        authority=_parse_authority(members, bound=jkt is not None),
    )


def _parse_entry(value: JsonValue, *, signed: Reason) -> Mapping[str, JsonValue]:
    if not isinstance(value, dict):
        raise Malformed("an entry of grant_chain is an object")
    if value.keys() == {"jws"}:
        # Refused, never skipped: this verifier does not check signed entries.
        raise TokenRefused(signed, "signed entries are not supported")
    return value


def _parse_authority(members: Mapping[str, JsonValue], *, bound: bool) -> Authority:
    return Authority(
        scope=parse_scope(parse_text(members["scope"], "the scope of an entry")),
        resources=_parse_resources(members["resources"]),
        iat=parse_integer(members["iat"], "the iat of an entry"),
        exp=parse_integer(members["exp"], "the exp of an entry"),
        max_depth=parse_integer(members["max_depth"], "the max_depth of an entry"),
        bound=bound,
    )


def _parse_resources(value: JsonValue) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise Malformed("resources is an array that is not empty")
    resources = [parse_text(item, "a resource") for item in value]
    if not all(map(is_resource, resources)):
        raise Malformed("a resource is not an absolute URI without fragment")
    if len(set(resources)) != len(resources):
        raise Malformed("a resource stands twice")
    return frozenset(resources)


def _parse_hop_cnf(value: JsonValue) -> str:
    if not isinstance(value, dict) or value.keys() != {"jkt"}:
        raise Malformed("the cnf of a hop is exactly a jkt")
    return parse_thumbprint(value["jkt"])


def _render_authority(authority: Authority) -> dict[str, JsonValue]:
    return {
        "scope": render_scope(authority.scope),
        "resources": sorted(authority.resources),
        "max_depth": authority.max_depth,
        "iat": authority.iat,
        "exp": authority.exp,
    }


def _render_hop(hop: Hop) -> dict[str, JsonValue]:
    cnf: dict[str, JsonValue] = {} if hop.jkt is None else {"cnf": {"jkt": hop.jkt}}
    return {"actor": hop.actor, **_render_authority(hop.authority), **cnf, "jti": hop.jti, "parent": hop.parent}


def parse_text(value: JsonValue, what: str) -> str:
    """A string that is not empty. Raises: Malformed, naming `what`."""
    if type(value) is not str or not value:
        raise Malformed(f"{what} is a string that is not empty")
    return value


def parse_integer(value: JsonValue, what: str) -> int:
    """An integer from 0 on; true, 1.0 and "1" are none. Raises: Malformed, naming `what`."""
    if type(value) is not int or value < 0:
        raise Malformed(f"{what} is an integer that is not negative")
    return value


def parse_jti(value: JsonValue) -> str:
    """128 bits as 22 base64url characters. Raises: Malformed."""
    if type(value) is not str or _JTI.fullmatch(value) is None:
        raise Malformed("a jti is 128 bits in base64url")
    return value


def parse_thumbprint(value: JsonValue) -> str:
    """A SHA-256 value as 43 base64url characters (RFC 7638, RFC 9449, RFC 8705). Raises: Malformed."""
    if type(value) is not str or _THUMBPRINT.fullmatch(value) is None:
        raise Malformed("a thumbprint is a SHA-256 value in base64url")
    return value
