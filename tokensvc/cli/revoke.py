"""`tokensvc revoke`: an operator's revocation, on the configured store itself, whether or not the service runs."""

import os
import pwd
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TextIO, cast

import typer

from tokensvc.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    ExitCode,
    JsonOption,
    load_or_fail,
    render_command,
    say,
    say_next,
)
from tokensvc.cli.stored import use_store
from tokensvc.cli.token_view import say_ascii_json
from tokensvc.core.revocation import RevocationKind
from tokensvc.errors import OAuthRefused

if TYPE_CHECKING:
    from tokensvc.exchange.operate import Revoked
    from tokensvc.ports import Store
    from tokensvc.settings import Settings

__all__ = ["register"]

_WHAT_DIES: Final = {
    RevocationKind.ENTRY: "this hop or root and every hop below it, renewals included; of a root also every further "
    "start from the same user token",
    RevocationKind.KEY: "every chain in which a hop is bound to this key or signed by it",
    RevocationKind.USER: "every chain of this user that began by then",
    RevocationKind.ACTOR: "every chain in which this agent was given authority by then, and all below it",
    RevocationKind.ISSUER: "every chain that began by then under this issuer: this token service, an identity provider "
    "or an authority",
}
_FOR_GOOD: Final = "never: it is dead for good"
_KEPT_OUT: Final = " (to keep this agent out for good: enabled = false, and SIGHUP)"


def register(app: typer.Typer) -> None:
    """Add `revoke` to `app`."""
    app.command("revoke")(_revoke)


def _revoke(
    kind: Annotated[str, typer.Argument(metavar="KIND", show_default=False, help="entry, key, user, actor or issuer.")],
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            show_default=False,
            help="The jti of a hop or root; the thumbprint of a key; the sub of a user; an agent's id; an iss.",
        ),
    ],
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Revoke whatever hangs on a hop or root, a key, a user, an agent or an issuer. There is no taking it back.

    It is done on the configured store, and holds from the next request on; a server need not run. It is recorded with
    the client id operator:LOGIN, the name of the user who runs this command. On a terminal it asks first.

    Exit codes: 0 revoked, 1 not an id of that kind, or not confirmed; 2 wrong usage; 3 there is no such store; 4 it
    cannot be used now, and whether it was revoked is unknown: do it again.

    Example: `tokensvc revoke actor researcher`
    """
    settings = load_or_fail(config, as_json=as_json)
    from tokensvc.demo.chain_view import visible
    from tokensvc.exchange.operate import OPERATOR_KINDS

    if kind not in OPERATOR_KINDS:
        raise typer.BadParameter(f"KIND is one of {', '.join(OPERATOR_KINDS)}")
    known = RevocationKind(kind)
    warning = _doubt(settings, known, name)
    if warning is not None and not as_json:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
    if not yes:
        _confirm(known, name)
    try:
        revoked = use_store(settings, config, _on(settings, known, name), as_json=as_json)
    except OAuthRefused as exc:
        if as_json:
            say_ascii_json({"revoked": False, "reason": exc.reason, "description": exc.description})
        else:
            typer.secho(f"not revoked: {exc.description}", fg="red", err=True)
        raise typer.Exit(ExitCode.REFUSED) from exc
    if as_json:
        say_ascii_json(
            {
                "revoked": True,
                "kind": revoked.kind,
                "id": revoked.id,
                "not_before": revoked.not_before,
                "record": revoked.record,
                "operator": operator_name(),
                "warning": warning,
            }
        )
        return
    say("revoked", f"{revoked.kind} {visible(revoked.id)}")
    say("dead", _WHAT_DIES[known])
    say("new ones live", _afterwards(revoked))
    say("recorded for", operator_name())
    say("record", revoked.record)
    say_next(render_command("records", "show", revoked.record, config=config))


def operator_name() -> str:
    """Who runs this command, for the record: `operator:` and the name of the login, which sudo does not change.

    Without a login, as in a job or a container, the account of the process.
    """
    try:
        return f"operator:{os.getlogin()}"
    except OSError:
        pass
    try:
        return f"operator:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"operator:{os.getuid()}"


def _on(settings: "Settings", kind: RevocationKind, name: str) -> "Callable[[Store], Awaitable[Revoked]]":
    from tokensvc.exchange.operate import OperatorService
    from tokensvc.wiring import system_clock, terms_of

    def revoke(store: "Store") -> "Awaitable[Revoked]":
        service = OperatorService(terms=terms_of(settings), store=store, clock=system_clock)
        return service.revoke(kind, name, operator=operator_name())

    return revoke


def _doubt(settings: "Settings", kind: RevocationKind, name: str) -> str | None:
    """Why `name` may be mistyped. It is revoked all the same: who was taken out of the configuration can be revoked."""
    match kind:
        case RevocationKind.ACTOR if name not in {agent.id for agent in settings.agents}:
            return "no agent of that id is registered here"
        case RevocationKind.ISSUER if name not in {
            settings.issuer,
            *(source.iss for source in settings.user_sources),
        }:
            return "it is neither this token service nor an identity provider or authority that is registered here"
        case RevocationKind.USER if not any(name.startswith(source.subject_prefix) for source in settings.user_sources):
            return "no identity provider or authority that is registered here has users with names like this"
        case _:
            return None


def _confirm(kind: RevocationKind, name: str) -> None:
    """Raises: typer.Exit when the answer is no; typer.BadParameter where nobody can be asked."""
    from tokensvc.demo.chain_view import visible

    # Closed, it is None, which the types of `sys` do not say.
    stdin = cast("TextIO | None", sys.stdin)
    if stdin is None or not stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask at whether this is meant: give --yes")
    typer.echo(f"Dead from now on: {_WHAT_DIES[kind]}.", err=True)
    if not typer.confirm(f"Revoke {kind} {visible(name)}?", err=True):
        typer.secho("not revoked", err=True)
        raise typer.Exit(ExitCode.REFUSED)


def _afterwards(revoked: "Revoked") -> str:
    if revoked.not_before is None:
        return _FOR_GOOD
    from tokensvc.demo.chain_view import show_time

    begins = f"after {show_time(revoked.not_before)}"
    return begins + _KEPT_OUT if revoked.kind is RevocationKind.ACTOR else begins
