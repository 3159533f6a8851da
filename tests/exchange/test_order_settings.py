"""The service's order: the segments grammar, attenuation "authority" with its registration rule, `proper_from`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.exchange.parties import (
    CRM,
    FILES,
    ISSUER,
    START_SCOPE,
    agent,
    identity_provider,
    make_registry,
    resource,
)
from tests.exchange.world import World, claims_of, make_world
from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.details import parse_details
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import OAuthError, Reason, TokenRefused
from tokensvc.exchange.registry import Registry
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, verify_token

SCOPE_ERROR = OAuthError.INVALID_SCOPE
SEGMENTS = Order(grammar=ScopeGrammar.SEGMENTS)
AUTHORITY = Order(attenuation=Attenuation.AUTHORITY)
TOOLS: list[Any] = [{"type": "attenuating_agent_token", "tools": {"read": {}, "search": {}}}, {"type": "payment"}]


def registry_with(*, scopes: str = "", enforcing: frozenset[str] = frozenset(), planner: str = "") -> Registry:
    """Scopes of the CRM and of planner replaced; resources that enforce details; TOOLS as the ceiling."""
    known = make_registry()
    crm = resource(CRM, "crm-api", "crm", scopes or "crm.delete crm.export crm.read crm.write")
    return Registry(
        agents=[
            agent("planner", planner or START_SCOPE, "researcher", default_resource=CRM),
            agent("researcher", planner or START_SCOPE),
        ],
        resources=[replace(one, enforces_details=one.id in enforcing) for one in (crm, known.resources[FILES])],
        issuers=[identity_provider(ceiling_details=parse_details(TOOLS))],
    )


def accepts(world: World, token: str, order: Order) -> Reason | None:
    """The verdict of a verifier that was told `order`."""
    try:
        verify_token(
            token,
            keys=StaticKeys({ISSUER: world.signer.public_keys()}),
            expect=replace(Expectation.bearer(issuers=[ISSUER], audiences=[ISSUER, CRM, FILES]), order=order),
            now=world.clock.now,
            revocations=LifetimeOnly(max_s=900),
        )
    except TokenRefused as refused:
        return refused.reason
    return None


class TestSegments:
    @pytest.fixture
    async def world(self) -> World:
        """The CRM registers everything below `crm`; so may planner and researcher."""
        return await make_world(registry=registry_with(scopes="crm.*", planner="crm.*"), order=SEGMENTS)

    async def test_a_name_below_it(self, world: World) -> None:
        user = world.user_token(scope="crm.* openid")
        first = await world.exchange("planner", world.starting(user, scope="crm.read crm.write", resource=CRM))
        root, hop = claims_of(first.access_token)["grant_chain"]
        assert (root["scope"], hop["scope"]) == ("crm.*", "crm.read crm.write")
        second = await world.delegate(first.access_token, scope="crm.read", resource=CRM)

        assert accepts(world, second, SEGMENTS) is None
        # A verifier that was told another grammar reads names, and sees one that the root does not hold.
        assert accepts(world, second, Order()) is Reason.NOT_NARROWER

    async def test_a_wildcard_is_usable_only_where_it_is_registered(self, world: World) -> None:
        user = world.user_token(scope="crm.* files.*")
        for scope, reason in (
            ("crm.x.*", Reason.TARGET_NOT_ALLOWED),
            ("files.read", Reason.ROOT_EXCEEDED),
            ("crm", Reason.ROOT_EXCEEDED),
            ("crm.a*", Reason.MALFORMED),
            ("*", Reason.MALFORMED),
            ("crm.*", Reason.NOT_PROPER),
            ("crm.* crm.read", Reason.NOT_PROPER),
            ("crm.x.y", None),
        ):
            verdict = await world.verdict("planner", world.starting(user, scope=scope, resource=CRM))
            assert verdict == (None if reason is None else (SCOPE_ERROR, reason))

    async def test_an_actors_ceiling_is_read_in_the_grammar(self) -> None:
        registry = registry_with(scopes="crm.* crm.x.*", planner="crm.x.*")
        world = await make_world(registry=registry, order=SEGMENTS)
        user = world.user_token(scope="crm.*")

        beyond = world.starting(user, scope="crm.read", resource=CRM)
        assert await world.verdict("planner", beyond) == (SCOPE_ERROR, Reason.CEILING_EXCEEDED)
        first = await world.exchange("planner", world.starting(user, scope="crm.x.*", resource=CRM))
        within = world.delegation(first.access_token, scope="crm.x.read crm.x.write", resource=CRM)
        assert await world.verdict("planner", within) is None

    async def test_in_the_exact_grammar_a_users_wildcard_means_nothing(self) -> None:
        world = await make_world()
        token = world.user_token(scope="crm.* crm.read crm.write")
        first = await world.exchange("planner", world.starting(token, scope="crm.read", resource=CRM))

        assert claims_of(first.access_token)["grant_chain"][0]["scope"] == "crm.read crm.write"


class TestAuthority:
    @pytest.fixture
    async def world(self) -> World:
        """The CRM looks at authorization details; the files do not."""
        return await make_world(registry=registry_with(enforcing=frozenset({CRM})), order=AUTHORITY)

    @staticmethod
    async def first(world: World, **parameters: Any) -> str:  # noqa: ANN401 - a form parameter
        return await world.start(authorization_details=json.dumps(TOOLS), **parameters)

    async def test_one_resource_less_is_less(self, world: World) -> None:
        first = await self.first(world)
        same = world.delegation(first, scope=START_SCOPE)
        fewer = world.delegation(first, scope="crm.export crm.read crm.write", resource=CRM)

        assert await world.verdict("planner", same) == (SCOPE_ERROR, Reason.NOT_PROPER)
        assert await world.verdict("planner", fewer) is None
        mailbox = await world.delegate(await self.first(world, scope="crm.read"), scope="crm.read", resource=CRM)
        assert accepts(world, mailbox, AUTHORITY) is None
        # A verifier that was told the stricter mode refuses it.
        assert accepts(world, mailbox, Order()) is Reason.NOT_PROPER

    @pytest.mark.parametrize(
        "fewer",
        [
            [{"type": "attenuating_agent_token", "tools": {"read": {}}}, {"type": "payment"}],
            TOOLS[:1],
            TOOLS[1:],
            [],
        ],
    )
    async def test_a_tool_or_an_entry_less_is_less_where_every_resource_looks_at_them(
        self, world: World, fewer: list[Any]
    ) -> None:
        crm_scope = "crm.read crm.write"
        first = await self.first(world, scope=crm_scope, resource=CRM)
        request = world.delegation(first, scope=crm_scope, resource=CRM, authorization_details=json.dumps(fewer))
        assert await world.verdict("planner", request) is None

        unheeded = world.but(registry=registry_with())
        assert await unheeded.verdict("planner", request) == (SCOPE_ERROR, Reason.NOT_PROPER)

    async def test_with_one_resource_that_does_not_look_they_do_not_count(self, world: World) -> None:
        first = await self.first(world)
        both = world.delegation(first, scope=START_SCOPE, authorization_details="[]")
        refusal = await world.refused("planner", both)

        assert (refusal.error, refusal.reason) == (SCOPE_ERROR, Reason.NOT_PROPER)
        assert "or a resource" in refusal.description
        assert await world.verdict("planner", {**both, "scope": ("crm.read files.read",)}) is None

    async def test_narrower_arguments_are_not_less(self, world: World) -> None:
        first = await self.first(world, scope="crm.read", resource=CRM)
        limited = {
            "type": "attenuating_agent_token",
            "tools": {"read": {}, "search": {"q": {"constraint_type": "wildcard"}}},
        }
        narrower = world.delegation(
            first, scope="crm.read", resource=CRM, authorization_details=json.dumps([limited, TOOLS[1]])
        )
        assert await world.verdict("planner", narrower) == (SCOPE_ERROR, Reason.NOT_PROPER)


class TestProperFrom:
    async def test_the_first_hop_may_equal_the_root_and_no_later_one_its_parent(self) -> None:
        world = await make_world(order=Order(proper_from=2))
        user = world.user_token(scope="crm.read crm.write files.read")
        everything = world.starting(user, scope="crm.read crm.write files.read")
        first = (await world.exchange("planner", everything)).access_token

        assert accepts(world, first, Order(proper_from=2)) is None
        # A verifier that was told the stricter rule refuses it.
        assert accepts(world, first, Order()) is Reason.NOT_PROPER
        same = world.delegation(first, scope="crm.read crm.write files.read")
        assert await world.verdict("planner", same) == (SCOPE_ERROR, Reason.NOT_PROPER)
        assert await world.verdict("planner", world.delegation(first, scope="crm.read files.read")) is None

    async def test_by_default_the_first_hop_is_less_than_the_root(self) -> None:
        world = await make_world()
        user = world.user_token(scope="crm.read crm.write files.read")
        everything = world.starting(user, scope="crm.read crm.write files.read")

        assert await world.verdict("planner", everything) == (SCOPE_ERROR, Reason.NOT_PROPER)
        less = world.starting(user, scope="crm.read files.read")
        assert await world.verdict("planner", less) is None


@pytest.mark.parametrize("order", [SEGMENTS, AUTHORITY, Order(proper_from=2)], ids=["grammar", "mode", "proper_from"])
async def test_what_was_issued_under_another_order_can_still_be_revoked(order: Order) -> None:
    """Or a revocation would be answered like a success and change nothing."""
    scopes = "crm.*" if order is SEGMENTS else "crm.delete crm.read crm.write"
    world = await make_world(registry=registry_with(scopes=scopes, planner=scopes), order=order)
    user = world.user_token(scope="crm.*" if order is SEGMENTS else "crm.read crm.write")
    everything = "crm.x.read crm.y" if order is SEGMENTS else "crm.read crm.write"
    start = world.starting(user, scope=everything, resource=CRM)
    token = (await world.exchange("planner", start)).access_token
    changed = world.but(order=Order())
    assert await changed.verdict("planner", world.renewal(token)) is not None

    await changed.revoke(token, "planner")
    assert not await world.is_active(token)
