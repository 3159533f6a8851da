"""What the operator reads: one line per event on stderr, JSON for a machine, plain where somebody sits at a terminal.

No token, secret or key is ever passed to this module. What a stranger chose is shown in printable ASCII, cut with a
visible mark. A log that cannot be written (pipe gone, disk full) never keeps the service from answering.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict

from tokensvc.errors import ConfigurationError, Unavailable, printable

__all__ = ["Telemetry", "place_of"]

_PACKAGE: Final = __name__.partition(".")[0]
# A description and a few ids fit; a line stays readable whatever somebody sends.
_MAX_VALUE_LENGTH: Final = 300
# Enough of a SHA-256 to find the same value again, too little to say that it was the only one.
_DIGEST_LENGTH: Final = 12
# What a stranger can cause without limit must not fill the disk: at most one line of a kind in so many seconds.
_REPEAT_S: Final = 1


class Telemetry:
    """Writes events to `stream` (stderr unless given) and counts those that are counted.

    `client_failures` is how many client authentications failed since the start, `connections_cut` how many connections
    were cut off, by kind, `requests_shed` how many requests were not taken. `monotonic` tells the seconds by which
    repeated lines are left out. `worker` is the process id that every line shows where there are several.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        worker: int | None = None,
    ) -> None:
        stream = sys.stderr if stream is None else stream
        render = structlog.dev.ConsoleRenderer(colors=True) if stream.isatty() else structlog.processors.JSONRenderer()
        # Wrapped by itself, not configured globally: who embeds the application keeps their own logging.
        self._log = structlog.wrap_logger(
            # One write for a line: several processes may share the stream.
            structlog.WriteLogger(stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _show_printable,
                render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            worker=worker,
        )
        self.client_failures = 0
        self.connections_cut: Counter[str] = Counter()
        self.requests_shed = 0
        self._monotonic = monotonic
        self._last_line: dict[str, float] = {}

    def started(self, *, issuer: str, configuration: str, signing_kid: str) -> None:
        """The service answers from now on."""
        self._write("info", "started", issuer=issuer, configuration=configuration, signing_kid=signing_kid)

    def stopped(self) -> None:
        """The service has finished."""
        # The lines of cuts may have left out the last ones.
        cut = dict(self.connections_cut) or None
        shed = self.requests_shed
        self._write("info", "stopped", client_failures=self.client_failures, connections_cut=cut, requests_shed=shed)

    def store_made(self, place: str) -> None:
        """There was no store at the start, so that an empty one was made. `place`: the file, or the URL as shown."""
        # Nobody notices otherwise: a path mistyped or a disk not mounted loses revocations and records.
        meaning = "if there was a store before, its revocations and records are gone, and what was issued is dead"
        remedy = "on any start but the first: stop, correct store.url or mount its disk, and start again"
        self._write("warning", "store_made", store=place, meaning=meaning, remedy=remedy)

    def store_lost(self, place: str) -> None:
        """The store came back empty, or as an older copy of itself."""
        meaning = "the store has forgotten: all that was issued before is dead; revoke keys again that were revoked"
        self._write("error", "store_lost", store=place, meaning=meaning)

    def store_doubtful(self, place: str, problem: str) -> None:
        """The store works, and may lose what it acknowledged."""
        self._write("warning", "store_doubtful", store=place, problem=problem)

    def configuration_reloaded(self, *, configuration: str, before: str) -> None:
        """The service goes on with another configuration, by their versions."""
        self._write("warning", "configuration_reloaded", configuration=configuration, before=before)

    def configuration_refused(self, problems: Iterable[ConfigurationError]) -> None:
        """The service goes on with the configuration that it has, as the new one has these problems."""
        for exc in problems:
            self._write(
                "error",
                "configuration_refused",
                file=exc.file,
                key=exc.key or None,
                problem=exc.description,
                remedy=exc.remedy,
            )

    def worker_died(self, *, worker: int, status: int, again_in_s: float) -> None:
        """A worker ended that nobody told to; another one follows. `status`: its exit code, or minus the signal."""
        self._write("error", "worker_died", died=worker, status=status, again_in_s=again_in_s)

    def worker_killed(self, *, worker: int) -> None:
        """A worker did not end in time, and was ended."""
        self._write("error", "worker_killed", killed=worker)

    def parent_gone(self) -> None:
        """The process that supervised this one has ended without a word."""
        self._write("error", "parent_gone", meaning="this worker stops: nobody would replace it or tell it anything")

    def keys_changed(self, *, signing_kid: str | None, published: Sequence[str]) -> None:
        """Another key signs, or other keys are published."""
        self._write("warning", "signing_keys_changed", signing_kid=signing_kid, published=list(published))

    def keys_unusable(self, exc: ConfigurationError) -> None:
        """The folder of the signing keys cannot be used as it is now."""
        meaning = "the keys that were read last go on; a rotation is not seen before this is mended"
        self._write(
            "error",
            "signing_keys_unusable",
            file=exc.file,
            problem=exc.description,
            remedy=exc.remedy,
            meaning=meaning,
        )

    def keys_usable(self) -> None:
        """The folder of the signing keys can be used again."""
        self._write("warning", "signing_keys_usable")

    def client_failed(self, *, client_id: str | None, is_registered: bool) -> None:
        """A client authentication failed. An id that is not registered may be a misplaced secret: only its hash."""
        self.client_failures += 1
        shown = {"client_id": client_id}
        if client_id is not None and not is_registered:
            shown = {"client_id_sha256": sha256(client_id.encode("utf-8", "replace")).hexdigest()[:_DIGEST_LENGTH]}
        self._write("warning", "client_authentication_failed", failures=self.client_failures, **shown)

    def connection_cut(self, kind: str) -> None:
        """A connection went beyond a limit. `count`: of this kind since the start, those without a line too."""
        self.connections_cut[kind] += 1
        if self._is_due(kind):
            self._write("warning", "connection_cut", kind=kind, count=self.connections_cut[kind])

    def request_shed(self) -> None:
        """A request was answered 503 because there was too much to do. `count`: since the start."""
        self.requests_shed += 1
        if self._is_due("request_shed"):
            self._write("warning", "request_shed", count=self.requests_shed)

    def _is_due(self, kind: str) -> bool:
        """True when no line of that kind was written within the last second."""
        now = self._monotonic()
        if now - self._last_line.get(kind, -_REPEAT_S) < _REPEAT_S:
            return False
        self._last_line[kind] = now
        return True

    def unavailable(self, exc: Unavailable) -> None:
        """A request was answered 503 because a part of the service could not answer."""
        self._write("error", "unavailable", problem=exc.description)

    def fault(self, exc: BaseException) -> None:
        """A request met an error of ours. Its type and place only: its text may hold what was being worked on."""
        self._write("error", "fault", type=type(exc).__name__, place=place_of(exc.__traceback__))

    def take_over(self, logger: logging.Logger) -> None:
        """Show what another library logs through `logger`, from warnings on, as events of ours; nowhere else."""
        logger.handlers = [_Forwarder(self._write)]
        logger.setLevel(logging.WARNING)
        logger.propagate = False

    def _write(self, level: str, event: str, **values: object) -> None:
        with suppress(OSError, ValueError):
            getattr(self._log, level)(event, **values)


class _Forwarder(logging.Handler):
    """Log records of the standard library without their tracebacks, which may show values."""

    def __init__(self, write: Any) -> None:  # noqa: ANN401 - a bound method with keyword values
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        values: dict[str, object] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            values |= {"type": type(record.exc_info[1]).__name__, "place": place_of(record.exc_info[2])}
        level = "warning" if record.levelno < logging.ERROR else "error"
        # What follows the first line is a traceback put into the text.
        self._write(level, record.getMessage().strip().partition("\n")[0], **values)


def place_of(traceback: TracebackType | None) -> str | None:
    """`module:line` of the innermost code of ours that a traceback went through; None when there is none."""
    place = None
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == _PACKAGE:
            place = f"{module}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _show_printable(_logger: object, _level: str, event: EventDict) -> EventDict:
    return {
        name: printable(value, max_length=_MAX_VALUE_LENGTH) if isinstance(value, str) else value
        for name, value in event.items()
        if value is not None
    }
