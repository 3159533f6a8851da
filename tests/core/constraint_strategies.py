"""Constraints and details as JSON for the laws: few values, so that related pairs are common, and what lies between."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

from hypothesis import strategies as st

from tokensvc.core.constraint import Budget, Constraint, admits, covers
from tokensvc.core.constraintjson import parse_constraint
from tokensvc.core.frozenjson import FrozenJson, freeze_json
from tokensvc.core.jsontext import JsonValue

Json = dict[str, JsonValue]

TOOL: Final = "attenuating_agent_token"
SCALARS: Final[Sequence[JsonValue]] = (None, True, False, 0, 1, 1.0, 2, 3, -1, 0.5, 2**53 - 1, "", "1", "a", "true")
LISTS: Final[Sequence[JsonValue]] = ([], [1], [1.0], [True], ["1"], [1, "a"], ["a", 1], [1, 1], [[1]], [None])
OBJECTS: Final[Sequence[JsonValue]] = ({}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": [1]}, {"b": 1})
# A budget that no law ever spends: what happens when one does has tests of its own.
ENOUGH: Final = 10_000_000


def constraint(value: object) -> Constraint:
    return parse_constraint(freeze_json(value))


def passes(of: object, value: object) -> bool:
    return admits(constraint(of), freeze_json(value), Budget(ENOUGH))


def passing(of: object, several: Iterable[JsonValue]) -> list[JsonValue]:
    parsed = constraint(of)
    return [value for value in several if admits(parsed, freeze_json(value), Budget(ENOUGH))]


def covered(parent: object, child: object) -> bool:
    return covers(constraint(parent), constraint(child), Budget(ENOUGH))


def exact(value: JsonValue) -> Json:
    return {"constraint_type": "exact", "value": value}


def one_of(*values: JsonValue) -> Json:
    return {"constraint_type": "one_of", "values": values}


def not_one_of(*values: JsonValue) -> Json:
    return {"constraint_type": "not_one_of", "excluded": values}


def contains(*values: JsonValue) -> Json:
    return {"constraint_type": "contains", "required": values}


def subset(*values: JsonValue) -> Json:
    return {"constraint_type": "subset", "allowed": values}


def within(**bounds: JsonValue) -> Json:
    return {"constraint_type": "range", **bounds}


def all_of(*clauses: JsonValue) -> Json:
    return {"constraint_type": "all", "constraints": clauses}


def any_of(*clauses: JsonValue) -> Json:
    return {"constraint_type": "any", "constraints": clauses}


WILDCARD: Final[Json] = {"constraint_type": "wildcard"}

values: Final = st.sampled_from([*SCALARS, *LISTS, *OBJECTS])
scalars: Final = st.sampled_from(SCALARS)


def value_lists(of: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[list[JsonValue]]:
    return st.lists(of, min_size=1, max_size=4, unique_by=freeze_json)


@st.composite
def ranges(draw: st.DrawFn) -> Json:
    numbers = st.sampled_from([-1, 0, 0.5, 1, 1.0, 2, 3])
    bounds: Json = {}
    for bound in draw(st.sampled_from([("min",), ("max",), ("min", "max")])):
        bounds[bound] = draw(numbers)
        inclusive = draw(st.sampled_from([None, None, True, False]))
        if inclusive is not None:
            bounds[f"{bound}_inclusive"] = inclusive
    return within(**bounds)


leaves: Final[st.SearchStrategy[Json]] = st.one_of(
    st.just(WILDCARD),
    values.map(exact),
    value_lists(values).map(lambda v: one_of(*v)),
    value_lists(values).map(lambda v: not_one_of(*v)),
    ranges(),
    value_lists(scalars).map(lambda v: contains(*v)),
    value_lists(scalars).map(lambda v: subset(*v)),
)


def _nested(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    clauses = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(clauses.map(lambda c: all_of(*c)), clauses.map(lambda c: any_of(*c)))


constraints: Final[st.SearchStrategy[Json]] = st.recursive(leaves, _nested, max_leaves=6)


@st.composite
def narrowed(draw: st.DrawFn, parent: Json, depth: int = 2) -> Json:
    """A constraint that the parent often covers: made by the rules, read backwards."""
    choices = ["itself", "values", "all", "other"] + (["any"] if depth else [])
    match draw(st.sampled_from(choices)):
        case "itself":
            return parent
        case "values":
            admitted = passing(parent, boundary_values(parent))
            chosen = draw(value_lists(st.sampled_from(admitted))) if admitted else [draw(values)]
            return one_of(*chosen) if len(chosen) > 1 else exact(chosen[0])
        case "all":
            return all_of(*draw(st.permutations([parent, draw(leaves)])))
        case "any":
            return any_of(draw(narrowed(parent, depth - 1)), draw(narrowed(parent, depth - 1)))
        case _:
            return draw(_narrowed_in_kind(parent))


@st.composite
def _narrowed_in_kind(draw: st.DrawFn, parent: Json) -> Json:
    for member in ("excluded", "required"):
        if member in parent:
            more = [*_listed(parent, member), *draw(value_lists(scalars))]
            return {**parent, member: _distinct(more)}
    for member in ("values", "allowed", "constraints"):
        if member in parent:
            kept = draw(st.lists(st.sampled_from(_listed(parent, member)), min_size=1, unique_by=freeze_json))
            return {**parent, member: kept}
    if parent["constraint_type"] == "range":
        return {**parent, **draw(ranges())}
    return draw(leaves)


def boundary_values(*mentioned: object) -> list[JsonValue]:
    """The values that the constraints name, their neighbours in number and type, and lists made of them."""
    named = _distinct([value for each in mentioned for value in _mentioned(each)])
    numbers = [n for n in named if isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1000]
    near = [n + step for n in numbers for step in (-1, -0.5, 0.5, 1)]
    typed: list[JsonValue] = [str(n) for n in numbers]
    # Few enough to try all pairs, and all of them at once.
    items = _distinct([*named, "outside"])[:8]
    lists: list[JsonValue] = [[], items, *([item] for item in items), *(list(pair) for pair in combinations(items, 2))]
    return _distinct([*named, *near, *typed, *lists, None, True, False, 0, 1, "1", "", {}, {"a": 1}])


def _mentioned(part: object) -> list[JsonValue]:
    if not isinstance(part, dict):
        return []
    found: list[JsonValue] = [part[member] for member in ("value", "min", "max") if member in part]
    for member in ("values", "excluded", "required", "allowed"):
        found.extend(part.get(member, ()))
        if len(part.get(member, ())) > 2:
            found.append(list(part[member]))
    for value in list(found):
        found.extend(value if isinstance(value, list) else ())
    for clause in part.get("constraints", ()):
        found.extend(_mentioned(clause))
    return found


def _listed(part: Json, member: str) -> list[JsonValue]:
    listed = part[member]
    assert isinstance(listed, list | tuple)
    return list(listed)


def _distinct(several: Iterable[JsonValue]) -> list[JsonValue]:
    seen: set[FrozenJson] = set()
    return [v for v in several if (key := freeze_json(v)) not in seen and not seen.add(key)]  # type: ignore[func-returns-value]
