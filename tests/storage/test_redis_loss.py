"""Redis comes back empty or with older data while the service runs: noticed, and nothing of the past is trusted."""

import shutil
from collections.abc import AsyncIterator, Iterator
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
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.core.revocation import RevocationKind
from tokensvc.ports import Committed
from tokensvc.storage.redis import RedisStore

LOG = "appendonlydir"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, *DURABLE) as server:
        yield server


class World:
    """A server, its copies, and a clock."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.now = NOW
        self.events = HeardEvents()
        self.rule = replace(RULE, clock=lambda: self.now)
        self._stores: list[RedisStore] = []

    @property
    def losses(self) -> int:
        return self.events.heard.count(("lost", str(self.server.address)))

    async def opened(self) -> RedisStore:
        store = RedisStore(self.server.address, self.rule, events=self.events)
        await store.open()
        self._stores.append(store)
        return store

    async def closed(self) -> None:
        for store in self._stores:
            await store.close()

    def copy(self, name: str) -> Path:
        """A copy of the data as they are now."""
        return Path(shutil.copytree(self.server.folder / LOG, self.server.folder / name))

    def put_back(self, copy: Path | None) -> None:
        """Redis crashes and starts again with the data of `copy`; with nothing when there is none."""
        self.server.kill()
        shutil.rmtree(self.server.folder / LOG)
        if copy is not None:
            shutil.copytree(copy, self.server.folder / LOG)
        self.server.start()
        self.now = LOST


@pytest.fixture
async def world(server: RedisServer) -> AsyncIterator[World]:
    world = World(server)
    yield world
    await world.closed()


@pytest.mark.parametrize("step", STEPS)
async def test_whatever_comes_first_notices_that_everything_is_gone(world: World, step: str) -> None:
    store = await world.opened()
    await commit(store, "r2", "v2")
    await revoke(store, "r3", revocation("root"))
    world.server.command("FLUSHALL")
    world.now = LOST
    assert world.losses == 0

    await take_step(store, step)

    assert world.losses == 1
    await require_lost(store)
    assert world.losses == 1


async def test_whatever_comes_first_notices_an_older_copy(world: World) -> None:
    store = await world.opened()
    await commit(store, "r1", "v1")
    older = world.copy("older")
    await revoke(store, "r2", revocation("root"))
    world.put_back(older)

    await take_step(store, "find")

    await require_lost(store)
    # What the copy knows stays known.
    assert await store.find("r1") is not None
    assert await store.claim((claim("v1", made=2 * NOW),), now=NOW) is Committed.REPLAYED
    assert world.losses == 1


@pytest.mark.parametrize("last", ["commit", "claim", "revoke", "append"])
async def test_each_kind_of_write_is_missed(world: World, last: str) -> None:
    store = await world.opened()
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
    world.put_back(same)
    await require_whole(store)
    assert world.losses == 0

    world.put_back(older)
    await require_lost(store)


async def test_an_older_snapshot_is_noticed(world: World) -> None:
    store = await world.opened()
    await commit(store, "r1", "v1")
    world.server.command("SAVE")
    await revoke(store, "r2", revocation("root"))
    # Without its log Redis reads the snapshot.
    world.server.options = ("--appendonly", "no", "--save", "")
    world.put_back(None)

    await require_lost(store)
    assert await store.find("r1") is not None
    assert await store.find("r2") is None


async def test_a_clean_restart_is_no_loss(world: World) -> None:
    store = await world.opened()
    await revoke(store, "r1", revocation("root"))
    for end in (world.server.stop, world.server.kill):
        end()
        world.server.start()
        await require_whole(store)
        assert await store.is_revoked((entry("root"),))
    assert world.losses == 0


async def test_older_data_that_another_process_wrote_to_are_noticed(world: World) -> None:
    # As after a failover to a replica that was behind: the first to write there may have seen nothing that is missing.
    store, idle = await world.opened(), await world.opened()
    await idle.ping()
    older = world.copy("older")
    await revoke(store, "r1", revocation("root"))
    world.put_back(older)
    for n in range(5):
        await commit(idle, f"i{n}", f"i{n}")
    await require_whole(idle)

    await require_lost(store)


async def test_a_new_process_that_finds_nothing_does_not_hide_the_loss(world: World) -> None:
    store = await world.opened()
    await revoke(store, "r1", revocation("root"))
    world.server.command("FLUSHALL")
    world.now = LOST
    await (await world.opened()).ping()
    # To the new process it is a first start.
    assert [what for what, _ in world.events.heard] == ["made", "made"]
    await require_lost(store)
    assert world.losses == 1


async def test_of_several_processes_one_declares_the_loss_and_the_others_follow(world: World) -> None:
    stores = [await world.opened() for _ in range(3)]
    await revoke(stores[0], "r1", revocation("root"))
    for store in stores:
        await store.ping()
    world.server.command("FLUSHALL")
    world.now = LOST
    await require_lost(stores[0])
    world.now = LOST + 500

    for store in stores:
        assert not await store.is_revoked(chain_from(ISSUER, DEAD_TO + 1))
        assert await store.is_revoked(chain_from(ISSUER, DEAD_TO))
    assert world.losses == 1


async def test_a_second_loss_is_noticed_as_the_first(world: World) -> None:
    store = await world.opened()
    older = world.copy("older")
    await revoke(store, "r1", revocation("root"))
    world.put_back(older)
    await store.ping()
    newer = world.copy("newer")
    # A key has no time: nothing else stands in for its revocation, so that at least somebody must hear of it.
    await revoke(store, "r2", revocation("key", RevocationKind.KEY))
    for copy in (newer, older, None):
        world.put_back(copy)
        await require_lost(store)
    assert world.losses == 4


async def test_a_store_closed_and_opened_again_has_not_forgotten_what_it_saw(world: World) -> None:
    store = await world.opened()
    await store.close()
    world.server.command("FLUSHALL")
    world.now = LOST
    await store.open()
    await require_lost(store)
    assert world.losses == 1


async def test_a_state_that_was_deleted_alone_is_a_loss(world: World) -> None:
    store = await world.opened()
    await commit(store, "r1", "v1")
    world.server.command("DEL", "{tokensvc}:state")
    world.now = LOST
    await require_lost(store)
    assert await store.find("r1") is not None
    assert [each.record.id for each in await store.list_records(after=None, limit=9)] == ["r1"]


async def test_stronger_revocations_of_an_issuer_stay(world: World) -> None:
    store = await world.opened()
    await revoke(store, "r1", revocation(IDP, RevocationKind.ISSUER), revocation("x"))
    older = world.copy("older")
    await store.append(record("r2"))
    world.put_back(older)
    assert await store.is_revoked(chain_from(IDP, 2 * NOW))
    assert not await store.is_revoked(chain_from(ISSUER, 2 * NOW))
    assert await store.is_revoked((entry("x"),))


async def test_a_reader_of_records_goes_on_after_a_loss(world: World) -> None:
    store = await world.opened()
    await store.append(record("r1"))
    *_, last = await store.list_records(after=None, limit=9)
    world.server.command("FLUSHALL")
    world.now = LOST
    await store.append(record("r2"))
    assert [each.record.id for each in await store.list_records(after=last.position, limit=9)] == ["r2"]


async def test_a_process_far_behind_goes_by_the_number_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokensvc.storage.redis_steps.MARKS_KEPT", 20)
    store, idle = await world.opened(), await world.opened()
    await idle.ping()
    older = world.copy("older")
    for n in range(30):
        await commit(store, f"r{n}", f"v{n}")
    await require_whole(idle)
    assert world.server.command("HLEN", "{tokensvc}:marks") == 20

    world.put_back(older)
    await require_lost(idle)
