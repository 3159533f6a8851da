"""A store that tests can watch, and that fails when they say so."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, ListedRecord, OneTimeValue, Record, Store

T = TypeVar("T")


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns. For the memory store alone, which never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("it waits")


class WatchedStore:
    """Implements `ports.Store` over another store: remembers what went in, and fails when it is told to.

    `calls` names the calls so far; `fails_at` is the number of the call, from 0 on, that raises Unavailable, before the
    store sees it or, with `fails_late`, after. `before` runs in front of each call.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self.records: list[Record] = []
        self.fails_at: int | None = None
        self.fails_late = False
        self.before: Callable[[str], Coroutine[Any, Any, None]] | None = None

    async def open(self) -> None:
        await self.inner.open()

    async def ping(self) -> None:
        await self.inner.ping()

    async def close(self) -> None:
        await self.inner.close()

    async def claim(self, claims: tuple[OneTimeValue, ...], *, now: int) -> Committed:
        return await self._ask("claim", self.inner.claim(claims, now=now))

    async def commit(
        self, *, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
    ) -> Committed:
        answer = await self._ask(
            "commit", self.inner.commit(claims=claims, unless_revoked=unless_revoked, record=record, now=now)
        )
        if answer is Committed.STORED:
            self.records.append(record)
        return answer

    async def note_of(self, value: str) -> str | None:
        return await self._ask("note_of", self.inner.note_of(value))

    async def revoke(self, *, revocations: tuple[Revocation, ...], record: Record) -> None:
        await self._ask("revoke", self.inner.revoke(revocations=revocations, record=record))
        self.records.append(record)

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        return await self._ask("is_revoked", self.inner.is_revoked(revocables))

    async def append(self, record: Record) -> None:
        await self._ask("append", self.inner.append(record))
        self.records.append(record)

    async def find(self, record_id: str) -> Record | None:
        return await self.inner.find(record_id)

    async def list_records(self, *, after: str | None, limit: int, newest: bool = False) -> tuple[ListedRecord, ...]:
        return await self.inner.list_records(after=after, limit=limit, newest=newest)

    async def _ask(self, name: str, call: Coroutine[Any, Any, T]) -> T:
        number = len(self.calls)
        self.calls.append(name)
        if self.before is not None:
            await self.before(name)
        if number == self.fails_at and not self.fails_late:
            call.close()
            raise Unavailable("the store is away")
        answer = await call
        if number == self.fails_at:
            raise Unavailable("the answer of the store was lost")
        return answer
