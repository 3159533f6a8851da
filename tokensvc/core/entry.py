"""The entries of a grant chain: the root and the hops, as values, from JSON and back.

An entry is a plain object, vouched for by the signature of the token around it, or `{"jws": "<compact JWS>"}` over the
same members and some more that tie it to its place. Members are closed and nothing is inherited: what an entry does
not say, it does not grant. Parsing gives values of the right shape; whose word a signed entry is, `evidence` finds out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from tokensvc.core.authority import Authority, is_resource
from tokensvc.core.construct import constructor_of
from tokensvc.core.details import NO_DETAILS, Details, parse_stated_details, render_details
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import CompactJws, split_compact
from tokensvc.core.members import parse_integer, parse_jti, parse_text, parse_thumbprint
from tokensvc.core.scope import parse_scope, render_scope
from tokensvc.errors import Malformed

__all__ = [
    "Entry",
    "Evidence",
    "Hop",
    "HopClaim",
    "Root",
    "RootClaim",
    "Signed",
    "parse_hop",
    "parse_root",
    "parse_signed_hop",
    "render_hop",
    "render_root",
]

_DETAILS: Final = "authorization_details"
_AUTHORITY: Final = frozenset({"scope", "resources", "max_depth", "iat", "exp", "jti"})
_ROOT: Final = _AUTHORITY | {"iss", "sub"}
_SIGNED_ROOT: Final = _ROOT | {"aud", "actor", "cnf"}
_HOP: Final = _AUTHORITY | {"actor", "parent"}
_BOUND_HOP: Final = _HOP | {"cnf"}
_SIGNED_HOP: Final = _HOP | {"cnf", "iss", "sub", "aud", "root", "index"}
_SIGNED: Final = frozenset({"jws"})
# A signed entry has some 1.2 KB. What an agent may put into a larger one takes up to sixty times its size when parsed.
_MAX_KNOWN_BYTES: Final = 2048
_MAX_KNOWN_RESOURCES: Final = 16
# The token around it is bounded already; this keeps the two bounds from having to know each other.
_MAX_JWS_BYTES: Final = 16_384


class Evidence(StrEnum):
    """Whose word stands for an entry of the chain."""

    ISSUER = "issuer"
    """The signature of the enclosing token: the token service's word."""
    AUTHORITY = "authority"
    """A root signed by an authority such as the identity provider."""
    DELEGATOR = "delegator"
    """A hop signed by the agent that delegates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The JWS of a signed entry, taken apart, nothing proven. `text` is its compact form, kept byte for byte."""

    text: str = field(repr=False)
    # What follows from the text does not take part in comparing.
    jws: CompactJws = field(repr=False, compare=False, hash=False)
    header: Mapping[str, JsonValue] = field(repr=False, compare=False, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootClaim:
    """What a signed root adds: the one token service that may use it, and the first agent with its key."""

    signed: Signed
    aud: str
    actor: str
    jkt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HopClaim:
    """What a signed hop adds: delegator, user, token service, lineage and its place in the chain."""

    signed: Signed
    iss: str
    sub: str
    aud: str
    root: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What the user could authorise: the ceiling of everything below. `jti` is the lineage id."""

    iss: str
    sub: str
    jti: str
    authority: Authority
    claim: RootClaim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Who got what. `parent` is the `jti` of the entry before; `jkt` is the delegatee's key (RFC 9449), if bound."""

    actor: str
    jti: str
    parent: str
    jkt: str | None
    authority: Authority
    claim: HopClaim | None = None


Entry = Root | Hop

# What every token has several of.
_authority: Final = constructor_of(Authority)
_hop: Final = constructor_of(Hop)
_root: Final = constructor_of(Root)
_hop_claim: Final = constructor_of(HopClaim)
_signed: Final = constructor_of(Signed)


def parse_root(value: JsonValue) -> Root:
    """The root that `value` says, plain or signed. Raises: Malformed."""
    members = _parse_entry(value)
    if members.keys() == _SIGNED:
        text = parse_text(members["jws"], "a signed root")
        return _parse_known_root(text) if len(text) <= _MAX_KNOWN_BYTES else _parse_signed_root(text)
    _require_members(members, _ROOT, "the root")
    return _parse_root_members(members, None)


def _parse_signed_root(text: str) -> Root:
    members, signed = _open(text)
    _require_members(members, _SIGNED_ROOT, "a signed root")
    claim = RootClaim(
        signed=signed,
        aud=parse_text(members["aud"], "the aud of the root"),
        actor=parse_text(members["actor"], "the actor of the root"),
        jkt=_parse_cnf(members["cnf"]),
    )
    return _parse_root_members(members, claim)


def _parse_root_members(members: Mapping[str, JsonValue], claim: RootClaim | None) -> Root:
    return _root(
        iss=parse_text(members["iss"], "the iss of the root"),
        sub=parse_text(members["sub"], "the sub of the root"),
        jti=parse_jti(members["jti"]),
        # Its key is the first agent's; hop 1 carries it. The root itself grants to whoever hop 1 names.
        authority=_parse_authority(members, bound=False),
        claim=claim,
    )


def parse_hop(value: JsonValue) -> Hop:
    """The hop that `value` says, plain or signed. Raises: Malformed."""
    members = _parse_entry(value)
    if members.keys() == _SIGNED:
        text = parse_text(members["jws"], "a signed hop")
        return _parse_known_hop(text) if len(text) <= _MAX_KNOWN_BYTES else parse_signed_hop(text)
    _require_members(members, _BOUND_HOP if "cnf" in members else _HOP, "a hop")
    return _parse_hop_members(members, None)


def parse_signed_hop(text: str) -> Hop:
    """The hop that a compact JWS says: a grant on its own, in no token yet. No copy is kept. Raises: Malformed."""
    members, signed = _open(text)
    _require_members(members, _SIGNED_HOP, "a signed hop")
    return _parse_hop_members(members, _parse_hop_claim(members, signed))


def _parse_hop_members(members: Mapping[str, JsonValue], claim: HopClaim | None) -> Hop:
    jkt = _parse_cnf(members["cnf"]) if "cnf" in members else None
    return _hop(
        actor=parse_text(members["actor"], "the actor of a hop"),
        jti=parse_jti(members["jti"]),
        parent=parse_jti(members["parent"]),
        jkt=jkt,
        authority=_parse_authority(members, bound=jkt is not None),
        claim=claim,
    )


# The entries that others signed come back, byte for byte, in every token below them. Only texts in tokens whose own
# signature verified come here.
_parse_known_root: Final = lru_cache(maxsize=256)(_parse_signed_root)
_parse_known_hop: Final = lru_cache(maxsize=256)(parse_signed_hop)


def render_root(root: Root) -> dict[str, JsonValue]:
    """The root as it stands in `grant_chain`: a signed one byte for byte as it was."""
    if root.claim is not None:
        return {"jws": root.claim.signed.text}
    return {"iss": root.iss, "sub": root.sub, **_render_authority(root.authority), "jti": root.jti}


def render_hop(hop: Hop) -> dict[str, JsonValue]:
    """The hop as it stands in `grant_chain`: a signed one byte for byte as it was."""
    if hop.claim is not None:
        return {"jws": hop.claim.signed.text}
    cnf: dict[str, JsonValue] = {} if hop.jkt is None else {"cnf": {"jkt": hop.jkt}}
    return {"actor": hop.actor, **_render_authority(hop.authority), **cnf, "jti": hop.jti, "parent": hop.parent}


def _parse_entry(value: JsonValue) -> Mapping[str, JsonValue]:
    if not isinstance(value, dict):
        raise Malformed("an entry of grant_chain is an object")
    return value


def _open(text: str) -> tuple[Mapping[str, JsonValue], Signed]:
    jws = split_compact(text, max_bytes=_MAX_JWS_BYTES)
    return parse_json_object(jws.payload), _signed(text=text, jws=jws, header=_parse_header(jws.header))


def _parse_header(header: bytes) -> Mapping[str, JsonValue]:
    return _known_header(header) if len(header) <= _MAX_KNOWN_BYTES else parse_json_object(header)


# An agent signs all its grants under one header.
@lru_cache(maxsize=512)
def _known_header(header: bytes) -> Mapping[str, JsonValue]:
    return MappingProxyType(parse_json_object(header))


def _require_members(members: Mapping[str, JsonValue], exactly: frozenset[str], what: str) -> None:
    if members.keys() != exactly and members.keys() - {_DETAILS} != exactly:
        raise Malformed(f"{what} has exactly the members of the profile")


def _parse_hop_claim(members: Mapping[str, JsonValue], signed: Signed) -> HopClaim:
    return _hop_claim(
        signed=signed,
        iss=parse_text(members["iss"], "the iss of a signed hop"),
        sub=parse_text(members["sub"], "the sub of a signed hop"),
        aud=parse_text(members["aud"], "the aud of a signed hop"),
        root=parse_jti(members["root"]),
        index=parse_integer(members["index"], "the index of a signed hop"),
    )


def _parse_authority(members: Mapping[str, JsonValue], *, bound: bool) -> Authority:
    return _authority(
        scope=parse_scope(parse_text(members["scope"], "the scope of an entry")),
        details=parse_stated_details(members[_DETAILS]) if _DETAILS in members else NO_DETAILS,
        resources=_parse_resources(members["resources"]),
        iat=parse_integer(members["iat"], "the iat of an entry"),
        exp=parse_integer(members["exp"], "the exp of an entry"),
        max_depth=parse_integer(members["max_depth"], "the max_depth of an entry"),
        bound=bound,
    )


def _parse_resources(value: JsonValue) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise Malformed("resources is an array that is not empty")
    for item in value:
        parse_text(item, "a resource")
    is_short = len(value) <= _MAX_KNOWN_RESOURCES and sum(map(len, value)) <= _MAX_KNOWN_BYTES
    return _known_resource_set(tuple(value)) if is_short else _resource_set(tuple(value))


# The same few lists stand in every token of a service; their sets are immutable.
@lru_cache(maxsize=1024)
def _known_resource_set(resources: tuple[str, ...]) -> frozenset[str]:
    return _resource_set(resources)


def _resource_set(resources: tuple[str, ...]) -> frozenset[str]:
    if not all(map(is_resource, resources)):
        raise Malformed("a resource is not an absolute URI without fragment")
    distinct = frozenset(resources)
    if len(distinct) != len(resources):
        raise Malformed("a resource stands twice")
    return distinct


def _parse_cnf(value: JsonValue) -> str:
    if not isinstance(value, dict) or value.keys() != {"jkt"}:
        raise Malformed("the cnf of an entry is exactly a jkt")
    return parse_thumbprint(value["jkt"])


def _render_authority(authority: Authority) -> dict[str, JsonValue]:
    return {
        "scope": render_scope(authority.scope),
        "resources": sorted(authority.resources),
        **_render_details(authority.details),
        "max_depth": authority.max_depth,
        "iat": authority.iat,
        "exp": authority.exp,
    }


def _render_details(details: Details) -> dict[str, JsonValue]:
    return {_DETAILS: render_details(details)} if details else {}
