"""A TOML file read strictly: every key is known, every value has exactly its type, and each refusal says where."""

import stat
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeVar

from tokensvc.errors import ConfigurationError, Malformed
from tokensvc.smallfile import read_small_file

__all__ = ["Table", "read_toml"]

# Terms for a thousand agents take less; anything larger is another file.
_MAX_BYTES: Final = 1_000_000

_T = TypeVar("_T", str, int, list[object], dict[str, object])


class Table:
    """A table of a file. `place` is where it stands, `""` for the top. Every method raises ConfigurationError."""

    __slots__ = ("_file", "_place", "_values")

    def __init__(self, values: Mapping[str, object], *, known: tuple[str, ...], file: Path, place: str = "") -> None:
        """Refuse a key that is none of `known`, naming the nearest one."""
        self._values, self._file, self._place = values, file, place
        for name in values:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                others = f"known here are {', '.join(known)}."
                remedy = f"Did you mean {close[0]}? Else remove it." if close else f"Remove it; {others}"
                raise self.refuse(name, "there is no such key", remedy)

    def text(self, name: str, default: str | None = None) -> str:
        """A string that is not empty; without a default it has to be there."""
        value = self._typed(name, str, "a string", default)
        if value is None:
            raise self.refuse(name, "it is missing", f'Write it: {name} = "..."')
        if not value and value != default:
            raise self.refuse(name, "it is empty", "Write its value.")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; none where it is left out."""
        values = self._typed(name, list, "a list of strings", []) or []
        if not all(type(value) is str and value for value in values):
            raise self.refuse(name, "it is a list of strings that are not empty", f'Write it so: {name} = ["..."]')
        return tuple(map(str, values))

    def integer(self, name: str) -> int | None:
        """A whole number, or None where it is left out."""
        return self._typed(name, int, "a whole number", None)

    def path(self, name: str) -> Path | None:
        """The name of a file, which counts from the folder of this one; None where it is left out."""
        return None if name not in self._values else self._file.parent / self.text(name)

    def table(self, name: str, *, known: tuple[str, ...]) -> "Table":
        """The table of that name, empty where it is left out."""
        values = self._typed(name, dict, f"a table: [{name}]", {}) or {}
        return Table(values, known=known, file=self._file, place=name)

    def tables(self, name: str, *, known: tuple[str, ...]) -> tuple["Table", ...]:
        """The tables of that name, in their order."""
        values = self._typed(name, list, f"one or more tables: [[{name}]]", []) or []
        tables = [value for value in values if isinstance(value, dict)]
        if len(tables) != len(values):
            raise self.refuse(name, "it is no table", f"Write it as tables: [[{name}]]")
        return tuple(
            Table(table, known=known, file=self._file, place=f"{name}[{index}]") for index, table in enumerate(tables)
        )

    def refuse(self, name: str, problem: str, remedy: str) -> ConfigurationError:
        """The error that says so of the key `name`; `""` is the table itself."""
        place = ".".join(part for part in (self._place, name) if part)
        return ConfigurationError(problem, file=str(self._file), key=place, remedy=remedy)

    def _typed(self, name: str, kind: type[_T], described: str, default: _T | None) -> _T | None:
        value = self._values.get(name, default)
        # Exactly: to Python true is a whole number.
        if value is None or type(value) is kind:
            return value
        raise self.refuse(name, f"it is not {described}", f"Write {described}.")


def read_toml(path: Path, *, known: tuple[str, ...]) -> Table:
    """The top table of the TOML file at `path`, which has no keys but `known`. Raises: ConfigurationError."""

    def unusable(problem: str, remedy: str) -> ConfigurationError:
        return ConfigurationError(problem, file=str(path), key="", remedy=remedy)

    def require_trustworthy(mode: int) -> None:
        # Whoever may write here decides which tokens are accepted.
        if mode & stat.S_IWOTH:
            raise unusable("every user of this machine may write to the file", f"Run: chmod o-w {path}")

    try:
        text = read_small_file(path, max_bytes=_MAX_BYTES, require=require_trustworthy).decode("utf-8")
        values = tomllib.loads(text)
    except OSError as exc:
        problem = f"the file cannot be read ({exc.strerror})"
        raise unusable(problem, "Name a file that the user of this program may read.") from exc
    except Malformed as exc:
        raise unusable(f"the file is {exc.description}", "Name a TOML file.") from exc
    except (ValueError, RecursionError) as exc:
        # Not UTF-8, not TOML, a number of ten thousand digits, or tables that nest without end.
        problem = f"the file is not TOML: {exc}" if isinstance(exc, tomllib.TOMLDecodeError) else "the file is not TOML"
        raise unusable(problem, "Mend it.") from exc
    return Table(values, known=known, file=path)
