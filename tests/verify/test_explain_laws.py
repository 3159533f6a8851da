"""Properties of explanations: the verdict is always the verifier's, and changes of authority are always the law's."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator import NOW, Members, Simulator, encode
from tests.verify.lineages import claims
from tests.verify.signed import KEYS, PROVEN
from tests.verify.test_first_failure import STEPS, Draft
from tests.verify.test_laws import CLAIMS, EVERYWHERE, JSON, NO_REVOCATIONS, mutate_anywhere, mutate_knowingly
from tests.verify.test_signed_laws import EXPECT, attacks, token_of
from tokensvc.core.authority import Order, covers, widened
from tokensvc.core.entry import Entry
from tokensvc.errors import Reason, TokenRefused
from tokensvc.verify import Attenuation, Change, Explanation, LifetimeOnly, ScopeGrammar, explain_token, verify_token
from tokensvc.verify.explain import State

SIM = Simulator()
ANYWHERE: dict[str, Any] = {"keys": SIM.keys(), "expect": EVERYWHERE, "now": NOW, "revocations": NO_REVOCATIONS}
ORDERS = st.builds(
    Order,
    grammar=st.sampled_from(ScopeGrammar),
    attenuation=st.sampled_from(Attenuation),
    proper_from=st.integers(1, 2),
)


def explained(token: str, terms: dict[str, Any]) -> Explanation:
    """The explanation, once it is seen to say what the verifier says, and what the law says of the hops it compares."""
    explanation = explain_token(token, **terms)
    try:
        verified = verify_token(token, **terms)
    except TokenRefused as refused:
        require_refused(explanation, refused)
    else:
        assert (explanation.verified, explanation.failure) == (verified, None)
        assert {step.state for step in explanation.steps} <= {State.PASSED, State.NOT_PERFORMED}
        assert [hop.hop for hop in explanation.hops] == [*verified.chain.hops]
        assert tuple(hop.evidence for hop in explanation.hops) == verified.hop_evidence
        assert {hop.state for hop in explanation.hops} == {State.PASSED}
        assert explanation.root is not None
        assert explanation.root.evidence is verified.root_evidence
    require_lawful(explanation, terms["expect"].order)
    return explanation


def require_refused(explanation: Explanation, refused: TokenRefused) -> None:
    failure = explanation.failure
    assert failure is not None
    assert explanation.verified is None
    assert (failure.reason, failure.description) == (refused.reason, refused.description)
    assert [step.number for step in explanation.steps if step.state is State.FAILED] == [failure.step]
    assert (failure.hop is not None) == (failure.step == 12)
    named = re.match(r"hop (\d+)", refused.description)
    assert named is None or int(named[1]) == failure.hop
    assert [hop.index for hop in explanation.hops if hop.state is State.FAILED] == (
        [failure.hop] if failure.hop else []
    )
    if failure.step != 12:
        state = State.PASSED if failure.step > 12 else State.NOT_REACHED
        assert {hop.state for hop in explanation.hops} <= {state}
    if failure.step <= 4:
        assert (explanation.claims, explanation.actors, explanation.root, explanation.hops) == (None, (), None, ())


def require_lawful(explanation: Explanation, order: Order) -> None:
    above: Entry | None = None if explanation.root is None else explanation.root.root
    for hop in explanation.hops:
        assert (hop.hop is None) == (hop.evidence is None)
        assert hop.comparison is not None or hop.state is not State.PASSED
        if hop.comparison is not None:
            assert above is not None
            assert hop.hop is not None
            changes = hop.comparison.changes
            wider = [dimension for dimension, change in changes.items() if change is Change.WIDENED]
            assert widened(above.authority, hop.hop.authority, order) == (wider[0] if wider else None)
            if not wider:
                is_equal = set(changes.values()) == {Change.KEPT}
                assert covers(hop.hop.authority, above.authority, order) == is_equal
        above = hop.hop


@settings(max_examples=200)
@given(claims(), ORDERS)
def test_a_lawful_token_is_explained_as_it_is_verified(token: Members, order: Order) -> None:
    assert explained(SIM.token(token), ANYWHERE).verified is not None
    explained(SIM.token(token), {**ANYWHERE, "expect": replace(EVERYWHERE, order=order)})


@settings(max_examples=400)
@given(claims(), ORDERS, st.booleans(), st.data())
def test_a_changed_token_is_explained_as_it_is_verified(
    token: Members, order: Order, knowingly: bool, data: st.DataObject
) -> None:
    changed = deepcopy(token)
    (mutate_knowingly if knowingly else mutate_anywhere)(changed, data)

    explained(SIM.token(changed), {**ANYWHERE, "expect": replace(EVERYWHERE, order=order)})


@pytest.mark.parametrize("kind", ["pinned", "authority"])
@settings(max_examples=300)
@given(st.data())
def test_a_forged_signed_chain_is_explained_as_it_is_verified(kind: str, data: st.DataObject) -> None:
    terms = {"keys": KEYS, "expect": EXPECT[kind], "now": NOW, "revocations": LifetimeOnly(max_s=900), "proof": PROVEN}

    explained(token_of(data.draw(attacks(kind))), terms)


@pytest.mark.parametrize(("spoil", "reason"), STEPS, ids=[spoil.__name__ for spoil, _ in STEPS])
def test_each_reason_is_explained_as_it_is_verified(spoil: Callable[[Draft], None], reason: Reason) -> None:
    draft = Draft()
    for expected in (None, reason):
        token = draft.signer.token(encode(draft.claims) + draft.tail, header=draft.header)
        terms = {"keys": SIM.keys(), "expect": draft.expect, "now": NOW, "revocations": draft.revocations}
        failure = explained(token, terms).failure
        assert (None if failure is None else failure.reason) is expected
        if expected is None:
            spoil(draft)


@settings(max_examples=200)
@given(claims(), st.dictionaries(CLAIMS | st.text(max_size=4), JSON, max_size=3), st.text(max_size=200))
def test_nothing_makes_an_explanation_raise(token: Members, change: Members, text: str) -> None:
    for tried in (SIM.token({**token, **change}), SIM.token(change), SIM.token(text.encode("utf-8")), text):
        explained(tried, ANYWHERE)
