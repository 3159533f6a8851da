"""Authorization details in the chain, in the token, and in the answer to a call (TOKEN.md sections 1, 3, 4)."""

from types import MappingProxyType
from typing import Any

import pytest

from tests.simulator import ABSENT, API, FILES, ISSUER, Members, Simulator
from tokensvc.core.details import parse_details
from tokensvc.errors import AccessDenied, Reason, TokenRefused
from tokensvc.verify import Expectation, VerifiedToken

SIM = Simulator()
Q3 = {"path": {"constraint_type": "one_of", "values": ["/q3", "/q4"]}}


def entry(locations: object = ABSENT, **tools: object) -> Members:
    members = {"type": "attenuating_agent_token", "locations": locations, "tools": tools}
    return {name: member for name, member in members.items() if member is not ABSENT}


READ, WRITE, PAYMENT = entry(read=Q3), entry(write={}), {"type": "payment", "limit": [5, True]}


def chain_of(*details: object) -> list[Members]:
    """A root and hops that grant these details."""
    chain = [SIM.root(authorization_details=details[0])]
    for index, granted in enumerate(details[1:]):
        chain.append(SIM.hop(chain[-1], f"agent-{index}", authorization_details=granted))
    return chain


def reason(*details: object, token: object = None) -> Reason | None:
    """Of a chain that grants these; the token says what the last hop says unless told otherwise."""
    said = details[-1] if token is None else token
    return SIM.reason(SIM.token(SIM.claims(chain_of(*details), authorization_details=said)))


def verified(*details: Members, aud: str = API) -> VerifiedToken:
    claims = SIM.claims(chain_of(list(details), list(details)), authorization_details=list(details), aud=aud)
    expect = Expectation.bearer(issuers=[ISSUER], audiences=[API, FILES, ISSUER])
    return SIM.verify(SIM.token(claims), expect=expect)


def denied(token: VerifiedToken, **call: Any) -> Reason:  # noqa: ANN401 - calls of any shape
    with pytest.raises(AccessDenied) as refusal:
        token.require(**call)
    return refusal.value.reason


@pytest.mark.parametrize(
    "details", [[READ], [READ, WRITE], [PAYMENT], [WRITE, PAYMENT, READ], [entry([API], read=Q3)], ABSENT]
)
def test_details_that_are_kept_through_the_chain_are_accepted(details: object) -> None:
    assert reason(details, details, details) is None


def test_the_details_of_the_token_are_in_the_answer() -> None:
    assert verified(READ, PAYMENT).details == parse_details([READ, PAYMENT])
    assert SIM.verify(SIM.token(SIM.claims(SIM.chain("planner")))).details == ()


@pytest.mark.parametrize(
    "said",
    [
        ABSENT,
        [READ],
        [PAYMENT],
        [PAYMENT, READ],
        [READ, PAYMENT, WRITE],
        [READ, {**PAYMENT, "limit": [5, 1]}],
        [READ, {**PAYMENT, "limit": [True, 5]}],
        [READ, {**PAYMENT, "x": None}],
        [entry([API], read=Q3), PAYMENT],
        [entry(read={}), PAYMENT],
        [entry(read={"path": {"constraint_type": "exact", "value": "/q3"}}), PAYMENT],
        [entry(Read=Q3), PAYMENT],
    ],
)
def test_a_token_whose_details_are_other_than_its_last_hop_is_refused(said: object) -> None:
    assert reason([READ, PAYMENT], [READ, PAYMENT], token=said) is Reason.TOKEN_EXCEEDS_GRANT
    assert reason([READ, PAYMENT], [READ, PAYMENT], token=[READ, PAYMENT]) is None


def test_equal_json_values_are_equal_however_they_are_written() -> None:
    backwards = dict(reversed(READ.items()))

    assert (
        reason([READ, PAYMENT], [READ, PAYMENT], token=[backwards, {"limit": [5.0, True], "type": "payment"}]) is None
    )


def test_details_appear_neither_in_a_token_nor_in_a_hop_from_nowhere() -> None:
    assert reason(ABSENT, ABSENT, token=[READ]) is Reason.TOKEN_EXCEEDS_GRANT
    assert reason(ABSENT, [READ]) is Reason.NOT_NARROWER
    assert reason([READ], ABSENT, [READ]) is Reason.NOT_NARROWER
    assert reason([READ], ABSENT) is None


@pytest.mark.parametrize(
    "wider",
    [
        [READ, WRITE],
        [WRITE],
        [PAYMENT],
        [entry(read={})],
        [entry(read={"path": {"constraint_type": "exact", "value": "/q5"}})],
        [entry(read=Q3, write={})],
        [entry(**{"*": {}})],
        [entry(read={**Q3, "mode": {"constraint_type": "wildcard"}})],
    ],
)
def test_details_that_the_entry_above_has_not_are_refused_by_their_dimension(wider: object) -> None:
    for details in ([[READ], wider], [[READ], [READ], wider]):
        claims = SIM.claims(chain_of(*details), authorization_details=wider)
        with pytest.raises(TokenRefused, match="authorization_details") as refusal:
            SIM.verify(SIM.token(claims))
        assert refusal.value.reason is Reason.NOT_NARROWER
    assert reason([READ], [entry(read={"path": {"constraint_type": "exact", "value": "/q3"}})]) is None


def test_locations_only_shrink() -> None:
    here, both = [entry([API], read=Q3)], [entry([API, FILES], read=Q3)]

    assert reason([READ], both, here) is None
    assert reason(both, [READ]) is reason(here, both) is reason(here, [READ]) is Reason.NOT_NARROWER


def test_several_entries_never_cover_one_together() -> None:
    assert reason([READ, WRITE], [entry(read=Q3, write={})]) is Reason.NOT_NARROWER
    assert reason([entry(read=Q3, write={})], [READ, WRITE]) is None


def test_a_comparison_that_costs_too_much_is_refused() -> None:
    def heavy(clauses: int) -> list[Members]:
        constraints = [{"constraint_type": "range", "min": number} for number in range(clauses, 0, -1)]
        return [entry(t={"a": {"constraint_type": "any", "constraints": constraints}})]

    assert reason(heavy(90), heavy(90)) is None
    assert reason(heavy(110), heavy(110)) is Reason.TOO_LARGE


@pytest.mark.parametrize("arguments", [{"path": "/q3"}, {"path": "/q4"}])
def test_a_call_within_an_entry_is_allowed(arguments: Members) -> None:
    verified(READ).require(tool="read", arguments=arguments)
    verified(WRITE, READ).require(tool="read", arguments=arguments, scope="crm.read")
    verified(WRITE).require(tool="write", arguments=arguments)
    verified(WRITE).require(tool="write")


@pytest.mark.parametrize(
    "call",
    [
        {"tool": "read"},
        {"tool": "read", "arguments": {}},
        {"tool": "read", "arguments": {"path": "/q5"}},
        {"tool": "read", "arguments": {"path": "/q3", "x": 1}},
        {"tool": "read", "arguments": {"Path": "/q3"}},
        {"tool": "read", "arguments": {"path": ["/q3"]}},
        {"tool": "read", "arguments": {"*": "/q3"}},
        {"tool": "Read", "arguments": {"path": "/q3"}},
        {"tool": "write", "arguments": {"path": "/q3"}},
        {"tool": "*", "arguments": {"path": "/q3"}},
        {"tool": "", "arguments": {"path": "/q3"}},
    ],
)
def test_the_world_is_closed(call: Members) -> None:
    assert denied(verified(READ, PAYMENT), **call) is Reason.ARGUMENT_DENIED
    assert denied(SIM.verify(SIM.token(SIM.claims(SIM.chain("planner")))), **call) is Reason.ARGUMENT_DENIED


def test_one_entry_has_to_admit_the_whole_call() -> None:
    number = {"constraint_type": "range", "max": 5}
    token = verified(entry(t={"a": number, "b": number}), entry(t={"a": {"constraint_type": "wildcard"}}))

    token.require(tool="t", arguments={"a": 5, "b": 5})
    token.require(tool="t", arguments={"a": 6})
    assert denied(token, tool="t", arguments={"a": 6, "b": 5}) is Reason.ARGUMENT_DENIED


def test_only_entries_that_count_here_are_looked_at() -> None:
    for locations, allowed in (([API], True), ([FILES], False), ([FILES, API], True), ([API + "/"], False)):
        token = verified(entry(locations, read=Q3))
        if allowed:
            token.require(tool="read", arguments={"path": "/q3"})
        else:
            assert denied(token, tool="read", arguments={"path": "/q3"}) is Reason.ARGUMENT_DENIED
    verified(entry([FILES], read=Q3), aud=FILES).require(tool="read", arguments={"path": "/q3"})


def test_a_star_stands_for_every_tool_that_is_not_named_beside_it_and_is_none_itself() -> None:
    token = verified(entry(**{"*": {}, "read": Q3}))

    token.require(tool="anything", arguments={"x": [1, {"y": None}]})
    assert denied(token, tool="read", arguments={"path": "/q5"}) is Reason.ARGUMENT_DENIED
    assert denied(token, tool="*") is denied(token, tool="x", arguments={"*": 1}) is Reason.ARGUMENT_DENIED


def test_a_scope_and_a_tool_are_both_needed_where_both_are_asked_for() -> None:
    token = verified(WRITE)

    token.require(scope="crm.read", tool="write")
    assert denied(token, scope="crm.delete", tool="write") is Reason.INSUFFICIENT_SCOPE
    assert denied(token, scope="crm.read", tool="read") is Reason.ARGUMENT_DENIED


def test_an_exchange_only_token_allows_no_call() -> None:
    assert denied(verified(WRITE, aud=ISSUER), tool="write") is Reason.INSUFFICIENT_SCOPE


def test_a_question_that_asks_nothing_is_a_mistake() -> None:
    calls: list[Members] = [{}, {"arguments": {}}, {"scope": "crm.read", "arguments": {"x": 1}}]
    for call in calls:
        with pytest.raises(TypeError):
            verified(WRITE).require(**call)


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
ODD = [float("nan"), float("inf"), 2**53, -(2**60), 10**5000, 1e400, 0.1 + 0.2, "\ud800", b"x", {1: 2}, {"\ud800": 1}]
ODD += [{1}, object(), ENDLESS, {"a": ENDLESS}, [[]] * 100_001, complex(1), range(3), MappingProxyType({})]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_an_argument_that_json_cannot_say_is_denied(value: object) -> None:
    token = verified(WRITE)

    for arguments in (value, {"x": value}, {"x": [value]}, {"x": {"y": value}}):
        if not (isinstance(arguments, dict) and not arguments):
            assert denied(token, tool="write", arguments=arguments) is Reason.ARGUMENT_DENIED
    token.require(tool="write", arguments={"x": [{"y": 0.3}]})


@pytest.mark.parametrize("tool", [1, 1.5, True, b"write", ["write"], {}, (), float("nan"), "\ud800", object()])
def test_a_tool_that_is_no_text_is_denied(tool: object) -> None:
    assert denied(verified(WRITE, entry(**{"*": {}})), tool=tool) is Reason.ARGUMENT_DENIED


@pytest.mark.parametrize("arguments", [[], "x", 1, True, (), {1: 1}, {None: 1}, {b"x": 1}])
def test_arguments_that_are_no_object_are_denied(arguments: object) -> None:
    assert denied(verified(WRITE), tool="write", arguments=arguments) is Reason.ARGUMENT_DENIED
