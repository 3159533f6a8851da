from typing import Final

import pytest

from tests.core.constraint_strategies import WILDCARD, Json, exact, not_one_of, one_of, within
from tests.core.detail_strategies import entry
from tokensvc.core.constraint import MAX_STEPS, Budget
from tokensvc.core.details import details_cover, parse_details
from tokensvc.errors import Malformed, Reason

X: Final = "https://x.example"
Y: Final = "https://y.example"


def optional(constraint: Json) -> Json:
    return {**constraint, "optional": True}


def covered(parent: list[Json], child: list[Json]) -> bool:
    return details_cover(parse_details(parent), parse_details(child))


def steps(parent: list[Json], child: list[Json]) -> int:
    budget = Budget()
    details_cover(parse_details(parent), parse_details(child), budget)
    return MAX_STEPS - budget.left


def maps_covered(parent: Json, child: Json) -> bool:
    return covered([entry({"read": parent})], [entry({"read": child})])


@pytest.mark.parametrize(
    ("parent", "child", "wider"),
    [
        # A named argument by its name, else by `*`, else refused.
        ({"a": within(min=1)}, {"a": within(min=2)}, {"a": within(min=0)}),
        ({"a": exact(1), "*": exact(2)}, {"a": exact(1), "b": exact(2)}, {"a": exact(2)}),
        ({"a": exact(1), "*": exact(2)}, {"a": exact(1), "b": exact(2)}, {"a": exact(1), "b": exact(1)}),
        ({"a": exact(1)}, {"a": exact(1)}, {"a": exact(1), "b": exact(1)}),
        ({"a": exact(1)}, {"a": exact(1)}, {"b": exact(1)}),
        # `*` by `*`, and it must not reach what the parent names.
        ({"*": within(min=1)}, {"*": within(min=2)}, {"*": within(min=0)}),
        ({"a": exact(1), "*": WILDCARD}, {"a": exact(1), "*": exact(2)}, {"*": exact(2)}),
        ({"a": optional(exact(1)), "*": WILDCARD}, {"a": exact(1), "*": WILDCARD}, {"*": exact(1)}),
        ({"a": exact(1)}, {"a": exact(1)}, {"a": exact(1), "*": exact(1)}),
        # Required stays required; what may be left out is optional.
        ({"a": exact(1)}, {"a": exact(1)}, {"a": optional(exact(1))}),
        ({"a": optional(exact(1))}, {"a": exact(1)}, {"a": optional(exact(2))}),
        ({"a": exact(1), "b": optional(exact(1))}, {"a": exact(1)}, {"b": optional(exact(1))}),
        ({"a": exact(1), "*": WILDCARD}, {"a": exact(1), "b": optional(exact(1))}, {"b": exact(1)}),
        ({"*": exact(1)}, {"a": optional(exact(1))}, {"a": optional(exact(2))}),
        # `{}` is every argument.
        ({}, {"a": optional(WILDCARD)}, None),
        ({"*": WILDCARD}, {}, None),
        ({}, {}, None),
        ({}, {"*": WILDCARD}, None),
        ({"*": WILDCARD}, {"*": WILDCARD}, None),
        ({"*": not_one_of(1)}, {"*": not_one_of(1, 2)}, {}),
        ({"a": optional(WILDCARD), "*": WILDCARD}, {"a": WILDCARD, "*": WILDCARD}, {}),
        ({"a": optional(WILDCARD)}, {"a": WILDCARD}, {}),
    ],
)
def test_a_map_of_arguments_is_covered_by_the_three_rules(parent: Json, child: Json, wider: Json | None) -> None:
    assert maps_covered(parent, parent)
    assert maps_covered(parent, child)
    if wider is not None:
        assert not maps_covered(parent, wider)


ONE: Final[Json] = {"a": exact(1)}
MORE: Final[Json] = {"a": one_of(1, 2)}


@pytest.mark.parametrize(
    ("parent", "child", "wider"),
    [
        ({"read": MORE}, {"read": ONE}, {"write": ONE}),
        ({"read": ONE}, {"read": ONE}, {"read": MORE}),
        ({"read": ONE}, {"read": ONE}, {"read": ONE, "write": ONE}),
        ({"read": ONE, "write": ONE}, {"write": ONE}, {"Read": ONE}),
        ({"read": ONE}, {"read": ONE}, {"read ": ONE}),
        ({"*": MORE}, {"read": ONE}, {"read": {}}),
        ({"*": MORE}, {"*": ONE}, {"*": {}}),
        ({"read": ONE, "*": MORE}, {"write": MORE}, {"read": MORE}),
        # Tools are left out freely, but not below a `*` of the child's own.
        ({"read": ONE, "*": MORE}, {"read": ONE, "*": ONE}, {"*": ONE}),
        ({"read": ONE, "*": MORE}, {"read": ONE, "*": ONE, "write": MORE}, {"*": ONE, "write": MORE}),
        ({"read": ONE}, {"read": ONE}, {"*": ONE}),
        ({"read": {}}, {"read": {}}, {"*": {}}),
    ],
)
def test_a_map_of_tools_is_covered_by_the_first_two_rules(parent: Json, child: Json, wider: Json) -> None:
    assert covered([entry(parent)], [entry(parent)])
    assert covered([entry(parent)], [entry(child)])
    assert not covered([entry(parent)], [entry(wider)])


@pytest.mark.parametrize(
    ("parent", "child", "wider"),
    [
        ((), (X,), None),
        ((), (), None),
        ((X, Y), (Y,), ()),
        ((X, Y), (Y, X), (X, "https://z.example")),
        ((X,), (X,), (X + "/",)),
        ((X,), (X,), ("HTTPS://x.example",)),
    ],
)
def test_locations_are_a_subset_byte_for_byte(
    parent: tuple[str, ...], child: tuple[str, ...], wider: tuple[str, ...] | None
) -> None:
    assert covered([entry({"read": {}}, *parent)], [entry({"read": {}}, *child)])
    if wider is not None:
        assert not covered([entry({"read": {}}, *parent)], [entry({"read": {}}, *wider)])


def test_an_entry_is_covered_by_one_entry_and_never_by_a_union() -> None:
    read, write = entry({"read": {}}), entry({"write": {}})
    low, high = entry({"read": {"a": within(max=5)}}), entry({"read": {"a": within(min=5)}})

    assert covered([read, write], [write, read])
    assert covered([entry({"read": {}, "write": {}})], [read, write])
    assert not covered([read, write], [entry({"read": {}, "write": {}})])
    assert not covered([low, high], [entry({"read": {"a": within(min=0, max=9)}})])
    assert not covered([entry({"read": {}}, X), entry({"read": {}}, Y)], [entry({"read": {}}, X, Y)])
    # Each one alone, and several of the child under one of the parent.
    assert covered([low, high], [entry({"read": {"a": within(max=3)}}), entry({"read": {"a": within(max=4)}})])


def test_every_entry_of_the_child_must_be_covered() -> None:
    read, write = entry({"read": {}}), entry({"write": {}})

    assert not covered([read], [read, write])
    assert not covered([], [read])
    assert covered([read], [])
    assert covered([], [])


def test_an_entry_of_another_type_is_covered_by_an_equal_one_only() -> None:
    other: Json = {"type": "payment", "limit": 10, "actions": ["a", "b"]}

    assert covered([other], [dict(reversed(other.items()))])
    assert covered([entry({"*": {}}), other], [{**other, "limit": 10.0}])
    changes: list[Json] = [{"limit": 5}, {"limit": "10"}, {"actions": ["b", "a"]}, {"more": 1}]
    for change in changes:
        assert not covered([other], [{**other, **change}])
    assert not covered([entry({"*": {}})], [other])
    assert not covered([other], [entry({"*": {}})])


def test_details_that_fill_a_token_are_compared_within_the_budget() -> None:
    several = [
        entry({"read_file": {f"argument{n}": one_of(each, 100 + n) for n in range(4)}}, f"https://{each}.example")
        for each in range(64)
    ]

    for child in (several, list(reversed(several))):
        assert covered(several, child)
        assert steps(several, child) < MAX_STEPS / 5


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        # An entry of the child: 1, and as much for another type.
        ([], [], 0),
        ([{"type": "payment"}], [{"type": "payment"}], 1),
        # A pair of entries: 1. A name of the child's: 1. Arguments: as many as both name. A pair of constraints: 1.
        ([entry({"read": {}})], [entry({"write": {}})], 1 + 1 + 1),
        ([entry({"read": {}})], [entry({"read": {}})], 1 + 1 + 1 + 2 + 1 + 1 + 1),
        ([entry({"read": {"a": within(min=1)}})], [entry({"read": {"a": within(min=1)}})], 1 + 1 + 1 + 2 + 1 + 1),
        # Locations: as many as the child has, where the parent has any.
        ([entry({"read": {}}, X, Y)], [entry({"write": {}}, X, Y)], 1 + 1 + 2 + 1),
        ([entry({"read": {}})], [entry({"write": {}}, X, Y)], 1 + 1 + 1),
        # A `*` of the child: as many as the parent names.
        ([entry({"read": {}, "chat": {}})], [entry({"*": {}})], 1 + 1 + 2),
    ],
)
def test_every_step_is_counted(parent: list[Json], child: list[Json], expected: int) -> None:
    assert steps(parent, child) == expected


def test_a_covering_that_takes_too_long_is_refused() -> None:
    def several(count: int, first: int, last: Json) -> list[Json]:
        same = {f"a{n}": exact(1) for n in range(20)}
        distinct = [entry({"read": {**same, "z": exact(first + each)}}) for each in range(count - 1)]
        return [*distinct, entry({"read": {**same, "z": last}})]

    # Only the last entry of the parent covers, and all others agree up to the last argument.
    with pytest.raises(Malformed) as refused:
        covered(several(64, 0, WILDCARD), several(64, 100, exact(0)))
    assert refused.value.reason is Reason.TOO_LARGE
    assert covered(several(20, 0, WILDCARD), several(20, 100, exact(0)))


def test_locations_are_counted_in_the_budget() -> None:
    def several(count: int, name: str, last: str) -> list[Json]:
        places = [f"https://{n}.example" for n in range(256)]
        return [*(entry({f"{name}{each}": {}}, *places) for each in range(count - 1)), entry({last: {}}, *places)]

    with pytest.raises(Malformed) as refused:
        covered(several(64, "read", "*"), several(64, "other", "other"))
    assert refused.value.reason is Reason.TOO_LARGE
    assert covered(several(10, "read", "*"), several(10, "other", "other"))
