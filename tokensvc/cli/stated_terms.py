"""From the options of a command, or from a file of terms, to what a token is judged by."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import typer

from tokensvc.cli.console import fail
from tokensvc.core.authority import Attenuation
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed

if TYPE_CHECKING:
    from tokensvc.verify import Expectation, KeySet, StaticKeys

__all__ = ["Options", "load_keys", "read_file", "read_options"]

# As for the key set of an identity provider: a hundred RSA keys with their certificates.
_MAX_JWKS_BYTES: Final = 1_000_000


class Options(NamedTuple):
    """The options as they were given. `order` are grammar, attenuation and proper_from, `floors` of root and hops."""

    issuer: str | None
    audience: str | None
    jwks: Path | None
    order: tuple[ScopeGrammar, Attenuation, int]
    floors: tuple[str, str]
    agent_key: list[str]
    authority: tuple[str | None, Path | None, str]


class _SignedRoots(NamedTuple):
    """An authority: its issuer, its keys, and the prefix of its users."""

    iss: str
    jwks: Path
    prefix: str


def read_options(options: Options, *, as_json: bool) -> "tuple[Expectation, StaticKeys]":
    """The terms that the options state alone. Raises: typer.BadParameter; exits where keys cannot be used."""
    from tokensvc.verify import Evidence, Expectation, HolderFloor, Order, StaticKeys

    issuer, audience, jwks = options.issuer, options.audience, options.jwks
    for option, value in (("--issuer", issuer), ("--audience", audience), ("--jwks", jwks)):
        if value is None:
            raise typer.BadParameter(f"{option} is missing; or give a file of terms with --expect")
    if not issuer or not audience or jwks is None:
        raise typer.BadParameter("--issuer and --audience must not be empty")
    signed_roots = _read_authority(issuer, *options.authority)
    pinned = _read_agent_keys(issuer, options.agent_key)
    _require_floors_met(*options.floors, signed_roots=signed_roots is not None, pinned=bool(pinned))
    root_floor, hop_floor = map(Evidence, options.floors)
    grammar, attenuation, proper_from = options.order
    expect = Expectation(
        issuers=frozenset({issuer}),
        audiences=frozenset({audience}),
        root_floor=root_floor,
        hop_floor=hop_floor,
        holder=HolderFloor.BEARER,
        order=Order(grammar=grammar, attenuation=attenuation, proper_from=proper_from),
        authorities={} if signed_roots is None else {(issuer, signed_roots.iss): signed_roots.prefix},
        agent_keys=pinned,
    )
    key_sets = {issuer: load_keys("--jwks", jwks, as_json=as_json)}
    if signed_roots is not None:
        key_sets[signed_roots.iss] = load_keys("--authority-jwks", signed_roots.jwks, as_json=as_json)
    return expect, StaticKeys(key_sets)


def read_file(path: Path, options: Options, *, as_json: bool) -> "tuple[Expectation, StaticKeys]":
    """The terms of the file at `path`; `--issuer` and `--audience` choose among its own, `--jwks` has the keys.

    Raises: typer.BadParameter; exits where file or keys cannot be used.
    """
    from tokensvc.verify import load_expectation, load_terms

    try:
        expect = _chosen(load_expectation(path), options)
        files: dict[str, Path] = {}
        if options.jwks is not None:
            if len(expect.issuers) != 1:
                raise typer.BadParameter("--jwks has the keys of one issuer: say which with --issuer")
            files = dict.fromkeys(expect.issuers, options.jwks)
        return expect, load_terms(path, jwks_files=files).keys
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)


def _chosen(expect: "Expectation", options: Options) -> "Expectation":
    for option, value, stated in (
        ("--issuer", options.issuer, expect.issuers),
        ("--audience", options.audience, expect.audiences),
    ):
        if value is not None and value not in stated:
            raise typer.BadParameter(f"{option}: the file of terms states {', '.join(sorted(stated))}")
    issuers = expect.issuers if options.issuer is None else frozenset({options.issuer})
    return replace(
        expect,
        issuers=issuers,
        audiences=expect.audiences if options.audience is None else frozenset({options.audience}),
        authorities={pair: prefix for pair, prefix in expect.authorities.items() if pair[0] in issuers},
        agent_keys={pair: keys for pair, keys in expect.agent_keys.items() if pair[0] in issuers},
    )


def _read_authority(issuer: str, iss: str | None, jwks: Path | None, prefix: str) -> _SignedRoots | None:
    if iss is None and jwks is None and not prefix:
        return None
    if not iss or jwks is None:
        raise typer.BadParameter("--authority and --authority-jwks are given together")
    if iss == issuer:
        raise typer.BadParameter("--authority is another one than --issuer")
    return _SignedRoots(iss, jwks, prefix)


def _read_agent_keys(issuer: str, pins: list[str]) -> dict[tuple[str, str], frozenset[str]]:
    from tokensvc.core.members import parse_thumbprint

    pinned: dict[tuple[str, str], frozenset[str]] = {}
    for pin in pins:
        # A thumbprint has no equals sign; the name of an agent may.
        agent, _, thumbprint = pin.rpartition("=")
        try:
            key = parse_thumbprint(thumbprint)
        except Malformed as exc:
            raise typer.BadParameter("--agent-key is AGENT=THUMBPRINT, a SHA-256 thumbprint in base64url") from exc
        if not agent:
            raise typer.BadParameter("--agent-key is AGENT=THUMBPRINT, and AGENT must not be empty")
        pinned[issuer, agent] = pinned.get((issuer, agent), frozenset()) | {key}
    return pinned


def _require_floors_met(root_floor: str, hop_floor: str, *, signed_roots: bool, pinned: bool) -> None:
    """A floor that no token could meet is a mistake of whoever typed it, and no fault of the token."""
    if root_floor == "authority" and not signed_roots:
        raise typer.BadParameter("--root-floor authority needs --authority")
    if hop_floor == "delegator" and not (signed_roots or pinned):
        raise typer.BadParameter("--hop-floor delegator needs --agent-key or --authority: whose is the first key?")


def load_keys(option: str, path: Path, *, as_json: bool) -> "KeySet":
    """The JWK Set in the file `path`, which `option` names. Exits where it cannot be used."""
    from tokensvc.smallfile import read_small_file
    from tokensvc.verify import parse_json_object, parse_jwks

    try:
        text = read_small_file(path, max_bytes=_MAX_JWKS_BYTES)
    except OSError as exc:
        raise typer.BadParameter(f"{option}: cannot read {path}: {exc.strerror}") from exc
    except Malformed as exc:
        raise typer.BadParameter(f"{option}: {path} is {exc.description}") from exc
    try:
        return parse_jwks(parse_json_object(text))
    except (Malformed, KeyRefused) as exc:
        remedy = "Give the JWK Set that the issuer publishes at its jwks_uri."
        fail([ConfigurationError(exc.description, file=str(path), key="", remedy=remedy)], as_json=as_json)
