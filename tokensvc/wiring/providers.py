"""The keys of all whose tokens are taken (`Publisher`) that are fetched, and kept fresh."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from tokensvc.core.keyset import parse_jwks
from tokensvc.core.spiffe import parse_bundle
from tokensvc.settings import Publisher, Settings, publishers_of
from tokensvc.verify.jwks_http import Door, RefreshedKeys, discover, fetch_from, open_door
from tokensvc.verify.jwks_refresh import Fetch, seconds_since_boot

__all__ = ["fetched_keys_of", "places_of"]

# An identity provider that is slow must not hold up its own users for longer than they wait for a page.
_FETCH_TIMEOUT_S: Final = 5.0
# Whoever sends unknown key ids can cause so many fetches and no more; a new key is taken up as fast as this.
_FETCH_COOLDOWN_S: Final = 30.0
# A key that was withdrawn may go on for so long when the provider says that its answers may be kept for a day.
_MAX_FRESH_S: Final = 900.0
# While an identity provider is down, its users may go on for so long.
_MAX_STALE_S: Final = 3600.0


def fetched_keys_of(
    settings: Settings,
    *,
    clock: Callable[[], float] = seconds_since_boot,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> RefreshedKeys | None:
    """What fetches the keys of all that are registered and enabled, by `Publisher.name`; None where they are in files.

    Nothing is fetched before it is entered. Publishers that are down keep nobody from starting. `clock` and `sleep` are
    for tests.
    """
    publishers = _fetched_publishers(settings)
    if not publishers:
        return None
    # One for all: to load the certificate authorities takes longer than most requests.
    door = open_door(timeout_s=_FETCH_TIMEOUT_S)
    fetches = {publisher.name: _fetch_of(publisher, replace(door, reach=publisher.reach)) for publisher in publishers}
    return RefreshedKeys(
        fetches,
        timeout_s=_FETCH_TIMEOUT_S,
        cooldown_s=_FETCH_COOLDOWN_S,
        max_fresh_s=_MAX_FRESH_S,
        max_stale_s=_MAX_STALE_S,
        clock=clock,
        sleep=sleep,
    )


def _fetched_publishers(settings: Settings) -> list[Publisher]:
    return [publisher for publisher in publishers_of(settings) if publisher.enabled and publisher.file is None]


def places_of(settings: Settings) -> list[tuple[object, ...]]:
    """Whose keys are fetched, and from where."""
    return [(publisher.name, publisher.url, publisher.reach) for publisher in _fetched_publishers(settings)]


def _fetch_of(publisher: Publisher, door: Door) -> Fetch:
    if publisher.url is None:
        return discover(publisher.iss, door)
    return fetch_from(publisher.url, door, parse=parse_bundle if publisher.is_bundle else parse_jwks)
