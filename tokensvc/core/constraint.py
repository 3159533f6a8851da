"""Constraints on one argument of a tool: which values pass, and when one constraint covers another.

The law: when `covers(parent, child)`, every value that the child admits, the parent admits. `covers` is reflexive and
transitive. It is sound, not complete: equal authority spelt otherwise may be refused.
Values are frozen JSON values, so that look-ups in lists and equality go by JSON type (`core.frozenjson`).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, assert_never

from tokensvc.core.frozenjson import FrozenJson
from tokensvc.errors import Malformed, Reason

__all__ = [
    "MAX_STEPS",
    "AllOf",
    "AnyOf",
    "Budget",
    "Constraint",
    "Contains",
    "Exact",
    "NotOneOf",
    "OneOf",
    "Range",
    "Subset",
    "Values",
    "Wildcard",
    "admits",
    "covers",
]

# At most a tenth of a second. Details that fill a token spend a few thousand; 1,000 values against 8,000 took 1.6 s.
MAX_STEPS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Values:
    """The 1 to 256 values that a constraint lists, no two equal: in their order, and as a set for look-ups.

    `alike` is how many share a hash at most, as `[-1]` and `[-2]` do: so many are compared to find one.
    """

    listed: tuple[FrozenJson, ...]
    members: frozenset[FrozenJson] = field(init=False, repr=False, compare=False)
    alike: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", frozenset(self.listed))
        object.__setattr__(self, "alike", max(Counter(map(hash, self.listed)).values()) if self.listed else 1)


@dataclass(frozen=True, slots=True)
class Exact:
    """Admits one value."""

    value: FrozenJson


@dataclass(frozen=True, slots=True)
class OneOf:
    """Admits the values listed."""

    values: Values


@dataclass(frozen=True, slots=True)
class NotOneOf:
    """Admits every value that is not listed."""

    excluded: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Admits numbers within the bounds, at least one of which is there. An inclusiveness of None was not written."""

    min: float | None = None
    max: float | None = None
    min_inclusive: bool | None = None
    max_inclusive: bool | None = None


@dataclass(frozen=True, slots=True)
class Contains:
    """Admits lists that hold all of the values."""

    required: Values


@dataclass(frozen=True, slots=True)
class Subset:
    """Admits lists that hold nothing but the values; the empty list too."""

    allowed: Values


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Admits every value."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Admits what all of its clauses admit (type `all`)."""

    constraints: tuple["Constraint", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Admits what some of its clauses admit (type `any`)."""

    constraints: tuple["Constraint", ...]


Constraint = Exact | OneOf | NotOneOf | Range | Contains | Subset | Wildcard | AllOf | AnyOf


class Budget:
    """What one covering, or one call, may spend, and the verdicts on the pairs that it has judged already."""

    __slots__ = ("_verdicts", "left")

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps
        # By identity, as hashing a tree for each of its nodes is work without bound. The pair is kept with its verdict:
        # were it let go, another could get its identity.
        self._verdicts: dict[tuple[int, int], tuple[Constraint, Constraint, bool]] = {}

    def spend(self, steps: int = 1) -> None:
        """Count `steps`: a pair of nodes, or one value looked up, each. Raises: Malformed (`too_large`) at the end."""
        self.left -= steps
        if self.left < 0:
            raise Malformed("the authorization details take too long to compare", reason=Reason.TOO_LARGE)

    def recall(self, parent: Constraint, child: Constraint) -> bool | None:
        """The verdict on these two, if they were judged."""
        judged = self._verdicts.get((id(parent), id(child)))
        return None if judged is None else judged[2]

    def record(self, parent: Constraint, child: Constraint, *, verdict: bool) -> None:
        """Remember that the parent covers the child, or not."""
        self._verdicts[id(parent), id(child)] = parent, child, verdict


def admits(constraint: Constraint, value: FrozenJson, budget: Budget) -> bool:
    """True when `value` passes. Raises: Malformed (`too_large`) when the budget is spent."""
    budget.spend()
    match constraint:
        case Wildcard():
            return True
        case Exact():
            return value == constraint.value
        case OneOf():
            return _is_among(value, constraint.values, budget)
        case NotOneOf():
            return not _is_among(value, constraint.excluded, budget)
        case Range():
            # Booleans are tagged pairs here: a number is a number.
            return isinstance(value, int | float) and _is_within(value, constraint)
        case Contains() | Subset():
            return _admits_list(constraint, value, budget)
        case AllOf():
            return all(admits(clause, value, budget) for clause in constraint.constraints)
        case AnyOf():
            return any(admits(clause, value, budget) for clause in constraint.constraints)
    assert_never(constraint)


def covers(parent: Constraint, child: Constraint, budget: Budget) -> bool:
    """True when the parent admits whatever the child admits, as far as eight rules can tell (docs/token-profile.md).

    Each pair of nodes is judged once. Raises: Malformed (`too_large`) when the budget is spent.
    """
    verdict = budget.recall(parent, child)
    if verdict is None:
        budget.spend()
        verdict = _covers(parent, child, budget)
        budget.record(parent, child, verdict=verdict)
    return verdict


def _covers(parent: Constraint, child: Constraint, budget: Budget) -> bool:
    """The first rule that applies, by its number in docs/token-profile.md."""
    if isinstance(parent, Wildcard):  # 1
        return True
    if isinstance(child, Exact):  # 2
        return admits(parent, child.value, budget)
    if isinstance(child, OneOf):  # 2
        return all(admits(parent, value, budget) for value in child.values.listed)
    if isinstance(child, AnyOf):  # 3
        return all(covers(parent, clause, budget) for clause in child.constraints)
    if isinstance(parent, AllOf):  # 4
        return all(covers(clause, child, budget) for clause in parent.constraints)
    if isinstance(parent, AnyOf) and any(covers(clause, child, budget) for clause in parent.constraints):  # 5
        return True
    if isinstance(child, AllOf):  # 6
        return any(covers(parent, clause, budget) for clause in child.constraints)
    return _covers_same_type(parent, child, budget)  # 7, 8


def _covers_same_type(parent: Constraint, child: Constraint, budget: Budget) -> bool:
    match parent, child:
        case Range(), Range():
            return _is_min_tighter(parent, child) and _is_max_tighter(parent, child)
        case NotOneOf(excluded=less), NotOneOf(excluded=more):
            return _is_superset(more, less, budget)
        case Contains(required=less), Contains(required=more):
            return _is_superset(more, less, budget)
        case Subset(allowed=more), Subset(allowed=less):
            return _is_superset(more, less, budget)
        case _:
            return False


def _is_superset(more: Values, less: Values, budget: Budget) -> bool:
    budget.spend(len(less.listed))
    return more.members >= less.members


def _admits_list(constraint: Contains | Subset, value: FrozenJson, budget: Budget) -> bool:
    if not (isinstance(value, tuple) and value[0] == "array"):
        return False
    if isinstance(constraint, Subset):
        return all(_is_listed(item, constraint.allowed, budget) for item in value[1])
    missing = set(constraint.required.members)
    for item in value[1]:
        budget.spend(1 + _look_up_cost(item, constraint.required))
        missing.discard(item)
        if not missing:
            return True
    return False


def _is_listed(value: FrozenJson, values: Values, budget: Budget) -> bool:
    budget.spend()
    return _is_among(value, values, budget)


def _is_among(value: FrozenJson, values: Values, budget: Budget) -> bool:
    budget.spend(_look_up_cost(value, values))
    return value in values.members


def _look_up_cost(value: FrozenJson, values: Values) -> int:
    """What finding `value` takes beyond one step: a list or object is hashed, and compared with those alike, whole."""
    return _size(value) * values.alike if isinstance(value, tuple) else 0


def _size(value: FrozenJson) -> int:
    """How many values stand in a list or object."""
    size, rest = 0, [value]
    while rest:
        found = rest.pop()
        size += 1
        if isinstance(found, tuple):
            match found:
                case ("array", items):
                    rest.extend(items)
                case ("object", members):
                    rest.extend(member for _name, member in members)
    return size


def _is_within(number: float, bounds: Range) -> bool:
    above = bounds.min is None or number > bounds.min or (number == bounds.min and bounds.min_inclusive is not False)
    below = bounds.max is None or number < bounds.max or (number == bounds.max and bounds.max_inclusive is not False)
    return above and below


def _is_min_tighter(parent: Range, child: Range) -> bool:
    if parent.min is None or child.min is None:
        return parent.min is None
    same = child.min == parent.min and (parent.min_inclusive is not False or child.min_inclusive is False)
    return same or child.min > parent.min


def _is_max_tighter(parent: Range, child: Range) -> bool:
    if parent.max is None or child.max is None:
        return parent.max is None
    same = child.max == parent.max and (parent.max_inclusive is not False or child.max_inclusive is False)
    return same or child.max < parent.max
