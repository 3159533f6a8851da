"""A store in memory, for tests and trials."""

from typing import Final, TypeVar

from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, OneTimeValue, Record
from tokensvc.storage.ledger import (
    Ledger,
    Operation,
    appending,
    asking_revoked,
    committing,
    finding,
    parse_record,
    pinging,
    revoking,
)

__all__ = ["MemoryStore"]

T = TypeVar("T")

# Below this many entries a sweep saves nothing; above it, one at every doubling costs each entry a constant.
_MIN_SWEEP: Final = 1000


class MemoryStore:
    """Implements `ports.Store` in the memory of one process and one event loop. For tests and trials only.

    Nothing survives the process: claims and revocations are forgotten with it, so that a value could be used twice and
    a revoked chain would live again. Expired claims and revocations are swept out; records are kept, all of them.
    """

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._is_open = False
        self._sweep_at = _MIN_SWEEP

    async def open(self) -> None:
        """Start answering."""
        self._is_open = True

    async def ping(self) -> None:
        """Return while the store is open. Raises: Unavailable."""
        self._do(pinging())

    async def close(self) -> None:
        """Stop answering."""
        self._is_open = False

    async def commit(
        self, *, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
    ) -> Committed:
        """See `ports.IssuanceStore.commit`. Raises: Unavailable, ValueError."""
        return self._do(committing(claims, unless_revoked, record, now))

    async def revoke(self, *, revocations: tuple[Revocation, ...], record: Record) -> None:
        """See `ports.RevocationStore.revoke`. Raises: Unavailable, ValueError."""
        self._do(revoking(revocations, record))

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        """See `ports.RevocationStore.is_revoked`. Raises: Unavailable, ValueError."""
        return self._do(asking_revoked(revocables))

    async def append(self, record: Record) -> None:
        """See `ports.RecordStore.append`. Raises: Unavailable, ValueError."""
        self._do(appending(record))

    async def find(self, record_id: str) -> Record | None:
        """See `ports.RecordStore.find`. Raises: Unavailable, ValueError."""
        row = self._do(finding(record_id))
        return None if row is None else parse_record(row)

    def _do(self, operation: Operation[T]) -> T:
        # Nothing waits in here: on one event loop every operation is one step.
        if not self._is_open:
            raise Unavailable("the store is not open")
        answer = operation.decide(self._ledger)
        if operation.now is not None:
            self._sweep(operation.now)
        return answer

    def _sweep(self, now: int) -> None:
        ledger = self._ledger
        if len(ledger.claims) + len(ledger.revocations) < self._sweep_at:
            return
        ledger.claims = {value: until for value, until in ledger.claims.items() if until >= now}
        ledger.revocations = {
            key: held for key, held in ledger.revocations.items() if held.until is None or held.until >= now
        }
        self._sweep_at = max(_MIN_SWEEP, 2 * (len(ledger.claims) + len(ledger.revocations)))
