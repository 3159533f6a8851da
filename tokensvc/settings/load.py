"""From a file and the environment to frozen `Settings`, or to every problem that stands in the way.

    1. Read the file. 2. Lay the environment over it. 3. Check each value alone. 4. Resolve paths.
    5. Check the values against each other, and read the keys of providers and agents.

A value that cannot be used (2, 3) ends the examination before step 5, which needs them all.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from operator import is_
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

from tokensvc.errors import ConfigurationError, Malformed
from tokensvc.settings.agent_keys import load_agent_keys
from tokensvc.settings.certificate_files import find_certificate_problems
from tokensvc.settings.conflicts import find_conflicts
from tokensvc.settings.environment import read_overrides, refuse_unknown, with_overrides
from tokensvc.settings.explain import explain
from tokensvc.settings.model import Settings
from tokensvc.settings.upstream import find_key_problems
from tokensvc.settings.values import SQLITE
from tokensvc.smallfile import read_small_file

__all__ = ["examine_settings", "load_settings"]

# A thousand agents and as many resources take less; anything larger is another file.
_MAX_BYTES: Final = 4_000_000
_SETTINGS: Final = TypeAdapter(Settings)


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the file at `path`, with the `TOKENSVC_` variables of `environ` over them.

    Relative paths count from the folder of the file, wherever they are written.
    Raises: ConfigurationError, the first of the problems, with the others as its notes.
    """
    found = examine_settings(path, environ)
    if isinstance(found, Settings):
        return found
    first, *others = found
    for other in others:
        first.add_note(str(other))
    raise first


def examine_settings(path: Path, environ: Mapping[str, str]) -> Settings | tuple[ConfigurationError, ...]:
    """The settings, or every problem found: what `load_settings` does, for those who show them all."""
    file = str(path)
    try:
        values = _read_toml(path)  # 1
    except ConfigurationError as exc:
        return (exc,)
    overrides = read_overrides(environ)  # 2
    problems = list(refuse_unknown(environ))
    variables = {override.path: override.variable for override in overrides}
    try:
        # By their names in the file alone: `agents` is ours, `agent` is the file's.  3
        settings = _SETTINGS.validate_python(with_overrides(values, overrides), by_alias=True, by_name=False)
    except ValidationError as exc:
        return (*problems, *explain(exc, file=file, variables=variables))
    settings = _resolve_paths(settings, path.absolute().parent)  # 4
    problems += [  # 5
        ConfigurationError(conflict.problem, file=file, key=conflict.key, remedy=conflict.remedy)
        for conflict in find_conflicts(settings)
    ]
    problems += find_key_problems(settings)
    problems += find_certificate_problems(settings)
    try:
        load_agent_keys(settings)
    except ConfigurationError as exc:
        problems.append(exc)
    return tuple(problems) or settings


def _read_toml(path: Path) -> dict[str, object]:
    try:
        text = read_small_file(path, max_bytes=_MAX_BYTES).decode("utf-8")
        return tomllib.loads(text)
    except FileNotFoundError as exc:
        remedy = "Run tokensvc init to write one, or name another with --config or TOKENSVC_CONFIG."
        raise _unusable(path, "the file does not exist", remedy) from exc
    except OSError as exc:
        raise _unusable(path, f"the file cannot be read ({exc.strerror})", "Make it a readable file.") from exc
    except Malformed as exc:
        raise _unusable(path, f"the file is {exc.description}", "Name the configuration file.") from exc
    except UnicodeDecodeError as exc:
        raise _unusable(path, "the file is not UTF-8", "Save it as UTF-8.") from exc
    except tomllib.TOMLDecodeError as exc:
        raise _unusable(path, f"the file is not TOML: {exc}", "Mend that line.") from exc
    except RecursionError as exc:
        raise _unusable(path, "the file nests too deeply", "Write lists and tables as tokensvc init does.") from exc
    except ValueError as exc:
        # What Python itself refuses to convert: 10 000 digits, say.
        raise _unusable(path, "the file holds a number that is too long", "Shorten it.") from exc


def _unusable(path: Path, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, file=str(path), key="", remedy=remedy)


def _resolve_paths(settings: Settings, folder: Path) -> Settings:
    database = settings.store.sqlite_path
    if database is not None:
        store = replace(settings.store, url=f"{SQLITE}{folder / database}")
        settings = replace(settings, store=store)
    return replace(settings, **_resolved_members(settings, folder))


def _resolved(value: object, folder: Path) -> object:
    """`value` with every path in it counted from `folder`; itself where there is none."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        items = [_resolved(item, folder) for item in value]
        return value if all(map(is_, items, value)) else tuple(items)
    if not isinstance(value, type) and is_pydantic_dataclass(type(value)):
        # What it is an instance of is known to be a dataclass, which types cannot say.
        changed = _resolved_members(value, folder)
        return replace(value, **changed) if changed else value  # type: ignore[type-var]
    return value


def _resolved_members(table: object, folder: Path) -> dict[str, Any]:
    members = [member.name for member in fields(table) if member.init]  # type: ignore[arg-type]
    resolved = {name: _resolved(getattr(table, name), folder) for name in members}
    return {name: value for name, value in resolved.items() if value is not getattr(table, name)}
