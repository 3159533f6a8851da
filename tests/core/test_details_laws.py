"""The law for maps, entries and lists: drawn at random, and on a small world of maps for every pair and every three."""

from functools import cache
from itertools import product
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from tests.core.constraint_strategies import WILDCARD, Json, exact, one_of
from tests.core.detail_strategies import Call, calls, details, entry, lists, narrowed_list
from tokensvc.core.details import Details, admits_call, details_cover, loses_entry_or_tool, parse_details

PLACE: Final = "https://x.example"


def admits(of: Details, call: Call) -> bool:
    tool, arguments, audience = call
    return admits_call(of, tool=tool, arguments=arguments, audience=audience)


@given(lists, st.data())
def test_every_call_that_a_covered_child_admits_the_parent_admits(written: list[Json], data: st.DataObject) -> None:
    narrower = data.draw(narrowed_list(written))
    parent, child = parse_details(written), parse_details(narrower)
    if details_cover(parent, child):
        for call in data.draw(st.lists(calls(written, narrower), min_size=5, max_size=5)):
            assert admits(parent, call) or not admits(child, call)


@given(lists, lists, st.data())
def test_the_law_holds_between_unrelated_lists(one: list[Json], other: list[Json], data: st.DataObject) -> None:
    parent, child = parse_details(one), parse_details(other)
    call = data.draw(calls(one, other))
    if details_cover(parent, child):
        assert admits(parent, call) or not admits(child, call)


@given(lists)
def test_covering_is_reflexive(written: list[Json]) -> None:
    assert details_cover(parse_details(written), parse_details(written))
    assert details_cover(parse_details(written), parse_details(list(reversed(written))))
    assert details_cover(parse_details(written), ())


@given(lists, st.data())
def test_covering_is_transitive(written: list[Json], data: st.DataObject) -> None:
    second = data.draw(narrowed_list(written))
    third = data.draw(narrowed_list(second))
    a, b, c = parse_details(written), parse_details(second), parse_details(third)
    if details_cover(a, b) and details_cover(b, c):
        assert details_cover(a, c)
        assert loses_entry_or_tool(a, c) or not loses_entry_or_tool(a, b)


@given(lists)
def test_nothing_loses_anything_against_itself(written: list[Json]) -> None:
    assert not loses_entry_or_tool(parse_details(written), parse_details(list(reversed(written))))


CHOICES: Final[tuple[Json | None, ...]] = (
    None,
    exact(1),
    {**exact(1), "optional": True},
    one_of(1, 2),
    {**WILDCARD, "optional": True},
    WILDCARD,
)
STARS: Final[tuple[Json | None, ...]] = (None, exact(1), one_of(1, 2), WILDCARD)


@cache
def argument_world() -> tuple[Json, ...]:
    return tuple(
        {name: each for name, each in (("a", a), ("b", b), ("*", star)) if each is not None}
        for a, b, star in product(CHOICES, CHOICES[:5], STARS)
    )


@cache
def tool_world() -> tuple[Json, ...]:
    one: Json = {"a": exact(1)}
    more: Json = {"a": one_of(1, 2)}
    maps: tuple[Json | None, ...] = (None, {}, one, more, {"*": exact(1)})
    return tuple(
        {name: each for name, each in (("read", a), ("chat", b), ("*", star)) if each is not None}
        for a, b, star in product(maps, maps[:4], maps)
        if (a, b, star) != (None, None, None)
    )


def judge(world: tuple[Details, ...], every_call: list[Call]) -> None:
    rows = [sum(1 << at for at, child in enumerate(world) if details_cover(parent, child)) for parent in world]
    admitted = [sum(1 << at for at, call in enumerate(every_call) if admits(each, call)) for each in world]

    assert all(row >> at & 1 for at, row in enumerate(rows))
    for parent, row in enumerate(rows):
        for child in (at for at in range(len(world)) if row >> at & 1):
            assert not admitted[child] & ~admitted[parent], (world[parent], world[child])
            assert not rows[child] & ~row, (world[parent], world[child])


def test_in_a_small_world_of_argument_maps_the_law_holds() -> None:
    absent = object()
    choices = (absent, 1, 2, 3, True)
    arguments = [
        {name: value for name, value in (("a", a), ("b", b), ("c", c)) if value is not absent}
        for a, b, c in product(choices, choices, choices)
    ]

    assert len(argument_world()) == 120
    judge(
        tuple(details(entry({"read": each})) for each in argument_world()),
        [("read", each, PLACE) for each in arguments],  # type: ignore[misc]
    )


def test_in_a_small_world_of_tool_maps_the_law_holds() -> None:
    arguments: tuple[Json, ...] = ({}, {"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 2})

    assert len(tool_world()) == 99
    judge(
        tuple(details(entry(each)) for each in tool_world()),
        [(tool, each, PLACE) for tool, each in product(("read", "chat", "more"), arguments)],
    )
