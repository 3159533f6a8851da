from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.constraint_strategies import (
    WILDCARD,
    Json,
    all_of,
    any_of,
    constraint,
    constraints,
    contains,
    exact,
    not_one_of,
    one_of,
    subset,
    values,
    within,
)
from tokensvc.core.constraint import Exact, Range, Values
from tokensvc.core.constraintjson import MAX_LISTED, render_constraint
from tokensvc.core.frozenjson import freeze_json
from tokensvc.core.jsontext import JsonValue, parse_json, render_json
from tokensvc.errors import Malformed

EVERY: Final[dict[str, Json]] = {
    "exact": exact(1),
    "one_of": one_of(1),
    "not_one_of": not_one_of(1),
    "range": within(min=1, max=2, min_inclusive=True, max_inclusive=False),
    "contains": contains(1),
    "subset": subset(1),
    "wildcard": WILDCARD,
    "all": all_of(WILDCARD),
    "any": any_of(WILDCARD),
}
LISTS: Final = {"one_of": "values", "not_one_of": "excluded", "contains": "required", "subset": "allowed"}


def refuse(value: object) -> None:
    with pytest.raises(Malformed):
        constraint(value)


@pytest.mark.parametrize("kind", EVERY)
def test_members_are_closed(kind: str) -> None:
    constraint(EVERY[kind])
    for unknown in ("note", "optional", "Value", "description", "values" if kind != "one_of" else "value"):
        refuse({**EVERY[kind], unknown: True})


@pytest.mark.parametrize("kind", EVERY)
def test_members_are_required(kind: str) -> None:
    for member in EVERY[kind].keys() - {"min", "min_inclusive", "max_inclusive", "max"}:
        refuse({name: value for name, value in EVERY[kind].items() if name != member})


@pytest.mark.parametrize(
    "kind", ["pattern", "Exact", "exact ", "", "regex", "cel", "subpath", None, 1, True, [], ["exact"], {}]
)
def test_an_unknown_type_is_malformed(kind: JsonValue) -> None:
    refuse({"constraint_type": kind})
    refuse({"constraint_type": kind, "value": 1})
    refuse(all_of(WILDCARD, {"constraint_type": kind}))


@pytest.mark.parametrize("value", [None, True, 1, "exact", [], [exact(1)], {}])
def test_what_is_no_constraint_object_is_malformed(value: object) -> None:
    refuse(value)
    refuse({"constraint_type": "all", "constraints": [value]})


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_holds_1_to_256_values_no_two_equal(kind: str) -> None:
    def listing(value: object) -> Json:
        return {"constraint_type": kind, LISTS[kind]: value}  # type: ignore[dict-item]

    constraint(listing([1]))
    constraint(listing(list(range(MAX_LISTED))))
    constraint(listing([1, True, "1", [1], {"a": 1}, None, [True], {"a": True}]))
    for refused in ([], list(range(MAX_LISTED + 1)), [1, 1.0], ["a", "b", "a"], [[1], [1.0]], [{"a": 1}, {"a": 1}]):
        refuse(listing(refused))
    for no_list in (None, 1, "ab", {"a": 1}, True):
        refuse(listing(no_list))


@pytest.mark.parametrize("kind", ["all", "any"])
def test_clauses_are_1_to_256_constraints_and_may_repeat(kind: str) -> None:
    for clauses in ([exact(1)], [exact(1)] * MAX_LISTED):
        constraint({"constraint_type": kind, "constraints": clauses})
    for refused in ([], [exact(1)] * (MAX_LISTED + 1), exact(1), None, "x", [1]):
        refuse({"constraint_type": kind, "constraints": refused})
    refuse({"constraint_type": kind, "constraints": [{**exact(1), "optional": True}]})


@pytest.mark.parametrize("bound", ["min", "max"])
def test_a_bound_is_a_number_and_its_inclusiveness_a_boolean_beside_it(bound: str) -> None:
    other = "max" if bound == "min" else "min"
    for taken in ({bound: 1}, {bound: -0.5}, {bound: 1, f"{bound}_inclusive": True}, {bound: 1, other: 0}):
        constraint(within(**taken))
    refuse(within())
    refuse(within(**{f"{bound}_inclusive": True}))
    refuse(within(**{bound: 1, f"{other}_inclusive": True}))
    no_numbers: list[JsonValue] = [None, True, "1", [1], {}]
    for no_number in no_numbers:
        refuse(within(**{bound: no_number}))
        refuse(within(**{bound: no_number, other: 1}))
    for no_boolean in (None, 1, 0, "true", [], [True]):
        refuse(within(**{bound: 1, f"{bound}_inclusive": no_boolean}))


def test_values_are_compared_by_json_and_spelling_of_bounds_is_kept() -> None:
    assert constraint(exact(1)) == constraint(exact(1.0)) == Exact(1)
    assert hash(constraint(exact(1))) == hash(constraint(exact(1.0)))
    assert constraint(exact(1)) != constraint(exact(True))
    assert constraint(one_of(1, 2)) != constraint(one_of(2, 1))
    assert constraint(within(min=1)) == Range(min=1.0)
    assert constraint(within(min=1)) != constraint(within(min=1, min_inclusive=True))


def test_a_value_list_is_known_by_its_values() -> None:
    assert Values((1, "a")) == Values((1.0, "a"))
    assert repr(Values((1,))) == "Values(listed=(1,))"


@pytest.mark.parametrize("kind", EVERY)
def test_rendering_says_what_was_parsed(kind: str) -> None:
    assert freeze_json(render_constraint(constraint(EVERY[kind]))) == freeze_json(EVERY[kind])


@given(constraints)
def test_parsing_what_was_rendered_gives_the_same(written: Json) -> None:
    parsed = constraint(written)
    rendered = render_constraint(parsed)

    assert freeze_json(rendered) == freeze_json(written)
    assert constraint(parse_json(render_json(rendered))) == parsed
    assert hash(constraint(rendered)) == hash(parsed)


@given(constraints, constraints)
def test_two_constraints_are_equal_exactly_when_their_json_is(one: Json, other: Json) -> None:
    assert (constraint(one) == constraint(other)) == (freeze_json(one) == freeze_json(other))


MEMBERS: Final = ("constraint_type", "value", "values", "excluded", "min", "max", "min_inclusive", "constraints")
junk: Final[st.SearchStrategy[JsonValue]] = st.recursive(
    values | st.sampled_from([*EVERY, "optional"]) | constraints,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=2), inner, max_size=3)
        | st.builds(lambda kind, more: {**more, "constraint_type": kind}, st.sampled_from(sorted(EVERY)),
                    st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=2))
    ),
    max_leaves=8,
)  # fmt: skip


@given(junk)
def test_no_json_value_is_answered_with_anything_but_malformed(value: JsonValue) -> None:
    try:
        parsed = constraint(value)
    except Malformed:
        return
    assert freeze_json(render_constraint(parsed)) == freeze_json(value)
