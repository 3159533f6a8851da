"""`tokensvc serve` and SIGHUP: another configuration for the next request on, or none of it."""

import os
import pty
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.running import ISSUER, TIMEOUT_S, Running, configured, serving, start
from tests.server.world import values


@pytest.fixture(scope="module", params=["1", "2"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    with serving(configured(folder), "--workers", request.param) as running:
        running.announced()
        running.wait_for("started", count=int(request.param))
        yield running
        running.process.terminate()
        assert running.ends() == 0


@pytest.fixture
def running(server: Running) -> Running:
    """With the configuration that `configured` writes, and nothing read of its log."""
    configured(server.folder)
    reload(server)
    return server


def reload(running: Running) -> list[dict[str, Any]]:
    """SIGHUP; what every process then says of its new configuration, and nothing said before."""
    running.events.clear()
    running.process.send_signal(signal.SIGHUP)
    return running.wait_for("configuration_reloaded", count=count_of(running))


def reload_refused(running: Running, count: int) -> list[dict[str, Any]]:
    """SIGHUP; the problems that are logged, `count` of them."""
    running.events.clear()
    running.process.send_signal(signal.SIGHUP)
    return running.wait_for("configuration_refused", count=count)


def count_of(running: Running) -> int:
    return int(running.said.get("workers", "1"))


def without_planner() -> list[dict[str, Any]]:
    agents: list[dict[str, Any]] = values(ISSUER)["agent"]
    return [{**agent, "enabled": agent["id"] != "planner"} for agent in agents]


def test_an_agent_that_is_disabled_in_the_file_is_refused_by_every_worker(running: Running) -> None:
    before = start(running.address)
    (first,) = {event["configuration"] for event in running.logged("configuration_reloaded")}
    configured(running.folder, agent=without_planner())
    reloaded = reload(running)
    after = [start(running.address) for _ in range(10)]
    configured(running.folder)
    back = reload(running)
    again = start(running.address)

    assert (before.status_code, again.status_code) == (200, 200)
    assert {answer.status_code for answer in after} == {401}
    assert {event["before"] for event in reloaded} == {event["configuration"] for event in back} == {first}
    assert {event["configuration"] for event in reloaded} == {event["before"] for event in back} != {first}


def test_a_file_with_problems_changes_nothing_and_every_problem_is_logged(running: Running) -> None:
    config = configured(running.folder, agent=without_planner(), limits={"depth": 99}, colour="red")
    problems = reload_refused(running, 2)
    answer = start(running.address)

    assert answer.status_code == 200
    assert {problem["key"] for problem in problems} == {"limits.depth", "colour"}
    assert {problem["file"] for problem in problems} == {str(config)}
    assert all(problem["remedy"] for problem in problems)
    assert running.logged("configuration_reloaded") == []


def test_what_only_a_restart_can_change_is_refused_by_name(running: Running) -> None:
    store = {"url": "sqlite:///other.db"}
    server = {"port": 8701}
    configured(running.folder, issuer=f"{ISSUER}/x", store=store, server=server, agent=without_planner())
    problems = reload_refused(running, 3)
    answer = start(running.address)

    assert answer.status_code == 200
    assert [problem["key"] for problem in problems] == ["issuer", "store.url", "server.port"]
    assert "restart" in problems[0]["remedy"]


def test_what_does_not_go_with_the_signing_keys_is_refused(running: Running) -> None:
    jwks = running.folder / "idp.jwks.json"
    good = jwks.read_text()
    jwks.write_text(requests.get(f"{running.address}/.well-known/jwks.json", timeout=TIMEOUT_S).text)
    (problem,) = reload_refused(running, 1)
    answer = start(running.address)
    jwks.write_text(good)

    assert reload(running)
    assert (problem["file"], answer.status_code) == (str(jwks), 200)


def test_a_worker_that_follows_begins_with_what_was_found_good(tmp_path: Path) -> None:
    with serving(configured(tmp_path), "--workers", "2") as running:
        running.announced()
        pids = [event["worker"] for event in running.wait_for("started", count=2)]
        configured(tmp_path, agent=without_planner())
        running.process.send_signal(signal.SIGHUP)
        good = running.wait_for("configuration_reloaded", count=2)[0]["configuration"]
        configured(tmp_path, colour="red")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("configuration_refused")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        followers = running.wait_for("started", count=4)[2:]
        answer = start(running.address)

    assert {event["configuration"] for event in followers} == {good}
    assert answer.status_code == 401


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_is_closed_ends_it(tmp_path: Path, workers: str) -> None:
    controller, terminal = pty.openpty()
    config = configured(tmp_path)
    with serving(config, "--workers", workers, stderr=terminal) as running:
        os.close(terminal)
        running.announced()
        os.close(controller)
        running.process.send_signal(signal.SIGHUP)
        code = running.ends()

    assert code == 0
