"""Authorization details (RFC 9396): which tools an agent may call, where, and with which arguments.

Entries of type `attenuating_agent_token` are compared by docs/token-profile.md, entries of another type by equality.
Details grant: no entry, no tool. The world is closed: what is not listed is denied. `*` stands for every name that is
not named beside it. A value here equals another exactly when their JSON texts say the same JSON value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from tokensvc.core.constraint import Budget, Constraint, Values, Wildcard, admits, covers
from tokensvc.core.constraintjson import MAX_LISTED, parse_constraint, render_constraint
from tokensvc.core.frozenjson import FrozenJson, freeze_json, thaw_json
from tokensvc.core.jsontext import JsonValue
from tokensvc.errors import Malformed

__all__ = [
    "MAX_DETAILS",
    "NO_DETAILS",
    "TOOL_DETAIL_TYPE",
    "Argument",
    "Detail",
    "Details",
    "Names",
    "OtherDetail",
    "ToolDetail",
    "admits_call",
    "details_cover",
    "loses_entry_or_tool",
    "parse_details",
    "parse_stated_details",
    "render_details",
]

# draft-niyikiza-oauth-attenuating-agent-tokens.
TOOL_DETAIL_TYPE: Final = "attenuating_agent_token"
# A token of 16 KiB holds no more that say anything; it also bounds the pairs of entries.
MAX_DETAILS: Final = 64
# Every name that is not named beside it.
_ANY_NAME: Final = "*"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Names(Generic[_T]):
    """A JSON object by names: as pairs sorted by name, which compare and hash, and as a mapping for look-ups."""

    listed: tuple[tuple[str, _T], ...]
    by_name: Mapping[str, _T] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", dict(self.listed))

    def find(self, name: str) -> _T | None:
        """What stands for `name`: its own member, else that of `*`, else None."""
        found = self.by_name.get(name)
        return self.by_name.get(_ANY_NAME) if found is None else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """What an argument may be. `optional` says that a call may leave it out."""

    constraint: Constraint
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDetail:
    """An entry of type `attenuating_agent_token`: tools by name, each with its arguments by name (none named: any).

    `locations` are the audiences at which the entry counts, compared byte for byte; None is all of them.
    """

    locations: Values | None
    tools: Names[Names[Argument]]

    @property
    def type(self) -> str:
        """The member of that name."""
        return TOOL_DETAIL_TYPE


@dataclass(frozen=True, slots=True)
class OtherDetail:
    """An entry of a type that we do not know: kept whole, covered by an equal entry only."""

    value: FrozenJson

    @property
    def type(self) -> str:
        """The member of that name."""
        return str(_members(self.value, "an entry")["type"])


Detail = ToolDetail | OtherDetail
Details = tuple[Detail, ...]

NO_DETAILS: Final[Details] = ()
_ANY_ARGUMENTS: Final[Names[Argument]] = Names(((_ANY_NAME, Argument(constraint=Wildcard())),))


def parse_details(value: object) -> Details:
    """The entries of an `authorization_details` array, which may be empty: what a client asks for, or a setting.

    At most 64, no two equal, nesting at most 32 with the array as level 1. Raises: Malformed. Source: RFC 9396 s2.
    """
    frozen = freeze_json(value)
    if not (isinstance(frozen, tuple) and frozen[0] == "array" and len(frozen[1]) <= MAX_DETAILS):
        raise Malformed(f"authorization_details is an array of at most {MAX_DETAILS} entries")
    if len(set(frozen[1])) != len(frozen[1]):
        raise Malformed("authorization_details holds an entry twice")
    return tuple([_parse_detail(entry) for entry in frozen[1]])


def parse_stated_details(value: object) -> Details:
    """The entries that a token, a hop or a root states, where none at all is said by leaving the member out.

    Raises: Malformed, also for the empty array.
    """
    details = parse_details(value)
    if not details:
        raise Malformed("authorization_details is left out where there is no entry")
    return details


def render_details(details: Details) -> list[JsonValue]:
    """The JSON array that says `details`. For a token: left out, not written, when empty."""
    return [_render_detail(detail) for detail in details]


def details_cover(parent: Details, child: Details, budget: Budget | None = None) -> bool:
    """True when every entry of the child is covered by one entry of the parent, never by several together.

    `budget` is a fresh one of 50,000 steps unless given. Raises: Malformed (`too_large`) when it is spent.
    """
    if not child:
        return True
    budget = Budget() if budget is None else budget
    others = frozenset(_others(parent))
    tools = _tool_details(parent)
    for detail in child:
        budget.spend()
        if isinstance(detail, OtherDetail):
            if detail not in others:
                return False
        elif not any(_entry_covers(entry, detail, budget) for entry in tools):
            return False
    return True


def admits_call(details: Details, *, tool: str, arguments: object, audience: str) -> bool:
    """True when one entry that counts at `audience` admits the whole call.

    `arguments` maps names to JSON values. A tool or an argument called `*` is denied.
    Raises: Malformed for arguments that JSON cannot say exactly; `too_large` beyond 50,000 steps.
    """
    name, frozen = freeze_json(tool), freeze_json(arguments)
    if not isinstance(name, str):
        raise Malformed("the name of a tool is a string")
    if not (isinstance(frozen, tuple) and frozen[0] == "object"):
        raise Malformed("the arguments of a call are an object")
    values = dict(frozen[1])
    if name == _ANY_NAME or _ANY_NAME in values:
        return False
    budget = Budget()
    for entry in _tool_details(details):
        if entry.locations is None or audience in entry.locations.members:
            found = entry.tools.find(name)
            if found is not None and _admits_arguments(found, values, budget):
                return True
    return False


def loses_entry_or_tool(parent: Details, child: Details) -> bool:
    """True when an entry of another type, or a name among all tools, is gone (proper in mode `authority`).

    `*` is a name like others, and while the child has it, no name is gone: else an agent could add names beside `*` and
    drop one at each hop, losing nothing. Narrower arguments or locations never count.
    """
    names = _tool_names(child)
    return not _others(parent) <= _others(child) or not (_ANY_NAME in names or _tool_names(parent) <= names)


def _tool_details(details: Details) -> list[ToolDetail]:
    return [detail for detail in details if isinstance(detail, ToolDetail)]


def _others(details: Details) -> frozenset[OtherDetail]:
    return frozenset(detail for detail in details if isinstance(detail, OtherDetail))


def _tool_names(details: Details) -> frozenset[str]:
    return frozenset(name for detail in _tool_details(details) for name in detail.tools.by_name)


def _entry_covers(parent: ToolDetail, child: ToolDetail, budget: Budget) -> bool:
    budget.spend()
    if parent.locations is not None:
        if child.locations is None:
            return False
        budget.spend(len(child.locations.listed))
        if not child.locations.members <= parent.locations.members:
            return False
    return _names_cover(parent.tools, child.tools, _arguments_cover, budget)


def _arguments_cover(parent: Names[Argument], child: Names[Argument], budget: Budget) -> bool:
    mine, theirs = parent if parent.listed else _ANY_ARGUMENTS, child if child.listed else _ANY_ARGUMENTS
    # Required stays required, so it stays; with the names that a `*` asks for, that is all that may be left out.
    budget.spend(len(mine.listed) + len(theirs.listed))
    return _required(mine) <= _required(theirs) and _names_cover(mine, theirs, _argument_covers, budget)


def _argument_covers(parent: Argument, child: Argument, budget: Budget) -> bool:
    return covers(parent.constraint, child.constraint, budget)


def _names_cover(
    parent: Names[_T], child: Names[_T], item_covers: Callable[[_T, _T, Budget], bool], budget: Budget
) -> bool:
    """What the child names is covered by the same name or by `*`; its own `*` must not reach what the parent names."""
    if _ANY_NAME in child.by_name:
        budget.spend(len(parent.listed))
        if not parent.by_name.keys() <= child.by_name.keys():
            return False
    for name, item in child.listed:
        budget.spend()
        found = parent.find(name)
        if found is None or not item_covers(found, item, budget):
            return False
    return True


def _required(arguments: Names[Argument]) -> frozenset[str]:
    return frozenset(name for name, argument in arguments.listed if name != _ANY_NAME and not argument.optional)


def _admits_arguments(arguments: Names[Argument], values: Mapping[str, FrozenJson], budget: Budget) -> bool:
    mine = arguments if arguments.listed else _ANY_ARGUMENTS
    if not _required(mine) <= values.keys():
        return False
    for name, value in values.items():
        budget.spend()
        argument = mine.find(name)
        if argument is None or not admits(argument.constraint, value, budget):
            return False
    return True


def _parse_detail(entry: FrozenJson) -> Detail:
    members = _members(entry, "an entry of authorization_details")
    kind = members.get("type")
    if not isinstance(kind, str) or not kind:
        raise Malformed("an entry of authorization_details has a type, a string")
    if kind != TOOL_DETAIL_TYPE:
        return OtherDetail(entry)
    if not {"type", "tools"} <= members.keys() <= {"type", "tools", "locations"}:
        raise Malformed(f"an entry of type {TOOL_DETAIL_TYPE} is exactly type, tools and, if any, locations")
    tools = _members(members["tools"], "tools")
    if not tools:
        raise Malformed("tools names at least one")
    return ToolDetail(
        locations=_parse_locations(members["locations"]) if "locations" in members else None,
        tools=Names(tuple([(name, _parse_arguments(tools[name])) for name in sorted(tools)])),
    )


def _parse_locations(value: FrozenJson) -> Values:
    if isinstance(value, tuple) and value[0] == "array":
        locations = Values(value[1])
        if 0 < len(locations.members) == len(value[1]) <= MAX_LISTED and all(
            isinstance(location, str) and location for location in value[1]
        ):
            return locations
    raise Malformed(f"locations is a list of 1 to {MAX_LISTED} strings, none of them twice")


def _parse_arguments(value: FrozenJson) -> Names[Argument]:
    arguments = _members(value, "a tool")
    return Names(tuple([(name, _parse_argument(name, arguments[name])) for name in sorted(arguments)]))


def _parse_argument(name: str, value: FrozenJson) -> Argument:
    """The constraint on an argument; `optional` is true where it stands, and `*` cannot be optional."""
    members = _members(value, "an argument")
    if "optional" not in members:
        return Argument(constraint=parse_constraint(value))
    if members.pop("optional") != ("boolean", True) or name == _ANY_NAME:
        raise Malformed("optional is true where it stands, and beside named arguments only")
    return Argument(constraint=parse_constraint(("object", frozenset(members.items()))), optional=True)


def _members(value: FrozenJson, what: str) -> dict[str, FrozenJson]:
    if not (isinstance(value, tuple) and value[0] == "object"):
        raise Malformed(f"{what} is an object")
    return dict(value[1])


def _render_detail(detail: Detail) -> JsonValue:
    if isinstance(detail, OtherDetail):
        return thaw_json(detail.value)
    locations: dict[str, JsonValue] = {}
    if detail.locations is not None:
        locations["locations"] = [thaw_json(location) for location in detail.locations.listed]
    tools = {name: _render_arguments(arguments) for name, arguments in detail.tools.listed}
    return {"type": TOOL_DETAIL_TYPE, **locations, "tools": tools}


def _render_arguments(arguments: Names[Argument]) -> dict[str, JsonValue]:
    return {name: _render_argument(argument) for name, argument in arguments.listed}


def _render_argument(argument: Argument) -> JsonValue:
    optional: dict[str, JsonValue] = {"optional": True} if argument.optional else {}
    return {**render_constraint(argument.constraint), **optional}
