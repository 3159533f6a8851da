import asyncio
import itertools
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.storage.conformance import (
    DAY,
    NOW,
    RULE,
    ClaimsConformance,
    LifetimeConformance,
    ListingConformance,
    MakingConformance,
    RecordsConformance,
    RepeatsConformance,
    RevocationsConformance,
    StoreFactory,
    commit,
    entry,
    record,
    revocation,
    revoke,
)
from tests.storage.model import Script, play, scripts
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, OneTimeValue
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a # strange? %41 näme.db"


@pytest.fixture
def store_factory(tmp_path: Path) -> StoreFactory:
    numbers = itertools.count()
    return lambda: SqliteStore(tmp_path / f"store-{next(numbers)}.db", RULE)


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, RULE, busy_timeout_s=0.05)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def other(path: Path, store: SqliteStore) -> Iterator[sqlite3.Connection]:  # noqa: ARG001 - `store` made the file
    """What another process could do with the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class TestClaims(ClaimsConformance): ...


class TestRepeats(RepeatsConformance): ...


class TestRevocations(RevocationsConformance): ...


class TestRecords(RecordsConformance): ...


class TestMaking(MakingConformance): ...


class TestListing(ListingConformance): ...


class TestLifetime(LifetimeConformance): ...


def count(connection: sqlite3.Connection, table: str) -> int:
    (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our own table names
    return int(number)


def commits_in_wal(path: Path) -> int:
    """Transactions in the write-ahead log: a frame that ends one holds the size of the database (sqlite.org, 4.1)."""
    wal = Path(f"{path}-wal").read_bytes()
    page_size = int.from_bytes(wal[8:12], "big")
    starts = range(32, len(wal), 24 + page_size)
    return sum(1 for start in starts if any(wal[start + 4 : start + 8]))


async def test_waiting_commits_share_transactions(store: SqliteStore, path: Path) -> None:
    await commit(store, "first", "first")
    before = commits_in_wal(path)
    for n in range(50):
        await commit(store, f"one-{n}", f"one-{n}")
    alone = commits_in_wal(path) - before
    await asyncio.gather(*(commit(store, f"many-{n}", f"many-{n}") for n in range(50)))
    together = commits_in_wal(path) - before - alone

    assert alone == 50
    assert 1 <= together <= 10


async def test_a_commit_that_fails_in_the_database_does_not_undo_the_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def connect_with_short_rows(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload] # passed on
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_with_short_rows)
    store = SqliteStore(path, RULE)
    await store.open()

    answers = await asyncio.gather(
        *(commit(store, f"r{n}", f"v{n}") for n in range(10)),
        store.append(record("long", inputs={"x": "x" * 20_000})),
        *(commit(store, f"r{n}", f"v{n}") for n in range(10, 20)),
        return_exceptions=True,
    )

    assert isinstance(answers[10], Unavailable)
    assert answers[:10] + answers[11:] == [Committed.STORED] * 20
    assert await store.find("long") is None
    await store.append(record("long", inputs={"x": "x" * 2000}))
    assert await store.find("long") is not None
    assert await store.find("r19") is not None
    await store.close()


async def test_a_cancelled_caller_disturbs_nobody(store: SqliteStore) -> None:
    calls = [asyncio.ensure_future(commit(store, f"r{n}", f"v{n}")) for n in range(100)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert answers[1::2] == [Committed.STORED] * 50
    await store.ping()
    assert await commit(store, "r100", "v100") is Committed.STORED


async def test_a_cancelled_open_leaves_a_store_that_opens(path: Path) -> None:
    store = SqliteStore(path, RULE)
    opening = asyncio.ensure_future(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    with pytest.raises(Unavailable):
        await store.ping()
    await store.open()
    await store.ping()
    await store.close()


def test_an_event_loop_that_ended_before_its_answer_disturbs_nobody(path: Path) -> None:
    store = SqliteStore(path, RULE, busy_timeout_s=5)

    async def leave_without_an_answer() -> None:
        await store.open()
        with closing(sqlite3.connect(path, isolation_level=None)) as blocking:
            blocking.execute("BEGIN IMMEDIATE")
            left = asyncio.ensure_future(commit(store, "r1", "v1"))
            await asyncio.sleep(0)
            left.cancel()

    async def come_later() -> Committed:
        answer = await commit(store, "r2", "v2")
        await store.close()
        return answer

    asyncio.run(leave_without_an_answer())
    assert asyncio.run(come_later()) is Committed.STORED


async def test_a_full_queue_is_refused_at_once_and_drains(path: Path) -> None:
    store = SqliteStore(path, RULE, capacity=10, busy_timeout_s=5)
    await store.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as blocking:
        blocking.execute("BEGIN IMMEDIATE")
        calls = [asyncio.ensure_future(commit(store, f"r{n}", f"v{n}")) for n in range(30)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        refused = [call for call in calls if call.done()]
        assert 10 <= len(refused) <= 20
        blocking.execute("ROLLBACK")

    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(isinstance(answer, Unavailable) for answer in answers) == len(refused)
    assert answers.count(Committed.STORED) == 30 - len(refused)
    assert await commit(store, "r30", "v30") is Committed.STORED
    await store.close()


async def test_expired_entries_are_forgotten_a_bounded_number_at_a_time(
    store: SqliteStore, other: sqlite3.Connection
) -> None:
    many = tuple(OneTimeValue(value=f"v{n}", until=NOW, made=NOW) for n in range(1000))
    await store.commit(claims=many, unless_revoked=(), record=record("r1"), now=NOW)
    await revoke(store, "r2", *(revocation(f"e{n}", until=NOW) for n in range(1000)), revocation("for-ever"))

    # And one revocation of the making.
    await commit(store, "r3", now=NOW)
    assert (count(other, "claims"), count(other, "revocations")) == (1000, 1002)
    await commit(store, "r4", now=NOW + DAY)
    assert (count(other, "claims"), count(other, "revocations")) == (1000, 1002)
    await commit(store, "r5", now=NOW + DAY + 1)
    assert (count(other, "claims"), count(other, "revocations")) == (900, 902)
    for n in range(20):
        await commit(store, f"c{n}", now=NOW + DAY + 1)
    assert (count(other, "claims"), count(other, "revocations")) == (0, 2)
    assert count(other, "records") == 25


async def test_forgetting_keeps_up_with_any_pace(store: SqliteStore, other: sqlite3.Connection) -> None:
    for n in range(20):
        await commit(store, f"r{n}", *(f"v{n}-{m}" for m in range(500)), now=NOW + (DAY + 100) * n)
    assert count(other, "claims") <= 1000


@settings(max_examples=40)
@given(script=scripts)
def test_it_answers_as_the_memory_store_does(tmp_path_factory: pytest.TempPathFactory, script: Script) -> None:
    file = tmp_path_factory.mktemp("model") / "store.db"
    assert asyncio.run(play(SqliteStore(file, RULE), script)) == asyncio.run(play(MemoryStore(RULE), script))


async def test_no_question_reads_a_whole_table(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    connect = sqlite3.connect

    def connect_and_listen(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload] # passed on
        connection.set_trace_callback(asked.add)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", connect_and_listen)
        store = SqliteStore(path, RULE)
        await store.open()
    asked.clear()
    for number in (1, 3, 600):
        names = [f"n{number}-{n}" for n in range(number)]
        await commit(store, f"c{number}", *names, unless=[entry(name) for name in names], now=NOW + number)
        await revoke(store, f"r{number}", *(revocation(name) for name in names))
    assert await store.find("c1") is not None
    await store.close()

    with closing(connect(path)) as connection:
        plans = [
            step
            for statement in asked
            if statement.startswith(("SELECT", "WITH", "INSERT", "DELETE"))
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
    assert any("SEARCH revocations" in step for step in plans)
    assert [
        step for step in plans if step.startswith("SCAN ") and step.endswith(("claims", "revocations", "records"))
    ] == []


async def test_its_files_are_readable_by_their_owner_alone(store: SqliteStore, path: Path) -> None:
    await commit(store, "r1", "v")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys((path.name, f"{path.name}-wal", f"{path.name}-shm"), 0o600)
    assert os.access(path, os.R_OK | os.W_OK)
