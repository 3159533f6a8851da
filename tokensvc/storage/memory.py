"""A store in memory, for tests and trials."""

from typing import Final, TypeVar

from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, ListedRecord, OneTimeValue, Record
from tokensvc.storage.ledger import (
    Ledger,
    Operation,
    appending,
    asking_note,
    asking_revoked,
    claiming,
    committing,
    finding,
    forgettable_before,
    parse_position,
    parse_record,
    pinging,
    render_position,
    require_limit,
    revoking,
)
from tokensvc.storage.loss import LossRule

__all__ = ["MemoryStore"]

T = TypeVar("T")

# Below this many entries a sweep saves nothing; above it, one at every doubling costs each entry a constant.
_MIN_SWEEP: Final = 1000


class MemoryStore:
    """Implements `ports.Store` in the memory of one process and one event loop. For tests and trials only.

    Nothing survives the process: claims and revocations are forgotten with it, so that a value could be used twice and
    a revoked chain would live again. With `rule` what was issued before it first opened is dead, as in every store that
    is made anew. Claims and revocations are swept out a day after their end; records are kept, all of them.
    """

    def __init__(self, rule: LossRule | None = None) -> None:
        self._ledger = Ledger()
        self._rule = rule
        self._is_open = False
        self._sweep_at = _MIN_SWEEP

    async def open(self) -> None:
        """Start answering."""
        if self._rule is not None and self._ledger.forgotten_at is None:
            now = self._rule.clock()
            self._ledger.put_in_force(self._rule.at_making(now))
            self._ledger.forgotten_at = self._rule.made_at(now)
        self._is_open = True

    async def ping(self) -> None:
        """Return while the store is open. Raises: Unavailable."""
        self._do(pinging())

    async def close(self) -> None:
        """Stop answering."""
        self._is_open = False

    async def claim(self, claims: tuple[OneTimeValue, ...], *, now: int) -> Committed:
        """See `ports.IssuanceStore.claim`. Raises: Unavailable, ValueError."""
        return self._do(claiming(claims, now))

    async def commit(
        self, *, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
    ) -> Committed:
        """See `ports.IssuanceStore.commit`. Raises: Unavailable, ValueError."""
        return self._do(committing(claims, unless_revoked, record, now))

    async def note_of(self, value: str) -> str | None:
        """See `ports.IssuanceStore.note_of`. Raises: Unavailable, ValueError."""
        return self._do(asking_note(value))

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

    async def list_records(self, *, after: str | None, limit: int, newest: bool = False) -> tuple[ListedRecord, ...]:
        """See `ports.RecordStore.list_records`. Raises: Unavailable, ValueError."""
        require_limit(limit)
        start = 0 if after is None else parse_position(after)
        self._do(pinging())
        rows = list(enumerate(self._ledger.records.values(), 1))[start:]
        return tuple(
            ListedRecord(position=render_position(number), record=parse_record(row))
            for number, row in (rows[-limit:] if newest else rows[:limit])
        )

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
        start = forgettable_before(now)
        ledger.claims = {value: held for value, held in ledger.claims.items() if held.until >= start}
        ledger.revocations = {
            key: held for key, held in ledger.revocations.items() if held.until is None or held.until >= start
        }
        self._sweep_at = max(_MIN_SWEEP, 2 * (len(ledger.claims) + len(ledger.revocations)))
