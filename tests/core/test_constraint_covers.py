"""Every rule of docs/token-profile.md, a refusal beside a control: (parent, covered, refused)."""

from typing import Final

import pytest

from tests.core.constraint_strategies import (
    WILDCARD,
    Json,
    all_of,
    any_of,
    contains,
    covered,
    exact,
    not_one_of,
    one_of,
    passes,
    subset,
    within,
)

EVERY: Final = (
    exact(1),
    one_of(1, "a"),
    not_one_of("a"),
    within(min=1),
    contains(1),
    subset(1),
    WILDCARD,
    all_of(exact(1)),
    any_of(exact(1)),
)
# Types that only a wildcard, an equal one, or a clause can cover.
INCOMPARABLE: Final = (not_one_of("a"), within(min=1), contains(1), subset(1), WILDCARD)


@pytest.mark.parametrize("child", EVERY)
def test_rule_1_a_wildcard_covers_everything(child: Json) -> None:
    assert covered(WILDCARD, child)
    assert covered(child, child)
    assert not covered(child, WILDCARD) or child == WILDCARD


@pytest.mark.parametrize(
    ("parent", "value", "other"),
    [
        (exact(1), 1.0, True),
        (one_of(1, "a"), "a", "1"),
        (not_one_of(1), True, 1.0),
        (within(min=1, max=2), 1.5, 2.5),
        (within(min=1, min_inclusive=False), 2, 1),
        (contains(1), ["a", 1], ["a", True]),
        (subset(1, "a"), [], [2]),
        (all_of(within(min=1), not_one_of(2)), 3, 2),
        (any_of(exact(1), exact(2)), 2, 3),
    ],
)
def test_rule_2_values_are_covered_when_the_parent_admits_them_all(parent: Json, value: object, other: object) -> None:
    assert covered(parent, exact(value))  # type: ignore[arg-type]
    assert covered(parent, {"constraint_type": "one_of", "values": [value]})
    assert not covered(parent, exact(other))  # type: ignore[arg-type]
    assert not covered(parent, {"constraint_type": "one_of", "values": [value, other]})


def test_rule_2_the_clauses_of_an_any_may_share_the_values_among_them() -> None:
    assert covered(any_of(within(max=1), exact("a")), one_of(1, "a"))
    assert not covered(any_of(within(max=1), exact("a")), one_of(1, "b"))


@pytest.mark.parametrize("parent", [within(min=1), any_of(within(min=1), exact("a")), all_of(within(min=1), WILDCARD)])
def test_rule_3_each_clause_of_a_childs_any_is_covered(parent: Json) -> None:
    assert covered(parent, any_of(exact(1), within(min=2)))
    assert not covered(parent, any_of(exact(1), within(min=0)))


def test_rule_4_each_clause_of_a_parents_all_covers_the_child() -> None:
    assert covered(all_of(within(min=1), within(max=3)), within(min=1, max=3))
    assert not covered(all_of(within(min=1), within(max=3)), within(min=1))


def test_rule_5_one_clause_of_a_parents_any_covers_the_child() -> None:
    assert covered(any_of(within(min=1), within(max=3)), within(min=2))
    assert not covered(any_of(within(min=1), within(max=3)), not_one_of(5))
    # Not by two clauses together, although they leave nothing out.
    assert not covered(any_of(within(max=1), within(min=1)), within(min=0, max=2))


def test_rule_5_goes_on_to_rule_6_when_no_clause_covers() -> None:
    parent = any_of(exact(1), exact(2))

    assert not covered(exact(1), all_of(one_of(1, 2), WILDCARD))
    assert covered(parent, all_of(one_of(1, 2), WILDCARD))
    assert not covered(parent, all_of(one_of(1, 3), WILDCARD))


def test_rule_6_one_clause_of_a_childs_all_is_covered() -> None:
    assert covered(within(min=1), all_of(WILDCARD, within(min=2)))
    assert not covered(within(min=1), all_of(WILDCARD, within(min=0)))
    # Sound, not complete: only both clauses together are narrower.
    assert not covered(within(min=1, max=2), all_of(within(min=1), within(max=2)))


@pytest.mark.parametrize(
    ("parent", "child", "wider"),
    [
        (within(min=1), within(min=1), within(min=0.5)),
        (within(min=1), within(min=1, max=9), within(max=9)),
        (within(max=9), within(max=9), within(max=9.5)),
        (within(max=9), within(min=1, max=8), within(min=1)),
        (within(min=1, max=9), within(min=2, max=3), within(min=2)),
        (within(min=1, max=9), within(min=2, max=3), within(max=3)),
        (within(min=1, max=9), within(min=2, max=3), within(min=2, max=10)),
        (within(min=1, min_inclusive=False), within(min=1, min_inclusive=False), within(min=1)),
        (within(max=1, max_inclusive=False), within(max=1, max_inclusive=False), within(max=1, max_inclusive=True)),
        (within(min=1, min_inclusive=False), within(min=1.5), within(min=1, min_inclusive=True)),
        (within(max=1, max_inclusive=False), within(max=0.5), within(max=1)),
        (within(min=1), within(min=1.0, min_inclusive=False), within(min=0.5, min_inclusive=False)),
        (within(max=1), within(max=1, max_inclusive=False), within(max=1.5, max_inclusive=False)),
        (not_one_of(1, "a"), not_one_of("a", 1.0, 2), not_one_of("a", True)),
        (contains(1, "a"), contains("a", 1.0, 2), contains("a", True)),
        (subset(1, "a"), subset(1.0), subset(1, True)),
    ],
)
def test_rule_7_the_same_type_is_tighter(parent: Json, child: Json, wider: Json) -> None:
    assert covered(parent, child)
    assert not covered(parent, wider)


@pytest.mark.parametrize("parent", INCOMPARABLE)
@pytest.mark.parametrize("child", INCOMPARABLE)
def test_rule_8_nothing_else_is_covered(parent: Json, child: Json) -> None:
    assert covered(parent, child) == (parent in (WILDCARD, child))


@pytest.mark.parametrize("parent", [exact(1), one_of(1, 2)])
@pytest.mark.parametrize("child", INCOMPARABLE)
def test_rule_8_values_cover_values_only(parent: Json, child: Json) -> None:
    assert not covered(parent, child)
    # Even where the child admits one of them and nothing else.
    assert not covered(parent, within(min=1, max=1))
    assert covered(parent, all_of(child, exact(1)))


def test_a_child_that_admits_nothing_is_judged_by_its_spelling() -> None:
    nothing = within(min=2, max=1)

    assert not passes(nothing, 1)
    assert covered(within(min=1), nothing)
    assert not covered(subset(1), nothing)


def test_deep_pairs_are_judged() -> None:
    deep, deeper = exact(1), one_of(1, 2)
    for level in range(14):
        deep, deeper = (all_of(deep), all_of(deeper)) if level % 2 else (any_of(deep), any_of(deeper))

    assert covered(deeper, deep)
    assert not covered(deep, deeper)
