"""Revocation: who may, what dies, what lives on, and what is answered with nothing."""

from dataclasses import replace

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, make_registry
from tests.exchange.world import World, claims_of
from tests.simulator import Simulator, ec_key
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.service import new_id
from tokensvc.ports import Committed, OneTimeValue, Outcome


async def may_revoke(world: World, token: str, client_id: str, *, hop: str | None = None) -> bool:
    """False when the caller is told that it may not."""
    try:
        await world.revoke(token, client_id, hop=hop)
    except OAuthRefused as refusal:
        if (refusal.error, refusal.reason) != (OAuthError.UNAUTHORIZED_CLIENT, None):
            raise
        return False
    return True


async def test_a_revoked_hop_takes_every_descendant_with_it_and_nothing_else(world: World) -> None:
    first, second, third = await world.chain()
    renewed = [await world.renew(second), await world.renew(third)]
    narrowed = await world.renew(second, scope="crm.write")
    sibling = await world.delegate(first, scope="crm.read")
    start_over = await world.start()

    await world.revoke(renewed[0], "researcher")

    assert [await world.is_active(token) for token in (second, third, *renewed, narrowed)] == [False] * 5
    assert [await world.is_active(token) for token in (first, sibling, start_over)] == [True] * 3
    for token in (second, third):
        verdict = await world.verdict(world.read(token).actor, world.renewal(token))
        assert verdict == (OAuthError.INVALID_REQUEST, Reason.REVOKED)
    assert await world.verdict("planner", world.delegation(first)) is None


async def test_a_narrowed_hop_dies_alone_and_the_wider_one_still_renews(world: World) -> None:
    first = await world.start()
    narrowed = await world.renew(first, scope="crm.read")

    await world.revoke(narrowed, "planner")

    assert not await world.is_active(narrowed)
    assert await world.is_active(await world.renew(first))


@pytest.mark.parametrize(
    ("client_id", "index", "allowed"),
    [
        ("fetcher", 3, True),
        ("fetcher", 2, False),
        ("fetcher", 1, False),
        ("researcher", 3, True),
        ("researcher", 2, True),
        ("researcher", 1, False),
        ("planner", 3, True),
        ("planner", 2, True),
        ("planner", 1, True),
        ("mailer", 3, False),
        ("crm-api", 3, False),
        ("files-api", 1, False),
    ],
)
async def test_a_hop_is_revoked_by_its_own_agent_and_those_above(
    world: World, client_id: str, index: int, *, allowed: bool
) -> None:
    tokens = await world.chain()
    hop = world.read(tokens[2]).chain.hops[index - 1].jti

    assert await may_revoke(world, tokens[2], client_id, hop=hop) is allowed

    alive = [await world.is_active(token) for token in tokens]
    assert alive == [position < index or not allowed for position in (1, 2, 3)]


async def test_without_hop_the_last_one_is_revoked(world: World) -> None:
    first, second, third = await world.chain()

    await world.revoke(third, "planner")

    assert [await world.is_active(token) for token in (first, second, third)] == [True, True, False]


async def test_a_root_is_nobodys_to_revoke_here(world: World) -> None:
    tokens = await world.chain()
    for client_id in ("planner", "researcher", "fetcher", "mailer", "crm-api"):
        assert not await may_revoke(world, tokens[2], client_id, hop=world.read(tokens[2]).lineage)

    assert all([await world.is_active(token) for token in tokens])


@pytest.mark.parametrize("hop", ["", "x", "A" * 22, "\x00"])
async def test_a_hop_that_is_not_in_the_chain_is_invalid_to_agents_of_the_chain_only(world: World, hop: str) -> None:
    token = await world.start()
    with pytest.raises(OAuthRefused) as caught:
        await world.revoke(token, "planner", hop=hop)
    assert (caught.value.error, caught.value.reason) == (OAuthError.INVALID_REQUEST, Reason.PARAMETER_INVALID)

    assert not await may_revoke(world, token, "mailer", hop=hop)
    assert await world.is_active(token)


async def test_a_hop_of_another_chain_is_not_revoked(world: World) -> None:
    token, other = await world.start(), await world.start()
    with pytest.raises(OAuthRefused):
        await world.revoke(token, "planner", hop=world.read(other).chain.leaf.jti)

    assert await world.is_active(other)


async def test_an_expired_token_still_revokes(world: World) -> None:
    first, second, third = await world.chain()
    world.clock.now += 1000
    assert not await world.is_active(second)
    assert await world.verdict("fetcher", world.renewal(third)) is None

    await world.revoke(second, "researcher")

    assert await world.verdict("fetcher", world.renewal(third)) == (OAuthError.INVALID_REQUEST, Reason.REVOKED)
    assert await world.verdict("planner", world.delegation(first)) is None


async def test_a_token_from_a_clock_that_ran_ahead_revokes_as_well(world: World) -> None:
    world.clock.now += 120
    token = await world.start()
    world.clock.now -= 120
    refusal = await world.refused("planner", world.renewal(token))
    assert refusal.reason is Reason.NOT_YET_VALID

    await world.revoke(token, "planner")

    world.clock.now += 120
    assert not await world.is_active(token)
    assert await world.verdict("planner", world.renewal(token)) == (OAuthError.INVALID_REQUEST, Reason.REVOKED)


async def test_a_token_for_a_resource_that_was_taken_out_revokes_what_lives_on(world: World) -> None:
    first = await world.start()
    for_files = await world.renew(first, resource=FILES)
    without_files = world.but(registry=make_registry(drop=FILES))
    assert not await without_files.is_active(for_files)

    await without_files.revoke(for_files, "planner")

    assert not await without_files.is_active(first)
    refusal = await without_files.refused("planner", world.renewal(first))
    assert refusal.reason is Reason.REVOKED


async def test_a_token_deeper_than_the_service_allows_now_still_revokes(world: World) -> None:
    _, _, third = await world.chain()

    await world.but(max_depth=1).revoke(third, "planner", hop=world.read(third).chain.hops[0].jti)

    assert not await world.is_active(third)


async def test_a_disabled_agent_in_the_chain_keeps_nobody_from_revoking(world: World) -> None:
    _, second, third = await world.chain()
    changed = world.but(registry=make_registry(researcher={"enabled": False}))

    await changed.revoke(third, "planner", hop=world.read(second).chain.leaf.jti)

    assert not await world.is_active(third)


async def test_what_is_no_token_of_ours_is_answered_with_silence_and_stores_nothing(world: World) -> None:
    token = await world.start()
    stored = list(world.store.records)
    stranger = Simulator(iss=ISSUER, key=ec_key("stranger")).token(claims_of(token))
    widened = Simulator(iss=ISSUER, key=ec_key("service")).token({**claims_of(token), "scope": "crm.delete"})
    header, payload, signature = token.split(".")
    for unknown in ("foo", "", "é", "a.b.c", "x" * 100_000, world.user_token(), stranger, widened, token[:-1]):
        await world.revoke(unknown, "planner")
    await world.revoke(f"{header}.{payload}.", "planner")
    await world.revoke(f"{payload}.{header}.{signature}", "planner")

    assert world.store.records == stored
    assert await world.is_active(token)


async def test_a_token_under_a_retired_key_still_revokes(world: World) -> None:
    token = await world.start()
    world.signer.keys.append(ec_key("service-2"))
    assert await world.is_active(token)

    await world.revoke(token, "planner")

    assert not await world.is_active(token)


async def test_a_revocation_is_kept_until_nothing_below_can_be_valid(world: World) -> None:
    first = await world.start()
    end = world.read(first).chain.leaf.authority.exp
    world.clock.now = end - 10
    last = await world.renew(first)
    await world.revoke(last, "planner")
    for moment in (end - 1, end, end + 29):
        world.clock.now = moment
        await fill(world)
        # By its own clock it would be good up to the leeway.
        assert world.verify(last, CRM).exp == end
        assert not await world.is_active(last)
        assert await world.verdict("planner", world.renewal(first)) is not None


async def fill(world: World) -> None:
    """Write so much into the store that it forgets what it may forget."""
    now = world.clock.now
    values = tuple(OneTimeValue(value=new_id(), until=now, made=now) for _ in range(1001))
    record = replace(world.store.records[0], id=new_id())
    assert await world.store.commit(claims=values, unless_revoked=(), record=record, now=now) is Committed.STORED


async def test_revoking_again_changes_nothing_and_is_recorded_again(world: World) -> None:
    token = await world.start()
    await world.revoke(token, "planner")
    await world.revoke(token, "planner")

    revoked = [record for record in world.store.records if record.outcome is Outcome.REVOKED]
    assert len(revoked) == 2
    assert not await world.is_active(token)


async def test_a_revocation_records_who_what_and_the_chain(world: World) -> None:
    first, second, _ = await world.chain()
    hop = world.read(second).chain.leaf.jti

    await world.revoke(second, "planner", hop=hop)

    record = world.store.records[-1]
    assert (record.outcome, record.client_id, record.at) == (Outcome.REVOKED, "planner", world.clock.now)
    assert record.lineage == world.read(first).lineage
    assert record.inputs["revoked"] == hop
    assert record.inputs["configuration"] == world.terms.configuration


@pytest.mark.parametrize(("client_id", "which"), [("mailer", "leaf"), ("crm-api", "leaf"), ("planner", "root")])
async def test_a_revocation_that_is_refused_is_recorded_before_the_answer(
    world: World, client_id: str, which: str
) -> None:
    token = world.read(await world.start())
    presented = await world.start(resource=CRM, scope="crm.read")
    hop = world.read(presented).lineage if which == "root" else None
    with pytest.raises(OAuthRefused) as caught:
        await world.revoke(presented, client_id, hop=hop)

    record = await world.store.find(caught.value.record or "")
    assert record is not None
    assert (record.outcome, record.client_id) == (Outcome.REFUSED, client_id)
    assert record.lineage == world.read(presented).lineage != token.lineage
