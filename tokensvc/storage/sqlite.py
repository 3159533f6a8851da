"""The embedded store: one SQLite file, one worker thread, group commit."""

from pathlib import Path
from typing import Final, TypeVar

from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, ListedRecord, OneTimeValue, Record
from tokensvc.storage.ledger import (
    Listing,
    Operation,
    appending,
    asking_note,
    asking_revoked,
    claiming,
    committing,
    finding,
    listing_records,
    parse_record,
    pinging,
    render_position,
    revoking,
)
from tokensvc.storage.loss import LossRule, StoreEvents, UnreportedEvents
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
    cannot be used (locked, disk full, damaged, replaced by another database) every call raises Unavailable; once it
    can, the store answers again. An older copy of it is noticed, and `rule` applied.
    """

    def __init__(
        self,
        path: str | Path,
        rule: LossRule,
        *,
        capacity: int = _CAPACITY,
        busy_timeout_s: float = _BUSY_TIMEOUT_S,
        events: StoreEvents | None = None,
        may_make: bool = True,
    ) -> None:
        """`capacity` calls may wait at a time; `busy_timeout_s` is how long to wait for another process's lock.

        Without `may_make` a database of this version has to be there already.
        `events` is told, on the thread of the store, when a database was made and when one had forgotten.
        """
        self._path = Path(path).absolute()
        self._rule = rule
        self._events = UnreportedEvents() if events is None else events
        self._capacity = capacity
        self._busy_timeout_s = busy_timeout_s
        self._may_make = may_make
        self._worker: Worker | None = None

    async def open(self) -> None:
        """Create or open the file and start the thread; an open store stays as it is.

        Raises: ConfigurationError for a file that can never be used, Unavailable for one that cannot be used now.
        """
        if self._worker is not None and self._worker.is_accepting:
            return
        database = Database(
            self._path, self._rule, self._events, busy_timeout_s=self._busy_timeout_s, may_make=self._may_make
        )
        self._worker = Worker(database, capacity=self._capacity, max_group=_MAX_GROUP)
        await self._worker.start()

    async def ping(self) -> None:
        """Return when something was written. Raises: Unavailable."""
        await self._ask(pinging())

    async def close(self) -> None:
        """Finish what was accepted, end the thread, close the file. Calling it twice is fine; `open` opens again."""
        worker = self._worker
        if worker is not None:
            await worker.stop()

    async def claim(self, claims: tuple[OneTimeValue, ...], *, now: int) -> Committed:
        """See `ports.IssuanceStore.claim`. Raises: Unavailable, ValueError."""
        return await self._ask(claiming(claims, now))

    async def commit(
        self, *, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
    ) -> Committed:
        """See `ports.IssuanceStore.commit`. Raises: Unavailable, ValueError."""
        return await self._ask(committing(claims, unless_revoked, record, now))

    async def note_of(self, value: str) -> str | None:
        """See `ports.IssuanceStore.note_of`. Raises: Unavailable, ValueError."""
        return await self._ask(asking_note(value))

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

    async def list_records(self, *, after: str | None, limit: int, newest: bool = False) -> tuple[ListedRecord, ...]:
        """See `ports.RecordStore.list_records`. Raises: Unavailable, ValueError."""
        rows = await self._ask(listing_records(Listing(after, limit, newest)))
        return tuple(ListedRecord(position=render_position(number), record=parse_record(row)) for number, row in rows)

    async def _ask(self, operation: Operation[T]) -> T:
        if self._worker is None:
            raise Unavailable("the store is not open")
        return await self._worker.ask(operation)
