"""Revocation against exchange, hundreds of pairs at once, on each store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.exchange.parties import IDP, ISSUER, TERMS
from tests.exchange.world import World, make_world
from tests.simulator import NOW
from tests.storage.redis_server import RedisServer
from tokensvc.errors import OAuthRefused, Reason
from tokensvc.ports import Store
from tokensvc.storage.loss import LossRule
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.redis import RedisStore
from tokensvc.storage.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def racing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    rule = LossRule(issuer=ISSUER, upstream=(IDP,), leeway_s=TERMS.leeway_s, clock=lambda: NOW)
    with ExitStack() as servers:
        store: Store
        match request.param:
            case "memory":
                store = MemoryStore()
            case "sqlite":
                store = SqliteStore(tmp_path / "tokensvc.db", rule)
            case _:
                server = servers.enter_context(RedisServer(tmp_path, "--save", ""))
                store = RedisStore(server.address, rule)
        world = await make_world(store)
        # In memory nothing waits: without this the two of a pair would never meet.
        world.store.before = _give_way
        yield world
        await world.store.close()


async def _give_way(_call: str) -> None:
    await asyncio.sleep(0)


async def racer(world: World, token: str, kind: str, delay: int) -> tuple[str | None, int]:
    """The token that was released, if any, and when: the number of store calls by then."""
    requests = {
        "delegate": world.delegation(token),
        "renew": world.renewal(token),
        "narrow": world.renewal(token, scope="crm.read"),
    }
    for _ in range(delay):
        await asyncio.sleep(0)
    try:
        issued = await world.exchange("planner", requests[kind])
    except OAuthRefused as refusal:
        if refusal.reason is not Reason.REVOKED:
            raise
        return None, 0
    return issued.access_token, len(world.store.calls)


async def test_no_child_is_released_after_revoke_returned_and_every_child_is_dead(racing: World) -> None:
    pairs = 300
    tokens = [await racing.start() for _ in range(10)]
    kinds = ("delegate", "renew", "narrow")
    outcomes: list[tuple[bool, str | None]] = []
    # As many at once as a slow machine answers within the patience of a store (1 s); the service sheds the rest.
    places = asyncio.Semaphore(40)

    async def pair(number: int) -> None:
        async with places:
            await race(number)

    async def race(number: int) -> None:
        token = tokens[number % 10] if number < 30 else await racing.start()
        revoked = False

        async def revoke() -> None:
            nonlocal revoked
            for _ in range(number % 5):
                await asyncio.sleep(0)
                # As long as a call of this store takes: an exchange makes two, and would lose every race.
                await racing.store.ping()
            await racing.revoke(token, "planner")
            revoked = True

        async def exchange_after() -> None:
            # Until the revocation is acknowledged, and once after that.
            for turn in range(4):
                was_revoked = revoked
                child, _ = await racer(racing, token, kinds[(number + turn) % 3], number % 7)
                outcomes.append((was_revoked, child))

        await asyncio.gather(revoke(), exchange_after())
        outcomes.append((True, (await racer(racing, token, kinds[number % 3], 0))[0]))

    await asyncio.gather(*map(pair, range(pairs)))

    released = [child for _, child in outcomes if child is not None]
    assert [child for was_revoked, child in outcomes if was_revoked and child is not None] == []
    assert 0 < len(released) < len(outcomes)
    assert not any([await racing.is_active(child) for child in released])
    for child in released[:50]:
        owner = racing.read(child).actor
        assert (await racing.refused(owner, racing.renewal(child))).reason is Reason.REVOKED


async def test_what_is_not_revoked_is_released_in_any_crowd(racing: World) -> None:
    first = await racing.start()
    others = [await racing.start() for _ in range(50)]
    revocations = [racing.revoke(token, "planner") for token in others]
    children = await asyncio.gather(*(racing.delegate(first) for _ in range(100)), *revocations)

    tokens = [child for child in children if isinstance(child, str)]
    assert len({racing.read(token).chain.leaf.jti for token in tokens}) == 100
    assert all([await racing.is_active(token) for token in tokens])
