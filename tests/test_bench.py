"""The measurements run and give figures of the right shape. What the figures are is not for tests."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from bench import _tokens as tokens
from bench import verify_again
from bench._load import Round, drive, form_post
from bench._measure import FULL, INTERRUPTED, QUICK, Goal, Plan, Row, Side, interleave, ratio, table
from bench._processes import Server, running
from bench._processes import python as python_command
from bench._service import LISTENING, running_service
from bench.run import APART, SCRIPTS, middle, write_results
from tokensvc.errors import Reason, TokenRefused

ROOT: Final = Path(__file__).parents[1]
STATUSES: Final = {"met", "missed", "for information", "absent", "not judged"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    )


def require_well_formed(rows: list[dict[str, Any]]) -> None:
    assert rows
    for row in rows:
        assert row.keys() == {"group", "row", "figure", "unit", "goal", "status", "note", "detail"}
        assert row["group"]
        assert row["row"]
        assert row["status"] in STATUSES
        assert row["goal"] is None or re.fullmatch(r"(<=|>=) [0-9.]+", row["goal"])
        if row["status"] == "absent":
            assert row["figure"] is None
            assert row["note"]
        else:
            assert row["figure"] > 0
        assert all(type(value) in {int, float} for value in row["detail"].values())


def test_every_script_is_run() -> None:
    scripts = {path.stem for path in (ROOT / "bench").glob("*.py")}

    assert {name for name in scripts if not name.startswith("_")} - {"run"} == {*SCRIPTS, *APART}


@pytest.mark.parametrize("script", [*SCRIPTS, *APART])
def test_a_script_gives_rows_as_json(script: str) -> None:
    answer = json.loads(python(f"bench.{script}", "--quick", "--json").stdout)

    assert answer["quick"] is True
    require_well_formed(answer["rows"])
    assert len({row["row"] for row in answer["rows"]}) == len(answer["rows"])


@contextmanager
def echo(folder: Path) -> Iterator[Server]:
    with running(python_command("bench._echo"), folder / "log", ready=LISTENING) as server:
        yield server


def test_load_is_every_request_once_over_connections_that_stay(tmp_path: Path) -> None:
    with echo(tmp_path) as server:
        before = server.cpu_us()
        done = drive(server.port, [form_post("/token", f"n={number}") for number in range(100)])
        spent = server.cpu_us() - before

    assert len(done.latencies) == 100
    assert 0 < done.p50 <= done.p99 <= done.latencies[-1] <= done.seconds
    assert spent > 0
    assert not Path(f"/proc/{server.pid}").exists()


def test_an_answer_that_is_not_wanted_ends_the_measurement(tmp_path: Path) -> None:
    with echo(tmp_path) as server:
        drive(server.port, [form_post("/token", "n=1")])
        with pytest.raises(RuntimeError, match="404"):
            drive(server.port, [form_post("/elsewhere", "n=1")])


def test_the_slowest_of_a_hundred_is_not_among_99_percent() -> None:
    assert Round(1, [float(number) for number in range(1, 101)]).p99 == 99
    assert Round(2, [1.0, 2.0, 3.0]).p99 == 3
    assert Round(2, [1.0, 2.0, 3.0]).per_s == 1.5


def test_a_server_that_does_not_start_is_told_with_its_reason(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('out of order')"]

    with pytest.raises(RuntimeError, match="out of order"), running(command, tmp_path / "log", ready="(never)"):
        pass


def test_the_service_issues_what_the_measurements_ask_for(tmp_path: Path) -> None:
    with running_service(tmp_path / "service", "sqlite:///tokens.db") as (server, exchanges):
        cold, warm = exchanges.cold(20), exchanges.warm(20)
        for requests in (cold, warm):
            assert len(drive(server.port, requests).latencies) == 20
        # What was asked once is not answered again: each assertion was claimed.
        with pytest.raises(RuntimeError, match="401"):
            drive(server.port, cold[:1])


def test_a_script_that_is_ended_ends_its_servers(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.exchange_memory", "--quick"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        assert process.stderr is not None
        assert "exchanges" in process.stderr.readline()
        process.terminate()
        process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_script_prints_a_table() -> None:
    heading, rule, *lines = python("bench.sizes").stdout.splitlines()

    assert heading.split() == ["row", "figure", "passes", "goal", "status"]
    assert set(rule) == {"-", " "}
    assert all("token size" in line and " bytes" in line for line in lines)


def test_a_run_writes_rows_and_what_they_depend_on(tmp_path: Path) -> None:
    output = tmp_path / "results.json"

    done = python("bench.run", "--quick", "--output", str(output), "sizes", "verify_again")

    results = json.loads(output.read_text("utf-8"))
    assert results.keys() == {"quick", "machine", "failed", "rows"}
    assert results["failed"] == []
    require_well_formed(results["rows"])
    assert {row["group"] for row in results["rows"]} == {"size", "verify again"}
    assert all(row["row"] in done.stdout for row in results["rows"])
    assert results["machine"]["cpus"] == os.cpu_count()
    assert results["machine"]["libraries"].keys() >= {"cryptography", "joserfc", "pyjwt", "tenuo", "biscuit-python"}
    assert list(tmp_path.iterdir()) == [output]


def test_a_script_that_is_not_there_is_named() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        python("bench.run", "--quick", "sizes", "nothing")

    assert "no such script: nothing" in failed.value.stderr


def test_ctrl_c_ends_a_run_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    with subprocess.Popen(
        [sys.executable, "-m", "bench.run", "--output", str(output)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert first == "pass 1 of 3, verify\n"
    assert (process.returncode, out) == (INTERRUPTED, "")
    assert err.endswith("stopped: nothing was written\n")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_results_that_cannot_be_written_leave_the_old_ones(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    write_results({"rows": []}, output)

    with pytest.raises(TypeError):
        write_results({"rows": object()}, output)

    assert json.loads(output.read_text("utf-8")) == {"rows": []}
    assert list(tmp_path.iterdir()) == [output]


def test_a_verifier_that_remembers_is_asked_for_tokens_that_it_has_seen() -> None:
    verify = cache(tokens.Terms.issuer().verify)

    taken = verify_again.row(QUICK, verify)

    assert verify.cache_info().hits == QUICK.inputs
    require_well_formed([taken.as_json(QUICK)])


def test_of_several_passes_the_median_counts_and_the_range_is_kept() -> None:
    plain = [{"row": "n", "figure": figure, "detail": {"us": figure * 10}} for figure in (5.0, 3.0, 4.0)]

    assert middle(plain) == {"row": "n", "figure": 4.0, "detail": {"us": 40.0, "least": 3.0, "most": 5.0}}
    assert middle(plain[:1]) == plain[0]


def row(figure: float | None, goal: Goal | None = None, *, is_timed: bool = True) -> Row:
    return Row(group="g", name="n", figure=figure, unit="x", goal=goal, is_timed=is_timed, note="why")


def test_a_figure_is_judged_before_it_is_rounded() -> None:
    at_most, at_least = Goal("<=", 1.5), Goal(">=", 1.6)

    assert row(1.5, at_most).status(FULL) == "met"
    assert row(1.5001, at_most).status(FULL) == "missed"
    assert row(1.6, at_least).status(FULL) == "met"
    assert row(1.5999, at_least).status(FULL) == "missed"


def test_what_is_not_measured_is_not_judged() -> None:
    goal = Goal("<=", 1)

    assert row(None, goal).status(FULL) == "absent"
    assert row(2).status(FULL) == "for information"
    assert row(2, goal).status(QUICK) == "not judged"
    assert row(2, goal, is_timed=False).status(QUICK) == "missed"
    assert "why" in table([row(None, goal).as_json(FULL)])


def test_each_input_is_used_once_in_order_and_the_first_round_does_not_count() -> None:
    plan = Plan(rounds=3, calls=2)
    seen: list[int] = []
    primed: list[int] = []
    sides = {
        "one": Side(work=seen.append, inputs=range(plan.inputs), prime=lambda: primed.append(len(seen))),
        "other": Side(work=abs, inputs=range(plan.inputs)),
    }

    taken = interleave(plan, sides)

    assert seen == list(range(8))
    assert primed == [0, 2, 4, 6]
    assert {name: len(rounds) for name, rounds in taken.items()} == {"one": 3, "other": 3}


def test_a_side_that_would_see_an_input_twice_is_refused() -> None:
    plan = Plan(rounds=3, calls=2)

    with pytest.raises(ValueError, match="7 inputs and needs 8"):
        interleave(plan, {"one": Side(work=abs, inputs=range(7))})


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    assert ratio([2, 90, 6], [1, 1, 2]) == 3


def test_measured_tokens_are_accepted_and_their_signatures_are_real() -> None:
    keys = tokens.agent_keys(3)
    chain = tokens.delegated(4, keys)
    token = chain.token()

    assert tokens.Terms.delegator(keys[:1]).verify(token).depth == 3
    for each in tokens.signatures(chain, token):
        each.verify()
    assert len(tokens.signatures(chain, token)) == 3


def test_what_is_measured_verifies_hop_by_hop() -> None:
    keys = tokens.agent_keys(2)
    plain = tokens.issued(2, 3, keys).token()

    assert tokens.Terms.issuer().verify(plain).depth == 2
    with pytest.raises(TokenRefused) as refused:
        tokens.Terms.delegator(keys[:1]).verify(plain)
    assert refused.value.reason is Reason.EVIDENCE_INSUFFICIENT
