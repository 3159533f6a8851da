"""`tokensvc keys generate` and `tokensvc keys list`: the service's own signing keys."""

import time
from datetime import UTC, datetime
from typing import Annotated

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

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group `keys` to `app`."""
    keys = typer.Typer(
        help="The keys that the service signs with: the newest one signs, every one is published in the JWK set.",
        no_args_is_help=True,
    )
    keys.command("generate")(_generate)
    keys.command("list")(_list)
    app.add_typer(keys, name="keys")


def _generate(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    algorithm: Annotated[
        str | None, typer.Option("--algorithm", metavar="ALG", help="ES256, Ed25519 or RS256; else the configured one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new signing key in the configured folder.

    It signs from the service's next start on. The older ones stay published, so that their tokens stay valid.

    Example: `tokensvc keys generate`

    Example: `tokensvc keys generate --algorithm RS256 --json`
    """
    settings = load_or_fail(config, as_json=as_json)
    from tokensvc.core.keyset import Algorithm
    from tokensvc.signing.keyfiles import generate_key

    known = [*Algorithm]
    if algorithm is not None and algorithm not in known:
        raise typer.BadParameter(f"{algorithm!r} is none of {', '.join(known)}.", param_hint="--algorithm")
    chosen = settings.keys.algorithm if algorithm is None else Algorithm(algorithm)
    try:
        made = generate_key(settings.keys.dir, chosen, now=int(time.time()))
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


def _list(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the signing keys, the newest first.

    Example: `tokensvc keys list --json`
    """
    settings = load_or_fail(config, as_json=as_json)
    from tokensvc.signing.keyfiles import list_keys

    try:
        files = list_keys(settings.keys.dir)
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    signing = next((file.key.kid for file in files if file.key.alg is settings.keys.algorithm), None)
    if as_json:
        say_json(
            [
                {"kid": file.key.kid, "alg": file.key.alg, "created": file.created, "signs": file.key.kid == signing}
                for file in files
            ]
        )
        return
    rows = [
        (file.key.kid, file.key.alg, _render_time(file.created), "signs" if file.key.kid == signing else "published")
        for file in files
    ]
    say_table(("kid", "algorithm", "created (UTC)", "use"), rows)
    say_next(render_command(*(["keys", "generate"] if signing is None else ["serve"]), config=config))


def _render_time(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
