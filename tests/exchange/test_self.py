"""What an agent gets for itself: renewal of its hop, and narrowing by a hop of its own."""

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE, make_registry
from tests.exchange.world import Parameter, World, claims_of, make_world
from tests.simulator import NOW
from tokensvc.errors import OAuthError, Reason

INVALID = OAuthError.INVALID_REQUEST


async def test_a_renewal_keeps_the_chain_and_makes_a_new_token(world: World) -> None:
    _, second, _ = await world.chain()
    world.clock.now += 100
    renewed = claims_of(await world.renew(second))

    assert renewed["grant_chain"] == claims_of(second)["grant_chain"]
    assert renewed["act"] == claims_of(second)["act"]
    assert renewed["jti"] != claims_of(second)["jti"]
    assert (renewed["aud"], renewed["iat"], renewed["exp"]) == (CRM, NOW + 100, NOW + 400)


@pytest.mark.parametrize(
    ("target", "aud"),
    [
        ({"resource": CRM}, CRM),
        ({"resource": FILES}, FILES),
        ({"resource": [FILES, FILES]}, FILES),
        ({"resource": None, "audience": "files"}, FILES),
        ({"resource": None, "audience": None}, CRM),
        ({"resource": ISSUER}, ISSUER),
        ({"resource": [ISSUER, ISSUER]}, ISSUER),
        ({"resource": [CRM, FILES]}, ISSUER),
    ],
)
async def test_a_renewal_is_for_one_resource_of_the_hop_or_for_the_token_endpoint(
    world: World, target: dict[str, Parameter], aud: str
) -> None:
    first = await world.start()
    renewed = claims_of(await world.renew(first, **target))

    assert (renewed["aud"], renewed["grant_chain"]) == (aud, claims_of(first)["grant_chain"])


async def test_the_scopes_of_a_renewal_are_a_set(world: World) -> None:
    first = await world.start()
    for scope in (" ".join(reversed(START_SCOPE.split())), START_SCOPE + " crm.read"):
        assert len(claims_of(await world.renew(first, scope=scope))["grant_chain"]) == 2


async def test_less_scope_is_a_hop_of_the_same_agent(world: World) -> None:
    _, second, _ = await world.chain()
    narrowed = await world.renew(second, scope="crm.read")

    verified = world.verify(narrowed, CRM)
    assert verified.actors == ("researcher", "researcher", "planner")
    assert verified.scope == {"crm.read"}
    assert claims_of(narrowed)["grant_chain"][:3] == claims_of(second)["grant_chain"]
    # It adds a token: the older, wider one still renews.
    assert world.read(await world.renew(second)).scope == {"crm.read", "crm.write", "files.read"}


async def test_a_narrowed_token_never_widens_again(world: World) -> None:
    first = await world.start()
    narrowed = await world.renew(first, scope="crm.read crm.write")
    for scope in (START_SCOPE, "crm.export", "crm.read crm.export"):
        verdict = await world.verdict("planner", world.renewal(narrowed, scope=scope))
        assert verdict == (OAuthError.INVALID_SCOPE, Reason.NOT_NARROWER)
    for resource in (FILES, [CRM, FILES]):
        verdict = await world.verdict("planner", world.renewal(narrowed, resource=resource))
        assert verdict == (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)
    assert await world.verdict("planner", world.renewal(narrowed)) is None
    assert await world.verdict("planner", world.renewal(narrowed, scope="crm.read")) is None


async def test_a_narrowed_hop_may_be_delegated_below(world: World) -> None:
    first = await world.start()
    narrowed = await world.renew(first, scope="crm.read crm.write")
    token = await world.delegate(narrowed, scope="crm.read", resource=CRM)

    assert world.read(token).actors == ("researcher", "planner", "planner")


async def test_the_issuer_is_named_in_a_renewal_only(world: World) -> None:
    first = await world.start()
    refused = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)

    assert await world.verdict("planner", world.renewal(first, resource=ISSUER, scope="crm.read")) == refused
    assert await world.verdict("planner", world.renewal(first, resource=[ISSUER, CRM])) == refused
    assert await world.verdict("planner", world.renewal(first, resource=ISSUER, audience="crm")) == refused
    assert await world.verdict("planner", world.renewal(first, resource=None, audience=ISSUER)) == refused
    assert await world.verdict("planner", world.delegation(first, resource=ISSUER)) == refused
    assert await world.verdict("planner", world.starting(resource=ISSUER)) == refused
    assert await world.verdict("planner", world.renewal(first, resource=ISSUER)) is None


async def test_a_renewal_takes_no_lifetime(world: World) -> None:
    first = await world.start()
    request = world.renewal(first, requested_lifetime_s="60")

    assert await world.verdict("planner", request) == (INVALID, Reason.PARAMETER_UNSUPPORTED)
    narrowed = await world.renew(first, scope="crm.read", requested_lifetime_s="60")
    assert claims_of(narrowed)["grant_chain"][2]["exp"] == NOW + 60


async def test_a_hundred_renewals_never_pass_the_hop(world: World) -> None:
    token = await world.start(requested_lifetime_s="3000")
    end = claims_of(token)["grant_chain"][1]["exp"]
    assert end == NOW + 3000
    for _ in range(100):
        world.clock.now += 29
        token = await world.renew(token, resource=ISSUER)
        claims = claims_of(token)
        assert claims["exp"] == min(end, world.clock.now + 300)
        assert claims["grant_chain"][1]["exp"] == end
    world.clock.now = end - 1
    token = await world.renew(token)
    assert claims_of(token)["exp"] == end
    world.clock.now = end
    assert await world.verdict("planner", world.renewal(token)) == (INVALID, Reason.EXPIRED)


async def test_a_renewal_of_a_child_never_passes_the_child(world: World) -> None:
    first = await world.start()
    second = await world.delegate(first, requested_lifetime_s="400")
    for elapsed, expected in ((200, 400), (399, 400)):
        world.clock.now = NOW + elapsed
        assert claims_of(await world.renew(second))["exp"] == NOW + expected
    world.clock.now = NOW + 400
    assert await world.verdict("researcher", world.renewal(second)) == (INVALID, Reason.EXPIRED)
    assert await world.verdict("planner", world.renewal(first)) is None


async def test_an_exchange_only_token_is_picked_up_late_while_its_hop_lives(world: World) -> None:
    first = await world.start()
    second = await world.delegate(first, requested_lifetime_s="2000")
    for elapsed in (299, 329, 330, 1000, 1999):
        world.clock.now = NOW + elapsed
        assert await world.verdict("researcher", world.renewal(second)) is None
        assert await world.verdict("researcher", world.renewal(second, scope="crm.read")) is None
        onwards = world.delegation(second, requested_actor="fetcher", scope="crm.read")
        assert await world.verdict("researcher", onwards) is None
    for elapsed in (2000, 2001, 2029, 2030, 99_999):
        world.clock.now = NOW + elapsed
        assert await world.verdict("researcher", world.renewal(second)) == (INVALID, Reason.EXPIRED)


async def test_a_token_for_a_resource_is_not_taken_late(world: World) -> None:
    first = await world.start()
    for_crm = await world.renew(first)
    for elapsed, expected in ((299, None), (329, None), (330, (INVALID, Reason.EXPIRED))):
        world.clock.now = NOW + elapsed
        assert await world.verdict("planner", world.renewal(for_crm)) == expected
        assert await world.verdict("planner", world.delegation(for_crm)) == expected
    assert await world.verdict("planner", world.renewal(first)) is None


async def test_a_late_token_is_no_less_refused_for_anything_else(world: World) -> None:
    first, second, _ = await world.chain()
    world.clock.now += 1000
    assert await world.verdict("mailer", world.renewal(second)) == (INVALID, Reason.NOT_CURRENT_ACTOR)
    assert await world.verdict("planner", world.renewal(second)) == (INVALID, Reason.NOT_CURRENT_ACTOR)

    await world.revoke(first, "planner")
    assert await world.verdict("researcher", world.renewal(second)) == (INVALID, Reason.REVOKED)


async def test_nobody_picks_up_for_an_agent_that_may_not_be_delegated_to_any_more() -> None:
    world = await make_world()
    second = await world.delegate(await world.start())
    world.clock.now += 1000
    changed = world.but(registry=make_registry(planner={"may_delegate_to": frozenset({"mailer"})}))

    assert await changed.verdict("researcher", world.renewal(second)) == (INVALID, Reason.DELEGATEE_NOT_ALLOWED)
    assert await world.verdict("researcher", world.renewal(second)) is None
