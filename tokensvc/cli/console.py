"""What the commands share: exit codes, the options --config and --json, and how problems and next steps look."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from tokensvc.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from tokensvc.settings import Settings

__all__ = [
    "DEFAULT_CONFIG",
    "ConfigOption",
    "ExitCode",
    "JsonOption",
    "fail",
    "load_or_fail",
    "program",
    "render_command",
    "say",
    "say_json",
    "say_next",
    "say_table",
    "stdout",
]

_NAME: Final = "tokensvc"
DEFAULT_CONFIG: Final = Path("tokensvc.toml")
# Wider than any row; the width of the terminal must not decide what of it is seen.
_ANY_WIDTH: Final = 10_000


class ExitCode(IntEnum):
    """What a script learns from a command. 2, wrong usage, is given by Typer."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4


ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="TOKENSVC_CONFIG", metavar="FILE", help="The configuration file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for a machine.")]


def load_or_fail(config: Path, *, as_json: bool) -> "Settings":
    """The settings of `config` and the environment; with problems, show every one and exit with `CONFIGURATION`."""
    from tokensvc.settings import Settings, examine_settings

    found = examine_settings(config, os.environ)
    if not isinstance(found, Settings):
        fail(found, as_json=as_json)
    return found


def fail(problems: Iterable[ConfigurationError], *, as_json: bool, code: ExitCode = ExitCode.CONFIGURATION) -> NoReturn:
    """Show every problem with file, key and remedy, and exit. JSON goes to stdout, text to stderr."""
    problems = tuple(problems)
    if as_json:
        shown = [
            {"file": error.file, "key": error.key, "problem": error.description, "remedy": error.remedy}
            for error in problems
        ]
        say_json({"ok": False, "problems": shown})
    else:
        console = _console(stderr=True)
        for error in problems:
            where = f"{error.file}: {error.key}" if error.key else error.file
            console.print(f"[bold]{_escape(where)}[/bold]")
            console.print(f"  [red]{_escape(error.description)}[/red]")
            console.print(f"  {_escape(error.remedy)}")
    raise typer.Exit(code)


def say(label: str, value: str) -> None:
    """Print one fact on one line."""
    stdout().print(f"[bold]{_escape(f'{label:<18}')}[/bold] {_escape(value)}")


def say_json(value: object) -> None:
    """Print `value` as JSON."""
    typer.echo(json.dumps(value, indent=2))


def say_next(command: str) -> None:
    """Print the command to type next."""
    stdout().print(f"\nNext: [bold green]{_escape(command)}[/bold green]")


def program() -> str:
    """What to type to start this command again: its bare name, or in a checkout the path by which it was called."""
    called = sys.argv[0]
    # Under another name this runs inside another program, or as python -m tokensvc.
    return called if Path(called).name == _NAME and shutil.which(_NAME) is None else _NAME


def render_command(*words: str, config: Path) -> str:
    """This command with `words`, to be typed here; with --config where it would not find `config` by itself."""
    found_anyway = config == DEFAULT_CONFIG and "TOKENSVC_CONFIG" not in os.environ
    options = [] if found_anyway else ["--config", str(config)]
    # An id may begin with a dash: after the two of them it is no option.
    at = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    dashes = ["--"] if at < len(words) else []
    return shlex.join([program(), *words[:at], *options, *dashes, *words[at:]])


def say_table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print a table, never narrower than what stands in it: a secret or a `kid` cut short is lost."""
    from rich.table import Table

    table = Table(*heading)
    for row in rows:
        table.add_row(*(_escape(cell) for cell in row))
    _console(stderr=False, width=_ANY_WIDTH).print(table)


def stdout() -> "Console":
    """The terminal as it is now, for what no function here prints."""
    return _console(stderr=False)


def _console(*, stderr: bool, width: int | None = None) -> "Console":
    from rich.console import Console

    # soft_wrap: a path or a secret that Rich broke in two could not be copied.
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=True, emoji=False)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
