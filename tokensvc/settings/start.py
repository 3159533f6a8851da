"""What keeps a service from starting although its settings load: rules on what else is at hand by then.

`serve` and `check-config` ask the same questions here.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tokensvc.core.keyset import KeySet
from tokensvc.errors import ConfigurationError, Malformed
from tokensvc.settings.agent_keys import AgentKeys
from tokensvc.settings.model import Settings
from tokensvc.settings.publishers import publishers_of
from tokensvc.settings.values import MEMORY
from tokensvc.smallfile import read_small_file

__all__ = ["load_store_password", "require_own_keys", "require_private_when_plain", "require_shareable"]

# Longer than any password that Redis is given; anything larger is another file.
_MAX_PASSWORD_BYTES: Final = 4096


def require_private_when_plain(settings: Settings, host: str, *, file: str) -> None:
    """With an http issuer nobody encrypts: secrets and tokens must not leave the machine. Raises: ConfigurationError.

    `host` is where the service is to listen.
    """
    if urlsplit(settings.issuer).scheme == "https" or _is_loopback(host):
        return
    problem = "an http issuer, but listening where other machines send secrets and tokens"
    remedy = "Listen on 127.0.0.1, or set issuer to the https URL of the proxy in front of this service."
    raise ConfigurationError(problem, file=file, key="server.host", remedy=remedy)


def require_shareable(settings: Settings, workers: int, *, file: str) -> None:
    """Several processes need one store: a token used in one of them must be used in all. Raises: ConfigurationError."""
    if workers == 1 or settings.store.url != MEMORY:
        return
    problem = f"{workers} workers, but each would have a memory of its own"
    remedy = 'Set url = "sqlite:///tokensvc.db", or leave out --workers.'
    raise ConfigurationError(problem, file=file, key="store.url", remedy=remedy)


def require_own_keys(
    settings: Settings, upstream: Mapping[str, KeySet], agents: Mapping[str, AgentKeys], own: KeySet
) -> None:
    """Whoever holds a key under two names speaks for both. Raises: ConfigurationError.

    `upstream` are what `load_upstream_keys` read, by name; `agents` the keys of agents, by id; `own` those of this
    service.
    """
    others = "this token service, an identity provider, an authority or a platform"
    thumbprints = {key.thumbprint for key in own}
    issuers = thumbprints | {key.thumbprint for keys in upstream.values() for key in keys}
    for agent in settings.agents:
        keys = agents.get(agent.id, AgentKeys())
        for path, key_set in ((agent.jwks_file, keys.assertion), (agent.holder_jwks_file, keys.holder)):
            if not any(key.thumbprint in issuers for key in key_set):
                continue
            raise ConfigurationError(
                f"the key set of an agent holds a key of {others}",
                file=str(path),
                key="",
                remedy=f"Save the public keys of {agent.id} there, as a JWK set.",
            )
        if keys.certificate_keys & issuers:
            raise ConfigurationError(
                f"the certificate of an agent has a key of {others}",
                file=str(agent.certificate_file),
                key="",
                remedy=f"Save the certificate of {agent.id} there, of a key of its own.",
            )
    for publisher in publishers_of(settings):
        if any(key.thumbprint in thumbprints for key in upstream.get(publisher.name, ())):
            raise ConfigurationError(
                f"the key set of the {publisher.title} holds a signing key of this token service",
                file=str(publisher.file),
                key="",
                remedy=f"Save the {publisher.title}'s own JWK set there, or replace the key: tokensvc keys rotate",
            )


def load_store_password(path: Path) -> str:
    """The one line of the file at `path`, without its end. Raises: ConfigurationError, which repeats nothing of it."""
    try:
        password = read_small_file(path, max_bytes=_MAX_PASSWORD_BYTES).decode("utf-8").removesuffix("\n")
    except OSError as exc:
        raise _unusable_password(path, f"cannot be read ({exc.strerror})") from exc
    except (Malformed, UnicodeDecodeError):
        # Not "from exc": that of UTF-8 carries the bytes.
        raise _unusable_password(path, "is no text file of one line") from None
    if not password or not password.isprintable():
        raise _unusable_password(path, "is not one line of printable characters")
    return password


def _unusable_password(path: Path, problem: str) -> ConfigurationError:
    remedy = "Write the password alone into it, and let this user read it; or correct store.password_file."
    return ConfigurationError(f"the password of the store {problem}", file=str(path), key="", remedy=remedy)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
