"""The public keys of all whose tokens are taken (`publishers`), read from the files that the settings name.

They are held against each other: an authority signs roots with a key that is not its login key.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tokensvc.core.keyset import KeySet, parse_jwks
from tokensvc.core.spiffe import parse_bundle
from tokensvc.errors import ConfigurationError
from tokensvc.settings.key_set_file import read_key_set, unusable_key_set
from tokensvc.settings.model import Settings
from tokensvc.settings.publishers import Publisher, publishers_of

__all__ = ["find_key_problems", "load_upstream_keys"]

# A hundred RSA keys with their certificates; anything larger is another file.
_MAX_BYTES: Final = 1_000_000


def load_upstream_keys(settings: Settings) -> Mapping[str, KeySet]:
    """The key sets that are in files, by the `name` of each publisher that is enabled.

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
    seen: dict[str, Publisher] = {}
    for publisher in publishers_of(settings):
        if publisher.file is None or not publisher.enabled:
            continue
        try:
            keys[publisher.name] = found = _load_key_set(publisher, publisher.file)
        except ConfigurationError as exc:
            yield exc
            continue
        holders = {seen[key.thumbprint].name: seen[key.thumbprint] for key in found if key.thumbprint in seen}
        for _, holder in sorted(holders.items()):
            yield _shared(publisher, publisher.file, holder)
        seen |= {key.thumbprint: publisher for key in found}


def _shared(publisher: Publisher, path: Path, holder: Publisher) -> ConfigurationError:
    """Whoever holds the private half speaks for both, and a key for logins would sign roots."""
    whose = f"another {holder.title}," if holder.title == publisher.title else f"the {holder.title}"
    remedy = f"Save each {publisher.title}'s own JWK set, or have one of the two replace its key."
    if publisher.title == "authority" and holder.title != "authority":
        remedy = "Sign roots with a key of their own, and save its JWK set there."
    return unusable_key_set(path, f"the key set holds a key of {whose} {holder.iss}", remedy)


def _load_key_set(publisher: Publisher, path: Path) -> KeySet:
    title, key = publisher.title, publisher.key.partition("[")[0]
    keys = read_key_set(
        path,
        of=f"the {title}",
        max_bytes=_MAX_BYTES,
        when_unread=f"Save the {title}'s JWK set there, or correct {key}.{publisher.file_key}.",
        when_unusable=f"Save the JWK set again, as the {title} publishes it.",
        parse=parse_bundle if publisher.is_bundle else parse_jwks,
    )
    if not any(key.alg in publisher.algorithms for key in keys):
        algorithms = " or ".join(sorted(publisher.algorithms))
        correct = f"correct {key}.algorithms" if key == "identity_provider" else "make a key for it"
        remedy = f"Save the {title}'s current JWK set there, or {correct}."
        if publisher.is_bundle:
            remedy = "Save the trust domain's current bundle there, one that has keys whose use is jwt-svid."
        raise unusable_key_set(path, f"the key set holds no signature key for {algorithms}", remedy)
    return keys
