"""`tokensvc init`: what it writes works, is private where it must be, and overwrites nothing."""

import hashlib
import json
import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tokensvc.cli import make_app
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm
from tokensvc.settings import load_agent_keys, load_settings, load_upstream_keys
from tokensvc.signing.keyfiles import generate_key, list_keys

FILES = ["idp-dev.jwk.json", "idp.jwks.json", "tokensvc.toml"]


def run(*arguments: str | Path, **environ: str | None) -> Result:
    return CliRunner().invoke(make_app(), [str(word) for word in arguments], env={"TOKENSVC_CONFIG": None, **environ})


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run wrote; the tests that share it only look."""
    folder = tmp_path_factory.mktemp("init") / "new" / "service"
    assert run("init", folder).exit_code == 0
    return folder


def test_what_it_writes_is_a_configuration_that_loads(made: Path) -> None:
    settings = load_settings(made / "tokensvc.toml", {})
    assert [agent.id for agent in settings.agents] == ["planner", "researcher"]
    assert sorted(path.name for path in made.iterdir()) == [
        "idp-dev.jwk.json",
        "idp.jwks.json",
        "keys",
        "tokensvc.toml",
    ]
    assert len(list_keys(settings.keys.dir)) == 1


def test_first_run_works_from_init_to_check_config_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("init")
    assert made.exit_code == 0
    assert made.stdout.rstrip().endswith("Next: tokensvc check-config")
    checked = run("check-config")
    assert checked.exit_code == 0
    assert checked.stdout.rstrip().endswith("Next: tokensvc serve")


def test_example_agents_can_give_something_up_at_every_step(made: Path) -> None:
    settings = load_settings(made / "tokensvc.toml", {})
    planner, researcher = settings.agents
    assert researcher.scopes < planner.scopes < settings.resources[0].scopes


def test_stand_in_identity_provider_signs_what_the_configured_key_set_verifies(made: Path) -> None:
    private = SigningKey.from_jwk(json.loads((made / "idp-dev.jwk.json").read_text()))
    keys = load_upstream_keys(load_settings(made / "tokensvc.toml", {}))["https://idp.invalid"]
    assert keys.find(private.kid) == private.public


def test_configuration_says_that_the_identity_provider_is_a_stand_in(made: Path) -> None:
    assert "STAND-IN FOR DEVELOPMENT" in (made / "tokensvc.toml").read_text()


def test_private_keys_are_for_the_user_alone(made: Path) -> None:
    assert mode_of(made / "idp-dev.jwk.json") == 0o600
    assert mode_of(made / "keys") == 0o700
    assert {mode_of(file.path) for file in list_keys(made / "keys")} == {0o600}
    assert (made / "keys" / ".gitignore").read_text() == "*\n"


@pytest.mark.requirement("OAUTH-UNGUESSABLE")
def test_each_secret_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    shown = run("init", tmp_path / "a", COLUMNS="20").stdout
    config = (tmp_path / "a" / "tokensvc.toml").read_text()
    for client in ("planner", "researcher", "crm-api"):
        (secret,) = re.findall(rf"{client} +│ ([A-Za-z0-9_-]{{43}}) ", shown)
        assert shown.count(secret) == 1
        assert secret not in config
        assert hashlib.sha256(secret.encode()).hexdigest() in config


def test_json_holds_the_secrets_and_where_everything_is(tmp_path: Path) -> None:
    result = run("init", tmp_path / "a", "--json")
    answer = json.loads(result.stdout)
    assert list(answer["secrets"]) == ["planner", "researcher", "crm-api"]
    assert answer["config"] == str(tmp_path / "a" / "tokensvc.toml")
    assert sorted(Path(file).name for file in answer["files"]) == FILES
    assert answer["signing_kid"] == list_keys(tmp_path / "a" / "keys")[0].key.kid


def test_two_runs_share_no_secret(tmp_path: Path) -> None:
    first, second = (json.loads(run("init", tmp_path / name, "--json").stdout)["secrets"] for name in "ab")
    assert not set(first.values()) & set(second.values())


@pytest.mark.parametrize("name", FILES)
def test_nothing_that_exists_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    result = run("init", tmp_path)
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert "Move it away, or name another folder: tokensvc init DIR" in result.stderr
    assert files_in(tmp_path) == {name: b"mine"}
    (tmp_path / name).unlink()
    assert run("init", tmp_path).exit_code == 0


def test_second_run_is_refused_and_changes_nothing(made: Path) -> None:
    before = files_in(made)
    result = run("init", made, "--json")
    assert result.exit_code == 1
    assert [problem["problem"] for problem in json.loads(result.stdout)["problems"]] == ["exists already"] * 3
    assert files_in(made) == before


def test_keys_that_are_there_stay_and_sign(tmp_path: Path) -> None:
    present = generate_key(tmp_path / "keys", Algorithm.ES256, now=1)
    (tmp_path / "keys" / ".gitignore").write_text("mine")
    assert run("init", tmp_path).exit_code == 0
    assert [file.key.kid for file in list_keys(tmp_path / "keys")] == [present.key.kid]
    assert (tmp_path / "keys" / ".gitignore").read_text() == "mine"


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("init", tmp_path / "file" / "a")
    assert result.exit_code == 3
    assert "the folder cannot be written (Not a directory)" in result.stderr


def test_keys_folder_that_others_can_write_to_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys").chmod(0o777)
    result = run("init", tmp_path)
    assert result.exit_code == 3
    assert f"chmod 700 {tmp_path / 'keys'}" in result.stderr
    assert files_in(tmp_path) == {}


def test_next_command_names_the_configuration_where_it_would_not_be_found(tmp_path: Path) -> None:
    result = run("init", tmp_path / "a b")
    assert result.stdout.rstrip().endswith(f"Next: tokensvc check-config --config '{tmp_path}/a b/tokensvc.toml'")


def test_agents_by_keys_have_one_to_authenticate_with_and_another_to_hold(tmp_path: Path) -> None:
    answer = json.loads(run("init", tmp_path / "a", "--agent-keys", "--json").stdout)
    settings = load_settings(tmp_path / "a" / "tokensvc.toml", {})
    keys = load_agent_keys(settings)

    assert list(answer["secrets"]) == ["crm-api"]
    assert [agent.auth for agent in settings.agents] == ["private_key_jwt"] * 2
    thumbprints = [thumbprint for agent in keys.values() for thumbprint in agent.thumbprints]
    assert (list(keys), len(thumbprints), len(set(thumbprints))) == (["planner", "researcher"], 4, 4)
    assert all(Path(file).exists() for file in answer["files"])
    private = [Path(file) for file in answer["files"] if file.endswith(".private.jwk.json")]
    assert {mode_of(file) for file in private if "holder" in file.name} == {0o600}
    assert (len(private), mode_of(tmp_path / "a" / "agents")) == (4, 0o700)
    assert run("check-config", "--config", tmp_path / "a" / "tokensvc.toml").exit_code == 0


def test_no_private_key_of_an_agent_gets_into_a_repository(tmp_path: Path) -> None:
    assert run("init", tmp_path, "--agent-keys").exit_code == 0
    assert (tmp_path / "agents" / ".gitignore").read_text() == "*.private.jwk.json\n"
    assert len(list((tmp_path / "agents").glob("*.private.jwk.json"))) == 4


def test_keys_of_agents_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "planner-holder.jwks.json").write_text("mine")
    refused = run("init", tmp_path, "--agent-keys")

    assert refused.exit_code == 1
    assert "planner-holder.jwks.json" in refused.stderr
    assert files_in(tmp_path) == {"agents/planner-holder.jwks.json": b"mine"}
    assert run("init", tmp_path).exit_code == 0
