"""Delegation: who may be named, who can use the answer, and that it is useless to everybody else."""

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE, agent, make_registry
from tests.exchange.world import World, claims_of, form, make_world
from tests.simulator import USER
from tokensvc.errors import AccessDenied, OAuthError, Reason, TokenRefused
from tokensvc.exchange.registry import Registry

INVALID = OAuthError.INVALID_REQUEST


@pytest.mark.requirement("TE-CHAIN-KEPT")
async def test_a_delegation_adds_one_hop_below_the_others(world: World) -> None:
    first, second, third = await world.chain()
    chains = [claims_of(token)["grant_chain"] for token in (first, second, third)]

    assert chains[1][:2] == chains[0]
    assert chains[2][:3] == chains[1]
    assert chains[2][3]["parent"] == chains[1][2]["jti"]
    assert claims_of(third)["act"] == {"sub": "fetcher", "act": {"sub": "researcher", "act": {"sub": "planner"}}}
    assert {claims_of(token)["sub"] for token in (first, second, third)} == {USER}


async def test_what_is_for_another_agent_is_exchange_only_even_with_one_resource(world: World) -> None:
    first = await world.start()
    for target in ({"resource": CRM}, {"resource": None, "audience": "crm"}, {"resource": [CRM, FILES]}):
        issued = await world.exchange("planner", world.delegation(first, scope="crm.read", **target))
        token = claims_of(issued.access_token)
        assert (token["aud"], token["client_id"]) == (ISSUER, "researcher")


async def test_a_delegation_works_from_a_token_for_a_resource_as_well(world: World) -> None:
    for_crm = await world.renew(await world.start())

    assert world.read(await world.delegate(for_crm)).actors == ("researcher", "planner")


async def test_the_delegator_cannot_use_what_it_got_for_another(world: World) -> None:
    first = await world.start()
    token = await world.delegate(first, scope="crm.read crm.write", resource=CRM)

    # At the token endpoint, under any name.
    for actor in ("planner", "researcher", None):
        request = form(token, requested_actor=actor, scope="crm.read", resource=CRM)
        assert await world.verdict("planner", request) == (INVALID, Reason.NOT_CURRENT_ACTOR)
    # At a resource.
    with pytest.raises(TokenRefused) as refused:
        world.verify(token, CRM, FILES)
    assert refused.value.reason is Reason.WRONG_AUDIENCE
    with pytest.raises(AccessDenied):
        world.verify(token, ISSUER).require(scope="crm.read")
    # At introspection, its own and a resource's.
    for client_id in ("planner", "crm-api", "files-api"):
        assert await world.introspect(token, client_id) == {"active": False}
    # The agent it is for turns it into a token that works.
    usable = await world.renew(token)
    world.verify(usable, CRM).require(scope="crm.read")


async def test_a_stolen_token_cannot_be_exchanged_by_anyone_else(world: World) -> None:
    tokens = [*await world.chain(), await world.renew(await world.start())]
    for token in tokens:
        owner = world.read(token).actor
        for thief in {"planner", "researcher", "fetcher", "mailer"} - {owner}:
            for actor in (None, thief, owner, "mailer"):
                request = form(token, requested_actor=actor, scope="crm.read", resource=CRM)
                assert await world.verdict(thief, request) == (INVALID, Reason.NOT_CURRENT_ACTOR)
        assert await world.verdict(owner, world.renewal(token)) is None


async def test_a_prior_actor_cannot_continue_below_its_delegatee(world: World) -> None:
    _, second, third = await world.chain()
    for client_id, token in (("planner", second), ("planner", third), ("researcher", third)):
        request = world.delegation(token, requested_actor=client_id, scope="crm.read")
        assert await world.verdict(client_id, request) == (INVALID, Reason.NOT_CURRENT_ACTOR)


async def test_who_names_nobody_is_told_to(world: World) -> None:
    # A forgotten parameter must not leave an agent out of the chain, nor `act` out of the token.
    for token in (await world.start(), await world.renew(await world.start())):
        for scope in (START_SCOPE, "crm.read"):
            request = world.renewal(token, requested_actor=None, scope=scope)
            assert await world.verdict("planner", request) == (INVALID, Reason.ACTOR_REQUIRED)
        assert await world.verdict("planner", world.renewal(token)) is None


@pytest.mark.parametrize(
    "name",
    ["mailer", "fetcher", "retired", "nobody", "Researcher", "researcher ", "\uff52esearcher", USER, "crm-api", "web"],
)
async def test_unknown_disabled_and_not_allowed_are_answered_alike(world: World, name: str) -> None:
    first = await world.start()
    refusal = await world.refused("planner", world.delegation(first, requested_actor=name))
    unknown = await world.refused("planner", world.delegation(first, requested_actor="x"))

    assert (refusal.error, refusal.reason) == (INVALID, Reason.DELEGATEE_NOT_ALLOWED)
    assert refusal.description == unknown.description
    assert await world.verdict("planner", world.delegation(first)) is None


async def test_an_agent_in_the_chain_is_not_named_again(world: World) -> None:
    _, second, third = await world.chain()
    loops = [("researcher", second, "planner"), ("fetcher", third, "planner"), ("fetcher", third, "researcher")]
    for client_id, token, name in loops:
        assert world.registry.may_delegate(client_id, name)
        request = world.delegation(token, requested_actor=name, scope="crm.read", resource=CRM)
        assert await world.verdict(client_id, request) == (INVALID, Reason.LOOP)
    control = world.delegation(third, requested_actor="mailer", scope="crm.read", resource=CRM)
    assert await world.verdict("fetcher", control) is None


async def test_a_loop_is_found_behind_a_narrowing_too(world: World) -> None:
    _, second, _ = await world.chain()
    narrowed = await world.renew(second, scope="crm.read crm.write")
    request = world.delegation(narrowed, requested_actor="planner", scope="crm.read", resource=CRM)

    assert await world.verdict("researcher", request) == (INVALID, Reason.LOOP)


async def test_a_delegation_is_within_the_ceiling_of_the_delegatee_not_of_the_delegator(world: World) -> None:
    # planner holds files.write and may delegate it; researcher is not registered for it.
    refusal = await world.refused("planner", world.delegation(await world.start(), scope="crm.read files.write"))

    assert (refusal.error, refusal.reason) == (OAuthError.INVALID_SCOPE, Reason.CEILING_EXCEEDED)
    assert "files.write" in refusal.description
    assert "crm.read" not in refusal.description


async def test_an_agent_that_may_use_no_resource_gets_nothing() -> None:
    world = await make_world(registry=make_registry(researcher={"resources": frozenset({FILES})}))
    first = await world.start()
    refused = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)

    assert await world.verdict("planner", world.delegation(first, scope="crm.read", resource=CRM)) == refused
    assert await world.verdict("planner", world.delegation(first)) == refused
    assert await world.verdict("planner", world.delegation(first, scope="files.read", resource=FILES)) is None


async def test_the_same_chain_of_agents_twice_makes_two_delegations(world: World) -> None:
    first = await world.start()
    hops = [claims_of(await world.delegate(first))["grant_chain"][2]["jti"] for _ in range(3)]

    assert len(set(hops)) == 3


async def test_many_agents_in_a_row_keep_the_user_and_every_actor() -> None:
    scopes = ["crm.read", "crm.write", "crm.export", "files.read", "files.write"]
    names = ["planner", "a", "b", "c", "d"]
    agents = [agent(name, " ".join(scopes), *names[index + 1 : index + 2]) for index, name in enumerate(names)]
    known = make_registry()
    registry = Registry(agents=agents, resources=known.resources.values(), issuers=known.issuers.values())
    world = await make_world(registry=registry)
    token = await world.start()
    for index, name in enumerate(names[1:], start=1):
        wanted = " ".join(scopes[: len(scopes) - index])
        token = await world.delegate(
            token, requested_actor=name, scope=wanted, resource=CRM if index > 2 else [CRM, FILES]
        )

    verified = world.read(token)
    assert verified.actors == tuple(reversed(names))
    assert (verified.sub, verified.depth) == (USER, 5)
    world.verify(await world.renew(token), CRM).require(scope="crm.read")
