"""HTTP servers in the background: real uvicorn, configured as `tokensvc serve` is, each in a thread of its own."""

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette

from tokensvc.errors import Unavailable
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import uvicorn_config

__all__ = ["Servers"]

# A server that opens one SQLite file answers in a tenth of a second; a machine under load takes its time.
_START_S: Final = 15
_LOOK_EVERY_S: Final = 0.005
# Requests of the demo take milliseconds. What is still open after this is a connection somebody forgot.
_GRACE_S: Final = 1
# Its loop looks every 0.1 s whether it should stop; then come the grace and the application's own end.
_STOP_S: Final = 5


class Servers:
    """Servers that run until the block is left. Whatever ends the block, they are stopped, and their ports are free."""

    def __init__(self) -> None:
        self._running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ask all to stop, then wait for each."""
        for server, _ in self._running:
            server.should_exit = True
        for _, thread in self._running:
            if thread.is_alive():
                thread.join(_STOP_S)

    def start(self, app: Starlette, listener: socket.socket, *, name: str, telemetry: Telemetry) -> None:
        """Serve `app` at `listener`, which becomes the server's. Returns when it answers. Raises: Unavailable."""
        server = uvicorn.Server(uvicorn_config(app, graceful_shutdown_s=_GRACE_S, telemetry=telemetry))
        # Not in the main thread uvicorn leaves the signals alone.
        thread = threading.Thread(target=_run, args=(server, listener), name=name, daemon=True)
        # Before it starts: an interrupt in between must not leave one running that nobody knows of.
        self._running.append((server, thread))
        thread.start()
        deadline = time.monotonic() + _START_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise Unavailable(f"{name} did not start")
            time.sleep(_LOOK_EVERY_S)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    # uvicorn exits when an application does not start, and has logged why.
    with suppress(SystemExit):
        server.run(sockets=[listener])
