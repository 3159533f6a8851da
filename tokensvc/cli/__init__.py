"""The command `tokensvc`.

One file per command, each with `register(app: typer.Typer) -> None`, which adds the command to the application. A file
imports Typer at its top and everything heavy inside its command, so that `tokensvc --help` is quick. What the commands
share (options, exit codes, how problems look) is in `console`; what those that judge a token share, in `judging`.
"""

import os
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn, TextIO, cast

if TYPE_CHECKING:
    import typer

__all__ = ["main", "make_app"]

# Whose absence means that the base install, the verifier, is all that there is.
_SERVER_PACKAGES: Final = frozenset(
    {"authlib", "httptools", "httpx2", "pydantic", "rich", "starlette", "structlog", "typer", "uvicorn", "uvloop"}
)
# `console.ExitCode` has the same; it cannot be had before Typer is there.
_USAGE: Final = 2
_UNREACHABLE: Final = 4
# What a shell gives a command that Ctrl-C ended: 128 and the number of SIGINT.
_INTERRUPTED: Final = 130

_HELP: Final = """\
An OAuth token service for delegation between agents: each hop can do strictly less, and the token proves it.

First run:

    tokensvc init && tokensvc check-config && tokensvc serve

Every command ends by naming the next. Exit codes: 0 ok, 1 refused or invalid, 2 usage, 3 configuration, 4 cannot reach.
"""


def main() -> None:
    """Run the command line. Where the server's packages are missing, say how to install them.

    An answer that nobody can get is one line on stderr and exit code 4: never a traceback, never the code of a refusal.
    """
    _require_streams()
    try:
        try:
            make_app()()
        finally:
            # At the end of the process it would be too late to say that it failed.
            sys.stdout.flush()
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in _SERVER_PACKAGES:
            raise
        sys.stderr.write('This command needs the server: pip install "tokensvc[server]"\n')
        sys.exit(_USAGE)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except OSError as exc:
        # What concerns a file is handled where that file means something: here it would be a fault of ours.
        if exc.filename is not None:
            raise
        _fail(exc.strerror or str(exc))
    except SystemExit as exc:
        # Typer ends with 1 where the reader has gone, which would mean that a token was refused.
        if isinstance(exc.__context__, BrokenPipeError):
            _fail("Broken pipe")
        _forget_log()
        raise


def _forget_log() -> None:
    """What a log could not take, as its terminal is closed, does not change how the command ended."""
    try:
        sys.stderr.flush()
    except OSError:
        _lead_nowhere(2)


def _require_streams() -> None:
    # A stream that is closed is None here, which the types of `sys` do not say.
    stdout, stderr = cast("tuple[TextIO | None, TextIO | None]", (sys.stdout, sys.stderr))
    if stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if stdout is None:
        # Its number would go to the next file that is opened, and what is printed into that file.
        sys.stderr.write("tokensvc: standard output is closed\n")
        sys.exit(_UNREACHABLE)


def _fail(problem: str) -> NoReturn:
    with suppress(OSError):
        sys.stderr.write(f"tokensvc: a standard stream cannot be used: {problem}\n")
        sys.stderr.flush()
    _lead_nowhere(1, 2)
    sys.exit(_UNREACHABLE)


def _lead_nowhere(*numbers: int) -> None:
    """What is left in a buffer would fail once more at the end of the process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in numbers:
        os.dup2(nowhere, number)


def make_app() -> "typer.Typer":
    """The application with every command."""
    import typer

    from tokensvc.cli import (
        authority,
        check_config,
        demo,
        demo_idp,
        exchange,
        explain,
        init,
        keys,
        records,
        revoke,
        serve,
        verify,
    )

    app = typer.Typer(
        name="tokensvc",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        # Its tracebacks show local variables, and some of ours are secrets.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(*, wanted: bool) -> None:
        if wanted:
            typer.echo(f"tokensvc {version('tokensvc')}")
            raise typer.Exit

    @app.callback()
    def options(
        *,
        _version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
        ] = False,
    ) -> None:
        """Options of the application itself."""

    # In the order in which a newcomer meets them.
    for command in (
        demo,
        init,
        check_config,
        keys,
        authority,
        serve,
        demo_idp,
        exchange,
        verify,
        explain,
        records,
        revoke,
    ):
        command.register(app)
    return app
