"""What the README tells a newcomer to type does what it says."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.programs import require_programs
from tests.simulator import Simulator
from tokensvc.core.jsontext import render_json
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.demo.world import open_world

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text("utf-8")


def block(heading: str, language: str) -> str:
    """The first code block in that language under that heading."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_curl_story_hands_authority_down_and_is_refused_where_it_says_so(tmp_path: Path) -> None:
    require_programs("bash", "curl", "python3")
    bin_folder = Path(sys.executable).parent
    script = block("Drive it with curl", "sh").replace("/tmp/", f"{tmp_path}/").replace(".venv/bin", str(bin_folder))  # noqa: S108
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    with subprocess.Popen(
        ["bash", "-c", f"set -e\n{script}\necho; kill -INT %1; wait %1 || true"],
        cwd=tmp_path,
        env={**environ, "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=40)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, err) == (0, "stopped\n")
    answers, verdict = out.split("verified\n", 1)
    assert json.loads(answers[: answers.index("}{") + 1])["by"] == ["researcher", "planner"]
    assert '"reason":"not_narrower"' in answers
    assert '"reason":"not_current_actor"' in answers
    assert "researcher" in verdict


def test_a_planner_delegates_to_a_researcher_in_ten_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = block("In your agent", "python")
    assert code.count("\n") <= 10
    # What the page calls is on this machine.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with open_world(tmp_path / "demo") as world:
        names: dict[str, Any] = {
            "issuer": world.addresses.issuer,
            "user_token": world.subject_token,
            "api": world.addresses.crm,
            "planner_secret": world.cast.planner.client_secret,
            "researcher_secret": world.cast.researcher.client_secret,
        }
        exec(code, names)  # noqa: S102 - it is our own page
        for name in ("planner", "researcher"):
            names[name].close()
    assert "'for': 'alice', 'by': ['researcher', 'planner']" in capsys.readouterr().out


def test_the_verifier_in_ten_lines_runs_as_it_stands(tmp_path: Path) -> None:
    code = block("Verify a token in your service", "python")
    assert code.count("\n") <= 11
    now = int(time.time())
    simulator = Simulator(iss="https://tokens.example")
    root = simulator.root(
        iat=now - 60, exp=now + 3600, resources=["https://api.example"], scope="crm.delete crm.update crm.read"
    )
    chain = simulator.chain("planner", "researcher", root=root)
    token = simulator.token(simulator.claims(chain, iat=now, exp=now + 300))
    (tmp_path / "jwks.json").write_bytes(render_json(render_jwks(KeySet([simulator.key.public]))))
    done = subprocess.run(
        [sys.executable, "-c", f"text = {token!r}\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("researcher may do this for user-1, by way of ('planner',)\n", "")
