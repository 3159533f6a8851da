"""A second verifier, in JavaScript, shares nothing with ours but docs/token-profile.md: it gives the same verdicts."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.programs import require_programs
from tests.test_golden_tokens import denial, judged
from tests.vectors.make import FILES, FOLDER

RUN: Final = Path(__file__).resolve().parents[1] / "node" / "profile" / "run.mjs"
MAX_VALUES: Final = 100_000

Members = dict[str, Any]


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the second verifier says of the golden tokens in `folder`; it exits 1 when it disagrees with any."""
    require_programs("node")
    return subprocess.run(["node", RUN, folder], capture_output=True, text=True, timeout=120, check=False)


def read(name: str) -> Members:
    members: Members = json.loads((FOLDER / f"{name}.json").read_text("ascii"))
    return members


def case_of(file: Members, name: str) -> Members:
    (found,) = [case for case in file["cases"] if case["id"] == name]
    case: Members = found
    return case


def write(folder: Path, name: str, members: Members) -> None:
    (folder / f"{name}.json").write_text(json.dumps(members), "ascii")


def folder_with(folder: Path, name: str, cases: list[Members]) -> Path:
    """A folder of golden tokens with that one file."""
    files = {"setup": read("setup"), "key-sets": {"cases": []}, name: {"cases": cases}}
    for file, members in files.items():
        write(folder, file, members)
    return folder


def test_it_agrees_with_every_case_every_call_and_every_key_set() -> None:
    ran = run(FOLDER)
    agreements = [(int(done), int(of)) for done, of in re.findall(r"(\d+) of (\d+) \w+ agree", ran.stdout)]
    files = [read(name)["cases"] for name in (*FILES, "key-sets")]
    calls = sum(len(case.get("calls", [])) for cases in files for case in cases)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [done for done, _ in agreements] == [of for _, of in agreements]
    assert sum(of for _, of in agreements) == sum(map(len, files)) + calls > 1500


def _change_result(**change: Any) -> Callable[[Members], None]:  # noqa: ANN401 - JSON
    return lambda case: case["result"].update(change)


def _change_fact(**change: Any) -> Callable[[Members], None]:  # noqa: ANN401 - JSON
    return lambda case: case["result"]["ok"].update(change)


def _flip_call(case: Members) -> None:
    case["calls"][0] = {**case["calls"][0], "admitted": False, "reason": "argument_denied"}


def _accept(case: Members) -> None:
    case["result"] = case_of(read("12-narrower"), case["control"])["result"]


@pytest.mark.parametrize(
    ("file", "name", "alter"),
    [
        ("01-jws", "es256-zero", _change_result(refused="malformed")),
        ("01-jws", "empty", _change_result(step=2)),
        ("10-signed-hops", "grant-2-iss-other", _change_result(hop=3)),
        ("12-narrower", "exp-1-more", _accept),
        ("01-jws", "base", _change_fact(sub="user-2")),
        ("16-details", "details-equal", _change_fact(authorization_details=[])),
        ("09-signed-roots", "root-signed", _change_fact(root_evidence="issuer")),
        ("01-jws", "base", lambda case: case.update(token=case["token"] + "AA")),
        ("05-terms", "lifetime", lambda case: case.update(revocations={"lifetime_only_s": 309})),
        ("20-calls", "calls-exact", _flip_call),
        ("key-sets", "three", lambda case: case.update(result="refused")),
        ("key-sets", "three", lambda case: case["result"]["ok"].reverse()),
        ("key-sets", "spoilt-private", lambda case: case.update(result={"ok": []})),
    ],
)
def test_an_altered_file_makes_it_fail_and_name_the_case(
    tmp_path: Path, file: str, name: str, alter: Callable[[Members], None]
) -> None:
    altered = read(file)
    case = case_of(altered, name)
    alter(case)
    assert altered != read(file)

    ran = run(folder_with(tmp_path, file, altered["cases"]))

    disagreements = [json.loads(line)["id"] for line in ran.stdout.splitlines() if line.startswith("  {")]
    assert ran.returncode == 1
    assert [re.sub(r" call \d+$", "", disagreement) for disagreement in disagreements] == [case["id"]]


@pytest.mark.parametrize(("values", "admitted"), [(MAX_VALUES, True), (MAX_VALUES + 1, False)])
def test_both_count_the_values_of_arguments_alike(tmp_path: Path, *, values: int, admitted: bool) -> None:
    """Too large for the files. The object of the arguments and the array in it are values themselves."""
    case = case_of(read("20-calls"), "calls-any-arguments")
    call: Members = {"tool": "t", "arguments": {"a": [0] * (values - 2)}, "admitted": admitted}
    case["calls"] = [call if admitted else {**call, "reason": "argument_denied"}]

    ran = run(folder_with(tmp_path, "20-calls", [case]))

    assert ran.returncode == 0, ran.stdout[:1000]
    assert "1 of 1 calls agree" in ran.stdout
    assert denial(judged(case), call) == case["calls"][0].get("reason")


def test_a_list_with_another_kind_of_revocation_is_no_view_for_either(tmp_path: Path) -> None:
    case = case_of(read("19-revocation"), "others-revoked")
    assert run(folder_with(tmp_path, "19-revocation", [case])).returncode == 0
    case["revocations"]["list"].append({"kind": "token", "id": "x"})

    ran = run(folder_with(tmp_path, "19-revocation", [case]))

    assert ran.returncode != 0
    assert "TypeError: no kind of revocation: token" in ran.stderr
    with pytest.raises(ValueError, match="token"):
        judged(case)
