import pytest

from tests.core.constraint_strategies import (
    LISTS,
    OBJECTS,
    SCALARS,
    WILDCARD,
    all_of,
    any_of,
    contains,
    exact,
    not_one_of,
    one_of,
    passes,
    subset,
    within,
)

LARGEST = 2**53 - 1


@pytest.mark.parametrize(
    ("constraint", "admitted", "refused"),
    [
        (exact(1), [1, 1.0], [True, "1", 2, None, [1], {"a": 1}]),
        (exact(True), [True], [1, 1.0, "true", False]),
        (exact(None), [None], [False, 0, "", [], {}]),
        (exact([1, "a"]), [[1, "a"], [1.0, "a"]], [["a", 1], [1], [1, "a", 1], [True, "a"]]),
        (exact({"a": 1, "b": 2}), [{"b": 2, "a": 1.0}], [{"a": 1}, {"a": True, "b": 2}, {"a": 1, "b": 2, "c": 3}]),
        (one_of(1, "a", [1]), [1, 1.0, "a", [1.0]], [True, "1", [True], [], None]),
        (not_one_of(1, "a"), [True, "1", [1], None, {}], [1, 1.0, "a"]),
        (within(min=1, max=3), [1, 2, 2.5, 3, 3.0], [0.5, 3.5, -1, True, "2", None, [2]]),
        (within(min=1), [1, LARGEST], [0, True]),
        (within(max=1), [1, -LARGEST, 0.5], [1.5, False, None]),
        (within(min=1, min_inclusive=False), [1.5, 2], [1, 1.0, True]),
        (within(max=1, max_inclusive=False), [0.5, 0], [1, 2]),
        (within(min=1, max=1, min_inclusive=True, max_inclusive=True), [1], [0, 2]),
        (within(min=2, max=1), [], [0, 1, 1.5, 2, 3]),
        (within(min=1, max=1, max_inclusive=False), [], [0, 1, 2]),
        (within(min=LARGEST), [LARGEST], [LARGEST - 1]),
        (contains(1, "a"), [["a", 1], [1.0, "a", "a", None]], [[1], ["a"], [True, "a"], [], "1a", {"1": 1, "a": 1}]),
        (subset(1, "a"), [[], [1], ["a", 1.0, 1]], [[1, True], ["b"], [["a"]], "a", 1, None, {}]),
        (all_of(within(min=1), not_one_of(2)), [1, 3], [2, 0, "a"]),
        (any_of(within(max=1), exact("a")), [1, "a"], [2, "b"]),
        (all_of(any_of(exact(1), exact(2)), any_of(exact(2), exact(3))), [2], [1, 3]),
        (all_of(exact(1), exact(2)), [], [1, 2]),
    ],
)
def test_each_type_admits_by_its_row(constraint: object, admitted: list[object], refused: list[object]) -> None:
    assert [value for value in admitted if not passes(constraint, value)] == []
    assert [value for value in refused if passes(constraint, value)] == []


@pytest.mark.parametrize("value", [*SCALARS, *LISTS, *OBJECTS])
def test_the_wildcard_admits_every_value(value: object) -> None:
    assert passes(WILDCARD, value)


@pytest.mark.parametrize("value", [*SCALARS, *LISTS, *OBJECTS])
def test_not_one_of_admits_exactly_what_one_of_refuses(value: object) -> None:
    assert passes(one_of(1, "a", [1]), value) != passes(not_one_of(1, "a", [1]), value)
