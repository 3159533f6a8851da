"""Grammar, mode and `proper_from` as a verifier states them (TOKEN.md section 3)."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.simulator import ABSENT, API, FILES, ISSUER, Members, Simulator
from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import AccessDenied, Reason

SIM = Simulator()
EXACT, SEGMENTS = (Order(grammar=grammar) for grammar in ScopeGrammar)
AUTHORITY = Order(attenuation=Attenuation.AUTHORITY)
ORDERS = [
    Order(grammar=grammar, attenuation=attenuation, proper_from=proper_from)
    for grammar, attenuation, proper_from in product(ScopeGrammar, Attenuation, (1, 2))
]
TOOLS: Members = {"type": "attenuating_agent_token", "tools": {"read": {}, "write": {}}}
PAYMENT: Members = {"type": "payment", "limit": 5}


def terms(order: Order) -> dict[str, Any]:
    return {"expect": replace(SIM.expect(), order=order)}


def token(*entries: Members) -> str:
    """A token whose root and hops differ from one another in these members only."""
    root: Members = {"authorization_details": [TOOLS, PAYMENT], **entries[0]}
    chain = [SIM.root(**root)]
    for index, members in enumerate(entries[1:]):
        inherited: Members = {name: chain[-1][name] for name in ("scope", "authorization_details") if name in chain[-1]}
        chain.append(SIM.hop(chain[-1], f"agent-{index}", **{**inherited, **members}))
    details = chain[-1].get("authorization_details", ABSENT)
    return SIM.token(SIM.claims(chain, aud=API, authorization_details=details))


def reason(order: Order, *entries: Members) -> Reason | None:
    return SIM.reason(token(*entries), **terms(order))


ROOT: Members = {"scope": "a b"}
LESS = {"scope": "a"}


def tools(*names: str) -> Members:
    return {**TOOLS, "tools": {name: {} for name in names}}


@pytest.mark.parametrize(
    "less",
    [
        {"resources": [API]},
        {"authorization_details": [TOOLS]},
        {"authorization_details": [PAYMENT]},
        {"authorization_details": [tools("read"), PAYMENT]},
        {"authorization_details": ABSENT},
    ],
)
def test_a_resource_an_entry_or_a_tool_gone_is_proper_in_mode_authority_only(less: Members) -> None:
    assert reason(AUTHORITY, ROOT, less) is None
    assert reason(Order(), ROOT, less) is Reason.NOT_PROPER
    assert reason(AUTHORITY, ROOT, LESS, less) is None
    assert reason(Order(), ROOT, LESS, less) is Reason.NOT_PROPER


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"resources": [FILES, API]},
        {"authorization_details": [PAYMENT, TOOLS]},
        # Equal authority, and narrower arguments or places, can be spelt in many ways.
        {"authorization_details": [tools("read"), tools("write"), PAYMENT]},
        {"authorization_details": [{**TOOLS, "locations": [API]}, PAYMENT]},
        {"max_depth": 3},
        {"authorization_details": [{**TOOLS, "tools": {"read": {"x": {"constraint_type": "exact", "value": 1}},
                                                       "write": {}}}, PAYMENT]},
    ],
)  # fmt: skip
def test_narrower_arguments_places_times_and_depth_are_proper_in_no_mode(same: Members) -> None:
    for order in (Order(), AUTHORITY):
        assert reason(order, ROOT, same) is Reason.NOT_PROPER
        assert reason(order, ROOT, {**same, **LESS}) is None


@pytest.mark.parametrize("order", ORDERS)
def test_a_scope_gone_is_proper_in_every_mode(order: Order) -> None:
    assert reason(order, ROOT, LESS) is None
    assert reason(order, {"scope": "a b c"}, ROOT, LESS) is None


@pytest.mark.parametrize("order", ORDERS)
def test_equal_authority_is_allowed_to_the_first_hop_alone_and_only_where_it_is_said(order: Order) -> None:
    first = None if order.proper_from == 2 else Reason.NOT_PROPER

    assert reason(order, ROOT, {}) is first
    assert reason(order, ROOT, {}, LESS) is first
    assert reason(order, ROOT, {}, {}) is Reason.NOT_PROPER
    assert reason(order, ROOT, LESS, {}) is Reason.NOT_PROPER
    assert reason(order, {"scope": "a b c"}, ROOT, LESS, {}) is Reason.NOT_PROPER


@pytest.mark.parametrize("order", [order for order in ORDERS if order.proper_from == 2])
def test_a_first_hop_that_may_be_equal_may_not_be_wider(order: Order) -> None:
    assert reason(order, ROOT, {"scope": "a b c"}) is Reason.NOT_NARROWER
    assert reason(order, ROOT, {"resources": [API, FILES, "urn:x"]}) is Reason.NOT_NARROWER


def test_a_verifier_that_differs_from_the_service_refuses_what_the_stricter_one_would() -> None:
    by_wildcard, by_resource, equal = (
        [{"scope": "crm.* x"}, {"scope": "crm.a x"}],
        [ROOT, {"resources": [API]}],
        [ROOT, {}],
    )
    assert reason(SEGMENTS, *by_wildcard) is None
    assert reason(EXACT, *by_wildcard) is Reason.NOT_NARROWER
    assert reason(AUTHORITY, *by_resource) is None
    assert reason(Order(), *by_resource) is Reason.NOT_PROPER
    assert reason(Order(proper_from=2), *equal) is None
    assert reason(Order(), *equal) is Reason.NOT_PROPER


def test_proper_is_judged_by_the_order_and_not_by_spelling() -> None:
    spelt = [{"scope": "crm.* crm.read"}, {"scope": "crm.*"}]

    for attenuation in Attenuation:
        assert reason(Order(grammar=ScopeGrammar.SEGMENTS, attenuation=attenuation), *spelt) is Reason.NOT_PROPER
        assert reason(Order(attenuation=attenuation), *spelt) is None
    assert reason(SEGMENTS, {"scope": "crm.*"}, {"scope": "crm.* crm.read"}) is Reason.NOT_PROPER
    assert reason(SEGMENTS, {"scope": "crm.*"}, {"scope": "crm.x.*"}, {"scope": "crm.x.y"}) is None
    assert reason(SEGMENTS, {"scope": "crm.x.*"}, {"scope": "crm.*"}) is Reason.NOT_NARROWER


@pytest.mark.parametrize("bad", ["*", "crm.*.x", "crm*", "crm.x:*"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_malformed_wildcard_is_refused_in_every_place_that_states_a_scope(bad: str, index: int) -> None:
    entries = [{"scope": "a b c"}, {"scope": "a b"}, {"scope": "a"}]
    entries[index] = {"scope": entries[index]["scope"] + " " + bad}

    assert reason(SEGMENTS, *entries) is Reason.MALFORMED
    assert reason(EXACT, *entries) is (Reason.NOT_NARROWER if index else None)


def test_a_malformed_wildcard_of_the_token_itself_is_found_before_its_time() -> None:
    chain = SIM.chain("planner")
    bad = SIM.token(SIM.claims(chain, scope="*", exp=5))

    assert SIM.reason(bad, **terms(SEGMENTS)) is Reason.MALFORMED
    assert SIM.reason(bad, **terms(EXACT)) is Reason.EXPIRED


def test_a_call_is_judged_by_the_grammar_of_the_verifier() -> None:
    chain = [SIM.root(scope="crm.* x"), SIM.hop(SIM.root(scope="crm.* x"), "planner", scope="crm.*")]
    by_segments, exact = (SIM.verify(SIM.token(SIM.claims(chain)), **terms(order)) for order in (SEGMENTS, EXACT))

    for scope in ("crm.read", "crm.x.y", "crm.*", "crm.read crm.write"):
        by_segments.require(scope=scope)
    exact.require(scope="crm.*")
    for verified, scope in ((by_segments, "crm"), (by_segments, "crm:x"), (by_segments, "crm.a x"), (exact, "crm.read"),
                            (by_segments, "*"), (by_segments, "crm.*.x"), (by_segments, "crm..*")):  # fmt: skip
        with pytest.raises(AccessDenied) as denied:
            verified.require(scope=scope)
        assert denied.value.reason is Reason.INSUFFICIENT_SCOPE
    assert verified.iss == ISSUER
