"""Which keys there are, read off the model: for refusals that name the nearest one, and for the environment."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final, get_args, get_origin

from pydantic.dataclasses import is_pydantic_dataclass

from tokensvc.settings.model import Settings

__all__ = ["KNOWN", "LISTS", "KeyPath", "nearest_remedy", "render_table"]

KeyPath = tuple[str, ...]
"""Where a key stands, without positions in lists: `("agent", "scopes")`."""


def _walk(annotation: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    """Every key below a table, or a list of tables, with its type."""
    table = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
    if not isinstance(table, type) or not is_pydantic_dataclass(table):
        return
    for name, info in table.__pydantic_fields__.items():
        if info.init is not False:
            place = (*path, str(info.validation_alias or name))
            yield place, info.annotation
            yield from _walk(info.annotation, place)


KNOWN: Final[Mapping[KeyPath, object]] = dict(_walk(Settings, ()))
"""Every key with its type."""

_PARENTS: Final = frozenset(path[:-1] for path in KNOWN)
LISTS: Final = frozenset(path for path in _PARENTS if get_origin(KNOWN.get(path)) is tuple)
"""The tables that may stand several times: `[[agent]]`."""

# From the first on, a name is surely a slip of the pen; below the second the two have nothing to do with each other.
_SURELY: Final = 0.75
_PERHAPS: Final = 0.5


def nearest_remedy(path: KeyPath) -> str:
    """What to do about a key that is not known: the nearest name, the table where it belongs, or all that there are."""
    *table, name = path
    names = [known[-1] for known in KNOWN if known[:-1] == tuple(table)]
    elsewhere = [known[:-1] for known in KNOWN if known[-1] == name]
    if close := get_close_matches(name, names, n=1, cutoff=_SURELY):
        return f"Did you mean {close[0]}?"
    if elsewhere:
        return f"Did you mean to write it {'in' if elsewhere[0] else 'at'} {render_table(elsewhere[0])}?"
    if close := get_close_matches(name, names, n=1, cutoff=_PERHAPS):
        return f"Did you mean {close[0]}? Else remove it."
    return f"Remove it; known here are {', '.join(names)}."


def render_table(path: KeyPath) -> str:
    """A table as it is written in the file: `[store]`, `[[agent]]`."""
    if not path:
        return "the top of the file"
    return f"[[{'.'.join(path)}]]" if path in LISTS else f"[{'.'.join(path)}]"
