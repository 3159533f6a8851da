"""Authorization details (RFC 9396) through the exchange: from the ceiling or the user's token, down every hop."""

import json
from typing import Any

import pytest

from tests.exchange.parties import CRM, START_SCOPE, identity_provider, make_registry
from tests.exchange.world import World, claims_of, make_world
from tests.simulator import Members
from tokensvc.core.details import parse_details
from tokensvc.errors import OAuthError, Reason

INVALID = OAuthError.INVALID_AUTHORIZATION_DETAILS
NARROW = "crm.read crm.write"


def tools(**named: Members) -> Members:
    """An entry: each tool with its arguments."""
    return {"type": "attenuating_agent_token", "tools": named}


def at_most(value: int) -> Members:
    return {"limit": {"constraint_type": "range", "max": value}}


CEILING: list[Any] = [tools(search=at_most(100), read={}), {"type": "payment", "currency": "EUR"}]
SEARCH = [tools(search=at_most(10))]


@pytest.fixture
async def world() -> World:
    """The users of its provider may authorise CEILING."""
    return await make_world(registry=make_registry(provider=identity_provider(ceiling_details=parse_details(CEILING))))


def details_of(token: str) -> list[Any]:
    """Of the root, each hop and the token itself."""
    claims = claims_of(token)
    return [part.get("authorization_details") for part in (*claims["grant_chain"], claims)]


@pytest.mark.requirement("RAR-TOKEN")
async def test_details_go_from_the_ceiling_down_the_chain_into_the_token_as_asked(world: World) -> None:
    first = await world.start(authorization_details=json.dumps(CEILING))
    second = await world.delegate(first, authorization_details=json.dumps(SEARCH))

    assert details_of(first) == [CEILING, CEILING, CEILING]
    assert details_of(second) == [CEILING, CEILING, SEARCH, SEARCH]
    third = world.verify(await world.renew(second, authorization_details=json.dumps(SEARCH)), CRM)
    third.require(tool="search", arguments={"limit": 10})


@pytest.mark.requirement("RAR-RESPONSE", "RAR-TOKEN")
async def test_details_are_answered_introspected_and_recorded_and_left_out_where_there_are_none(world: World) -> None:
    issued = await world.exchange("planner", world.starting(authorization_details=json.dumps(SEARCH)))
    assert issued.authorization_details == SEARCH
    assert (await world.introspect(issued.access_token, "planner"))["authorization_details"] == SEARCH
    inputs: Any = world.store.records[-1].inputs
    assert inputs["request"]["authorization_details"] == json.dumps(SEARCH)
    assert inputs["granted"]["authorization_details"] == SEARCH

    without = await world.exchange("planner", world.starting())
    assert (without.authorization_details, details_of(without.access_token)) == ([], [CEILING, None, None])
    assert "authorization_details" not in await world.introspect(without.access_token, "planner")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("", None),
        ("[]", None),
        (json.dumps(SEARCH), None),
        (json.dumps(SEARCH[0]), Reason.MALFORMED),
        ("null", Reason.MALFORMED),
        ("[", Reason.MALFORMED),
        ("[1]", Reason.MALFORMED),
        ('[{"type": ""}]', Reason.MALFORMED),
        ('[{"type": "attenuating_agent_token"}]', Reason.MALFORMED),
        ('[{"type": "payment", "currency": "EUR", "currency": "EUR"}]', Reason.MALFORMED),
        (json.dumps(SEARCH * 2), Reason.MALFORMED),
        ("[" * 33 + "]" * 33, Reason.MALFORMED),
        ('[{"type": "\\ud800"}]', Reason.MALFORMED),
        ('[{"type": "payment", "x": NaN}]', Reason.MALFORMED),
        (json.dumps([{"type": "x" * 9000}]), Reason.TOO_LARGE),
        (json.dumps([tools(search=at_most(101))]), Reason.ROOT_EXCEEDED),
        (json.dumps([tools(search={})]), Reason.ROOT_EXCEEDED),
        (json.dumps([tools(write={})]), Reason.ROOT_EXCEEDED),
        (json.dumps([tools(**{"*": {}})]), Reason.ROOT_EXCEEDED),
        (json.dumps([*SEARCH, {"type": "payment", "currency": "USD"}]), Reason.ROOT_EXCEEDED),
        (json.dumps([*SEARCH, {"type": "payment"}]), Reason.ROOT_EXCEEDED),
    ],
)
@pytest.mark.requirement("RAR-INVALID")
async def test_what_the_user_cannot_authorise_is_refused(world: World, asked: str, reason: Reason | None) -> None:
    verdict = await world.verdict("planner", world.starting(authorization_details=asked or None))

    assert verdict == (None if reason is None else (INVALID, reason))


async def test_a_refusal_names_the_entry_that_is_too_much(world: World) -> None:
    asked = json.dumps([*SEARCH, tools(write={})])
    refusal = await world.refused("planner", world.starting(authorization_details=asked))

    assert refusal.description == "authorization_details[1] is within no entry that the user holds"
    assert (await world.start(authorization_details=json.dumps(SEARCH))) != ""


@pytest.mark.requirement("RAR-COMPARED")
async def test_a_delegation_may_not_widen_what_the_delegator_holds(world: World) -> None:
    first = await world.start(authorization_details=json.dumps(SEARCH))
    for wider in ([tools(search=at_most(11))], [tools(search=at_most(10), read={})], CEILING[1:]):
        request = world.delegation(first, authorization_details=json.dumps(wider))
        assert await world.verdict("planner", request) == (INVALID, Reason.NOT_NARROWER)
    narrower = json.dumps([tools(search=at_most(9))])
    assert await world.verdict("planner", world.delegation(first, authorization_details=narrower)) is None


async def test_fewer_tools_alone_are_not_properly_less(world: World) -> None:
    first = await world.start(scope=NARROW, resource=CRM, authorization_details=json.dumps(CEILING))
    same = world.delegation(first, scope=NARROW, resource=CRM, authorization_details="[]")

    assert await world.verdict("planner", same) == (OAuthError.INVALID_SCOPE, Reason.NOT_PROPER)
    assert await world.verdict("planner", world.delegation(first, scope="crm.read", resource=CRM)) is None


async def test_a_delegation_that_does_not_speak_of_details_gets_none(world: World) -> None:
    second = await world.delegate(await world.start(authorization_details=json.dumps(CEILING)))

    assert details_of(second)[-2:] == [None, None]


class TestRenewal:
    async def test_it_states_the_details_it_keeps(self, world: World) -> None:
        first = await world.start(authorization_details=json.dumps(CEILING))
        silent = await world.refused("planner", world.renewal(first))
        assert (silent.error, silent.reason) == (INVALID, Reason.PARAMETER_MISSING)

        kept = await world.renew(first, authorization_details=json.dumps(CEILING))
        assert details_of(kept) == details_of(first)
        turned = await world.renew(first, authorization_details=json.dumps(CEILING[::-1]))
        assert details_of(turned) == details_of(first)

    async def test_dropping_them_is_a_narrowing_which_needs_less_scope_too(self, world: World) -> None:
        first = await world.start(authorization_details=json.dumps(CEILING))
        dropped = world.renewal(first, authorization_details="[]")
        assert await world.verdict("planner", dropped) == (OAuthError.INVALID_SCOPE, Reason.NOT_PROPER)

        narrowed = await world.renew(first, authorization_details="[]", scope="crm.read")
        assert details_of(narrowed) == [CEILING, CEILING, None, None]

    async def test_a_hop_without_details_is_renewed_without_speaking_of_them(self, world: World) -> None:
        first = await world.start()
        for silent_or_none in (None, "[]"):
            assert await world.verdict("planner", world.renewal(first, authorization_details=silent_or_none)) is None
        added = world.renewal(first, authorization_details=json.dumps(SEARCH))
        assert await world.verdict("planner", added) == (INVALID, Reason.NOT_NARROWER)


class TestUserToken:
    """The identity provider's own claim."""

    async def test_its_details_are_the_root_as_far_as_the_ceiling_goes(self, world: World) -> None:
        own = [*SEARCH, tools(search=at_most(1000)), {"type": "for another service"}]
        token = world.user_token(authorization_details=own)
        start = world.starting(token, authorization_details=json.dumps(SEARCH))

        assert details_of((await world.exchange("planner", start)).access_token) == [SEARCH, SEARCH, SEARCH]
        more = world.starting(token, authorization_details=json.dumps(CEILING))
        assert await world.verdict("planner", more) == (INVALID, Reason.ROOT_EXCEEDED)

    @pytest.mark.parametrize("own", [[], [{"type": "for another service"}]])
    async def test_a_token_with_none_of_the_ceiling_does_not_get_the_ceiling(self, world: World, own: object) -> None:
        token = world.user_token(authorization_details=own)

        start = await world.exchange("planner", world.starting(token))
        assert details_of(start.access_token) == [None, None, None]
        some = world.starting(token, authorization_details=json.dumps(SEARCH))
        assert await world.verdict("planner", some) == (INVALID, Reason.ROOT_EXCEEDED)

    @pytest.mark.parametrize("own", [{}, "[]", None, [1], [{"type": "x"}] * 2, [{"type": "attenuating_agent_token"}]])
    async def test_a_claim_that_cannot_be_read_refuses_the_token(self, world: World, own: object) -> None:
        token = world.user_token(**{"authorization_details": own} if own is not None else {"authorization_details": 1})

        assert await world.verdict("planner", world.starting(token)) == (
            OAuthError.INVALID_REQUEST,
            Reason.SUBJECT_TOKEN_INVALID,
        )
        readable = world.user_token(authorization_details=SEARCH)
        assert await world.verdict("planner", world.starting(readable)) is None

    async def test_without_a_ceiling_there_is_nothing_to_authorise(self) -> None:
        world = await make_world()
        token = world.user_token(authorization_details=SEARCH)

        assert details_of((await world.exchange("planner", world.starting(token))).access_token) == [None] * 3
        some = world.starting(token, authorization_details=json.dumps(SEARCH))
        assert await world.verdict("planner", some) == (INVALID, Reason.ROOT_EXCEEDED)


async def test_comparing_that_costs_too_much_is_refused() -> None:
    named: Members = {f"{n:02x}": {} for n in range(100)} | {"*": {}}
    # The last entry covers all that is asked; before it, each name of the others has to be looked at.
    ceiling = [*(tools(**named, **{f"only here {n}": {}}) for n in range(62)), tools(**named)]
    world = await make_world(
        registry=make_registry(provider=identity_provider(ceiling_details=parse_details(ceiling))),
    )
    costly = [{**tools(**named), "locations": [f"u:{n}"]} for n in range(9)]

    def start(details: list[Any]) -> dict[str, tuple[str, ...]]:
        return {
            **world.starting(),
            "authorization_details": (json.dumps(details, separators=(",", ":")),),
        }

    assert await world.verdict("planner", start(costly)) == (INVALID, Reason.TOO_LARGE)
    # Of fewer the comparison comes to its end; the token would be too large, as its root says the whole ceiling.
    refusal = await world.refused("planner", start(costly[:1]))
    assert (refusal.error, refusal.reason) == (OAuthError.INVALID_REQUEST, Reason.TOO_LARGE)
    assert await world.verdict("planner", world.starting(world.user_token(authorization_details=costly))) == (
        OAuthError.INVALID_REQUEST,
        Reason.SUBJECT_TOKEN_INVALID,
    )


async def test_a_secret_among_the_details_of_a_request_is_masked_in_its_record(world: World) -> None:
    secret = "S3cr3t" * 10
    asked = json.dumps([{"type": "payment", "currency": secret}])
    refusal = await world.refused("planner", world.starting(authorization_details=asked))

    assert secret not in str(world.store.records[-1].inputs)
    assert secret not in refusal.description
    assert START_SCOPE in str(world.store.records[-1].inputs)
