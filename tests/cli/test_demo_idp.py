"""`tokensvc demo-idp`: the user that a configuration of `tokensvc init` needs for its first exchange."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner, Result

from tokensvc.cli import make_app
from tokensvc.core.keyset import Algorithm
from tokensvc.signing.keyfiles import make_key
from tokensvc.wiring import bind

COMMAND = Path(sys.executable).with_name("tokensvc")
TIMEOUT_S = 30
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(make_app(), [str(word) for word in words], env={"TOKENSVC_CONFIG": None})


@pytest.fixture
def secrets(tmp_path: Path) -> Any:  # noqa: ANN401 - JSON
    """What `init` says, having written its files to `tmp_path`."""
    return json.loads(run("init", tmp_path, "--json").stdout)["secrets"]


@contextmanager
def running(command: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in that folder, and the address at which it listens."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    with subprocess.Popen(
        [COMMAND, command, "--port", "0"],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


def test_alice_logs_in_and_the_agent_exchanges_her_token(tmp_path: Path, secrets: dict[str, str]) -> None:
    with running("serve", tmp_path) as (_, service), running("demo-idp", tmp_path) as (_, idp):
        login = requests.post(f"{idp}/login", {"user": "alice", "client_id": "planner"}, timeout=TIMEOUT_S)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": login.json()["access_token"],
            "subject_token_type": ACCESS_TOKEN,
            "scope": "crm.read",
        }
        credentials = ("planner", secrets["planner"])
        answer = requests.post(f"{service}/token", form, auth=credentials, timeout=TIMEOUT_S)
        published = requests.get(f"{idp}/jwks", timeout=TIMEOUT_S).json()

    assert (answer.status_code, answer.json().get("scope")) == (200, "crm.read")
    assert published == json.loads((tmp_path / "idp.jwks.json").read_bytes())


@pytest.mark.usefixtures("secrets")
def test_nobody_else_logs_in_and_for_no_other_client(tmp_path: Path) -> None:
    with running("demo-idp", tmp_path) as (_, idp):

        def status(**form: str) -> int:
            return requests.post(f"{idp}/login", form, timeout=TIMEOUT_S).status_code

        assert status(user="alice", client_id="researcher") == 200
        assert status(user="alice") == 200
        assert status(user="bob", client_id="researcher") == 400
        assert status(user="alice", client_id="crm-api") == 401


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_code_0(tmp_path: Path, number: signal.Signals) -> None:
    with running("demo-idp", tmp_path) as (process, idp):
        assert requests.get(f"{idp}/jwks", timeout=TIMEOUT_S).status_code == 200
        process.send_signal(number)
        assert process.wait(TIMEOUT_S) == 0


@pytest.mark.usefixtures("secrets")
def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        result = run("demo-idp", "--config", tmp_path / "tokensvc.toml", "--port", str(listener.getsockname()[1]))

    assert result.exit_code == 4
    assert "Address already in use" in result.stderr


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("state", ["gone", "no key", "another's key"])
def test_without_a_stand_in_there_is_nothing_to_run(tmp_path: Path, state: str) -> None:
    key = tmp_path / "idp-dev.jwk.json"
    if state == "gone":
        key.unlink()
    else:
        key.write_text("{}" if state == "no key" else json.dumps(make_key(Algorithm.RS256).unsafe_private_jwk()))

    result = run("demo-idp", "--config", tmp_path / "tokensvc.toml", "--port", "0")

    assert result.exit_code == 3
    assert "no stand-in identity provider" in result.stderr
