"""The command itself, as users start it: real processes, its help, and what the base install says."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokensvc.cli import make_app

COMMAND = Path(sys.executable).with_name("tokensvc")
# Blocks packages as if they were not installed, then starts the command.
WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from tokensvc.cli import main
main()
"""


def start(*words: str | Path, cwd: Path, path: Path = COMMAND.parent) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    environ["PATH"] = f"{path}:/usr/bin:/bin"
    return subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_first_run_as_a_user_types_it(tmp_path: Path) -> None:
    assert start(COMMAND, "init", cwd=tmp_path).returncode == 0
    checked = start(COMMAND, "check-config", cwd=tmp_path)
    assert checked.returncode == 0
    assert checked.stdout.rstrip().endswith("Next: tokensvc serve")
    assert start(COMMAND, "init", cwd=tmp_path).returncode == 1
    assert start(COMMAND, "init", "--nonsense", cwd=tmp_path).returncode == 2
    assert start(COMMAND, "check-config", "--config", "gone.toml", cwd=tmp_path).returncode == 3


def test_a_command_that_is_not_on_the_path_is_named_as_it_was_called(tmp_path: Path) -> None:
    (tmp_path / "my bin").mkdir()
    (tmp_path / "my bin" / "tokensvc").symlink_to(COMMAND)
    made = start("my bin/tokensvc", "init", cwd=tmp_path, path=tmp_path)
    assert made.stdout.rstrip().endswith("Next: 'my bin/tokensvc' check-config")
    checked = start("my bin/tokensvc", "check-config", cwd=tmp_path)
    assert checked.stdout.rstrip().endswith("Next: tokensvc serve")


@pytest.mark.parametrize("missing", ["typer", "rich", "pydantic", "typer,rich,pydantic"])
def test_base_install_says_how_to_get_the_server(tmp_path: Path, missing: str) -> None:
    assert start(sys.executable, "-c", WITHOUT, "nothing_of_ours", "keys", "list", cwd=tmp_path).returncode == 3
    result = start(sys.executable, "-c", WITHOUT, missing, "keys", "list", cwd=tmp_path)
    assert result.stderr == 'This command needs the server: pip install "tokensvc[server]"\n'
    assert (result.returncode, result.stdout) == (2, "")


def test_missing_module_of_another_kind_is_not_taken_for_the_base_install(tmp_path: Path) -> None:
    result = start(sys.executable, "-c", WITHOUT, "tokensvc.cli.init", "--version", cwd=tmp_path)
    assert result.returncode == 1
    assert "pip install" not in result.stderr
    assert start(sys.executable, "-c", WITHOUT, "nothing_of_ours", "--version", cwd=tmp_path).returncode == 0


def test_version_is_the_package_s() -> None:
    result = CliRunner().invoke(make_app(), ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"tokensvc {version('tokensvc')}\n")


def test_help_shows_the_first_run_and_the_exit_codes() -> None:
    result = CliRunner().invoke(make_app(), ["--help"])
    assert "tokensvc init && tokensvc check-config && tokensvc serve" in result.stdout
    assert "3 configuration" in " ".join(result.stdout.split())


@pytest.mark.parametrize("command", [["init"], ["check-config"], ["keys", "generate"], ["keys", "list"]])
def test_help_of_every_command_has_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(make_app(), [*command, "--help"])
    assert result.exit_code == 0
    assert f"tokensvc {' '.join(command)}" in result.stdout.partition("Example")[2]


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    script = "import sys; from tokensvc.cli import make_app; make_app(); print([*sys.modules])"
    loaded = start(sys.executable, "-c", script, cwd=tmp_path).stdout
    assert "'typer'" in loaded
    for heavy in ("pydantic", "uvicorn", "starlette"):
        assert f"'{heavy}'" not in loaded


def test_no_command_at_all_shows_the_help() -> None:
    assert "check-config" in CliRunner().invoke(make_app(), []).output
