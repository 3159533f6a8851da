"""`tokensvc demo`: the token service at work on this machine, and under attack."""

import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from tokensvc.cli.console import ExitCode, JsonOption, fail, program, say_json, say_next
from tokensvc.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from rich.console import Console

    from tokensvc.demo.world import World
    from tokensvc.verify import Evidence

__all__ = ["register"]

# Wider than any line: a file or a pipe has no width at which to break one.
_ANY_WIDTH: Final = 100_000
_LOOK_EVERY_S: Final = 0.2


def register(app: typer.Typer) -> None:
    """Add `demo` to `app`."""
    app.command("demo")(_demo)


def _demo(
    *,
    serve: Annotated[
        bool, typer.Option("--serve", help="Start it and keep it running until Ctrl-C or SIGTERM.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="Keep its files here: a folder that is new, empty, or an earlier demo's."
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            help="Keep the token service's state there: redis://127.0.0.1:6379/9, say, a database that nothing else"
            " uses. Else it is a file in the folder.",
        ),
    ] = None,
    evidence: Annotated[
        str,
        typer.Option(
            "--evidence",
            metavar="WHOSE",
            help="Whose word delegations are: issuer, the token service's; or delegator: the agents hold keys and sign"
            " what they delegate, and the API believes nothing else.",
        ),
    ] = "issuer",
    as_json: JsonOption = False,
) -> None:
    """Start a token service, an identity provider and an API, delegate a user's work to three agents, and attack.

    Everything is real and on free ports of this machine; nothing else is touched. DIR/world.json then holds all
    addresses, secrets and the service's private key, for any client of your own. Exit codes: 0 when every attack was
    refused for the stated reason, else 1; 0 when --serve is told to stop; 3 the folder cannot be used; 4 a server did
    not start.

    Example: `tokensvc demo`

    Example: `tokensvc demo --evidence delegator`

    Example: `tokensvc demo --serve --dir /tmp/demo`

    Example: `tokensvc demo --store redis://127.0.0.1:6379/9`
    """
    from tokensvc.demo.world import DEFAULT_STORE, open_world

    whose = _parse_evidence(evidence)
    with _interrupted_by_signals():
        try:
            with open_world(directory, store=store or DEFAULT_STORE, evidence=whose) as world:
                if serve:
                    _serve(world, as_json=as_json)
                code = _play(world, as_json=as_json)
        except ConfigurationError as exc:
            fail([exc], as_json=as_json)
        except Unavailable as exc:
            remedy = "Try again; with --dir DIR, DIR/tokensvc.log says more."
            problem = ConfigurationError(exc.description, file="demo", key="", remedy=remedy)
            fail([problem], as_json=as_json, code=ExitCode.UNREACHABLE)
        except KeyboardInterrupt:
            # What serves until it is stopped has come to its proper end; of the other nobody knows how it would end.
            code = ExitCode.OK if serve else ExitCode.REFUSED
            typer.echo("stopped" if serve else "stopped before the end", err=True)
    if code is not ExitCode.OK:
        raise typer.Exit(code)
    if not as_json and not serve:
        say_next(f"{shlex.quote(program())} demo --serve")


def _parse_evidence(name: str) -> "Evidence":
    from tokensvc.verify import Evidence

    known = (Evidence.ISSUER, Evidence.DELEGATOR)
    if name not in known:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}.", param_hint="--evidence")
    return Evidence(name)


def _play(world: "World", *, as_json: bool) -> ExitCode:
    from tokensvc.demo.attacks import ATTACKS_BY_EVIDENCE
    from tokensvc.demo.play import play, render_report
    from tokensvc.demo.report import show_report, show_world

    attacks = ATTACKS_BY_EVIDENCE[world.cast.evidence]
    if as_json:
        report = play(world, attacks)
        say_json(render_report(report))
    else:
        console = _console()
        show_world(console, world)
        report = play(world, attacks)
        show_report(console, report)
    return ExitCode.OK if report.ok else ExitCode.REFUSED


def _serve(world: "World", *, as_json: bool) -> NoReturn:
    from tokensvc.demo.report import show_instructions, show_world

    try:
        if as_json:
            say_json({"world": str(world.file), "issuer": world.addresses.issuer, "api_url": world.api_url})
        else:
            console = _console()
            show_world(console, world)
            show_instructions(console, world, command=program())
            console.print("Running. Stop it with Ctrl-C.")
        sys.stdout.flush()
        while True:
            # Not for ever at once: a signal that comes just before such a wait would not end it.
            time.sleep(_LOOK_EVERY_S)
    finally:
        # From now on nothing answers there: nobody who waits for the next demo's must find this one's.
        world.file.unlink(missing_ok=True)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP interrupt what is being done, once: the clean end that follows is left alone."""
    has_come = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal has_come
        if not has_come:
            has_come = True
            raise KeyboardInterrupt

    # SIGINT also where it is ignored, as in what a shell starts in the background. A terminal that closes sends SIGHUP,
    # and ignoring that is what nohup is for.
    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _ANY_WIDTH)
