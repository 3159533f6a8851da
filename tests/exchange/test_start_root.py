"""What a start makes of a user's token: the root, its first hop, and their bounds."""

from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE, identity_provider, make_registry
from tests.exchange.world import Parameter, World, claims_of, make_world
from tests.simulator import NOW, USER, Members
from tokensvc.errors import OAuthError, Reason


async def root_of(world: World, token: str | None = None, **parameters: Parameter) -> Members:
    """The root of a start."""
    issued = await world.exchange("planner", world.starting(token, **parameters))
    root: Members = claims_of(issued.access_token)["grant_chain"][0]
    return root


async def with_provider(**members: Any) -> World:  # noqa: ANN401 - any field of UpstreamIssuer
    return await make_world(registry=make_registry(provider=identity_provider(**members)))


async def test_the_root_is_what_the_user_could_authorise(world: World) -> None:
    root = await root_of(world)

    assert root == {
        "iss": ISSUER,
        "sub": USER,
        # `openid` is registered at no resource: leaving it out must never make a hop proper.
        "scope": "crm.delete " + START_SCOPE,
        "resources": [CRM, FILES],
        "max_depth": 5,
        "iat": NOW,
        "exp": NOW + 3600,
        "jti": root["jti"],
    }


async def test_the_first_hop_is_what_was_asked(world: World) -> None:
    root, hop = claims_of(await world.start(scope="crm.read", resource=CRM))["grant_chain"]

    assert hop == {
        "actor": "planner",
        "scope": "crm.read",
        "resources": [CRM],
        "max_depth": 5,
        "iat": NOW,
        "exp": NOW + 3600,
        "jti": hop["jti"],
        "parent": root["jti"],
    }


async def test_each_start_is_a_lineage_of_its_own(world: World) -> None:
    token = world.user_token()

    assert (await root_of(world, token))["jti"] != (await root_of(world, token))["jti"]


async def test_the_users_name_carries_the_prefix_of_its_source() -> None:
    world = await with_provider(subject_prefix="idp|")

    assert (await root_of(world))["sub"] == f"idp|{USER}"


@pytest.mark.parametrize(
    ("session_s", "token_s", "root_lifetime_s", "expected_s"),
    [
        (0, 3600, 28_800, 3600),
        (0, 100_000, 28_800, 28_800),
        (0, 3600, 600, 600),
        (7200, 3600, 28_800, 7200),
        (60, 3600, 28_800, 60),
        (28_800, 3600, 600, 600),
        (7200, 1, 28_800, 7200),
    ],
)
async def test_a_root_ends_with_the_users_token_or_the_session_and_at_the_cap(
    session_s: int, token_s: int, root_lifetime_s: int, expected_s: int
) -> None:
    world = (await with_provider(session_lifetime_s=session_s)).but(root_lifetime_s=root_lifetime_s)
    root = await root_of(world, world.user_token(exp=NOW + token_s))

    assert root["exp"] == NOW + expected_s


async def test_a_user_token_in_its_leeway_gives_no_root_that_has_ended(world: World) -> None:
    for expiry in (NOW, NOW - 29):
        verdict = await world.verdict("planner", world.starting(world.user_token(exp=expiry)))
        assert verdict == (OAuthError.INVALID_REQUEST, Reason.EXPIRED)
    assert await world.verdict("planner", world.starting(world.user_token(exp=NOW + 1))) is None


async def test_the_ceiling_of_the_issuer_bounds_resources_scopes_and_depth() -> None:
    world = await with_provider(ceiling_resources=frozenset({CRM}), ceiling_max_depth=2)
    root = await root_of(world, scope="crm.read", resource=CRM)
    assert (root["resources"], root["max_depth"]) == ([CRM], 2)
    assert root["scope"] == "crm.delete crm.export crm.read crm.write"

    request = world.starting(scope="crm.read", resource=[CRM, FILES])
    assert await world.verdict("planner", request) == (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)
    request = world.starting(scope="crm.read files.read", resource=CRM)
    assert await world.verdict("planner", request) == (OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED)


async def test_the_depth_of_a_root_is_the_least_configured() -> None:
    world = (await with_provider(ceiling_max_depth=4)).but(max_depth=3)

    assert (await root_of(world))["max_depth"] == 3


@pytest.mark.parametrize("scope", ["openid", "openid profile", "CRM.READ", "crm"])
async def test_a_user_token_with_nothing_that_is_registered_starts_nothing(world: World, scope: str) -> None:
    request = world.starting(world.user_token(scope=scope), scope="crm.read")

    assert await world.verdict("planner", request) == (OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED)
    control = world.starting(world.user_token(scope=scope + " crm.read crm.write"), scope="crm.read")
    assert await world.verdict("planner", control) is None


async def test_what_the_user_does_not_hold_is_not_granted(world: World) -> None:
    token = world.user_token(scope="crm.read crm.export")
    for scope in ("crm.write", "crm.read crm.write"):
        refusal = await world.refused("planner", world.starting(token, scope=scope))
        assert (refusal.error, refusal.reason) == (OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED)
        assert "crm.write" in refusal.description
        assert "crm.read" not in refusal.description
    assert await world.verdict("planner", world.starting(token, scope="crm.read")) is None


async def test_the_first_hop_holds_less_than_the_user(world: World) -> None:
    token = world.user_token(scope="crm.read crm.write openid")
    refusal = await world.refused("planner", world.starting(token, scope="crm.write crm.read"))

    assert (refusal.error, refusal.reason) == (OAuthError.INVALID_SCOPE, Reason.NOT_PROPER)
    assert "crm.read crm.write" in refusal.description
    assert await world.verdict("planner", world.starting(token, scope="crm.write")) is None


async def test_a_user_token_with_one_scope_cannot_start(world: World) -> None:
    request = world.starting(world.user_token(scope="crm.read"), scope="crm.read")

    assert await world.verdict("planner", request) == (OAuthError.INVALID_SCOPE, Reason.NOT_PROPER)


@pytest.mark.parametrize("actor", ["researcher", "mailer", "retired", "nobody", USER, "Planner"])
async def test_a_start_is_for_the_client_itself(world: World, actor: str) -> None:
    request = world.starting(requested_actor=actor)

    assert await world.verdict("planner", request) == (OAuthError.INVALID_REQUEST, Reason.DELEGATEE_NOT_ALLOWED)
    assert await world.verdict("planner", world.starting(requested_actor="planner")) is None


async def test_the_agents_own_bounds_hold_from_the_first_hop_on() -> None:
    world = await make_world(registry=make_registry(planner={"max_lifetime_s": 600, "max_depth": 2}))
    root, hop = claims_of(await world.start())["grant_chain"]

    assert (root["exp"], root["max_depth"]) == (NOW + 3600, 5)
    assert (hop["exp"], hop["max_depth"]) == (NOW + 600, 2)


async def test_a_user_of_another_identity_provider_never_has_the_same_name() -> None:
    one = await with_provider(subject_prefix="one|")
    two = await with_provider(subject_prefix="two|")

    assert (await root_of(one))["sub"] != (await root_of(two))["sub"]


async def test_odd_names_of_users_are_carried_as_they_are(world: World) -> None:
    for name in ("\r\nx", "<b>", "é", "\U0001f511", " user-1", "user-1 ", "a" * 500):
        token = await world.exchange("planner", world.starting(world.user_token(sub=name)))
        assert world.read(token.access_token).sub == name


async def test_a_name_that_leaves_no_room_for_a_chain_is_refused_for_size(world: World) -> None:
    request = world.starting(world.user_token(sub="a" * 6000))
    refusal = await world.refused("planner", request)

    assert (refusal.error, refusal.reason) == (OAuthError.INVALID_REQUEST, Reason.TOO_LARGE)
    assert "8000" in refusal.description
