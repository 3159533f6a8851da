"""`tokensvc keys`: the service's signing keys from first to last, and key pairs for clients."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.settings_file import valid_values, write_settings
from tokensvc.cli import make_app
from tokensvc.core.keyset import Algorithm
from tokensvc.signing.keyfiles import generate_key, list_keys, write_key_file
from tokensvc.signing.local import LocalSigner
from tokensvc.signing.rotation import DEFAULT_DELAY_S, RETENTION_S


def now() -> int:
    return int(time.time())


def run(*arguments: str | Path, **environ: str | None) -> Result:
    words = ["keys", *(str(word) for word in arguments)]
    return CliRunner().invoke(make_app(), words, env={"TOKENSVC_CONFIG": None, **environ})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path, valid_values())


def answer(*arguments: str | Path) -> Any:  # noqa: ANN401 - JSON
    """The JSON answer of a command that succeeds."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_the_generated_key_signs_and_is_not_made_twice(config: Path) -> None:
    first = answer("generate", "--config", config)
    signer = LocalSigner(config.parent / "keys", Algorithm.ES256, clock=now)
    again = run("generate", "--config", config)

    assert signer.signing_key().kid == first["kid"]
    assert (again.exit_code, len(list_keys(config.parent / "keys"))) == (3, 1)
    assert f"Run: tokensvc keys rotate --config {config}" in again.stderr
    assert answer("generate", "--config", config, "--algorithm", "RS256")["kid"] != first["kid"]


def test_rotate_says_when_the_next_key_signs_and_the_old_one_ends(config: Path) -> None:
    before = now()
    first = answer("generate", "--config", config)
    result = run("rotate", "--config", config)
    newest, oldest = list_keys(config.parent / "keys")

    assert (result.exit_code, result.stderr, oldest.key.kid) == (0, "", first["kid"])
    assert before + DEFAULT_DELAY_S <= newest.not_before <= now() + DEFAULT_DELAY_S
    assert oldest.retire_after == newest.not_before + RETENTION_S
    assert newest.key.kid in result.stdout
    assert oldest.key.kid in result.stdout
    assert result.stdout.rstrip().endswith(f"Next: tokensvc keys list --config {config}")


@pytest.mark.parametrize("flags", [["--now"], ["--delay", "599"]])
def test_rotating_before_verifiers_can_know_warns(config: Path, flags: list[str]) -> None:
    run("generate", "--config", config)
    early = run("rotate", *flags, "--config", config)
    late = run("rotate", "--delay", "600", "--config", config)

    assert (early.exit_code, late.exit_code, late.stderr) == (0, 0, "")
    assert early.stderr.startswith("Warning: ")


def test_the_delay_that_is_shown_is_the_one_that_is_meant() -> None:
    assert f"[default: {DEFAULT_DELAY_S}]" in " ".join(run("rotate", "--help", COLUMNS="200").stdout.split())


def test_rotate_in_json(config: Path) -> None:
    first = answer("generate", "--config", config)
    made = answer("rotate", "--delay", "5", "--config", config)
    newest, oldest = list_keys(config.parent / "keys")

    assert made == {
        "kid": newest.key.kid,
        "alg": "ES256",
        "not_before": newest.not_before,
        "file": str(newest.path),
        "retiring": [{"kid": first["kid"], "retire_after": oldest.retire_after}],
        "removed": [],
    }


def test_retire_ends_a_key_that_has_a_successor_and_says_what_dies(config: Path) -> None:
    first = answer("generate", "--config", config)["kid"]
    alone = run("retire", first, "--config", config)
    assert (alone.exit_code, len(list_keys(config.parent / "keys"))) == (3, 1)
    assert "tokensvc keys rotate --now" in alone.stderr

    second = answer("rotate", "--now", "--config", config)["kid"]
    done = run("retire", first, "--config", config)
    assert done.exit_code == 0
    assert "every token and delegation signed with this key is dead" in done.stderr
    assert [file.key.kid for file in list_keys(config.parent / "keys")] == [second]
    assert run("retire", first, "--config", config).exit_code == 3


def test_list_shows_what_each_key_is_for(config: Path) -> None:
    run("generate", "--config", config)
    run("rotate", "--now", "--config", config)
    run("rotate", "--config", config)
    keys = config.parent / "keys"
    newest, signing, oldest = list_keys(keys)
    write_key_file(replace(oldest, retire_after=1))
    rows = run("list", "--config", config).stdout.splitlines()

    for file, use in ((newest, "signs next"), (signing, "signs"), (oldest, "retired")):
        (row,) = (row for row in rows if file.key.kid in row)
        assert row.rstrip("│ ").endswith(use)
    listed = answer("list", "--config", config)
    assert [(key["signs"], key["published"]) for key in listed] == [(False, True), (True, True), (False, False)]
    assert [key["not_before"] for key in listed] == [newest.not_before, signing.not_before, oldest.not_before]


def test_client_makes_two_files_and_says_who_gets_which(tmp_path: Path) -> None:
    result = run("client", tmp_path / "planner")
    private, jwks = tmp_path / "planner.private.jwk.json", tmp_path / "planner.jwks.json"

    assert result.exit_code == 0
    for shown in (str(private), f'auth = "private_key_jwt", jwks_file = "{jwks}"', "Next: tokensvc check-config"):
        assert shown in result.stdout
    assert json.loads(private.read_text())["d"] not in result.stdout
    again = run("client", tmp_path / "planner", "--json")
    assert (again.exit_code, json.loads(again.stdout)["problems"][0]["file"]) == (3, str(private))
    other = answer("client", tmp_path / "mailer", "--algorithm", "Ed25519")
    assert other["alg"] == "Ed25519"
    assert run("client", tmp_path / "third", "--algorithm", "none").exit_code == 2


def test_generate_says_what_it_made_and_what_to_type_next(config: Path) -> None:
    result = run("generate", "--config", config)
    (made,) = list_keys(config.parent / "keys")
    assert result.exit_code == 0
    assert made.key.kid in result.stdout
    assert str(made.path) in result.stdout
    assert result.stdout.rstrip().endswith(f"Next: tokensvc keys list --config {config}")


def test_key_of_another_algorithm_is_published_and_does_not_sign(config: Path) -> None:
    run("generate", "--config", config)
    result = run("generate", "--config", config, "--algorithm", "RS256")
    assert "the configured algorithm is ES256: this key is published, and does not sign" in result.stdout
    listed = json.loads(run("list", "--config", config, "--json").stdout)
    assert [(key["alg"], key["signs"]) for key in listed] == [("RS256", False), ("ES256", True)]


@pytest.mark.parametrize("algorithm", ["RS256", "Ed25519"])
def test_the_configured_algorithm_is_the_default(config: Path, algorithm: str) -> None:
    made = json.loads(run("generate", "--config", config, "--json", TOKENSVC_KEYS__ALGORITHM=algorithm).stdout)
    assert made["alg"] == algorithm
    assert LocalSigner(config.parent / "keys", Algorithm(algorithm), clock=now).signing_key().kid == made["kid"]


def test_unknown_algorithm_is_wrong_usage(config: Path) -> None:
    result = run("generate", "--config", config, "--algorithm", "HS256")
    assert result.exit_code == 2
    assert "is none of ES256, Ed25519, RS256" in result.stderr
    assert run("generate", "--config", config, "--algorithm", "ES256").exit_code == 0


def test_list_shows_every_kid_whole_and_which_one_signs(config: Path) -> None:
    run("generate", "--config", config)
    run("rotate", "--now", "--config", config)
    newest, oldest = list_keys(config.parent / "keys")
    lines = run("list", "--config", config, COLUMNS="20").stdout.splitlines()
    assert any(newest.key.kid in line and "signs" in line for line in lines)
    assert any(oldest.key.kid in line and "published" in line for line in lines)
    assert lines[-1] == f"Next: tokensvc serve --config {config}"


def test_list_without_keys_says_how_to_make_one(config: Path) -> None:
    result = run("list", "--config", config)
    assert result.exit_code == 0
    assert result.stdout.rstrip().endswith(f"Next: tokensvc keys generate --config {config}")
    assert json.loads(run("list", "--config", config, "--json").stdout) == []


@pytest.mark.parametrize("command", ["generate", "rotate", "list"])
def test_key_file_that_cannot_be_used_is_a_configuration_problem(config: Path, command: str) -> None:
    made = generate_key(config.parent / "keys", Algorithm.ES256, now=1)
    made.path.chmod(0o644)
    result = run(command, "--config", config)
    assert result.exit_code == 3
    assert f"chmod 600 {made.path}" in result.stderr
    made.path.chmod(0o600)
    if command == "generate":
        made.path.unlink()
    assert run(command, "--config", config).exit_code == 0


@pytest.mark.parametrize("command", ["generate", "rotate", "list"])
def test_configuration_that_does_not_load_is_refused(config: Path, command: str) -> None:
    result = run(command, "--config", config, "--json", TOKENSVC_KEYS__ALGORITHM="none")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["problems"][0]["key"] == "TOKENSVC_KEYS__ALGORITHM"
    if command == "rotate":
        run("generate", "--config", config)
    assert run(command, "--config", config).exit_code == 0


def test_no_private_member_is_ever_printed(config: Path) -> None:
    shown = run("generate", "--config", config).stdout + run("generate", "--config", config, "--json").stdout
    shown += run("rotate", "--config", config).stdout + run("rotate", "--config", config, "--json").stdout
    shown += run("list", "--config", config).stdout + run("list", "--config", config, "--json").stdout
    for file in list_keys(config.parent / "keys"):
        assert file.key.unsafe_private_jwk()["d"] not in shown
