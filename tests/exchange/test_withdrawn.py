"""What is taken back between two exchanges counts at the next one, although the tokens are still valid."""

from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, agent, identity_provider, make_registry
from tests.exchange.world import World
from tests.simulator import USER, ec_key
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.parties import UpstreamIssuer
from tokensvc.exchange.registry import Registry

NOT_ALLOWED = (OAuthError.INVALID_REQUEST, Reason.DELEGATEE_NOT_ALLOWED)


async def verdicts(world: World, tokens: tuple[str, str, str], **changes: Any) -> list[Any]:  # noqa: ANN401 - see make_registry
    """For renewals of the three tokens of a chain, and a delegation below the second, after the changes."""
    changed = world.but(registry=make_registry(**changes))
    renewals = [await changed.verdict(world.read(token).actor, world.renewal(token)) for token in tokens]
    request = world.delegation(tokens[1], requested_actor="fetcher", scope="crm.read")
    return [*renewals, await changed.verdict("researcher", request)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [None, None, None, None]),
        ({"planner": {"may_delegate_to": frozenset()}}, [None, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        ({"researcher": {"may_delegate_to": frozenset()}}, [None, None, NOT_ALLOWED, NOT_ALLOWED]),
        ({"fetcher": {"may_delegate_to": frozenset()}}, [None, None, None, None]),
        ({"fetcher": {"enabled": False}}, [None, None, NOT_ALLOWED, NOT_ALLOWED]),
        ({"mailer": {"enabled": False}}, [None, None, None, None]),
    ],
)
async def test_permissions_are_looked_at_again_at_every_exchange(
    world: World, changes: dict[str, Any], expected: list[Any]
) -> None:
    assert await verdicts(world, await world.chain(), **changes) == expected


@pytest.mark.parametrize("name", ["planner", "researcher"])
async def test_an_agent_that_is_disabled_takes_everything_below_with_it(world: World, name: str) -> None:
    tokens = await world.chain()
    disabled: dict[str, Any] = {name: {"enabled": False}}
    changed = world.but(registry=make_registry(**disabled))
    for token in tokens[1:]:
        # The service is asked although authentication refuses a disabled agent already.
        assert await changed.verdict(world.read(token).actor, world.renewal(token)) == NOT_ALLOWED


async def test_an_agent_that_was_disabled_after_it_authenticated_gets_nothing(world: World) -> None:
    first = await world.start()
    changed = world.but(registry=make_registry(planner={"enabled": False}))

    assert await changed.verdict("planner", world.renewal(first)) == NOT_ALLOWED
    assert await world.verdict("planner", world.renewal(first)) is None


async def test_an_agent_that_is_gone_is_like_one_that_is_disabled(world: World) -> None:
    tokens = await world.chain()
    changed = world.but(registry=make_registry(drop="planner"))

    assert await changed.verdict("fetcher", world.renewal(tokens[2])) == NOT_ALLOWED


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"scopes": frozenset({"crm.read", "crm.write"})}, (OAuthError.INVALID_SCOPE, Reason.CEILING_EXCEEDED)),
        ({"resources": frozenset({FILES})}, (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)),
        ({"max_lifetime_s": 1, "max_depth": 1}, None),
    ],
)
async def test_a_renewal_is_within_the_ceiling_of_now(
    world: World, members: dict[str, Any], expected: tuple[OAuthError, Reason] | None
) -> None:
    _, second, _ = await world.chain()
    changed = world.but(registry=make_registry(researcher=members))

    assert await changed.verdict("researcher", world.renewal(second)) == expected


async def test_a_resource_that_is_taken_out_is_no_target_any_more(world: World) -> None:
    first = await world.start()
    changed = world.but(registry=make_registry(drop=CRM))

    assert await changed.verdict("planner", world.renewal(first)) == (
        OAuthError.INVALID_TARGET,
        Reason.TARGET_NOT_ALLOWED,
    )
    assert await changed.verdict("planner", world.renewal(first, resource=FILES)) is None


def _other_provider(**members: Any) -> UpstreamIssuer:  # noqa: ANN401 - any field of UpstreamIssuer
    keys = KeySet([ec_key("other-idp").public])
    return identity_provider(iss="https://other-idp.example", keys=keys, **members)


async def test_the_users_of_an_identity_provider_that_is_taken_out_are_refused(world: World) -> None:
    before = world.but(registry=make_registry(provider=identity_provider(subject_prefix="idp|")))
    first = await before.start()
    assert before.read(first).sub == f"idp|{USER}"

    after = world.but(registry=make_registry(provider=_other_provider(subject_prefix="other|")))
    refused = (OAuthError.INVALID_REQUEST, Reason.ROOT_INVALID)
    assert await after.verdict("planner", world.renewal(first)) == refused
    assert await after.verdict("planner", world.delegation(first)) == refused
    assert await before.verdict("planner", world.renewal(first)) is None


async def test_a_user_whose_id_was_given_to_an_agent_is_refused(world: World) -> None:
    first = await world.start()
    registered = world.registry
    registry = Registry(
        agents=[*registered.agents.values(), agent(USER, "crm.read")],
        resources=registered.resources.values(),
        issuers=registered.issuers.values(),
    )

    verdict = await world.but(registry=registry).verdict("planner", world.renewal(first))

    assert verdict == (OAuthError.INVALID_REQUEST, Reason.ROOT_INVALID)
    assert await world.verdict("planner", world.renewal(first)) is None


async def test_an_agent_does_not_hand_on_what_was_taken_from_it(world: World) -> None:
    first = await world.start()
    less = world.but(registry=make_registry(planner={"scopes": frozenset({"crm.read", "crm.write", "crm.export"})}))
    lost = world.delegation(first, scope="crm.read files.read")

    assert await less.verdict("planner", lost) == (OAuthError.INVALID_SCOPE, Reason.CEILING_EXCEEDED)
    assert await less.verdict("planner", world.delegation(first, scope="crm.read", resource=CRM)) is None
    assert await world.verdict("planner", lost) is None

    elsewhere = world.but(registry=make_registry(planner={"resources": frozenset({CRM})}))
    files = world.delegation(first, scope="files.read", resource=FILES)
    assert await elsewhere.verdict("planner", files) == (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)
    assert await world.verdict("planner", files) is None


async def test_a_lower_ceiling_of_the_provider_counts_for_chains_that_run(world: World) -> None:
    first, second, _ = await world.chain()
    lower = world.but(registry=make_registry(provider=identity_provider(ceiling_resources=frozenset({CRM}))))
    target = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)

    assert await lower.verdict("researcher", world.renewal(second, resource=FILES)) == target
    assert await lower.verdict("researcher", world.renewal(second)) is None
    files = world.delegation(first, scope="files.read", resource=FILES)
    assert await lower.verdict("planner", files) == target
    assert await lower.verdict("planner", world.delegation(first, scope="crm.read", resource=CRM)) is None
