"""A real server on a loopback port that publishes a key set, or does whatever else a test tells it to.

async with JwksServer(publishes(ec_key("a"))) as server:
    ...  # fetch server.url
    server.behave = answers(b"{}", status="500 Down")
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from tokensvc.core.jws import SigningKey

__all__ = [
    "ISS",
    "TIMEOUT_S",
    "Behaviour",
    "FakeClock",
    "JwksServer",
    "answers",
    "jwks",
    "publishes",
    "sends",
    "serving",
]

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What the server does once it has read a request's headers; then it closes the connection."""

ISS: Final = "https://as.example"
# For tests of what must end by itself: so much is a hang.
TIMEOUT_S: Final = 10


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def jwks(*keys: SigningKey) -> bytes:
    """The JWK Set of these keys."""
    return json.dumps({"keys": [key.public.jwk() for key in keys]}).encode()


def sends(*pieces: bytes) -> Behaviour:
    """These bytes, as they are."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return behave


def answers(body: bytes, *, status: str = "200 OK", kind: str | None = "application/json", **headers: str) -> Behaviour:
    """A whole answer; `cache_control="..."` is the header Cache-Control."""
    fields = {"content-length": str(len(body)), "connection": "close", "content-type": kind}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return sends("\r\n".join([*head, "", ""]).encode() + body)


def publishes(*keys: SigningKey, **headers: str) -> Behaviour:
    """The key set of these keys."""
    return answers(jwks(*keys), **headers)


class JwksServer:
    """Listens on 127.0.0.1 while it is entered. `requests` are the heads of requests."""

    def __init__(self, behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.port = 0
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/jwks"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A client may leave at any time.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await self.behave(writer)
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


@contextmanager
def serving(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> Iterator[JwksServer]:
    """The server in a thread with a loop of its own, for clients that have none."""
    server, started, stop, loops = JwksServer(behave, tls=tls), threading.Event(), asyncio.Event(), []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        started.wait(TIMEOUT_S)
        yield server
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT_S)
