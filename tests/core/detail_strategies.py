"""Argument maps, entries and lists of authorization details for the laws, and calls aimed at their boundaries."""

from itertools import product
from typing import Final

from hypothesis import strategies as st

from tests.core.constraint_strategies import TOOL, Json, boundary_values, constraints, leaves, narrowed
from tokensvc.core.details import Details, parse_details
from tokensvc.core.frozenjson import freeze_json
from tokensvc.core.jsontext import JsonValue

NAMES: Final = ("a", "b", "*")
PLACES: Final = ("https://x.example", "https://y.example")

Call = tuple[str, Json, str]


def entry(tools: JsonValue, *locations: str) -> Json:
    return {"type": TOOL, "tools": tools} | ({"locations": list(locations)} if locations else {})


def details(*entries: JsonValue) -> Details:
    return parse_details(list(entries))


def tools_of(of: Json) -> dict[str, Json]:
    tools = of["tools"]
    assert isinstance(tools, dict)
    return tools


@st.composite
def argument_maps(draw: st.DrawFn) -> Json:
    arguments: Json = {}
    for name in draw(st.sets(st.sampled_from(NAMES))):
        optional = {"optional": True} if name != "*" and draw(st.booleans()) else {}
        arguments[name] = draw(st.one_of(leaves, constraints)) | optional
    return arguments


@st.composite
def tool_entries(draw: st.DrawFn) -> Json:
    names = draw(st.lists(st.sampled_from(("read", "chat", "*")), min_size=1, max_size=3, unique=True))
    places = draw(st.lists(st.sampled_from(PLACES), max_size=2, unique=True))
    return entry({name: draw(argument_maps()) for name in names}, *places)


other_entries: Final[st.SearchStrategy[Json]] = st.builds(
    lambda kind, value: {"type": kind, "value": value}, st.sampled_from(["payment", "file"]), st.sampled_from([1, True])
)
entries: Final = st.one_of(tool_entries(), tool_entries(), other_entries)


@st.composite
def narrowed_arguments(draw: st.DrawFn, parent: Json) -> Json:
    child: Json = {}
    source = parent or {"*": {"constraint_type": "wildcard"}}
    for name, wider in source.items():
        assert isinstance(wider, dict)
        optional = bool(wider.get("optional"))
        if (optional or name == "*") and draw(st.booleans()):
            continue
        bare: Json = {member: value for member, value in wider.items() if member != "optional"}
        child[name] = draw(narrowed(bare)) | ({"optional": True} if optional and draw(st.booleans()) else {})
    if "*" in source and draw(st.booleans()):
        wildcard = source["*"]
        assert isinstance(wildcard, dict)
        child.setdefault(draw(st.sampled_from(("a", "b", "c"))), draw(narrowed(dict(wildcard))))
    return child


@st.composite
def narrowed_entry(draw: st.DrawFn, parent: Json) -> Json:
    """An entry that the parent often covers."""
    if parent["type"] != TOOL:
        return parent
    tools: Json = {}
    for name, arguments in tools_of(parent).items():
        if draw(st.booleans()):
            tools[draw(st.sampled_from(("*", "read", "more"))) if name == "*" else name] = draw(
                narrowed_arguments(arguments)
            )
    places = parent.get("locations", list(PLACES))
    assert isinstance(places, list)
    fewer = draw(st.lists(st.sampled_from(places), min_size=1, unique=True))
    child = entry(tools or tools_of(parent), *fewer)
    return child if "locations" in parent or draw(st.booleans()) else entry(child["tools"])


@st.composite
def narrowed_list(draw: st.DrawFn, parent: list[Json]) -> list[Json]:
    kept = draw(st.lists(st.sampled_from(parent), max_size=3)) if parent else []
    return list({freeze_json(each): each for each in [draw(narrowed_entry(parent)) for parent in kept]}.values())


lists: Final = st.lists(entries, max_size=3, unique_by=freeze_json)


@st.composite
def calls(draw: st.DrawFn, *several: list[Json]) -> Call:
    """A call near the boundaries of what the lists admit: their names and values, and others beside them."""
    named = [each for one in several for each in one if each["type"] == TOOL]
    arguments: Json = {}
    for name in draw(st.sets(st.sampled_from(("a", "b", "c")))):
        near = [_constraint_of(each, name) for each in named]
        arguments[name] = draw(st.sampled_from(boundary_values(*(part for parts in near for part in parts))))
    tool = draw(st.sampled_from(("read", "chat", "more", "*")))
    return tool, arguments, draw(st.sampled_from((*PLACES, "https://z.example")))


def _constraint_of(of: Json, name: str) -> list[JsonValue]:
    maps = tools_of(of).values()
    return [arguments[each] for arguments, each in product(maps, (name, "*")) if each in arguments]
