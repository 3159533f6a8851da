from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.constraint_strategies import TOOL, WILDCARD, Json, all_of, exact, values
from tests.core.detail_strategies import details, entry, lists
from tokensvc.core.details import (
    MAX_DETAILS,
    NO_DETAILS,
    OtherDetail,
    ToolDetail,
    parse_details,
    parse_stated_details,
    render_details,
)
from tokensvc.core.frozenjson import freeze_json
from tokensvc.core.jsontext import JsonValue, parse_json, render_json
from tokensvc.errors import Malformed

# The example of the specification, read_file included.
EXAMPLE: Final = b"""
    [{"type": "attenuating_agent_token",
     "locations": ["https://tools.example"],
     "tools": {"read_file": {"path": {"constraint_type": "one_of", "values": ["/data/q3.pdf", "/data/q4.pdf"]}},
               "chat":      {"model": {"constraint_type": "one_of", "values": ["small-eu"]},
                             "region": {"constraint_type": "exact", "value": "eu"},
                             "max_tokens": {"constraint_type": "range", "min": 1, "max": 2000}}}}]
"""
READ: Final = entry({"read": {"path": exact("/a")}})
PAYMENT: Final[Json] = {"type": "payment_initiation", "actions": ["initiate"], "amount": {"value": 123.5}}


def refuse(value: object) -> None:
    with pytest.raises(Malformed):
        parse_details(value)


def test_the_example_of_the_specification_is_read_and_written() -> None:
    written = parse_json(EXAMPLE)
    parsed = parse_details(written)

    assert freeze_json(render_details(parsed)) == freeze_json(written)
    (detail,) = parsed
    assert isinstance(detail, ToolDetail)
    assert [name for name, _ in detail.tools.listed] == ["chat", "read_file"]


def test_an_entry_of_another_type_is_kept_whole() -> None:
    assert parse_details([PAYMENT]) == (OtherDetail(freeze_json(PAYMENT)),)
    assert freeze_json(render_details(parse_details([PAYMENT]))) == freeze_json([PAYMENT])
    # A name that only looks like ours is another type.
    parse_details([{"type": f"{TOOL} ", "tools": 1}])


def test_none_are_no_details_but_a_token_does_not_say_so() -> None:
    assert parse_details([]) == NO_DETAILS == ()
    assert render_details(NO_DETAILS) == []
    with pytest.raises(Malformed):
        parse_stated_details([])
    assert parse_stated_details([READ]) == parse_details([READ])


@pytest.mark.parametrize("value", [None, True, 1, "", "[]", {}, READ, [None], [1], ["x"], [[]], [[READ]], [READ, 1]])
def test_what_is_no_array_of_objects_is_malformed(value: object) -> None:
    refuse(value)


@pytest.mark.parametrize("kind", [None, True, 1, "", [TOOL], {}])
def test_a_type_is_a_string(kind: JsonValue) -> None:
    refuse([{**READ, "type": kind}])
    refuse([{"type": kind}])
    refuse([{name: value for name, value in READ.items() if name != "type"}])


def test_entries_are_at_most_64() -> None:
    several = [{"type": "payment", "id": n} for n in range(MAX_DETAILS + 1)]

    assert len(parse_details(several[:-1])) == 64
    refuse(several)


@pytest.mark.parametrize("one", [READ, PAYMENT])
def test_no_two_entries_are_equal(one: Json) -> None:
    refuse([one, one])
    refuse([one, {"type": "file"}, dict(reversed(one.items()))])
    parse_details([one, {**one, "type": "other"}])
    refuse([{"type": "a", "n": 1}, {"type": "a", "n": 1.0}])
    parse_details([{"type": "a", "n": 1}, {"type": "a", "n": True}, {"type": "a", "n": "1"}])


def test_nesting_is_at_most_32_with_the_array_as_the_first_level() -> None:
    def clause(levels: int) -> Json:
        return all_of(clause(levels - 1)) if levels else WILDCARD

    def other(levels: int) -> JsonValue:
        return [other(levels - 1)] if levels else 1

    # Array, entry, tools, tool: the constraint begins on level 5, and each `all` adds two.
    parse_details([entry({"read": {"a": clause(13)}})])
    refuse([entry({"read": {"a": clause(14)}})])
    parse_details([{"type": "other", "value": other(30)}])
    refuse([{"type": "other", "value": other(31)}])
    refuse([{"type": "other", "value": other(500)}])


@pytest.mark.parametrize("member", ["actions", "datatypes", "identifier", "privileges", "Tools", "optional", ""])
def test_members_of_an_entry_are_closed(member: str) -> None:
    refuse([{**READ, member: "x"}])
    parse_details([{**READ, "locations": ["x:1"]}])


@pytest.mark.parametrize("tools", [None, True, 1, "read", [], ["read"], {}, {"read": None}, {"read": []}, {"read": 1}])
def test_tools_are_named_objects_at_least_one(tools: JsonValue) -> None:
    refuse([entry(tools)])
    refuse([{"type": TOOL}])
    parse_details([entry({"read": {}})])
    parse_details([entry({"*": {}, "read": {}, "": {}})])


def test_locations_are_1_to_256_distinct_strings() -> None:
    parse_details([{**READ, "locations": [f"https://{n}.example" for n in range(256)]}])
    several: list[JsonValue] = [f"https://{n}.example" for n in range(257)]
    wrong: list[JsonValue] = [several, [], None, True, "x:1", {}, ["x:1", "x:1"], [""], ["x:1", 1], [None], [["x:1"]]]
    for refused in wrong:
        refuse([{**READ, "locations": refused}])


@pytest.mark.parametrize("value", [False, 1, "true", None, [], [True]])
def test_optional_is_true_or_absent(value: JsonValue) -> None:
    refuse([entry({"read": {"a": {**exact(1), "optional": value}}})])
    parse_details([entry({"read": {"a": {**exact(1), "optional": True}}})])


def test_only_named_arguments_are_optional() -> None:
    optional: Json = {**WILDCARD, "optional": True}

    refuse([entry({"read": {"*": optional}})])
    refuse([entry({"read": {"a": all_of(optional)}})])
    refuse([entry({"*": {"*": optional}})])
    parse_details([entry({"*": {"a": optional}})])
    # The name does not matter: the argument called optional is one like any other.
    parse_details([entry({"read": {"optional": optional}})])


@pytest.mark.parametrize("argument", [None, 1, "x", [], {}, {"optional": True}, {"constraint_type": "unknown"}])
def test_an_argument_is_a_constraint(argument: JsonValue) -> None:
    refuse([entry({"read": {"a": argument}})])
    refuse([entry({"read": {"*": argument}})])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 2**53, 1e300, 0.1 + 0.2])
def test_numbers_that_json_cannot_say_exactly_are_refused_in_settings_too(number: float) -> None:
    refuse([{"type": "other", "value": number}])
    refuse([entry({"read": {"a": exact(number)}})])


def test_equality_is_that_of_the_json_values() -> None:
    assert details(entry({"a": {"b": exact(1)}})) == details(entry({"a": {"b": exact(1.0)}}))
    assert details(entry({"a": {"b": exact(1)}})) != details(entry({"a": {"b": exact(True)}}))
    # The same authority, spelt otherwise.
    assert details(entry({"a": {}})) != details(entry({"a": {"*": WILDCARD}}))
    assert details(entry({"a": {}}, "x:1", "y:1")) != details(entry({"a": {}}, "y:1", "x:1"))
    assert details(READ, PAYMENT) != details(PAYMENT, READ)


@given(lists)
def test_parsing_what_was_rendered_gives_the_same(written: list[Json]) -> None:
    parsed = parse_details(written)
    rendered = render_details(parsed)

    assert freeze_json(rendered) == freeze_json(written)
    assert parse_details(parse_json(render_json(rendered))) == parsed
    assert hash(parse_details(rendered)) == hash(parsed)


@given(lists, lists)
def test_two_are_equal_exactly_when_their_json_is(one: list[Json], other: list[Json]) -> None:
    assert (parse_details(one) == parse_details(other)) == (freeze_json(one) == freeze_json(other))


MEMBERS: Final = ("type", "tools", "locations", "a", "*", "optional", "constraint_type", "value")
junk: Final[st.SearchStrategy[JsonValue]] = st.recursive(
    values | st.sampled_from([TOOL, "exact", True]) | lists,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=3).map(lambda more: {**more, "type": TOOL})
    ),
    max_leaves=8,
)


@given(junk | st.lists(junk, max_size=2))
def test_no_json_value_is_answered_with_anything_but_malformed(value: JsonValue) -> None:
    try:
        parsed = parse_details(value)
    except Malformed:
        return
    assert freeze_json(render_details(parsed)) == freeze_json(value)
