"""JSON values that never change and compare as JSON values: `1` is `1.0`, but neither `true` nor `"1"`.

Null, numbers and strings stand for themselves. Python holds `True == 1` and cannot hash lists and dicts, so these three
are pairs of a tag and a content: `("boolean", True)`, `("array", (1, 2))`, `("object", frozenset({("a", 1)}))`.
"""

from collections.abc import Iterator
from itertools import count
from typing import Final, Literal

from tokensvc.core.jsontext import JsonValue, require_exact_number
from tokensvc.errors import Malformed, Reason

__all__ = ["MAX_FROZEN_NESTING", "MAX_FROZEN_VALUES", "FrozenJson", "freeze_json", "thaw_json"]

FrozenJson = (
    None
    | int
    | float
    | str
    | tuple[Literal["boolean"], bool]
    | tuple[Literal["array"], tuple["FrozenJson", ...]]
    | tuple[Literal["object"], frozenset[tuple[str, "FrozenJson"]]]
)

# Of authorization details and of the arguments of a call, which are compared with them.
MAX_FROZEN_NESTING: Final = 32
# Lists that hold one list twice, and that again, are small in memory and have no end when walked.
MAX_FROZEN_VALUES: Final = 100_000


def freeze_json(value: object) -> FrozenJson:
    """`value`, which may come from anybody, as a value that can be compared and hashed.

    Plain Python values only, of exactly the types that a JSON parser returns, and tuples: what a subclass does is
    unknown. Numbers are judged as in a text, a float by its `repr`.
    Raises: Malformed (`too_large` for more than 100,000 values; nesting beyond 32 is `malformed`).
    """
    return _freeze(value, MAX_FROZEN_NESTING, count(1))


def thaw_json(frozen: FrozenJson) -> JsonValue:
    """The plain JSON value that `frozen` holds, with the members of objects sorted by name."""
    if not isinstance(frozen, tuple):
        return frozen
    if frozen[0] == "boolean":
        return frozen[1]
    if frozen[0] == "array":
        return [thaw_json(item) for item in frozen[1]]
    return {name: thaw_json(member) for name, member in sorted(frozen[1], key=_name)}


def _freeze(value: object, levels: int, counted: Iterator[int]) -> FrozenJson:
    if next(counted) > MAX_FROZEN_VALUES:
        raise Malformed(f"more than {MAX_FROZEN_VALUES} JSON values in one", reason=Reason.TOO_LARGE)
    if value is None:
        return None
    if type(value) is str:
        return _require_text(value)
    if type(value) is bool:
        return ("boolean", value)
    if type(value) is int or type(value) is float:
        require_exact_number(value)
        return value
    if levels == 0:
        raise Malformed(f"a JSON value nests deeper than {MAX_FROZEN_NESTING} levels")
    if type(value) is list or type(value) is tuple:
        return ("array", tuple([_freeze(item, levels - 1, counted) for item in value]))
    if type(value) is dict:
        return ("object", frozenset([(_require_text(n), _freeze(v, levels - 1, counted)) for n, v in value.items()]))
    raise Malformed("a value of a type that JSON does not have")


def _require_text(text: object) -> str:
    if type(text) is not str:
        raise Malformed("a member name that is not a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise Malformed("a JSON string holds a lone surrogate") from exc
    return text


def _name(member: tuple[str, FrozenJson]) -> str:
    return member[0]
