"""What the application needs from outside. Each port is the contract that all its adapters keep.

Every method is one atomic step: two callers that race get the answers of some order of their calls. A method that
cannot answer raises `Unavailable`; it never answers with a guess, and what became of the call is then unknown. What a
method acknowledged survives `kill -9` (the memory adapter, which is for tests and trials, says so where it does not).

A store may come back empty, or as an older copy of itself. The next call notices: from then on it answers as if what it
can no longer know had been revoked and used (`storage.loss`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tokensvc.core.jsontext import JsonValue
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.core.revocation import Revocable, Revocation

__all__ = [
    "Clock",
    "Committed",
    "IssuanceStore",
    "ListedRecord",
    "OneTimeValue",
    "Outcome",
    "Record",
    "RecordStore",
    "RevocationStore",
    "Signer",
    "Store",
]

Clock = Callable[[], int]
"""Returns the current time in whole epoch seconds (RFC 7519 NumericDate)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimeValue:
    """A value that may be used once: the `jti` of a new entry, of an assertion, of a proof.

    Remembered until `until` has passed; `made` says when it came to be: its `iat`, or now for one of our own making
    (both epoch seconds). `note` is what it was used for: for a root the SHA-256 of its subject token without the
    signature, for a delegation grant the hash of its payload; never a token. `repeatable`: the same value with the same
    note is one use, however often it comes (a retry); without a note there is nothing to know a retry by.
    """

    value: str
    until: int
    made: int
    note: str | None = None
    repeatable: bool = False


class Outcome(StrEnum):
    """What became of a request."""

    GRANTED = "granted"
    REFUSED = "refused"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What happened, with the inputs of the decision; never a token, secret or key.

    `id` is unique (22 base64url characters); `at` in epoch seconds; `lineage` is the root's `jti` when there is one;
    `inputs` is a JSON object.
    """

    id: str
    at: int
    outcome: Outcome
    client_id: str
    reason: str | None
    lineage: str | None
    inputs: Mapping[str, JsonValue] = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecord:
    """A record and its place. Positions are opaque; compared as text they are in the order in which records came."""

    position: str
    record: Record


class Committed(StrEnum):
    """The answer of `IssuanceStore.claim` and `commit`. `claim` never says REVOKED."""

    STORED = "stored"
    REPLAYED = "replayed"
    REVOKED = "revoked"


class IssuanceStore(Protocol):
    """Decides in one step whether a value may be used, and whether a token may be released."""

    async def claim(self, claims: tuple[OneTimeValue, ...], *, now: int) -> Committed:
        """Claim every value, unless one was claimed before: `REPLAYED`, and nothing is stored.

        A claim whose `until` lies before `now` is forgotten, by this decision (it is kept a day longer, for those whose
        clock is not ahead); a value named twice in `claims` is used twice. One that was claimed before is replayed
        whatever its note, unless it is `repeatable`, was then, and the notes are equal: then it is stored again, until
        the later `until`. Replayed as well is what was made while the store may have known of its use and forgot
        (`made` at or before the moment of a loss), repeatable or not. Raises: ValueError for what no store holds:
        numbers beyond 64 bits, lone surrogates.
        """
        ...

    async def commit(
        self, *, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
    ) -> Committed:
        """Claim every value and store `record`, unless one was claimed before or something is revoked.

        All or nothing: on `REPLAYED` and `REVOKED` nothing is stored. `REVOKED` is answered first. Values are claimed
        as by `claim`. After `revoke` has returned, no `commit` that names what it hit is `STORED`. Raises: ValueError
        as `RecordStore.append` does.
        """
        ...

    async def note_of(self, value: str) -> str | None:
        """The note that `value` was claimed with; None where it has none, was never claimed, or is not kept any more.

        It is told for as long as the value is kept: at least 24 hours after its `until`.
        """
        ...


class RevocationStore(Protocol):
    """Revocations, added only."""

    async def revoke(self, *, revocations: tuple[Revocation, ...], record: Record) -> None:
        """Store all of `revocations` and `record` in one step. The same again changes nothing but adds the record.

        Two revocations of one kind and id leave the stronger of both: no not-before wins over one, the later over the
        earlier, and the later `until` (None: never forgotten) over the earlier. Raises: ValueError as
        `RecordStore.append` does.
        """
        ...

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        """True when any stored revocation hits any of `revocables` (`Revocation.hits`)."""
        ...


class RecordStore(Protocol):
    """The record of what was granted, refused and revoked."""

    async def append(self, record: Record) -> None:
        """Store `record` durably. An id that stands already is refused with ValueError: records are never rewritten.

        So are `inputs` that `parse_json_object` would not read back, numbers beyond 64 bits and lone surrogates.
        """
        ...

    async def find(self, record_id: str) -> Record | None:
        """The record of that id, or None."""
        ...

    async def list_records(self, *, after: str | None, limit: int, newest: bool = False) -> tuple[ListedRecord, ...]:
        """Of the records after the position `after` (None: of all) the first `limit`, or the last with `newest`.

        Oldest first either way. Whoever goes on after the last position of an answer misses nothing that was stored
        since, and sees nothing twice. Raises: ValueError for a position that the store did not give, or a `limit`
        below 1.
        """
        ...


class Store(IssuanceStore, RevocationStore, RecordStore, Protocol):
    """One adapter gives all three, and has a lifetime."""

    async def open(self) -> None:
        """Connect, create or check the schema. Raises `Unavailable` or `ConfigurationError`."""
        ...

    async def ping(self) -> None:
        """Return when the store can answer now, else raise `Unavailable`."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then let go. Calling it twice is fine."""
        ...


class Signer(Protocol):
    """The token service's own keys."""

    def signing_key(self) -> SigningKey:
        """The key that signs now."""
        ...

    def public_keys(self) -> KeySet:
        """Every key that tokens of this service may still be signed with."""
        ...
