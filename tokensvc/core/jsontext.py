"""Strict JSON text to values and back (RFC 8259; the pitfalls of RFC 8725 s2.4 and s2.6 refused, not repaired).

Refused: text that is not UTF-8 or starts with a byte-order mark, duplicate member names, lone surrogates, NaN and
infinities, numbers that a double cannot hold as the text says them, and nesting that could exhaust the stack.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from tokensvc.errors import Malformed

__all__ = [
    "MAX_NESTING",
    "JsonObject",
    "JsonValue",
    "parse_json",
    "parse_json_object",
    "render_json",
    "require_exact_number",
]

JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
JsonObject = Mapping[str, JsonValue]

# Authorization details may nest 32 levels; they stand in a hop (object) in the chain (array) in the claims (object).
MAX_NESTING: Final = 40
# 2^53 - 1: the largest integer below which a double tells every integer from its neighbours.
_MAX_INTEGER: Final = 9_007_199_254_740_991
_MAX_INTEGER_DIGITS: Final = 16
# An integer beyond 2^53 - 1 has at least this many digits in a row. Where no row is as long, none needs to be judged.
_MANY_DIGITS: Final = b"0" * _MAX_INTEGER_DIGITS
# All digits become 0 and all opening brackets {, so that one pass over a text is enough to look for both.
_SHAPE: Final = bytes.maketrans(b"123456789[", b"000000000{")
# A double keeps 15 significant decimal digits through text -> double -> text.
_MAX_SIGNIFICANT_DIGITS: Final = 15
# 2^-1022: below it a double keeps fewer digits, the closer to zero the fewer, and 1e-323 equals 1.1e-323.
_MIN_NORMAL: Final = 2.0**-1022
# Exponents of more digits than this are out of a double's range, whatever the mantissa (at most a token long).
_MAX_EXPONENT_DIGITS: Final = 6

# RFC 8259 s2.
_WHITESPACE: Final = " \t\n\r"
_NUMBER: Final = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]*))?")
# A string that never ends runs to the end of the text: were it no match, each of its quotes would be tried again.
_NOT_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*\\?(?:"|\Z)|[^\[\]{}"]+', re.DOTALL)


def parse_json(text: bytes) -> JsonValue:
    """The value that `text` says, strictly.

    Objects are dicts, arrays lists. Raises: Malformed. Source: RFC 8259.
    """
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Malformed("the JSON text is not UTF-8") from exc
    shape = text.translate(_SHAPE)
    if shape.count(b"{") > MAX_NESTING:
        _require_bounded_nesting(text)
    decoder = _DECODER if _MANY_DIGITS in shape else _SMALL_INTEGERS_DECODER
    stripped = decoded.strip(_WHITESPACE)
    try:
        value: JsonValue
        value, end = decoder.raw_decode(stripped)
    except json.JSONDecodeError as exc:
        raise Malformed("the JSON text does not parse") from exc
    if end != len(stripped):
        raise Malformed("the JSON text goes on after its value")
    if b"\\" in text:
        # Strict UTF-8 holds no surrogates; only an escape can bring in one without its other half.
        _require_no_lone_surrogates(value)
    return value


def parse_json_object(text: bytes) -> dict[str, JsonValue]:
    """The object that `text` says, strictly. Raises: Malformed, also for any value that is not an object."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise Malformed("the JSON text is not an object")
    return value


def render_json(value: JsonValue) -> bytes:
    """`value` as compact UTF-8 JSON text, members in their own order. Raises: ValueError for NaN and infinities."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def require_exact_number(value: float) -> None:
    """Nothing, when a JSON text may say `value`, by the rules of `parse_json`; a float is judged on its `repr`.

    `value` is an `int` or a `float`, not a `bool`. Raises: Malformed.
    """
    if isinstance(value, int):
        _require_exact_integer(value)
    elif math.isfinite(value):
        _parse_real(repr(value))
    else:
        raise Malformed("NaN and infinities are not JSON")


def _require_bounded_nesting(text: bytes) -> None:
    depth = 0
    for bracket in _NOT_BRACKETS.sub(b"", text):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_NESTING:
            raise Malformed(f"the JSON text nests deeper than {MAX_NESTING} levels")


def _object_without_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("a JSON object names a member twice")
    return members


def _refuse_constant(_name: str) -> JsonValue:
    raise Malformed("NaN and infinities are not JSON")


def _parse_integer(text: str) -> int:
    if len(text) <= _MAX_INTEGER_DIGITS + 1:
        value = int(text)
        _require_exact_integer(value)
        return value
    raise Malformed("a JSON number is an integer beyond 2^53 - 1")


def _require_exact_integer(value: int) -> None:
    if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
        raise Malformed("a JSON number is an integer beyond 2^53 - 1")


def _parse_real(text: str) -> float:
    """A number with a fraction or an exponent, judged on its text so that no rounding can make two numbers equal."""
    match = _NUMBER.fullmatch(text)
    if match is None:  # pragma: no cover - json calls this hook with numbers only
        raise Malformed("a JSON number does not parse")
    whole, fraction, sign, exponent_digits = match[1], match[2] or "", match[3], match[4] or "0"
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0.0
    if len(exponent_digits) > _MAX_EXPONENT_DIGITS:
        raise Malformed("a JSON number is out of range")
    exponent = int(exponent_digits) * (-1 if sign == "-" else 1) - len(fraction)
    significant = digits.rstrip("0")
    exponent += len(digits) - len(significant)
    if exponent >= 0:
        _require_small_integer(significant, exponent)
    elif len(significant) > _MAX_SIGNIFICANT_DIGITS:
        raise Malformed(f"a JSON number has more than {_MAX_SIGNIFICANT_DIGITS} significant digits")
    value = float(text)
    if abs(value) < _MIN_NORMAL:
        raise Malformed("a JSON number is out of range")
    return value


def _require_small_integer(significant: str, exponent: int) -> None:
    if len(significant) + exponent > _MAX_INTEGER_DIGITS or int(significant) * 10**exponent > _MAX_INTEGER:
        raise Malformed("a JSON number is an integer beyond 2^53 - 1")


def _require_no_lone_surrogates(value: JsonValue) -> None:
    pending: list[JsonValue] = [value]
    while pending:
        match pending.pop():
            case str() as text:
                _require_encodable(text)
            case dict() as members:
                for name in members:
                    _require_encodable(name)
                pending.extend(members.values())
            case list() as items:
                pending.extend(items)
            case _:
                pass


def _require_encodable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise Malformed("a JSON string holds a lone surrogate") from exc


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_constant=_refuse_constant,
    parse_int=_parse_integer,
    parse_float=_parse_real,
)
# Without a hook the parser of the standard library reads integers in half the time.
_SMALL_INTEGERS_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_constant=_refuse_constant,
    parse_float=_parse_real,
)
