"""The command `tokensvc`.

One file per command, each with `register(app: typer.Typer) -> None`, which adds the command to the application. A file
imports Typer at its top and everything heavy inside its command, so that `tokensvc --help` is quick. What the commands
share (options, exit codes, how problems look) is in `console`.
"""

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Final

if TYPE_CHECKING:
    import typer

__all__ = ["main", "make_app"]

# Whose absence means that the base install, the verifier, is all that there is.
_SERVER_PACKAGES: Final = frozenset(
    {"authlib", "httptools", "httpx2", "pydantic", "rich", "starlette", "structlog", "typer", "uvicorn", "uvloop"}
)
_USAGE: Final = 2

_HELP: Final = """\
An OAuth token service for delegation between agents: each hop can do strictly less, and the token proves it.

First run:

    tokensvc init && tokensvc check-config && tokensvc serve

Every command ends by naming the next. Exit codes: 0 ok, 1 refused or invalid, 2 usage, 3 configuration, 4 cannot reach.
"""


def main() -> None:
    """Run the command line; where the server's packages are missing, say how to install them."""
    try:
        make_app()()
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in _SERVER_PACKAGES:
            raise
        sys.stderr.write('This command needs the server: pip install "tokensvc[server]"\n')
        sys.exit(_USAGE)


def make_app() -> "typer.Typer":
    """The application with every command."""
    import typer

    from tokensvc.cli import check_config, demo, init, keys, serve, verify

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
    for command in (demo, init, check_config, keys, serve, verify):
        command.register(app)
    return app
