"""The configured store for a command, beside a server that runs or without one. None is made that is not there."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from tokensvc.cli.console import ExitCode, fail
from tokensvc.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from tokensvc.ports import Store
    from tokensvc.settings import Settings

__all__ = ["use_store"]

T = TypeVar("T")

_LOST: Final = "the store has forgotten; what was issued before is dead, and revoked keys have to be revoked again"


def use_store(settings: "Settings", config: Path, use: Callable[["Store"], Awaitable[T]], *, as_json: bool) -> T:
    """What `use` makes of the store, opened before and closed after. Exits where the store cannot be used."""
    from tokensvc.wiring import open_store

    if settings.store.sqlite_path is None and settings.store.redis_url is None:
        problem = ConfigurationError(
            "a memory: store lives in the server process: nobody else can read it, and it ends with the process",
            file=str(config),
            key="store.url",
            remedy='Keep what must not be forgotten in a file: url = "sqlite:///tokensvc.db"',
        )
        fail([problem], as_json=as_json)
    try:
        return asyncio.run(_use(open_store(settings, _Events(), may_make=False), use))
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    except Unavailable as exc:
        remedy = "Try again once the store can be used."
        problem = ConfigurationError(exc.description, file=str(config), key="store.url", remedy=remedy)
        fail([problem], as_json=as_json, code=ExitCode.UNREACHABLE)


async def _use(store: "Store", use: Callable[["Store"], Awaitable[T]]) -> T:
    await store.open()
    try:
        return await use(store)
    finally:
        await store.close()


class _Events:
    """Implements `StoreEvents`: tells who typed the command what a server would log."""

    def store_made(self, place: str) -> None:
        """Never comes: this store was opened without the right to make one."""

    def store_lost(self, place: str) -> None:
        """Say so."""
        typer.secho(f"{place}: {_LOST}", fg="red", err=True)

    def store_doubtful(self, place: str, problem: str) -> None:
        """Left to the server, which says it at each start."""
