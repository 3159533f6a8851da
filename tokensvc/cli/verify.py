"""`tokensvc verify`: is this token genuine, current, for this audience, and narrower at every hop?"""

from typing import TYPE_CHECKING

import typer

from tokensvc.cli.console import ExitCode
from tokensvc.cli.judging import Terms, add_command
from tokensvc.cli.token_view import render_chain, say_ascii_json, tree_console
from tokensvc.errors import TokenRefused

if TYPE_CHECKING:
    from tokensvc.core.jsontext import JsonValue
    from tokensvc.verify import VerifiedToken

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `verify` to `app`."""
    add_command(app, "verify", _verify)


def _verify(token: str, terms: Terms, *, as_json: bool) -> None:
    """Verify a token offline and print its chain: who got what from whom, and what was lost at each hop.

    Exit codes: 0 verified, 1 refused, 2 the command line is wrong or the file of keys cannot be read, 3 its keys
    cannot be used, 4 standard input or output cannot be used. Revocation is not checked, and the answer says so.

    The token comes from standard input:

        tokensvc verify --issuer https://tokens.example --audience https://api.example --jwks jwks.json < token.txt

    Or with the terms in a file, as docs/verifier.md shows it:

        tokensvc verify --expect terms.toml < token.txt

    Refused, and the reason is not enough? `tokensvc explain` takes the same options.
    """
    from tokensvc.verify import verify_token

    try:
        verified = verify_token(token, **terms)
    except TokenRefused as exc:
        _show_refusal(exc, as_json=as_json)
        raise typer.Exit(ExitCode.REFUSED) from exc
    _show_verified(verified, as_json=as_json)


def _show_refusal(refused: TokenRefused, *, as_json: bool) -> None:
    if as_json:
        say_ascii_json({"verified": False, "reason": refused.reason, "description": refused.description})
    else:
        typer.secho(f"refused: {refused.reason}: {refused.description}", fg="red", err=True)


def _show_verified(token: "VerifiedToken", *, as_json: bool) -> None:
    if as_json:
        say_ascii_json(_render_verified(token))
        return
    from tokensvc.demo.chain_view import chain_tree

    console = tree_console()
    console.print("[bold green]verified[/bold green]")
    console.print(chain_tree(token))


def _render_verified(token: "VerifiedToken") -> "dict[str, JsonValue]":
    from tokensvc.core.details import render_details

    return {
        "verified": True,
        "reason": None,
        "description": None,
        "issuer": token.iss,
        "user": token.sub,
        "actors": token.actors,
        "audience": token.audience,
        "exchange_only": token.is_exchange_only,
        "scope": " ".join(sorted(token.scope)),
        "authorization_details": render_details(token.details),
        "iat": token.iat,
        "exp": token.exp,
        "jti": token.jti,
        "lineage": token.lineage,
        "cnf": None if token.cnf is None else dict([token.cnf]),
        "not_performed": sorted(token.not_performed),
        "chain": render_chain(token.chain),
    }
