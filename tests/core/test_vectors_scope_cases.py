"""The scope cases of delegation-chain-spec 0.1.0, judged by our order and by the verifier.

Their operation intersects: what the parent does not hold is dropped in silence. We never trim: a child that asks for
too much is refused whole. So the two agree on a case exactly when their intersection is the child's own profile.
"""

from dataclasses import dataclass, replace
from typing import Final

import pytest

from tests.shared_vectors import read_vectors
from tests.simulator import Simulator
from tokensvc.core.authority import Order
from tokensvc.core.scope import ScopeGrammar, parse_scope, scope_covers, uncovered
from tokensvc.errors import Malformed, Reason

SIM: Final = Simulator()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What we say of a case in each grammar (None: accepted), and why where that is not what they say."""

    segments: Reason | None
    exact: Reason | None
    why: str = ""


EMPTY: Final = "a hop grants something: an empty scope was read as no limit elsewhere, so here it is no scope at all"
NO_TRIM: Final = "what is too much is refused and not cut to fit, or the agent works with less than it was told"
VERDICTS: Final = {
    "empty parent yields empty": Verdict(segments=Reason.MALFORMED, exact=Reason.MALFORMED, why=EMPTY),
    "empty child yields empty": Verdict(segments=Reason.MALFORMED, exact=Reason.MALFORMED, why=EMPTY),
    "exact match passes through": Verdict(segments=None, exact=None),
    "wildcard parent matches specific child": Verdict(segments=None, exact=Reason.NOT_NARROWER),
    "specific parent does not widen wildcard child": Verdict(
        segments=Reason.NOT_NARROWER, exact=Reason.NOT_NARROWER, why=NO_TRIM
    ),
    "non-matching scopes drop": Verdict(segments=Reason.NOT_NARROWER, exact=Reason.NOT_NARROWER, why=NO_TRIM),
    "multiple wildcards": Verdict(segments=Reason.NOT_NARROWER, exact=Reason.NOT_NARROWER, why=NO_TRIM),
}


def cases() -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Each case by its name: the parent's scopes, the child's, and what they make of them."""
    vectors = read_vectors("delegation-chain-spec", "conformance/intersect-scopes.json")["cases"]
    return {case["name"]: (case["parent"], case["childProfile"], case["expected"]) for case in vectors}


def reason(parent: list[str], child: list[str], grammar: ScopeGrammar) -> Reason | None:
    """What the public verifier says of a token whose one hop has `child` below a root with `parent`."""
    root = SIM.root(scope=" ".join(parent))
    token = SIM.token(SIM.claims([root, SIM.hop(root, "planner", scope=" ".join(child))]))
    return SIM.reason(token, expect=replace(SIM.expect(), order=Order(grammar=grammar)))


def test_every_case_has_its_verdict() -> None:
    assert cases().keys() == VERDICTS.keys()


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verifier_accepts_a_case_exactly_when_nothing_had_to_be_dropped(name: str) -> None:
    parent, child, expected = cases()[name]
    verdict = VERDICTS[name]

    assert reason(parent, child, ScopeGrammar.SEGMENTS) is verdict.segments
    assert reason(parent, child, ScopeGrammar.EXACT) is verdict.exact
    # Ours is never the wider one, and where it is the stricter one the table says why.
    assert (verdict.segments is None) == (child == expected != [])
    assert (verdict.segments is None) == (verdict.why == "")
    if expected:
        # The control: what they would have cut it to, asked for as such.
        assert reason(parent, expected, ScopeGrammar.SEGMENTS) is None


@pytest.mark.parametrize("name", [name for name, verdict in VERDICTS.items() if verdict.why != EMPTY])
def test_what_is_not_covered_is_what_they_drop(name: str) -> None:
    parent, child, expected = cases()[name]
    above, below = frozenset(parent), frozenset(child)

    assert uncovered(above, below, ScopeGrammar.SEGMENTS) == below - set(expected)
    assert scope_covers(above, below, ScopeGrammar.SEGMENTS) == (child == expected)
    assert uncovered(above, below, ScopeGrammar.EXACT) == below - above


@pytest.mark.parametrize("name", [name for name, verdict in VERDICTS.items() if verdict.why == EMPTY])
def test_an_empty_profile_never_becomes_a_scope_set(name: str) -> None:
    parent, child, expected = cases()[name]

    assert expected == []
    for profile in (parent, child):
        if profile:
            assert parse_scope(" ".join(profile)) == set(profile)
        else:
            with pytest.raises(Malformed):
                parse_scope(" ".join(profile))
