"""A configuration file that is read again while the service runs: what may not differ then."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

from tokensvc.errors import ConfigurationError
from tokensvc.settings.load import examine_settings
from tokensvc.settings.model import Settings

__all__ = ["examine_change"]

# The name that tokens carry, and what is opened once, at the start: state, sockets, keys.
_FIXED: Final = ("issuer", "store", "server", "keys")


def examine_change(
    current: Settings, path: Path, environ: Mapping[str, str]
) -> Settings | tuple[ConfigurationError, ...]:
    """The settings at `path` now, to follow `current`; or every problem: a value that only a restart can change is one.

    See `examine_settings`.
    """
    found = examine_settings(path, environ)
    if not isinstance(found, Settings):
        return found
    # No values: the URL of a store may hold a password.
    problems = tuple(
        ConfigurationError(problem, file=str(path), key=key, remedy="Put it back as it was, or restart the service.")
        for key, problem in _unchangeable(current, found)
    )
    return problems or found


def _unchangeable(before: Settings, after: Settings) -> Iterator[tuple[str, str]]:
    for name in _FIXED:
        for key in _differing(name, getattr(before, name), getattr(after, name)):
            yield key, "cannot change while the service runs"
    # The store was told at the start whose tokens die, and of how far ahead, should it ever forget.
    if before.limits.leeway_s != after.limits.leeway_s:
        yield "limits.leeway_s", "cannot change while the service runs"
    known = {provider.iss for provider in before.identity_providers}
    for index, provider in enumerate(after.identity_providers):
        if provider.iss not in known:
            yield f"identity_provider[{index}].iss", "an identity provider cannot be added while the service runs"
    known = {authority.iss for authority in before.authorities}
    for index, authority in enumerate(after.authorities):
        if authority.iss not in known:
            yield f"authority[{index}].iss", "an authority cannot be added while the service runs"


def _differing(name: str, before: object, after: object) -> Iterator[str]:
    """The key itself, or for a table the keys in it."""
    if not is_dataclass(before):
        if before != after:
            yield name
        return
    for member in fields(before):
        yield from _differing(f"{name}.{member.name}", getattr(before, member.name), getattr(after, member.name))
