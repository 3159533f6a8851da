"""A connection until it is encrypted: bounded like every other one, which uvicorn's own TLS is not.

There a connection exists only after its handshake, for which a stranger may take a minute, as often as they like.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from tokensvc.server.protocol import BoundedProtocol, ConnectionLimits, Connections, Cut
from tokensvc.telemetry import Telemetry

__all__ = ["encrypted_protocol"]


def encrypted_protocol(
    context: ssl.SSLContext, telemetry: Telemetry, limits: ConnectionLimits | None = None
) -> Callable[..., asyncio.Protocol]:
    """As `bounded_protocol`, for connections that are encrypted by `context` first."""
    shared = Connections(limits=ConnectionLimits() if limits is None else limits, telemetry=telemetry)

    def make(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        def speak() -> BoundedProtocol:
            return BoundedProtocol(config, server_state, app_state, _loop, shared=shared)

        return _Handshake(context, shared, server_state, speak)

    return make


class _Handshake(asyncio.Protocol):
    """One connection, from its start to the end of its handshake; then `speak` makes what goes on with it."""

    def __init__(
        self,
        context: ssl.SSLContext,
        shared: Connections,
        server_state: ServerState,
        speak: Callable[[], BoundedProtocol],
    ) -> None:
        self._context = context
        self._shared = shared
        # As in uvicorn's own protocols: each that stands there is shut down when the server is.
        self._connections: set[Any] = server_state.connections
        self._speak = speak
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        # What the client sent right behind its handshake.
        self._early = bytearray()
        self._has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or make room."""
        # Nothing may be read before it can be decrypted.
        transport.pause_reading()
        self._transport = transport
        self._connections.add(self)
        now = self._loop.time()
        if not self._shared.make_room(len(self._connections), now=now):
            self._shared.telemetry.connection_cut(Cut.CONNECTIONS)
            self.shutdown()
            return
        self._shared.waiting[self] = now
        self._task = self._loop.create_task(self._encrypt(transport))

    def data_received(self, data: bytes) -> None:
        """What is decrypted already, in the moment before `speak` is asked."""
        self._early += data

    def eof_received(self) -> None:
        """The client ends."""
        self._has_ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        del exc
        self._has_ended = True
        self._forget()

    def give_way(self) -> None:
        """End this connection, so that another one has its place."""
        self._shared.telemetry.connection_cut(Cut.CONNECTIONS)
        self.shutdown()

    def shutdown(self) -> None:
        """End the connection. uvicorn calls this when the server stops."""
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    def _forget(self) -> None:
        self._connections.discard(self)
        self._shared.waiting.pop(self, None)

    async def _encrypt(self, transport: asyncio.Transport) -> None:
        limits = self._shared.limits
        try:
            encrypted = await self._loop.start_tls(
                transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=limits.head_s,
                ssl_shutdown_timeout=limits.linger_s,
            )
        except OSError:
            # No TLS, a certificate of nobody we know, or too slow: the client has been told by an alert.
            self._shared.telemetry.connection_cut(Cut.HANDSHAKE)
            self.shutdown()
            return
        is_lost = self._connections.isdisjoint({self})
        self._forget()
        if encrypted is None or is_lost or encrypted.is_closing():
            transport.abort()
            return
        self._hand_over(encrypted)

    def _hand_over(self, encrypted: asyncio.Transport) -> None:
        following = self._speak()
        encrypted.set_protocol(following)
        following.connection_made(encrypted)
        if self._early:
            following.data_received(bytes(self._early))
        if self._has_ended:
            following.eof_received()
