"""What a verifier expects. Everything that decides is a required argument; nothing is read from the token."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tokensvc.core.chain import HARD_MAX_DEPTH

__all__ = ["Evidence", "Expectation"]

# Clocks of one deployment agree to within seconds; more than a minute is a broken clock, not leeway.
MAX_LEEWAY_S: Final = 60
# A header of more than this is refused by most servers in between; it also bounds the work before the signature.
MAX_TOKEN_BYTES: Final = 16_384
DEFAULT_MAX_DEPTH: Final = 5
DEFAULT_LEEWAY_S: Final = 30


class Evidence(StrEnum):
    """Whose word stands for an entry of the chain."""

    ISSUER = "issuer"
    """The signature of the enclosing token: the token service's word."""
    AUTHORITY = "authority"
    """A root signed by an authority such as the identity provider."""
    DELEGATOR = "delegator"
    """A hop signed by the agent that delegates."""


_ROOT_FLOORS: Final = frozenset({Evidence.ISSUER, Evidence.AUTHORITY})
_HOP_FLOORS: Final = frozenset({Evidence.ISSUER, Evidence.DELEGATOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The terms on which a token is accepted.

    `issuers` are the trusted token services, compared byte for byte. A token's `aud` must be one of `audiences`.
    `root_floor` and `hop_floor` are the least evidence that is enough. `leeway_s` is for clocks, in seconds (0 to 60);
    `max_depth` is the verifier's own cap on hops (1 to 10); `max_token_bytes` the largest token looked at.

    Raises: ValueError when nothing could be accepted or a bound is out of range.
    """

    issuers: frozenset[str]
    audiences: frozenset[str]
    root_floor: Evidence
    hop_floor: Evidence
    leeway_s: int = DEFAULT_LEEWAY_S
    max_depth: int = DEFAULT_MAX_DEPTH
    max_token_bytes: int = MAX_TOKEN_BYTES

    def __post_init__(self) -> None:
        """Refuse terms that would silently accept nothing, or more than the profile allows."""
        for name, values in (("issuers", self.issuers), ("audiences", self.audiences)):
            if type(values) is not frozenset or not values or not all(type(value) is str and value for value in values):
                raise ValueError(f"{name} is a frozenset of strings that are not empty")
        if self.root_floor not in _ROOT_FLOORS:
            raise ValueError("root_floor is Evidence.ISSUER or Evidence.AUTHORITY")
        if self.hop_floor not in _HOP_FLOORS:
            raise ValueError("hop_floor is Evidence.ISSUER or Evidence.DELEGATOR")
        _require_within("leeway_s", self.leeway_s, 0, MAX_LEEWAY_S)
        _require_within("max_depth", self.max_depth, 1, HARD_MAX_DEPTH)
        _require_within("max_token_bytes", self.max_token_bytes, 1, MAX_TOKEN_BYTES)

    @classmethod
    def issuer_signed(cls, *, issuers: Iterable[str], audiences: Iterable[str]) -> "Expectation":
        """The terms of a service that takes its token service at its word, with the default limits.

        Raises: ValueError; TypeError for one string in place of several, which to Python is a set of letters.
        """
        if isinstance(issuers, str) or isinstance(audiences, str):
            raise TypeError("issuers and audiences are several strings each, not one")
        return cls(
            issuers=frozenset(issuers),
            audiences=frozenset(audiences),
            root_floor=Evidence.ISSUER,
            hop_floor=Evidence.ISSUER,
        )


def _require_within(name: str, value: int, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is an integer from {least} to {most}")
