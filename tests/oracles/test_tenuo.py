"""Against tenuo: what it shows to be wider, we never accept.

A narrowing is shown to be wider by a value that the child admits and the parent does not, each judged by tenuo alone.
Its own verdict on a narrowing is an order that we may differ from, but only where no such value is found.

Not comparable, as its Python side cannot say it: `exact`, `one_of` and `not_one_of` on anything but strings; exclusive
bounds; `optional`; `*` beside named arguments, or as a tool; `locations`. Judged differently: in lists it tells `1`
from `1.0`, so numbers in `contains` and `subset` are left out here.
"""

from functools import cache
from itertools import product
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.constraint_strategies import (
    WILDCARD,
    Json,
    all_of,
    any_of,
    boundary_values,
    contains,
    covered,
    exact,
    narrowed,
    not_one_of,
    one_of,
    passing,
    subset,
    within,
)
from tests.core.detail_strategies import details, entry
from tokensvc.core.details import admits_call, details_cover

tenuo_core: Final[Any] = pytest.importorskip("tenuo_core")

WORDS: Final = ("a", "b", "c", "1", "")
JOIN: Final = {
    "one_of": ("values", "OneOf"),
    "not_one_of": ("excluded", "NotOneOf"),
    "contains": ("required", "Contains"),
    "subset": ("allowed", "Subset"),
}

words: Final = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True)
numbers: Final = st.sampled_from([-1, 0, 0.5, 1, 2, 3])
leaves: Final[st.SearchStrategy[Json]] = st.one_of(
    st.just(WILDCARD),
    st.sampled_from(WORDS).map(exact),
    words.map(lambda w: one_of(*w)),
    words.map(lambda w: not_one_of(*w)),
    words.map(lambda w: contains(*w)),
    words.map(lambda w: subset(*w)),
    numbers.map(lambda n: within(min=n)),
    numbers.map(lambda n: within(max=n)),
    st.tuples(numbers, numbers).map(lambda n: within(min=n[0], max=n[1])),
)
clauses: Final = st.lists(leaves, min_size=1, max_size=3)
constraints: Final = leaves | clauses.map(lambda c: all_of(*c)) | clauses.map(lambda c: any_of(*c))


def is_expressible(of: Json) -> bool:
    kind = of["constraint_type"]
    if kind in ("all", "any"):
        return all(map(is_expressible, clauses_of(of)))
    if kind == "range":
        return not of.keys() & {"min_inclusive", "max_inclusive"}
    named = [of["value"]] if kind == "exact" else of[JOIN[str(kind)][0]] if kind in JOIN else []
    assert isinstance(named, list | tuple)
    return all(isinstance(value, str) for value in named)


def clauses_of(of: Json) -> list[Json]:
    listed = of["constraints"]
    assert isinstance(listed, list | tuple)
    return [dict(clause) for clause in listed if isinstance(clause, dict)]


def theirs(of: Json) -> Any:  # noqa: ANN401 - tenuo's classes have no types
    match of["constraint_type"]:
        case "wildcard":
            return tenuo_core.Wildcard()
        case "exact":
            return tenuo_core.Exact(of["value"])
        case "range":
            return tenuo_core.Range(of.get("min"), of.get("max"))
        case "all":
            return tenuo_core.All([theirs(clause) for clause in clauses_of(of)])
        case "any":
            return tenuo_core.AnyOf([theirs(clause) for clause in clauses_of(of)])
        case kind:
            member, name = JOIN[str(kind)]
            listed = of[member]
            assert isinstance(listed, list | tuple)
            return getattr(tenuo_core, name)(list(listed))


@cache
def signing_key() -> Any:  # noqa: ANN401 - as above
    return tenuo_core.SigningKey.generate()


def warrant(capabilities: dict[str, Json]) -> Any:  # noqa: ANN401 - as above
    return tenuo_core.Warrant.issue(
        signing_key(), capabilities=mapped(capabilities), ttl_seconds=60, holder=signing_key().public_key
    )


def mapped(tools: dict[str, Json]) -> dict[str, dict[str, Any]]:
    return {tool: {n: theirs(c) for n, c in named.items() if isinstance(c, dict)} for tool, named in tools.items()}


def they_attenuate(parent: dict[str, Json], child: dict[str, Json]) -> bool:
    try:
        warrant(parent).attenuate(mapped(child), signing_key(), 30, signing_key().public_key)
    except tenuo_core_refusals():
        return False
    return True


@cache
def tenuo_core_refusals() -> tuple[type[Exception], ...]:
    from tenuo.exceptions import TenuoError  # noqa: PLC0415 - only where tenuo_core is there

    return (TenuoError,)


@given(constraints)
def test_both_admit_the_same_values(of: Json) -> None:
    other = theirs(of)

    assert passing(of, near := boundary_values(of)) == [value for value in near if other.satisfies(value)]


@given(constraints, st.data())
def test_no_narrowing_that_they_show_to_be_wider_is_accepted(parent: Json, data: st.DataObject) -> None:
    child = data.draw(constraints | narrowed(parent))
    if is_expressible(child) and covered(parent, child):
        wider, narrower = theirs(parent), theirs(child)
        assert [
            v for v in boundary_values(parent, child) if narrower.satisfies(v) and not wider.satisfies(v)
        ] == []  # fmt: skip


LEAVES: Final[tuple[Json, ...]] = (
    WILDCARD,
    exact("a"),
    exact("b"),
    one_of("a"),
    one_of("a", "b"),
    not_one_of("a"),
    not_one_of("a", "b"),
    within(min=0),
    within(max=5),
    within(min=0, max=5),
    within(min=1, max=2),
    contains("a"),
    contains("a", "b"),
    subset("a"),
    subset("a", "b"),
    all_of(exact("a")),
    all_of(within(min=0), WILDCARD),
    any_of(exact("a"), exact("b")),
    any_of(within(min=0), exact("a")),
)


def test_where_the_verdicts_on_a_narrowing_differ_ours_widens_nothing() -> None:
    ours_only, theirs_only = [], []
    for parent, child in product(LEAVES, LEAVES):
        ours, other = covered(parent, child), they_attenuate({"f": {"a": parent}}, {"f": {"a": child}})
        if ours and not other:
            ours_only.append((parent, child))
        if other and not ours:
            theirs_only.append((parent, child))

    for parent, child in ours_only:
        wider, narrower = theirs(parent), theirs(child)
        assert not [v for v in boundary_values(parent, child) if narrower.satisfies(v) and not wider.satisfies(v)]
    # They judge clauses of `all` and `any` by other rules and know fewer pairs of different types.
    assert len(ours_only) > 10
    assert theirs_only == []


def test_a_tool_without_names_means_any_argument_in_both() -> None:
    for arguments in ({}, {"a": 1}, {"a": [1], "b": "x"}):
        assert warrant({"f": {}}).check_constraints("f", arguments) is None
        assert admits_call(details(entry({"f": {}})), tool="f", arguments=arguments, audience="x:1")


MAPS: Final[tuple[Json, ...]] = (
    {},
    {"a": exact("a")},
    {"a": one_of("a", "b")},
    {"a": exact("a"), "b": exact("b")},
    {"a": WILDCARD, "b": one_of("a", "b")},
    {"b": exact("b")},
)
CALLS: Final[tuple[Json, ...]] = tuple(
    {name: value for name, value in (("a", a), ("b", b), ("c", c)) if value is not None}
    for a, b, c in product((None, "a", "b", "x"), (None, "a", "b", "x"), (None, "c"))
)


@pytest.mark.parametrize("arguments", MAPS)
def test_both_admit_the_same_calls(arguments: Json) -> None:
    ours, other = details(entry({"f": arguments})), warrant({"f": arguments})
    for tool, call in product(("f", "g"), CALLS):
        admitted = admits_call(ours, tool=tool, arguments=call, audience="x:1")
        assert admitted == (other.check_constraints(tool, call) is None), (tool, call)


def test_no_map_that_they_show_to_be_wider_is_accepted() -> None:
    both = 0
    for parent, child in product(MAPS, MAPS):
        if details_cover(details(entry({"f": parent})), details(entry({"f": child}))):
            wider, narrower = warrant({"f": parent}), warrant({"f": child})
            for call in CALLS:
                shown = narrower.check_constraints("f", call) is None and wider.check_constraints("f", call) is not None
                assert not shown, (parent, child, call)
            both += they_attenuate({"f": parent}, {"f": child})

    assert both > len(MAPS)


def test_their_narrowing_of_tools_and_arguments_is_narrowing_here() -> None:
    tools = ({"f": MAPS[1]}, {"f": MAPS[2]}, {"f": MAPS[3], "g": MAPS[1]}, {"g": MAPS[2]}, {"f": MAPS[2], "g": MAPS[2]})
    for parent, child in product(tools, tools):
        ours = details_cover(details(entry(dict(parent))), details(entry(dict(child))))
        assert ours == they_attenuate(dict(parent), dict(child)), (parent, child)
