"""Too many requests at once: the last ones are refused at once, and the others are not disturbed."""

import asyncio
from pathlib import Path

from tests.server.world import World, basic, make_world, values
from tokensvc.core.revocation import Revocable
from tokensvc.storage.memory import MemoryStore

MOST = 3


class Gate(MemoryStore):
    """A store that answers nobody before it is opened to all."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.full = asyncio.Event()
        self.waiting = 0

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        self.waiting += 1
        if self.waiting == MOST:
            self.full.set()
        await self.opened.wait()
        return await super().is_revoked(revocables)


def crowded(folder: Path, store: Gate) -> World:
    return make_world(folder, {**values(), "server": {"max_requests": MOST}}, store=store)


async def test_what_is_more_than_can_be_worked_on_is_answered_503_at_once(tmp_path: Path) -> None:
    store = Gate()
    world = crowded(tmp_path, store)
    async with world.running() as client:
        taken = [
            asyncio.create_task(client.post("/token", data=world.start(), headers=basic("planner")))
            for _ in range(MOST)
        ]
        await store.full.wait()
        shed = await client.post("/token", data=world.start(), headers=basic("planner"))
        healthy = await client.get("/healthz")
        keys = await client.get("/.well-known/jwks.json")
        store.opened.set()
        answers = await asyncio.gather(*taken)
        after = await client.post("/token", data=world.start(), headers=basic("planner"))

    assert (shed.status_code, shed.headers["retry-after"]) == (503, "5")
    assert shed.json()["error"] == "temporarily_unavailable"
    assert (healthy.status_code, keys.status_code) == (200, 200)
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert after.status_code == 200
    assert [event["count"] for event in world.events() if event["event"] == "request_shed"] == [1]


async def test_a_request_that_fails_makes_room_like_any_other(tmp_path: Path) -> None:
    store = Gate()
    store.opened.set()
    world = crowded(tmp_path, store)
    async with world.running() as client:
        for _ in range(5):
            assert (await client.post("/token", data={"a": "b"})).status_code == 401
        answer = await client.post("/token", data=world.start(), headers=basic("planner"))

    assert answer.status_code == 200


async def test_who_sends_slowly_takes_no_place_among_the_requests(tmp_path: Path) -> None:
    store = Gate()
    store.opened.set()
    world = crowded(tmp_path, store)
    never = asyncio.Event()

    async def slow() -> None:
        async def receive() -> dict[str, object]:
            await never.wait()
            raise AssertionError

        scope = {"type": "http", "method": "POST", "path": "/token", "raw_path": b"/token", "query_string": b"",
                 "headers": [], "scheme": "https", "server": ("tokens.example", 443), "root_path": ""}  # fmt: skip
        await world.app(scope, receive, fail)

    async def fail(_message: object) -> None:
        raise AssertionError("it was answered")

    async with world.running() as client:
        waiting = [asyncio.create_task(slow()) for _ in range(5 * MOST)]
        await asyncio.sleep(0)
        answer = await client.post("/token", data=world.start(), headers=basic("planner"))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    assert answer.status_code == 200
