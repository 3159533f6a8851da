"""Servers as processes of their own on loopback ports, and what they take of the machine: by /proc, so Linux only."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Server", "can_measure", "python", "running", "running_redis"]

ROOT: Final = Path(__file__).resolve().parents[1]
_PROC: Final = Path("/proc")
_STOP_S: Final = 30
_KILOBYTE: Final = 1024


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens on `port`, and its process."""

    port: int
    pid: int

    def cpu_us(self) -> float:
        """Processor time taken so far (us), of its threads and of the processes that it started."""
        return sum(_cpu_ns(pid) for pid in _family(self.pid)) / 1000

    def rss_mb(self) -> float:
        """Memory of the process that lies in RAM now (MiB)."""
        text = (_PROC / str(self.pid) / "status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
        if found is None:
            raise RuntimeError("the process has ended")
        return int(found[1]) / _KILOBYTE


def can_measure() -> bool:
    """True where the system tells processor time by the nanosecond, as Linux does."""
    return (_PROC / "self" / "schedstat").is_file()


def _cpu_ns(pid: int) -> int:
    return sum(int(path.read_text().split()[0]) for path in (_PROC / str(pid) / "task").glob("*/schedstat"))


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    parents = {int(path.name): _parent(path) for path in _PROC.iterdir() if path.name.isdecimal()}
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _parent(path: Path) -> int:
    try:
        # The name, in brackets, may hold anything.
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@contextmanager
def running(words: Sequence[str | Path], log: Path, *, ready: str, port: int = 0) -> Iterator[Server]:
    """The command while it runs, from when it says what `ready` matches. What it logs goes to `log`.

    The group of `ready` is the port, unless it is known beforehand. Raises: RuntimeError when it ends before that.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: S603 - our own commands
            words,
            cwd=ROOT,
            env={**environ, "NODE_ENV": "production"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            found = _read_until(process, ready, log)
            yield Server(port=port or int(found[1]), pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _read_until(process: "subprocess.Popen[str]", ready: str, log: Path) -> re.Match[str]:
    for line in process.stdout or ():
        if found := re.search(ready, line):
            return found
    raise RuntimeError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")


@contextmanager
def running_redis(folder: Path, appendfsync: str) -> Iterator[Server]:
    """A Redis server that writes its log to `folder`. Raises: RuntimeError when it does not start."""
    folder.mkdir()
    port = _free_port()
    words = [shutil.which("redis-server") or "redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    words += ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", appendfsync, "--save", ""]
    with running(words, folder / "log", ready="Ready to accept connections", port=port) as server:
        yield server


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def python(*words: str | Path) -> list[str | Path]:
    """The command that runs a module of this installation."""
    return [sys.executable, "-m", *words]
