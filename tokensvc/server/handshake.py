"""Connections until they are encrypted: bounded like every other one, which those of uvicorn's own TLS are not.

There a connection exists only after its handshake, for which any stranger may take a minute, as often as they like.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from tokensvc.server.protocol import BoundedProtocol, Connections, Cut

__all__ = ["TlsListener"]

# Without a descriptor or memory left the next try would fail as well.
_PAUSE_S: Final = 0.1


class TlsListener:
    """Takes the connections of one socket, as the servers of asyncio do, and encrypts them by `context`.

    `make` makes what goes on with them. `connections` are those of the server: each that stands there is shut down when
    the server is.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        *,
        make: Callable[..., BoundedProtocol],
        shared: Connections,
        connections: set[Any],
    ) -> None:
        # Ours to close, whenever others close theirs.
        self._listener = listener.dup()
        self._listener.settimeout(0)
        self._context = context
        self._make = make
        self._shared = shared
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Take no further connection."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        """Return once that is so."""
        with suppress(asyncio.CancelledError):
            await self._accepting

    async def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    connection, _ = await self._loop.sock_accept(self._listener)
                except OSError:
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self._begin(connection)
                # Where many wait, the loop has no other turn in between.
                await asyncio.sleep(0)

    def _begin(self, connection: socket.socket) -> None:
        now = self._loop.time()
        if not self._shared.make_room(len(self._connections) + 1, now=now):
            # No answer: whoever is not encrypted yet could not read it.
            self._shared.telemetry.connection_cut(Cut.CONNECTIONS)
            connection.close()
            return
        handshake = _Handshake(connection, self._shared, self._connections, self._encrypt)
        self._connections.add(handshake)
        self._shared.waiting[handshake] = now

    async def _encrypt(self, connection: socket.socket, when_made: Callable[[], None]) -> None:
        await self._loop.connect_accepted_socket(
            partial(self._make, when_made=when_made),
            connection,
            ssl=self._context,
            ssl_handshake_timeout=self._shared.limits.head_s,
            ssl_shutdown_timeout=self._shared.limits.linger_s,
        )


class _Handshake:
    """One connection that is not encrypted yet."""

    def __init__(
        self,
        connection: socket.socket,
        shared: Connections,
        connections: set[Any],
        encrypt: Callable[[socket.socket, Callable[[], None]], Awaitable[None]],
    ) -> None:
        # As long as it is no transport's.
        self._own: socket.socket | None = connection
        self._shared = shared
        self._connections = connections
        self._task = asyncio.get_running_loop().create_task(self._run(connection, encrypt))
        self._task.add_done_callback(self._close_own)

    def give_way(self) -> None:
        """End this connection, so that another one has its place."""
        self._shared.telemetry.connection_cut(Cut.CONNECTIONS)
        self.shutdown()

    def shutdown(self) -> None:
        """End the connection. uvicorn calls this when the server stops."""
        self.forget()
        self._task.cancel()

    def forget(self) -> None:
        """From here on it counts by itself, or no more."""
        self._connections.discard(self)
        self._shared.waiting.pop(self, None)

    def _close_own(self, _task: asyncio.Task[None]) -> None:
        # Ended before its first step.
        if self._own is not None:
            self._own.close()

    async def _run(
        self, connection: socket.socket, encrypt: Callable[[socket.socket, Callable[[], None]], Awaitable[None]]
    ) -> None:
        self._own = None
        try:
            await encrypt(connection, self.forget)
        except OSError:
            # No TLS, a certificate of nobody we know, or too slow. By an alert the client has been told.
            self._shared.telemetry.connection_cut(Cut.HANDSHAKE)
        finally:
            self.forget()
