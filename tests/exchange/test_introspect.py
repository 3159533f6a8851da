"""Introspection: everything for those it concerns, exactly `{"active": false}` for everyone and everything else."""

from typing import Any

from tests.exchange.parties import CRM, FILES, ISSUER, identity_provider, make_registry
from tests.exchange.world import World, claims_of
from tests.simulator import USER, Simulator, ec_key
from tokensvc.core.keyset import KeySet

INACTIVE = {"active": False}


async def test_the_current_actor_and_the_audience_see_the_claims(world: World) -> None:
    _, second, _ = await world.chain()
    token = await world.renew(second)
    claims = claims_of(token)

    seen = await world.introspect(token, "researcher")

    assert seen == await world.introspect(token, "crm-api")
    assert seen == {**claims, "active": True, "token_type": "Bearer"}
    assert seen["sub"] == USER
    assert seen["act"] == {"sub": "researcher", "act": {"sub": "planner"}}
    assert (seen["aud"], seen["client_id"]) == (CRM, "researcher")


async def test_everyone_else_sees_nothing(world: World) -> None:
    _, second, _ = await world.chain()
    token = await world.renew(second)
    for client_id in ("planner", "fetcher", "mailer", "files-api"):
        assert await world.introspect(token, client_id) == INACTIVE
    for client_id in ("planner", "fetcher", "crm-api", "files-api"):
        assert await world.introspect(second, client_id) == INACTIVE
    assert (await world.introspect(second, "researcher"))["active"] is True


async def test_what_does_not_verify_is_inactive(world: World) -> None:
    token = await world.renew(await world.start())
    forger = Simulator(iss=ISSUER, key=ec_key("service"))
    claims = claims_of(token)
    unlawful = [
        {**claims, "scope": claims["scope"] + " crm.delete"},
        {**claims, "aud": FILES + "/"},
        {**claims, "exp": claims["exp"] + 100_000},
        {**claims, "act": {"sub": "mailer"}},
        {**claims, "cnf": {"jkt": "x" * 43}},
        {name: claim for name, claim in claims.items() if name != "grant_chain"},
    ]
    for bad in ("foo", "", "é", "x" * 100_000, world.user_token(), token[:-1], *map(forger.token, unlawful)):
        assert await world.introspect(bad, "planner") == INACTIVE
    assert (await world.introspect(forger.token(claims), "planner"))["active"] is True


async def test_a_token_is_active_to_its_end_and_not_after(world: World) -> None:
    token = await world.renew(await world.start())
    expiry = claims_of(token)["exp"]
    for moment, active in ((expiry, True), (expiry + 29, True), (expiry + 30, False)):
        world.clock.now = moment
        assert await world.is_active(token) is active


async def test_a_late_pick_up_is_for_the_token_endpoint_only(world: World) -> None:
    first = await world.start()
    world.clock.now += 400

    assert await world.introspect(first, "planner") == INACTIVE
    assert (await world.introspect(await world.renew(first), "planner"))["active"] is True


async def test_a_disabled_agent_anywhere_in_the_chain_ends_it(world: World) -> None:
    _, _, third = await world.chain()
    for name in ("planner", "researcher", "fetcher"):
        disabled: dict[str, Any] = {name: {"enabled": False}}
        changed = world.but(registry=make_registry(**disabled))
        assert not await changed.is_active(third)
    assert await world.but(registry=make_registry(mailer={"enabled": False})).is_active(third)


async def test_a_delegation_that_is_not_allowed_any_more_ends_the_tokens_below_it(world: World) -> None:
    first, second, third = await world.chain()
    withdrawn = world.but(registry=make_registry(planner={"may_delegate_to": frozenset()}))
    renewed = [await world.renew(token) for token in (first, second, third)]

    assert [await withdrawn.is_active(token) for token in renewed] == [True, False, False]
    assert [await world.is_active(token) for token in renewed] == [True, True, True]


async def test_a_resource_or_agent_that_is_taken_out_ends_its_tokens(world: World) -> None:
    token = await world.renew(await world.start())

    assert not await world.but(registry=make_registry(drop=CRM)).is_active(token)
    assert await world.but(registry=make_registry(drop="planner")).introspect(token, "crm-api") == INACTIVE
    assert await world.but(registry=make_registry(drop=FILES)).is_active(token)


async def test_the_users_of_an_identity_provider_that_is_taken_out_are_inactive(world: World) -> None:
    prefixed = world.but(registry=make_registry(provider=identity_provider(subject_prefix="idp|")))
    other = identity_provider(iss="https://other.example", keys=KeySet([ec_key("o").public]), subject_prefix="other|")
    token = await prefixed.start()

    assert await prefixed.is_active(token)
    assert not await world.but(registry=make_registry(provider=other)).is_active(token)


async def test_nobody_can_spoil_the_answer_for_others(world: World) -> None:
    answer = await world.introspect("foo", "planner")
    assert isinstance(answer, dict)
    answer["active"] = True

    assert await world.introspect("foo", "planner") == INACTIVE
