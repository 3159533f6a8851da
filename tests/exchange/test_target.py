"""Targets (step 10): exact names, all or nothing, and what the token's audience becomes."""

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, identity_provider, make_registry
from tests.exchange.world import Parameter, World, claims_of, make_world
from tokensvc.errors import OAuthError, Reason

REFUSED = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)


@pytest.mark.parametrize(
    ("target", "aud", "resources"),
    [
        ({"resource": CRM}, CRM, [CRM]),
        ({"resource": [CRM, CRM]}, CRM, [CRM]),
        ({"resource": None, "audience": "crm"}, CRM, [CRM]),
        ({"resource": CRM, "audience": ["crm", "crm"]}, CRM, [CRM]),
        ({"resource": None}, CRM, [CRM]),
        ({"resource": [CRM, FILES]}, ISSUER, [CRM, FILES]),
        ({"resource": FILES, "audience": "crm"}, ISSUER, [CRM, FILES]),
        ({"resource": None, "audience": ["crm", "files"]}, ISSUER, [CRM, FILES]),
    ],
)
@pytest.mark.requirement("RESOURCE-AUDIENCE")
async def test_one_target_is_the_audience_and_several_are_exchange_only(
    world: World, target: dict[str, Parameter], aud: str, resources: list[str]
) -> None:
    token = claims_of(await world.start(scope="crm.read", **target))

    assert (token["aud"], token["grant_chain"][1]["resources"]) == (aud, resources)


@pytest.mark.requirement("RFC9068-DEFAULT-RESOURCE")
async def test_without_a_target_the_default_of_the_client_counts_and_never_all(world: World) -> None:
    first = await world.start()
    second = await world.delegate(first, scope="crm.read crm.write", resource=None)
    assert claims_of(second)["grant_chain"][2]["resources"] == [CRM]

    refusal = await world.refused("researcher", world.renewal(second, resource=None))
    assert (refusal.error, refusal.reason) == REFUSED
    assert "default_resource" in refusal.description
    assert await world.verdict("researcher", world.renewal(second)) is None


async def test_a_default_is_nothing_more_than_a_target(world: World) -> None:
    for_files = await world.start(scope="files.read files.write", resource=FILES)

    assert await world.verdict("planner", world.renewal(for_files, resource=None)) == REFUSED
    assert await world.verdict("planner", world.renewal(for_files, resource=FILES)) is None


@pytest.mark.parametrize(
    "target",
    [
        {"resource": CRM + "/"},
        {"resource": CRM.upper()},
        {"resource": "https://crm.example:443/api"},
        {"resource": "https://CRM.example/api"},
        {"resource": "https://crm.example/%61pi"},
        {"resource": "https://crm.example/./api"},
        {"resource": "https://crm.example/api?"},
        {"resource": CRM + "#x"},
        {"resource": CRM + " "},
        {"resource": f"{CRM} {FILES}"},
        {"resource": "https://crm.example/*"},
        {"resource": "https://crm.example"},
        {"resource": "crm"},
        {"resource": "*"},
        {"resource": "/api"},
        {"resource": "https://unknown.example"},
        {"resource": [CRM, "https://unknown.example"]},
        {"resource": [CRM, "x"]},
        {"audience": "unknown"},
        {"audience": "CRM"},
        {"audience": "*"},
        {"audience": CRM},
        {"audience": ["crm", "unknown"]},
        {"audience": "crm-api"},
        {"audience": "planner"},
        {"audience": ISSUER},
        {"audience": [f"name-{n}" for n in range(60)]},
        {"resource": [f"https://{n}.example" for n in range(60)]},
    ],
)
@pytest.mark.requirement("TE-TARGETS-ALL", "RESOURCE-INVALID")
async def test_one_target_that_is_unknown_refuses_them_all(world: World, target: dict[str, Parameter]) -> None:
    first = await world.start()
    for request in (
        world.starting(scope="crm.read", **target),
        world.delegation(first, **{"scope": "crm.read", **target}),
        world.renewal(first, **target),
        world.renewal(first, **{"scope": "crm.read", **target}),
    ):
        assert await world.verdict("planner", request) == REFUSED
    assert await world.verdict("planner", world.delegation(first)) is None


@pytest.mark.requirement("RESOURCE-INVALID")
async def test_a_target_that_was_not_delegated_is_refused_like_an_unknown_one(world: World) -> None:
    for_crm = await world.start(scope="crm.read crm.write", resource=CRM)
    known = await world.refused("planner", world.delegation(for_crm, scope="crm.read", resource=FILES))
    unknown = await world.refused("planner", world.delegation(for_crm, scope="crm.read", resource="urn:unknown"))

    assert (known.error, known.reason) == REFUSED
    assert (known.error, known.reason, known.description) == (unknown.error, unknown.reason, unknown.description)
    assert await world.verdict("planner", world.delegation(for_crm, scope="crm.read", resource=CRM)) is None


@pytest.mark.requirement("RESOURCE-SUBSET")
async def test_a_resource_dropped_on_the_way_does_not_come_back(world: World) -> None:
    second = await world.delegate(await world.start(), scope="crm.read crm.write", resource=CRM)
    for resource in (FILES, [CRM, FILES]):
        request = world.delegation(second, requested_actor="fetcher", scope="crm.read", resource=resource)
        assert await world.verdict("researcher", request) == REFUSED
    request = world.delegation(second, requested_actor="fetcher", scope="crm.read", resource=CRM)
    assert await world.verdict("researcher", request) is None


async def test_a_target_that_the_ceiling_names_but_nobody_registered_is_refused() -> None:
    ghost = "https://ghost.example"
    ceiling = identity_provider(ceiling_resources=frozenset({CRM, ghost}))
    both = frozenset({CRM, ghost})
    world = await make_world(registry=make_registry(provider=ceiling, planner={"resources": both}))

    assert await world.verdict("planner", world.starting(scope="crm.read", resource=ghost)) == REFUSED
    assert await world.verdict("planner", world.starting(scope="crm.read", resource=CRM)) is None


async def test_the_prior_actors_target_is_gone_after_the_hop(world: World) -> None:
    # The audience shifts, it does not grow.
    for_crm = await world.start(scope="crm.read crm.write", resource=CRM)
    second = await world.delegate(for_crm, scope="crm.read", resource=CRM)

    assert claims_of(for_crm)["aud"] == CRM
    assert claims_of(second)["aud"] == ISSUER
