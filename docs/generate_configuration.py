# ruff: noqa: INP001 - a script, not a package
"""Writes docs/configuration.md from tokensvc/settings: every key, and what stands in the source below it.

A key of which the source says nothing is an error here and not a gap there.
"""

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le
from pydantic import BeforeValidator
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo

from tokensvc.settings.environment import VARIABLES
from tokensvc.settings.known import LISTS, KeyPath, render_table
from tokensvc.settings.model import Settings
from tokensvc.settings.parties import Agent
from tokensvc.settings.sources import IdentityProvider

__all__ = ["Key", "Table", "parse_text", "render_configuration", "tables", "texts_of", "written_as"]

CONFIGURATION_PAGE: Final = Path(__file__).resolve().parent / "configuration.md"

# What a text may say where the type alone would mislead a reader of the file.
_WRITTEN: Final = re.compile(r"(?P<meaning>.+?)(?:\n\nWritten: (?P<written>.+))?", re.DOTALL)
_NAMES: Final[Mapping[object, str]] = {str: "string", int: "integer", bool: "`true` or `false`", Path: "path"}

_HEAD: Final = """\
<!-- Made by `make docs` from tokensvc/settings (model.py, parties.py, sources.py). Change it there. -->
# Configuration

One TOML file: `tokensvc.toml`, or what `--config` or `TOKENSVC_CONFIG` names. `tokensvc init` writes one with comments
that works as it is; `tokensvc check-config` names every fault with its key and what to do. A change
counts from the next start, or from SIGHUP (operations.md says which keys).

- A key that is not known is refused, with the nearest that is; so is a variable that begins with `TOKENSVC_`.
- A variable overrides its key in the file. Lists of tables (`[[agent]]` and the like) are the file's alone.
- Relative paths, those in variables too, count from the folder of the file.
- Lifetimes are seconds. A list has each entry once.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: what may be written, what counts when nothing is (None: it has to be written), and its variable."""

    name: str
    written: str
    default: str | None
    variable: str | None
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the file as it is headed there, how many there may be, what it is, and its keys."""

    heading: str
    number: str
    meaning: str
    keys: tuple[Key, ...]


def tables() -> tuple[Table, ...]:
    """Every table, the top of the file first. Raises: ValueError for a key that has no text or no describable type."""
    return tuple(_tables(Settings, (), ""))


def parse_text(place: str, text: str) -> tuple[str, str | None]:
    """What a key means, and how it is written where its type does not say that. Raises: ValueError for no text."""
    match = _WRITTEN.fullmatch(text)
    if match is None or "|" in text:
        raise ValueError(f"{place} in tokensvc/settings: below it must stand what it means, without a |")
    written = match["written"]
    return _one_line(match["meaning"]).removesuffix("."), None if written is None else _one_line(written)


def texts_of(source: str) -> dict[tuple[str, str], str]:
    """The text below each field, by class and field; at run time it is gone."""
    return {
        (node.name, field): text
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
        for field, text in _field_texts(node)
    }


def render_configuration() -> str:
    """The page, in Markdown."""
    return _HEAD + "".join(map(_section, tables()))


def _tables(table: type, path: KeyPath, number: str) -> Iterator[Table]:
    keys, below = [], []
    hints = get_type_hints(table, include_extras=True)
    for field, info in table.__pydantic_fields__.items():  # type: ignore[attr-defined] # pydantic's, on its dataclasses
        if info.init is False:
            continue
        place = (*path, str(info.validation_alias or field))
        inner = _table_in(hints[field])
        if inner is None:
            keys.append(_key(table, field, hints[field], info, place))
        else:
            below.append((inner, place, _number(hints[field])))
    meaning = _one_line((table.__doc__ or "").partition("\n\n")[0])
    yield Table(heading=_heading(path), number=number, meaning=meaning, keys=tuple(keys))
    for inner, place, how_many in below:
        yield from _tables(inner, place, how_many)


def _key(table: type, field: str, hint: object, info: FieldInfo, place: KeyPath) -> Key:
    name = ".".join(place)
    meaning, written = parse_text(name, _model_texts().get((table.__name__, field), ""))
    return Key(
        name=place[-1],
        written=written or written_as(hint, name),
        default=None if info.is_required() else _value(info.get_default(call_default_factory=True)),
        variable=next((variable for variable, path in VARIABLES.items() if path == place), None),
        meaning=meaning,
    )


@cache
def _model_texts() -> dict[tuple[str, str], str]:
    sources = (Path(inspect.getfile(table)).read_text("utf-8") for table in (Settings, Agent, IdentityProvider))
    return {place: text for source in sources for place, text in texts_of(source).items()}


def _field_texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield field.target.id, inspect.cleandoc(below.value.value)


def _table_in(hint: object) -> type | None:
    """The dataclass that a field holds, alone or in a tuple; None where it holds values."""
    kind, _ = _taken_apart(hint)
    inner = get_args(kind)[0] if get_origin(kind) is tuple else kind
    return inner if isinstance(inner, type) and is_pydantic_dataclass(inner) else None


def written_as(hint: object, name: str) -> str:
    """What may be written for a type. Raises: ValueError for one that this does not know: its text then has to say."""
    kind, metadata = _taken_apart(hint)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(f'`"{member}"`' for member in kind)
    if get_origin(kind) in {frozenset, tuple}:
        item, *others = get_args(kind)
        if others in ([], [Ellipsis]):
            return f"list{_count(metadata)} of {written_as(item, name).replace('string', 'strings')}"
    elif kind in _NAMES:
        return _NAMES[kind] + _bounds(metadata)
    raise ValueError(f"{name} in tokensvc/settings: its text must end in a line `Written: ...`")


def _taken_apart(hint: object) -> tuple[Any, tuple[object, ...]]:
    """A type without None and Annotated, and what they said of it."""
    if get_origin(hint) is Annotated:
        kind, *metadata = get_args(hint)
        inner, more = _taken_apart(kind)
        return inner, (*more, *metadata)
    options = [option for option in get_args(hint) if option is not NoneType]
    if NoneType in get_args(hint) and len(options) == 1:
        return _taken_apart(options[0])
    return hint, ()


def _bounds(metadata: tuple[object, ...]) -> str:
    said = [part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else (item,))]
    low = next((str(part.ge) for part in said if isinstance(part, Ge)), None)
    high = next((str(part.le) for part in said if isinstance(part, Le)), None)
    if low is None or high is None:
        return f", {low} or more" if low else f", {high} at most" if high else ""
    return f", {low} to {high}"


def _entries(metadata: tuple[object, ...]) -> tuple[int, int] | None:
    """The bounds that `values.entries` set, which only its own check remembers."""
    for item in metadata:
        if isinstance(item, BeforeValidator):
            bounds = inspect.getclosurevars(item.func).nonlocals
            return bounds["at_least"], bounds["at_most"]
    return None


def _count(metadata: tuple[object, ...]) -> str:
    bounds = _entries(metadata)
    return "" if bounds is None else f" (at most {bounds[1]})" if bounds[0] == 0 else f" ({bounds[0]} to {bounds[1]})"


def _number(hint: object) -> str:
    bounds = _entries(_taken_apart(hint)[1])
    if bounds is None:
        return ""
    return "Exactly one." if bounds == (1, 1) else f"{bounds[0]} to {bounds[1]} of them."


def _value(value: object) -> str:
    """A default as it would be written; nothing at all is a dash."""
    if value in (None, (), frozenset()):
        return "-"
    # Strings of ASCII, integers, booleans and arrays of them are spelt alike in JSON and TOML.
    match value:
        case frozenset():
            return f"`{json.dumps(sorted(map(str, value)))}`"
        case Path():
            return f"`{json.dumps(str(value))}`"
        case _:
            return f"`{json.dumps(value)}`"


def _heading(path: KeyPath) -> str:
    if not path:
        return "The top of the file"
    # A table inside an entry of a list is written into that entry.
    inside = path[:-1] in LISTS
    return f"`{path[-1]} = {{ ... }}` in `{render_table(path[:-1])}`" if inside else f"`{render_table(path)}`"


def _section(table: Table) -> str:
    has_variables = any(key.variable for key in table.keys)
    columns = ["key", "written as", "default", *(["variable"] if has_variables else []), "means"]
    rows = [columns, ["---"] * len(columns)]
    for key in table.keys:
        variable = [f"`{key.variable}`" if key.variable else "-"] if has_variables else []
        default = "required" if key.default is None else key.default
        rows.append([f"`{key.name}`", key.written, default, *variable, key.meaning])
    intro = " ".join(filter(None, [table.meaning, table.number]))
    return f"\n## {table.heading}\n\n{intro}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    CONFIGURATION_PAGE.write_text(render_configuration(), "utf-8")
