"""What Redis acknowledged with `appendfsync always` survives its SIGKILL, and nothing is ever half there."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.conformance import RULE, HeardEvents, commit, entry, revocation, revoke
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed
from tokensvc.storage.redis import RedisStore

ROUNDS = 20
LANES = 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, *DURABLE) as server:
        yield server


async def test_everything_acknowledged_survives_sigkill_of_redis(server: RedisServer) -> None:
    events = HeardEvents()
    store = RedisStore(server.address, RULE, events=events)
    await store.open()
    acknowledged: list[str] = []
    unknown: list[str] = []
    kill_at = 0

    async def lane(name: str) -> None:
        """Write until the server is gone."""
        for n in range(1_000_000):
            step = f"{name}-{n}"
            try:
                if n % 2:
                    await revoke(store, f"r-{step}", revocation(f"e-{step}"))
                else:
                    assert await commit(store, f"r-{step}", f"v-{step}", unless=[entry("none")]) is Committed.STORED
            except Unavailable:
                unknown.append(step)
                return
            acknowledged.append(step)
            if len(acknowledged) == kill_at:
                # The other lanes have their steps under way.
                server.kill()

    for number in range(ROUNDS):
        kill_at = len(acknowledged) + 20 + 7 * number
        await asyncio.gather(*(lane(f"{number}.{n}") for n in range(LANES)))
        server.start()
        # Of the last of each lane nobody knows; of all others everybody does.
        for step in unknown[-LANES:]:
            has_record = await store.find(f"r-{step}") is not None
            assert await _is_in_force(store, step) is has_record
    for step in acknowledged:
        assert await store.find(f"r-{step}") is not None
        assert await _is_in_force(store, step)

    assert len(unknown) == ROUNDS * LANES
    assert len(acknowledged) >= ROUNDS * 20
    assert [what for what, _ in events.heard] == ["made"]
    await store.close()


async def _is_in_force(store: RedisStore, step: str) -> bool:
    if int(step.rpartition("-")[2]) % 2:
        return await store.is_revoked((entry(f"e-{step}"),))
    return await commit(store, f"again-{step}", f"v-{step}") is Committed.REPLAYED
