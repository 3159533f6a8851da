"""Several processes on one socket: a parent that only supervises, and workers that only serve.

    1  The first worker starts alone. If it cannot, the parent ends with its exit code; the worker has said why.
    2  Once it is ready the others follow. The socket is open before and after: connections wait, none is refused.
    3  A worker that dies is replaced, the sooner the longer it lived.
    4  SIGHUP: the parent judges the change, and tells the workers only of a good one.
    5  SIGTERM or SIGINT: the workers are told, and killed when they take too long. The second one kills at once.
    6  When the parent is gone, without a word even, the workers stop: they hold a pipe that ends with it.

Workers are forked: each begins with what the parent last found good, whatever stands in the files by then.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, NoReturn

from tokensvc.server.listen import GRACEFUL_SHUTDOWN_S, end_at_once
from tokensvc.telemetry import Telemetry

__all__ = ["SIGNALS", "Ties", "Work", "has_terminal", "supervise"]

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What parent and workers are told by. Blocked in a new worker until it unblocks them, so that none is lost."""

# Beyond what the requests in flight get: for the store to finish what it accepted.
_STOP_S: Final = GRACEFUL_SHUTDOWN_S + 5
# A first death may be chance. One that comes again and again must not fill the log or take the processor.
_FIRST_PAUSE_S: Final = 0.1
_MAX_PAUSE_S: Final = 30.0
# Who lived for so long did not die of its start.
_STABLE_S: Final = 10.0
_STDERR: Final = 2
_SERVES: Final = b"."
# What a shell shows for a process that a signal ended.
_BY_SIGNAL: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What binds a worker to its parent. `parent` is a descriptor that can be read, to its end, once that is gone."""

    parent: int
    _ready: int

    def ready(self) -> None:
        """Tell the parent that this worker serves. Once."""
        os.write(self._ready, _SERVES)
        os.close(self._ready)


Work = Callable[[Ties], int]
"""What a worker does until it is told to stop; returns its exit code. Unblocks `SIGNALS` once it can handle them."""


@dataclass(slots=True)
class _Slot:
    """The place of one worker. `pid` is None while there is none; then `due` says when there will be (monotonic)."""

    due: float = 0.0
    failures: int = 0
    pid: int | None = None
    ready: int | None = None
    since: float = 0.0


def has_terminal() -> bool:
    """True while somebody sits at a terminal and reads the log. One that is closed sends SIGHUP."""
    return os.isatty(_STDERR)


def supervise(
    work: Work,
    count: int,
    *,
    reload: Callable[[], bool],
    when_ready: Callable[[], None],
    when_stopping: Callable[[], None],
    telemetry: Telemetry,
    stop_s: float = _STOP_S,
) -> int:
    """Run `count` workers until told to stop; the exit code. Who has not ended `stop_s` after that is killed.

    `when_ready` is called when the first worker serves, `when_stopping` once this was told to stop: whoever connects
    then must be refused, and not wait for nobody. `reload` judges a change and is True when workers are to take it
    over. Needs the main thread, and no other one.
    """
    return _Supervisor(work, count, reload, when_ready, when_stopping, telemetry, stop_s).run()


@dataclass(slots=True)
class _Supervisor:
    work: Work
    count: int
    reload: Callable[[], bool]
    when_ready: Callable[[], None]
    when_stopping: Callable[[], None]
    telemetry: Telemetry
    stop_s: float
    slots: list[_Slot] = field(default_factory=list)
    # Both ends of the pipe that signals wake us by, and of the one that ends with us.
    wakeup: tuple[int, int] = (-1, -1)
    life: tuple[int, int] = (-1, -1)
    stop_by: float | None = None
    has_served: bool = False
    had_terminal: bool = field(default_factory=has_terminal)

    def run(self) -> int:
        with _pipe() as self.life, _pipe() as self.wakeup, _signals_to(self.wakeup[1]):
            self.slots = [_Slot()]
            try:
                return self._watch()
            finally:
                self._kill()

    def _watch(self) -> int:
        while True:
            self._start_due()
            for number in self._wait():
                self._obey(number)
            self._greet()
            for slot, pid, status in self._reap():
                if self.stop_by is not None:
                    continue
                if not self.has_served:
                    return status if status >= 0 else _BY_SIGNAL - status
                self._mourn(slot, pid, status)
            if self.stop_by is not None and not self._alive():
                return 0

    def _alive(self) -> list[_Slot]:
        return [slot for slot in self.slots if slot.pid is not None]

    def _start_due(self) -> None:
        now = time.monotonic()
        if self.stop_by is not None:
            if now >= self.stop_by:
                self._kill()
            return
        for slot in self.slots:
            if slot.pid is None and now >= slot.due:
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._become_worker(Ties(parent=self.life[0], _ready=writer), reader)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(writer)
        slot.pid, slot.ready, slot.since = pid, reader, time.monotonic()

    def _become_worker(self, ties: Ties, reader: int) -> NoReturn:
        """In the new process: let go of what is the parent's, work, and end without what the parent does at its end."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            others = [slot.ready for slot in self.slots if slot.ready is not None]
            for descriptor in (self.life[1], *self.wakeup, reader, *others):
                os.close(descriptor)
            code = self.work(ties)
        except SystemExit as exc:
            # What uvicorn raises where the application does not start.
            code = exc.code if isinstance(exc.code, int) else code
        except BaseException as exc:  # noqa: BLE001 - whatever it is, this process must not go on as a second parent
            self.telemetry.fault(exc)
        finally:
            with suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _wait(self) -> bytes:
        """The numbers of the signals that came; returns as well when anything else is to do."""
        moments = [slot.due for slot in self.slots if slot.pid is None] if self.stop_by is None else [self.stop_by]
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        waited_for = [slot.ready for slot in self.slots if slot.ready is not None]
        readable, _, _ = select.select([self.wakeup[0], *waited_for], [], [], timeout)
        return os.read(self.wakeup[0], select.PIPE_BUF) if self.wakeup[0] in readable else b""

    def _obey(self, number: int) -> None:
        if number == signal.SIGHUP and self.had_terminal and not has_terminal():
            number = signal.SIGTERM
        if number in (signal.SIGTERM, signal.SIGINT):
            if self.stop_by is not None:
                self._kill()
                end_at_once(number)
            self.stop_by = time.monotonic() + self.stop_s
            self.when_stopping()
            self._tell(signal.SIGTERM)
        elif number == signal.SIGHUP and self.stop_by is None and self.reload():
            self._tell(signal.SIGHUP)

    def _tell(self, number: int) -> None:
        for slot in self._alive():
            # Ours until it is reaped, so that its number is no other process's.
            os.kill(slot.pid or 0, number)

    def _greet(self) -> None:
        """Note who serves, or has ended without: both close the pipe. After the first one the others may start."""
        waited_for = {slot.ready: slot for slot in self.slots if slot.ready is not None}
        closed, _, _ = select.select([*waited_for], [], [], 0)
        for descriptor in closed:
            serves = os.read(descriptor, len(_SERVES)) == _SERVES
            os.close(descriptor)
            waited_for[descriptor].ready = None
            if serves and not self.has_served and self.stop_by is None:
                self.has_served = True
                self.when_ready()
                self.slots += [_Slot() for _ in range(self.count - 1)]

    def _reap(self) -> Iterator[tuple[_Slot, int, int]]:
        """Every worker that has ended: its place, its process id, and its exit code or minus the signal."""
        for slot in self._alive():
            pid, status = os.waitpid(slot.pid or 0, os.WNOHANG)
            if pid:
                slot.pid = None
                yield slot, pid, os.waitstatus_to_exitcode(status)

    def _mourn(self, slot: _Slot, pid: int, status: int) -> None:
        now = time.monotonic()
        slot.failures = 1 if now - slot.since >= _STABLE_S else slot.failures + 1
        pause_s = min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(slot.failures - 1, 16))
        slot.due = now + pause_s
        self.telemetry.worker_died(worker=pid, status=status, again_in_s=pause_s)

    def _kill(self) -> None:
        for slot in self._alive():
            pid = slot.pid or 0
            self.telemetry.worker_killed(worker=pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            slot.pid = None


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@contextmanager
def _signals_to(writer: int) -> Iterator[None]:
    """Signals become bytes in a pipe: they are handled one by one, and nothing happens in a handler."""

    def pass_over(_number: int, _frame: FrameType | None) -> None:
        pass

    os.set_blocking(writer, False)
    handlers = {number: signal.signal(number, pass_over) for number in (*SIGNALS, signal.SIGCHLD)}
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
