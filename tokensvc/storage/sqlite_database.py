"""Groups of operations on one SQLite connection. Everything in here runs on the worker's thread.

A group is one transaction, so all its operations share one fsync:

1. BEGIN (IMMEDIATE when the group writes): from here to the end no other process writes.
2. Load the entries that any operation of the group touches.
3. Decide each operation in turn on them (`ledger.Ledger`): later ones see what earlier ones changed.
4. Write what changed; forget a bounded number of expired entries.
5. COMMIT. Only now are there answers.

Steps 2 and 4 take a handful of statements whatever the size of the group. That matters: each statement gives the GIL
away and, while the event loop computes, may wait 5 ms to get it back; a prototype with a few statements per operation
was at least twice as slow beside a busy loop. When a group fails, its operations are tried again one by one, each in a
savepoint, so that the one at fault does not undo the others.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import ConfigurationError, Unavailable
from tokensvc.storage.ledger import Answer, Ledger, Operation, RecordRow
from tokensvc.storage.sqlite_file import create_or_open, reopen

__all__ = ["Database"]

_Value = str | int | None

# SQLite before 3.32 takes 999 parameters a statement.
_MAX_PARAMETERS: Final = 990
# Expired entries forgotten in one group: enough to keep up with those it adds, little enough to cost no latency.
_MIN_FORGOTTEN: Final = 100

_FORGET: Final = (
    "DELETE FROM claims WHERE value IN (SELECT value FROM claims WHERE until < ? ORDER BY until LIMIT ?)",
    # NULL is never less than anything: what has no `until` stays.
    """DELETE FROM revocations WHERE (kind, id) IN
        (SELECT kind, id FROM revocations WHERE until < ? ORDER BY until LIMIT ?)""",
)

# CROSS JOIN fixes the order: for "(kind, id) IN (VALUES ...)" SQLite reads the whole table of revocations.
_OF: Final = ") SELECT kind, id, not_before, until FROM wanted CROSS JOIN revocations USING (kind, id)"


class Database:
    """The database file and the connection to it, which is made anew after any failure."""

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._identity = ""
        self._is_new = False
        self._forgotten_to: int | None = None

    @property
    def is_new(self) -> bool:
        """True where `connect` found nothing and made an empty database."""
        return self._is_new

    def connect(self) -> None:
        """Create or open the file. Raises: ConfigurationError, Unavailable."""
        try:
            opened = create_or_open(self._path, busy_timeout_s=self._busy_timeout_s)
            self._identity, self._is_new = opened.identity, opened.is_new
            self._use(opened.connection)
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
            self._use(reopen(self._path, self._identity, busy_timeout_s=self._busy_timeout_s))
        elif _file_id(self._path) != self._file:
            # Someone moved or removed the file: what we wrote to it would be gone after a restart.
            raise Unavailable("the database file was replaced by another")
        return cast("sqlite3.Connection", self._connection)

    def _use(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._file = _file_id(self._path)

    def _transact(self, connection: sqlite3.Connection, operations: Sequence[Operation[object]]) -> list[Answer]:
        begin = "BEGIN IMMEDIATE" if any(operation.writes for operation in operations) else "BEGIN"
        connection.execute(begin)
        try:
            answers = self._apply(connection, operations)
        except Exception:  # noqa: BLE001 - told apart below, operation by operation
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute(begin)
            answers = [self._apply_alone(connection, operation) for operation in operations]
            connection.execute("COMMIT")
            # What went wrong may be in the connection: the next group gets a new one.
            self.disconnect()
        else:
            connection.execute("COMMIT")
        return answers

    def _apply_alone(self, connection: sqlite3.Connection, operation: Operation[object]) -> Answer:
        connection.execute("SAVEPOINT alone")
        try:
            (answer,) = self._apply(connection, (operation,))
        except Exception as exc:
            if not connection.in_transaction:
                # SQLite undid the whole transaction (disk full, I/O error), and with it the answers before this one.
                raise
            connection.execute("ROLLBACK TO alone")
            answer = _unavailable(exc)
        connection.execute("RELEASE alone")
        return answer

    def _apply(self, connection: sqlite3.Connection, operations: Sequence[Operation[object]]) -> list[Answer]:
        held = _load(connection, operations)
        ledger = Ledger(dict(held.claims), dict(held.revocations), dict(held.records))
        answers = [operation.answer(ledger) for operation in operations]
        added = _store(connection, held, ledger)
        moments = [operation.now for operation in operations if operation.now is not None]
        if moments:
            # The earliest: what one of them still remembers is not forgotten on behalf of another.
            self._forget(connection, min(moments), added)
        return answers

    def _forget(self, connection: sqlite3.Connection, now: int, added: int) -> None:
        if now == self._forgotten_to:
            return
        limit = _MIN_FORGOTTEN + 2 * added
        forgotten = [connection.execute(statement, (now, limit)).rowcount for statement in _FORGET]
        if max(forgotten) < limit:
            # Nothing more expires before the next second.
            self._forgotten_to = now


def _load(connection: sqlite3.Connection, operations: Sequence[Operation[object]]) -> Ledger:
    claims = {(value,) for operation in operations for value in operation.claims}
    revocations = {(kind.value, name) for operation in operations for kind, name in operation.revocations}
    records = {(record_id,) for operation in operations for record_id in operation.records}
    held = Ledger()
    for value, until in _rows(connection, "SELECT value, until FROM claims WHERE value IN (VALUES", claims, ")"):
        held.claims[value] = until
    for kind_name, name, not_before, until in _rows(connection, "WITH wanted (kind, id) AS (VALUES", revocations, _OF):
        kind = RevocationKind(kind_name)
        held.revocations[kind, name] = Revocation(kind=kind, id=name, not_before=not_before, until=until)
    columns = "SELECT id, at, outcome, client_id, reason, lineage, inputs FROM records WHERE id IN (VALUES"
    for row in _rows(connection, columns, records, ")"):
        held.records[row[0]] = cast("RecordRow", row)
    return held


def _store(connection: sqlite3.Connection, held: Ledger, ledger: Ledger) -> int:
    """Write what `ledger` has and `held` has not; the number of new claims and revocations."""
    claims = [(value, until) for value, until in ledger.claims.items() if held.claims.get(value) != until]
    revocations = [
        (kind.value, name, revocation.not_before, revocation.until)
        for (kind, name), revocation in ledger.revocations.items()
        if held.revocations.get((kind, name)) != revocation
    ]
    # INSERT and nothing else: a record that stands is never rewritten.
    records = [row for record_id, row in ledger.records.items() if record_id not in held.records]
    _rows(connection, "INSERT OR REPLACE INTO claims VALUES", claims)
    _rows(connection, "INSERT OR REPLACE INTO revocations VALUES", revocations)
    _rows(connection, "INSERT INTO records VALUES", records)
    return len(claims) + len(revocations)


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
