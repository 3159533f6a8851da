"""When a lease renews: early, once at a time, and never before or after it helps."""

import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx2
import pytest

from tests.client.standin import ISSUER, StandIn, answer, refusal
from tests.simulator import API, FILES, NOW
from tokensvc.client import AsyncLease, ExchangeRefused, Lease, ServiceUnavailable

UNAVAILABLE = answer(500, {})


def lease_of(standin: StandIn) -> Lease:
    return standin.agent().receive(standin.token(aud=ISSUER))


@pytest.mark.parametrize(("expires_in", "after_s"), [(300, 200), (120, 80), (80, 50), (60, 30), (20, 10)])
def test_a_token_is_renewed_at_two_thirds_of_its_life_or_half_a_minute_before_its_end(
    expires_in: int, after_s: int
) -> None:
    standin = StandIn(expires_in=expires_in)
    lease = lease_of(standin)
    first = lease.token()
    standin.now = NOW + after_s - 1
    assert lease.token() == first
    standin.now = NOW + after_s
    assert lease.token() != first
    assert len(standin.requests) == 2


def test_the_last_token_of_a_delegation_is_used_to_its_end() -> None:
    standin = StandIn(now=NOW + 3600 - 100, expires_in=100)
    lease = lease_of(standin)
    first = lease.token()
    standin.now = NOW + 3600 - 1
    assert lease.token() == first
    assert len(standin.requests) == 1
    standin.now = NOW + 3600
    standin.script = [refusal(400, "invalid_request")]
    with pytest.raises(ExchangeRefused):
        lease.token()


def test_a_service_that_cannot_answer_costs_nothing_while_the_token_lives() -> None:
    standin = StandIn(script=[])
    lease = lease_of(standin)
    first = lease.token()
    standin.now = NOW + 200
    standin.script = [UNAVAILABLE]
    assert lease.token() == first
    # Not asked again at once.
    assert lease.token() == first
    assert len(standin.requests) == 2
    standin.now += 5
    assert lease.token() != first


def test_a_service_that_cannot_answer_is_an_error_once_the_token_has_expired() -> None:
    standin = StandIn()
    lease = lease_of(standin)
    standin.now = NOW + 300
    standin.script = [UNAVAILABLE]
    with pytest.raises(ServiceUnavailable):
        lease.token()
    assert lease.token()


def test_a_refused_renewal_is_told_at_once() -> None:
    standin = StandIn()
    lease = lease_of(standin)
    standin.now = NOW + 200
    standin.script = [refusal(400, "invalid_request")]
    with pytest.raises(ExchangeRefused):
        lease.token()


def test_what_was_handed_over_is_what_is_renewed_so_that_a_missed_lease_is_not_lost() -> None:
    standin = StandIn()
    handed = standin.token(aud=ISSUER)
    lease = standin.agent().receive(handed)
    standin.now = NOW + 1000
    lease.token()
    assert [standin.form(request)["subject_token"] for request in standin.requests] == [[handed], [handed]]


def test_each_resource_has_its_own_token() -> None:
    standin = StandIn(resources=[API, FILES])
    lease = lease_of(standin)
    assert standin.form(standin.requests[0])["resource"] == [ISSUER]
    tokens = {lease.token(API), lease.token(FILES), lease.token(API)}
    assert len(tokens) == 2
    assert len(standin.requests) == 3
    with pytest.raises(ValueError, match="say which"):
        lease.token()
    with pytest.raises(ValueError, match="not for that resource"):
        lease.token("https://other.example")
    lease.renew()
    assert standin.form(standin.requests[-1])["resource"] == [ISSUER]


def test_threads_share_one_renewal_and_go_on_with_the_old_token_meanwhile() -> None:
    standin = StandIn()
    lease = lease_of(standin)
    first = lease.token()
    standin.now = NOW + 200
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: httpx2.Request) -> httpx2.Response:
        asked.set()
        assert go_on.wait(10)
        return standin.grant(request)

    standin.script = [slow]
    with ThreadPoolExecutor() as pool:
        renewing = pool.submit(lease.token)
        assert asked.wait(10)
        assert lease.token() == first
        go_on.set()
        assert renewing.result(10) == lease.token() != first
    assert len(standin.requests) == 2


def test_threads_without_a_token_wait_for_one_renewal() -> None:
    standin = StandIn()
    lease = lease_of(standin)
    standin.now = NOW + 300
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: httpx2.Request) -> httpx2.Response:
        asked.set()
        assert go_on.wait(10)
        return standin.grant(request)

    standin.script = [slow]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(lease.token)
        assert asked.wait(10)
        others = [pool.submit(lease.token) for _ in range(3)]
        go_on.set()
        assert len({first.result(10), *(other.result(10) for other in others)}) == 1
    assert len(standin.requests) == 2


def test_an_interrupt_during_a_renewal_leaves_the_lease_as_it_was() -> None:
    standin = StandIn()
    lease = lease_of(standin)
    standin.now = NOW + 200

    def interrupted(_request: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    standin.script = [interrupted]
    with pytest.raises(KeyboardInterrupt):
        lease.token()
    assert lease.token()
    assert len(standin.requests) == 3


async def test_the_same_in_an_event_loop() -> None:
    standin = StandIn(resources=[API, FILES])
    lease = await standin.async_agent().receive(standin.token(aud=ISSUER))
    first = await lease.token(API)
    await lease.renew()
    assert standin.form(standin.requests[-1])["resource"] == [ISSUER]
    standin.now = NOW + 200
    standin.script = [UNAVAILABLE]
    assert await lease.token(API) == first
    standin.now = NOW + 300
    standin.script = [UNAVAILABLE]
    with pytest.raises(ServiceUnavailable):
        await lease.token(API)
    assert await lease.token(API) != first


class Gate:
    """An answer that comes when it is let through."""

    def __init__(self, standin: StandIn) -> None:
        self.standin = standin
        self.asked, self.go_on = anyio.Event(), anyio.Event()

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.set()
        await self.go_on.wait()
        return self.standin.handle(request)


async def gated(standin: StandIn, *, now: float) -> tuple[AsyncLease, Gate]:
    """A lease as it is at `now`, and the gate at which its next request waits."""
    gate = Gate(standin)
    gate.go_on.set()
    agent = standin.async_agent(http=httpx2.AsyncClient(transport=httpx2.MockTransport(gate.handle)))
    lease = await agent.receive(standin.token(aud=ISSUER))
    standin.now = now
    gate.asked, gate.go_on = anyio.Event(), anyio.Event()
    return lease, gate


async def test_tasks_share_one_renewal() -> None:
    standin = StandIn()
    lease, gate = await gated(standin, now=NOW + 200)
    standing = lease.leased.standing(API, None)
    seen: list[str] = []

    async def use() -> None:
        seen.append(await lease.token())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await gate.asked.wait()
        assert await lease.issued() is standing
        gate.go_on.set()
    assert seen == [await lease.token()]
    assert await lease.issued() is not standing
    assert len(standin.requests) == 2


async def test_a_cancelled_renewal_leaves_the_lease_as_it_was() -> None:
    standin = StandIn()
    lease, gate = await gated(standin, now=NOW + 300)
    seen: list[str] = []

    async def use() -> None:
        seen.append(await lease.token())

    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            await gate.asked.wait()
            others.start_soon(use)
            tasks.cancel_scope.cancel()
        gate.go_on.set()
    # The one that was cancelled got nothing, the one that waited renewed.
    assert seen == [await lease.token()]
    assert len(standin.requests) == 2
