"""The life of one process that serves: from the store that is opened to the last request that is finished.

SIGTERM and SIGINT end it, SIGHUP has it read its configuration again. They count from the moment at which `Told` is
entered, also before there is a loop or a server to hear them.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import uvicorn

from tokensvc.ports import Store
from tokensvc.server.listen import Server, end_at_once, uvicorn_config
from tokensvc.server.workers import SIGNALS, has_terminal
from tokensvc.settings import Settings
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import Service, open_store

__all__ = ["Process", "Told"]


@dataclass(slots=True)
class Told:
    """What signals told this process so far. Plain flags: a lock must not be taken in a signal handler."""

    is_worker: bool = False
    stop: bool = False
    reload: bool = False
    when_stop: Callable[[], object] | None = None
    when_reload: Callable[[], object] | None = None
    _before: dict[int, object] = field(default_factory=dict)
    _had_terminal: bool = field(default_factory=has_terminal)

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal.signal gave it

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self._had_terminal and not has_terminal():
            # Whoever closes the terminal ends what runs in it. By now another handler may be there.
            signal.raise_signal(signal.SIGTERM)
        elif number == signal.SIGHUP:
            self.reload = True
            if self.when_reload is not None:
                self.when_reload()
        elif self.stop and not self.is_worker:
            end_at_once(number)
        elif number == signal.SIGTERM or not self.is_worker:
            self.stop = True
            if self.when_stop is not None:
                self.when_stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process that serves on `listener`, with the configuration file that it reads again when told."""

    store: Store
    service: Service
    server: uvicorn.Server
    listener: socket.socket
    config: Path
    telemetry: Telemetry
    told: Told

    @classmethod
    def build(
        cls, settings: Settings, *, listener: socket.socket, config: Path, telemetry: Telemetry, told: Told
    ) -> "Process":
        """Raises: ConfigurationError."""
        store = open_store(settings, telemetry)
        service = Service(settings, store=store, telemetry=telemetry)
        tls = None if service.tls is None else service.tls.context
        server = Server(uvicorn_config(service.app, telemetry=telemetry), is_worker=told.is_worker, tls=tls)
        return cls(
            store=store,
            service=service,
            server=server,
            listener=listener,
            config=config,
            telemetry=telemetry,
            told=told,
        )

    def run(self, when_ready: Callable[[], None], *, parent: int | None = None) -> None:
        """Serve until told to stop, or until `parent`, a descriptor, comes to its end.

        `when_ready` is called once the store is open. Raises: ConfigurationError, Unavailable when it cannot be opened.
        """
        with asyncio.Runner(loop_factory=self.server.config.get_loop_factory()) as runner:
            runner.run(self._serve(when_ready, parent))

    async def _serve(self, when_ready: Callable[[], None], parent: int | None) -> None:
        # The application opens the store as well, which changes nothing by then. Here a failure can be told as it is.
        # Until uvicorn listens for signals itself, what comes is for us.
        self.told.when_stop = self._stop
        await self.store.open()
        if self.told.stop:
            await self.store.close()
            return
        loop = asyncio.get_running_loop()
        if parent is not None:
            loop.add_reader(parent, self._part, parent)
        reloading = asyncio.create_task(self._reload_when_told())
        try:
            when_ready()
            await self.server.serve(sockets=[self.listener])
        finally:
            reloading.cancel()
            with suppress(asyncio.CancelledError):
                await reloading

    def _stop(self) -> None:
        self.server.should_exit = True

    def _part(self, parent: int) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        self.telemetry.parent_gone()
        self._stop()

    async def _reload_when_told(self) -> None:
        wanted, loop = asyncio.Event(), asyncio.get_running_loop()
        self.told.when_reload = lambda: loop.call_soon_threadsafe(wanted.set)
        if self.told.reload:
            wanted.set()
        try:
            while True:
                await wanted.wait()
                wanted.clear()
                try:
                    await self.service.reload(self.config, os.environ)
                except Exception as exc:  # noqa: BLE001 - the service goes on, and can be told again
                    self.telemetry.fault(exc)
        finally:
            self.told.when_reload = None
