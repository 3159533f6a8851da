"""An independent model of what an entry allows: every call of a small world, told by plain dicts and no code of ours.

A call uses a scope name, or a tool with arguments, at a resource and at a moment. An entry allows some of them; a hop
is within an entry above when it allows no other. The law on authority may only be stricter than this.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

from tests.simulator import API, FILES, NOW, Members

__all__ = ["CALLS", "SCOPE_NAMES", "Call", "allowed", "detail", "scope_meaning"]

# The others stand for every name that nobody thought of.
SCOPE_NAMES: Final = (
    "crm.read",
    "crm.write",
    "crm.x.y",
    "files.read",
    "files.other",
    "mail.send",
    "crm.x.other",
    "crm.other",
    "admin",
    "other",
)
TOOL: Final = "attenuating_agent_token"


@dataclass(frozen=True, slots=True)
class Call:
    """Something an agent might do: use a scope, or call a tool."""

    scope: str | None
    tool: tuple[str, str, int] | None
    resource: str
    at: int


def _calls() -> Iterator[Call]:
    tools = list(product(("read", "write", "other"), ("/a", "/b", "/c"), (0, 5, 6, 50)))
    for resource, at in product((API, FILES, "urn:other"), (NOW, NOW + 1800, NOW + 3599, NOW + 8000)):
        yield from (Call(scope, None, resource, at) for scope in SCOPE_NAMES)
        yield from (Call(None, tool, resource, at) for tool in tools)


CALLS: Final = tuple(_calls())


def detail(tools: Members, *locations: str) -> Members:
    """An authorization detail for these tools."""
    return {"type": TOOL, "tools": tools, **({"locations": list(locations)} if locations else {})}


def scope_meaning(scope: str) -> frozenset[str]:
    """The names that a scope string stands for, where the last segment may be a star."""
    names = scope.split(" ")
    return frozenset(name for name in SCOPE_NAMES if any(_stands_for(given, name) for given in names))


def _stands_for(given: str, name: str) -> bool:
    return name.startswith(given[:-1]) if given.endswith(".*") else name == given


def allowed(entry: Members) -> frozenset[Call]:
    """Every call that `entry`, an entry of a chain or the claims of a token for no resource in particular, allows."""
    members = ("scope", "resources", "exp", "authorization_details")
    return _allowed(json.dumps({name: entry[name] for name in members if name in entry}, sort_keys=True))


@cache
def _allowed(text: str) -> frozenset[Call]:
    entry = json.loads(text)
    names, details = scope_meaning(entry["scope"]), entry.get("authorization_details", [])
    return frozenset(
        call
        for call in CALLS
        if (call.scope is None or call.scope in names)
        and call.resource in entry["resources"]
        and call.at < entry["exp"]
        and (call.tool is None or any(_admits(each, call.tool, call.resource) for each in details))
    )


def _admits(detail: Members, tool: tuple[str, str, int], resource: str) -> bool:
    name, path, size = tool
    if detail.get("type") != TOOL or resource not in detail.get("locations", [resource]):
        return False
    arguments = detail["tools"].get(name)
    if arguments is None:
        return False
    return not arguments or all(_passes(arguments.get(key), value) for key, value in (("path", path), ("size", size)))


def _passes(constraint: Members | None, value: str | int) -> bool:
    match constraint:
        case {"constraint_type": "exact", "value": only}:
            return bool(value == only)
        case {"constraint_type": "one_of", "values": values}:
            return value in values
        case {"constraint_type": "range", "min": least, "max": most}:
            return isinstance(value, int) and bool(least <= value <= most)
        case {"constraint_type": "wildcard"}:
            return True
        case _:
            return False
