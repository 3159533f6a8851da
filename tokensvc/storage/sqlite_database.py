"""Groups of operations on one SQLite connection. Everything in here runs on the worker's thread.

A group is one transaction, so all its operations share one fsync:

1. BEGIN (IMMEDIATE when the group writes): from here to the end no other process writes.
2. Compare the database with what this process saw of it; declare the loss when it has forgotten (`storage.loss`).
3. Load the entries that any operation of the group touches.
4. Decide each operation in turn on them (`ledger.Ledger`): later ones see what earlier ones changed.
5. Write what changed and a mark; forget a bounded number of entries that ended a day ago (`KEPT_AFTER_END_S`).
6. COMMIT. Only now are there answers.

Steps 2, 3 and 5 take a handful of statements whatever the size of the group. That matters: each statement gives the GIL
away and, while the event loop computes, may wait 5 ms to get it back; a prototype with a few statements per operation
was at least twice as slow beside a busy loop. When a group fails, its operations are tried again one by one, each in a
savepoint, so that the one at fault does not undo the others.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import ConfigurationError, Unavailable
from tokensvc.storage.ledger import (
    Answer,
    Claim,
    Ledger,
    Listing,
    Operation,
    RecordRow,
    RevocationKey,
    forgettable_before,
    parse_position,
)
from tokensvc.storage.loss import MARKS_KEPT, LossRule, Seen, State, StoreEvents, new_mark, new_store_id
from tokensvc.storage.sqlite_file import create_or_open, renumber_records, reopen, revocation_row

__all__ = ["Database"]

_Value = str | int | bytes | None

# SQLite before 3.32 takes 999 parameters a statement.
_MAX_PARAMETERS: Final = 990
# Entries forgotten in one group: enough to keep up with those it adds, little enough to cost no latency.
_MIN_FORGOTTEN: Final = 100

_FORGET: Final = (
    "DELETE FROM claims WHERE value IN (SELECT value FROM claims WHERE until < ? ORDER BY until LIMIT ?)",
    # NULL is never less than anything: what has no `until` stays.
    """DELETE FROM revocations WHERE (kind, id) IN
        (SELECT kind, id FROM revocations WHERE until < ? ORDER BY until LIMIT ?)""",
)

_REPLACE_REVOCATIONS: Final = "INSERT OR REPLACE INTO revocations VALUES"

# CROSS JOIN fixes the order: for "(kind, id) IN (VALUES ...)" SQLite reads the whole table of revocations.
_OF: Final = ") SELECT kind, id, not_before, until FROM wanted CROSS JOIN revocations USING (kind, id)"


_RECORD: Final = "id, at, outcome, client_id, reason, lineage, inputs"

_STATE: Final = """SELECT id,
    (SELECT max(sequence) FROM marks),
    (SELECT mark FROM marks ORDER BY sequence DESC LIMIT 1),
    (SELECT mark FROM marks WHERE sequence = ?),
    forgotten_at,
    lost_at
    FROM identity ORDER BY rowid DESC LIMIT 1"""


class Database:
    """The database file and the connection to it, which is made anew after any failure."""

    def __init__(
        self, path: Path, rule: LossRule, events: StoreEvents, *, busy_timeout_s: float, may_make: bool = True
    ) -> None:
        self._path = path
        self._rule = rule
        self._events = events
        self._busy_timeout_s = busy_timeout_s
        self._may_make = may_make
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._identities: frozenset[str] = frozenset()
        self._seen: Seen | None = None
        self._forgotten_to: int | None = None

    def connect(self) -> None:
        """Create or open the file. Raises: ConfigurationError, Unavailable."""
        try:
            opened = create_or_open(
                self._path, self._rule, busy_timeout_s=self._busy_timeout_s, may_make=self._may_make
            )
            self._identities = opened.identities
            self._use(opened.connection)
            if opened.is_new:
                self._events.store_made(str(self._path))
        except ConfigurationError:
            raise
        except Exception as exc:
            raise Unavailable(f"the database cannot be opened ({_cause(exc)})") from exc

    def serve(self, operations: Sequence[Operation[object]]) -> list[Answer]:
        """One answer per operation, durable where it says so. Raises nothing: what failed is answered Unavailable."""
        try:
            return self._transact(self._connected(), operations)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the callers get an answer and the thread lives on
            self.disconnect()
            return [_unavailable(exc) for _ in operations]

    def disconnect(self) -> None:
        """Let go of the connection, which undoes a transaction that is still open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._use(reopen(self._path, self._identities, busy_timeout_s=self._busy_timeout_s))
        elif _file_id(self._path) != self._file:
            # Someone moved or removed the file: what we wrote to it would be gone after a restart.
            raise Unavailable("the database file was replaced by another")
        return cast("sqlite3.Connection", self._connection)

    def _use(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._file = _file_id(self._path)

    def _transact(self, connection: sqlite3.Connection, operations: Sequence[Operation[object]]) -> list[Answer]:
        now = self._rule.clock()
        writes = any(operation.writes for operation in operations)
        leaves_mark = any(operation.leaves_mark for operation in operations)
        state, is_lost = self._begin(connection, now, writes=writes)
        try:
            answers, changed = self._apply(connection, operations, state)
            state = _with_mark(connection, state) if changed or leaves_mark else state
        except Exception:  # noqa: BLE001 - told apart below, operation by operation
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            state, is_lost = self._begin(connection, now, writes=writes)
            answers = [self._apply_alone(connection, operation, state) for operation in operations]
            state = _with_mark(connection, state) if writes else state
            connection.execute("COMMIT")
            # What went wrong may be in the connection: the next group gets a new one.
            self.disconnect()
        else:
            connection.execute("COMMIT")
        self._identities |= {state.id}
        self._seen = state.seen_at(now)
        if is_lost:
            self._events.store_lost(str(self._path))
        return answers

    def _begin(self, connection: sqlite3.Connection, now: int, *, writes: bool) -> tuple[State, bool]:
        """Begin a transaction: the state to work on, and whether a loss was declared."""
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        state = self._read_state(connection)
        if self._seen is None or state.descends_from(self._seen):
            return state, False
        if not writes:
            # To declare a loss is to write. Another process may be faster: look again.
            connection.execute("ROLLBACK")
            return self._begin(connection, now, writes=True)
        return self._declare_lost(connection, state, now), True

    def _read_state(self, connection: sqlite3.Connection) -> State:
        row = connection.execute(_STATE, (-1 if self._seen is None else self._seen.sequence,)).fetchone()
        if row is None or None in row[:3]:
            raise Unavailable("the database has lost its identity")
        identity, sequence, mark, mark_seen, forgotten_at, lost_at = row
        return State(
            id=identity,
            sequence=sequence,
            mark=mark,
            mark_seen=mark_seen,
            forgotten_at=forgotten_at,
            lost_at=lost_at,
        )

    def _declare_lost(self, connection: sqlite3.Connection, state: State, now: int) -> State:
        revocations = self._rule.at_loss(now)
        keys = {(revocation.kind.value, revocation.id) for revocation in revocations}
        ledger = Ledger(revocations=_load_revocations(connection, keys))
        ledger.put_in_force(revocations)
        _rows(connection, _REPLACE_REVOCATIONS, [revocation_row(held) for held in ledger.revocations.values()])
        forgotten_at = max(self._rule.forgotten_at(now), state.forgotten_at or 0)
        identity = new_store_id()
        connection.execute("INSERT INTO identity VALUES (?, ?, ?)", (identity, forgotten_at, forgotten_at))
        renumber_records(connection, now)
        lost = replace(state, id=identity, forgotten_at=forgotten_at, lost_at=forgotten_at)
        return _with_mark(connection, lost)

    def _apply_alone(self, connection: sqlite3.Connection, operation: Operation[object], state: State) -> Answer:
        connection.execute("SAVEPOINT alone")
        try:
            ((answer,), _) = self._apply(connection, (operation,), state)
        except Exception as exc:
            if not connection.in_transaction:
                # SQLite undid the whole transaction (disk full, I/O error), and with it the answers before this one.
                raise
            connection.execute("ROLLBACK TO alone")
            answer = _unavailable(exc)
        connection.execute("RELEASE alone")
        return answer

    def _apply(
        self, connection: sqlite3.Connection, operations: Sequence[Operation[object]], state: State
    ) -> tuple[list[Answer], bool]:
        """The answers, and whether anything was written."""
        held = _load(connection, operations)
        ledger = Ledger(dict(held.claims), dict(held.revocations), dict(held.records), state.forgotten_at)
        answers = [
            operation.answer(ledger) if operation.listing is None else _list(connection, operation.listing)
            for operation in operations
        ]
        added = _store(connection, held, ledger)
        moments = [operation.now for operation in operations if operation.now is not None]
        if moments:
            # The earliest: what one of them still remembers is not forgotten on behalf of another.
            self._forget(connection, min(moments), added)
        return answers, added > 0 or len(ledger.records) > len(held.records)

    def _forget(self, connection: sqlite3.Connection, now: int, added: int) -> None:
        if now == self._forgotten_to:
            return
        limit = _MIN_FORGOTTEN + 2 * added
        bound = (forgettable_before(now), limit)
        forgotten = [connection.execute(statement, bound).rowcount for statement in _FORGET]
        if max(forgotten) < limit:
            # There is nothing more before the next second.
            self._forgotten_to = now


def _load(connection: sqlite3.Connection, operations: Sequence[Operation[object]]) -> Ledger:
    claims = {(value,) for operation in operations for value in operation.claims}
    revocations = {(kind.value, name) for operation in operations for kind, name in operation.revocations}
    records = {(record_id,) for operation in operations for record_id in operation.records}
    held = Ledger(revocations=_load_revocations(connection, revocations))
    for value, until, note in _rows(
        connection, "SELECT value, until, note FROM claims WHERE value IN (VALUES", claims, ")"
    ):
        held.claims[value] = _parse_claim(until, note)
    for row in _rows(connection, f"SELECT {_RECORD} FROM records WHERE id IN (VALUES", records, ")"):  # noqa: S608 - our own column names
        held.records[row[0]] = cast("RecordRow", row)
    return held


def _load_revocations(connection: sqlite3.Connection, keys: set[tuple[str, str]]) -> dict[RevocationKey, Revocation]:
    held: dict[RevocationKey, Revocation] = {}
    for kind_name, name, not_before, until in _rows(connection, "WITH wanted (kind, id) AS (VALUES", keys, _OF):
        kind = RevocationKind(kind_name)
        held[kind, name] = Revocation(kind=kind, id=name, not_before=not_before, until=until)
    return held


def _list(connection: sqlite3.Connection, wanted: Listing) -> Answer:
    """Numbered rows, oldest first."""
    after = -1 if wanted.after is None else parse_position(wanted.after)
    order = "DESC" if wanted.newest else "ASC"
    rows = connection.execute(
        f"SELECT position, {_RECORD} FROM records WHERE position > ? ORDER BY position {order} LIMIT ?",  # noqa: S608 - our own words
        (after, wanted.limit),
    ).fetchall()
    if wanted.newest:
        rows.reverse()
    return Answer(value=[(row[0], row[1:]) for row in rows])


def _with_mark(connection: sqlite3.Connection, state: State) -> State:
    """The state after a write: the next sequence number with a mark of its own."""
    sequence, mark = state.sequence + 1, new_mark()
    connection.execute("INSERT INTO marks VALUES (?, ?)", (sequence, mark))
    connection.execute("DELETE FROM marks WHERE sequence <= ?", (sequence - MARKS_KEPT,))
    return replace(state, sequence=sequence, mark=mark)


def _store(connection: sqlite3.Connection, held: Ledger, ledger: Ledger) -> int:
    """Write what `ledger` has and `held` has not; the number of new claims and revocations."""
    claims = [
        (value, claim.until, _render_note(claim))
        for value, claim in ledger.claims.items()
        if held.claims.get(value) != claim
    ]
    revocations = [
        revocation_row(revocation)
        for key, revocation in ledger.revocations.items()
        if held.revocations.get(key) != revocation
    ]
    # INSERT and nothing else: a record that stands is never rewritten.
    records = [row for record_id, row in ledger.records.items() if record_id not in held.records]
    _rows(connection, "INSERT OR REPLACE INTO claims VALUES", claims)
    _rows(connection, _REPLACE_REVOCATIONS, revocations)
    _rows(connection, f"INSERT INTO records ({_RECORD}) VALUES", records)
    return len(claims) + len(revocations)


def _render_note(claim: Claim) -> str | bytes | None:
    """A note that may come again is kept as a BLOB, any other as TEXT: no column of its own, and none to add."""
    return claim.note.encode("utf-8") if claim.repeatable and claim.note is not None else claim.note


def _parse_claim(until: int, note: str | bytes | None) -> Claim:
    return Claim(until, note.decode("utf-8"), repeatable=True) if isinstance(note, bytes) else Claim(until, note)


def _rows(
    connection: sqlite3.Connection, head: str, values: Sequence[tuple[_Value, ...]] | set[Any], tail: str = ""
) -> list[tuple[Any, ...]]:
    """The rows that `head (?, ?), (?, ?) ... tail` gives for all `values`, in as few statements as may be."""
    found: list[tuple[Any, ...]] = []
    for placeholders, parameters in _batches(list(values)):
        found += connection.execute(f"{head} {placeholders}{tail}", parameters).fetchall()
    return found


def _batches(values: Sequence[tuple[_Value, ...]]) -> Iterator[tuple[str, list[_Value]]]:
    width = len(values[0]) if values else 1
    size = _MAX_PARAMETERS // width
    placeholder = f"({','.join('?' * width)})"
    for start in range(0, len(values), size):
        batch = values[start : start + size]
        yield ",".join([placeholder] * len(batch)), [value for row in batch for value in row]


def _file_id(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - Path.stat adds Python frames to a call made for every group
    return status.st_dev, status.st_ino


def _unavailable(exc: Exception) -> Answer:
    # One error per caller: an exception object that many raise would gather all their tracebacks.
    error = Unavailable(f"the database cannot answer ({_cause(exc)})")
    error.__cause__ = exc
    return Answer(error=error)


def _cause(exc: Exception) -> str:
    """What tells a full disk from a lock or a lost file, for the log. Names of errors only, no value."""
    match exc:
        case Unavailable():
            return exc.description
        case sqlite3.Error():
            # Errors of Python's own module have no code.
            return getattr(exc, "sqlite_errorname", type(exc).__name__)
        case OSError(errno=int(number)):
            return errno.errorcode.get(number, type(exc).__name__)
        case _:
            return type(exc).__name__
