"""A real Redis server on a free port of this machine, which tests start, kill, stop and start again."""

import secrets
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from types import TracebackType
from typing import Any, Final, Self

import redis

from tests.programs import require_programs
from tokensvc.storage.redis import RedisAddress

__all__ = ["DURABLE", "RedisServer"]

# As docs/operations.md demands it.
DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


class RedisServer:
    """A server in the folder `folder` with `options` of redis.conf. It listens from `start` to `kill` or `stop`."""

    def __init__(self, folder: Path, *options: str) -> None:
        require_programs("redis-server")
        self.folder = folder
        self.options = options
        self.port = _free_port()
        self.password: str | None = None
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def address(self) -> RedisAddress:
        return RedisAddress(host="127.0.0.1", port=self.port)

    def start(self, *, wait: bool = True) -> None:
        """Start the server; return when it takes connections, unless told not to `wait`."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self._process = subprocess.Popen([*command, *self.options], stdout=subprocess.PIPE, text=True)
        if wait:
            self.wait_for("Ready to accept connections")

    def wait_for(self, line: str) -> None:
        """Return when the server has logged `line`."""
        assert self._process is not None
        assert self._process.stdout is not None
        said = []
        for text in self._process.stdout:
            said.append(text)
            if line in text:
                return
        raise AssertionError("".join(said))

    def send(self, number: Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As by the kernel when memory is short: no last words."""
        self._end(SIGKILL)

    def stop(self) -> None:
        """As by an operator."""
        self._end(SIGTERM)

    def ends(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        process, self._process = self._process, None
        assert process is not None
        assert process.stdout is not None
        code = process.wait(timeout=30)
        process.stdout.close()
        return code

    def command(self, *words: str | int | bytes) -> Any:  # noqa: ANN401 - whatever Redis answers
        """What the server answers to an operator."""
        with redis.Redis(host="127.0.0.1", port=self.port, password=self.password) as client:
            return client.execute_command(*words)

    def _end(self, number: Signals) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        assert process.stdout is not None
        process.stdout.close()
        process.wait(timeout=30)


def _free_port() -> int:
    """Below those that the system gives to connections: while a server is away, none of them can take its port."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
