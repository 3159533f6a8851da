"""Load over keep-alive connections from this process: raw sockets, requests made beforehand.

An HTTP client for applications takes longer for a request than the servers that are measured here.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import uvloop

__all__ = ["CONNECTIONS", "Round", "drive", "form_post"]

CONNECTIONS: Final = 16
_TIMEOUT_S: Final = 120
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_OK: Final = b"HTTP/1.1 200 "
# What is shown of an answer that is not wanted: enough for its status and error, whatever it says after that.
_SHOWN_BYTES: Final = 600


@dataclass(frozen=True, slots=True)
class Round:
    """So many requests in a row: how long all took together, and each one (s), sorted."""

    seconds: float
    latencies: Sequence[float]

    @property
    def per_s(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        """What half of the requests took at the most (s)."""
        return statistics.median(self.latencies)

    @property
    def p99(self) -> float:
        """What 99 % of the requests took at the most (s)."""
        return self.latencies[-(-len(self.latencies) * 99 // 100) - 1]


def form_post(path: str, body: str) -> bytes:
    """A request that posts a form."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("ascii")


def drive(port: int, requests: Sequence[bytes]) -> Round:
    """Send `requests` to `port` of this machine, over `CONNECTIONS` connections, each once.

    A connection sends its next request when it has the answer to the last. Raises: RuntimeError for an answer other
    than 200, OSError, TimeoutError.
    """
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_drive(port, requests))
    finally:
        gc.enable()


async def _drive(port: int, requests: Sequence[bytes]) -> Round:
    loop = asyncio.get_running_loop()
    waiting, latencies = iter(requests), list[float]()
    clients = []
    try:
        for _ in range(CONNECTIONS):
            _, client = await loop.create_connection(lambda: _Client(waiting, latencies), "127.0.0.1", port)
            clients.append(client)
        started = time.perf_counter()
        async with asyncio.timeout(_TIMEOUT_S):
            for client in clients:
                client.send_next()
            await asyncio.gather(*(client.done for client in clients))
        return Round(time.perf_counter() - started, sorted(latencies))
    finally:
        for client in clients:
            client.close()
        await asyncio.gather(*(client.closed for client in clients))


class _Client(asyncio.Protocol):
    """One connection: it sends what is next in `waiting` until there is nothing left, and then is `done`."""

    def __init__(self, waiting: Iterator[bytes], latencies: list[float]) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._waiting = waiting
        self._latencies = latencies
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def send_next(self) -> None:
        """The next request, or the end."""
        request = next(self._waiting, None)
        if request is None:
            self.done.set_result(None)
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Some of an answer; the whole one mostly."""
        self._received += data
        if not _is_complete(self._received):
            return
        self._latencies.append(time.perf_counter() - self._sent)
        answer, self._received = self._received, b""
        if answer.startswith(_OK):
            self.send_next()
        elif not self.done.done():
            self.done.set_exception(RuntimeError(f"not the answer wanted: {answer[:_SHOWN_BYTES]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Before the end it is a failure."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server hung up"))
        self.closed.set_result(None)

    def close(self) -> None:
        """Hang up; nobody waits for an answer any more."""
        self.done.cancel()
        self._transport.abort()


def _is_complete(answer: bytes) -> bool:
    head, end, body = answer.partition(_HEAD_END)
    if not end:
        return False
    _, found, length = head.lower().partition(_LENGTH)
    if not found:
        raise RuntimeError("an answer without Content-Length")
    return len(body) >= int(length.split(b"\r\n", 1)[0])
