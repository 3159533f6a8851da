"""Every measurement: one table of goals and figures, and `bench/results.json`.

Each script runs in a process of its own, so that none finds another's caches and memory. All run three times in turn,
and the median of a row counts: a busy neighbour on the same core slows an interpreter more than a signature, and for
seconds at a time, within which no ratio can tell. A goal that is missed does not fail the run: figures depend on the
machine, and whoever reads them judges.

Run: make bench, or .venv/bin/python -m bench.run [--quick] [--output FILE] [SCRIPT ...]
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.backends.openssl import backend

from bench._measure import INTERRUPTED, progress, table

SCRIPTS: Final = (
    "verify",
    "verify_delegator",
    "verify_again",
    "verify_proof",
    "sizes",
    "peers",
    "exchange",
    "exchange_peers",
    "exchange_workers",
    "exchange_steps",
    "exchange_holder",
)
APART: Final = ("exchange_memory",)
"""What takes too long to stand among them: `make bench-memory`."""
RESULTS: Final = Path(__file__).with_name("results.json")
_ROOT: Final = Path(__file__).parents[1]
_LIBRARIES: Final = (
    "tokensvc",
    "cryptography",
    "joserfc",
    "pyjwt",
    "tenuo",
    "biscuit-python",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "redis",
)
_PROGRAMS: Final = ("redis-server", "node")
# Odd, so that there is a median.
PASSES: Final = 3
# All of them together take about two minutes a pass; one that hangs must not hang the rest.
_SCRIPT_TIMEOUT_S: Final = 600
# What a script is given to stop the servers that it started.
_STOP_S: Final = 40


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "openssl": backend.openssl_version_text(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "programs": {name: _says(name) for name in _PROGRAMS},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _says(program: str) -> str | None:
    """What a program says when it is asked for its version, or None where it is not there."""
    path = shutil.which(program)
    if path is None:
        return None
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_STOP_S, check=False)  # noqa: S603 - a program of the system
    return done.stdout.strip()


def run_one(script: str, *, is_quick: bool) -> list[dict[str, Any]] | None:
    """The rows of one script, or None when it failed; what went wrong stands on standard error by then."""
    command = [sys.executable, "-m", f"bench.{script}", "--json", *(["--quick"] if is_quick else [])]
    # Ctrl-C comes to us alone, and we end the script: it may not be ready to be interrupted.
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, process_group=0) as process:  # noqa: S603 - our own scripts
        try:
            out, _ = process.communicate(timeout=_SCRIPT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            progress(f"bench.{script} takes too long")
        finally:
            _stop(process)
    if process.returncode != 0:
        progress(f"bench.{script} failed: {process.returncode}")
        return None
    rows: list[dict[str, Any]] = json.loads(out)["rows"]
    return rows


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a script that still runs, and its servers: it stops them itself, or all of the group are killed."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def write_results(results: dict[str, Any], path: Path) -> None:
    """Write `results` to `path`, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            json.dump(results, file, indent=1)
            file.write("\n")
            file.flush()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def middle(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the same row in several passes the one with the median figure, and in its detail the `least` and `most`."""
    if any(row["figure"] is None for row in rows):
        return rows[0]
    by_figure = sorted(rows, key=lambda row: row["figure"])
    least, most = by_figure[0]["figure"], by_figure[-1]["figure"]
    found = by_figure[len(rows) // 2]
    return found if least == most else {**found, "detail": {**found["detail"], "least": least, "most": most}}


def run(scripts: Sequence[str], output: Path | None, *, is_quick: bool) -> int:
    """Measure, print, write `output` when there is one; the exit status, 1 when a script failed."""
    facts = machine()
    passes = 1 if is_quick else PASSES
    found: dict[str, dict[str, list[dict[str, Any]]]] = {script: {} for script in scripts}
    failed = set()
    for number, script in product(range(passes), scripts):
        progress(f"pass {number + 1} of {passes}, {script}")
        rows = run_one(script, is_quick=is_quick)
        if rows is None:
            failed.add(script)
        for row in rows or ():
            found[script].setdefault(row["row"], []).append(row)
    counted = [middle(same) for by_name in found.values() for same in by_name.values()]
    print(table(counted))
    if is_quick:
        print("\nquick: these figures mean nothing")
    if output is not None:
        results = {"quick": is_quick, "machine": facts, "failed": sorted(failed), "rows": counted}
        write_results(results, output)
        print(f"\nwritten to {output}")
    return 1 if failed else 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure against the goals.")
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"of {', '.join(SCRIPTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a few calls, to see that all run; writes no results")
    parser.add_argument("--output", type=Path, help=f"where results go; {RESULTS.name} beside this file by default")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.scripts) - set(SCRIPTS))
    if unknown:
        parser.error(f"no such script: {', '.join(unknown)}")
    # Neither a try nor a part may stand where the figures of a whole run are expected.
    is_whole = not arguments.quick and not arguments.scripts
    output = arguments.output or (RESULTS if is_whole else None)
    # To be told to end is as Ctrl-C: the script that runs is ended, and its servers with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = run(arguments.scripts or SCRIPTS, output, is_quick=arguments.quick)
    except KeyboardInterrupt:
        progress("stopped: nothing was written")
        status = INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()
