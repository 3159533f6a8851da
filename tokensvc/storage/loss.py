"""What a store does when it finds that it has forgotten. Pure: no I/O, no clock of its own.

Every store has a random id and a sequence number that rises with each write; each write leaves a random mark. A process
remembers what it saw last (`Seen`) and each of its steps compares, inside the step. Where the store does not descend
from that - it is empty, or an older copy, also one that others have written to since - it may have forgotten
revocations and used values that nobody can tell. So the same step declares dead whatever they could have been about.

A store that is made on a first start looks the same as one that was lost while every process was down. It declares dead
the chains of this service from before, which on a first start are none.
"""

import secrets
from dataclasses import dataclass
from typing import Final, Protocol

from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.ports import Clock

__all__ = [
    "MARKS_KEPT",
    "LossRule",
    "Seen",
    "State",
    "StoreEvents",
    "UnreportedEvents",
    "first_position",
    "new_mark",
    "new_store_id",
]

# A process that lags behind by more writes than this is compared by its sequence number alone. Ten thousand groups of
# writes are many seconds at full load, and readiness probes make a step far more often; a mark takes some 60 bytes.
MARKS_KEPT: Final = 10_000

# A million records a second for as long as there is a store: positions made from the clock are never met again.
_POSITIONS_PER_S: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRule:
    """Whose tokens are declared dead when the store has forgotten.

    `issuer` is the token service itself, `upstream` the identity providers and authorities whose tokens start chains.
    `leeway_s` is how far ahead of `clock` an `iat` may lie.
    """

    issuer: str
    upstream: tuple[str, ...]
    leeway_s: int
    clock: Clock

    def at_loss(self, now: int) -> tuple[Revocation, ...]:
        """The revocations in force after a loss noticed at `now`: chains and user tokens from before are dead."""
        return tuple(_everything_of(iss, self.forgotten_at(now)) for iss in (self.issuer, *self.upstream))

    def at_making(self, now: int) -> tuple[Revocation, ...]:
        """The revocations of a store made at `now`: what the service issued before is dead, users start at once."""
        return (_everything_of(self.issuer, self.made_at(now)),)

    def forgotten_at(self, now: int) -> int:
        """Values made up to this moment may have been used before a loss noticed at `now`."""
        return now + self.leeway_s

    def made_at(self, now: int) -> int:
        """The same for a store made at `now`. A second earlier, so that a first start serves its first request."""
        return now - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a process saw of the store last: its id, its sequence number and the mark there, and when (epoch s)."""

    id: str
    sequence: int
    mark: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a store says of itself.

    Values made up to `forgotten_at` count as used. `lost_at` is the same moment where a loss was declared: whatever
    anybody saw up to then is dead already. `mark` is that at `sequence`, `mark_seen` the one at the sequence number
    that was seen last, if it is kept.
    """

    id: str
    sequence: int
    mark: str
    mark_seen: str | None
    forgotten_at: int | None
    lost_at: int | None

    def descends_from(self, seen: Seen) -> bool:
        """True when everything that `seen` stood for is in this store, or was declared dead in it."""
        if self.id != seen.id:
            # Another process noticed the same loss: everything that this one had seen was declared dead by then.
            return self.lost_at is not None and self.lost_at >= seen.at
        if self.mark_seen is None:
            return self.sequence - seen.sequence >= MARKS_KEPT
        return self.mark_seen == seen.mark

    def seen_at(self, now: int) -> Seen:
        """What to remember of this state, read at `now`."""
        return Seen(id=self.id, sequence=self.sequence, mark=self.mark, at=now)


class StoreEvents(Protocol):
    """Whom a store tells what an operator has to know. `place` is the file, or the URL without its password."""

    def store_made(self, place: str) -> None:
        """There was no store, and an empty one was made."""
        ...

    def store_lost(self, place: str) -> None:
        """The store had forgotten; what was issued before is dead from now on."""
        ...

    def store_doubtful(self, place: str, problem: str) -> None:
        """The store works, and may lose what it acknowledged."""
        ...


class UnreportedEvents:
    """Implements `StoreEvents` for those who have nobody to tell."""

    def store_made(self, place: str) -> None:
        """Do nothing."""

    def store_lost(self, place: str) -> None:
        """Do nothing."""

    def store_doubtful(self, place: str, problem: str) -> None:
        """Do nothing."""


def new_store_id() -> str:
    """128 random bits."""
    return secrets.token_hex(16)


def new_mark() -> str:
    """64 random bits: enough that two histories never have the same one at the same place."""
    return secrets.token_hex(8)


def first_position(now: int) -> int:
    """Where a store made or lost at `now` begins to number its records: above every number given out before."""
    return now * _POSITIONS_PER_S


def _everything_of(iss: str, not_before: int) -> Revocation:
    # Never forgotten: one entry an issuer, whatever happens.
    return Revocation(kind=RevocationKind.ISSUER, id=iss, not_before=not_before, until=None)
