"""The examples do what they say, as processes of their own against the demo."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.processes import TIMEOUT_S, environment, run
from tests.programs import require_programs
from tests.test_quickstart import free_port
from tokensvc.demo.world import open_world

EXAMPLES: Final = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with open_world(tmp_path_factory.mktemp("demo") / "world") as world:
        yield world.folder


def test_two_processes_hand_over_through_a_pipe(folder: Path) -> None:
    planner: list[str | Path] = [sys.executable, EXAMPLES / "two_processes" / "planner.py", folder]
    researcher: list[str | Path] = [sys.executable, EXAMPLES / "two_processes" / "researcher.py", folder]
    with subprocess.Popen(planner, env=environment(), stdout=subprocess.PIPE) as first:
        second = subprocess.run(
            researcher,
            env=environment(),
            stdin=first.stdout,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")
    assert second.stdout == (
        "list the customers: 2, for alice by ['researcher', 'planner']\nmore than I have: not_narrower\n"
    )


def test_a_job_renews_until_its_delegation_ends(folder: Path) -> None:
    words = [sys.executable, str(EXAMPLES / "an_hour.py"), str(folder), "--lasts", "5", "--every", "1"]
    done = run(words, folder)
    assert (done.returncode, done.stderr) == (0, "")
    rounds, _, rest = done.stdout.partition(" rounds under ")
    assert 2 <= int(rounds) <= 4
    assert rest == f"{rounds} tokens; the delegation ends now\n"


def test_signed_delegations_at_a_service_of_ones_own(tmp_path: Path) -> None:
    require_programs("bash", "curl")
    _, script = re.findall(r"```sh\n(.*?)```", (EXAMPLES / "README.md").read_text("utf-8"), re.DOTALL)
    # Other ports than the usual, which somebody may use: of the servers, and in the issuer.
    service, idp, api = (str(free_port()) for _ in range(3))
    for old, new in {
        "trial/tokensvc.toml ": f"trial/tokensvc.toml; sed -i.bak '/^issuer/s/8700/{service}/' trial/tokensvc.toml ",
        "127.0.0.1:8700": f"127.0.0.1:{service}",
        "127.0.0.1:8701": f"127.0.0.1:{idp}",
        "127.0.0.1:8702": f"127.0.0.1:{api}",
        "tokensvc serve": f"tokensvc serve --port {service} > serve.log 2>&1",
        "tokensvc demo-idp": f"tokensvc demo-idp --port {idp} > idp.log 2>&1",
        "api.py trial": "api.py trial > trial/api.log 2>&1",
        "work.py trial": f"work.py trial http://127.0.0.1:{idp}/login > work.log",
        "python examples": f"{sys.executable} {EXAMPLES}",
    }.items():
        assert old in script
        script = script.replace(old, new)

    done = run(["bash", "-c", f"trap 'kill $(jobs -p); wait' EXIT; set -eu\n{script}"], tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "work.log").read_text() == (
        "signed by planner: 200 researcher for planner\n"
        "on the token service's word: 401 evidence_insufficient\n"
        "stolen from researcher: 401 holder_unproven\n"
        "picked up by a grant: 200 researcher for planner\n"
        "the grant revoked: revoked\n"
    )
