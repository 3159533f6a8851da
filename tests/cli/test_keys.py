"""`tokensvc keys`: make and list the service's signing keys."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.settings_file import valid_values, write_settings
from tokensvc.cli import make_app
from tokensvc.core.keyset import Algorithm
from tokensvc.signing.keyfiles import generate_key, list_keys
from tokensvc.signing.local import LocalSigner


def run(*arguments: str | Path, **environ: str | None) -> Result:
    words = ["keys", *(str(word) for word in arguments)]
    return CliRunner().invoke(make_app(), words, env={"TOKENSVC_CONFIG": None, **environ})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path, valid_values())


def test_generated_key_is_the_one_that_signs(config: Path) -> None:
    first = json.loads(run("generate", "--config", config, "--json").stdout)
    second = json.loads(run("generate", "--config", config, "--json").stdout)
    signer = LocalSigner(config.parent / "keys", Algorithm.ES256)
    assert signer.signing_key().kid == second["kid"]
    assert {key.kid for key in signer.public_keys()} == {first["kid"], second["kid"]}
    assert Path(second["file"]).is_file()


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
    assert LocalSigner(config.parent / "keys", Algorithm(algorithm)).signing_key().kid == made["kid"]


def test_unknown_algorithm_is_wrong_usage(config: Path) -> None:
    result = run("generate", "--config", config, "--algorithm", "HS256")
    assert result.exit_code == 2
    assert "is none of ES256, Ed25519, RS256" in result.stderr
    assert run("generate", "--config", config, "--algorithm", "ES256").exit_code == 0


def test_list_shows_every_kid_whole_and_which_one_signs(config: Path) -> None:
    for _ in range(2):
        run("generate", "--config", config)
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


@pytest.mark.parametrize("command", ["generate", "list"])
def test_key_file_that_cannot_be_used_is_a_configuration_problem(config: Path, command: str) -> None:
    made = generate_key(config.parent / "keys", Algorithm.ES256, now=1)
    made.path.chmod(0o644)
    result = run(command, "--config", config)
    assert result.exit_code == 3
    assert f"chmod 600 {made.path}" in result.stderr
    made.path.chmod(0o600)
    assert run(command, "--config", config).exit_code == 0


@pytest.mark.parametrize("command", ["generate", "list"])
def test_configuration_that_does_not_load_is_refused(config: Path, command: str) -> None:
    result = run(command, "--config", config, "--json", TOKENSVC_KEYS__ALGORITHM="none")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["problems"][0]["key"] == "TOKENSVC_KEYS__ALGORITHM"
    assert run(command, "--config", config).exit_code == 0


def test_no_private_member_is_ever_printed(config: Path) -> None:
    shown = run("generate", "--config", config).stdout + run("generate", "--config", config, "--json").stdout
    shown += run("list", "--config", config).stdout + run("list", "--config", config, "--json").stdout
    for file in list_keys(config.parent / "keys"):
        assert file.key.unsafe_private_jwk()["d"] not in shown
