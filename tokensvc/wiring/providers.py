"""The keys of identity providers and authorities that are fetched, and kept fresh."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from tokensvc.settings import Authority, IdentityProvider, Settings
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
    """What fetches the keys of the providers and authorities that are enabled; None where all keys are in files.

    Nothing is fetched before it is entered. Providers that are down keep nobody from starting. `clock` and `sleep` are
    for tests.
    """
    providers, authorities = _fetched_providers(settings), _fetched_authorities(settings)
    if not (providers or authorities):
        return None
    # One for all: to load the certificate authorities takes longer than most requests.
    door = open_door(timeout_s=_FETCH_TIMEOUT_S)
    # The providers first: a key for logins that an authority has as well signs no roots (`RefreshedKeys.holder_of`).
    fetches = {provider.iss: _fetch_of(provider, replace(door, reach=provider.reach)) for provider in providers}
    fetches |= {one.key_holder: fetch_from(url, replace(door, reach=one.reach)) for one, url in authorities}
    return RefreshedKeys(
        fetches,
        timeout_s=_FETCH_TIMEOUT_S,
        cooldown_s=_FETCH_COOLDOWN_S,
        max_fresh_s=_MAX_FRESH_S,
        max_stale_s=_MAX_STALE_S,
        clock=clock,
        sleep=sleep,
    )


def _fetched_providers(settings: Settings) -> list[IdentityProvider]:
    return [provider for provider in settings.identity_providers if provider.enabled and provider.keys_url]


def _fetched_authorities(settings: Settings) -> list[tuple[Authority, str]]:
    return [(one, one.jwks_url) for one in settings.authorities if one.enabled and one.jwks_url is not None]


def places_of(settings: Settings) -> list[tuple[object, ...]]:
    """Whose keys are fetched, and from where."""
    providers = [(provider.iss, provider.jwks_url, provider.reach) for provider in _fetched_providers(settings)]
    return [*providers, *((one.key_holder, url, one.reach) for one, url in _fetched_authorities(settings))]


def _fetch_of(provider: IdentityProvider, door: Door) -> Fetch:
    return fetch_from(provider.jwks_url, door) if provider.jwks_url else discover(provider.iss, door)
