"""The embedded store: one SQLite file, one worker thread, group commit."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, OneTimeValue, Record
from tokensvc.storage.ledger import (
    Operation,
    appending,
    asking_revoked,
    committing,
    finding,
    parse_record,
    pinging,
    revoking,
)
from tokensvc.storage.sqlite_database import Database
from tokensvc.storage.worker import Worker

__all__ = ["SqliteStore"]

T = TypeVar("T")

# A few hundred milliseconds of work at the pace of one fsync per group; whoever comes later is better off with a 503.
_CAPACITY: Final = 4096
# Large enough to share an fsync among all requests a process has in flight, small enough to answer the first soon.
_MAX_GROUP: Final = 256
# How long another process may hold the write lock: it takes one group, so seconds mean that something is wrong.
_BUSY_TIMEOUT_S: Final = 2.0


class SqliteStore:
    """Implements `ports.Store` in the SQLite file at `path`, on a local disk (WAL needs shared memory).

    Several processes may open the same file. What was acknowledged survives `kill -9` and loss of power. While the file
    cannot be used (locked, disk full, damaged) every call raises Unavailable; once it can, the store answers again.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        capacity: int = _CAPACITY,
        busy_timeout_s: float = _BUSY_TIMEOUT_S,
        when_made: Callable[[Path], None] | None = None,
    ) -> None:
        """`capacity` calls may wait at a time; `busy_timeout_s` is how long to wait for another process's lock.

        `when_made` is called with the path when `open` finds no database and makes one.
        """
        self._path = Path(path).absolute()
        self._capacity = capacity
        self._busy_timeout_s = busy_timeout_s
        self._when_made = when_made
        self._worker: Worker | None = None

    async def open(self) -> None:
        """Create or open the file and start the thread; an open store stays as it is.

        Raises: ConfigurationError for a file that can never be used, Unavailable for one that cannot be used now.
        """
        if self._worker is not None and self._worker.is_accepting:
            return
        database = Database(self._path, busy_timeout_s=self._busy_timeout_s)
        self._worker = Worker(database, capacity=self._capacity, max_group=_MAX_GROUP)
        await self._worker.start()
        if database.is_new and self._when_made is not None:
            self._when_made(self._path)

    async def ping(self) -> None:
        """Return when a transaction that writes could begin. Raises: Unavailable."""
        await self._ask(pinging())

    async def close(self) -> None:
        """Finish what was accepted, end the thread, close the file. Calling it twice is fine; `open` opens again."""
        worker = self._worker
        if worker is not None:
            await worker.stop()

    async def commit(
        self, *, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
    ) -> Committed:
        """See `ports.IssuanceStore.commit`. Raises: Unavailable, ValueError."""
        return await self._ask(committing(claims, unless_revoked, record, now))

    async def revoke(self, *, revocations: tuple[Revocation, ...], record: Record) -> None:
        """See `ports.RevocationStore.revoke`. Raises: Unavailable, ValueError."""
        await self._ask(revoking(revocations, record))

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        """See `ports.RevocationStore.is_revoked`. Raises: Unavailable, ValueError."""
        return await self._ask(asking_revoked(revocables))

    async def append(self, record: Record) -> None:
        """See `ports.RecordStore.append`. Raises: Unavailable, ValueError."""
        await self._ask(appending(record))

    async def find(self, record_id: str) -> Record | None:
        """See `ports.RecordStore.find`. Raises: Unavailable, ValueError."""
        row = await self._ask(finding(record_id))
        return None if row is None else parse_record(row)

    async def _ask(self, operation: Operation[T]) -> T:
        if self._worker is None:
            raise Unavailable("the store is not open")
        return await self._worker.ask(operation)
