"""Lifetime, depth and size (steps 9 and 13): the least of all bounds, and never more than asked."""

from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, identity_provider, make_registry
from tests.exchange.world import World, claims_of, make_world
from tests.simulator import NOW
from tokensvc.errors import OAuthError, Reason

INVALID = OAuthError.INVALID_REQUEST


async def test_a_hop_ends_with_what_is_above_unless_less_is_asked(world: World) -> None:
    first = await world.start(requested_lifetime_s="1800")
    assert claims_of(first)["grant_chain"][1]["exp"] == NOW + 1800
    assert claims_of(await world.delegate(first))["grant_chain"][2]["exp"] == NOW + 1800
    shorter = await world.delegate(first, requested_lifetime_s="60")
    assert claims_of(shorter)["grant_chain"][2]["exp"] == claims_of(shorter)["exp"] == NOW + 60


@pytest.mark.parametrize(("seconds", "fits"), [("3599", True), ("3600", True), ("3601", False), ("999999", False)])
async def test_a_lifetime_beyond_the_bound_is_refused_and_never_cut(world: World, seconds: str, *, fits: bool) -> None:
    first = await world.start()
    expected = None if fits else (INVALID, Reason.LIFETIME_EXCEEDED)

    assert await world.verdict("planner", world.starting(requested_lifetime_s=seconds)) == expected
    assert await world.verdict("planner", world.delegation(first, requested_lifetime_s=seconds)) == expected
    narrowing = world.renewal(first, scope="crm.read", requested_lifetime_s=seconds)
    assert await world.verdict("planner", narrowing) == expected


async def test_the_refusal_of_a_lifetime_says_what_is_possible(world: World) -> None:
    first = await world.start(requested_lifetime_s="500")
    world.clock.now += 100
    refusal = await world.refused("planner", world.delegation(first, requested_lifetime_s="401"))

    assert "400" in refusal.description
    assert await world.verdict("planner", world.delegation(first, requested_lifetime_s="400")) is None


async def test_the_agents_own_lifetime_counts_from_each_exchange() -> None:
    world = await make_world(registry=make_registry(researcher={"max_lifetime_s": 600}))
    first = await world.start()
    world.clock.now += 3100
    assert claims_of(await world.delegate(first))["grant_chain"][2]["exp"] == NOW + 3600
    world.clock.now -= 2000
    assert claims_of(await world.delegate(first))["grant_chain"][2]["exp"] == NOW + 1700
    refused = world.delegation(first, requested_lifetime_s="601")
    assert await world.verdict("planner", refused) == (INVALID, Reason.LIFETIME_EXCEEDED)


async def test_nothing_is_made_below_a_hop_that_has_ended(world: World) -> None:
    first = await world.start(requested_lifetime_s="100")
    for elapsed, expected in ((99, None), (100, (INVALID, Reason.EXPIRED)), (129, (INVALID, Reason.EXPIRED))):
        world.clock.now = NOW + elapsed
        assert await world.verdict("planner", world.delegation(first)) == expected
        assert await world.verdict("planner", world.renewal(first)) == expected


@pytest.mark.parametrize("ahead_s", [1, 30])
async def test_a_parent_from_a_clock_ahead_within_the_leeway_is_taken(world: World, ahead_s: int) -> None:
    world.clock.now += ahead_s
    first = await world.start()
    world.clock.now -= ahead_s

    second = await world.delegate(first)

    entries = claims_of(second)["grant_chain"]
    assert [entry["iat"] for entry in entries] == [NOW + ahead_s] * 3
    assert claims_of(second)["iat"] == NOW + ahead_s
    assert claims_of(await world.renew(second))["iat"] == NOW + ahead_s


async def test_a_parent_from_a_clock_too_far_ahead_is_refused(world: World) -> None:
    world.clock.now += 31
    first = await world.start()
    world.clock.now -= 31

    assert await world.verdict("planner", world.delegation(first)) == (INVALID, Reason.NOT_YET_VALID)
    world.clock.now += 1
    assert await world.verdict("planner", world.delegation(first)) is None


@pytest.mark.parametrize("cap", ["ceiling", "service", "agent"])
@pytest.mark.parametrize("depth", [1, 2])
async def test_no_hop_is_deeper_than_the_least_of_the_caps(cap: str, depth: int) -> None:
    provider = identity_provider(ceiling_max_depth=depth if cap == "ceiling" else 5)
    agents: dict[str, Any] = {"planner": {"max_depth": depth}} if cap == "agent" else {}
    world = await make_world(registry=make_registry(provider=provider, **agents))
    if cap == "service":
        world = world.but(max_depth=depth)
    token = await world.start()
    if depth == 2:
        token = await world.delegate(token)
        onwards = world.delegation(token, requested_actor="fetcher", scope="crm.read")
    else:
        onwards = world.delegation(token)
    owner = world.read(token).actor

    assert await world.verdict(owner, onwards) == (INVALID, Reason.DEPTH_EXCEEDED)
    assert await world.verdict(owner, world.renewal(token, scope="crm.read")) == (INVALID, Reason.DEPTH_EXCEEDED)
    assert await world.verdict(owner, world.renewal(token)) is None
    wider = await make_world()
    assert len(await wider.chain()) == 3


async def test_an_agent_whose_own_cap_is_above_it_ends_the_chain() -> None:
    # researcher may hold hop 2 although nothing may stand below it.
    world = await make_world(registry=make_registry(researcher={"max_depth": 1}))
    second = await world.delegate(await world.start())
    assert claims_of(second)["grant_chain"][2]["max_depth"] == 1

    onwards = world.delegation(second, requested_actor="fetcher", scope="crm.read")
    assert await world.verdict("researcher", onwards) == (INVALID, Reason.DEPTH_EXCEEDED)
    assert await world.verdict("researcher", world.renewal(second)) is None


async def test_a_chain_deeper_than_the_service_allows_now_is_refused(world: World) -> None:
    _, second, third = await world.chain()
    shallow = world.but(max_depth=2)

    assert await shallow.verdict("fetcher", world.renewal(third)) == (INVALID, Reason.DEPTH_EXCEEDED)
    assert not await shallow.is_active(third)
    assert await shallow.verdict("researcher", world.renewal(second)) is None


async def test_narrowing_again_and_again_ends_at_the_depth_cap(world: World) -> None:
    scopes = ["crm.export", "crm.read", "crm.write", "files.read", "files.write"]
    token = await world.start()
    for count in (4, 3, 2, 1):
        token = await world.renew(token, scope=" ".join(scopes[:count]), resource=CRM if count < 4 else [CRM, FILES])
    assert world.read(token).depth == 5
    assert await world.verdict("planner", world.renewal(token)) is None


async def test_a_token_larger_than_the_cap_is_refused_with_the_number_of_bytes(world: World) -> None:
    first = await world.start()
    second = await world.delegate(first)
    size = len(second)
    exact, short = world.but(max_issued_bytes=size), world.but(max_issued_bytes=size - 1)

    refusal = await short.refused("planner", world.delegation(first))
    assert (refusal.error, refusal.reason) == (INVALID, Reason.TOO_LARGE)
    assert str(size) in refusal.description
    assert str(size - 1) in refusal.description
    assert await exact.verdict("planner", world.delegation(first)) is None
    assert await short.verdict("planner", world.delegation(first, scope="crm.read", resource=CRM)) is None


async def test_the_lifetime_of_a_token_is_the_configured_one_at_most(world: World) -> None:
    for seconds in (1, 60, 900):
        issued = await world.but(token_lifetime_s=seconds).exchange("planner", world.starting())
        assert issued.expires_in == seconds
        assert claims_of(issued.access_token)["exp"] == NOW + seconds


class TestRequestedMaxDepth:
    async def test_it_is_the_highest_hop_that_may_ever_stand_below(self, world: World) -> None:
        first = await world.start(requested_max_depth="2")
        assert claims_of(first)["grant_chain"][1]["max_depth"] == 2
        second = await world.delegate(first)
        assert claims_of(second)["grant_chain"][2]["max_depth"] == 2
        onward = world.delegation(second, requested_actor="fetcher", scope="crm.read")

        assert await world.verdict("researcher", onward) == (OAuthError.INVALID_REQUEST, Reason.DEPTH_EXCEEDED)
        deeper = await world.delegate(await world.start(requested_max_depth="3"))
        onward = world.delegation(deeper, requested_actor="fetcher", scope="crm.read")
        assert await world.verdict("researcher", onward) is None

    async def test_more_than_a_bound_is_refused_and_names_it(self, world: World) -> None:
        first = await world.start(requested_max_depth="3")
        refusal = await world.refused("planner", world.delegation(first, requested_max_depth="4"))

        assert (refusal.reason, refusal.description) == (
            Reason.DEPTH_EXCEEDED,
            "requested_max_depth may be at most 3 here",
        )
        assert await world.verdict("planner", world.delegation(first, requested_max_depth="3")) is None

    async def test_a_renewal_takes_none(self, world: World) -> None:
        first = await world.start()

        for name in ("requested_max_depth", "requested_lifetime_s"):
            request = {**world.renewal(first), name: ("5",)}
            assert await world.verdict("planner", request) == (
                OAuthError.INVALID_REQUEST,
                Reason.PARAMETER_UNSUPPORTED,
            )
        assert await world.verdict("planner", world.renewal(first)) is None
