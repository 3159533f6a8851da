"""Settings from the environment: `TOKENSVC_SERVER__PORT=8701` is `port` in `[server]`. Lists of tables are the file's.

A variable of ours that means nothing is refused: a misspelt override would silently leave the file's value in force.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from tokensvc.errors import ConfigurationError, printable
from tokensvc.settings.known import KNOWN, LISTS, KeyPath

__all__ = [
    "CONFIG_VARIABLE",
    "ENVIRONMENT",
    "VARIABLES",
    "Override",
    "read_overrides",
    "refuse_unknown",
    "with_overrides",
]

CONFIG_VARIABLE: Final = "TOKENSVC_CONFIG"
"""Names the configuration file, for the commands."""

ENVIRONMENT: Final = "environment"
"""Stands for the file in errors about a variable."""

_PREFIX: Final = "TOKENSVC_"
# Not settings: the path of the file, and what makes a skipped test a failed one.
_OTHERS: Final = (CONFIG_VARIABLE, "TOKENSVC_REQUIRE_ALL")
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
_SECTIONS: Final = frozenset(path[:-1] for path in KNOWN)
VARIABLES: Final[Mapping[str, KeyPath]] = {
    _PREFIX + "__".join(path).upper(): path
    for path in KNOWN
    if path not in _SECTIONS and not any(path[: len(table)] == table for table in LISTS)
}
"""Every variable that is a setting, and the key whose value it overrides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One setting taken from the environment."""

    variable: str
    path: KeyPath
    value: str | int


def read_overrides(environ: Mapping[str, str]) -> tuple[Override, ...]:
    """The settings that `environ` states. Text that is a whole number becomes one where the setting is one."""
    return tuple(
        Override(variable=variable, path=path, value=_convert(environ[variable], path))
        for variable, path in VARIABLES.items()
        if variable in environ
    )


def refuse_unknown(environ: Mapping[str, str]) -> Iterator[ConfigurationError]:
    """One error for each `TOKENSVC_` variable that is not known, with the nearest that is."""
    known = [*VARIABLES, *_OTHERS]
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and variable not in known:
            nearest = get_close_matches(variable, known, n=1, cutoff=0)[0]
            remedy = f"Did you mean {nearest}? Else unset it."
            yield ConfigurationError(
                "is no known variable", file=ENVIRONMENT, key=printable(variable, max_length=100), remedy=remedy
            )


def with_overrides(values: Mapping[str, object], overrides: tuple[Override, ...]) -> dict[str, object]:
    """A copy of the file's `values` in which the overrides stand."""
    merged = dict(values)
    for override in overrides:
        *table, name = override.path
        if not table:
            merged[name] = override.value
            continue
        section = merged.get(table[0], {})
        # What is no table is left alone: it is refused as such when the values are checked.
        merged[table[0]] = {**section, name: override.value} if isinstance(section, dict) else section
    return merged


def _convert(text: str, path: KeyPath) -> str | int:
    return int(text) if KNOWN[path] is int and _WHOLE_NUMBER.fullmatch(text) else text
