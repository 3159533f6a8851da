from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.constraint_strategies import WILDCARD, Json, exact, one_of, within
from tests.core.detail_strategies import entry
from tests.core.test_details_parse import EXAMPLE
from tokensvc.core.details import NO_DETAILS, admits_call, parse_details
from tokensvc.core.jsontext import parse_json
from tokensvc.errors import Malformed, Reason

X: Final = "https://x.example"
Y: Final = "https://y.example"


def call(entries: object, tool: str, arguments: object, audience: str = X) -> bool:
    return admits_call(parse_details(entries), tool=tool, arguments=arguments, audience=audience)


def test_the_example_of_the_specification_admits_what_it_says() -> None:
    example, here = parse_json(EXAMPLE), "https://tools.example"

    assert call(example, "read_file", {"path": "/data/q3.pdf"}, here)
    assert call(example, "chat", {"model": "small-eu", "region": "eu", "max_tokens": 2000}, here)
    assert not call(example, "read_file", {"path": "/data/q5.pdf"}, here)
    assert not call(example, "read_file", {"path": ["/data/q3.pdf"]}, here)
    assert not call(example, "chat", {"model": "small-eu", "region": "eu", "max_tokens": 2001}, here)
    assert not call(example, "chat", {"model": "small-eu", "region": "us", "max_tokens": 5}, here)
    assert not call(example, "read_file", {"path": "/data/q3.pdf"}, "https://other.example")


def test_no_entry_is_a_denial() -> None:
    assert not admits_call(NO_DETAILS, tool="read", arguments={}, audience=X)
    assert not call([{"type": "other", "tools": {"read": {}}}], "read", {})
    assert call([entry({"read": {}})], "read", {})


@pytest.mark.parametrize("tool", ["write", "Read", "read ", "\uff52ead", "", "read\x00"])
def test_a_tool_that_is_not_listed_is_denied(tool: str) -> None:
    assert not call([entry({"read": {}})], tool, {})
    assert call([entry({"read": {}})], "read", {})
    assert call([entry({"*": {}})], tool, {})


def test_a_tool_named_beside_the_star_is_judged_by_its_own_map() -> None:
    entries = [entry({"read": {"a": exact(1)}, "*": {}})]

    assert call(entries, "write", {"a": 2})
    assert call(entries, "read", {"a": 1})
    assert not call(entries, "read", {"a": 2})


def test_an_argument_that_is_not_listed_is_denied() -> None:
    entries = [entry({"read": {"a": exact(1)}})]

    assert call(entries, "read", {"a": 1})
    for arguments in ({"a": 1, "b": 1}, {"b": 1}, {"A": 1}, {"a ": 1}):
        assert not call(entries, "read", arguments)


def test_an_argument_named_beside_the_star_is_judged_by_its_own_constraint() -> None:
    entries = [entry({"read": {"a": exact(1), "*": exact(2)}})]

    assert call(entries, "read", {"a": 1, "b": 2, "c": 2})
    assert call(entries, "read", {"a": 1})
    assert not call(entries, "read", {"a": 2})
    assert not call(entries, "read", {"a": 1, "b": 1})


def test_a_required_argument_must_be_there_and_an_optional_one_may() -> None:
    entries = [entry({"read": {"a": exact(1), "b": {**exact(2), "optional": True}}})]

    assert call(entries, "read", {"a": 1})
    assert call(entries, "read", {"a": 1, "b": 2})
    assert not call(entries, "read", {"a": 1, "b": 3})
    assert not call(entries, "read", {"b": 2})
    assert not call(entries, "read", {})
    # Null is a value and not an absence.
    assert not call(entries, "read", {"a": 1, "b": None})


@pytest.mark.parametrize("arguments", [{}, {"*": WILDCARD}])
def test_a_tool_without_names_admits_any_arguments(arguments: Json) -> None:
    assert call([entry({"read": arguments})], "read", {})
    assert call([entry({"read": arguments})], "read", {"a": None, "b": [1, {"c": 2}]})


@pytest.mark.parametrize("tools", [{"*": {}}, {"*": {"*": WILDCARD}}, {"read": {}, "*": {}}])
def test_a_star_in_a_call_is_denied(tools: Json) -> None:
    assert not call([entry(tools)], "*", {})
    assert not call([entry(tools)], "read", {"*": 1})
    assert not call([entry(tools)], "read", {"a": 1, "*": 1})
    assert call([entry(tools)], "read", {"a": 1, "**": 1})


def test_an_entry_counts_where_its_locations_hold_the_audience() -> None:
    read: Json = {"read": {}}

    assert call([entry(read)], "read", {}, Y)
    assert call([entry(read, X, Y)], "read", {}, Y)
    assert not call([entry(read, X)], "read", {}, Y)
    assert not call([entry(read, X)], "read", {}, X + "/")
    assert call([entry(read, X), entry({"read": {"a": WILDCARD}}, Y)], "read", {"a": 1}, Y)


def test_one_entry_admits_the_whole_call() -> None:
    entries = [entry({"read": {"a": exact(1), "b": exact(1)}}), entry({"read": {"a": exact(2), "b": exact(2)}})]

    assert call(entries, "read", {"a": 1, "b": 1})
    assert call(entries, "read", {"a": 2, "b": 2})
    assert not call(entries, "read", {"a": 1, "b": 2})
    # Nor does the tool come from one entry and the place from another.
    assert not call([entry({"read": {}}, X), entry({"write": {}}, Y)], "write", {}, X)


class Odd(Mapping[str, object]):
    def __getitem__(self, name: str) -> object:
        raise RuntimeError

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 1


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


ENDLESS: Final[dict[str, object]] = {}
ENDLESS["a"] = ENDLESS


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        "a",
        1,
        [],
        [("a", 1)],
        object(),
        Odd(),
        MappingProxyType({"a": 1}),
        {1: 1},
        {None: 1},
        {"a": 1, 2: 1},
        {"\ud800": 1},
        {"a": "\udfff"},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": [float("-inf")]},
        {"a": 2**53},
        {"a": -(10**5000)},
        {"a": 0.1 + 0.2},
        {"a": 1e300},
        {"a": 5e-324},
        {"a": b"x"},
        {"a": {1, 2}},
        {"a": Decimal(1)},
        {"a": 1j},
        {"a": object()},
        {"a": deep(32)},
        {"a": deep(200_000)},
        ENDLESS,
    ],
)
def test_arguments_that_json_cannot_say_are_refused_and_not_judged(arguments: object) -> None:
    for details in (parse_details([entry({"*": {}})]), NO_DETAILS):
        with pytest.raises(Malformed):
            admits_call(details, tool="read", arguments=arguments, audience=X)
    assert call([entry({"*": {}})], "read", {"a": [0.1, 2**53 - 1, deep(28)]})


@pytest.mark.parametrize("tool", [None, 1, b"read", ["read"], {"read": 1}, "\ud800"])
def test_the_name_of_a_tool_is_a_string(tool: str) -> None:
    with pytest.raises(Malformed):
        call([entry({"*": {}})], tool, {})


def test_arguments_of_very_many_values_are_refused_as_too_large() -> None:
    with pytest.raises(Malformed) as refused:
        call([entry({"*": {}})], "read", {"a": [0] * 100_000})
    assert refused.value.reason is Reason.TOO_LARGE
    with pytest.raises(Malformed) as refused:
        call([entry({"read": {"*": one_of(1)}})], "read", {str(n): 1 for n in range(30_000)})
    assert refused.value.reason is Reason.TOO_LARGE
    assert call([entry({"read": {"*": one_of(1)}})], "read", {str(n): 1 for n in range(20_000)})


def test_a_boolean_is_no_number_in_a_call() -> None:
    entries = [entry({"read": {"n": within(min=0, max=5)}})]

    assert call(entries, "read", {"n": 1})
    assert call(entries, "read", {"n": 1.0})
    assert not call(entries, "read", {"n": True})
    assert not call(entries, "read", {"n": "1"})


anything: Final[st.SearchStrategy[object]] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=10,
)


@given(anything | st.dictionaries(st.text(max_size=2), anything, max_size=3))
def test_no_python_value_is_answered_with_anything_but_malformed(arguments: object) -> None:
    try:
        admitted = call([entry({"*": {}})], "read", arguments)
    except Malformed:
        return
    assert isinstance(arguments, dict)
    assert admitted == ("*" not in arguments)
