"""A configuration that loads, as plain values, and a writer of TOML: tests change one thing in it and look again."""

import copy
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.errors import ConfigurationError
from tokensvc.settings import Settings, examine_settings
from tokensvc.signing.keyfiles import make_key

__all__ = [
    "ABSENT",
    "API",
    "JWKS_FILE",
    "Place",
    "change",
    "examine",
    "problems",
    "render_place",
    "sha256",
    "valid_values",
    "write_settings",
]

API: Final = "https://api.example"
JWKS_FILE: Final = "idp.jwks.json"
Place = tuple[str | int, ...]
ABSENT: Final = object()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def valid_values() -> dict[str, Any]:
    """A fresh copy of a configuration with two agents and two resources."""
    return copy.deepcopy(_VALID)


_VALID: Final[dict[str, Any]] = {
    "issuer": "https://tokens.example",
    "identity_provider": [
        {
            "iss": "https://idp.example",
            "jwks_file": JWKS_FILE,
            "audience": ["tokensvc"],
            "ceiling": {"resources": [API]},
        }
    ],
    "agent": [
        {
            "id": "planner",
            "auth": "client_secret_basic",
            "secret_sha256": [sha256("planner")],
            "scopes": ["crm.read", "crm.write"],
            "resources": [API],
            "may_delegate_to": ["researcher"],
            "fronts": ["chat-ui"],
        },
        {
            "id": "researcher",
            "auth": "client_secret_post",
            "secret_sha256": [sha256("researcher")],
            "scopes": ["crm.read"],
            "resources": [API],
        },
    ],
    "resource": [
        {
            "id": API,
            "client_id": "crm-api",
            "names": ["crm"],
            "scopes": ["crm.read", "crm.write"],
            "secret_sha256": [sha256("crm-api")],
        },
        {
            "id": "https://mail.example",
            "client_id": "mail-api",
            "names": ["mail"],
            "scopes": ["mail.send"],
            "secret_sha256": [sha256("mail-api")],
        },
    ],
}


def change(values: dict[str, Any], place: Place, value: object) -> dict[str, Any]:
    """`values` with `value` at `place`, tables made on the way; `ABSENT` takes the key away."""
    *path, last = place
    target: Any = values
    for step in path:
        target = target.setdefault(step, {}) if isinstance(step, str) else target[step]
    if value is ABSENT:
        del target[last]
    else:
        target[last] = value
    return values


def render_place(place: Place) -> str:
    """The key as errors name it: `agent[0].scopes`."""
    return ".".join(str(step) for step in place).replace(".0", "[0]").replace(".1", "[1]")


@cache
def _jwks() -> str:
    return json.dumps(render_jwks(KeySet([make_key(Algorithm.RS256).public])))


def write_settings(folder: Path, values: Mapping[str, Any]) -> Path:
    """The file `tokensvc.toml` in `folder`, with a key set beside it."""
    (folder / JWKS_FILE).write_text(_jwks())
    path = folder / "tokensvc.toml"
    path.write_text("".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in values.items()))
    return path


def examine(folder: Path, values: Mapping[str, Any], **environ: str) -> Settings | tuple[ConfigurationError, ...]:
    """What `examine_settings` says of `values`."""
    return examine_settings(write_settings(folder, values), environ)


def problems(folder: Path, values: Mapping[str, Any], **environ: str) -> list[tuple[str, str]]:
    """Key and problem of each fault; none for a configuration that loads."""
    found = examine(folder, values, **environ)
    return [] if isinstance(found, Settings) else [(error.key, error.description) for error in found]


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_toml(member)}" for key, member in value.items()) + "}"
        case list():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            return json.dumps(value)
