"""`tokensvc init`: a configuration that works as it is, with keys and secrets of its own."""

import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from tokensvc.cli.console import ExitCode, JsonOption, fail, render_command, say, say_json, say_next, say_table
from tokensvc.errors import ConfigurationError

__all__ = ["register"]

_CONFIG: Final = "tokensvc.toml"
_IDP_PRIVATE: Final = "idp-dev.jwk.json"
_IDP_PUBLIC: Final = "idp.jwks.json"
_FILES: Final = (_CONFIG, _IDP_PRIVATE, _IDP_PUBLIC)
_PRIVATE_FILE: Final = 0o600
_PUBLIC_FILE: Final = 0o644
_CLIENTS: Final = ("planner", "researcher", "crm-api")
# 256 bits: no guessing, so that the plain SHA-256 of it may be stored.
_SECRET_BYTES: Final = 32

_TEMPLATE: Final = """\
# tokensvc: who may delegate what to whom. Written by `tokensvc init`, and works as it is.
# Check it after every change: tokensvc check-config
# Single values may also come from the environment: TOKENSVC_SERVER__PORT=8701 is `port` in [server].

# The URL of this token service, as its tokens name it (iss). Every endpoint is this and /token, /introspect, ...
# https, but for this machine alone; no slash at the end.
issuer = "http://127.0.0.1:8700"

# How authority is compared. Tell your verifiers the same three: where they differ, tokens are refused.
attenuation = "scope"            # what each delegation leaves out: a scope; or "authority": a scope, resource or tool
proper_from = 1                  # 2: the first agent may hold all that the user's token carries
scope_grammar = "exact"          # or "segments", in which crm.* covers crm.read

[store]
url = "sqlite:///tokensvc.db"    # a file beside this one; memory: forgets everything when the process ends

[server]
host = "127.0.0.1"
port = 8700

[keys]
dir = "keys"                     # tokensvc keys rotate replaces the key that signs
algorithm = "ES256"              # or Ed25519, RS256

[limits]
depth = 5                        # delegations in a row, 10 at most
token_lifetime_s = 300           # of one token, 900 at most; agents renew
root_lifetime_s = 28800          # of everything that follows from one user's token, 8 hours at most
leeway_s = 30                    # between clocks, 60 at most
token_bytes = 8000               # the size of an issued token, 16384 at most

# The identity provider whose users may delegate.
# This one is a STAND-IN FOR DEVELOPMENT: its private key lies in {idp_private}, so whoever reads that file
# is every user. Put your own provider's values here, discovery = true in place of jwks_file, and delete {idp_private}.
# docs/identity-providers.md has the settings for Keycloak, Entra ID, Okta, Auth0, Google and Cognito.
[[identity_provider]]
iss = "https://idp.invalid"
jwks_file = "{idp_public}"       # or jwks_url = "https://...", or discovery = true
audience = ["tokensvc"]          # what its tokens for this service carry in aud
typ = ["at+jwt"]                 # RFC 9068; some providers write JWT
algorithms = ["RS256"]
subject_prefix = ""              # put before the names of its users, "corp:" say; no agent id may start with it then
session_lifetime_s = 0           # 0: a delegation ends with the user's token
# What its users can authorise at most. Tools of theirs: authorization_details = [ {{ type = "attenuating_agent_token",
# tools = {{ search = {{}} }} }} ]; every token repeats the list, so keep it short.
ceiling = {{ resources = ["https://api.example"], max_depth = 5 }}

# Agents. A user with crm.read, crm.write and crm.export starts planner with less than that, and planner may hand
# still less to researcher: every step gives something up.
[[agent]]
id = "planner"
auth = "client_secret_basic"     # or client_secret_post; or private_key_jwt, with jwks_file = "planner.jwks.json"
secret_sha256 = ["{planner}"]    # two may live at once, to replace one without an outage
scopes = ["crm.read", "crm.write"]
resources = ["https://api.example"]
default_resource = "https://api.example"
may_delegate_to = ["researcher"]
fronts = []                      # clients that obtain the user's token for this agent alone, such as a chat UI
# max_lifetime_s = 3600          # of a delegation to this agent
# max_depth = 3
# serves = ["https://api.example"]                  # it is the server there, and calls further with what it is shown:
# downstream_resources = ["https://mail.example"]   # here, while that token lives
# enabled = false                # bars the agent

[[agent]]
id = "researcher"
auth = "client_secret_basic"
secret_sha256 = ["{researcher}"]
scopes = ["crm.read"]
resources = ["https://api.example"]
default_resource = "https://api.example"

# What tokens are for.
[[resource]]
id = "https://api.example"       # the aud of its tokens
names = ["crm"]                  # what the parameter audience may call it
scopes = ["crm.read", "crm.write", "crm.export"]
# enforces_details = true        # it checks the tool and the arguments of every call
client_id = "crm-api"            # its name and secret for asking about tokens (introspection)
secret_sha256 = ["{crm_api}"]
"""


def register(app: typer.Typer) -> None:
    """Add `init` to `app`."""
    app.command("init")(_init)


def _init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to write; made when it is not there.")
    ] = Path(),
    *,
    as_json: JsonOption = False,
) -> None:
    """Write a configuration that works as it is: tokensvc.toml, a signing key, and a stand-in identity provider.

    Each client's secret is shown once; the file holds its hash only. Nothing that exists is overwritten.

    Example: `tokensvc init && tokensvc check-config && tokensvc serve`

    Example: `tokensvc init /srv/tokensvc --json`
    """
    _refuse_existing(directory, as_json=as_json)
    client_secrets = {client: secrets.token_urlsafe(_SECRET_BYTES) for client in _CLIENTS}
    try:
        kid = _write_everything(directory, client_secrets)
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    try:
        _show(directory, kid, client_secrets, as_json=as_json)
    except BaseException:
        # Secrets that nobody saw are of no use: the command can be given again. The signing key is as good as new.
        for name in _FILES:
            (directory / name).unlink(missing_ok=True)
        raise


def _show(directory: Path, kid: str, client_secrets: Mapping[str, str], *, as_json: bool) -> None:
    config = directory / _CONFIG
    if as_json:
        files = [str(directory / name) for name in _FILES]
        say_json({"config": str(config), "files": files, "signing_kid": kid, "secrets": client_secrets})
    else:
        say("configuration", str(config))
        say("signing key", kid)
        say("identity provider", f"a stand-in for development; its private key: {directory / _IDP_PRIVATE}")
        say_table(("client", "secret (shown once: store it now)"), client_secrets.items())
        say_next(render_command("check-config", config=config))
    # What is left in a buffer has not been shown yet.
    sys.stdout.flush()


def _refuse_existing(directory: Path, *, as_json: bool) -> None:
    """Look at every name first, so that a refusal leaves nothing half written."""
    remedy = "Move it away, or name another folder: tokensvc init DIR"
    existing = [path for name in _FILES if os.path.lexists(path := directory / name)]
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
    hashes = {
        client.replace("-", "_"): hashlib.sha256(secret.encode("ascii")).hexdigest()
        for client, secret in client_secrets.items()
    }
    config = _TEMPLATE.format(idp_private=_IDP_PRIVATE, idp_public=_IDP_PUBLIC, **hashes)
    with _explained(directory):
        if not (ignore := keys / ".gitignore").exists():
            _write_new(ignore, "*\n", mode=_PUBLIC_FILE)
        _write_new(directory / _IDP_PRIVATE, _json(identity_provider.unsafe_private_jwk()), mode=_PRIVATE_FILE)
        _write_new(directory / _IDP_PUBLIC, _json(render_jwks(KeySet([identity_provider.public]))), mode=_PUBLIC_FILE)
        _write_new(directory / _CONFIG, config, mode=_PUBLIC_FILE)
    return kid


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
