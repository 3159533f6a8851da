"""Standard streams that are closed or full: one line on stderr and exit code 4, whatever the command; no traceback."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_verify import jwks as jwks  # noqa: PLC0414 - a fixture
from tests.cli.test_verify import make_token
from tests.settings_file import valid_values, write_settings
from tests.simulator import API, ISSUER
from tokensvc.cli import main
from tokensvc.core.keyset import Algorithm
from tokensvc.signing.keyfiles import generate_key

COMMAND = Path(sys.executable).with_name("tokensvc")
TIMEOUT_S = 60


def sh(words: str, streams: str, *, cwd: Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of the command with `streams` as a shell sets them up."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    line = f"{shlex.quote(str(COMMAND))} {words} {streams}"
    done = subprocess.run(  # noqa: S602 - our own words
        line, shell=True, cwd=cwd, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path, jwks: Path) -> Path:
    """Everything that the commands below need."""
    assert jwks.parent == tmp_path
    generate_key(tmp_path / "keys", Algorithm.ES256, now=1)
    write_settings(tmp_path, valid_values())
    (tmp_path / "good").write_text(make_token())
    return tmp_path


VERIFY = f"verify --issuer {ISSUER} --audience {API} --jwks jwks.json"


WORDS = ["--help", f"{VERIFY} < good", f"{VERIFY} --json < good", "keys list", "check-config --json",
         "check-config --json --config gone.toml"]  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (">&-", "standard output is closed"),
        ("> /dev/full", "a standard stream cannot be used: No space left on device"),
    ],
)
def test_an_answer_that_cannot_be_written_is_exit_code_4(folder: Path, words: str, stream: str, why: str) -> None:
    code, _, said = sh(words, stream, cwd=folder)
    assert (code, said) == (4, f"tokensvc: {why}\n")


@pytest.mark.parametrize("words", WORDS)
def test_an_answer_that_can_be_written_has_the_exit_code_of_what_it_says(folder: Path, words: str) -> None:
    code, answer, _ = sh(words, "", cwd=folder)
    assert code == (3 if "gone" in words else 0)
    assert answer


def test_a_reader_that_is_gone_does_not_make_a_good_token_a_refused_one(folder: Path) -> None:
    gone, pipe = os.pipe()
    os.close(gone)
    words = [str(COMMAND), *shlex.split(VERIFY)]
    with (folder / "good").open() as token:
        done = subprocess.run(
            words, cwd=folder, stdin=token, stdout=pipe, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False
        )
    os.close(pipe)
    assert (done.returncode, done.stderr) == (4, b"tokensvc: a standard stream cannot be used: Broken pipe\n")
    assert sh(f"{VERIFY} < good", "", cwd=folder)[0] == 0


def test_standard_input_that_is_closed_is_exit_code_4_where_it_is_read(folder: Path) -> None:
    code, answer, said = sh(VERIFY, "<&-", cwd=folder)
    assert (code, answer) == (4, "")
    assert said == "tokensvc: a standard stream cannot be used: standard input is closed\n"
    assert sh(VERIFY, "< good", cwd=folder)[0] == 0
    assert sh(f'{VERIFY} "$(cat good)"', "<&-", cwd=folder)[0] == 0
    assert sh("check-config", "<&-", cwd=folder)[0] == 0


@pytest.mark.parametrize("stream", ["2>&-", "2> /dev/full"])
def test_without_standard_error_a_refusal_is_no_success(folder: Path, stream: str) -> None:
    (folder / "bad").write_text("x.y.z")
    assert sh(f"{VERIFY} < bad", stream, cwd=folder)[0] in {1, 4}
    assert sh(f"{VERIFY} < good", stream, cwd=folder)[0] == 0


@pytest.mark.parametrize("stream", [">&-", "> /dev/full"])
@pytest.mark.parametrize("flag", ["", "--json"])
def test_secrets_that_could_not_be_shown_leave_no_configuration(tmp_path: Path, stream: str, flag: str) -> None:
    code, _, said = sh(f"init dx {flag}", stream, cwd=tmp_path)
    assert (code, said.count("\n")) == (4, 1)
    assert not [path for path in (tmp_path / "dx").glob("*") if path.is_file()]
    code, answer, _ = sh(f"init dx {flag}", "", cwd=tmp_path)
    assert code == 0
    assert len(list((tmp_path / "dx" / "keys").glob("*.key.json"))) == 1
    assert not flag or len(json.loads(answer)["secrets"]) == 3


def test_ctrl_c_while_modules_load_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("tokensvc.cli.make_app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
