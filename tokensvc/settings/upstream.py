"""The public keys of the identity providers, read from the files that the settings name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tokensvc.core.keyset import KeySet
from tokensvc.errors import ConfigurationError
from tokensvc.settings.key_set_file import read_key_set, unusable_key_set
from tokensvc.settings.model import IdentityProvider, Settings

__all__ = ["find_key_problems", "load_upstream_keys"]

# A hundred RSA keys with their certificates; anything larger is another file.
_MAX_BYTES: Final = 1_000_000


def load_upstream_keys(settings: Settings) -> Mapping[str, KeySet]:
    """The key sets that are in files, by the `iss` of each identity provider that is enabled.

    Each holds a key for one of its algorithms at least, and no two share a key. Raises: ConfigurationError, naming the
    key set's own file.
    """
    keys: dict[str, KeySet] = {}
    for problem in _load(settings, keys):
        raise problem
    return keys


def find_key_problems(settings: Settings) -> Iterator[ConfigurationError]:
    """Everything for which `load_upstream_keys` would raise."""
    yield from _load(settings, {})


def _load(settings: Settings, keys: dict[str, KeySet]) -> Iterator[ConfigurationError]:
    """Fills `keys`, and says what could not be."""
    seen: dict[str, str] = {}
    for provider in settings.identity_providers:
        if provider.jwks_file is None or not provider.enabled:
            continue
        try:
            keys[provider.iss] = found = _load_key_set(provider, provider.jwks_file)
        except ConfigurationError as exc:
            yield exc
            continue
        holders = {seen[key.thumbprint] for key in found if key.thumbprint in seen}
        for holder in sorted(holders):
            # Whoever holds the private half speaks for both.
            remedy = "Save each identity provider's own JWK set, or have one of them replace its key."
            problem = f"the key set holds a key of another identity provider, {holder}"
            yield unusable_key_set(provider.jwks_file, problem, remedy)
        seen |= {key.thumbprint: provider.iss for key in found}


def _load_key_set(provider: IdentityProvider, path: Path) -> KeySet:
    keys = read_key_set(
        path,
        of="the identity provider",
        max_bytes=_MAX_BYTES,
        when_unread="Save the identity provider's JWK set there, or correct identity_provider.jwks_file.",
        when_unusable="Save the JWK set again, as the identity provider publishes it at its jwks_uri.",
    )
    if not any(key.alg in provider.algorithms for key in keys):
        algorithms = " or ".join(sorted(provider.algorithms))
        remedy = "Save the identity provider's current JWK set there, or correct identity_provider.algorithms."
        raise unusable_key_set(path, f"the key set holds no signature key for {algorithms}", remedy)
    return keys
