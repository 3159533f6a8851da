"""When key sets are fetched, and how long they are used: on a clock that stands still until a test moves it."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.jwks_server import TIMEOUT_S, FakeClock
from tests.simulator import ec_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.errors import KeyRefused, Malformed, Unavailable
from tokensvc.verify.jwks_refresh import FetchedKeys, RefreshedKeys, seconds_since_boot

ISS = "https://as.example"
OTHER = "https://other.example"
OLD, NEW = ec_key("old"), ec_key("new")
Wait = Callable[..., Coroutine[Any, Any, None]]

COOLDOWN_S, MAX_FRESH_S, MAX_STALE_S = 30, 900, 3600


class Issuer:
    """A `Fetch` that answers as it is told, at once or when `gate` opens."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = keys
        self.max_age_s: int | None = None
        self.failure: BaseException | None = None
        self.gate: asyncio.Event | None = None
        self.begun = 0

    async def __call__(self) -> FetchedKeys:
        self.begun += 1
        keys = KeySet(key.public for key in self.keys)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return FetchedKeys(keys=keys, max_age_s=self.max_age_s)


class World:
    """One verifier, its issuers, its clock, and the ticks of its background task."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self.issuer, self.other = Issuer(OLD), Issuer(ec_key("other"))
        self.clock = FakeClock()
        self.slept: list[float] = []
        self._tick = asyncio.Event()
        self.keys = RefreshedKeys(
            {ISS: self.issuer, OTHER: self.other},
            timeout_s=timeout_s,
            cooldown_s=COOLDOWN_S,
            max_fresh_s=MAX_FRESH_S,
            max_stale_s=MAX_STALE_S,
            clock=self.clock,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._tick.wait()
        self._tick.clear()

    async def tick(self) -> None:
        """The background task wakes up, and starts what it wants to."""
        self._tick.set()
        await turns()

    def finds(self, kid: str = "old", iss: str = ISS) -> bool:
        return self.keys.find(iss, kid) is not None

    def is_unavailable(self, iss: str = ISS) -> bool:
        try:
            self.keys.find(iss, "old")
        except Unavailable:
            return True
        return False

    async def asked(self, kid: str) -> bool:
        """What `find` says, after what it asked for was done."""
        found = self.finds(kid)
        await turns()
        return found


async def turns() -> None:
    """Enough turns of the loop for every task that need not wait for anything."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def started(**terms: float) -> AsyncIterator[World]:
    world = World(**terms)
    async with world.keys:
        await turns()
        yield world


async def test_keys_are_found_by_issuer_and_kid() -> None:
    async with started() as world:
        found = world.keys.find(ISS, "old")
        assert found == OLD.public
        assert world.finds("other", OTHER)
        assert not world.finds("other", ISS)
        assert not world.finds("old", OTHER)
        assert not world.finds("old", "https://unknown.example")


async def test_two_issuers_with_one_kid_never_mix() -> None:
    world = World()
    world.other.keys = (SigningKey.from_jwk({**NEW.unsafe_private_jwk(), "kid": "old"}),)
    async with world.keys:
        await world.keys.ensure()
        mine, theirs = world.keys.find(ISS, "old"), world.keys.find(OTHER, "old")
        assert mine is not None
        assert theirs is not None
        assert (mine.thumbprint, theirs.thumbprint) == (OLD.public.thumbprint, NEW.public.thumbprint)


# Before the first good fetch, and long after the last


async def test_before_the_first_good_fetch_nothing_can_be_told() -> None:
    world = World()
    assert world.is_unavailable()
    world.issuer.failure = OSError("down")
    async with world.keys:
        await turns()
        assert world.is_unavailable()
        assert world.finds("other", OTHER)
        world.issuer.failure = None
        world.clock.now += COOLDOWN_S
        assert world.is_unavailable()
        await turns()
        assert world.finds()


async def test_the_last_good_set_is_used_up_to_the_bound_and_no_longer() -> None:
    async with started() as world:
        world.issuer.failure = OSError("down")
        world.clock.now += MAX_STALE_S - 1
        assert await world.asked("old")
        world.clock.now += 1
        assert world.is_unavailable()
        await world.keys.refresh(OTHER)
        assert world.finds("other", OTHER)


async def test_a_set_that_is_too_old_comes_back_with_the_next_good_fetch() -> None:
    async with started() as world:
        world.clock.now += MAX_STALE_S
        assert world.is_unavailable()
        await turns()
        assert world.finds()


async def test_age_counts_from_when_the_fetch_began() -> None:
    async with started() as world:
        world.issuer.gate = asyncio.Event()
        world.clock.now += COOLDOWN_S
        refresh = asyncio.create_task(world.keys.refresh(ISS))
        await turns()
        world.clock.now += 5
        world.issuer.gate.set()
        await asyncio.wait_for(refresh, TIMEOUT_S)
        world.issuer.failure = OSError("down")
        world.clock.now += MAX_STALE_S - 6
        assert world.finds()
        world.clock.now += 1
        assert world.is_unavailable()


# Fresh and stale


@pytest.mark.parametrize(
    ("max_age_s", "fresh_s"),
    [
        (None, 300),
        (0, COOLDOWN_S),
        (COOLDOWN_S - 1, COOLDOWN_S),
        (120, 120),
        (MAX_FRESH_S + 1, MAX_FRESH_S),
        (10**17, MAX_FRESH_S),
    ],
)
async def test_max_age_is_honoured_within_bounds(max_age_s: int | None, fresh_s: int) -> None:
    world = World()
    world.issuer.max_age_s = max_age_s
    async with world.keys:
        await turns()
        world.issuer.keys = (OLD, NEW)
        world.clock.now += fresh_s - 1
        await world.asked("old")
        assert world.issuer.begun == 1
        world.clock.now += 1
        assert await world.asked("old")  # a stale set still answers, and is fetched anew meanwhile
        assert world.issuer.begun == 2
        assert world.finds("new")


async def test_without_a_default_of_its_own_freshness_keeps_a_low_bound() -> None:
    issuer = Issuer(OLD)
    clock = FakeClock()
    keys = RefreshedKeys({ISS: issuer}, timeout_s=1, cooldown_s=1, max_fresh_s=10, max_stale_s=20, clock=clock)
    async with keys:
        await keys.ensure()
        clock.now += 10
        keys.find(ISS, "old")
        await turns()
        assert issuer.begun == 2


async def test_a_key_that_is_gone_from_a_good_set_is_refused_at_once() -> None:
    async with started() as world:
        world.issuer.keys = (NEW,)
        assert world.finds("old")
        await world.keys.refresh()
        assert not world.finds("old")
        assert world.finds("new")


@pytest.mark.parametrize(
    "failure",
    [
        OSError("down"),
        TimeoutError(),
        KeyRefused("weak"),
        Malformed("no JSON"),
        Unavailable("404"),
        RuntimeError("bug"),
    ],
)
async def test_any_failure_leaves_the_last_good_set(failure: Exception) -> None:
    async with started() as world:
        world.issuer.failure = failure
        with pytest.raises(Unavailable):
            await world.keys.refresh(ISS)
        assert world.finds("old")
        world.issuer.failure, world.issuer.keys = None, (NEW,)  # the control: what comes without failure is taken
        await world.keys.refresh(ISS)
        assert not world.finds("old")


async def test_an_empty_set_is_a_failure() -> None:
    async with started() as world:
        world.issuer.keys = ()
        with pytest.raises(Unavailable):
            await world.keys.refresh(ISS)
        assert world.finds("old")


async def test_a_fetch_that_takes_too_long_is_a_failure() -> None:
    world = World(timeout_s=0.01)
    world.issuer.gate = asyncio.Event()
    async with world.keys:
        with pytest.raises(Unavailable, match="in time"):
            await asyncio.wait_for(world.keys.refresh(ISS), TIMEOUT_S)
        assert world.is_unavailable()
        world.issuer.gate.set()
        await world.keys.refresh(ISS)
        assert world.finds()


# Unknown kids


async def test_a_new_key_is_found_after_the_first_token_that_names_it() -> None:
    async with started() as world:
        world.issuer.keys = (OLD, NEW)
        world.clock.now += COOLDOWN_S
        assert not await world.asked("new")
        assert world.finds("new")


async def test_a_thousand_unknown_kids_are_one_fetch_in_a_cool_down() -> None:
    async with started() as world:
        for interval in range(1, 4):
            world.clock.now += COOLDOWN_S
            for attempt in range(1000):
                assert not world.finds(f"unknown-{interval}-{attempt}")
                if attempt % 100 == 0:
                    await turns()
            assert world.issuer.begun == 1 + interval
            assert world.finds("old")
        assert world.other.begun == 1


async def test_cool_down_holds_after_failures_too() -> None:
    async with started() as world:
        world.issuer.failure = OSError("down")
        world.clock.now += COOLDOWN_S
        for _ in range(100):
            await world.asked("unknown")
        assert world.issuer.begun == 2
        world.clock.now += COOLDOWN_S - 1
        await world.asked("unknown")
        assert world.issuer.begun == 2
        world.clock.now += 1
        await world.asked("unknown")
        assert world.issuer.begun == 3


async def test_while_a_fetch_is_on_its_way_nobody_starts_another() -> None:
    async with started() as world:
        world.issuer.gate = asyncio.Event()
        world.clock.now += COOLDOWN_S
        await world.asked("unknown")
        world.clock.now += 10 * COOLDOWN_S
        await world.asked("unknown")
        await world.tick()
        assert world.issuer.begun == 2
        world.issuer.gate.set()
        await turns()
        await world.asked("unknown")
        assert world.issuer.begun == 3


async def test_a_call_in_another_thread_asks_as_well() -> None:
    async with started() as world:
        world.issuer.keys = (OLD, NEW)
        world.clock.now += COOLDOWN_S
        assert await asyncio.to_thread(world.keys.find, ISS, "new") is None
        await turns()
        assert world.finds("new")


# The background task


async def test_what_nobody_asks_for_is_kept_fresh() -> None:
    async with started() as world:
        world.clock.now += 299
        await world.tick()
        assert (world.issuer.begun, world.other.begun) == (1, 1)
        world.clock.now += 1
        await world.tick()
        assert (world.issuer.begun, world.other.begun) == (2, 2)
        assert world.slept == [COOLDOWN_S] * 3


async def test_failures_are_tried_again_by_the_background_task() -> None:
    async with started() as world:
        world.issuer.failure = OSError("down")
        for _ in range(5):
            world.clock.now += 300
            await world.tick()
        assert world.issuer.begun == 6
        assert world.finds("old")
        world.issuer.failure, world.issuer.keys = None, (NEW,)
        world.clock.now += COOLDOWN_S
        await world.tick()
        assert world.finds("new")


async def test_nothing_runs_after_the_end() -> None:
    before = asyncio.all_tasks()
    async with started() as world:
        world.issuer.gate = asyncio.Event()
        world.clock.now += COOLDOWN_S
        await world.asked("unknown")
        assert len(asyncio.all_tasks() - before) == 2
    assert asyncio.all_tasks() == before


async def test_after_the_end_memory_answers_until_it_is_too_old() -> None:
    async with started() as world:
        pass
    world.clock.now += MAX_STALE_S - 1
    assert not await world.asked("unknown")
    assert world.finds("old")
    assert world.issuer.begun == 1
    world.clock.now += 1
    assert world.is_unavailable()


async def test_what_was_asked_for_in_the_last_moment_is_not_begun() -> None:
    async with started() as world:
        world.clock.now += COOLDOWN_S
        world.finds("unknown")
    await turns()
    assert world.issuer.begun == 1
    async with world.keys:  # the control: entered again, it asks again
        await world.asked("unknown")
    assert world.issuer.begun == 2


def test_a_loop_that_was_closed_without_leaving_is_no_fault_of_the_call() -> None:
    world = World()
    with asyncio.Runner() as runner:
        runner.run(AsyncExitStack().enter_async_context(world.keys))
        runner.run(turns())
    world.clock.now += COOLDOWN_S
    assert not world.finds("unknown")
    assert world.finds("old")


async def test_entering_twice_is_refused() -> None:
    async with started() as world:
        with pytest.raises(RuntimeError):
            await world.keys.__aenter__()
    async with world.keys:
        await world.keys.ensure()


# Waiting


@pytest.mark.parametrize("wait", [RefreshedKeys.ensure, RefreshedKeys.refresh])
async def test_however_many_wait_there_is_one_fetch(wait: Wait) -> None:
    world = World()
    world.issuer.gate = asyncio.Event()
    async with world.keys:
        waiting = [asyncio.create_task(wait(world.keys)) for _ in range(100)]
        await turns()
        assert not any(waiter.done() for waiter in waiting)
        world.issuer.gate.set()
        await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT_S)
        assert (world.issuer.begun, world.other.begun) == (1, 1)


async def test_who_stops_waiting_stops_nobodys_fetch() -> None:
    world = World()
    world.issuer.gate = asyncio.Event()
    async with world.keys:
        impatient, patient = asyncio.create_task(world.keys.ensure()), asyncio.create_task(world.keys.ensure())
        await turns()
        impatient.cancel()
        await turns()
        assert impatient.cancelled()
        assert not patient.done()
        world.issuer.gate.set()
        await asyncio.wait_for(patient, TIMEOUT_S)
        assert world.issuer.begun == 1


@pytest.mark.parametrize("wait", [RefreshedKeys.ensure, RefreshedKeys.refresh])
async def test_who_waits_at_the_end_is_told(wait: Wait) -> None:
    world = World()
    world.issuer.gate = asyncio.Event()
    async with world.keys:
        waiting = asyncio.create_task(wait(world.keys))
        await turns()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(waiting, TIMEOUT_S)


async def test_ensure_asks_for_nothing_that_is_there() -> None:
    async with started() as world:
        world.clock.now += MAX_STALE_S - 1
        await world.keys.ensure()
        assert world.issuer.begun == 1
        world.clock.now += 1
        await world.keys.ensure(ISS, ISS)
        assert (world.issuer.begun, world.other.begun) == (2, 1)


async def test_ensure_keeps_the_cool_down() -> None:
    world = World()
    world.issuer.failure = OSError("down")
    async with world.keys:
        for _ in range(100):
            with pytest.raises(Unavailable, match=r"as\.example"):
                await world.keys.ensure()
        assert world.issuer.begun == 1
        world.issuer.failure = None
        world.clock.now += COOLDOWN_S
        await world.keys.ensure()
        assert world.issuer.begun == 2


async def test_refresh_does_not_wait_for_the_cool_down_and_names_who_failed() -> None:
    async with started() as world:
        world.issuer.failure = OSError("down")
        world.other.keys = (NEW,)
        with pytest.raises(Unavailable, match=r"as\.example was not fetched"):
            await world.keys.refresh()
        assert world.finds("new", OTHER)
        assert (world.issuer.begun, world.other.begun) == (2, 2)
        await world.keys.refresh(OTHER)
        assert (world.issuer.begun, world.other.begun) == (2, 3)


@pytest.mark.parametrize("wait", [RefreshedKeys.ensure, RefreshedKeys.refresh])
async def test_waiting_is_for_configured_issuers_within_async_with(wait: Wait) -> None:
    world = World()
    with pytest.raises(RuntimeError):
        await wait(world.keys)
    async with world.keys:
        with pytest.raises(LookupError):
            await wait(world.keys, ISS, "https://unknown.example")
        await wait(world.keys, ISS)


# Without an event loop


def test_a_script_refreshes_and_finds() -> None:
    world = World()
    world.keys.refresh_sync(ISS)
    assert world.finds("old")
    assert world.is_unavailable(OTHER)
    world.keys.refresh_sync()
    assert world.finds("other", OTHER)
    assert world.issuer.begun == 2


def test_a_script_is_told_of_a_failure_and_keeps_what_it_has() -> None:
    world = World()
    world.keys.refresh_sync()
    world.issuer.failure = OSError("down")
    with pytest.raises(Unavailable):
        world.keys.refresh_sync()
    assert world.finds("old")
    world.clock.now += MAX_STALE_S
    assert world.is_unavailable()
    world.issuer.failure = None
    world.keys.refresh_sync()
    assert world.finds("old")


def test_a_script_names_configured_issuers() -> None:
    with pytest.raises(LookupError):
        World().keys.refresh_sync("https://unknown.example")


async def test_refresh_sync_is_refused_where_a_loop_would_stand_still() -> None:
    world = World()
    with pytest.raises(RuntimeError):
        world.keys.refresh_sync()
    async with world.keys:
        with pytest.raises(RuntimeError):
            await asyncio.to_thread(world.keys.refresh_sync)
    await asyncio.to_thread(world.keys.refresh_sync)


def test_two_threads_refresh_one_after_the_other() -> None:
    world = World()
    first, second = threading.Event(), threading.Event()
    overlapped: list[bool] = []

    async def fetch() -> FetchedKeys:
        (second if first.is_set() else first).set()
        if world.issuer.begun == 0:
            # The second would come while the first is here; a lock makes it wait for longer than this.
            overlapped.append(await asyncio.to_thread(second.wait, 0.1))
        return await world.issuer()

    keys = RefreshedKeys({ISS: fetch}, timeout_s=TIMEOUT_S, cooldown_s=1, max_fresh_s=1, max_stale_s=1)
    threads = [threading.Thread(target=keys.refresh_sync) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert overlapped == [False]
    assert world.issuer.begun == 2


# Terms, log, clock


@pytest.mark.parametrize(
    "terms",
    [
        {"timeout_s": 0},
        {"timeout_s": math.nan},
        {"timeout_s": math.inf},
        {"cooldown_s": 0},
        {"cooldown_s": -1},
        {"cooldown_s": math.nan},
        {"cooldown_s": 11},
        {"max_fresh_s": 21},
        {"max_stale_s": 9},
        {"max_stale_s": math.nan},
        {"max_stale_s": math.inf},
    ],
)
def test_seconds_that_cannot_be_meant_are_refused(terms: dict[str, float]) -> None:
    good = {"timeout_s": 5.0, "cooldown_s": 1.0, "max_fresh_s": 10.0, "max_stale_s": 20.0}
    make: Callable[..., object] = RefreshedKeys
    make({ISS: Issuer()}, **good)
    with pytest.raises(ValueError, match="cooldown_s"):
        make({ISS: Issuer()}, **{**good, **terms})


def test_no_issuer_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="issuer"):
        RefreshedKeys({}, timeout_s=5, cooldown_s=1, max_fresh_s=10, max_stale_s=20)


async def test_the_operator_reads_of_each_failure_once_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with started() as world:
        assert caplog.records == []
        world.issuer.failure = OSError("down\nINFO forged line")
        world.clock.now += 300
        for _ in range(10):
            await world.asked("old")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "key set of https://as.example not refreshed: no answer that can be used (OSError: down?INFO forged line)"
    )


def test_the_clock_is_not_the_time_of_day() -> None:
    before = seconds_since_boot()
    assert time.monotonic() - 1 < before <= seconds_since_boot() < time.time()
