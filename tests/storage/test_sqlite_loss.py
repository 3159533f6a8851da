"""An older copy of the database is put back while the service runs: noticed, and nothing of the past is trusted."""

# ruff: noqa: ASYNC240 - small files on a local disk, and nothing else runs on the loop meanwhile

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.storage.conformance import (
    IDP,
    ISSUER,
    NOW,
    RULE,
    HeardEvents,
    chain_from,
    claim,
    commit,
    entry,
    record,
    revocation,
    revoke,
)
from tests.storage.losses import DEAD_TO, LOST, STEPS, require_lost, require_whole, take_step
from tokensvc.core.revocation import RevocationKind
from tokensvc.errors import Unavailable
from tokensvc.storage.sqlite import SqliteStore


class World:
    """A database file, its copies, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOW
        self.events = HeardEvents()
        self.rule = replace(RULE, clock=lambda: self.now)

    async def opened(self) -> SqliteStore:
        store = SqliteStore(self.path, self.rule, events=self.events)
        await store.open()
        return store

    def copy(self, name: str) -> Path:
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(f"{self.path}-{name}")) as target:
            source.backup(target)
        return Path(f"{self.path}-{name}")

    async def put_back(self, copy: Path, *stores: SqliteStore) -> None:
        """As an operator does: the file and its log go, the copy takes their place. Each store notices that first."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        shutil.copy(copy, self.path)
        self.now = LOST
        for store in stores:
            with pytest.raises(Unavailable, match="replaced"):
                await store.ping()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "tokensvc.db")


@pytest.mark.parametrize("step", STEPS)
async def test_whatever_comes_first_notices_an_older_copy(world: World, step: str) -> None:
    store = await world.opened()
    await commit(store, "r1", "v1")
    older = world.copy("older")
    await revoke(store, "r2", revocation("root"))
    await world.put_back(older, store)
    assert world.events.heard == [("made", str(world.path))]

    await take_step(store, step)

    assert world.events.heard[1:] == [("lost", str(world.path))]
    await require_lost(store)
    # What the copy knows stays known.
    assert await store.find("r1") is not None
    assert world.events.heard[2:] == []
    await store.close()


@pytest.mark.parametrize("last", ["commit", "claim", "revoke", "append"])
async def test_a_copy_of_this_very_state_has_forgotten_nothing(world: World, last: str) -> None:
    store = await world.opened()
    await commit(store, "r1", "v1")
    older = world.copy("older")
    match last:
        case "commit":
            await commit(store, "r2", "v2")
        case "claim":
            await store.claim((claim("v2"),), now=NOW)
        case "revoke":
            await revoke(store, "r2", revocation("root"))
        case _:
            await store.append(record("r2"))
    same = world.copy("same")
    await world.put_back(same, store)
    await require_whole(store)
    assert world.events.heard == [("made", str(world.path))]

    await world.put_back(older, store)
    await require_lost(store)
    await store.close()


async def test_an_older_copy_that_another_process_wrote_to_is_noticed(world: World) -> None:
    store, idle = await world.opened(), await world.opened()
    await commit(store, "r1", "v1")
    await idle.ping()
    older = world.copy("older")
    await revoke(store, "r2", revocation("root"))
    await world.put_back(older, store, idle)

    # The idle process has seen nothing that is missing, and by now there is more in the file than there ever was.
    for n in range(5):
        await commit(idle, f"i{n}", f"i{n}")
    await require_whole(idle)

    await require_lost(store)
    await store.close()
    await idle.close()


async def test_of_several_processes_one_declares_the_loss_and_the_others_follow(world: World) -> None:
    stores = [await world.opened() for _ in range(3)]
    older = world.copy("older")
    await revoke(stores[0], "r1", revocation("root"))
    for store in stores:
        await store.ping()
    await world.put_back(older, *stores)

    await require_lost(stores[0])
    world.now = LOST + 500
    for store in stores:
        assert not await store.is_revoked(chain_from(ISSUER, DEAD_TO + 1))
        assert await store.is_revoked(chain_from(ISSUER, DEAD_TO))
    assert world.events.heard.count(("lost", str(world.path))) == 1
    for store in stores:
        await store.close()


async def test_a_second_loss_is_noticed_as_the_first(world: World) -> None:
    store = await world.opened()
    older = world.copy("older")
    await revoke(store, "r1", revocation("root"))
    await world.put_back(older, store)
    await store.ping()
    newer = world.copy("newer")
    await revoke(store, "r2", revocation("key", RevocationKind.KEY))
    for copy in (newer, older):
        await world.put_back(copy, store)
        await require_lost(store)
    assert world.events.heard.count(("lost", str(world.path))) == 3
    await store.close()


async def test_stronger_revocations_of_an_issuer_stay(world: World) -> None:
    store = await world.opened()
    await revoke(store, "r1", revocation(IDP, RevocationKind.ISSUER), revocation("x"))
    older = world.copy("older")
    await store.append(record("r2"))
    await world.put_back(older, store)
    assert await store.is_revoked(chain_from(IDP, 2 * NOW))
    assert not await store.is_revoked(chain_from(ISSUER, 2 * NOW))
    assert await store.is_revoked((entry("x"),))
    await store.close()


async def test_a_reader_of_records_goes_on_after_a_loss(world: World) -> None:
    store = await world.opened()
    await store.append(record("r1"))
    older = world.copy("older")
    await store.append(record("r2"))
    *_, last = await store.list_records(after=None, limit=9)
    await world.put_back(older, store)
    await store.append(record("r3"))
    assert [each.record.id for each in await store.list_records(after=last.position, limit=9)] == ["r3"]
    await store.close()


async def test_a_process_far_behind_goes_by_the_number_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokensvc.storage.loss.MARKS_KEPT", 20)
    monkeypatch.setattr("tokensvc.storage.sqlite_database.MARKS_KEPT", 20)
    store, idle = await world.opened(), await world.opened()
    await idle.ping()
    older = world.copy("older")
    for n in range(30):
        await commit(store, f"r{n}", f"v{n}")
    await require_whole(idle)
    with closing(sqlite3.connect(world.path)) as connection:
        assert connection.execute("SELECT count(*) FROM marks").fetchone() == (20,)

    await world.put_back(older, store, idle)
    await require_lost(idle)
    await store.close()
    await idle.close()
