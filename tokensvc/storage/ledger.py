"""What each store operation decides, once for all adapters that decide in Python. Pure: no I/O, no clock.

A `Ledger` holds claims, revocations and records. The memory adapter keeps one with everything in it; the SQLite adapter
loads the few entries that a group of operations touches, lets the same code decide, and writes what changed. Every
method looks before it changes anything, so an operation that is refused leaves the ledger as it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from tokensvc.core.jsontext import JsonValue, parse_json_object, render_json
from tokensvc.core.revocation import Revocable, Revocation, RevocationKind
from tokensvc.errors import Malformed, Unavailable
from tokensvc.ports import Committed, OneTimeValue, Outcome, Record

__all__ = [
    "Answer",
    "Ledger",
    "Operation",
    "RecordRow",
    "RevocationKey",
    "appending",
    "asking_revoked",
    "committing",
    "finding",
    "parse_record",
    "pinging",
    "render_record",
    "revoking",
]

RevocationKey = tuple[RevocationKind, str]
RecordRow = tuple[str, int, str, str, str | None, str | None, str]
"""A record as it is kept: the fields in their order, `inputs` as JSON text."""

T_co = TypeVar("T_co", covariant=True)

# What a column of SQLite and of most other databases holds.
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**63 - 1


@dataclass(slots=True)
class Ledger:
    """Claims (value to `until`), revocations by kind and id, records by id: all of them, or those in question."""

    claims: dict[str, int] = field(default_factory=dict)
    revocations: dict[RevocationKey, Revocation] = field(default_factory=dict)
    records: dict[str, RecordRow] = field(default_factory=dict)

    def commit(
        self, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], row: RecordRow, now: int
    ) -> Committed:
        """The contract of `IssuanceStore.commit`. Raises: ValueError when the record's id stands already."""
        if self.is_revoked(unless_revoked):
            return Committed.REVOKED
        values = {claim.value for claim in claims}
        # One commit that names a value twice uses it twice.
        if len(values) != len(claims) or any(self._is_claimed(value, now) for value in values):
            return Committed.REPLAYED
        self.append(row)
        self.claims.update((claim.value, claim.until) for claim in claims)
        return Committed.STORED

    def revoke(self, revocations: tuple[Revocation, ...], row: RecordRow) -> None:
        """The contract of `RevocationStore.revoke`. Raises: ValueError when the record's id stands already."""
        self.append(row)
        for revocation in revocations:
            key = (revocation.kind, revocation.id)
            held = self.revocations.get(key)
            self.revocations[key] = revocation if held is None else _stronger(held, revocation)

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

    def _is_claimed(self, value: str, now: int) -> bool:
        until = self.claims.get(value)
        return until is not None and until >= now


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

    `now` is set where expired entries may be forgotten. An operation is checked when it is made, in its caller: one
    that cannot be stored never reaches the others of its group.
    """

    decide: Callable[[Ledger], T_co]
    writes: bool
    claims: tuple[str, ...] = ()
    revocations: tuple[RevocationKey, ...] = ()
    records: tuple[str, ...] = ()
    now: int | None = None

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


def committing(
    claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
) -> Operation[Committed]:
    """The operation `IssuanceStore.commit`. Raises: ValueError for values that no store holds."""
    row = render_record(record)
    for claim in claims:
        _require_storable(claim.value, claim.until)
    _require_storable(now)
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
    for revocation in revocations:
        _require_storable(revocation.not_before, revocation.until)
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
    _require_storable(record_id)
    return Operation(decide=lambda ledger: ledger.records.get(record_id), writes=False, records=(record_id,))


def pinging() -> Operation[None]:
    """The operation `Store.ping`: it needs what a write needs, and stores nothing."""
    return Operation(decide=lambda _ledger: None, writes=True)


def render_record(record: Record) -> RecordRow:
    """`record` as it is kept, a copy that no caller can change. What is accepted here, `parse_record` gives back.

    Raises: ValueError for `inputs` that are not JSON (RFC 8259) or that strict parsing would refuse, and for text that
    is not Unicode.
    """
    inputs = _render_inputs(record.inputs)
    _require_storable(record.id, record.at, record.client_id, record.reason, record.lineage)
    return (record.id, record.at, record.outcome.value, record.client_id, record.reason, record.lineage, inputs)


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
        _require_storable(item.id)
    return tuple((item.kind, item.id) for item in items)


def _require_storable(*values: str | int | None) -> None:
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
