"""Constraints as JSON, strictly: members are closed, what is not known is malformed and never skipped."""

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from tokensvc.core.constraint import (
    AllOf,
    AnyOf,
    Constraint,
    Contains,
    Exact,
    NotOneOf,
    OneOf,
    Range,
    Subset,
    Values,
    Wildcard,
)
from tokensvc.core.frozenjson import FrozenJson, thaw_json
from tokensvc.core.jsontext import JsonValue
from tokensvc.errors import Malformed

__all__ = ["MAX_LISTED", "parse_constraint", "render_constraint"]

# More values than this want a name of their own; it also bounds what one comparison can cost.
MAX_LISTED: Final = 256


def parse_constraint(value: FrozenJson) -> Constraint:
    """The constraint that `value` says. Members are closed; `optional` is none of them, it belongs to an argument.

    Recursion is bounded by the nesting of a frozen value. Raises: Malformed.
    """
    if not (isinstance(value, tuple) and value[0] == "object"):
        raise Malformed("a constraint is an object")
    members = dict(value[1])
    kind = members.pop("constraint_type", None)
    parser = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parser is None:
        raise Malformed("a constraint of an unknown type")
    return parser(members)


def _parse_exact(members: Mapping[str, FrozenJson]) -> Constraint:
    return Exact(_parse_sole(members, "value"))


def _parse_wildcard(members: Mapping[str, FrozenJson]) -> Constraint:
    if members:
        raise Malformed("a wildcard constraint has no members")
    return Wildcard()


def _parse_range(members: Mapping[str, FrozenJson]) -> Constraint:
    if not members.keys() <= {"min", "max", "min_inclusive", "max_inclusive"} or not members.keys() & {"min", "max"}:
        raise Malformed("a range constraint is exactly min, max or both, and their inclusiveness")
    return Range(
        min=_parse_bound(members, "min"),
        max=_parse_bound(members, "max"),
        min_inclusive=_parse_inclusive(members, "min"),
        max_inclusive=_parse_inclusive(members, "max"),
    )


def _parse_bound(members: Mapping[str, FrozenJson], bound: str) -> float | None:
    value = members.get(bound)
    if not isinstance(value, int | float) and bound in members:
        raise Malformed("a bound of a range constraint is a number")
    return value if isinstance(value, int | float) else None


def _parse_inclusive(members: Mapping[str, FrozenJson], bound: str) -> bool | None:
    if f"{bound}_inclusive" not in members:
        return None
    match members[f"{bound}_inclusive"]:
        case ("boolean", bool() as inclusive) if bound in members:
            return inclusive
        case _:
            raise Malformed("the inclusiveness of a range constraint is true or false, beside its bound")


def _parse_values(members: Mapping[str, FrozenJson], member: str) -> Values:
    values = Values(_parse_list(members, member))
    if len(values.members) != len(values.listed):
        raise Malformed(f"{member} of a constraint lists a value twice")
    return values


def _parse_clauses(members: Mapping[str, FrozenJson]) -> tuple[Constraint, ...]:
    return tuple([parse_constraint(clause) for clause in _parse_list(members, "constraints")])


def _parse_list(members: Mapping[str, FrozenJson], member: str) -> tuple[FrozenJson, ...]:
    value = _parse_sole(members, member)
    if isinstance(value, tuple) and value[0] == "array" and 0 < len(value[1]) <= MAX_LISTED:
        return value[1]
    raise Malformed(f"{member} of a constraint is a list of 1 to {MAX_LISTED}")


def _parse_sole(members: Mapping[str, FrozenJson], member: str) -> FrozenJson:
    if members.keys() != {member}:
        raise Malformed(f"a constraint of this type has exactly the member {member}")
    return members[member]


_PARSERS: Final[Mapping[str, Callable[[Mapping[str, FrozenJson]], Constraint]]] = {
    "exact": _parse_exact,
    "one_of": lambda members: OneOf(_parse_values(members, "values")),
    "not_one_of": lambda members: NotOneOf(_parse_values(members, "excluded")),
    "range": _parse_range,
    "contains": lambda members: Contains(_parse_values(members, "required")),
    "subset": lambda members: Subset(_parse_values(members, "allowed")),
    "wildcard": _parse_wildcard,
    "all": lambda members: AllOf(_parse_clauses(members)),
    "any": lambda members: AnyOf(_parse_clauses(members)),
}


def render_constraint(constraint: Constraint) -> dict[str, JsonValue]:
    """The JSON object that says `constraint`, as it was written but for the order of members."""
    match constraint:
        case Wildcard():
            return {"constraint_type": "wildcard"}
        case Exact():
            return {"constraint_type": "exact", "value": thaw_json(constraint.value)}
        case OneOf():
            return {"constraint_type": "one_of", "values": _render_values(constraint.values)}
        case NotOneOf():
            return {"constraint_type": "not_one_of", "excluded": _render_values(constraint.excluded)}
        case Range():
            return {"constraint_type": "range", **_render_bounds(constraint)}
        case Contains():
            return {"constraint_type": "contains", "required": _render_values(constraint.required)}
        case Subset():
            return {"constraint_type": "subset", "allowed": _render_values(constraint.allowed)}
        case AllOf():
            return {"constraint_type": "all", "constraints": _render_clauses(constraint.constraints)}
        case AnyOf():
            return {"constraint_type": "any", "constraints": _render_clauses(constraint.constraints)}
    assert_never(constraint)


def _render_values(values: Values) -> list[JsonValue]:
    return [thaw_json(value) for value in values.listed]


def _render_clauses(clauses: tuple[Constraint, ...]) -> list[JsonValue]:
    return [render_constraint(clause) for clause in clauses]


def _render_bounds(bounds: Range) -> dict[str, JsonValue]:
    named = ("min", "max", "min_inclusive", "max_inclusive")
    return {name: value for name in named if (value := getattr(bounds, name)) is not None}
