"""`tokensvc serve`: it says where it listens, stops cleanly, and names what keeps it from starting."""

import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner, Result

from tests.settings_file import valid_values, write_settings
from tokensvc import wiring
from tokensvc.cli import make_app
from tokensvc.cli import serving as serving_module
from tokensvc.core.keyset import Algorithm
from tokensvc.server.listen import TAKEN_OVER
from tokensvc.settings import Settings
from tokensvc.signing.keyfiles import generate_key
from tokensvc.storage.memory import MemoryStore
from tokensvc.telemetry import Telemetry

COMMAND = Path(sys.executable).with_name("tokensvc")
TIMEOUT_S = 30
LOCAL = {"issuer": "http://127.0.0.1:8700", "store": {"url": "memory:"}}


@pytest.fixture(autouse=True)
def _loggers_given_back() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in TAKEN_OVER]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def run(*arguments: str | Path) -> Result:
    """`serve` where it fails to start, in this process."""
    words = ["serve", *(str(word) for word in arguments)]
    return CliRunner().invoke(make_app(), words, env={"TOKENSVC_CONFIG": None})


def configured(folder: Path, **changes: object) -> Path:
    generate_key(folder / "keys", Algorithm.ES256, now=1)
    return write_settings(folder, {**valid_values(), **LOCAL, **changes})


@contextmanager
def serving(*words: str | Path, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """The command as a real process; killed at the end if it is still there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    with subprocess.Popen(
        [*words, "--port", "0"], cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_announcement(process: subprocess.Popen[str]) -> dict[str, str]:
    """The lines up to the next command, by their labels."""
    assert process.stdout is not None
    said = {}
    for line in process.stdout:
        label, _, value = line.strip().partition("  ") if not line.startswith("Next:") else line.partition(" ")
        said[label.rstrip(":")] = value.strip()
        if label == "Next:":
            return said
    raise AssertionError(f"ended early: {said}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("path", ["", "/tenant"])
def test_it_says_where_it_listens_and_a_signal_ends_it_with_exit_code_0(
    tmp_path: Path, number: signal.Signals, path: str
) -> None:
    issuer = f"http://127.0.0.1:8700{path}"
    config = configured(tmp_path, issuer=issuer, store={"url": "sqlite:///tokens.db"})
    with serving(COMMAND, "serve", "--config", config, cwd=tmp_path) as process:
        said = read_announcement(process)
        curl, _, address = said["Next"].rpartition(" ")
        metadata = requests.get(address, timeout=TIMEOUT_S).json()
        ready = requests.get(f"{said['listening on']}/readyz", timeout=TIMEOUT_S)
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, out) == (0, "")
    assert (curl, metadata["issuer"], said["issuer"], ready.status_code) == ("curl -s", issuer, issuer, 200)
    assert said["store"] == f"sqlite:///{tmp_path}/tokens.db"
    events = [json.loads(line) for line in err.splitlines()]
    assert [event["event"] for event in events] == ["store_made", "started", "stopped"]
    assert events[0]["level"] == "warning"
    assert "revocations" in events[0]["meaning"]
    assert (tmp_path / "tokens.db").exists()


def test_a_signal_right_after_the_announcement_ends_it(tmp_path: Path) -> None:
    config = configured(tmp_path, store={"url": "sqlite:///tokens.db"})
    with serving(COMMAND, "serve", "--config", config, cwd=tmp_path) as process:
        read_announcement(process)
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


def test_the_first_run_ends_with_a_service_that_answers(tmp_path: Path) -> None:
    subprocess.run([COMMAND, "init"], cwd=tmp_path, capture_output=True, timeout=TIMEOUT_S, check=True)
    with serving(sys.executable, "-m", "tokensvc", "serve", cwd=tmp_path) as process:
        address = read_announcement(process)["listening on"]
        keys = requests.get(f"{address}/.well-known/jwks.json", timeout=TIMEOUT_S).json()["keys"]
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)

    assert len(keys) == 1
    assert process.returncode == 0


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    config = configured(tmp_path)
    with wiring.bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        result = run("--config", config, "--port", str(port))

    assert (result.exit_code, result.stdout) == (4, "")
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in result.stderr
    assert "change port in [server], and issuer where it names the port" in result.stderr


def test_an_address_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    config = configured(tmp_path, issuer="https://tokens.example")

    for host in ("x" * 300, "203.0.113.1"):
        result = run("--config", config, "--host", host, "--port", "0")
        assert result.exit_code == 4
        assert "cannot listen on" in result.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "198.51.100.1", "tokens.example"])  # noqa: S104 - what is refused
def test_http_is_for_this_machine_alone(tmp_path: Path, host: str) -> None:
    result = run("--config", configured(tmp_path), "--host", host)

    assert result.exit_code == 3
    assert "server.host" in result.stderr
    assert "https" in result.stderr


@pytest.mark.parametrize(
    ("issuer", "host"),
    [("https://tokens.example", "0.0.0.0"), ("http://localhost", "localhost"), ("http://127.0.0.1", "127.0.0.2")],  # noqa: S104
)
def test_behind_a_proxy_or_on_this_machine_it_listens(tmp_path: Path, issuer: str, host: str) -> None:
    with wiring.bind(host, 0) as listener:
        port = listener.getsockname()[1]
        result = run("--config", configured(tmp_path, issuer=issuer), "--host", host, "--port", str(port))

    # It got as far as the port, which is taken.
    assert result.exit_code == 4


def test_a_configuration_that_cannot_be_used_is_exit_code_3(tmp_path: Path) -> None:
    missing = run("--config", tmp_path / "gone.toml")
    keyless = run("--config", write_settings(tmp_path, {**valid_values(), **LOCAL}))

    assert (missing.exit_code, keyless.exit_code) == (3, 3)
    assert "tokensvc init" in missing.stderr
    assert "tokensvc keys generate" in keyless.stderr


def test_a_store_that_can_never_be_used_is_exit_code_3(tmp_path: Path) -> None:
    config = configured(tmp_path, store={"url": "sqlite:///missing/tokens.db"})

    result = run("--config", config, "--port", "0")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "mkdir -p" in result.stderr


@pytest.mark.parametrize("content", [b"no database at all" * 1000, b"SQLite format 3\0" + b"\xa5" * 9000])
def test_a_file_that_is_no_database_is_exit_code_3(tmp_path: Path, content: bytes) -> None:
    config = configured(tmp_path, store={"url": "sqlite:///tokens.db"})
    (tmp_path / "tokens.db").write_bytes(content)

    result = run("--config", config, "--port", "0")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "Restore it from a backup, or name another file" in result.stderr


def test_a_store_that_cannot_be_used_now_is_exit_code_4(tmp_path: Path) -> None:
    config = configured(tmp_path, store={"url": "sqlite:///tokens.db"})
    with closing(sqlite3.connect(tmp_path / "tokens.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = run("--config", config, "--port", "0")

    assert (result.exit_code, result.stdout) == (4, "")
    assert "store.url" in result.stderr
    assert "(SQLITE_BUSY)" in result.stderr


def test_a_signal_during_the_start_ends_it_before_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(MemoryStore):
        is_closed = False

        async def open(self) -> None:
            signal.raise_signal(signal.SIGTERM)

        async def close(self) -> None:
            self.is_closed = True

    store = Slow()

    def open_slowly(_settings: Settings, _telemetry: Telemetry) -> Slow:
        return store

    monkeypatch.setattr(serving_module, "open_store", open_slowly)
    before = signal.getsignal(signal.SIGTERM)

    result = run("--config", configured(tmp_path), "--port", "0")

    assert (result.exit_code, result.stdout, store.is_closed) == (0, "", True)
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_ipv6_address_is_written_in_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    monkeypatch.chdir(tmp_path)
    config = configured(tmp_path, issuer="http://[::1]:8700")
    with serving(COMMAND, "serve", "--config", config, "--host", "::1", cwd=tmp_path) as process:
        address = read_announcement(process)["listening on"]
        answer = requests.get(f"{address}/healthz", timeout=TIMEOUT_S)

    assert address.startswith("http://[::1]:")
    assert answer.status_code == 200


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_help_has_an_example() -> None:
    result: Any = CliRunner().invoke(make_app(), ["serve", "--help"])

    assert "tokensvc serve" in result.stdout.partition("Example")[2]
