"""`tokensvc serve --workers`: several processes on one socket, from start to end, whatever dies in between."""

import json
import os
import signal
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
import requests

from tests.cli.running import ISSUER, TIMEOUT_S, Running, configured, serving, start, until, user_token
from tests.exchange.holders import holder, proof
from tests.server.world import basic, exchange_form, values
from tokensvc.core.keyset import KeySet, render_jwks

WORKERS = 2


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configured(tmp_path)


def workers_of(running: Running) -> list[int]:
    """The process ids of the workers that have started, in that order."""
    return [event["worker"] for event in running.wait_for("started", count=WORKERS)]


def is_running(pid: int) -> bool:
    """True while there is a process of that number that has not ended; the dead whom nobody reaps have ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_workers_share_the_socket_and_the_store_and_end_with_exit_code_0(config: Path) -> None:
    with serving(config, "--workers", "2") as running:
        running.announced()
        pids = workers_of(running)
        started = start(running.address)
        token = {"token": started.json()["access_token"]}

        def seen() -> set[bool]:
            # A connection each: they go to any of the workers.
            headers = {**basic("planner"), "Connection": "close"}
            address = f"{running.address}/introspect"
            answers = [requests.post(address, data=token, headers=headers, timeout=TIMEOUT_S) for _ in range(20)]
            return {answer.json()["active"] for answer in answers}

        before = seen()
        requests.post(f"{running.address}/revoke", data=token, headers=basic("planner"), timeout=TIMEOUT_S)
        after = seen()
        # A terminal sends Ctrl-C to every process at once.
        os.killpg(running.process.pid, signal.SIGINT)
        code = running.ends()
        stopped = running.wait_for("stopped", count=WORKERS)

    assert (before, after) == ({True}, {False})
    assert (code, running.said["workers"], len(set(pids))) == (0, "2", WORKERS)
    assert {event["worker"] for event in stopped} == set(pids)
    assert running.logged("worker_died") == running.logged("worker_killed") == []
    assert not any(map(is_running, pids))


def test_a_worker_that_dies_is_replaced_and_nobody_is_refused(config: Path) -> None:
    with serving(config, "--workers", "2") as running:
        running.announced()
        pids = workers_of(running)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # Nobody listens at this moment, and the socket is open.
        answer = start(running.address)
        died = running.wait_for("worker_died", count=WORKERS)
        started = running.wait_for("started", count=2 * WORKERS)
        # systemd sends SIGTERM to every process at once.
        os.killpg(running.process.pid, signal.SIGTERM)
        code = running.ends()

    assert (answer.status_code, code) == (200, 0)
    assert {(event["died"], event["status"]) for event in died} == {(pid, -signal.SIGKILL) for pid in pids}
    assert len({event["worker"] for event in started}) == 2 * WORKERS


def test_a_replacement_that_cannot_start_is_tried_again_ever_later_while_the_others_serve(config: Path) -> None:
    with serving(config, "--workers", "2") as running:
        running.announced()
        first, second = workers_of(running)
        keys = config.parent / "keys"
        away = keys.rename(config.parent / "away")
        os.kill(first, signal.SIGKILL)
        pauses = [event["again_in_s"] for event in running.wait_for("worker_died", count=3)]
        answer = start(running.address)
        away.rename(keys)
        running.wait_for("started", count=3)
        running.process.terminate()
        code = running.ends()

    assert (pauses, answer.status_code, code) == ([0.1, 0.2, 0.4], 200, 0)
    assert running.logged("worker_died", died=second) == []


def test_the_first_worker_s_problem_ends_the_command_with_its_exit_code(config: Path) -> None:
    with closing(sqlite3.connect(config.parent / "tokens.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with serving(config, "--workers", "2") as running:
            code = running.ends()
            said = "".join(running.rest())

    assert code == 4
    assert "(SQLITE_BUSY)" in said
    assert "store.url" in said


def test_a_first_worker_that_is_killed_ends_the_command_too(config: Path) -> None:
    with closing(sqlite3.connect(config.parent / "tokens.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with serving(config, "--workers", "2") as running:
            # It waits for the lock.
            until(lambda: len(children_of(running.process.pid)) == 1)
            os.kill(children_of(running.process.pid)[0], signal.SIGKILL)
            code = running.ends()

    assert code == 128 + signal.SIGKILL


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_workers_need_a_store_that_they_share(tmp_path: Path) -> None:
    config = configured(tmp_path, store={"url": "memory:"})
    with serving(config, "--workers", "2") as running:
        code, said = running.ends(), "".join(running.rest())

    assert code == 3
    assert "store.url" in said
    assert "sqlite:///tokensvc.db" in said


def test_workers_end_when_their_parent_is_gone_without_a_word(config: Path) -> None:
    with serving(config, "--workers", "2") as running:
        running.announced()
        pids = workers_of(running)
        running.process.kill()
        running.wait_for("parent_gone", count=WORKERS)
        running.wait_for("stopped", count=WORKERS)
        until(lambda: not any(map(is_running, pids)))
        port = int(running.address.rpartition(":")[2])
        # Nobody holds the socket any more.
        with pytest.raises(ConnectionRefusedError), closing(socket.create_connection(("127.0.0.1", port), TIMEOUT_S)):
            pass


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_in_flight_is_finished_before_it_ends(config: Path, workers: str) -> None:
    with serving(config, "--workers", workers) as running:
        running.announced()
        running.wait_for("started", count=int(workers))
        with begun_request(running) as connection:
            running.process.terminate()
            # Whoever comes now is refused; who came before is not.
            until(lambda: is_closed(running.address))
            connection.sendall(b"token=x")
            answer = connection.recv(65536)
        code = running.ends()

    assert answer.startswith(b"HTTP/1.1 200")
    assert code == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_it_at_once(config: Path, workers: str) -> None:
    with serving(config, "--workers", workers) as running:
        running.announced()
        pids = [event.get("worker") for event in running.wait_for("started", count=int(workers))]
        with begun_request(running):
            running.process.terminate()
            until(lambda: is_closed(running.address))
            running.process.terminate()
            code = running.ends()

    assert code == -signal.SIGTERM
    assert not any(is_running(pid) for pid in pids if pid is not None)


def begun_request(running: Running) -> socket.socket:
    """A connection on which a request waits for its body, at a worker that has read its head."""
    port = int(running.address.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    head = {"Host": "x", **basic("planner"), "Content-Type": "application/x-www-form-urlencoded", "Content-Length": "7"}
    lines = [f"{name}: {value}\r\n" for name, value in {**head, "Expect": "100-continue"}.items()]
    connection.sendall(f"POST /revoke HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
    assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection


def is_closed(address: str) -> bool:
    port = int(address.rpartition(":")[2])
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S):
            return False
    except ConnectionRefusedError:
        return True


def test_a_proof_is_used_once_whichever_worker_gets_it_and_after_they_were_killed(tmp_path: Path) -> None:
    agents = values(ISSUER)["agent"]
    (tmp_path / "planner.json").write_text(json.dumps(render_jwks(KeySet([holder("planner").public]))))
    config = configured(tmp_path, agent=[{**agents[0], "holder_jwks_file": "planner.json"}, *agents[1:]])

    def status(address: str, proof: str) -> tuple[int, str | None]:
        form = exchange_form(user_token(), scope="crm.export crm.read crm.write")
        headers = {**basic("planner"), "Connection": "close", "DPoP": proof}
        answer = requests.post(f"{address}/token", data=form, headers=headers, timeout=TIMEOUT_S)
        return answer.status_code, answer.json().get("reason")

    def fresh() -> str:
        return proof(holder("planner"), int(time.time()), jti=os.urandom(8).hex(), htu=f"{ISSUER}/token")

    with serving(config, "--workers", "2") as running:
        running.announced()
        used = [fresh() for _ in range(4)]
        with ThreadPoolExecutor(8) as threads:
            at_once = [list(threads.map(status, [running.address] * 8, [text] * 8)) for text in used]
        os.killpg(running.process.pid, signal.SIGKILL)
        running.ends()
    with serving(config, "--workers", "2") as running:
        running.announced()
        afterwards = [status(running.address, text) for text in used]
        unused = status(running.address, fresh())

    assert [sorted(answers, key=str) for answers in at_once] == [[(200, None), *[(400, "replayed")] * 7]] * 4
    assert afterwards == [(400, "replayed")] * 4
    assert unused == (200, None)
