"""The clock of the machine is set, back and forth, while the service runs: what is dead stays dead."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.journal import Attempt, Journal, Token
from tests.faults.load import Callers
from tests.faults.site import ISSUER, site_values
from tests.server.world import IDP, FixedClock, make_world
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.ports import Store
from tokensvc.storage.loss import LossRule
from tokensvc.storage.redis import RedisStore
from tokensvc.storage.sqlite import SqliteStore

LEEWAY = 30
DAY = 86_400
AGE = 10 * DAY


class Machine:
    """A service whose clock a test sets, and its clients, who have the same one."""

    def __init__(self, callers: Callers, clock: FixedClock) -> None:
        self.callers = callers
        self.clock = clock

    async def chain(self) -> Token:
        """planner's token of a new chain."""
        return (await self.callers.start(0, self.callers.user_token())).token

    async def revoke(self, token: Token) -> None:
        revoked = await self.callers.revoke("planner", 0, token, token.entries[-1])
        assert revoked.status == 200

    async def used_assertion(self) -> str:
        assertion = self.callers.assertion()
        assert await self.callers.accepts(assertion)
        return assertion

    async def renewed(self, token: Token) -> Attempt:
        return await self.callers.renew("planner", 0, token)


@pytest.fixture(params=["sqlite", "redis"])
async def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machine]:
    clock = FixedClock()
    rule = LossRule(issuer=ISSUER, upstream=(IDP,), leeway_s=LEEWAY, clock=clock)
    with ExitStack() as servers:
        store: Store
        if request.param == "sqlite":
            store = SqliteStore(tmp_path / "tokens.db", rule)
        else:
            store = RedisStore(servers.enter_context(RedisServer(tmp_path, *DURABLE)).address, rule)
        world = make_world(tmp_path, site_values(tmp_path), store=store, clock=clock)
        async with world.running() as http:
            # The store is older than anything that the tests do.
            clock.now += AGE
            yield Machine(Callers(None, Journal(), http, clock=clock), clock)


@pytest.mark.parametrize("step", [-1, -LEEWAY - 1, -3600, -DAY])
async def test_a_clock_set_back_revives_nothing(machine: Machine, step: int) -> None:
    dead, alive = await machine.chain(), await machine.chain()
    await machine.revoke(dead)
    assertion = await machine.used_assertion()

    machine.clock.now += step
    assert (await machine.renewed(dead)).status == 400
    assert not await machine.callers.is_active(dead)
    assert not await machine.callers.accepts(assertion)
    # Whoever comes from now on is served.
    fresh = await machine.chain()
    assert await machine.callers.is_active(fresh)
    assert await machine.callers.accepts(machine.callers.assertion())

    machine.clock.now -= step
    assert (await machine.renewed(dead)).reason == "revoked"
    assert not await machine.callers.is_active(dead)
    assert not await machine.callers.accepts(assertion)
    assert (await machine.renewed(alive)).status == 200


@pytest.mark.parametrize("step", [1, LEEWAY + 1, 250])
async def test_a_clock_set_forward_and_back_revives_nothing_that_was_alive_there(machine: Machine, step: int) -> None:
    dead, alive = await machine.chain(), await machine.chain()
    await machine.revoke(dead)
    assertion = await machine.used_assertion()

    machine.clock.now += step
    # Something is written, with which the store may forget.
    assert await machine.callers.is_active(await machine.chain())
    assert (await machine.renewed(dead)).reason == "revoked"

    machine.clock.now -= step
    assert (await machine.renewed(dead)).reason == "revoked"
    assert not await machine.callers.is_active(dead)
    assert not await machine.callers.accepts(assertion)
    assert await machine.callers.is_active(alive)
    assert (await machine.renewed(alive)).status == 200


def known_gap(request: pytest.FixtureRequest) -> None:
    """A day after their end a store forgets things by the clock of whoever asks; set right, it has forgotten them."""
    request.applymarker(pytest.mark.xfail(strict=True, reason="docs/operations.md, Clocks: revoke the issuers"))


@pytest.mark.parametrize("step", [DAY, 3 * DAY])
async def test_a_revoked_chain_is_dead_after_a_jump_beyond_its_end_and_back(
    machine: Machine, step: int, request: pytest.FixtureRequest
) -> None:
    if step > DAY:
        known_gap(request)
    dead = await machine.chain()
    await machine.revoke(dead)

    machine.clock.now += step
    await machine.chain()
    machine.clock.now -= step

    assert not await machine.callers.is_active(dead)


@pytest.mark.parametrize("step", [500, DAY, 2 * DAY])
async def test_a_used_assertion_is_refused_after_a_jump_beyond_its_end_and_back(
    machine: Machine, step: int, request: pytest.FixtureRequest
) -> None:
    if step > DAY and "sqlite" in request.node.name:
        # Redis forgets used values by its own clock.
        known_gap(request)
    assertion = await machine.used_assertion()

    machine.clock.now += step
    await machine.chain()
    machine.clock.now -= step

    assert not await machine.callers.accepts(assertion)


async def test_revoking_the_issuers_ends_what_a_jump_revived(machine: Machine) -> None:
    """The remedy that docs/operations.md names."""
    user_token = machine.callers.user_token()
    dead = (await machine.callers.start(0, user_token)).token
    await machine.revoke(dead)
    machine.clock.now += 3 * DAY
    await machine.chain()
    machine.clock.now -= 3 * DAY
    assert await machine.callers.is_active(dead)

    for issuer in (ISSUER, IDP):
        status, _ = await machine.callers.ask("ops", "/operator/revocations", {"kind": "issuer", "id": issuer})
        assert status == 200
    assert (await machine.renewed(dead)).reason == "revoked"
    assert (await machine.callers.start(0, user_token)).reason == "revoked"
    machine.clock.now += LEEWAY + 11
    assert await machine.callers.is_active(await machine.chain())


async def test_a_chain_begun_by_a_clock_ahead_is_refused_until_its_time_and_revoked_all_the_same(
    machine: Machine,
) -> None:
    machine.clock.now += 3600
    ahead, dead = await machine.chain(), await machine.chain()
    machine.clock.now -= 3600
    assert (await machine.renewed(ahead)).reason == "not_yet_valid"
    assert not await machine.callers.is_active(ahead)
    await machine.revoke(dead)
    machine.clock.now += 3600
    assert (await machine.renewed(ahead)).status == 200
    assert (await machine.renewed(dead)).reason == "revoked"


@pytest.mark.parametrize(("beyond_s", "reason"), [(-5, None), (5, "revoked")])
async def test_nothing_is_started_before_the_store_was_made(
    machine: Machine, beyond_s: int, reason: str | None
) -> None:
    machine.clock.now -= AGE + beyond_s
    assert (await machine.callers.start(0, machine.callers.user_token())).reason == reason
    machine.clock.now += AGE + beyond_s
    assert (await machine.callers.start(0, machine.callers.user_token())).status == 200
