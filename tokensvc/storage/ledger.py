"""What each store operation decides, once for all adapters that decide in Python. Pure: no I/O, no clock.

A `Ledger` holds claims, revocations and records. The memory adapter keeps one with everything in it; the SQLite adapter
loads the few entries that a group of operations touches, lets the same code decide, and writes what changed. Every
method looks before it changes anything, so an operation that is refused leaves the ledger as it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from tokensvc.core.jsontext import JsonValue, parse_json_object, render_json
from tokensvc.core.revocation import Revocable, Revocation, RevocationKind
from tokensvc.errors import Malformed, Unavailable
from tokensvc.ports import Committed, OneTimeValue, Outcome, Record

__all__ = [
    "KEPT_AFTER_END_S",
    "Answer",
    "Claim",
    "Ledger",
    "Listing",
    "Operation",
    "RecordRow",
    "RevocationKey",
    "appending",
    "asking_note",
    "asking_revoked",
    "claiming",
    "committing",
    "finding",
    "forgettable_before",
    "listing_records",
    "parse_position",
    "parse_record",
    "pinging",
    "render_position",
    "render_record",
    "require_limit",
    "require_storable",
    "require_storable_claims",
    "require_storable_revocations",
    "revoking",
]

RevocationKey = tuple[RevocationKind, str]
RecordRow = tuple[str, int, str, str, str | None, str | None, str]
"""A record as it is kept: the fields in their order, `inputs` as JSON text."""

T_co = TypeVar("T_co", covariant=True)

KEPT_AFTER_END_S: Final = 24 * 60 * 60
"""How long claims and revocations are kept after their `until`, whatever was decided about them meanwhile.

A process whose clock is ahead must not delete what the others, or itself once its clock is right, still decide by. A
day is more than local time taken for UTC errs by (14 h), and leaves that long to revoke a root that has ended.
"""

# What a column of SQLite and of most other databases holds.
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**63 - 1
# Enough for 64 bits.
_POSITION_DIGITS: Final = 20


class Claim(NamedTuple):
    """What is kept of a value that was claimed."""

    until: int
    note: str | None
    repeatable: bool = False

    def is_repeated_by(self, claim: OneTimeValue) -> bool:
        """True for a retry: repeatable both times, with one note."""
        return self.repeatable and claim.repeatable and self.note == claim.note


class Listing(NamedTuple):
    """Which records are asked for, as in `RecordStore.list_records`."""

    after: str | None
    limit: int
    newest: bool


def forgettable_before(now: int) -> int:
    """Claims and revocations whose `until` lies before this moment may be deleted by a caller at `now` (epoch s)."""
    return max(now - KEPT_AFTER_END_S, _MIN_INTEGER)


@dataclass(slots=True)
class Ledger:
    """Claims by value, revocations by kind and id, records by id: all of them, or those in question.

    `forgotten_at`: values made up to then count as used (`storage.loss`).
    """

    claims: dict[str, Claim] = field(default_factory=dict)
    revocations: dict[RevocationKey, Revocation] = field(default_factory=dict)
    records: dict[str, RecordRow] = field(default_factory=dict)
    forgotten_at: int | None = None

    def claim(self, claims: tuple[OneTimeValue, ...], now: int) -> Committed:
        """The contract of `IssuanceStore.claim`."""
        if self._is_replayed(claims, now):
            return Committed.REPLAYED
        self._keep(claims)
        return Committed.STORED

    def commit(
        self, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], row: RecordRow, now: int
    ) -> Committed:
        """The contract of `IssuanceStore.commit`. Raises: ValueError when the record's id stands already."""
        if self.is_revoked(unless_revoked):
            return Committed.REVOKED
        if self._is_replayed(claims, now):
            return Committed.REPLAYED
        self.append(row)
        self._keep(claims)
        return Committed.STORED

    def note_of(self, value: str) -> str | None:
        """The contract of `IssuanceStore.note_of`."""
        claim = self.claims.get(value)
        return None if claim is None else claim.note

    def revoke(self, revocations: tuple[Revocation, ...], row: RecordRow) -> None:
        """The contract of `RevocationStore.revoke`. Raises: ValueError when the record's id stands already."""
        self.append(row)
        self.put_in_force(revocations)

    def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        """The contract of `RevocationStore.is_revoked`."""
        return any(
            held.hits(revocable)
            for revocable in revocables
            if (held := self.revocations.get((revocable.kind, revocable.id))) is not None
        )

    def append(self, row: RecordRow) -> None:
        """Keep `row`. Raises: ValueError when its id stands already."""
        if row[0] in self.records:
            raise ValueError("a record of this id stands already")
        self.records[row[0]] = row

    def put_in_force(self, revocations: tuple[Revocation, ...]) -> None:
        """Keep `revocations`, each beside what is held of its kind and id: the stronger of both stays."""
        for revocation in revocations:
            key = (revocation.kind, revocation.id)
            held = self.revocations.get(key)
            self.revocations[key] = revocation if held is None else _stronger(held, revocation)

    def _is_replayed(self, claims: tuple[OneTimeValue, ...], now: int) -> bool:
        # One step that names a value twice uses it twice.
        if len({claim.value for claim in claims}) != len(claims):
            return True
        return any(self._was_used(claim, now) for claim in claims)

    def _was_used(self, claim: OneTimeValue, now: int) -> bool:
        if self.forgotten_at is not None and claim.made <= self.forgotten_at:
            return True
        held = self.claims.get(claim.value)
        return held is not None and held.until >= now and not held.is_repeated_by(claim)

    def _keep(self, claims: tuple[OneTimeValue, ...]) -> None:
        for claim in claims:
            held = self.claims.get(claim.value)
            until = claim.until if held is None else max(held.until, claim.until)
            # Without a note there is nothing to know a retry by.
            self.claims[claim.value] = Claim(until, claim.note, claim.repeatable and claim.note is not None)


def _stronger(one: Revocation, other: Revocation) -> Revocation:
    return Revocation(
        kind=one.kind,
        id=one.id,
        not_before=_later(one.not_before, other.not_before),
        until=_later(one.until, other.until),
    )


def _later(one: int | None, other: int | None) -> int | None:
    # None is "no limit" for both fields: dead whatever its iat, never forgotten.
    return None if one is None or other is None else max(one, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[T_co]):
    """One call of the port: which entries it touches, and the decision on a ledger that holds them.

    `now` is set where entries that ended long ago may be forgotten (`forgettable_before`). `leaves_mark`: its group
    leaves a mark although nothing else may have changed. `listing` asks for records
    that only the database knows; then `decide` is not called. An operation is checked when it is made, in its caller:
    one that cannot be stored never reaches the others of its group.
    """

    decide: Callable[[Ledger], T_co]
    writes: bool
    claims: tuple[str, ...] = ()
    revocations: tuple[RevocationKey, ...] = ()
    records: tuple[str, ...] = ()
    listing: Listing | None = None
    now: int | None = None
    leaves_mark: bool = False

    def answer(self, ledger: Ledger) -> "Answer":
        """The decision, or the ValueError that refused it, as a value."""
        try:
            return Answer(value=self.decide(ledger))
        except ValueError as exc:
            return Answer(error=exc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation came to: `error` when there is one, else `value`."""

    value: object = None
    error: Exception | None = None


def claiming(claims: tuple[OneTimeValue, ...], now: int) -> Operation[Committed]:
    """The operation `IssuanceStore.claim`. Raises: ValueError for values that no store holds."""
    require_storable_claims(claims, now)
    return Operation(
        decide=lambda ledger: ledger.claim(claims, now),
        writes=True,
        claims=tuple(claim.value for claim in claims),
        now=now,
    )


def asking_note(value: str) -> Operation[str | None]:
    """The operation `IssuanceStore.note_of`. Raises: ValueError for values that no store holds."""
    require_storable(value)
    return Operation(decide=lambda ledger: ledger.note_of(value), writes=False, claims=(value,))


def committing(
    claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
) -> Operation[Committed]:
    """The operation `IssuanceStore.commit`. Raises: ValueError for values that no store holds."""
    row = render_record(record)
    require_storable_claims(claims, now)
    return Operation(
        decide=lambda ledger: ledger.commit(claims, unless_revoked, row, now),
        writes=True,
        claims=tuple(claim.value for claim in claims),
        revocations=_keys(unless_revoked),
        records=(record.id,),
        now=now,
    )


def revoking(revocations: tuple[Revocation, ...], record: Record) -> Operation[None]:
    """The operation `RevocationStore.revoke`. Raises: ValueError for values that no store holds."""
    row = render_record(record)
    require_storable_revocations(revocations)
    return Operation(
        decide=lambda ledger: ledger.revoke(revocations, row),
        writes=True,
        revocations=_keys(revocations),
        records=(record.id,),
    )


def asking_revoked(revocables: tuple[Revocable, ...]) -> Operation[bool]:
    """The operation `RevocationStore.is_revoked`. Raises: ValueError for values that no store holds."""
    return Operation(decide=lambda ledger: ledger.is_revoked(revocables), writes=False, revocations=_keys(revocables))


def appending(record: Record) -> Operation[None]:
    """The operation `RecordStore.append`. Raises: ValueError for values that no store holds."""
    row = render_record(record)
    return Operation(decide=lambda ledger: ledger.append(row), writes=True, records=(record.id,))


def finding(record_id: str) -> Operation[RecordRow | None]:
    """The operation `RecordStore.find`; its answer is for `parse_record`. Raises: ValueError."""
    require_storable(record_id)
    return Operation(decide=lambda ledger: ledger.records.get(record_id), writes=False, records=(record_id,))


def listing_records(wanted: Listing) -> Operation[list[tuple[int, RecordRow]]]:
    """The operation `RecordStore.list_records`: numbered rows, for whoever knows the numbers. Raises: ValueError."""
    require_limit(wanted.limit)
    if wanted.after is not None:
        parse_position(wanted.after)
    return Operation(decide=lambda _ledger: [], writes=False, listing=wanted)


def pinging() -> Operation[None]:
    """The operation `Store.ping`: it writes, as a disk that is full or read-only shows only then."""
    return Operation(decide=lambda _ledger: None, writes=True, leaves_mark=True)


def render_record(record: Record) -> RecordRow:
    """`record` as it is kept, a copy that no caller can change. What is accepted here, `parse_record` gives back.

    Raises: ValueError for `inputs` that are not JSON (RFC 8259) or that strict parsing would refuse, and for text that
    is not Unicode.
    """
    inputs = _render_inputs(record.inputs)
    require_storable(record.id, record.at, record.client_id, record.reason, record.lineage)
    return (record.id, record.at, record.outcome.value, record.client_id, record.reason, record.lineage, inputs)


def render_position(number: int) -> str:
    """The position of the record with that number: text that sorts as the numbers do."""
    return f"{number:0{_POSITION_DIGITS}d}"


def parse_position(text: str) -> int:
    """The number of a position. Raises: ValueError."""
    if len(text) != _POSITION_DIGITS or not (text.isascii() and text.isdigit()):
        raise ValueError("this is no position of a record")
    number = int(text)
    require_storable(number)
    return number


def parse_record(row: RecordRow) -> Record:
    """The record that `row` keeps. Raises: Unavailable for a row that this program did not write."""
    record_id, at, outcome, client_id, reason, lineage, inputs = row
    try:
        return Record(
            id=record_id,
            at=at,
            outcome=Outcome(outcome),
            client_id=client_id,
            reason=reason,
            lineage=lineage,
            inputs=parse_json_object(inputs.encode("utf-8")),
        )
    except (Malformed, ValueError) as exc:
        raise Unavailable("a stored record cannot be read") from exc


def _render_inputs(inputs: Mapping[str, JsonValue]) -> str:
    try:
        text = render_json(dict(inputs))
        # A record that could be stored but never read again would be lost without a word.
        parse_json_object(text)
    except (Malformed, RecursionError, TypeError, ValueError) as exc:
        raise ValueError("the inputs of a record are not JSON that can be read back") from exc
    return text.decode("utf-8")


def _keys(items: tuple[Revocable, ...] | tuple[Revocation, ...]) -> tuple[RevocationKey, ...]:
    for item in items:
        require_storable(item.id)
    return tuple((item.kind, item.id) for item in items)


def require_storable_claims(claims: tuple[OneTimeValue, ...], now: int) -> None:
    """Return when a store can hold them. Raises: ValueError."""
    for claim in claims:
        require_storable(claim.value, claim.until, claim.made, claim.note)
    require_storable(now)


def require_storable_revocations(revocations: tuple[Revocation, ...]) -> None:
    """Return when a store can hold them. Raises: ValueError."""
    for revocation in revocations:
        require_storable(revocation.id, revocation.not_before, revocation.until)


def require_limit(limit: int) -> None:
    """Return when so many records can be asked for. Raises: ValueError."""
    if limit < 1:
        raise ValueError("a listing is of one record at least")
    require_storable(limit)


def require_storable(*values: str | int | None) -> None:
    """Return when every store can hold `values`: 64 bits, Unicode without lone surrogates. Raises: ValueError."""
    for value in values:
        if isinstance(value, str):
            if not value.isascii():
                _require_unicode(value)
        elif value is not None and not _MIN_INTEGER <= value <= _MAX_INTEGER:
            raise ValueError("a number does not fit into 64 bits")


def _require_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # Not "from exc": that error carries the text.
        raise ValueError("a text holds a lone surrogate") from None
