from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.jsontext import parse_json
from tokensvc.errors import Malformed

LARGEST = 2**53 - 1


@pytest.mark.requirement("JSON-NUMBERS")
@pytest.mark.parametrize(
    "text",
    [
        "9007199254740992",
        "-9007199254740992",
        "9007199254740992.0",
        "9.007199254740992e15",
        "1e16",
        "9.1e15",
        "90071992547409920e-1",
        "1e309",
        "1e999",
        "-1e999",
        "1e99999999999999999999",
        "1e-400",
        "-1e-999999999999",
        "0.1234567890123456",
        "1.000000000000001e-5",
        "100.0000000000000001",
        "1234567.890123456",
        "1e-1000000",
    ],
)
def test_a_number_that_a_double_cannot_hold_as_written_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_json(text.encode())


def test_a_number_of_very_many_digits_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_json(b"9" * 100_000)
    with pytest.raises(Malformed):
        parse_json(b"0." + b"9" * 100_000)
    for sign in (b"", b"-"):
        with pytest.raises(Malformed):
            parse_json(b"1e" + sign + b"9" * 100_000)
    assert parse_json(b"0." + b"0" * 100_000) == 0
    assert parse_json(b"1e" + b"0" * 100_000) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9007199254740991", LARGEST),
        ("-9007199254740991", -LARGEST),
        ("9007199254740991.0", LARGEST),
        ("9.007199254740991e15", LARGEST),
        ("90071992547409910e-1", LARGEST),
        ("9e15", 9 * 10**15),
        ("1e2", 100),
        ("1E+2", 100),
        ("1e0000000000002", 100),
        ("100.000000000000000000000000", 100),
        ("-0", 0),
        ("-0.0", 0),
        ("0e99999999999", 0),
        ("0.000e-99999999999", 0),
        ("0.123456789012345", 0.123456789012345),
        ("0.00000000000000000000000123", 1.23e-24),
        ("12345678901234.5", 12345678901234.5),
        ("1e-307", 1e-307),
        ("-2.25e-308", -2.25e-308),
    ],
)
def test_a_number_within_the_bounds_is_read_exactly(text: str, value: float) -> None:
    assert parse_json(text.encode()) == value


@pytest.mark.parametrize("text", ["1e-323", "1.1e-323", "5e-324", "-4.9e-324", "2.2e-308", "1.23456789012345e-310"])
def test_a_number_too_small_for_fifteen_digits_is_refused(text: str) -> None:
    # Below 2^-1022 doubles lose digits: 1e-323 and 1.1e-323 would be one number.
    with pytest.raises(Malformed):
        parse_json(text.encode())


@pytest.mark.parametrize(
    "text", ["01", "1.", ".5", "+1", "1e", "0x10", "1_000", "--1", "- 1", "1e+", "\u0661", "1\u0661"]
)
def test_what_json_does_not_call_a_number_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_json(text.encode())


exponents = st.one_of(st.integers(-330, 330), st.integers(-20, 20))
digits = st.text("0123456789", min_size=1, max_size=18).map(lambda text: text.lstrip("0") or "0")


@st.composite
def literals(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(["", "-"])) + draw(digits)
    if draw(st.booleans()):
        text += "." + draw(st.text("0123456789", min_size=1, max_size=18))
    if draw(st.booleans()):
        text += f"e{draw(exponents)}"
    return text


def read(text: str) -> int | float | None:
    try:
        value = parse_json(text.encode())
    except Malformed:
        return None
    assert type(value) in (int, float)
    return value if isinstance(value, int | float) else None


@given(literals())
def test_fifteen_digits_of_every_accepted_number_survive(text: str) -> None:
    value = read(text)
    if value is not None and value != 0:
        exact = Decimal(text)
        if exact == exact.to_integral_value():
            assert Decimal(value) == exact
        else:
            assert Decimal(f"{value:.14e}") == exact


@given(literals(), literals())
def test_two_accepted_numbers_compare_as_their_texts_do(first: str, second: str) -> None:
    a, b = read(first), read(second)
    if a is not None and b is not None:
        assert (a < b, a == b) == (Decimal(first) < Decimal(second), Decimal(first) == Decimal(second))


@given(st.integers(-LARGEST - 3, LARGEST + 3))
def test_exactly_the_integers_that_doubles_can_tell_apart_are_read(value: int) -> None:
    assert read(str(value)) == (value if abs(value) <= LARGEST else None)
    assert read(f"{value}.0") == (value if abs(value) <= LARGEST else None)


@given(st.integers(-(10**17), 10**17), st.sampled_from(["", "9" * 16, "1.5e3", "0" * 40]))
def test_an_integer_is_judged_alike_whatever_digits_stand_beside_it(number: int, digits: str) -> None:
    text = f'{{"a":"{digits}","b":[{number}]}}'.encode()

    if abs(number) <= LARGEST:
        assert parse_json(text) == {"a": digits, "b": [number]}
    else:
        with pytest.raises(Malformed):
            parse_json(text)


@pytest.mark.parametrize("digits", [15, 16])
def test_the_longest_integers_are_integers_and_are_read_with_white_space_around(digits: int) -> None:
    number = int("8" * digits)

    assert parse_json(f" \t\r\n{number}\n".encode()) == number
    assert type(parse_json(f"-{number}".encode())) is int
    with pytest.raises(Malformed):
        parse_json(f"{number}\v".encode())
