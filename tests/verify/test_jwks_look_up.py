"""`RefreshedKeys.look_up`: a caller that can wait gets the key that a fetch brings, and causes no second fetch."""

import asyncio

import pytest

from tests.verify.test_jwks_refresh import COOLDOWN_S, ISS, MAX_STALE_S, NEW, OLD, OTHER, World, started, turns
from tokensvc.errors import Unavailable


async def test_a_known_key_is_had_without_a_fetch() -> None:
    async with started() as world:
        begun = world.issuer.begun
        world.issuer.gate = asyncio.Event()
        world.clock.now += 600
        looking = asyncio.create_task(world.keys.look_up(ISS, "old"))
        await turns()
        assert looking.done()
        assert await looking == OLD.public
        assert world.issuer.begun <= begun + 1


async def test_an_unknown_key_is_had_with_the_fetch_that_it_asks_for() -> None:
    async with started() as world:
        world.issuer.keys = (OLD, NEW)
        world.clock.now += COOLDOWN_S
        assert await world.keys.look_up(ISS, "new") == NEW.public


async def test_within_the_cool_down_an_unknown_key_is_unknown() -> None:
    async with started() as world:
        world.issuer.keys = (OLD, NEW)
        world.clock.now += COOLDOWN_S - 1
        assert await world.keys.look_up(ISS, "new") is None
        world.clock.now += 1
        assert await world.keys.look_up(ISS, "new") == NEW.public


async def test_a_storm_of_unknown_keys_is_one_fetch_for_each_cool_down() -> None:
    async with started() as world:
        begun, gate = world.issuer.begun, asyncio.Event()
        world.issuer.gate = gate
        world.clock.now += COOLDOWN_S
        storm = [asyncio.create_task(world.keys.look_up(ISS, f"kid-{n}")) for n in range(1000)]
        await turns()
        # Those whose key is known do not wait for it.
        assert await world.keys.look_up(ISS, "old") == OLD.public
        assert await world.keys.look_up(OTHER, "other") is not None
        gate.set()
        assert await asyncio.gather(*storm) == [None] * 1000
        for n in range(1000):
            assert await world.keys.look_up(ISS, f"more-{n}") is None
        assert world.issuer.begun == begun + 1
        assert world.keys.find(ISS, "old") == OLD.public


async def test_before_the_first_good_fetch_callers_wait_for_it_and_share_it() -> None:
    world = World()
    gate = world.issuer.gate = asyncio.Event()
    async with world.keys:
        waiting = [asyncio.create_task(world.keys.look_up(ISS, "old")) for _ in range(100)]
        await turns()
        assert world.issuer.begun == 1
        gate.set()
        assert await asyncio.gather(*waiting) == [OLD.public] * 100
        assert world.issuer.begun == 1


async def test_without_a_good_set_a_failure_is_unavailable_and_others_do_not_notice() -> None:
    world = World()
    world.issuer.failure = OSError("down")
    async with world.keys:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await world.keys.look_up(ISS, "old")
        assert world.issuer.begun == 1
        assert await world.keys.look_up(OTHER, "other") is not None
        world.issuer.failure = None
        world.clock.now += COOLDOWN_S
        assert await world.keys.look_up(ISS, "old") == OLD.public


async def test_a_set_that_is_too_old_is_unavailable_until_a_fetch_succeeds() -> None:
    async with started() as world:
        world.issuer.failure = OSError("down")
        world.clock.now += MAX_STALE_S
        with pytest.raises(Unavailable):
            await world.keys.look_up(ISS, "old")
        world.issuer.failure = None
        world.clock.now += COOLDOWN_S
        assert await world.keys.look_up(ISS, "old") == OLD.public


async def test_a_caller_that_leaves_stops_nobody() -> None:
    world = World()
    gate = world.issuer.gate = asyncio.Event()
    async with world.keys:
        leaving = asyncio.create_task(world.keys.look_up(ISS, "old"))
        staying = asyncio.create_task(world.keys.look_up(ISS, "old"))
        await turns()
        leaving.cancel()
        await turns()
        gate.set()
        assert await staying == OLD.public


async def test_an_issuer_that_is_not_configured_has_no_keys_and_causes_no_fetch() -> None:
    async with started() as world:
        begun = world.issuer.begun, world.other.begun
        assert await world.keys.look_up("https://else.example", "old") is None
        assert (world.issuer.begun, world.other.begun) == begun


async def test_outside_of_its_loop_nothing_is_looked_up() -> None:
    world = World()
    with pytest.raises(RuntimeError):
        await world.keys.look_up(ISS, "old")
    async with world.keys:
        assert await world.keys.look_up(ISS, "old") == OLD.public


async def test_which_issuer_holds_a_key_can_be_told() -> None:
    world = World()
    world.issuer.keys = (NEW, OLD)
    thumbprint = OLD.public.thumbprint
    assert not world.keys.holds(ISS, thumbprint)
    async with world.keys:
        await world.keys.ensure()
        held = [world.keys.holds(iss, thumbprint) for iss in (ISS, OTHER, "https://else.example")]
        assert held == [True, False, False]
