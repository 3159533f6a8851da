"""The step budget bounds the work, counted and not timed."""

from collections.abc import Sequence

import pytest

from tests.core.constraint_strategies import Json, all_of, any_of, constraint, contains, exact, one_of, subset, within
from tokensvc.core.constraint import MAX_STEPS, AllOf, AnyOf, Budget, Constraint, Values, admits, covers
from tokensvc.core.frozenjson import FrozenJson, freeze_json
from tokensvc.errors import Malformed, Reason


class Counted(int):
    """A number that counts how often a set looks it up."""

    lookups = 0

    def __hash__(self) -> int:
        type(self).lookups += 1
        return int.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return int.__eq__(self, other)


def spent(parent: Json, child: Json) -> int:
    budget = Budget()
    covers(constraint(parent), constraint(child), budget)
    return MAX_STEPS - budget.left


def chunks(values: Sequence[int]) -> list[Json]:
    return [one_of(*values[at : at + 250]) for at in range(0, len(values), 250)]


def test_a_thousand_values_against_eight_thousand_cost_a_look_up_each() -> None:
    parent, child = any_of(*chunks(range(8_000))), any_of(*chunks(range(1_000)))

    # A value is looked up in the lists that come before its own, at most 4 here, and never compared with 8,000 others.
    assert spent(parent, child) <= 1_000 * 5 + 100


def test_a_thousand_values_that_stand_in_no_list_are_refused_early() -> None:
    assert spent(any_of(*chunks(range(8_000))), any_of(*chunks(range(8_000, 9_000)))) <= 2_000


def test_the_worst_order_of_lists_is_cut_off() -> None:
    parent = any_of(*chunks(range(8_000)))
    child = any_of(*chunks(range(6_000, 8_000)))
    budget = Budget()

    with pytest.raises(Malformed) as refused:
        covers(constraint(parent), constraint(child), budget)
    assert refused.value.reason is Reason.TOO_LARGE
    # The control: half of it is within the budget.
    assert covers(constraint(parent), constraint(any_of(*chunks(range(6_500, 7_500)))), Budget())


def test_one_list_is_looked_up_once_a_value() -> None:
    values = constraint(one_of(*range(256)))

    for count in (1, 10, 256):
        assert spent(one_of(*range(256)), one_of(*range(count))) == count + 1
    assert covers(values, values, Budget(257))
    with pytest.raises(Malformed):
        covers(values, values, Budget(256))


def test_a_pair_is_judged_once() -> None:
    def ladder(levels: int, bound: int) -> Constraint:
        node = constraint(within(min=bound))
        for level in range(levels):
            node = (AnyOf if level % 2 else AllOf)((node, node))
        return node

    # Shared clauses and two ways to every pair: 2^24 visits unless pairs are remembered.
    budget = Budget()
    assert covers(ladder(12, 1), ladder(12, 2), budget)
    assert MAX_STEPS - budget.left <= 13 * 13
    assert not covers(ladder(12, 2), ladder(12, 1), Budget())


def test_a_budget_is_not_misled_by_constraints_that_came_and_went() -> None:
    budget = Budget()
    for n in range(200):
        # Each pair is garbage at once, and the next may take its place in memory.
        assert covers(constraint(within(min=n)), constraint(within(min=n + 1)), budget)
        assert not covers(constraint(within(min=n + 1)), constraint(within(min=n)), budget)
        assert not covers(constraint(exact(n)), constraint(exact(n + 1)), budget)


def test_distinct_clauses_reached_two_ways_are_judged_once() -> None:
    parent = any_of(*(any_of(*(within(min=10 * i + j) for j in range(10))) for i in range(1, 10)))
    child = all_of(*(all_of(*(within(max=10 * i + j) for j in range(10))) for i in range(1, 10)))

    nodes = 1 + 9 + 90
    assert spent(parent, child) <= nodes * nodes


def test_pairs_without_end_are_cut_off() -> None:
    parent = any_of(*(within(min=n) for n in range(250)))
    child = all_of(*(within(max=n) for n in range(250)))

    with pytest.raises(Malformed) as refused:
        covers(constraint(parent), constraint(child), Budget())
    assert refused.value.reason is Reason.TOO_LARGE


def cost(of: Json, value: object) -> int:
    budget = Budget()
    admits(constraint(of), freeze_json(value), budget)
    return MAX_STEPS - budget.left


def test_an_admitted_list_costs_a_look_up_an_item() -> None:
    assert cost(subset(1, 2), [1] * 1_000) == 1_001
    assert cost(subset(1, 2), [3] * 1_000) == 2
    assert cost(contains(1, 2), [1] * 1_000) == 1_001
    assert cost(contains(1, 2), [1, 2] * 1_000) == 3


@pytest.mark.parametrize("of", [subset(1), contains(2), all_of(*[subset(1)] * 6), any_of(*[contains(2)] * 6)])
def test_a_list_of_very_many_items_is_refused_as_too_large(of: Json) -> None:
    with pytest.raises(Malformed) as refused:
        cost(of, [1] * 60_000)
    assert refused.value.reason is Reason.TOO_LARGE
    assert cost(of, [1] * 6_000) <= MAX_STEPS


@pytest.mark.parametrize("join", [subset, contains, one_of])
def test_lists_in_two_constraints_are_compared_by_look_ups(join: object) -> None:
    assert callable(join)
    listed = join(*range(256))

    assert spent(listed, listed) == 257


def test_an_exact_value_costs_a_step_however_large() -> None:
    large = [[0]] * 1_000

    assert spent(exact(large), exact(large)) == 2


def test_membership_is_a_look_up_and_no_scan() -> None:
    listed = tuple(Counted(n) for n in range(256))
    values: tuple[FrozenJson, ...] = listed
    members = Values(values).members
    Counted.lookups = 0

    assert Counted(255) in members
    assert Counted(256) not in members
    assert Counted.lookups == 2


def test_a_budget_counts_down_to_its_end() -> None:
    budget = Budget(3)
    budget.spend()
    budget.spend(2)

    with pytest.raises(Malformed):
        budget.spend()
    assert MAX_STEPS == 50_000


def as_json(value: object) -> FrozenJson:
    return freeze_json(value)


class TestLargeValues:
    """A list or object costs its size, each time that it is hashed and each time that it is compared."""

    LARGE = as_json([[n] for n in range(1_000)])

    def test_one_that_many_clauses_look_up_is_cut_off(self) -> None:
        clauses = constraint(any_of(*(one_of([n], [n, n]) for n in range(100))))
        with pytest.raises(Malformed) as refused:
            admits(clauses, self.LARGE, Budget())

        assert refused.value.reason is Reason.TOO_LARGE
        assert not admits(clauses, as_json([[n] for n in range(100)]), Budget())

    def test_finding_one_counts_all_that_is_in_it(self) -> None:
        budget, small = Budget(), Budget()
        admits(constraint(one_of([1], [2])), self.LARGE, budget)
        admits(constraint(one_of([1], [2])), as_json([3]), small)

        assert MAX_STEPS - budget.left >= 2_000
        assert MAX_STEPS - small.left <= 5

    def test_values_that_share_a_hash_count_each(self) -> None:
        # hash(-1) is hash(-2) in Python, and so for the lists of them.
        alike = [[-1 - (n >> bit & 1) for bit in range(8)] for n in range(128)]
        apart = [[n, *range(7)] for n in range(128)]
        item = as_json([-1] * 7 + [5])

        def cost(listed: list[list[int]]) -> int:
            budget = Budget()
            admits(constraint(one_of(*listed)), item, budget)
            return MAX_STEPS - budget.left

        assert cost(alike) >= 100 * cost(apart)
