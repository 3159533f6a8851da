"""A key set in a file that the settings name: an identity provider's, an agent's, a trust domain's."""

from collections.abc import Callable
from pathlib import Path

from tokensvc.core.jsontext import JsonObject, parse_json_object
from tokensvc.core.keyset import KeySet, parse_jwks
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed
from tokensvc.smallfile import read_small_file

__all__ = ["read_key_set", "unusable_key_set"]


def read_key_set(
    path: Path,
    *,
    of: str,
    max_bytes: int,
    when_unread: str,
    when_unusable: str,
    parse: Callable[[JsonObject], KeySet] = parse_jwks,
) -> KeySet:
    """The key set at `path`, `of` somebody. Raises: ConfigurationError with the remedy for what went wrong."""
    try:
        return parse(parse_json_object(read_small_file(path, max_bytes=max_bytes)))
    except OSError as exc:
        problem = f"the key set of {of} cannot be read ({exc.strerror})"
        raise unusable_key_set(path, problem, when_unread) from exc
    except (Malformed, KeyRefused) as exc:
        raise unusable_key_set(path, exc.description, when_unusable) from exc


def unusable_key_set(path: Path, problem: str, remedy: str) -> ConfigurationError:
    """The error about the file itself, whichever key of the settings names it."""
    return ConfigurationError(problem, file=str(path), key="", remedy=remedy)
