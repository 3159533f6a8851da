"""`tokensvc demo`, as it is typed: what it says, how it ends, and that nothing of it stays."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.integrations.requests_client import OAuth2Session
from typer.testing import CliRunner

from tests.demo.outsider import GRANT_TYPE, Outsider, token_of
from tests.programs import require_programs
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.cli import make_app
from tokensvc.demo import attacks, world
from tokensvc.demo.report import instructions
from tokensvc.demo.world import World
from tokensvc.errors import Unavailable
from tokensvc.verify import Evidence

COMMAND = Path(sys.executable).with_name("tokensvc")
TIMEOUT_S = 30
# A clean end takes some tenths of a second.
STOP_S = 10


def environment(temporary: Path) -> dict[str, str]:
    """Nothing of ours in it, a proxy that leads nowhere, and an own folder for temporary files."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    return {**environ, "HTTP_PROXY": "http://127.0.0.1:9", "TMPDIR": str(temporary), "PATH": path}


@contextmanager
def running(*options: str | Path, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """The command as a process in a group of its own; whatever is left of the group at the end is killed."""
    with subprocess.Popen(
        [COMMAND, "demo", *options],
        cwd=temporary,
        env=environment(temporary),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Return as soon as `path` is there."""
    deadline = time.monotonic() + TIMEOUT_S
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_group_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def answers(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def end(process: subprocess.Popen[str], *signals: signal.Signals) -> tuple[str, str]:
    """What it says when it is told to stop, and is gone."""
    for number in signals:
        process.send_signal(number)
    said = process.communicate(timeout=STOP_S)
    assert process.returncode == 0, said
    assert is_group_gone(process.pid)
    return said


def invoke(*options: str) -> Any:  # noqa: ANN401 - typer's own Result
    return CliRunner().invoke(make_app(), ["demo", *options])


def test_it_exits_0_tells_the_story_without_a_secret_and_leaves_nothing(tmp_path: Path) -> None:
    with running(temporary=tmp_path) as process:
        said, complained = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, complained) == (0, "")
    said = re.sub(r" +\n", "\n", said)
    for attack in attacks.ATTACKS:
        assert re.search(rf"{re.escape(attack.title)} +\d+ {attack.expected} +200\n", said)
    assert re.search(r"alice .*\n.*\bmay .*\n.*planner .*API 200\n.*\n +lost +crm.admin mail.send", said)
    assert f"{len(attacks.ATTACKS)} of {len(attacks.ATTACKS)} attacks were refused" in said
    assert said.rstrip().endswith("Next: tokensvc demo --serve")
    assert max(len(line) for line in said.splitlines()) <= 80
    # Tokens and keys are base64url without a break; 43 characters are 256 bits.
    assert not re.search(r"[A-Za-z0-9_-]{43}", said)
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_same_for_a_machine_and_dir_keeps_the_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The settings of a service of one's own are not the demo's.
    monkeypatch.setenv("TOKENSVC_ISSUER", "https://tokens.example")
    kept = tmp_path / "kept"
    result = invoke("--json", "--dir", str(kept))
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["ok"], report["failures"]) == (True, [])
    assert [stop["holder"] for stop in report["walk"]] == ["alice", "planner", "researcher", "fetcher"]
    assert [stop.get("api_status") for stop in report["walk"]] == [None, 200, 200, 200]
    assert all(found["ok"] and found["reason"] == found["expected"] for found in report["attacks"])
    assert all(found["control_status"] == 200 for found in report["attacks"])
    secrets = [client["client_secret"] for client in json.loads((kept / "world.json").read_text())["clients"]]
    assert not [secret for secret in secrets if secret in result.stdout]


def test_with_signed_delegations_a_token_service_that_turned_bad_is_caught(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    result = invoke("--evidence", "delegator", "--dir", str(kept))
    assert result.exit_code == 0, result.output
    assert "28 of 28 attacks were refused for the stated reason" in result.stdout
    assert "hop 3 is not signed by its delegator" in result.stdout
    assert 'evidence = "delegator"' in (kept / "tokensvc.toml").read_text()
    refused = invoke("--evidence", "nobody")
    assert (refused.exit_code, "issuer, delegator" in refused.stderr) == (2, True)


def test_an_expectation_that_does_not_hold_is_exit_1_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    first, right = attacks.ATTACKS[0], attacks.ATTACKS[3]
    monkeypatch.setattr(
        attacks, "ATTACKS_BY_EVIDENCE", {Evidence.ISSUER: (first, replace(right, expected="not_narrower"))}
    )
    result = invoke()
    assert result.exit_code == 1
    assert "FAILED  equal_scope was refused as not_proper, and not as not_narrower" in result.stdout
    assert "Next:" not in result.stdout
    monkeypatch.setattr(attacks, "ATTACKS_BY_EVIDENCE", {Evidence.ISSUER: (first, right)})
    assert invoke().exit_code == 0


def test_served_it_can_be_driven_by_who_knows_world_json_alone_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    folder = tmp_path / "dir"
    with running("--serve", "--dir", folder, temporary=tmp_path) as process:
        wait_for(folder / "world.json", process)
        assert (folder / "world.json").stat().st_mode & 0o777 == 0o600
        with Outsider.of(folder / "world.json") as outsider:
            planner = token_of(outsider.start())
            researcher = token_of(outsider.pick_up(token_of(outsider.delegate(planner, by=0)), 1))
            assert outsider.get(outsider.told["api_url"], token=researcher).status_code == 200
            assert outsider.pick_up(researcher, 1, scope="crm.admin").json()["reason"] == "not_narrower"
            authlib_walks_down(outsider.told)
            urls = [outsider.told["issuer"], outsider.told["api_url"]]
        assert all(answers(url) for url in urls)
        said, complained = end(process, signal.SIGINT)
    assert complained == "stopped\n"
    assert str(folder / "world.json") in said
    assert not any(answers(url) for url in urls)
    assert not (folder / "world.json").exists()


def authlib_walks_down(told: dict[str, Any]) -> None:
    """An ordinary OAuth client, told nothing but `world.json`: start, delegate, pick up, call."""
    resource = told["resources"][0]
    wanted = [
        " ".join(s for s in told["subject_scopes"] if s in resource["scopes"] and s in client["scopes"])
        for client in told["clients"]
    ]

    def exchange(client: int, **parameters: str) -> OAuth2Session:
        party = told["clients"][client]
        session = OAuth2Session(
            party["client_id"], party["client_secret"], token_endpoint_auth_method=party["auth_method"]
        )
        session.trust_env = False
        session.fetch_token(told["token_endpoint"], grant_type=GRANT_TYPE, resource=resource["id"], **parameters)
        return session

    def renew(client: int, actor: int, token: str) -> OAuth2Session:
        access_token = "urn:ietf:params:oauth:token-type:access_token"
        named = {"scope": wanted[actor], "requested_actor": told["clients"][actor]["client_id"]}
        return exchange(client, subject_token=token, subject_token_type=access_token, **named)

    subject = {"subject_token": told["subject_token"], "subject_token_type": told["subject_token_type"]}
    session = exchange(0, **subject, scope=wanted[0])
    for client in (0, 1):
        exchange_only = renew(client, client + 1, session.token["access_token"])
        session.close()
        session = renew(client + 1, client + 1, exchange_only.token["access_token"])
        exchange_only.close()
        assert session.get(told["api_url"], timeout=TIMEOUT_S).status_code == 200
    assert session.token["scope"].split(" ") == sorted(wanted[2].split(" "))
    session.close()


def test_served_without_a_folder_it_ends_at_sigterm_however_often_it_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with running("--serve", "--json", temporary=tmp_path) as process:
        assert process.stdout is not None
        lines = [next(process.stdout) for _ in range(5)]
        told = json.loads("".join(lines))
        assert Path(told["world"]).is_relative_to(tmp_path)
        assert Path(told["world"]).exists()
        assert answers(told["api_url"])
        _, complained = end(process, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    assert complained == "stopped\n"
    assert not answers(told["api_url"])
    assert list(tmp_path.iterdir()) == []


def test_told_to_stop_before_the_end_it_cleans_up_and_does_not_claim_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_scene: attacks.Scene) -> attacks.Tried:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(
        attacks, "ATTACKS_BY_EVIDENCE", {Evidence.ISSUER: (replace(attacks.ATTACKS[0], perform=interrupt),)}
    )
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    result = invoke()
    assert (result.exit_code, result.stderr) == (1, "stopped before the end\n")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_somebody_s_files_is_refused_with_exit_3(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = invoke("--serve", "--dir", str(tmp_path))
    assert result.exit_code == 3
    assert "not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_on_redis_every_attack_is_refused_as_well(tmp_path: Path) -> None:
    with RedisServer(tmp_path, *DURABLE) as server:
        result = invoke("--json", "--store", f"redis://127.0.0.1:{server.port}/3")
        kept = server.command("INFO", "keyspace")

    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["ok"], len(report["attacks"])) == (True, len(attacks.ATTACKS))
    assert "'db3'" in str(kept)


def test_a_store_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path, *DURABLE) as server:
        port = server.port
    nobody = invoke("--store", f"redis://127.0.0.1:{port}")
    assert (nobody.exit_code, "did not start" in nobody.stderr) == (4, True)
    nowhere = invoke("--store", "postgres://127.0.0.1")
    assert (nowhere.exit_code, "names no store that exists" in nowhere.stderr) == (3, True)


def test_a_server_that_does_not_start_is_exit_4(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def open_nothing(_directory: Path | None, **_terms: object) -> Iterator[World]:
        raise Unavailable("the API did not start")
        yield

    monkeypatch.setattr(world, "open_world", open_nothing)
    result = invoke("--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["problems"][0]["problem"] == "the API did not start"


def test_the_commands_that_it_prints_start_tokensvc_as_it_was_started(world: World) -> None:
    assert any("| 'my bin/tokensvc' verify" in line for line in instructions(world, command="my bin/tokensvc"))
    assert any("| tokensvc verify" in line for line in instructions(world, command="tokensvc"))


def test_the_commands_that_it_prints_do_what_they_say(world: World, tmp_path: Path) -> None:
    require_programs("bash", "curl", "jq")
    script = "set -euo pipefail\n" + "\n".join(instructions(world, command="tokensvc"))
    environ = {**environment(tmp_path), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for part in ('"by": [\n    "planner"', '"scope": "crm.comment crm.read"', "verified"):
        assert part in done.stdout
