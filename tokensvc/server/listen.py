"""The one way in which the service is put on a socket: the same for `tokensvc serve` and the demo."""

import logging
import os
import signal
import socket
import ssl
from functools import partial
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from starlette.applications import Starlette

from tokensvc.server.handshake import TlsListener
from tokensvc.server.protocol import BoundedProtocol, ConnectionLimits, bounded_protocol
from tokensvc.telemetry import Telemetry

__all__ = ["GRACEFUL_SHUTDOWN_S", "TAKEN_OVER", "Server", "bind", "end_at_once", "uvicorn_config"]

# What waits to be accepted while the loop is busy; a few hundred milliseconds of a busy server.
_BACKLOG: Final = 1024
# An exchange takes milliseconds, and the store gives up after seconds. Longer only a body that never ends takes.
GRACEFUL_SHUTDOWN_S: Final = 10
# Agents renew every few minutes: keeping the connection in between would save little.
_KEEP_ALIVE_S: Final = 5

# What a shell shows for a process that a signal ended.
_BY_SIGNAL: Final = 128

TAKEN_OVER: Final = ("uvicorn", "asyncio", "tokensvc.verify", "tokensvc.exchange")
"""The loggers whose lines become events of the service's own log."""


class Server(uvicorn.Server):
    """uvicorn's server, with other manners on signals. Inherits because uvicorn has no other way in.

    SIGTERM or SIGINT: requests in flight are finished. Another one: the process ends at once. A worker is told by its
    parent: it passes over a Ctrl-C, which reaches every process at the terminal, and over repetitions.
    With `tls`, connections on the sockets that it is given are encrypted.
    """

    def __init__(self, config: uvicorn.Config, *, is_worker: bool = False, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(config)
        self._is_worker = is_worker
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        if self._tls is None:
            await super().startup(sockets)
            return
        await super().startup([])
        # What `uvicorn_config` made, which uvicorn takes for a class.
        make: partial[BoundedProtocol] = self.config.http_protocol_class  # type: ignore[assignment]
        arguments = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        self.servers += [
            TlsListener(  # type: ignore[misc]  # uvicorn only closes its servers
                listener,
                self._tls,
                make=partial(make, **arguments),
                shared=make.keywords["shared"],
                connections=self.server_state.connections,
            )
            for listener in sockets or ()
        ]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal to stop."""
        if self._is_worker:
            self.should_exit = self.should_exit or sig == signal.SIGTERM
        elif self.should_exit:
            end_at_once(sig)
        else:
            super().handle_exit(sig, frame)


def end_at_once(number: int) -> NoReturn:
    """End this process as the signal of that number does where nobody handles it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    # The first process of a container is not ended by a signal that it does not handle.
    os._exit(_BY_SIGNAL + number)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at `host` and `port` (0: the system chooses); connections wait until a server takes them.

    Raises: OSError, as the system says it.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # A restart must not wait for the connections of the last run to time out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.settimeout(0)
    return listener


def uvicorn_config(
    app: Starlette,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    fd: int | None = None,
    graceful_shutdown_s: int = GRACEFUL_SHUTDOWN_S,
    telemetry: Telemetry | None = None,
    limits: ConnectionLimits | None = None,
) -> uvicorn.Config:
    """How uvicorn runs `app`: `uvicorn.Server(config).serve(sockets=[bind(host, port)])`.

    `host`, `port` and `fd` count only where no sockets are handed over. With `telemetry`, what uvicorn and we log goes
    there; a process that has its own logging leaves it out. `limits` bounds connections; tests give small ones.
    """
    if telemetry is not None:
        for name in TAKEN_OVER:
            telemetry.take_over(logging.getLogger(name))
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        fd=fd,
        loop="auto",  # uvloop where there is one
        # uvicorn's types ask for a class; it only calls it. A connection must know its server's limits.
        http=bounded_protocol(Telemetry() if telemetry is None else telemetry, limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # its lines hold query strings, and what is refused there may be a token
        server_header=False,
        proxy_headers=False,  # nothing here depends on where a request comes from; so no header decides it
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=graceful_shutdown_s,
    )
