"""What `tokensvc exchange` says: the token to standard output, everything for people to standard error.

Texts come from the token service and from tokens: what could steer a terminal is escaped or replaced, and nothing in
them is read as Rich markup.
"""

import sys
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.text import Text

from tokensvc.cli.issuance import Judgement
from tokensvc.cli.outward import Reply
from tokensvc.cli.remedy import exchange_remedy
from tokensvc.cli.token_view import ANY_WIDTH, render_chain, say_ascii_json
from tokensvc.demo.chain_view import chain_tree, entries_tree, token_label
from tokensvc.errors import printable

if TYPE_CHECKING:
    from tokensvc.core.jsontext import JsonValue

__all__ = ["show_granted", "show_refused"]

_ANSWER: Final = ("issued_token_type", "token_type", "expires_in", "scope", "authorization_details")
_CREDENTIALS: Final = "look at client id and secret or key, and whether the agent is enabled"
_NO_VERIFY: Final = "the token is not printed. To have it all the same: --no-verify"


def show_granted(reply: Reply, token: str, judgement: Judgement, *, as_json: bool) -> None:
    """Print the token, unless it was refused here, and its chain."""
    if as_json:
        say_ascii_json(_render_granted(reply, token, judgement))
        return
    if judgement.refusal is None:
        typer.echo(token)
    console = _stderr()
    console.print(_verdict(judgement))
    if judgement.verified is not None:
        console.print(chain_tree(judgement.verified))
    elif judgement.chain is not None and judgement.claims is not None:
        claims = judgement.claims
        unchecked = "everything: this is only what the token says"
        is_exchange_only = claims.aud == claims.iss
        leaf = token_label(claims.aud, claims.exp, claims.cnf, is_exchange_only=is_exchange_only, unchecked=unchecked)
        console.print(entries_tree(judgement.chain, leaf))
    if judgement.refusal is not None:
        console.print(Text(_NO_VERIFY, "yellow"))


def show_refused(reply: Reply, *, hint: str | None, as_json: bool) -> None:
    """Print why, and what to do about it. `hint` is what else may be the cause."""
    error, reason, record = (_shown(reply, name) for name in ("error", "reason", "record"))
    description = _shown(reply, "error_description")
    remedy = exchange_remedy(error, reason) or (_CREDENTIALS if error == "invalid_client" else None)
    if remedy is not None and hint is not None:
        remedy = f"{remedy}; {hint}"
    if as_json:
        say_ascii_json(
            {
                "granted": False,
                "error": error,
                "error_description": description,
                "reason": reason,
                "record": record,
                "remedy": remedy,
            }
        )
        return
    console = _stderr()
    codes = f"{error}: {reason}" if reason else f"{error}"
    console.print(Text(f"refused: {codes}", "bold red"))
    for name, value in (("because", description), ("do", remedy), ("record", record)):
        if value:
            console.print(Text.assemble((f"{name:<9}", "dim"), value))


def _shown(reply: Reply, name: str) -> str | None:
    text = reply.text(name)
    return None if text is None else printable(text)


def _verdict(judgement: Judgement) -> Text:
    if judgement.verified is not None:
        return Text("verified", "bold green")
    if judgement.refusal is not None:
        refusal = judgement.refusal
        return Text(f"granted, and refused here: {refusal.reason}: {refusal.description}", "bold red")
    return Text(f"not verified here: {judgement.unverified}", "bold yellow")


def _render_granted(reply: Reply, token: str, judgement: Judgement) -> "dict[str, JsonValue]":
    refusal, claims = judgement.refusal, judgement.claims
    verified: JsonValue = None if judgement.unverified is not None else refusal is None
    return {
        "granted": True,
        "access_token": token,
        **{name: reply.body[name] for name in _ANSWER if name in reply.body},
        "verified": verified,
        "not_verified": judgement.unverified,
        "reason": None if refusal is None else refusal.reason,
        "description": None if refusal is None else refusal.description,
        "cnf": None if claims is None or claims.cnf is None else dict([claims.cnf]),
        "chain": None if judgement.chain is None else render_chain(judgement.chain),
    }


def _stderr() -> Console:
    # A file or a pipe has no width at which to break a scope in two.
    width = None if sys.stderr.isatty() else ANY_WIDTH
    return Console(stderr=True, highlight=False, emoji=False, width=width)
