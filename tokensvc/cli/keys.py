"""`tokensvc keys`: the service's own signing keys, and key pairs for clients."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tokensvc.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    fail,
    load_or_fail,
    render_command,
    say,
    say_json,
    say_next,
    say_table,
)
from tokensvc.errors import ConfigurationError

if TYPE_CHECKING:
    from tokensvc.core.keyset import Algorithm
    from tokensvc.settings import Settings
    from tokensvc.signing.keyfiles import KeyFile

__all__ = ["register"]

# As `signing.rotation.DEFAULT_DELAY_S`, which a test compares: the help must not load the signing code.
_DELAY_S: Final = 600
_DAY_S: Final = 86400

AlgorithmOption = Annotated[
    str | None, typer.Option("--algorithm", metavar="ALG", help="ES256, Ed25519 or RS256; else the configured one.")
]


def register(app: typer.Typer) -> None:
    """Add the group `keys` to `app`."""
    keys = typer.Typer(
        help="The keys that the service signs with: one signs, every one that still counts is in the JWK set.",
        no_args_is_help=True,
    )
    keys.command("generate")(_generate)
    keys.command("rotate")(_rotate)
    keys.command("retire")(_retire)
    keys.command("list")(_list)
    keys.command("client")(_client)
    app.add_typer(keys, name="keys")


def _generate(
    *, config: ConfigOption = DEFAULT_CONFIG, algorithm: AlgorithmOption = None, as_json: JsonOption = False
) -> None:
    """Make the first signing key of an algorithm in the configured folder. It may sign at once.

    Where there is one, `tokensvc keys rotate` makes its successor.

    Example: `tokensvc keys generate`

    Example: `tokensvc keys generate --algorithm RS256 --json`
    """
    settings = load_or_fail(config, as_json=as_json)
    from tokensvc.signing.keyfiles import generate_key, list_keys
    from tokensvc.signing.rotation import signing_at

    chosen = settings.keys.algorithm if algorithm is None else _parse_algorithm(algorithm)
    now = int(time.time())
    try:
        _require_none(signing_at(list_keys(settings.keys.dir), chosen, now), settings, config)
        made = generate_key(settings.keys.dir, chosen, now=now)
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    if as_json:
        say_json({"kid": made.key.kid, "alg": made.key.alg, "created": made.created, "file": str(made.path)})
        return
    say("kid", made.key.kid)
    say("algorithm", made.key.alg)
    say("file", str(made.path))
    if chosen is not settings.keys.algorithm:
        say("note", f"the configured algorithm is {settings.keys.algorithm}: this key is published, and does not sign")
    say_next(render_command("keys", "list", config=config))


def _require_none(present: "KeyFile | None", settings: "Settings", config: Path) -> None:
    if present is not None:
        raise ConfigurationError(
            f"there is a signing key for {present.key.alg} already",
            file=str(settings.keys.dir),
            key="",
            remedy=f"Run: {render_command('keys', 'rotate', config=config)}",
        )


def _rotate(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    delay_s: Annotated[
        int, typer.Option("--delay", min=0, max=_DAY_S, metavar="SECONDS", help="When the new key begins to sign.")
    ] = _DELAY_S,
    at_once: Annotated[bool, typer.Option("--now", help="The new key signs at once: for emergencies.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the next signing key. It is published at once, and signs once every verifier can have it.

    The key before it stays published until nothing that it signed is alive. Servers that run follow by themselves.

    Example: `tokensvc keys rotate`

    Example: `tokensvc keys rotate --now --json`
    """
    settings = load_or_fail(config, as_json=as_json)
    from tokensvc.signing.rotation import rotate_key

    try:
        done = rotate_key(
            settings.keys.dir, settings.keys.algorithm, now=int(time.time()), delay_s=0 if at_once else delay_s
        )
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    is_early = at_once or delay_s < _DELAY_S
    if is_early:
        _warn("verifiers that cache the key set refuse the new key's tokens until they fetch it again")
    if as_json:
        retiring = [{"kid": file.key.kid, "retire_after": file.retire_after} for file in done.retiring]
        made = {"kid": done.made.key.kid, "alg": done.made.key.alg, "not_before": done.made.not_before}
        say_json({**made, "file": str(done.made.path), "retiring": retiring, "removed": list(done.removed)})
        return
    say("kid", done.made.key.kid)
    say("signs from", f"{_render_time(done.made.not_before)} UTC")
    say("file", str(done.made.path))
    for file in done.retiring:
        say("retires", f"{file.key.kid}  {_render_time(file.retire_after)} UTC")
    for kid in done.removed:
        say("removed", kid)
    say_next(render_command("keys", "list", config=config))


def _retire(
    *,
    kid: Annotated[str, typer.Argument(metavar="KID", help="The key, by its whole kid.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """End a signing key at once and remove its file: for a key that somebody else may have.

    Everything that it signed dies with it. Make its successor first: `tokensvc keys rotate --now`.

    Example: `tokensvc keys retire 0VSBWUfVdOMFbhvVBr3YwUiNGV_yKsEpAEkvJHU4Hbo`
    """
    settings = load_or_fail(config, as_json=as_json)
    from tokensvc.signing.rotation import retire_key

    try:
        retired = retire_key(settings.keys.dir, kid, settings.keys.algorithm, now=int(time.time()))
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    _warn(
        "every token and delegation signed with this key is dead: this service refuses it within a second or two, "
        "resource servers once they fetch the key set again; users start anew"
    )
    if as_json:
        say_json({"kid": retired.key.kid, "alg": retired.key.alg, "removed": str(retired.path)})
        return
    say("retired", retired.key.kid)
    say("removed", str(retired.path))
    say_next(render_command("keys", "list", config=config))


def _list(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the signing keys, the newest first.

    Example: `tokensvc keys list --json`
    """
    settings = load_or_fail(config, as_json=as_json)
    from tokensvc.signing.keyfiles import list_keys
    from tokensvc.signing.rotation import signing_at

    try:
        files = list_keys(settings.keys.dir)
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    now = int(time.time())
    signing = signing_at(files, settings.keys.algorithm, now)
    if as_json:
        say_json(
            [
                {
                    "kid": file.key.kid,
                    "alg": file.key.alg,
                    "created": file.created,
                    "not_before": file.not_before,
                    "retire_after": file.retire_after,
                    "signs": file is signing,
                    "published": file.is_live(now),
                }
                for file in files
            ]
        )
        return
    rows = [
        (
            file.key.kid,
            file.key.alg,
            _render_time(file.not_before),
            _render_time(file.retire_after),
            _use_of(file, signing, settings.keys.algorithm, now),
        )
        for file in files
    ]
    say_table(("kid", "algorithm", "signs from (UTC)", "published until", "use"), rows)
    say_next(render_command(*(["keys", "generate"] if signing is None else ["serve"]), config=config))


def _client(
    *,
    name: Annotated[
        Path, typer.Argument(metavar="NAME", help="The client, with the folder for its files: clients/planner")
    ],
    algorithm: Annotated[str, typer.Option("--algorithm", metavar="ALG", help="ES256, Ed25519 or RS256.")] = "ES256",
    as_json: JsonOption = False,
) -> None:
    """Make a key pair of an agent: to authenticate with (`private_key_jwt`), or to hold its tokens (DPoP).

    NAME.private.jwk.json is for the agent alone. NAME.jwks.json goes to the token service: `jwks_file` of the agent, or
    `holder_jwks_file` for the key that its tokens are bound to. One pair for each is better than one for both.

    Example: `tokensvc keys client clients/planner`

    Example: `tokensvc keys client clients/planner-holder`
    """
    from tokensvc.signing.clientkeys import make_client_keys

    try:
        made = make_client_keys(name, _parse_algorithm(algorithm))
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    if as_json:
        files = {"private": str(made.private), "jwks": str(made.jwks)}
        say_json({"kid": made.key.kid, "alg": made.key.alg, **files})
        return
    say("kid", made.key.kid)
    say("for the agent", str(made.private))
    say("for the service", str(made.jwks))
    say("in [[agent]]", f'auth = "private_key_jwt", jwks_file = "{made.jwks}"')
    say("or, to hold tokens", f'holder_jwks_file = "{made.jwks}"')
    say_next(render_command("check-config", config=DEFAULT_CONFIG))


def _parse_algorithm(name: str) -> "Algorithm":
    from tokensvc.core.keyset import Algorithm

    known = [*Algorithm]
    if name not in known:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}.", param_hint="--algorithm")
    return Algorithm(name)


def _use_of(file: "KeyFile", signing: "KeyFile | None", algorithm: "Algorithm", now: int) -> str:
    if file is signing:
        return "signs"
    if not file.is_live(now):
        return "retired"
    return "signs next" if file.not_before > now and file.key.alg is algorithm else "published"


def _render_time(epoch_s: int | None) -> str:
    return "" if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _warn(text: str) -> None:
    typer.echo(f"Warning: {text}.", err=True)
