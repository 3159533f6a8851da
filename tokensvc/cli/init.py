"""`tokensvc init`: a configuration that works as it is, with keys and secrets of its own."""

import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from tokensvc.cli.console import ExitCode, JsonOption, fail, render_command, say, say_json, say_next, say_table
from tokensvc.cli.init_template import CONFIGURATION, agent_by_key, agent_by_secret
from tokensvc.errors import ConfigurationError

__all__ = ["register"]

_CONFIG: Final = "tokensvc.toml"
_IDP_PRIVATE: Final = "idp-dev.jwk.json"
_IDP_PUBLIC: Final = "idp.jwks.json"
_FILES: Final = (_CONFIG, _IDP_PRIVATE, _IDP_PUBLIC)
_PRIVATE_FILE: Final = 0o600
_PUBLIC_FILE: Final = 0o644
_AGENTS: Final = ("planner", "researcher")
_RESOURCE_SERVER: Final = "crm-api"
_AGENT_KEYS: Final = "agents"
# 256 bits: no guessing, so that the plain SHA-256 of it may be stored.
_SECRET_BYTES: Final = 32


def register(app: typer.Typer) -> None:
    """Add `init` to `app`."""
    app.command("init")(_init)


def _init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to write; made when it is not there.")
    ] = Path(),
    *,
    agent_keys: Annotated[
        bool,
        typer.Option(
            "--agent-keys",
            help="Agents without secrets: each gets a key pair to authenticate with, and one to hold its tokens.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a configuration that works as it is: tokensvc.toml, a signing key, and a stand-in identity provider.

    Each client's secret is shown once; the file holds its hash only. Nothing that exists is overwritten.

    Example: `tokensvc init && tokensvc check-config && tokensvc serve`

    Example: `tokensvc init /srv/tokensvc --json`

    Example: `tokensvc init /srv/tokensvc --agent-keys`
    """
    files = (*_FILES, *(_agent_files() if agent_keys else ()))
    _refuse_existing(directory, files, as_json=as_json)
    with_secret = (_RESOURCE_SERVER,) if agent_keys else (*_AGENTS, _RESOURCE_SERVER)
    client_secrets = {client: secrets.token_urlsafe(_SECRET_BYTES) for client in with_secret}
    try:
        kid = _write_everything(directory, client_secrets)
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    try:
        _show(directory, files, kid, client_secrets, as_json=as_json)
    except BaseException:
        # Secrets that nobody saw are of no use: the command can be given again. The signing key is as good as new.
        for name in files:
            (directory / name).unlink(missing_ok=True)
        raise


def _show(
    directory: Path, files: tuple[str, ...], kid: str, client_secrets: Mapping[str, str], *, as_json: bool
) -> None:
    config = directory / _CONFIG
    if as_json:
        paths = [str(directory / name) for name in files]
        say_json({"config": str(config), "files": paths, "signing_kid": kid, "secrets": client_secrets})
    else:
        say("configuration", str(config))
        say("signing key", kid)
        say("identity provider", f"a stand-in for development; its private key: {directory / _IDP_PRIVATE}")
        if files != _FILES:
            say("agents", f"their private keys, for each agent alone: {directory / _AGENT_KEYS}/*.private.jwk.json")
        say_table(("client", "secret (shown once: store it now)"), client_secrets.items())
        say_next(render_command("check-config", config=config))
    # What is left in a buffer has not been shown yet.
    sys.stdout.flush()


def _agent_files() -> Iterator[str]:
    """What `keys client` makes for each agent: a pair to authenticate with, and one to hold its tokens."""
    for agent in _AGENTS:
        for name in (agent, f"{agent}-holder"):
            yield f"{_AGENT_KEYS}/{name}.private.jwk.json"
            yield f"{_AGENT_KEYS}/{name}.jwks.json"


def _refuse_existing(directory: Path, files: Iterable[str], *, as_json: bool) -> None:
    """Look at every name first, so that a refusal leaves nothing half written."""
    remedy = "Move it away, or name another folder: tokensvc init DIR"
    existing = [path for name in files if os.path.lexists(path := directory / name)]
    if existing:
        problems = [ConfigurationError("exists already", file=str(path), key="", remedy=remedy) for path in existing]
        fail(problems, as_json=as_json, code=ExitCode.REFUSED)


def _write_everything(directory: Path, client_secrets: Mapping[str, str]) -> str:
    """Write all files, the configuration last: where it stands, the rest is complete. Returns the signing key's kid.

    Raises: ConfigurationError.
    """
    from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
    from tokensvc.signing.keyfiles import generate_key, list_keys, make_key
    from tokensvc.signing.rotation import signing_at

    with _explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
    keys = directory / "keys"
    # A folder that holds keys already keeps the one that signs: a new one is for `keys rotate`.
    now = int(time.time())
    present = signing_at(list_keys(keys), Algorithm.ES256, now)
    kid = (generate_key(keys, Algorithm.ES256, now=now) if present is None else present).key.kid
    identity_provider = make_key(Algorithm.RS256)
    hashes = {client: hashlib.sha256(secret.encode("ascii")).hexdigest() for client, secret in client_secrets.items()}
    agents = {
        agent: agent_by_secret(hashes[agent]) if agent in hashes else _make_agent_keys(directory, agent)
        for agent in _AGENTS
    }
    names = {"idp_private": _IDP_PRIVATE, "idp_public": _IDP_PUBLIC, "crm_api": hashes[_RESOURCE_SERVER]}
    config = CONFIGURATION.format(**names, **agents)
    with _explained(directory):
        _ignore(keys, "*")
        if hashes.keys().isdisjoint(_AGENTS):
            # The public halves are part of the configuration.
            _ignore(directory / _AGENT_KEYS, "*.private.jwk.json")
        _write_new(directory / _IDP_PRIVATE, _json(identity_provider.unsafe_private_jwk()), mode=_PRIVATE_FILE)
        _write_new(directory / _IDP_PUBLIC, _json(render_jwks(KeySet([identity_provider.public]))), mode=_PUBLIC_FILE)
        _write_new(directory / _CONFIG, config, mode=_PUBLIC_FILE)
    return kid


def _make_agent_keys(directory: Path, agent: str) -> str:
    """Two pairs of keys, apart: who gets hold of what signs requests has not what its tokens are bound to.

    Returns the agent's keys in the configuration. Raises: ConfigurationError.
    """
    from tokensvc.core.keyset import Algorithm
    from tokensvc.signing.clientkeys import make_client_keys

    folder = directory / _AGENT_KEYS
    pairs = [make_client_keys(folder / name, Algorithm.ES256) for name in (agent, f"{agent}-holder")]
    return agent_by_key(*(f"{_AGENT_KEYS}/{pair.jwks.name}" for pair in pairs))


def _ignore(folder: Path, pattern: str) -> None:
    """Keep private keys in `folder` out of a repository, unless the user has said what to keep out. Raises: OSError."""
    if not (ignore := folder / ".gitignore").exists():
        _write_new(ignore, f"{pattern}\n", mode=_PUBLIC_FILE)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _write_new(path: Path, text: str, *, mode: int) -> None:
    """A new file; whatever came to stand there in the meantime is left alone. Raises: OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turns what the system refuses into a problem with a remedy."""
    try:
        yield
    except OSError as exc:
        problem = f"the folder cannot be written ({exc.strerror})"
        remedy = "Name a folder that you may write to: tokensvc init DIR"
        raise ConfigurationError(problem, file=str(directory), key="", remedy=remedy) from exc
