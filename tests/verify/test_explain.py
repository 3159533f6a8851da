"""What an explanation says, of accepted and of refused tokens."""

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from tests.proofs import judge, proof
from tests.simulator import API, FILES, NOW, SCOPE, Members, Simulator, assemble, jti, thumbprint
from tests.verify import signed
from tests.verify.signed import FLOORS, KEYS, PROVEN
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import Reason, Unavailable
from tokensvc.verify import (
    Attenuation,
    Change,
    Dimension,
    Evidence,
    Explanation,
    LifetimeOnly,
    Order,
    PublicKey,
    RevocationList,
    ScopeGrammar,
    explain_token,
    verifier,
)
from tokensvc.verify.explain import Comparison, ExplainedRoot, Failure, State

SIM = Simulator()
TERMS: dict[str, Any] = {
    "keys": SIM.keys(),
    "expect": SIM.expect(),
    "now": NOW,
    "revocations": LifetimeOnly(max_s=900),
}
KEPT = dict.fromkeys(Dimension, Change.KEPT)
UNREVOKED = RevocationList((), as_of=NOW, max_staleness_s=10)


def explain(token: str, **terms: Any) -> Explanation:  # noqa: ANN401 - any term of explain_token
    return explain_token(token, **{**TERMS, **terms})


def explain_chain(chain: list[Members], *, claims: Members | None = None, **terms: Any) -> Explanation:  # noqa: ANN401
    return explain(SIM.token(SIM.claims(chain, **(claims or {}))), **terms)


def explain_draft(draft: signed.Draft, **terms: Any) -> Explanation:  # noqa: ANN401
    return explain(draft.token(), **{"keys": KEYS, "expect": FLOORS, "proof": PROVEN, **terms})


def states(explanation: Explanation) -> dict[int, State]:
    return {step.number: step.state for step in explanation.steps}


def stopped_at(explanation: Explanation) -> int:
    """The step that failed, once every other is seen to be before it and passed, or after it and not reached."""
    assert explanation.failure is not None
    number = explanation.failure.step
    made = {step: state for step, state in states(explanation).items() if state is not State.NOT_PERFORMED}
    assert made == {
        step: State.PASSED if step < number else State.FAILED if step == number else State.NOT_REACHED for step in made
    }
    return number


def comparison_of(explanation: Explanation, index: int) -> Comparison:
    comparison = explanation.hops[index - 1].comparison
    assert comparison is not None
    return comparison


# The steps


def test_the_steps_are_numbered_and_named_as_the_verifier_says() -> None:
    table = re.findall(r" (\d+) ([a-z].*?)(?=  |\n)", (verifier.__doc__ or "").partition("\n\n")[2])

    assert {step.number: step.name for step in explain("x").steps} == {int(number): name for number, name in table}
    assert [step.number for step in explain("x").steps] == [*range(1, 16)]


def test_of_an_accepted_token_every_step_passed_and_it_is_what_verification_gives() -> None:
    token = SIM.token(SIM.claims(SIM.chain("planner", "mailer")))
    explanation = explain(token, revocations=UNREVOKED)

    assert set(states(explanation).values()) == {State.PASSED}
    assert explanation.failure is None
    assert explanation.verified == SIM.verify(token, revocations=UNREVOKED)
    assert explanation.actors == ("mailer", "planner")


def test_a_check_that_the_caller_left_out_is_not_called_passed() -> None:
    draft = signed.Draft.of()

    assert states(explain_draft(draft))[8] is State.NOT_PERFORMED
    assert states(explain_draft(draft))[14] is State.NOT_PERFORMED
    assert states(explain_draft(draft, revocations=UNREVOKED))[14] is State.PASSED
    unbound = explain_chain(SIM.chain("planner"), proof=PROVEN)
    assert states(unbound)[8] is State.PASSED
    assert states(explain_draft(draft, proof=None))[8] is State.FAILED


def test_a_holder_that_proved_the_key_passed_and_one_that_did_not_failed() -> None:
    text = signed.Draft.of().token()
    terms: Members = {"keys": KEYS, "expect": FLOORS, "now": NOW, "revocations": UNREVOKED}
    proven = explain_token(text, **terms, proof=judge(proof(text, key=signed.holder("printer"))))
    other = explain_token(text, **terms, proof=judge(proof(text)))

    assert (states(proven)[8], states(other)[8]) == (State.PASSED, State.FAILED)
    assert proven.verified is not None
    assert proven.verified.not_performed == frozenset()


@pytest.mark.parametrize(
    ("claims", "step", "reason"),
    [
        ({"client_id": 5}, 5, Reason.MALFORMED),
        ({"exp": NOW - 40}, 6, Reason.EXPIRED),
        ({"aud": FILES}, 7, Reason.WRONG_AUDIENCE),
        ({"cnf": {"jkt": thumbprint("x")}}, 8, Reason.HOLDER_UNPROVEN),
        ({"grant_profile": 2}, 9, Reason.MALFORMED),
        ({"jti": jti("root")}, 10, Reason.CHAIN_MISALIGNED),
        ({"sub": "user-2"}, 11, Reason.ROOT_INVALID),
        ({"scope": SCOPE}, 13, Reason.TOKEN_EXCEEDS_GRANT),
    ],
)
def test_the_first_failure_is_told_and_nothing_after_it_is_called_passed(
    claims: Members, step: int, reason: Reason
) -> None:
    chain = SIM.chain("planner")
    explanation = explain_chain(chain, claims=claims)

    assert stopped_at(explanation) == step
    assert explanation.failure is not None
    assert (explanation.failure.reason, explanation.failure.hop) == (reason, None)
    assert explanation.verified is None
    assert (explanation.claims is None) == (step == 5)
    assert (explanation.root is None) == (explanation.hops == ()) == (step < 10)
    assert explain_chain(chain).failure is None


def test_a_revoked_token_fails_the_last_check_and_its_hops_passed() -> None:
    user = Revocation(kind=RevocationKind.USER, id="user-1", not_before=None, until=None)
    explanation = explain_chain(
        SIM.chain("planner"), revocations=RevocationList((user,), as_of=NOW, max_staleness_s=10)
    )

    assert stopped_at(explanation) == 14
    assert [hop.state for hop in explanation.hops] == [State.PASSED]
    assert explain_chain(SIM.chain("planner"), revocations=UNREVOKED).failure is None


# What is shown


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claims: SIM.token(claims) + ".",
        lambda claims: assemble({"typ": "JWT"}, claims, b"x" * 64),
        lambda claims: assemble(SIM.header(), {**claims, "iss": "https://x.example"}, b"x" * 64),
        lambda claims: assemble(SIM.header(kid="x"), claims, b"x" * 64),
        lambda claims: assemble(SIM.header(), claims, b"x" * 64),
        lambda claims: SIM.token({**claims, "sub": 5}),
    ],
    ids=["text", "header", "issuer", "key", "signature", "claims"],
)
def test_nothing_is_shown_of_a_payload_that_was_not_proven_and_read(spoil: Callable[[Members], str]) -> None:
    claims = SIM.claims(SIM.chain("planner-7"), sub="user-7")
    claims["grant_chain"][0]["sub"] = "user-7"
    explanation = explain(spoil(claims))

    assert (explanation.claims, explanation.actors, explanation.root, explanation.hops) == (None, (), None, ())
    assert not any(secret in repr(explanation) for secret in ("user-7", "planner-7", "as.example", "x.example"))
    control = explain(SIM.token(claims))
    assert control.failure is None
    assert "user-7" in repr(control)


def test_a_signed_root_is_shown_when_its_signature_verified() -> None:
    draft = signed.Draft.of()
    control = explain_draft(draft)
    assert control.verified is not None
    assert control.root == ExplainedRoot(root=control.verified.chain.root, evidence=Evidence.AUTHORITY)
    draft.parts[0].key = signed.holder("printer")
    explanation = explain_draft(draft)

    assert stopped_at(explanation) == 11
    assert explanation.root == ExplainedRoot(root=None, evidence=None)
    plain, *others = explanation.hops
    assert (plain.state, plain.evidence, plain.comparison) == (State.NOT_REACHED, Evidence.ISSUER, None)
    assert [(hop.state, hop.hop, hop.evidence) for hop in others] == [(State.NOT_REACHED, None, None)] * 2


def test_a_signed_hop_is_shown_when_its_signature_verified() -> None:
    draft = signed.Draft.of()
    control = explain_draft(draft)
    assert control.verified is not None
    assert [hop.evidence for hop in control.hops] == [Evidence.ISSUER, Evidence.DELEGATOR, Evidence.DELEGATOR]
    assert [hop.hop for hop in control.hops] == [*control.verified.chain.hops]
    draft.parts[2].key = signed.holder("printer")
    explanation = explain_draft(draft)

    assert stopped_at(explanation) == 12
    assert explanation.failure is not None
    assert (explanation.failure.reason, explanation.failure.hop) == (Reason.GRANT_INVALID, 2)
    assert [hop.state for hop in explanation.hops] == [State.PASSED, State.FAILED, State.NOT_REACHED]
    assert [hop.hop is None for hop in explanation.hops] == [False, True, True]
    assert [hop.comparison is None for hop in explanation.hops] == [False, True, True]


def test_a_hop_without_evidence_enough_is_not_compared() -> None:
    expect = replace(SIM.expect(), hop_floor=Evidence.DELEGATOR)
    explanation = explain_chain(SIM.chain("planner"), expect=expect)

    assert explanation.failure is not None
    assert explanation.failure.reason is Reason.EVIDENCE_INSUFFICIENT
    assert [(hop.state, hop.comparison) for hop in explanation.hops] == [(State.FAILED, None)]
    assert comparison_of(explain_chain(SIM.chain("planner")), 1).is_proper


# What became of authority


def test_each_dimension_is_kept_or_narrowed_and_what_is_gone_is_told() -> None:
    details = [{"type": "attenuating_agent_token", "tools": {"read": {}, "write": {}}}]
    chain = SIM.chain("planner", "mailer", root=SIM.root(authorization_details=details))
    chain[1].update(authorization_details=details)
    chain[2].update(
        resources=[API], exp=chain[1]["exp"] - 100, iat=chain[1]["iat"] + 7, max_depth=3, cnf={"jkt": thumbprint("x")}
    )
    claims = {"cnf": {"jkt": thumbprint("x")}}
    explanation = explain_chain(chain, claims=claims, proof=PROVEN)

    assert explanation.failure is None
    first, second = comparison_of(explanation, 1), comparison_of(explanation, 2)
    assert first.changes == {**KEPT, Dimension.SCOPE: Change.NARROWED}
    assert second.changes == dict.fromkeys(Dimension, Change.NARROWED)
    assert second == Comparison(
        changes=second.changes,
        scope_gone=frozenset({"crm.read"}),
        scope_new=frozenset(),
        resources_gone=frozenset({FILES}),
        resources_new=frozenset(),
        ends_earlier_s=100,
        starts_later_s=7,
        depth_gone=2,
        is_proper=True,
    )


@pytest.mark.parametrize(
    ("hop", "dimension", "shown"),
    [
        ({"scope": "crm.read x.y"}, Dimension.SCOPE, {"scope_new": {"x.y"}}),
        ({"authorization_details": [{"type": "x"}]}, Dimension.DETAILS, {}),
        ({"resources": [API, "urn:x"]}, Dimension.RESOURCES, {"resources_new": {"urn:x"}, "resources_gone": {FILES}}),
        ({"exp": NOW + 3601}, Dimension.LIFETIME, {"ends_earlier_s": -1}),
        ({"iat": NOW - 61}, Dimension.LIFETIME, {"starts_later_s": -1}),
        ({"max_depth": 6}, Dimension.DEPTH, {"depth_gone": -1}),
    ],
)
def test_a_widened_dimension_is_named_with_what_is_new(hop: Members, dimension: Dimension, shown: Members) -> None:
    chain = SIM.chain("planner", "mailer")
    control = explain_chain(chain)
    chain[2].update(hop)
    explanation = explain_chain(chain)

    assert explanation.failure is not None
    assert (explanation.failure.reason, explanation.failure.hop) == (Reason.NOT_NARROWER, 2)
    assert str(dimension) in explanation.failure.description
    comparison = comparison_of(explanation, 2)
    assert [name for name, change in comparison.changes.items() if change is Change.WIDENED] == [dimension]
    assert {name: getattr(comparison, name) for name in shown} == shown
    assert control.failure is None
    assert Change.WIDENED not in comparison_of(control, 2).changes.values()


def test_a_hop_that_gives_up_the_key_above_it_widens_the_holder() -> None:
    chain = SIM.chain("planner", "mailer", root=SIM.root())
    chain[1]["cnf"] = {"jkt": thumbprint("x")}
    explanation = explain_chain(chain)

    assert comparison_of(explanation, 1).changes[Dimension.HOLDER] is Change.NARROWED
    assert comparison_of(explanation, 2).changes == {
        **KEPT,
        Dimension.SCOPE: Change.NARROWED,
        Dimension.HOLDER: Change.WIDENED,
    }
    chain[2]["cnf"] = {"jkt": thumbprint("y")}
    control = explain_chain(chain, claims={"cnf": chain[2]["cnf"]}, proof=PROVEN)
    assert comparison_of(control, 2).changes[Dimension.HOLDER] is Change.KEPT
    assert control.failure is None


def test_a_hop_that_keeps_everything_is_not_proper_and_every_dimension_kept() -> None:
    chain = SIM.chain("planner")
    chain[1]["scope"] = SCOPE
    explanation = explain_chain(chain)

    assert explanation.failure == Failure(
        step=12,
        hop=1,
        reason=Reason.NOT_PROPER,
        description="hop 1 has everything that the entry before it has",
    )
    assert comparison_of(explanation, 1).changes == KEPT
    assert not comparison_of(explanation, 1).is_proper
    allowed = explain_chain(chain, expect=replace(SIM.expect(), order=Order(proper_from=2)))
    assert allowed.failure is None
    assert not comparison_of(allowed, 1).is_proper


def test_changes_are_judged_in_the_verifiers_own_order() -> None:
    root = SIM.root(scope="crm.* mail.send")
    chain = SIM.chain("planner", root=root)
    chain[1].update(scope="crm.read crm.x.* mail.send", resources=[API])
    segments = explain_chain(chain, expect=replace(SIM.expect(), order=Order(grammar=ScopeGrammar.SEGMENTS)))

    assert segments.failure is None
    assert comparison_of(segments, 1).changes[Dimension.SCOPE] is Change.NARROWED
    assert comparison_of(segments, 1).scope_gone == {"crm.*"}
    assert comparison_of(segments, 1).scope_new == set()
    exact = comparison_of(explain_chain(chain), 1)
    assert exact.changes[Dimension.SCOPE] is Change.WIDENED
    assert exact.scope_new == {"crm.read", "crm.x.*"}
    chain[1]["scope"] = root["scope"]
    by_resource = replace(SIM.expect(), order=Order(attenuation=Attenuation.AUTHORITY))
    assert comparison_of(explain_chain(chain, expect=by_resource), 1).is_proper
    assert not comparison_of(explain_chain(chain), 1).is_proper


def any_of(*clauses: Members) -> list[Members]:
    argument = {"constraint_type": "any", "constraints": clauses}
    return [{"type": "attenuating_agent_token", "tools": {"t": {"a": argument}}}]


def exactly(count: int) -> list[Members]:
    return [{"constraint_type": "exact", "value": number} for number in range(count)]


def one_of(count: int) -> list[Members]:
    """Lists of 250 values each, all but the first few of which no clause of `exactly` admits."""
    return [{"constraint_type": "one_of", "values": [*range(start, start + 250)]} for start in range(0, count, 250)]


def explain_details(above: list[Members], below: list[Members]) -> Explanation:
    chain = SIM.chain("planner", root=SIM.root(authorization_details=above))
    chain[1]["authorization_details"] = below
    return explain_chain(chain, claims={"authorization_details": below})


ANY_NUMBER = {"constraint_type": "range", "min": 0}


def test_details_that_cost_too_much_to_compare_are_unjudged_and_the_rest_is_told() -> None:
    explanation = explain_details(any_of(*exactly(120), ANY_NUMBER), any_of(*one_of(500)))

    assert explanation.failure is not None
    assert (explanation.failure.reason, explanation.failure.hop) == (Reason.TOO_LARGE, 1)
    expected = {**KEPT, Dimension.SCOPE: Change.NARROWED, Dimension.DETAILS: Change.UNJUDGED}
    assert comparison_of(explanation, 1).changes == expected
    control = explain_details(any_of(*exactly(60), ANY_NUMBER), any_of(*one_of(500)))
    assert control.failure is None
    assert comparison_of(control, 1).changes == {**expected, Dimension.DETAILS: Change.NARROWED}


def test_details_that_only_cost_too_much_to_compare_back_are_accepted_and_unjudged() -> None:
    above = any_of(ANY_NUMBER, *one_of(1000))
    explanation = explain_details(above, any_of(*exactly(60), ANY_NUMBER))

    assert explanation.failure is None
    assert comparison_of(explanation, 1).changes[Dimension.DETAILS] is Change.UNJUDGED
    control = explain_details(above, any_of(*exactly(30), ANY_NUMBER))
    assert comparison_of(control, 1).changes[Dimension.DETAILS] is Change.KEPT


def test_the_order_of_dimensions_is_kept_and_an_explanation_cannot_be_changed() -> None:
    explanation = explain_chain(SIM.chain("planner"))
    changes = comparison_of(explanation, 1).changes

    assert [*changes] == [*Dimension]
    with pytest.raises(TypeError):
        changes[Dimension.SCOPE] = Change.KEPT  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        explanation.verified = None  # type: ignore[misc]


# What is no fault of the token


class DownKeys:
    def find(self, iss: str, kid: str) -> PublicKey | None:
        raise Unavailable(f"{iss} {kid}")


def test_what_is_no_fault_of_the_token_is_raised() -> None:
    token = SIM.token(SIM.claims(SIM.chain("planner")))
    assert explain(token).failure is None
    with pytest.raises(Unavailable):
        explain(token, keys=DownKeys())
    with pytest.raises(TypeError):
        explain(token, now=float(NOW))
    with pytest.raises(TypeError):
        explain(token, proof="a proof")
