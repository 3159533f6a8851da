"""`tokensvc records`: what was granted, refused and revoked, and on what it was decided."""

import asyncio
import errno
import json
import select
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tokensvc.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    ExitCode,
    JsonOption,
    fail,
    load_or_fail,
    render_command,
    say_next,
)
from tokensvc.cli.stored import use_store
from tokensvc.cli.token_view import say_ascii_json, tree_console
from tokensvc.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from tokensvc.ports import ListedRecord, Store

__all__ = ["register"]

# What is wanted of all of them is what `export` is for.
_MAX_TAIL: Final = 1000
# About a megabyte of records: little for memory, and little for a store that answers one step at a time.
_PAGE: Final = 500
# Quick enough for eyes; a question that finds nothing costs the store less than a request of a client.
_LOOK_EVERY_S: Final = 0.5

_Id = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The record of an answer, or of a line.")]
_Count = Annotated[int, typer.Option("-n", min=0, max=_MAX_TAIL, metavar="N", help="How many to begin with.")]
_Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with those to come, until Ctrl-C.")]
_After = Annotated[
    str | None, typer.Option(metavar="POSITION", help="Only what came after this position of an earlier export.")
]


def register(app: typer.Typer) -> None:
    """Add the group `records` to `app`."""
    records = typer.Typer(
        help="What was granted, refused and revoked. Reads the configured store, also while the service runs.",
        no_args_is_help=True,
    )
    records.command("tail")(_tail)
    records.command("show")(_show)
    records.command("export")(_export)
    app.add_typer(records, name="records")


def _tail(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    count: _Count = 20,
    follow: _Follow = False,
    as_json: JsonOption = False,
) -> None:
    """Print the latest records, one on each line: time, outcome, client, actor, user, scope, reason, id.

    Exit codes: 0, also when Ctrl-C ends --follow; 3 there is no such store; 4 it cannot be used now. While --follow
    runs, a store that cannot answer is asked again, and nothing is missed. With --json each line is a JSON object.

    Example: `tokensvc records tail -n 50 --follow`
    """
    settings = load_or_fail(config, as_json=as_json)

    async def use(store: "Store") -> None:
        position = await _print_latest(store, count, as_json=as_json)
        if follow:
            await _print_to_come(store, position, as_json=as_json)

    try:
        use_store(settings, config, use, as_json=as_json)
    except KeyboardInterrupt:
        if not follow:
            raise


async def _print_latest(store: "Store", count: int, *, as_json: bool) -> str | None:
    """Print the last `count`; the position after which the next ones come."""
    # With none to print still one: those to come are the ones after it.
    latest = await store.list_records(after=None, limit=max(count, 1), newest=True)
    _print(latest if count else (), as_json=as_json)
    return latest[-1].position if latest else None


async def _print_to_come(store: "Store", position: str | None, *, as_json: bool) -> None:
    is_told = False
    while True:
        try:
            page = await store.list_records(after=position, limit=_PAGE)
            is_told = False
        except Unavailable as exc:
            page = ()
            if not is_told:
                typer.secho(f"{exc.description}; trying again", fg="yellow", err=True)
                is_told = True
        _print(page, as_json=as_json)
        position = page[-1].position if page else position
        if len(page) < _PAGE:
            _require_reader()
            await asyncio.sleep(_LOOK_EVERY_S)


def _require_reader() -> None:
    """Raises: BrokenPipeError once nobody reads standard output any more.

    While there is nothing to print, nothing else would show it.
    """
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        # Not a file of the system: whoever put it there reads it.
        return
    poll = select.poll()
    poll.register(descriptor, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def _export(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    after: _After = None,
    as_json: JsonOption = False,
) -> None:
    """Print every record as a JSON object on a line of its own, the oldest first.

    Each has its `position`. Give that of the last one to --after, and the next export goes on from there: what was
    recorded meanwhile is neither missed nor repeated.

    Example: `tokensvc records export > records.jsonl`
    """
    settings = load_or_fail(config, as_json=as_json)

    async def use(store: "Store") -> None:
        position = after
        while True:
            try:
                page = await store.list_records(after=position, limit=_PAGE)
            except ValueError as exc:
                raise typer.BadParameter(f"--after: {exc}") from exc
            _print(page, as_json=True)
            if len(page) < _PAGE:
                return
            position = page[-1].position

    use_store(settings, config, use, as_json=as_json)


def _show(record_id: _Id, *, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show one record: who asked for what, on what chain, what was granted or why not, and by which configuration.

    Exit codes: 0, 1 there is no such record, 3 there is no such store, 4 it cannot be used now.

    Example: `tokensvc records show dKEbjowS4KNVQARnrTWKlA`
    """
    settings = load_or_fail(config, as_json=as_json)
    record = use_store(settings, config, lambda store: store.find(record_id), as_json=as_json)
    if record is None:
        remedy = "Copy the whole id, from an answer's `record` or from tokensvc records tail."
        problem = ConfigurationError(
            "the store has no record of that id", file=settings.store.shown, key="", remedy=remedy
        )
        fail([problem], as_json=as_json, code=ExitCode.REFUSED)
    from tokensvc.cli.record_view import chain_of, render_record, show_record

    if as_json:
        say_ascii_json(render_record(record))
        return
    show_record(tree_console(), record)
    chain = chain_of(record)
    if chain is not None and record.inputs.get("granted") is not None:
        say_next(render_command("revoke", "entry", chain.leaf.jti, config=config))


def _print(records: "Iterable[ListedRecord]", *, as_json: bool) -> None:
    from tokensvc.cli.record_view import render_record, summarize

    if as_json:
        for listed in records:
            # Each is written out at once: whoever reads a pipe sees it when it is there.
            typer.echo(json.dumps({"position": listed.position, **render_record(listed.record)}))
        return
    console = tree_console()
    for listed in records:
        console.print(summarize(listed.record), soft_wrap=True)
        console.file.flush()
