"""Accept: the server of a resource goes on with what was presented to it, as an MCP server does."""

from dataclasses import replace
from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, agent, identity_provider, make_registry
from tests.exchange.world import World, claims_of, make_world
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.registry import Registry

INVALID = OAuthError.INVALID_REQUEST
PRESENTED_SCOPE = "crm.read files.read files.write"


def registry_with(**server: Any) -> Registry:  # noqa: ANN401 - any field of Agent
    """`gateway` serves the CRM and goes on at the files; planner and researcher may hand on to it."""
    known = make_registry(
        planner={"may_delegate_to": frozenset({"researcher", "gateway", "fetcher"})},
        researcher={"may_delegate_to": frozenset({"gateway", "fetcher"})},
    )
    gateway = agent(
        "gateway",
        "crm.read files.read files.write",
        "fetcher",
        serves=frozenset({CRM}),
        downstream_resources=frozenset({FILES}),
    )
    return Registry(
        agents=[*known.agents.values(), replace(gateway, **server)],
        resources=known.resources.values(),
        issuers=[identity_provider()],
    )


@pytest.fixture
async def world() -> World:
    return await make_world(registry=registry_with())


async def presented(world: World, **parameters: Any) -> str:  # noqa: ANN401 - a form parameter
    """A token of planner for the CRM, below a hop that names the files as well."""
    start = await world.start(scope=PRESENTED_SCOPE, resource=[CRM, FILES])
    return await world.renew(start, scope=PRESENTED_SCOPE, **parameters)


def accepting(world: World, token: str, **parameters: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    plain = {"requested_actor": None, "scope": "files.read", "resource": FILES}
    return dict(world.delegation(token, **{**plain, **parameters}))


async def test_the_server_gets_a_token_for_a_downstream_resource_below_the_presented_hop(world: World) -> None:
    token = await presented(world)
    issued = await world.exchange("gateway", accepting(world, token))

    claims = claims_of(issued.access_token)
    above, hop = claims["grant_chain"][-2:]
    assert (claims["aud"], claims["client_id"], claims["sub"]) == (FILES, "gateway", claims_of(token)["sub"])
    assert claims["act"] == {"sub": "gateway", "act": {"sub": "planner"}}
    assert (hop["actor"], hop["parent"], hop["scope"]) == ("gateway", above["jti"], "files.read")
    assert world.verify(issued.access_token, FILES).depth == 2
    assert world.store.records[-1].inputs["shape"] == "accept"


async def test_naming_itself_changes_nothing(world: World) -> None:
    token = await presented(world)

    assert await world.verdict("gateway", accepting(world, token, requested_actor="gateway")) is None


async def test_its_hop_ends_with_the_presented_token_and_no_renewal_passes_it(world: World) -> None:
    token = await presented(world)
    end = claims_of(token)["exp"]
    assert end < claims_of(token)["grant_chain"][-1]["exp"]
    world.clock.now += 100
    issued = (await world.exchange("gateway", accepting(world, token))).access_token
    assert claims_of(issued)["grant_chain"][-1]["exp"] == claims_of(issued)["exp"] == end

    renewal = world.renewal(issued, resource=FILES)
    world.clock.now = end - 1
    assert await world.verdict("gateway", renewal) is None
    world.clock.now = end
    assert await world.verdict("gateway", renewal) == (INVALID, Reason.EXPIRED)


@pytest.mark.parametrize(
    ("late_s", "reason"), [(-1, None), (0, Reason.EXPIRED), (29, Reason.EXPIRED), (30, Reason.EXPIRED)]
)
async def test_a_presented_token_past_its_end_lends_nothing(world: World, late_s: int, reason: Reason | None) -> None:
    token = await presented(world)
    world.clock.now = claims_of(token)["exp"] + late_s

    verdict = await world.verdict("gateway", accepting(world, token))
    assert verdict == (None if reason is None else (INVALID, reason))


class TestNobodyElse:
    async def test_a_token_for_another_resource_is_not_its_to_go_on_with(self, world: World) -> None:
        elsewhere = await presented(world, resource=FILES)
        exchange_only = await presented(world, resource=ISSUER)
        for token in (elsewhere, exchange_only):
            assert await world.verdict("gateway", accepting(world, token)) == (INVALID, Reason.NOT_CURRENT_ACTOR)
        assert await world.verdict("gateway", accepting(world, await presented(world))) is None

    @pytest.mark.parametrize("client", ["researcher", "fetcher", "mailer"])
    async def test_an_agent_that_does_not_serve_the_resource_is_a_thief(self, world: World, client: str) -> None:
        token = await presented(world)

        assert await world.verdict(client, accepting(world, token)) == (INVALID, Reason.NOT_CURRENT_ACTOR)
        assert await world.verdict("gateway", accepting(world, token)) is None

    async def test_the_server_cannot_send_another_agent(self, world: World) -> None:
        token = await presented(world)
        for other in ("fetcher", "planner", "nobody"):
            request = accepting(world, token, requested_actor=other)
            assert await world.verdict("gateway", request) == (INVALID, Reason.NOT_CURRENT_ACTOR)
        assert await world.verdict("gateway", accepting(world, token)) is None

    async def test_the_delegator_has_to_be_allowed_to_hand_on_to_it(self, world: World) -> None:
        token = await presented(world)
        forbidden = world.but(
            registry=Registry(
                agents=[
                    replace(one, may_delegate_to=one.may_delegate_to - {"gateway"})
                    for one in world.registry.agents.values()
                ],
                resources=world.registry.resources.values(),
                issuers=[identity_provider()],
            )
        )
        request = accepting(world, token)
        assert await forbidden.verdict("gateway", request) == (INVALID, Reason.DELEGATEE_NOT_ALLOWED)
        assert await world.verdict("gateway", request) is None

    async def test_a_server_that_is_in_the_chain_already_is_a_loop(self, world: World) -> None:
        both = registry_with(downstream_resources=frozenset({CRM, FILES}))
        world = world.but(registry=both)
        start = await world.start(scope=PRESENTED_SCOPE)
        passed = await world.delegate(start, requested_actor="gateway", scope="crm.read files.read")
        its_own = await world.renew(passed)
        # It is the current actor of its own token, and is asked whom the next one is for.
        assert await world.verdict("gateway", accepting(world, its_own)) == (INVALID, Reason.ACTOR_REQUIRED)

        further = await world.delegate(its_own, requested_actor="fetcher", scope="crm.read")
        again = await world.renew(further)
        allowed = world.but(registry=self.with_fetcher_allowed(both))
        assert await allowed.verdict("gateway", accepting(world, again)) == (INVALID, Reason.LOOP)
        assert await allowed.verdict("gateway", accepting(world, await presented(world))) is None

    @staticmethod
    def with_fetcher_allowed(registry: Registry) -> Registry:
        others = [one for one in registry.agents.values() if one.id != "fetcher"]
        fetcher = replace(registry.agents["fetcher"], may_delegate_to=frozenset({"gateway"}))
        return Registry(
            agents=[*others, fetcher], resources=registry.resources.values(), issuers=registry.issuers.values()
        )


class TestReach:
    async def test_it_reaches_what_it_is_registered_for_and_the_delegator_named_and_nothing_else(
        self, world: World
    ) -> None:
        both = await presented(world)
        crm_alone = await world.start(scope="crm.read crm.write", resource=CRM)
        target = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)

        # Of the presented hop, but not downstream of the server.
        assert await world.verdict("gateway", accepting(world, both, scope="crm.read", resource=CRM)) == target
        # Downstream, but not named by the delegator.
        assert await world.verdict("gateway", accepting(world, crm_alone)) == target
        assert await world.verdict("gateway", accepting(world, both, resource=ISSUER)) == target
        assert await world.verdict("gateway", accepting(world, both)) is None

    async def test_it_holds_less_than_was_presented_within_its_own_ceiling(self, world: World) -> None:
        token = await presented(world)
        scope = OAuthError.INVALID_SCOPE

        same = accepting(world, token, scope=PRESENTED_SCOPE)
        assert await world.verdict("gateway", same) == (scope, Reason.NOT_PROPER)
        more = accepting(world, token, scope="files.read crm.write")
        assert await world.verdict("gateway", more) == (scope, Reason.NOT_NARROWER)
        low = world.but(registry=registry_with(scopes=frozenset({"files.read"})))
        assert await low.verdict("gateway", accepting(world, token, scope="files.write")) == (
            scope,
            Reason.CEILING_EXCEEDED,
        )
        assert await low.verdict("gateway", accepting(world, token)) is None

    async def test_depth_counts_as_for_any_hop(self, world: World) -> None:
        token = await presented(world)

        assert await world.but(max_depth=1).verdict("gateway", accepting(world, token)) == (
            INVALID,
            Reason.DEPTH_EXCEEDED,
        )
        assert await world.but(max_depth=2).verdict("gateway", accepting(world, token)) is None

    async def test_what_the_delegator_revokes_ends_the_server_too(self, world: World) -> None:
        token = await presented(world)
        issued = (await world.exchange("gateway", accepting(world, token))).access_token
        assert await world.is_active(issued)
        await world.revoke(token, "planner")

        assert not await world.is_active(issued)
        assert await world.verdict("gateway", accepting(world, token)) == (INVALID, Reason.REVOKED)

    async def test_it_delegates_further_like_any_actor(self, world: World) -> None:
        issued = await world.exchange(
            "gateway", accepting(world, await presented(world), scope="files.read files.write")
        )
        onward = world.delegation(issued.access_token, requested_actor="fetcher", scope="files.read", resource=FILES)
        second = (await world.exchange("gateway", onward)).access_token

        assert claims_of(second)["act"] == {"sub": "fetcher", "act": {"sub": "gateway", "act": {"sub": "planner"}}}
