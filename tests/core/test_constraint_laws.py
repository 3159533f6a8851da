"""The law of docs/token-profile.md, drawn at random and, on a small world, for every pair and every chain of three."""

from functools import cache
from itertools import product
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.constraint_strategies import (
    ENOUGH,
    WILDCARD,
    Json,
    all_of,
    any_of,
    boundary_values,
    constraint,
    constraints,
    contains,
    covered,
    exact,
    narrowed,
    not_one_of,
    one_of,
    passes,
    passing,
    subset,
    within,
)
from tokensvc.core.constraint import Budget, Constraint, admits, covers
from tokensvc.core.frozenjson import freeze_json
from tokensvc.core.jsontext import JsonValue


def escaping(parent: Json, child: Json) -> list[JsonValue]:
    admitted = passing(child, boundary_values(parent, child))
    kept = [freeze_json(value) for value in passing(parent, admitted)]
    return [value for value in admitted if freeze_json(value) not in kept]


@given(constraints, constraints)
def test_what_a_covered_child_admits_the_parent_admits(parent: Json, child: Json) -> None:
    if covered(parent, child):
        assert escaping(parent, child) == []


@settings(max_examples=200)
@given(constraints, st.data())
def test_what_a_narrowed_child_admits_the_parent_admits(parent: Json, data: st.DataObject) -> None:
    child = data.draw(narrowed(parent))
    if covered(parent, child):
        assert escaping(parent, child) == []


@given(constraints)
def test_covering_is_reflexive(of: Json) -> None:
    assert covered(of, of)
    # Also between two that are equal and not the same object.
    assert covers(constraint(of), constraint(dict(of)), Budget(ENOUGH))


@settings(max_examples=200)
@given(constraints, st.data())
def test_covering_is_transitive(a: Json, data: st.DataObject) -> None:
    b = data.draw(narrowed(a))
    c = data.draw(narrowed(b))
    if covered(a, b) and covered(b, c):
        assert covered(a, c)


@given(constraints, constraints, constraints)
def test_covering_is_transitive_between_unrelated_constraints(a: Json, b: Json, c: Json) -> None:
    assert not (covered(a, b) and covered(b, c)) or covered(a, c)


@given(constraints, st.data())
def test_values_are_covered_exactly_when_they_are_admitted(parent: Json, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(boundary_values(parent)))

    assert covered(parent, exact(value)) == covered(parent, one_of(value)) == passes(parent, value)


VALUES: Final[tuple[JsonValue, ...]] = (1, True, "1", 2, [1], [])
LEAVES: Final[tuple[Json, ...]] = (
    WILDCARD,
    *map(exact, VALUES),
    one_of(1, 2),
    one_of(1, True),
    one_of(2, "1"),
    one_of([1], []),
    not_one_of(1),
    not_one_of(True),
    not_one_of(1, 2),
    not_one_of([1]),
    *(within(min=n) for n in (1, 2)),
    *(within(max=n) for n in (1, 2)),
    within(min=1, max=2),
    within(min=1, min_inclusive=False),
    within(max=2, max_inclusive=False),
    within(min=2, max=1),
    *(contains(*v) for v in ((1,), (True,), (1, "1"))),
    *(subset(*v) for v in ((1,), (True,), (1, "1"))),
)
CLAUSES: Final = (
    LEAVES[0],
    LEAVES[1],
    LEAVES[7],
    LEAVES[8],
    LEAVES[11],
    LEAVES[15],
    LEAVES[18],
    LEAVES[19],
    LEAVES[24],
)


@cache
def world() -> tuple[Constraint, ...]:
    two = [join(one, other) for join in (all_of, any_of) for one, other in product(CLAUSES, CLAUSES[:6])]
    three = [
        join(turn(one, other), last)
        for join, turn in ((all_of, any_of), (any_of, all_of))
        for one, other, last in product(CLAUSES[1:5], CLAUSES[2:5], CLAUSES[:5])
    ]
    return tuple(constraint(each) for each in (*LEAVES, *two, *three))


@cache
def covered_by() -> tuple[int, ...]:
    """For each parent of the world the children that it covers, a bit each."""
    return tuple(
        sum(1 << at for at, child in enumerate(world()) if covers(parent, child, Budget(ENOUGH))) for parent in world()
    )


def indexes(bits: int) -> list[int]:
    return [at for at in range(bits.bit_length()) if bits >> at & 1]


def test_in_a_small_world_nothing_covered_escapes() -> None:
    values = [freeze_json(value) for value in boundary_values(*LEAVES)]
    admitted = [sum(1 << at for at, v in enumerate(values) if admits(c, v, Budget(ENOUGH))) for c in world()]
    pairs = [(parent, child) for parent, bits in enumerate(covered_by()) for child in indexes(bits)]

    assert len(world()) > 250
    assert len(pairs) > 5_000
    assert [pair for pair in pairs if admitted[pair[1]] & ~admitted[pair[0]]] == []


def test_in_a_small_world_covering_is_reflexive_and_transitive() -> None:
    rows = covered_by()

    assert all(row >> at & 1 for at, row in enumerate(rows))
    assert [(a, b) for a, row in enumerate(rows) for b in indexes(row) if rows[b] & ~row] == []
