"""`tokensvc verify`: is this token genuine, current, for this audience, and narrower at every hop?"""

import errno
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO, cast

import typer

from tokensvc.cli.console import ExitCode, JsonOption, fail
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed, TokenRefused

if TYPE_CHECKING:
    from tokensvc.core.authority import Authority
    from tokensvc.core.jsontext import JsonValue
    from tokensvc.verify import KeySet, VerifiedToken

__all__ = ["register"]

# What a verifier takes at most is 16 KiB: this is enough to see that a text is too large, and no more.
_MAX_INPUT_BYTES: Final = 65_536
# As for the key set of an identity provider: a hundred RSA keys with their certificates.
_MAX_JWKS_BYTES: Final = 1_000_000
# The longest lifetime that the token service may be configured to give (900 s).
_DEFAULT_MAX_LIFETIME_S: Final = 900
# Wider than any line: a token is 16 KiB at most, and an escape six times what it stands for.
_ANY_WIDTH: Final = 100_000

_Token = Annotated[
    str,
    typer.Argument(
        metavar="TOKEN|-",
        show_default=False,
        help="The token. Prefer - or nothing, to read it from standard input: arguments stay in the shell's history.",
    ),
]
_Issuer = Annotated[str, typer.Option(metavar="ISS", help="The token service that must have issued it.")]
_Audience = Annotated[str, typer.Option(metavar="AUD", help="The resource that the token must be for.")]
_Jwks = Annotated[Path, typer.Option(metavar="FILE", help="The public keys of the token service, as a JWK Set.")]
_MaxLifetime = Annotated[
    int, typer.Option(min=1, metavar="S", help="Refuse tokens that live longer, as revocation is not checked.")
]


def register(app: typer.Typer) -> None:
    """Add `verify` to `app`."""
    # Click quotes an argument too many, and that may be a token: let it through, and refuse it without its text.
    app.command("verify", context_settings={"allow_extra_args": True})(_verify)


def _verify(
    context: typer.Context,
    token: _Token = "",
    *,
    issuer: _Issuer,
    audience: _Audience,
    jwks: _Jwks,
    max_lifetime: _MaxLifetime = _DEFAULT_MAX_LIFETIME_S,
    as_json: JsonOption = False,
) -> None:
    """Verify a token offline and print its chain: who got what from whom, and what was lost at each hop.

    Exit codes: 0 verified, 1 refused, 2 the command line is wrong or the file of keys cannot be read, 3 its keys
    cannot be used, 4 standard input or output cannot be used. Revocation is not checked, and the answer says so.

    The token comes from standard input:

        tokensvc verify --issuer https://tokens.example --audience https://api.example --jwks jwks.json < token.txt

    """
    from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, verify_token

    try:
        expect = Expectation.issuer_signed(issuers=[issuer], audiences=[audience])
    except ValueError as exc:
        raise typer.BadParameter("--issuer and --audience must not be empty") from exc
    keys = StaticKeys({issuer: _load_keys(jwks, as_json=as_json)})
    if context.args:
        raise typer.BadParameter("more than one TOKEN: give one, or none and use standard input")
    text = _read_token(token)
    try:
        verified = verify_token(
            text, keys=keys, expect=expect, now=int(time.time()), revocations=LifetimeOnly(max_s=max_lifetime)
        )
    except TokenRefused as exc:
        _show_refusal(exc, as_json=as_json)
        raise typer.Exit(ExitCode.REFUSED) from exc
    _show_verified(verified, as_json=as_json)


def _load_keys(path: Path, *, as_json: bool) -> "KeySet":
    from tokensvc.smallfile import read_small_file
    from tokensvc.verify import parse_json_object, parse_jwks

    try:
        text = read_small_file(path, max_bytes=_MAX_JWKS_BYTES)
    except OSError as exc:
        raise typer.BadParameter(f"--jwks: cannot read {path}: {exc.strerror}") from exc
    except Malformed as exc:
        raise typer.BadParameter(f"--jwks: {path} is {exc.description}") from exc
    try:
        return parse_jwks(parse_json_object(text))
    except (Malformed, KeyRefused) as exc:
        remedy = "Give the JWK Set that the token service publishes at its jwks_uri."
        fail([ConfigurationError(exc.description, file=str(path), key="", remedy=remedy)], as_json=as_json)


def _read_token(argument: str) -> str:
    """The token of the argument or of standard input. No message says any of it."""
    if argument in {"", "-"}:
        argument = _read_stdin(may_be_terminal=argument == "-")
    token = argument.strip()
    if not token:
        raise typer.BadParameter("the token is empty")
    return token


def _read_stdin(*, may_be_terminal: bool) -> str:
    # Closed, it is None, which the types of `sys` do not say.
    if cast("TextIO | None", sys.stdin) is None:
        raise OSError(errno.EBADF, "standard input is closed")
    stdin = typer.get_binary_stream("stdin")
    if stdin.isatty() and not may_be_terminal:
        # Not read from here: a terminal cuts a pasted line at some 4000 characters, and tokens are longer.
        raise typer.BadParameter("no token: give it on standard input, as in: tokensvc verify ... < token.txt")
    # One character for each byte: what is not ASCII is refused as malformed, not repaired.
    return stdin.read(_MAX_INPUT_BYTES).decode("latin-1")


def _show_refusal(refused: TokenRefused, *, as_json: bool) -> None:
    if as_json:
        _say_ascii_json({"verified": False, "reason": refused.reason, "description": refused.description})
    else:
        typer.secho(f"refused: {refused.reason}: {refused.description}", fg="red", err=True)


def _show_verified(token: "VerifiedToken", *, as_json: bool) -> None:
    if as_json:
        _say_ascii_json(_render_verified(token))
        return
    from rich.console import Console

    from tokensvc.demo.chain_view import chain_tree

    # A file or a pipe has no width at which to break a scope in two.
    width = None if sys.stdout.isatty() else _ANY_WIDTH
    console = Console(highlight=False, emoji=False, width=width)
    console.print("[bold green]verified[/bold green]")
    console.print(chain_tree(token))


def _say_ascii_json(value: "JsonValue") -> None:
    # Everything outside ASCII as an escape: names come from the token, and a terminal obeys some characters.
    typer.echo(json.dumps(value, indent=2))


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
        "not_performed": sorted(token.not_performed),
        "chain": _render_chain(token),
    }


def _render_chain(token: "VerifiedToken") -> "list[JsonValue]":
    """The root, then every hop with what it lost against the entry before it."""
    from tokensvc.demo.chain_view import loss

    root = token.chain.root
    chain: list[JsonValue] = [
        {"iss": root.iss, "sub": root.sub, "jti": root.jti, "evidence": token.root_evidence, **_render(root.authority)}
    ]
    above = root.authority
    for hop, evidence in zip(token.chain.hops, token.hop_evidence, strict=True):
        lost = loss(above, hop.authority)
        described: dict[str, JsonValue] = {
            "scope": " ".join(sorted(lost.scope)),
            "resources": sorted(lost.resources),
            "lifetime_s": lost.lifetime_s,
            "depth": lost.depth,
        }
        names: dict[str, JsonValue] = {"actor": hop.actor, "jti": hop.jti, "parent": hop.parent, "evidence": evidence}
        chain.append({**names, **_render(hop.authority), "lost": described})
        above = hop.authority
    return chain


def _render(authority: "Authority") -> "dict[str, JsonValue]":
    from tokensvc.core.details import render_details

    return {
        "scope": " ".join(sorted(authority.scope)),
        "authorization_details": render_details(authority.details),
        "resources": sorted(authority.resources),
        "max_depth": authority.max_depth,
        "iat": authority.iat,
        "exp": authority.exp,
    }
