"""`tokensvc revoke`: every kind, on the store itself, seen by the running service at once, and recorded."""

import asyncio
import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.service import COMMAND, IDP, TIMEOUT_S, Service, configure, run, running
from tests.simulator import thumbprint
from tokensvc.cli.revoke import operator_name
from tokensvc.core.revocation import RevocationKind
from tokensvc.settings import load_settings
from tokensvc.storage.loss import UnreportedEvents
from tokensvc.wiring import open_store

ISSUER: Final = "http://127.0.0.1:8700"
NOTHING: Final = "A" * 22


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


def revoke(service: Service, kind: str, name: str) -> dict[str, Any]:
    result = run("revoke", "--yes", "--json", "--config", service.config, "--", kind, name)
    assert result.exit_code == 0
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def latest(service: Service) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(run("records", "tail", "-n", "1", "--json", "--config", service.config).stdout)
    return record


def reason(service: Service, token: str) -> str | None:
    answer = service.exchange("planner", token, scope="crm.read", requested_actor="researcher")
    found: str | None = answer.get("reason")
    return found


def stopped(folder: Path) -> Service:
    """A service that has run before, and does not now."""
    settings = load_settings(configure(folder, ISSUER), {})

    async def make() -> None:
        store = open_store(settings, UnreportedEvents())
        await store.open()
        await store.close()

    asyncio.run(make())
    return Service(issuer=ISSUER, folder=folder)


def test_an_entry_and_all_below_it_is_dead_for_good_at_once(service: Service) -> None:
    token, other = service.start(), service.start()
    hop = latest(service)["inputs"]["granted"]["grant_chain"][1]["jti"]
    assert reason(service, other) is None
    revoked = revoke(service, "entry", hop)
    assert (revoked["kind"], revoked["id"], revoked["not_before"]) == ("entry", hop, None)
    assert reason(service, other) == "revoked"
    assert reason(service, token) is None


def test_a_root_takes_every_start_from_the_same_user_token_with_it(service: Service) -> None:
    user_token = service.user_token()
    assert "access_token" in service.exchange("planner", user_token, scope="crm.read crm.write")
    revoke(service, "entry", latest(service)["lineage"])
    assert service.exchange("planner", user_token, scope="crm.read crm.write")["reason"] == "revoked"
    assert "access_token" in service.exchange("planner", service.user_token(), scope="crm.read crm.write")


def test_it_is_recorded_for_the_operator_who_ran_it(service: Service) -> None:
    revoked = revoke(service, "key", thumbprint("lost"))
    record = latest(service)
    assert (record["id"], record["outcome"]) == (revoked["record"], "revoked")
    assert record["client_id"] == revoked["operator"] == operator_name()
    assert record["client_id"].startswith("operator:")
    assert record["inputs"]["revoked"] == {"kind": "key", "id": thumbprint("lost"), "not_before": None}
    shown = run("records", "show", "--config", service.config, "--", revoked["record"]).stdout
    assert f"revoked         key {thumbprint('lost')}" in shown
    assert (
        f"  key {thumbprint('lost')}  -  {revoked['record']}"
        in run("records", "tail", "-n", "1", "--config", service.config).stdout
    )


def test_it_says_what_dies_and_from_when_on_new_ones_live(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        token = service.start()
        assert reason(service, token) is None
        result = run("revoke", "user", "alice", "--yes", "--config", service.config)
        assert reason(service, token) == "revoked"
        not_before = latest_after_refusal(service)["inputs"]["revoked"]["not_before"]
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("revoked            user alice\n")
    assert "every chain of this user that began by then" in result.stdout
    assert "new ones live      after 20" in result.stdout
    assert "Next: tokensvc records show" in result.stdout
    assert isinstance(not_before, int)


def latest_after_refusal(service: Service) -> dict[str, Any]:
    records = run("records", "tail", "-n", "2", "--json", "--config", service.config).stdout.splitlines()
    record: dict[str, Any] = json.loads(records[0])
    return record


def test_every_kind_is_there_while_the_service_is_down(tmp_path: Path) -> None:
    service = stopped(tmp_path)
    names = {
        "entry": NOTHING, "key": thumbprint("k"), "user": "alice", "actor": "planner", "issuer": IDP,
    }  # fmt: skip
    assert names.keys() == {kind.value for kind in RevocationKind if kind is not RevocationKind.SUBJECT_TOKEN}
    for kind, name in names.items():
        result = run("revoke", kind, name, "--yes", "--config", service.config)
        assert (result.exit_code, result.stderr) == (0, "")
    assert len(run("records", "tail", "--config", service.config).stdout.splitlines()) == 5


@pytest.mark.parametrize(("kind", "unknown"), [("actor", "reseacher"), ("issuer", f"{IDP}/")])
def test_a_name_that_is_not_registered_is_warned_of_and_revoked(service: Service, kind: str, unknown: str) -> None:
    result = run("revoke", kind, unknown, "--yes", "--config", service.config)
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert f"revoked            {kind} {unknown}" in result.stdout
    assert revoke(service, kind, unknown)["warning"] is not None


def test_a_registered_name_is_not_warned_of(tmp_path: Path) -> None:
    service = stopped(tmp_path)
    for kind, name in (("actor", "planner"), ("issuer", IDP), ("issuer", service.issuer), ("user", "alice")):
        assert revoke(service, kind, name)["warning"] is None


def test_a_user_of_nobody_is_warned_of(tmp_path: Path) -> None:
    service = stopped(tmp_path)
    config = service.config
    text = config.read_text()
    config.write_text(
        text.replace('"iss" = "https://idp.example"', '"iss" = "https://idp.example", "subject_prefix" = "idp:"')
    )
    assert config.read_text() != text
    assert "no identity provider" in revoke(service, "user", "alice")["warning"]
    assert revoke(service, "user", "idp:alice")["warning"] is None


# Refused.


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        ("entry", "short", NOTHING),
        ("key", NOTHING, thumbprint("k")),
        ("user", "x" * 16_385, "a\x1b[31m"),
        ("user", "", "b"),
    ],
)
def test_what_is_no_id_of_its_kind_is_exit_code_1(service: Service, kind: str, name: str, good: str) -> None:
    result = run("revoke", "--yes", "--config", service.config, "--", kind, name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("not revoked: ")
    refused = run("revoke", "--yes", "--json", "--config", service.config, "--", kind, name)
    assert (refused.exit_code, json.loads(refused.stdout)["reason"]) == (1, "parameter_invalid")
    assert run("revoke", "--yes", "--config", service.config, "--", kind, good).exit_code == 0


@pytest.mark.parametrize("kind", ["subject_token", "token", ""])
def test_an_unknown_kind_is_wrong_usage(service: Service, kind: str) -> None:
    result = run("revoke", kind, "x", "--yes", "--config", service.config)
    assert result.exit_code == 2
    assert "KIND is one of entry, key, user, actor, issuer" in result.stderr


def test_where_nobody_can_be_asked_yes_is_needed(service: Service) -> None:
    before = latest(service)
    result = run("revoke", "entry", NOTHING, "--config", service.config)
    assert result.exit_code == 2
    assert "give --yes" in result.stderr
    assert latest(service) == before
    assert run("revoke", "entry", NOTHING, "--config", service.config, "--yes").exit_code == 0


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("\n", 1)])
def test_on_a_terminal_it_asks_first(service: Service, typed: str, code: int) -> None:
    before = latest(service)
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    done = subprocess.run(
        [COMMAND, "revoke", "entry", NOTHING, "--config", service.config],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code
    assert f"Revoke entry {NOTHING}? [y/N]" in done.stderr
    assert (latest(service) == before) is (code == 1)


def test_no_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    result = run("revoke", "user", "alice", "--yes", "--config", configure(tmp_path, ISSUER))
    assert (result.exit_code, result.stdout) == (3, "")
    assert list(tmp_path.glob("tokensvc.db*")) == []


def test_of_a_memory_store_it_says_that_only_the_server_has_it(tmp_path: Path) -> None:
    config = configure(tmp_path, ISSUER, store={"url": "memory:"})
    result = run("revoke", "user", "alice", "--yes", "--config", config)
    assert result.exit_code == 3
    assert "lives in the server process" in result.stderr


def test_help_has_an_example() -> None:
    assert "tokensvc revoke actor" in run("revoke", "--help").stdout.partition("Example")[2]
