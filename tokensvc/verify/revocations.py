"""What a verifier knows of revocations. It is a required argument: nobody forgets to decide.

Either a view that says how fresh it is, or the explicit statement that short lifetimes are all there is.
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Protocol

from tokensvc.core.revocation import Revocable, Revocation, RevocationKind

__all__ = ["LifetimeOnly", "RevocationList", "RevocationView", "UnsafeRevocationElsewhere"]

_ID: Final = attrgetter("id")


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeOnly:
    """No revocations are looked at. Tokens that live longer than `max_s` seconds are refused instead.

    A revoked token then still passes for at most that long and the leeway, and its renewals are the token service's to
    refuse. The verified token says that the check was not made.
    """

    max_s: int

    def __post_init__(self) -> None:
        """Raises: ValueError unless `max_s` is a positive integer."""
        if type(self.max_s) is not int or self.max_s < 1:
            raise ValueError("max_s is a positive number of seconds")


@dataclass(frozen=True, slots=True)
class UnsafeRevocationElsewhere:
    """No revocations are looked at, because the caller does so itself before it relies on the token."""


class RevocationView(Protocol):
    """Revocations as they were known at some moment: a snapshot, as its members are read one after the other."""

    @property
    def as_of(self) -> int:
        """When the view was true, in epoch seconds."""
        ...

    @property
    def max_staleness_s(self) -> int:
        """After how many seconds the view must not be relied on any more."""
        ...

    def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        """True when any of `revocables` is revoked. Raises: Unavailable when it cannot be told."""
        ...


class RevocationList:
    """A view over revocations that were read at `as_of` and may be relied on for `max_staleness_s` seconds."""

    __slots__ = ("_as_of", "_by_subject", "_ids", "_max_staleness_s")

    def __init__(self, revocations: tuple[Revocation, ...], *, as_of: int, max_staleness_s: int) -> None:
        self._as_of = as_of
        self._max_staleness_s = max_staleness_s
        self._by_subject: dict[tuple[RevocationKind, str], list[Revocation]] = {}
        for revocation in revocations:
            self._by_subject.setdefault((revocation.kind, revocation.id), []).append(revocation)
        self._ids = frozenset(revocation.id for revocation in revocations)

    @property
    def as_of(self) -> int:
        """When the view was true, in epoch seconds."""
        return self._as_of

    @property
    def max_staleness_s(self) -> int:
        """After how many seconds the view is stale."""
        return self._max_staleness_s

    def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        """True when any revocation hits any of `revocables`."""
        # Of nearly every token nothing is named, whatever its kind.
        return not self._ids.isdisjoint(map(_ID, revocables)) and any(
            revocation.hits(revocable)
            for revocable in revocables
            for revocation in self._by_subject.get((revocable.kind, revocable.id), ())
        )
