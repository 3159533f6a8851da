"""The store that the settings name."""

from pathlib import Path

from tokensvc.ports import Clock, Store
from tokensvc.settings import Settings
from tokensvc.settings.redis_url import RedisUrl
from tokensvc.settings.start import load_store_password
from tokensvc.storage.loss import LossRule, StoreEvents
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.redis import RedisAddress, RedisStore
from tokensvc.storage.sqlite import SqliteStore
from tokensvc.wiring.clock import system_clock

__all__ = ["open_store"]


def open_store(settings: Settings, events: StoreEvents, *, clock: Clock = system_clock, may_make: bool = True) -> Store:
    """The store that `store.url` names. It answers once it is opened (`Store.open`), which the application does.

    Without `may_make`, opening it refuses to make one where there is none.

    Raises: ConfigurationError when the file with its password cannot be read.
    """
    rule = LossRule(
        issuer=settings.issuer,
        # Each name once: an authority may be an identity provider too.
        upstream=tuple(dict.fromkeys(source.iss for source in settings.user_sources)),
        leeway_s=settings.limits.leeway_s,
        clock=clock,
    )
    if (path := settings.store.sqlite_path) is not None:
        return SqliteStore(path, rule, events=events, may_make=may_make)
    if (url := settings.store.redis_url) is not None:
        address = _address_of(url, settings.store.password_file)
        return RedisStore(address, rule, events=events, may_make=may_make)
    return MemoryStore(rule)


def _address_of(url: RedisUrl, password_file: Path | None) -> RedisAddress:
    return RedisAddress(
        host=url.host,
        port=url.port,
        db=url.db,
        username=url.username,
        password=url.password if password_file is None else load_store_password(password_file),
        tls=url.tls,
    )
