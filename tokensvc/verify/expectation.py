"""What a verifier expects. Everything that decides is a required argument; nothing is read from the token."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import permutations
from types import MappingProxyType
from typing import Final, TypedDict, Unpack

from tokensvc.core.authority import Order
from tokensvc.core.chain import HARD_MAX_DEPTH
from tokensvc.core.entry import Evidence
from tokensvc.core.members import parse_thumbprint
from tokensvc.errors import Malformed

__all__ = ["Evidence", "Expectation", "HolderFloor", "OptionalTerms"]

# Clocks of one deployment agree to within seconds; more than a minute is a broken clock, not leeway.
MAX_LEEWAY_S: Final = 60
# A header of more than this is refused by most servers in between; it also bounds the work before the signature.
MAX_TOKEN_BYTES: Final = 16_384
DEFAULT_MAX_DEPTH: Final = 5
DEFAULT_LEEWAY_S: Final = 30
# The strictest: scopes are names, and every hop has to drop one.
DEFAULT_ORDER: Final = Order()
_NO_KEYS: Final[Mapping[tuple[str, str], Iterable[str]]] = MappingProxyType({})


class HolderFloor(StrEnum):
    """The least that a token must say about who holds it. What a bound token says is checked in any case."""

    BEARER = "bearer"
    """Nothing: whoever has a token that is bound to no key may use it."""
    PROOF = "proof"
    """Every token is bound to a key, and whoever sends it proves that key."""


class OptionalTerms(TypedDict, total=False):
    """What each preset of `Expectation` takes besides what it needs; left out, it is the default of the field."""

    root_floor: Evidence
    order: Order
    authorities: Mapping[tuple[str, str], str]
    leeway_s: int
    max_depth: int
    max_token_bytes: int


_ROOT_FLOORS: Final = frozenset({Evidence.ISSUER, Evidence.AUTHORITY})
_HOP_FLOORS: Final = frozenset({Evidence.ISSUER, Evidence.DELEGATOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The terms on which a token is accepted. `bearer`, `proof_required` and `delegator_signed` make the usual ones.

    `issuers` are the trusted token services, compared byte for byte. A token's `aud` must be one of `audiences`.
    `root_floor` and `hop_floor` are the least evidence that is enough, `holder` says whether a token that is bound to
    no key is. `order` says how authority is compared: what the
    token service's metadata shows. `authorities` maps (issuer, authority) to the prefix that makes the authority's
    users the issuer's. `agent_keys` maps (issuer, agent) to the RFC 7638 thumbprints of its keys: a hop that names a
    pinned agent carries one of them. `leeway_s` is for clocks, in seconds (0 to 60); `max_depth` is the verifier's own
    cap on hops (1 to 10); `max_token_bytes` the largest token looked at.

    Raises: ValueError when nothing could be accepted or a bound is out of range.
    """

    issuers: frozenset[str]
    audiences: frozenset[str]
    root_floor: Evidence
    hop_floor: Evidence
    holder: HolderFloor
    order: Order = DEFAULT_ORDER
    authorities: Mapping[tuple[str, str], str] = field(default_factory=dict, hash=False)
    agent_keys: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict, hash=False)
    leeway_s: int = DEFAULT_LEEWAY_S
    max_depth: int = DEFAULT_MAX_DEPTH
    max_token_bytes: int = MAX_TOKEN_BYTES

    def __post_init__(self) -> None:
        """Refuse terms that would silently accept nothing, or more than the profile allows."""
        for name, values in (("issuers", self.issuers), ("audiences", self.audiences)):
            if type(values) is not frozenset or not values or not all(type(value) is str and value for value in values):
                raise ValueError(f"{name} is a frozenset of strings that are not empty")
        # Text equals the value of its enum and is not the same: a floor named so would be stated and never hold.
        if type(self.root_floor) is not Evidence or self.root_floor not in _ROOT_FLOORS:
            raise ValueError("root_floor is Evidence.ISSUER or Evidence.AUTHORITY")
        if type(self.hop_floor) is not Evidence or self.hop_floor not in _HOP_FLOORS:
            raise ValueError("hop_floor is Evidence.ISSUER or Evidence.DELEGATOR")
        if type(self.holder) is not HolderFloor:
            raise ValueError("holder is a HolderFloor")
        if type(self.order) is not Order:
            raise ValueError("order is an Order")
        # Copies: what was judged here must not change afterwards.
        object.__setattr__(self, "authorities", MappingProxyType(dict(self.authorities)))
        object.__setattr__(self, "agent_keys", MappingProxyType(dict(self.agent_keys)))
        _require_authorities(self.authorities, self.issuers)
        for (issuer, _agent), keys in self.agent_keys.items():
            if issuer not in self.issuers or type(keys) is not frozenset or not keys:
                raise ValueError("each of agent_keys is of a trusted issuer, and a frozenset that is not empty")
            if not all(map(_is_thumbprint, keys)):
                raise ValueError("each key of agent_keys is a SHA-256 thumbprint in base64url")
        _require_within("leeway_s", self.leeway_s, 0, MAX_LEEWAY_S)
        _require_within("max_depth", self.max_depth, 1, HARD_MAX_DEPTH)
        _require_within("max_token_bytes", self.max_token_bytes, 1, MAX_TOKEN_BYTES)

    @classmethod
    def bearer(
        cls,
        *,
        issuers: Iterable[str],
        audiences: Iterable[str],
        agent_keys: Mapping[tuple[str, str], Iterable[str]] = _NO_KEYS,
        **terms: Unpack[OptionalTerms],
    ) -> "Expectation":
        """Tokens on the word of the token service; who has one that is bound to no key may use it.

        Raises: ValueError; TypeError for one string in place of several, which to Python is a set of letters.
        """
        terms.setdefault("root_floor", Evidence.ISSUER)
        return cls(
            issuers=_several("issuers", issuers),
            audiences=_several("audiences", audiences),
            hop_floor=Evidence.ISSUER,
            holder=HolderFloor.BEARER,
            agent_keys={agent: _several("keys of agent_keys", keys) for agent, keys in agent_keys.items()},
            **terms,
        )

    @classmethod
    def proof_required(
        cls,
        *,
        issuers: Iterable[str],
        audiences: Iterable[str],
        agent_keys: Mapping[tuple[str, str], Iterable[str]] = _NO_KEYS,
        **terms: Unpack[OptionalTerms],
    ) -> "Expectation":
        """Tokens on the word of the token service, each bound to a key that its sender proves: theft gains nothing.

        Raises: as `bearer`.
        """
        expect = cls.bearer(issuers=issuers, audiences=audiences, agent_keys=agent_keys, **terms)
        return replace(expect, holder=HolderFloor.PROOF)

    @classmethod
    def delegator_signed(
        cls,
        *,
        issuers: Iterable[str],
        audiences: Iterable[str],
        agent_keys: Mapping[tuple[str, str], Iterable[str]],
        **terms: Unpack[OptionalTerms],
    ) -> "Expectation":
        """Tokens whose sender proves the key, and whose hops from the second on their delegators signed.

        The first agent's key has to be in `agent_keys`, or in a root that one of `authorities` signed.
        Raises: as `bearer`; ValueError when both are empty, as no token could be accepted.
        """
        if not agent_keys and not terms.get("authorities"):
            raise ValueError("agent_keys or authorities: the key of a first agent has to be known from somewhere")
        expect = cls.proof_required(issuers=issuers, audiences=audiences, agent_keys=agent_keys, **terms)
        return replace(expect, hop_floor=Evidence.DELEGATOR)


def _several(name: str, values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise TypeError(f"{name} are several strings, not one")
    return frozenset(values)


def _require_authorities(authorities: Mapping[tuple[str, str], str], issuers: frozenset[str]) -> None:
    for (issuer, authority), prefix in authorities.items():
        if issuer not in issuers or authority in issuers or not (type(authority) is str and authority):
            raise ValueError("each of authorities is of a trusted issuer, and is none itself")
        if type(prefix) is not str:
            raise ValueError("the prefix of an authority is a string")
    for one, other in permutations(authorities, 2):
        # Else one authority could name users whose other authority is the other.
        if one[0] == other[0] and authorities[other].startswith(authorities[one]):
            raise ValueError("the prefix of an authority is not the beginning of another's")


def _is_thumbprint(value: object) -> bool:
    try:
        return type(value) is str and bool(parse_thumbprint(value))
    except Malformed:
        return False


def _require_within(name: str, value: int, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is an integer from {least} to {most}")
