"""`tokensvc serve` and `check-config` with a store in Redis: they start, say what keeps them, and show no password."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from tests.cli.test_serve import TIMEOUT_S, configured, read_announcement, run, serving
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.cli import make_app

PASSWORD = "hunter-hunter"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder, *DURABLE, "--requirepass", PASSWORD) as server:
        server.password = PASSWORD
        yield server


@pytest.mark.parametrize("place", ["url", "file"])
def test_it_serves_from_redis_and_shows_no_password(tmp_path: Path, server: RedisServer, place: str) -> None:
    secret = f":{PASSWORD}@" if place == "url" else ""
    store = {"url": f"redis://{secret}127.0.0.1:{server.port}/2"}
    if place == "file":
        (tmp_path / "redis.password").write_text(f"{PASSWORD}\n")
        store["password_file"] = "redis.password"
    config = configured(tmp_path, store=store)
    shown_as = f"redis://{':***@' if place == 'url' else ''}127.0.0.1:{server.port}/2"

    with serving(sys.executable, "-m", "tokensvc", "serve", "--config", config, cwd=Path.cwd()) as process:
        said = read_announcement(process)
        ready = requests.get(f"{said['listening on']}/readyz", timeout=TIMEOUT_S)
        server.kill()
        away = requests.get(f"{said['listening on']}/readyz", timeout=TIMEOUT_S)
        server.start()
        back = requests.get(f"{said['listening on']}/readyz", timeout=TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, out, said["store"]) == (0, "", shown_as)
    assert [answer.status_code for answer in (ready, away, back)] == [200, 503, 200]
    assert [json.loads(line)["event"] for line in err.splitlines()] == [
        "store_made",
        "started",
        "unavailable",
        "stopped",
    ]
    assert PASSWORD not in str(said) + out + err
    checked = CliRunner().invoke(make_app(), ["check-config", "--config", str(config)], env=_no_variables())
    assert checked.exit_code == 0
    assert shown_as in checked.stdout
    assert PASSWORD not in checked.output


@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 0), ("wrong-wrong", 3)])
def test_a_wrong_password_is_exit_code_3(tmp_path: Path, server: RedisServer, password: str, code: int) -> None:
    config = configured(tmp_path, store={"url": f"redis://:{password}@127.0.0.1:{server.port}"})
    if code == 0:
        with serving(sys.executable, "-m", "tokensvc", "serve", "--config", config, cwd=Path.cwd()) as process:
            assert "store" in read_announcement(process)
        return
    result = run("--config", config, "--port", "0")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "refuses the password" in result.stderr
    assert password not in result.stderr


def test_a_server_that_is_away_is_exit_code_4(tmp_path: Path, server: RedisServer) -> None:
    server.kill()
    config = configured(tmp_path, store={"url": f"redis://:{PASSWORD}@127.0.0.1:{server.port}"})
    result = run("--config", config, "--port", "0")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "store.url" in result.stderr
    assert PASSWORD not in result.stderr


def test_a_password_file_that_cannot_be_read_is_exit_code_3_and_a_problem_of_check_config(tmp_path: Path) -> None:
    config = configured(tmp_path, store={"url": "redis://127.0.0.1:1", "password_file": "redis.password"})
    served = run("--config", config, "--port", "0")
    checked = CliRunner().invoke(make_app(), ["check-config", "--config", str(config)], env=_no_variables())
    for result in (served, checked):
        assert result.exit_code == 3
        assert "redis.password" in result.stderr
    (tmp_path / "redis.password").write_text(PASSWORD)
    checked = CliRunner().invoke(make_app(), ["check-config", "--config", str(config)], env=_no_variables())
    assert checked.exit_code == 0


def _no_variables() -> dict[str, str | None]:
    return {name: None for name in os.environ if name.startswith("TOKENSVC_")}
