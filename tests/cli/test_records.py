"""`tokensvc records`: what was decided, read beside the running service, and nothing made where there is nothing."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.service import COMMAND, TIMEOUT_S, Service, configure, run, running, spawn
from tests.settings_file import API
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.cli import records
from tokensvc.cli.record_view import summarize
from tokensvc.errors import Unavailable
from tokensvc.ports import ListedRecord, Outcome, Record
from tokensvc.storage.loss import LossRule
from tokensvc.storage.memory import MemoryStore

ISSUER: Final = "http://127.0.0.1:8700"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    return service.start()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def tail(service: Service, *options: str) -> str:
    result = run("records", "tail", "--config", service.config, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refuse(service: Service, token: str) -> str:
    """A refusal's record."""
    refused = service.exchange("planner", token, scope="crm.read crm.delete", requested_actor="researcher")
    record: str = refused["record"]
    return record


def test_a_line_says_when_what_who_for_whom_and_why(service: Service, token: str) -> None:
    record = refuse(service, token)
    granted, refused = tail(service, "-n", "2").splitlines()
    assert granted.split()[2:5] == ["granted", "planner", "planner"]
    assert refused.split()[2:] == [
        "refused", "planner", "researcher", "alice", "crm.read", "crm.delete", "not_narrower", record,
    ]  # fmt: skip
    assert refused.split()[1].endswith("Z")


def test_json_has_all_of_it_one_object_a_line(service: Service, token: str) -> None:
    record = refuse(service, token)
    (found,) = lines(tail(service, "-n", "1", "--json"))
    assert found.keys() == {"position", "id", "at", "outcome", "client_id", "reason", "lineage", "inputs"}
    assert (found["id"], found["client_id"], found["outcome"]) == (record, "planner", "refused")
    assert found["inputs"]["request"]["requested_actor"] == "researcher"
    assert tail(service, "-n", "0") == ""


def test_show_draws_the_chain_and_sets_what_was_asked_beside_what_was_granted(service: Service, token: str) -> None:
    handed = service.exchange("planner", token, scope="crm.read", requested_actor="researcher")
    assert "access_token" in handed
    (found,) = lines(tail(service, "-n", "1", "--json"))
    result = run("records", "show", "--config", service.config, "--", found["id"])
    assert result.exit_code == 0
    assert (
        "outcome         granted\nclient          planner\nuser            alice\nshape           delegate\n"
        in result.stdout
    )
    assert f"configuration   {found['inputs']['configuration']}" in result.stdout
    assert "│ scope     │ crm.read " in result.stdout
    assert "the chain as it was granted\nalice  (user" in result.stdout
    assert "researcher  (hop 2, current actor)" in result.stdout
    hop = found["inputs"]["granted"]["grant_chain"][-1]["jti"]
    following = result.stdout.splitlines()[-1]
    assert following.startswith("Next: tokensvc revoke entry ")
    assert hop in following
    shown = json.loads(run("records", "show", "--json", "--config", service.config, "--", found["id"]).stdout)
    assert shown == {name: value for name, value in found.items() if name != "position"}


def test_show_of_a_refusal_says_why_and_what_was_presented(service: Service, token: str) -> None:
    result = run("records", "show", "--config", service.config, "--", refuse(service, token))
    assert "reason          not_narrower\nbecause         not held by the delegator: crm.delete" in result.stdout
    assert "the chain that was presented\nalice" in result.stdout
    assert "Next:" not in result.stdout


def test_show_of_a_start_names_the_users_token_by_its_hash(service: Service) -> None:
    user_token = service.user_token()
    refused = service.exchange("planner", user_token, scope="crm.read nothing")
    result = run("records", "show", "--config", service.config, "--", refused["record"])
    assert "user's token    of https://idp.example, SHA-256 " in result.stdout
    assert user_token[:40] not in result.stdout


def test_an_unknown_id_is_exit_code_1(service: Service, token: str) -> None:
    assert run("records", "show", "nope", "--config", service.config).exit_code == 1
    problem = json.loads(run("records", "show", "nope", "--json", "--config", service.config).stdout)["problems"][0]
    assert problem["problem"] == "the store has no record of that id"
    assert run("records", "show", "--config", service.config, "--", refuse(service, token)).exit_code == 0


def test_export_goes_on_where_the_last_one_ended(service: Service, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_PAGE", 2)
    everything = lines(run("records", "export", "--config", service.config).stdout)
    ids = [refuse(service, token) for _ in range(3)]
    more = lines(run("records", "export", "--after", everything[-1]["position"], "--config", service.config).stdout)
    assert [record["id"] for record in more] == ids
    again = lines(run("records", "export", "--json", "--config", service.config).stdout)
    assert again == [*everything, *more]
    assert len({record["id"] for record in again}) == len(again)


def test_a_position_that_no_store_gave_is_wrong_usage(service: Service) -> None:
    result = run("records", "export", "--after", "yesterday", "--config", service.config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--after: this is no position of a record" in result.stderr


def test_follow_misses_nothing_until_ctrl_c_ends_it_with_exit_code_0(service: Service, token: str) -> None:
    first = refuse(service, token)
    words = ["records", "tail", "-n", "1", "--follow", "--json", "--config", str(service.config)]
    with spawn(*words) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline())["id"]]
        ids = [refuse(service, token) for _ in range(20)]
        seen += [json.loads(process.stdout.readline())["id"] for _ in ids]
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, rest, err) == (0, "", "")
    assert seen == [first, *ids]


def test_follow_with_n_0_begins_with_the_next_one(service: Service, token: str) -> None:
    words = ["records", "tail", "-n", "0", "-f", "--config", str(service.config)]
    ids: list[str] = []
    before, is_seen = refuse(service, token), threading.Event()

    def go_on() -> None:
        while not is_seen.is_set():
            ids.append(refuse(service, token))

    with spawn(*words) as process:
        assert process.stdout is not None
        # Nobody can tell from outside when it has begun. One of these is the next; from it on none is missing.
        asking = threading.Thread(target=go_on)
        asking.start()
        followed = [process.stdout.readline().split()[-1]]
        is_seen.set()
        asking.join(TIMEOUT_S)
        while followed[-1] != ids[-1]:
            followed.append(process.stdout.readline().split()[-1])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert before not in followed
    assert followed == ids[ids.index(followed[0]) :]


def test_follow_waits_for_a_store_that_cannot_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Away(MemoryStore):
        """Cannot answer twice, then can, then the test is over."""

        calls = 0

        async def list_records(
            self, *, after: str | None, limit: int, newest: bool = False
        ) -> tuple[ListedRecord, ...]:
            self.calls += 1
            if self.calls <= 2:
                raise Unavailable("the database cannot answer (SQLITE_BUSY)")
            if self.calls > 3:
                raise KeyboardInterrupt
            return await super().list_records(after=after, limit=limit, newest=newest)

    async def follow() -> None:
        store = Away(LossRule(issuer=ISSUER, upstream=(), leeway_s=30, clock=lambda: 1))
        await store.open()
        record = Record(
            id="A" * 22, at=1, outcome=Outcome.REVOKED, client_id="ops", reason=None, lineage=None, inputs={}
        )
        await store.append(record)
        await records._print_to_come(store, None, as_json=True)  # noqa: SLF001 - the loop that only Ctrl-C ends

    monkeypatch.setattr(records, "_LOOK_EVERY_S", 0)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(follow())
    said = capsys.readouterr()
    assert json.loads(said.out)["id"] == "A" * 22
    assert said.err == "the database cannot answer (SQLITE_BUSY); trying again\n"


# Stores that cannot be read.


def test_no_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    config = configure(tmp_path, ISSUER)
    for words in (["tail"], ["show", "x"], ["export"]):
        result = run("records", *words, "--config", config)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "there is none" in result.stderr
    assert list(tmp_path.glob("tokensvc.db*")) == []
    (tmp_path / "tokensvc.db").touch()
    result = run("records", "tail", "--config", config)
    assert (result.exit_code, (tmp_path / "tokensvc.db").read_bytes()) == (3, b"")
    assert "Start the service of this version first" in result.stderr


def test_a_database_of_an_older_version_is_left_to_the_service(service: Service, tmp_path: Path) -> None:
    config = configure(tmp_path, ISSUER)
    with (
        closing(sqlite3.connect(service.folder / "tokensvc.db")) as ours,
        closing(sqlite3.connect(tmp_path / "tokensvc.db")) as copy,
    ):
        ours.backup(copy)
    assert run("records", "tail", "--config", config).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "tokensvc.db")) as copy:
        copy.execute("PRAGMA user_version = 2")
    result = run("records", "tail", "--config", config)
    assert result.exit_code == 3
    with closing(sqlite3.connect(tmp_path / "tokensvc.db")) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (2,)


def test_of_a_memory_store_it_says_that_only_the_server_has_it(tmp_path: Path) -> None:
    result = run("records", "tail", "--config", configure(tmp_path, ISSUER, store={"url": "memory:"}))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "lives in the server process" in result.stderr
    assert "sqlite:///tokensvc.db" in result.stderr


def test_a_store_that_is_locked_is_exit_code_4(tmp_path: Path, service: Service) -> None:
    config = configure(tmp_path, ISSUER)
    with (
        closing(sqlite3.connect(service.folder / "tokensvc.db")) as ours,
        closing(sqlite3.connect(tmp_path / "tokensvc.db")) as copy,
    ):
        ours.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.execute("BEGIN EXCLUSIVE")
        result = run("records", "tail", "--config", config)
        copy.execute("ROLLBACK")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "(SQLITE_BUSY)" in result.stderr


def test_redis_is_read_and_no_store_made_in_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path, *DURABLE) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        config = configure(tmp_path, ISSUER, store={"url": url})
        empty = run("records", "tail", "--config", config)
        assert (empty.exit_code, empty.stdout) == (3, "")
        assert "this Redis server has no store" in empty.stderr
        assert run("records", "tail", "--config", config).exit_code == 3
        with spawn("serve", "--config", str(config), "--port", "0") as process:
            assert process.stdout is not None
            assert any(line.startswith("Next:") for line in process.stdout)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT_S)
        found = run("records", "tail", "--config", config)
        assert (found.exit_code, found.stdout) == (0, "")
        revoked = run("revoke", "user", "alice", "--yes", "--config", config)
        assert revoked.exit_code == 0
        assert " revoked  " in run("records", "tail", "--config", config).stdout


# What stands in a record is text of others.


def test_a_record_does_not_steer_the_terminal() -> None:
    hostile = "a\x1b[31m\u202eb [bold]c\nd"
    record = Record(
        id="x",
        at=1,
        outcome=Outcome.REFUSED,
        client_id=hostile,
        reason=None,
        lineage=None,
        inputs={"request": {"scope": hostile, "requested_actor": hostile}, "refusal": {"error": hostile}},
    )
    line = summarize(record).plain
    assert line.isprintable()
    assert line.isascii()
    assert line.count("[bold]c") == 4


# With one record there is nothing more to print by which the command would notice.
@pytest.mark.parametrize("count", [1, 20])
def test_a_reader_that_leaves_is_no_traceback(service: Service, token: str, count: int) -> None:
    refuse(service, token)
    command = f"records tail -n {count} --json --follow --config"
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} {command} {service.config} | head -n 1"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["tail", "show", "export"])
def test_help_has_an_example(command: str) -> None:
    result = run("records", command, "--help")
    assert f"tokensvc records {command}" in result.stdout.partition("Example")[2]
    assert API not in result.stdout
