"""`tokensvc serve` as a real process: what it says, what it logs, who its workers are. Every wait has its deadline."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import requests

from tests.server.world import IDP, USER, USER_SCOPE, basic, exchange_form, values
from tests.settings_file import write_settings
from tests.simulator import Simulator, ec_key
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.signing.keyfiles import generate_key

__all__ = ["COMMAND", "ISSUER", "TIMEOUT_S", "Running", "configured", "serving", "start", "until", "user_token"]

# From the checkout that the tests are in, whatever is installed.
COMMAND: Final = (sys.executable, "-m", "tokensvc")
ISSUER: Final = "http://127.0.0.1:8700"
# So much is a hang, on a machine that has other things to do as well.
TIMEOUT_S: Final = 30


def configured(folder: Path, **changes: object) -> Path:
    """The configuration of `tests.server.world` on SQLite, with a signing key and the identity provider's key set."""
    if not (folder / "keys").exists():
        generate_key(folder / "keys", Algorithm.ES256, now=1)
    path = write_settings(folder, {**values(ISSUER), "store": {"url": "sqlite:///tokens.db"}, **changes})
    (folder / "idp.jwks.json").write_text(json.dumps(render_jwks(KeySet([ec_key("idp").public]))))
    return path


def user_token() -> str:
    """A user's token, fresh, obtained by planner."""
    now = int(time.time())
    claims = {"iss": IDP, "sub": USER, "aud": "tokensvc", "client_id": "planner", "scope": USER_SCOPE}
    return Simulator(iss=IDP, key=ec_key("idp")).token({**claims, "iat": now - 10, "exp": now + 3600})


def start(address: str) -> requests.Response:
    """A start by planner, on a connection of its own."""
    form = exchange_form(user_token(), scope="crm.export crm.read crm.write")
    headers = {**basic("planner"), "Connection": "close"}
    return requests.post(f"{address}/token", data=form, headers=headers, timeout=TIMEOUT_S)


def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; fail when it takes too long."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        # A breath for the others; nothing rests on how long it is.
        threading.Event().wait(0.01)


class Running:
    """One `tokensvc serve`, its configuration in `folder`. `events` are those of its log that were read so far."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.said: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        # A test that has the log elsewhere has none here.
        if process.stderr is not None:
            self._reader.start()

    @property
    def address(self) -> str:
        return self.said["listening on"]

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self._lines.put(line)
        self._lines.put(None)

    def announced(self) -> Self:
        """Wait for what it says up to the next command."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            label, _, value = line.strip().partition("  ") if not line.startswith("Next:") else line.partition(" ")
            self.said[label.rstrip(":")] = value.strip()
            if label == "Next:":
                return self
        raise AssertionError(f"ended early: {self.said}, {self.rest()}")

    def wait_for(self, event: str, *, count: int = 1, **members: object) -> list[dict[str, Any]]:
        """The first `count` events of that name with these members; waits until there are as many."""
        deadline = time.monotonic() + TIMEOUT_S
        while len(found := self.logged(event, **members)) < count:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            assert line is not None, f"ended without {event}: {self.events}"
            self._note(line)
        return found

    def has_logged(self, event: str, *, count: int, **members: object) -> bool:
        """True when that was logged by now; waits for nothing."""
        with suppress(queue.Empty):
            while (line := self._lines.get_nowait()) is not None:
                self._note(line)
        return len(self.logged(event, **members)) >= count

    def _note(self, line: str) -> None:
        # What is no JSON is said to people.
        self.events += [json.loads(line)] if line.startswith("{") else []

    def logged(self, event: str, **members: object) -> list[dict[str, Any]]:
        """The events of that name with these members among those that were read."""
        return [
            found
            for found in self.events
            if found["event"] == event and all(found.get(name) == value for name, value in members.items())
        ]

    def rest(self) -> list[str]:
        """Every line that was not read yet, once the process has closed its log."""
        lines = []
        while (line := self._lines.get(timeout=TIMEOUT_S)) is not None:
            lines.append(line)
        return lines

    def ends(self) -> int:
        """Wait for its end; its exit code, or minus the signal that ended it."""
        return self.process.wait(TIMEOUT_S)


@contextmanager
def serving(config: Path, *words: str, stderr: int = subprocess.PIPE) -> Iterator[Running]:
    """The command on a free port, in a session of its own; whatever is left of it is killed at the end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    arguments = [*COMMAND, "serve", "--config", str(config), "--port", "0", *words]
    with subprocess.Popen(
        arguments, env=environ, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
    ) as process:
        running = Running(process, config.parent)
        try:
            yield running
        finally:
            with suppress(ProcessLookupError):
                # Its own group: it, and workers that it should not have left behind.
                os.killpg(process.pid, signal.SIGKILL)
