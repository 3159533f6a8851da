"""The file cannot be used: refused with a remedy where it never can be, Unavailable and recovery where it can again."""

# ruff: noqa: ASYNC240 - small files on a local disk, and nothing else runs on the loop meanwhile

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.conformance import (
    ISSUER,
    NOW,
    RULE,
    HeardEvents,
    chain_from,
    commit,
    entry,
    grant,
    record,
    revocation,
    revoke,
)
from tokensvc.errors import ConfigurationError, Unavailable
from tokensvc.ports import Committed
from tokensvc.storage.sqlite import SqliteStore
from tokensvc.storage.sqlite_file import _APPLICATION_ID, _MIGRATIONS, SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokensvc.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, RULE, busy_timeout_s=0.05)
    await store.open()
    yield store
    await store.close()


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def opened_and_closed(path: Path) -> None:
    store = SqliteStore(path, RULE, busy_timeout_s=0.05)
    try:
        await store.open()
        await store.ping()
    finally:
        await store.close()


# Refused with a remedy.


async def test_a_newer_schema_is_refused_with_a_remedy(path: Path) -> None:
    await opened_and_closed(path)
    execute(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()

    with pytest.raises(ConfigurationError) as refused:
        await opened_and_closed(path)

    assert refused.value.file == str(path)
    assert "newer" in refused.value.remedy
    assert path.read_bytes() == before
    execute(path, f"PRAGMA user_version = {SCHEMA_VERSION}")
    await opened_and_closed(path)


@pytest.mark.parametrize(
    "statements", [["CREATE TABLE theirs (x)"], ["PRAGMA user_version = 1"], ["PRAGMA application_id = 7"]]
)
async def test_the_database_of_another_program_is_refused_and_left_alone(path: Path, statements: list[str]) -> None:
    execute(path, *statements)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError):
        await opened_and_closed(path)
    assert path.read_bytes() == before
    path.unlink()
    await opened_and_closed(path)


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    # What a process leaves that was killed right after it had created the file.
    path.touch()
    await opened_and_closed(path)


async def test_a_missing_directory_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "tokensvc.db"
    with pytest.raises(ConfigurationError) as refused:
        await opened_and_closed(path)
    assert refused.value.remedy == f"Create it: mkdir -p {path.parent}"
    path.parent.mkdir()
    await opened_and_closed(path)


async def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        await opened_and_closed(tmp_path)
    await opened_and_closed(tmp_path / "tokensvc.db")


async def test_a_directory_that_may_not_be_written_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> int:
        # Tests may run as root, whom no mode of a directory stops.
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(ConfigurationError):
            await opened_and_closed(path)
    await opened_and_closed(path)


# Unavailable, and back again.


@pytest.mark.parametrize(("times", "opens"), [(0, True), (1, True), (3, True), (1000, False)])
async def test_others_that_open_the_new_file_meanwhile_do_not_make_open_fail(
    path: Path, monkeypatch: pytest.MonkeyPatch, times: int, opens: bool
) -> None:
    connect = sqlite3.connect
    left = times
    others: list[sqlite3.Connection] = []

    def another_process(statement: str) -> None:
        """Hold the write lock whenever the store would switch to WAL, and let go when it waits."""
        nonlocal left
        if statement.startswith("PRAGMA journal_mode") and left:
            left -= 1
            others.append(connect(path, isolation_level=None, check_same_thread=False))
            others[-1].execute("BEGIN IMMEDIATE")
        elif statement == "BEGIN IMMEDIATE" and others:
            others.pop().close()

    def connect_in_company(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload] # passed on
        connection.set_trace_callback(another_process)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", connect_in_company)
        store = SqliteStore(path, RULE)
        if opens:
            await store.open()
            await store.ping()
        else:
            with pytest.raises(Unavailable):
                await store.open()
            for other in others:
                other.close()
        await store.close()
    assert left == 0 or not opens


async def test_a_file_that_is_no_database_is_refused_until_it_is_mended(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    store = SqliteStore(path, RULE)
    with pytest.raises(ConfigurationError) as refused:
        await store.open()
    assert refused.value.description.endswith("it is no database, or damaged (SQLITE_NOTADB)")
    assert refused.value.remedy == "Restore it from a backup, or name another file"
    with pytest.raises(Unavailable):
        await store.ping()
    path.unlink()
    await store.open()
    await store.ping()
    await store.close()


async def test_a_file_damaged_while_in_use_is_unavailable_until_it_is_mended(store: SqliteStore, path: Path) -> None:
    await commit(store, "r1", "v1")
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    good = path.read_bytes()
    # Bytes written in place, as by a failing disk. The header stays, every page of every table goes.
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (len(good) - 100))
    # A connection that has seen the pages may still hold them; another store has not.
    second = SqliteStore(path, RULE)
    with pytest.raises(ConfigurationError, match="SQLITE_CORRUPT"):
        await second.open()
    with path.open("r+b") as file:
        file.write(good)
    await second.open()
    assert await commit(second, "r2", "v1") is Committed.REPLAYED
    await second.close()
    assert await commit(store, "r3", "v3") is Committed.STORED


async def test_damaged_tables_are_unavailable_to_every_call(store: SqliteStore, path: Path) -> None:
    await commit(store, "r1", "v1")
    execute(path, "ALTER TABLE records RENAME TO hidden")
    for call in (commit(store, "r2", "v2"), store.append(record("r2")), store.find("r1")):
        with pytest.raises(Unavailable) as refused:
            await call
        assert isinstance(refused.value.__cause__, sqlite3.Error)
    execute(path, "ALTER TABLE hidden RENAME TO records")
    assert await store.find("r1") == record("r1")
    assert await commit(store, "r2", "v2") is Committed.STORED


async def test_a_record_that_somebody_else_wrote_is_unavailable(store: SqliteStore, path: Path) -> None:
    await store.append(record("r1"))
    execute(path, "UPDATE records SET inputs = '[NaN'")
    with pytest.raises(Unavailable):
        await store.find("r1")
    execute(path, "UPDATE records SET inputs = '{}', outcome = 'maybe'")
    with pytest.raises(Unavailable):
        await store.find("r1")
    execute(path, "UPDATE records SET outcome = 'granted'")
    assert await store.find("r1") == record("r1")


async def test_an_entry_that_somebody_else_broke_is_unavailable_and_disturbs_nobody(
    store: SqliteStore, path: Path
) -> None:
    await commit(store, "r1", "v1")
    execute(path, "UPDATE claims SET until = 'never'")
    answers = await asyncio.gather(
        commit(store, "r2", "v2"), commit(store, "r3", "v1"), commit(store, "r4", "v4"), return_exceptions=True
    )
    assert [answers[0], answers[2]] == [Committed.STORED] * 2
    assert isinstance(answers[1], Unavailable)


async def test_a_note_that_somebody_else_broke_is_unavailable(store: SqliteStore, path: Path) -> None:
    await store.claim((grant("v1", "hash"),), now=NOW)
    execute(path, "UPDATE claims SET note = x'ff'")
    with pytest.raises(Unavailable):
        await store.claim((grant("v1", "hash"),), now=NOW)
    execute(path, "UPDATE claims SET note = x'68617368'")
    assert await store.claim((grant("v1", "hash"),), now=NOW) is Committed.STORED


async def test_a_locked_database_is_unavailable_until_it_is_let_go(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for call in (store.ping(), commit(store, "r1", "v1"), revoke(store, "r2", revocation("root"))):
            with pytest.raises(Unavailable, match=r"\(SQLITE_BUSY\)"):
                await call
        # Reading waits for nobody's write.
        assert not await store.is_revoked((entry("root"),))
        other.execute("ROLLBACK")
    await store.ping()
    assert await store.find("r1") is None
    assert await commit(store, "r1", "v1", unless=[entry("root")]) is Committed.STORED


async def test_a_full_disk_is_unavailable_stores_no_half_and_recovers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    max_pages = 30
    connect = sqlite3.connect

    def connect_to_small_disk(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload] # passed on
        connection.execute(f"PRAGMA max_page_count = {max_pages}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_to_small_disk)
    store = SqliteStore(path, RULE)
    await store.open()

    async def issue(n: int) -> Committed:
        kept = record(f"r{n}", inputs={"x": "x" * 3000})
        await store.append(kept)
        return await commit(store, f"c{n}", f"v{n}")

    answers = await asyncio.gather(*(issue(n) for n in range(100)), return_exceptions=True)
    failed = [n for n, answer in enumerate(answers) if isinstance(answer, Unavailable)]
    assert failed
    # What needs no room is answered.
    assert not await store.is_revoked((entry("root"),))
    with pytest.raises(Unavailable) as refused:
        await asyncio.gather(*(store.append(record(f"more-{n}", inputs={"x": "x" * 9000})) for n in range(20)))
    assert isinstance(refused.value.__cause__, sqlite3.Error)
    assert refused.value.description == "the database cannot answer (SQLITE_FULL)"
    with pytest.raises(Unavailable):
        await store.append(record("alone", inputs={"x": "x" * 200_000}))

    max_pages = 10_000

    for n in failed:
        if await store.find(f"r{n}") is None:
            assert await issue(n) is Committed.STORED
        else:
            assert await commit(store, f"c{n}", f"v{n}") is Committed.STORED
    for n in range(100):
        assert await commit(store, f"again-{n}", f"v{n}") is Committed.REPLAYED
        assert await store.find(f"c{n}") is not None
    await store.close()


async def test_a_file_removed_while_in_use_is_unavailable_and_not_made_anew(store: SqliteStore, path: Path) -> None:
    await revoke(store, "r1", revocation("root"))
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    kept = path.with_suffix(".kept")
    shutil.copy(path, kept)
    path.unlink()

    for _ in range(2):
        with pytest.raises(Unavailable):
            await store.is_revoked((entry("root"),))
        with pytest.raises(Unavailable):
            await commit(store, "r2", "v2")
    assert not path.exists()
    path.touch()
    with pytest.raises(Unavailable):
        await commit(store, "r2", "v2")
    newer = path.with_suffix(".newer")
    shutil.copy(kept, newer)
    execute(newer, f"PRAGMA user_version = {SCHEMA_VERSION + 1}", "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(newer, path)
    with pytest.raises(Unavailable):
        await commit(store, "r2", "v2")

    shutil.copy(kept, path)
    assert await store.is_revoked((entry("root"),))
    assert await commit(store, "r2", "v2") is Committed.STORED


async def test_a_file_replaced_while_in_use_is_unavailable_once_and_then_the_one_in_use(
    store: SqliteStore, path: Path
) -> None:
    await revoke(store, "r1", revocation("root"))
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    kept = path.with_suffix(".kept")
    shutil.copy(path, kept)
    kept.replace(path)

    with pytest.raises(Unavailable):
        await commit(store, "r2", "v2")

    assert await store.is_revoked((entry("root"),))
    assert await commit(store, "r2", "v2") is Committed.STORED
    await store.close()
    await store.open()
    assert await commit(store, "r3", "v2") is Committed.REPLAYED


async def test_another_service_s_database_in_place_of_ours_is_unavailable_until_ours_is_back(
    store: SqliteStore, path: Path
) -> None:
    await revoke(store, "r1", revocation("root"))
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    ours = shutil.copy(path, path.with_suffix(".ours"))
    theirs = path.with_suffix(".theirs")
    await opened_and_closed(theirs)
    theirs.replace(path)

    for _ in range(3):
        with pytest.raises(Unavailable):
            await store.is_revoked((entry("root"),))
        with pytest.raises(Unavailable):
            await commit(store, "r2", "v2", unless=[entry("root")])

    shutil.copy(ours, path)
    assert await store.is_revoked((entry("root"),))


async def test_a_database_that_lost_its_identity_is_refused(path: Path) -> None:
    await opened_and_closed(path)
    execute(path, "CREATE TABLE kept AS SELECT * FROM identity", "DELETE FROM identity")
    with pytest.raises(ConfigurationError):
        await opened_and_closed(path)
    execute(path, "INSERT INTO identity SELECT * FROM kept")
    await opened_and_closed(path)


async def test_a_database_that_loses_its_identity_while_in_use_is_unavailable_until_it_has_it_again(
    store: SqliteStore, path: Path
) -> None:
    execute(path, "CREATE TABLE kept AS SELECT * FROM identity", "DELETE FROM identity")
    with pytest.raises(Unavailable, match="lost its identity"):
        await store.ping()
    execute(path, "INSERT INTO identity SELECT * FROM kept")
    await store.ping()


async def test_an_older_database_gets_an_identity_and_keeps_what_it_holds(path: Path) -> None:
    rows = (
        ("INSERT INTO claims VALUES (?, ?)", ("v", NOW + 60)),
        ("INSERT INTO revocations VALUES (?, ?, ?, ?)", ("entry", "root", None, None)),
        ("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", ("r2", NOW, "granted", "agent-1", None, None, "{}")),
        ("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", ("r1", NOW, "granted", "agent-1", None, None, "{}")),
    )
    execute(path, *_MIGRATIONS[0], f"PRAGMA application_id = {_APPLICATION_ID}", "PRAGMA user_version = 1")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement, values in rows:
            connection.execute(statement, values)
    events = HeardEvents()
    store = SqliteStore(path, RULE, events=events)
    await store.open()

    # Nothing was lost: what was issued before lives.
    assert events.heard == []
    assert not await store.is_revoked(chain_from(ISSUER, NOW - 1))
    assert await store.is_revoked((entry("root"),))
    assert await commit(store, "r3", "v") is Committed.REPLAYED
    assert await store.note_of("v") is None
    await store.append(record("r3"))
    assert [each.record.id for each in await store.list_records(after=None, limit=9)] == ["r2", "r1", "r3"]
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        ((identity,),) = connection.execute("SELECT id FROM identity").fetchall()
    assert len(identity) == 32


@pytest.mark.parametrize("empty", [False, True])
async def test_a_database_made_anew_is_told_and_one_that_was_there_is_not(path: Path, *, empty: bool) -> None:
    if empty:
        path.touch()
    events = HeardEvents()
    for _ in range(2):
        store = SqliteStore(path, RULE, events=events)
        await store.open()
        await store.close()
    assert events.heard == [("made", str(path))]
