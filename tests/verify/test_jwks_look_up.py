"""`RefreshedKeys.look_up`: a caller that can wait gets the key that a fetch brings, and causes no second fetch."""

import asyncio
from collections import Counter

import pytest

from tests.verify.test_jwks_refresh import COOLDOWN_S, ISS, MAX_STALE_S, NEW, OLD, OTHER, World, started, turns
from tokensvc.core.keyset import PublicKey
from tokensvc.errors import Unavailable

# As many callers wait for the fetch of one issuer.
WAITING = 8


async def outcomes(tasks: list[asyncio.Task[PublicKey | None]]) -> Counter[object]:
    """How often each key, None, or class of error came."""
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return Counter(type(end) if isinstance(end, BaseException) else end for end in ends)


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
        assert await outcomes(storm) == {None: WAITING, Unavailable: 1000 - WAITING}
        for n in range(1000):
            assert await world.keys.look_up(ISS, f"more-{n}") is None
        assert world.issuer.begun == begun + 1
        assert world.keys.find(ISS, "old") == OLD.public


async def test_before_the_first_good_fetch_callers_wait_for_it_and_share_it() -> None:
    world = World()
    gate = world.issuer.gate = asyncio.Event()
    async with world.keys:
        waiting = [asyncio.create_task(world.keys.look_up(ISS, "old")) for _ in range(WAITING)]
        await turns()
        assert world.issuer.begun == 1
        gate.set()
        assert await asyncio.gather(*waiting) == [OLD.public] * WAITING
        assert world.issuer.begun == 1


async def test_an_issuer_that_does_not_answer_holds_up_a_few_callers_and_no_more() -> None:
    world = World()
    gate = world.issuer.gate = asyncio.Event()
    async with world.keys:
        callers = [asyncio.create_task(world.keys.look_up(ISS, "old")) for _ in range(100)]
        await turns()
        # The fetch stands still, and yet all others have their answer.
        assert sum(not caller.done() for caller in callers) == WAITING
        assert await world.keys.look_up(OTHER, "other") is not None
        # A place is free again as soon as its caller leaves.
        next(caller for caller in callers if not caller.done()).cancel()
        await turns()
        callers += [asyncio.create_task(world.keys.look_up(ISS, "old")) for _ in range(2)]
        await turns()
        assert [caller.done() for caller in callers[100:]] == [False, True]
        gate.set()
        ends = await outcomes(callers)
        assert ends == Counter({OLD.public: WAITING, Unavailable: 101 - WAITING, asyncio.CancelledError: 1})
        # Once it answers nobody is counted any more.
        callers = [asyncio.create_task(world.keys.look_up(ISS, "old")) for _ in range(100)]
        assert await outcomes(callers) == {OLD.public: 100}


async def test_after_a_failure_nobody_waits_until_the_cool_down_has_passed() -> None:
    world = World()
    world.issuer.failure = OSError("down")
    async with world.keys:
        await turns()
        world.issuer.gate = asyncio.Event()
        world.clock.now += COOLDOWN_S - 1
        early = [asyncio.create_task(world.keys.look_up(ISS, "old")) for _ in range(2)]
        await turns()
        assert all(caller.done() for caller in early)
        assert await outcomes(early) == {Unavailable: 2}
        assert world.issuer.begun == 1
        world.clock.now += 1
        late = asyncio.create_task(world.keys.look_up(ISS, "old"))
        await turns()
        assert not late.done()
        world.issuer.failure = None
        world.issuer.gate.set()
        assert await late == OLD.public


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


async def test_whose_key_it_is_can_be_told() -> None:
    world = World()
    world.issuer.keys = (NEW, OLD)
    assert world.keys.holder_of(OLD.public.thumbprint) is None
    async with world.keys:
        await world.keys.ensure()
        mine, theirs = OLD.public.thumbprint, world.other.keys[0].public.thumbprint
        nobodys = "A" * 43
        holders = [world.keys.holder_of(thumbprint) for thumbprint in (mine, NEW.public.thumbprint, theirs, nobodys)]
        assert holders == [ISS, ISS, OTHER, None]


@pytest.mark.parametrize(("copier", "owner"), [(ISS, OTHER), (OTHER, ISS)])
async def test_a_key_belongs_to_the_issuer_that_had_it_while_the_other_had_not(copier: str, owner: str) -> None:
    async with started() as world:
        issuers = {ISS: world.issuer, OTHER: world.other}
        (key,) = issuers[owner].keys
        kept = issuers[copier].keys
        for _ in range(2):
            world.clock.now += COOLDOWN_S
            issuers[copier].keys = (*kept, key)
            await world.keys.refresh()
            assert world.keys.holder_of(key.public.thumbprint) == owner
        # Who gives a key up has no more right to it.
        issuers[owner].keys = (NEW,)
        world.clock.now += COOLDOWN_S
        await world.keys.refresh()
        assert world.keys.holder_of(key.public.thumbprint) == copier
        issuers[owner].keys = (NEW, key)
        world.clock.now += COOLDOWN_S
        await world.keys.refresh()
        assert world.keys.holder_of(key.public.thumbprint) == copier


async def test_where_fetches_do_not_tell_a_key_belongs_to_the_issuer_that_stands_first() -> None:
    async with started() as world:
        # Between two fetches it came to both.
        world.issuer.keys, world.other.keys = (OLD, NEW), (NEW,)
        for iss in (OTHER, ISS):
            world.clock.now += COOLDOWN_S
            await world.keys.refresh(iss)
        assert world.keys.holder_of(NEW.public.thumbprint) == ISS


async def test_a_set_that_is_late_was_not_there_from_the_start() -> None:
    world = World()
    world.other.failure = OSError("down")
    async with world.keys:
        await turns()
        # The first one publishes a new key, and the other one is fetched before it.
        world.other.failure = None
        world.issuer.keys, world.other.keys = (OLD, NEW), (NEW,)
        world.clock.now += COOLDOWN_S
        await world.keys.refresh(OTHER)
        assert world.keys.holder_of(NEW.public.thumbprint) == OTHER
        await world.keys.refresh(ISS)
        assert world.keys.holder_of(NEW.public.thumbprint) == ISS
