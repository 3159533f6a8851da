"""The examples do what they say, as processes of their own against the demo."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.processes import TIMEOUT_S, environment, run
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
