"""The public keys of the identity providers, read from the files that the settings name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.keyset import KeySet, parse_jwks
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed
from tokensvc.settings.model import IdentityProvider, Settings
from tokensvc.smallfile import read_small_file

__all__ = ["load_upstream_keys"]

# A hundred RSA keys with their certificates; anything larger is another file.
_MAX_BYTES: Final = 1_000_000


def load_upstream_keys(settings: Settings) -> Mapping[str, KeySet]:
    """The key set of each identity provider, by its `iss`; each holds a key for one of its algorithms at least.

    Raises: ConfigurationError, naming the key set's own file.
    """
    return {provider.iss: _load_key_set(provider) for provider in settings.identity_providers}


def _load_key_set(provider: IdentityProvider) -> KeySet:
    file = str(provider.jwks_file)
    try:
        keys = parse_jwks(parse_json_object(_read(provider.jwks_file)))
    except (Malformed, KeyRefused) as exc:
        remedy = "Save the JWK set again, as the identity provider publishes it at its jwks_uri."
        raise ConfigurationError(exc.description, file=file, key="", remedy=remedy) from exc
    if not any(key.alg in provider.algorithms for key in keys):
        algorithms = " or ".join(sorted(provider.algorithms))
        raise ConfigurationError(
            f"the key set holds no signature key for {algorithms}",
            file=file,
            key="",
            remedy="Save the identity provider's current JWK set there, or correct identity_provider.algorithms.",
        )
    return keys


def _read(path: Path) -> bytes:
    try:
        return read_small_file(path, max_bytes=_MAX_BYTES)
    except OSError as exc:
        raise ConfigurationError(
            f"the key set of the identity provider cannot be read ({exc.strerror})",
            file=str(path),
            key="",
            remedy="Save the identity provider's JWK set there, or correct identity_provider.jwks_file.",
        ) from exc
