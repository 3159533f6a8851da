"""Scopes (step 11): explicit, exact, properly less, within the ceiling, and with a meaning at the target."""

import pytest

from tests.exchange.parties import CRM, FILES, START_SCOPE, make_registry
from tests.exchange.world import World, claims_of, make_world
from tokensvc.errors import OAuthError, Reason

INVALID = OAuthError.INVALID_SCOPE
HELD = "crm.read crm.write files.read"


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (None, Reason.SCOPE_MISSING),
        (" ", Reason.MALFORMED),
        ("crm.read ", Reason.MALFORMED),
        (" crm.read", Reason.MALFORMED),
        ("crm.read  crm.write", Reason.MALFORMED),
        ("crm.read,crm.write\t", Reason.MALFORMED),
        ("crm.read\ncrm.write", Reason.MALFORMED),
        ('crm."read"', Reason.MALFORMED),
        ("crm\\read", Reason.MALFORMED),
        ("crm.réad", Reason.MALFORMED),
        ("crm.read\x00admin", Reason.MALFORMED),
        (" ".join(f"s{n}" for n in range(257)), Reason.MALFORMED),
        (" ".join(f"s{n}" for n in range(256)), Reason.NOT_NARROWER),
        ("x" * 60_000, Reason.NOT_NARROWER),
        ("crm.read,crm.write", Reason.NOT_NARROWER),
        ("crm.read+crm.write", Reason.NOT_NARROWER),
        ("Crm.read", Reason.NOT_NARROWER),
        ("crm.Read", Reason.NOT_NARROWER),
        ("crm.reader", Reason.NOT_NARROWER),
        ("crm.rea", Reason.NOT_NARROWER),
        ("crm.read:x", Reason.NOT_NARROWER),
        ("crm", Reason.NOT_NARROWER),
        ("crm.*", Reason.NOT_NARROWER),
        ("*", Reason.NOT_NARROWER),
        ("%63rm.read", Reason.NOT_NARROWER),
        ("crm.read%20crm.write", Reason.NOT_NARROWER),
        ("crm.read openid", Reason.NOT_NARROWER),
        ("crm.read crm.delete", Reason.NOT_NARROWER),
        ("crm.read crm.delete crm.read", Reason.NOT_NARROWER),
        ("crm.delete", Reason.NOT_NARROWER),
        ("unknown.scope", Reason.NOT_NARROWER),
    ],
)
@pytest.mark.requirement("OAUTH-SCOPE-INVALID")
async def test_a_scope_that_is_not_plainly_held_is_refused(world: World, scope: str | None, reason: Reason) -> None:
    first = await world.start()

    assert await world.verdict("planner", world.delegation(first, scope=scope)) == (INVALID, reason)
    assert await world.verdict("planner", world.renewal(first, scope=scope)) == (INVALID, reason)
    assert await world.verdict("planner", world.delegation(first, scope=HELD)) is None


@pytest.mark.parametrize("scope", ["crm.read", "files.read crm.read", "crm.read crm.read", HELD])
@pytest.mark.requirement("OAUTH-SCOPE-ECHO")
async def test_less_is_granted_exactly_as_asked_and_echoed(world: World, scope: str) -> None:
    issued = await world.exchange("planner", world.delegation(await world.start(), scope=scope))

    granted = " ".join(sorted(set(scope.split())))
    claims = claims_of(issued.access_token)
    assert (issued.scope, claims["scope"], claims["grant_chain"][2]["scope"]) == (granted, granted, granted)


async def test_as_much_as_the_delegator_holds_is_too_much() -> None:
    everything = frozenset(START_SCOPE.split())
    world = await make_world(registry=make_registry(researcher={"scopes": everything}))
    first = await world.start()
    refusal = await world.refused("planner", world.delegation(first, scope=START_SCOPE))

    assert (refusal.error, refusal.reason) == (INVALID, Reason.NOT_PROPER)
    assert START_SCOPE.split()[0] in refusal.description
    one_less = START_SCOPE.removesuffix(" files.write")
    assert await world.verdict("planner", world.delegation(first, scope=one_less)) is None


async def test_fewer_resources_or_less_time_do_not_make_a_delegation_proper() -> None:
    everything = frozenset(START_SCOPE.split())
    world = await make_world(registry=make_registry(researcher={"scopes": everything}))
    first = await world.start(scope="crm.read crm.write")
    request = world.delegation(first, scope="crm.read crm.write", resource=CRM, requested_lifetime_s="1")

    assert await world.verdict("planner", request) == (INVALID, Reason.NOT_PROPER)


async def test_an_agent_with_one_scope_cannot_delegate(world: World) -> None:
    first = await world.start(scope="crm.read")

    request = world.delegation(first, scope="crm.read", resource=CRM)
    assert await world.verdict("planner", request) == (INVALID, Reason.NOT_PROPER)


async def test_a_scope_dropped_on_the_way_does_not_come_back(world: World) -> None:
    second = await world.delegate(await world.start(), scope="crm.read crm.write")
    for scope in ("files.read", "crm.read files.read"):
        request = world.delegation(second, requested_actor="fetcher", scope=scope)
        assert await world.verdict("researcher", request) == (INVALID, Reason.NOT_NARROWER)
    request = world.delegation(second, requested_actor="fetcher", scope="crm.read")
    assert await world.verdict("researcher", request) is None


async def test_what_is_asked_once_does_not_stick(world: World) -> None:
    first = await world.start()
    await world.delegate(first, scope="crm.read crm.export")

    assert claims_of(await world.delegate(first, scope="crm.read"))["scope"] == "crm.read"


async def test_the_excess_is_named_and_nothing_else(world: World) -> None:
    refusal = await world.refused("planner", world.delegation(await world.start(), scope="crm.read crm.delete b a"))

    assert refusal.description.endswith(": a b crm.delete")


async def test_a_scope_that_does_not_exist_is_refused_like_one_that_is_not_held(world: World) -> None:
    first = await world.start(scope="crm.read crm.write")
    held_by_others = await world.refused("planner", world.delegation(first, scope="files.read"))
    nowhere = await world.refused("planner", world.delegation(first, scope="nothing.at-all"))

    assert (held_by_others.error, held_by_others.reason) == (nowhere.error, nowhere.reason)
    assert held_by_others.description.split(":")[0] == nowhere.description.split(":")[0]


@pytest.mark.requirement("OAUTH-SCOPE-INVALID")
async def test_a_scope_beyond_the_registered_ceiling_of_the_client_is_refused_at_the_start(world: World) -> None:
    refusal = await world.refused("planner", world.starting(scope="crm.read crm.delete"))

    assert (refusal.error, refusal.reason) == (INVALID, Reason.CEILING_EXCEEDED)
    assert refusal.description.endswith(": crm.delete")


@pytest.mark.parametrize(
    ("scope", "resource", "expected"),
    [
        ("crm.read", CRM, None),
        ("crm.read", [CRM, FILES], None),
        ("crm.read files.read", [CRM, FILES], None),
        ("crm.read", FILES, (INVALID, Reason.TARGET_NOT_ALLOWED)),
        ("crm.read files.read", CRM, (INVALID, Reason.TARGET_NOT_ALLOWED)),
        ("crm.read files.read", FILES, (INVALID, Reason.TARGET_NOT_ALLOWED)),
    ],
)
@pytest.mark.requirement("RFC9068-SCOPE-RESOURCE")
async def test_each_scope_has_a_meaning_at_one_of_the_targets(
    world: World, scope: str, resource: str | list[str], expected: tuple[OAuthError, Reason] | None
) -> None:
    first = await world.start()

    assert await world.verdict("planner", world.starting(scope=scope, resource=resource)) == expected
    assert await world.verdict("planner", world.delegation(first, scope=scope, resource=resource)) == expected


async def test_a_renewal_for_one_resource_keeps_every_scope_of_its_hop(world: World) -> None:
    renewed = await world.renew(await world.start(), resource=FILES)

    assert claims_of(renewed)["scope"] == " ".join(sorted(START_SCOPE.split()))
