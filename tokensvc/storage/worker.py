"""One owned thread that serves operations in groups, and the bounded queue in front of it.

Callers are coroutines: each puts its operation into the queue and awaits its own answer. The thread sleeps until there
is work, takes all that waits (up to a limit), serves it as one group and answers every caller. A caller that is
cancelled loses its answer; its operation is done all the same.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar, cast

from tokensvc.errors import Unavailable
from tokensvc.storage.ledger import Answer, Operation

__all__ = ["GroupService", "Worker"]

T = TypeVar("T")

_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[object]"]
_Job = tuple[Operation[object], _Waiter]


class GroupService(Protocol):
    """What the thread does; its methods are called on that thread only."""

    def connect(self) -> None:
        """Get ready, or raise what `start` shall raise."""
        ...

    def serve(self, operations: Sequence[Operation[object]]) -> list[Answer]:
        """One answer per operation. Raises nothing."""
        ...

    def disconnect(self) -> None:
        """Let go of everything."""
        ...


class Worker:
    """The thread and its queue, for one start and one stop: `capacity` operations wait, `max_group` share a group."""

    def __init__(self, service: GroupService, *, capacity: int, max_group: int) -> None:
        self._service = service
        self._capacity = capacity
        self._max_group = max_group
        # Guards everything below; notified when the thread has something to do.
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._stopping: list[_Waiter] = []
        self._is_accepting = True
        self._has_ended = False

    @property
    def is_accepting(self) -> bool:
        """True until it is stopped, or could not start."""
        return self._is_accepting

    async def start(self) -> None:
        """Return when the service is connected. Raises: what its `connect` raised."""
        started = _waiter()
        # A daemon: a store that nobody closed must not keep the process from ending. What it acknowledged is durable.
        threading.Thread(target=self._run, args=(started,), name="tokensvc-storage", daemon=True).start()
        try:
            await started[1]
        except asyncio.CancelledError:
            # Nobody knows of the thread now: it ends as soon as it can.
            self._refuse_more()
            raise

    async def ask(self, operation: Operation[T]) -> T:
        """The answer to `operation`. Raises: Unavailable when the queue is full or closed, or what refused it."""
        waiter = _waiter()
        with self._changed:
            if not self._is_accepting:
                raise Unavailable("the store is not open")
            if len(self._jobs) >= self._capacity:
                raise Unavailable("the store has too much to do")
            self._jobs.append((operation, waiter))
            self._changed.notify()
        # The future gets what this operation's own `decide` returned.
        return cast("T", await waiter[1])

    async def stop(self) -> None:
        """Accept nothing more and return when everything accepted is answered and the service disconnected."""
        waiter = _waiter()
        with self._changed:
            if self._has_ended:
                return
            self._stopping.append(waiter)
        self._refuse_more()
        await waiter[1]

    def _refuse_more(self) -> None:
        with self._changed:
            self._is_accepting = False
            self._changed.notify()

    def _run(self, started: _Waiter) -> None:
        try:
            self._service.connect()
        except Exception as exc:  # noqa: BLE001 - raised again, in `start`
            self._end()
            _deliver([(started, Answer(error=exc))])
            return
        _deliver([(started, Answer())])
        while group := self._next_group():
            # Reads first: they need not wait for an fsync, and see every write that was acknowledged.
            self._serve([job for job in group if not job[0].writes])
            self._serve([job for job in group if job[0].writes])
        self._service.disconnect()
        self._end()

    def _next_group(self) -> list[_Job]:
        """What waits now, at least one job; nothing when all is done and the worker is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or not self._is_accepting)
            return [self._jobs.popleft() for _ in range(min(len(self._jobs), self._max_group))]

    def _serve(self, jobs: list[_Job]) -> None:
        if jobs:
            answers = self._service.serve([operation for operation, _ in jobs])
            _deliver(zip((waiter for _, waiter in jobs), answers, strict=True))

    def _end(self) -> None:
        with self._changed:
            self._is_accepting = False
            self._has_ended = True
            left, stopping = list(self._jobs), self._stopping
            self._jobs.clear()
        # Jobs are left only where the service never connected.
        _deliver([(waiter, Answer(error=Unavailable("the store is not open"))) for _, waiter in left])
        _deliver([(waiter, Answer()) for waiter in stopping])


def _waiter() -> _Waiter:
    loop = asyncio.get_running_loop()
    return loop, loop.create_future()


def _deliver(answers: Iterable[tuple[_Waiter, Answer]]) -> None:
    """Wake the callers, each event loop once for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[object], Answer]]] = {}
    for (loop, future), answer in answers:
        by_loop.setdefault(loop, []).append((future, answer))
    for loop, settled in by_loop.items():
        # A loop that was closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, settled)


def _settle(answers: list[tuple["asyncio.Future[object]", Answer]]) -> None:
    for future, answer in answers:
        if future.done():
            continue
        if answer.error is not None:
            future.set_exception(answer.error)
        else:
            future.set_result(answer.value)
