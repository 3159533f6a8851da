"""What keeps a service from starting although its settings load: rules on what else is at hand by then.

`serve` and `check-config` ask the same questions here.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from tokensvc.core.keyset import KeySet
from tokensvc.errors import ConfigurationError
from tokensvc.settings.model import Settings

__all__ = ["require_own_keys", "require_private_when_plain"]


def require_private_when_plain(settings: Settings, host: str, *, file: str) -> None:
    """With an http issuer nobody encrypts: secrets and tokens must not leave the machine. Raises: ConfigurationError.

    `host` is where the service is to listen.
    """
    if urlsplit(settings.issuer).scheme == "https" or _is_loopback(host):
        return
    problem = "an http issuer, but listening where other machines send secrets and tokens"
    remedy = "Listen on 127.0.0.1, or set issuer to the https URL of the proxy in front of this service."
    raise ConfigurationError(problem, file=file, key="server.host", remedy=remedy)


def require_own_keys(settings: Settings, upstream: Mapping[str, KeySet], own: KeySet) -> None:
    """Whoever holds a key under two issuers speaks for both. Raises: ConfigurationError.

    `upstream` are the keys of identity providers that are in files, by `iss`; `own` are those of this service.
    """
    thumbprints = {key.thumbprint for key in own}
    for provider in settings.identity_providers:
        if any(key.thumbprint in thumbprints for key in upstream.get(provider.iss, ())):
            raise ConfigurationError(
                "the key set of the identity provider holds a signing key of this token service",
                file=str(provider.jwks_file),
                key="",
                remedy="Save the identity provider's own JWK set there, or replace the key: tokensvc keys generate",
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
