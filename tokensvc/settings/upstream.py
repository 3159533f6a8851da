"""The public keys of identity providers and authorities, read from the files that the settings name.

The keys of both are held against each other: an authority signs roots with a key that is not its login key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokensvc.core.keyset import Algorithm, KeySet
from tokensvc.errors import ConfigurationError
from tokensvc.settings.key_set_file import read_key_set, unusable_key_set
from tokensvc.settings.model import Settings

__all__ = ["find_key_problems", "load_upstream_keys"]

# A hundred RSA keys with their certificates; anything larger is another file.
_MAX_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A file with the keys of `holder`, and what they may be for; `table` is where the settings name it."""

    holder: str
    what: str
    table: str
    path: Path
    algorithms: frozenset[Algorithm]


def load_upstream_keys(settings: Settings) -> Mapping[str, KeySet]:
    """The key sets that are in files, of everybody who is enabled: providers by `iss`, authorities by `key_holder`.

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


def _sources(settings: Settings) -> Iterator[_Source]:
    for provider in settings.identity_providers:
        if provider.jwks_file is not None and provider.enabled:
            yield _Source(
                holder=provider.iss,
                what="identity provider",
                table="identity_provider",
                path=provider.jwks_file,
                algorithms=frozenset(provider.algorithms),
            )
    for authority in settings.authorities:
        if authority.jwks_file is not None and authority.enabled:
            yield _Source(
                holder=authority.key_holder,
                what="authority",
                table="authority",
                path=authority.jwks_file,
                algorithms=frozenset(Algorithm),
            )


def _load(settings: Settings, keys: dict[str, KeySet]) -> Iterator[ConfigurationError]:
    """Fills `keys`, and says what could not be."""
    seen: dict[str, _Source] = {}
    for source in _sources(settings):
        try:
            keys[source.holder] = found = _load_key_set(source)
        except ConfigurationError as exc:
            yield exc
            continue
        others = {seen[key.thumbprint] for key in found if key.thumbprint in seen}
        for other in sorted(others, key=lambda other: other.holder):
            yield _shared(source, other)
        seen |= {key.thumbprint: source for key in found}


def _shared(source: _Source, other: _Source) -> ConfigurationError:
    """Whoever holds the private half speaks for both, and a key for logins would sign roots."""
    if source.what == other.what:
        remedy = f"Save each {source.what}'s own JWK set, or have one of them replace its key."
        problem = f"the key set holds a key of another {other.what}, {other.holder.removeprefix('authority ')}"
    else:
        remedy = "Sign roots with a key of their own, and save its JWK set there."
        problem = f"the key set holds a key of the {other.what} {other.holder}"
    return unusable_key_set(source.path, problem, remedy)


def _load_key_set(source: _Source) -> KeySet:
    keys = read_key_set(
        source.path,
        of=f"the {source.what}",
        max_bytes=_MAX_BYTES,
        when_unread=f"Save the {source.what}'s JWK set there, or correct {source.table}.jwks_file.",
        when_unusable=f"Save the JWK set again, as the {source.what} publishes it.",
    )
    if not any(key.alg in source.algorithms for key in keys):
        algorithms = " or ".join(sorted(source.algorithms))
        correct = f"correct {source.table}.algorithms" if source.what == "identity provider" else "make a key for it"
        remedy = f"Save the {source.what}'s current JWK set there, or {correct}."
        raise unusable_key_set(source.path, f"the key set holds no signature key for {algorithms}", remedy)
    return keys
