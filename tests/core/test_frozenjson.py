from collections import OrderedDict, UserDict, UserList
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.constraint_strategies import LISTS, OBJECTS, SCALARS
from tokensvc.core.frozenjson import MAX_FROZEN_NESTING, MAX_FROZEN_VALUES, freeze_json, thaw_json
from tokensvc.core.jsontext import parse_json, render_json, require_exact_number
from tokensvc.errors import Malformed, Reason

LARGEST: Final = 2**53 - 1


class Colour(StrEnum):
    RED = "red"


class Count(IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


# Equality of JSON values, apart from the code under test: the type first, then the value.
def equal(one: object, other: object) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    return one == other


json_values = st.recursive(
    st.sampled_from(SCALARS) | st.integers(-LARGEST, LARGEST) | st.integers(0, 9).map(lambda n: n / 4) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("one", [*SCALARS, *LISTS, *OBJECTS])
def test_two_values_are_equal_when_frozen_exactly_when_they_are_equal_as_json(one: object) -> None:
    for other in (*SCALARS, *LISTS, *OBJECTS):
        assert (freeze_json(one) == freeze_json(other)) == equal(one, other)


@given(json_values, json_values)
def test_equality_and_hash_go_by_json(one: object, other: object) -> None:
    assert (freeze_json(one) == freeze_json(other)) == equal(one, other)
    if equal(one, other):
        assert hash(freeze_json(one)) == hash(freeze_json(other))


@given(json_values)
def test_thawed_is_what_was_frozen(value: object) -> None:
    thawed = thaw_json(freeze_json(value))

    assert equal(thawed, value)
    assert equal(parse_json(render_json(thawed)), value)


def test_an_integer_and_the_same_number_with_a_fraction_are_one_and_a_boolean_is_no_number() -> None:
    assert freeze_json(1) == freeze_json(1.0)
    assert freeze_json(0) == freeze_json(-0.0)
    assert len({freeze_json(value) for value in (1, 1.0, True, "1", [1], {"1": 1})}) == 5


def test_a_tuple_is_an_array() -> None:
    assert freeze_json((1, ("a",))) == freeze_json([1, ["a"]])
    # Also one that looks like a boolean inside.
    assert freeze_json(("boolean", True)) != freeze_json(True)
    assert freeze_json(("array", ())) != freeze_json([])


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        {1},
        frozenset(),
        object(),
        1j,
        Decimal(1),
        Colour.RED,
        Count.ONE,
        Text("text"),
        UserDict(a=1),
        UserList([1]),
        OrderedDict(a=1),
        MappingProxyType({"a": 1}),
        range(3),
        iter([]),
        int,
    ],
)
def test_a_value_of_a_type_that_no_json_parser_returns_is_refused(value: object) -> None:
    for refused in (value, [value], {"a": value}):
        with pytest.raises(Malformed):
            freeze_json(refused)


@pytest.mark.parametrize("name", [1, None, True, 1.0, b"a", ("a",), Text("a"), Colour.RED, "\ud800"])
def test_a_member_name_that_is_no_plain_string_is_refused(name: object) -> None:
    with pytest.raises(Malformed):
        freeze_json({name: 1})
    assert freeze_json({"a": 1}) == freeze_json({"a": 1.0})


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_a_lone_surrogate_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        freeze_json([text])
    assert freeze_json(["\U00010000"]) == ("array", ("\U00010000",))


@pytest.mark.parametrize(
    "number",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        LARGEST + 1,
        -LARGEST - 1,
        10**400,
        float(LARGEST + 1),
        1e16,
        1e300,
        0.1 + 0.2,
        1 / 3,
        123.4567890123456,
        5e-324,
        1e-310,
    ],
)
def test_a_number_that_json_cannot_say_exactly_is_refused(number: float) -> None:
    with pytest.raises(Malformed):
        require_exact_number(number)
    for refused in (number, [number], {"a": number}):
        with pytest.raises(Malformed):
            freeze_json(refused)


@pytest.mark.parametrize(
    "number", [0, -1, LARGEST, -LARGEST, 0.0, -0.0, 0.1, 0.3, 1e15, float(LARGEST), 123.456789012345, 2.5e-300, 1e-05]
)
def test_a_number_that_json_says_exactly_is_taken(number: float) -> None:
    require_exact_number(number)

    assert freeze_json(number) == number


@given(st.floats() | st.integers())
def test_a_number_is_judged_as_a_text_of_it_would_be(number: float) -> None:
    try:
        parse_json(repr(number).encode())
    except Malformed:
        with pytest.raises(Malformed):
            freeze_json(number)
    else:
        assert freeze_json(number) == number


def nested(levels: int, innermost: object = 1) -> object:
    for level in range(levels):
        innermost = [innermost] if level % 2 else {"a": innermost}
    return innermost


def test_nesting_is_bounded() -> None:
    freeze_json(nested(MAX_FROZEN_NESTING))
    freeze_json(nested(MAX_FROZEN_NESTING - 1, []))
    for too_deep in (nested(MAX_FROZEN_NESTING + 1), nested(MAX_FROZEN_NESTING, []), nested(100_000)):
        with pytest.raises(Malformed) as refused:
            freeze_json(too_deep)
        assert refused.value.reason is Reason.MALFORMED


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(Malformed):
        freeze_json(endless)


def test_the_number_of_values_is_bounded_even_where_few_lists_stand_for_many() -> None:
    assert len(repr(freeze_json([1] * (MAX_FROZEN_VALUES - 1)))) > MAX_FROZEN_VALUES
    bomb: list[object] = [1]
    for _ in range(MAX_FROZEN_NESTING - 1):
        bomb = [bomb, bomb]
    for too_many in ([1] * MAX_FROZEN_VALUES, bomb):
        with pytest.raises(Malformed) as refused:
            freeze_json(too_many)
        assert refused.value.reason is Reason.TOO_LARGE
