"""The database file: creating it, its schema and versions, connecting to it.

`create_or_open` is for the start. `reopen` is for recovery while serving and never creates anything: an empty database
in place of a lost one, or another service's, would not know of our claims and revocations. So each has a random id, and
keeps those it had before (`storage.loss` says when it gets a new one).
"""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokensvc.core.revocation import Revocation
from tokensvc.errors import ConfigurationError, Unavailable
from tokensvc.storage.loss import LossRule, first_position

__all__ = ["SCHEMA_VERSION", "Opened", "create_or_open", "renumber_records", "reopen", "revocation_row"]

# "tksv": tells our files from those of other programs, which number their schemas from 1 as well.
_APPLICATION_ID: Final = 0x746B7376

_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE claims (value TEXT NOT NULL PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE INDEX claims_until ON claims (until)",
        """CREATE TABLE revocations (kind TEXT NOT NULL, id TEXT NOT NULL, not_before INTEGER, until INTEGER,
            PRIMARY KEY (kind, id)) WITHOUT ROWID""",
        "CREATE INDEX revocations_until ON revocations (until) WHERE until IS NOT NULL",
        """CREATE TABLE records (id TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL, outcome TEXT NOT NULL,
            client_id TEXT NOT NULL, reason TEXT, lineage TEXT, inputs TEXT NOT NULL)""",
        "CREATE INDEX records_at ON records (at)",
        "CREATE INDEX records_lineage ON records (lineage) WHERE lineage IS NOT NULL",
    ),
    (
        "CREATE TABLE identity (id TEXT NOT NULL)",
        "INSERT INTO identity VALUES (lower(hex(randomblob(16))))",
    ),
    (
        # The latest row is the one that counts.
        "ALTER TABLE identity ADD COLUMN forgotten_at INTEGER",
        "ALTER TABLE identity ADD COLUMN lost_at INTEGER",
        "CREATE TABLE marks (sequence INTEGER PRIMARY KEY, mark TEXT NOT NULL)",
        "INSERT INTO marks VALUES (1, lower(hex(randomblob(8))))",
        "ALTER TABLE claims ADD COLUMN note TEXT",
        # Numbered: what lists records goes on where it was. AUTOINCREMENT: a number is never given twice.
        "ALTER TABLE records RENAME TO records_unnumbered",
        """CREATE TABLE records (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL, outcome TEXT NOT NULL, client_id TEXT NOT NULL, reason TEXT, lineage TEXT,
            inputs TEXT NOT NULL)""",
        """INSERT INTO records (id, at, outcome, client_id, reason, lineage, inputs)
            SELECT id, at, outcome, client_id, reason, lineage, inputs FROM records_unnumbered ORDER BY rowid""",
        "DROP TABLE records_unnumbered",
        "CREATE INDEX records_at ON records (at)",
        "CREATE INDEX records_lineage ON records (lineage) WHERE lineage IS NOT NULL",
    ),
)
"""Step n makes schema version n + 1 from version n. Steps are never changed, only added."""

SCHEMA_VERSION: Final = len(_MIGRATIONS)

# The low byte of an error code is the error, the rest is where it was met (sqlite.org/rescode.html).
_PRIMARY: Final = 0xFF
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_RESTORE: Final = "Restore it from a backup, or name another file"

# Each process that opens a new file at the same moment can be in the way of the switch to WAL about once.
_WAL_RETRIES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A connection, every id that the database behind it has had, and whether it was made just now."""

    connection: sqlite3.Connection
    identities: frozenset[str]
    is_new: bool


def create_or_open(path: Path, rule: LossRule, *, busy_timeout_s: float, may_make: bool = True) -> Opened:
    """The database at `path`, made (mode 0600) or migrated when that is due. `rule` says with what a new one begins.

    Without `may_make` it has to be there already, and of this version.

    Raises: ConfigurationError for a path or file that can never be used, sqlite3.Error and OSError for one that cannot
    be used now.
    """
    if may_make:
        _require_file(path)
    elif not path.exists():
        raise _refused(path, "there is none", "Correct store.url, or start the service once: tokensvc serve")
    try:
        connection = _connect(path, busy_timeout_s)
        try:
            if not may_make:
                _require_made(connection, path)
            is_new = _migrate(connection, path, rule)
            _use_wal(connection)
            identities = _identities(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", 0) & _PRIMARY not in _BROKEN:
            raise
        problem = f"it is no database, or damaged ({exc.sqlite_errorname})"
        raise _refused(path, problem, _RESTORE) from exc
    if not identities:
        connection.close()
        raise _refused(path, "it has lost its identity", _RESTORE)
    return Opened(connection=connection, identities=identities, is_new=is_new)


def reopen(path: Path, identities: frozenset[str], *, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection to the database at `path`, when it is the one with any of those ids or an older copy of it.

    Raises: Unavailable, sqlite3.Error.
    """
    connection = _connect(path, busy_timeout_s)
    try:
        _require_same(connection, identities)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_file(path: Path) -> None:
    """Create the file if there is none, readable by its owner alone; SQLite gives its -wal and -shm the same mode."""
    try:
        is_directory = path.is_dir()
        # Exclusive: to open and close a file that another connection of this process uses would drop its locks.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if is_directory:
            raise _refused(path, "it is a directory", "Name a file in it") from None
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise _refused(path, "its directory does not exist", f"Create it: mkdir -p {path.parent}") from exc
    except PermissionError as exc:
        raise _refused(path, "this user may not create it", f"Let this user write to {path.parent}") from exc


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    # mode=rw: SQLite itself never creates a file. isolation_level None: no transaction that we did not begin.
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=busy_timeout_s, isolation_level=None)
    try:
        # An acknowledged commit survives loss of power, not only of the process.
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _schema(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose files these are, and of which version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _require_made(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what would have to be filled or migrated first. Raises: ConfigurationError."""
    application, version = _schema(connection)
    if (application == _APPLICATION_ID and version < SCHEMA_VERSION) or (application, version) == (0, 0):
        # A service of an older version that runs now would not understand it any more.
        problem = "it is empty, or of an older tokensvc"
        raise _refused(path, problem, "Start the service of this version first: tokensvc serve")


def _identities(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(str(identity) for (identity,) in connection.execute("SELECT id FROM identity"))


def _require_same(connection: sqlite3.Connection, identities: frozenset[str]) -> None:
    is_ours = _schema(connection) == (_APPLICATION_ID, SCHEMA_VERSION)
    if not is_ours or identities.isdisjoint(_identities(connection)):
        raise Unavailable("the database file was replaced by another")


def _migrate(connection: sqlite3.Connection, path: Path, rule: LossRule) -> bool:
    """True where there was nothing before."""
    # The write lock first: of two processes that find a new file, one makes the schema and the other finds it made.
    connection.execute("BEGIN IMMEDIATE")
    application, version = _schema(connection)
    if application != _APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application, version, tables) != (0, 0, 0):
            raise _refused(path, "it is the database of another program", "Name another file")
    if version > SCHEMA_VERSION:
        raise _refused(
            path,
            f"it has schema version {version}, and this tokensvc knows {SCHEMA_VERSION}",
            "Run the tokensvc that wrote it or a newer one, or name another file",
        )
    for step in _MIGRATIONS[version:]:
        for statement in step:
            connection.execute(statement)
    if version < SCHEMA_VERSION:
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    if version == 0:
        # In the same transaction: a new database that does not declare the past dead never exists.
        _begin_anew(connection, rule)
    connection.execute("COMMIT")
    return version == 0


def _begin_anew(connection: sqlite3.Connection, rule: LossRule) -> None:
    now = rule.clock()
    rows = [revocation_row(revocation) for revocation in rule.at_making(now)]
    connection.executemany("INSERT INTO revocations VALUES (?, ?, ?, ?)", rows)
    connection.execute("UPDATE identity SET forgotten_at = ?", (rule.made_at(now),))
    renumber_records(connection, now)


def revocation_row(revocation: Revocation) -> tuple[str, str, int | None, int | None]:
    """A revocation as the table keeps it."""
    return revocation.kind.value, revocation.id, revocation.not_before, revocation.until


def renumber_records(connection: sqlite3.Connection, now: int) -> None:
    """Number the records to come from above any number that this database, or the one it stands for, gave before."""
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'records'")
    connection.execute(
        "INSERT INTO sqlite_sequence VALUES ('records', max(?, (SELECT coalesce(max(position), 0) FROM records)))",
        (first_position(now),),
    )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; the file remembers it, so that this has work to do once in its life."""
    for _ in range(_WAL_RETRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            # The switch turns a read lock into a write lock, for which SQLite does not wait: another process that opens
            # the new file at this moment would make it fail at once. A transaction of our own does wait for the other.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _refused(path: Path, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"the database file cannot be used: {problem}", file=str(path), key="", remedy=remedy)
