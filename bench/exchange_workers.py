"""Two processes of the token service over one, on one Redis server: `tokensvc serve --workers 2`.

`server time` is what the two could do on two processors of their own over what one does on one: twice the processor
time of a request with one process over that with two. It tells what they take from each other, and counts. The
throughput beside it has the generator of load and Redis on the same processors, which on a machine of two leaves little
for a second process.

Run: .venv/bin/python -m bench.exchange_workers [--json] [--quick]
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench._measure import Goal, Plan, Row, progress, run_script
from bench._processes import ROOT, can_measure, python, running_redis
from bench._rounds import LOAD, LOAD_QUICK, Target, absent, compare, take_turns
from bench._service import running_service

GROUP: Final = "workers"
_ROW: Final = "exchange, two processes over one, server time"
_GOAL: Final = Goal(">=", 1.5)
_TIMEOUT_S: Final = 30


def measure(plan: Plan) -> Iterator[Row]:
    """What a second process adds."""
    if why := _missing():
        yield from absent(GROUP, {_ROW: _GOAL}, why)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        progress(f"{GROUP}: servers start")
        targets = {count: _start(Path(folder), stack, count) for count in ("1", "2")}
        progress(f"{GROUP}: {plan.rounds} rounds")
        taken = take_turns(plan, targets)
    one, two = taken["1"], taken["2"]
    pairs = list(zip(one, two, strict=True))
    yield compare(_ROW, [2 * a.cpu_us / b.cpu_us for a, b in pairs], two, one, group=GROUP, goal=_GOAL)
    throughput = [b.per_s / a.per_s for a, b in pairs]
    yield compare("exchange, two processes over one, throughput", throughput, two, one, group=GROUP)


def _missing() -> str:
    if not can_measure():
        return "needs Linux"
    if shutil.which("redis-server") is None:
        return "needs redis-server"
    help_text = subprocess.run(  # noqa: S603 - our own command
        python("tokensvc", "serve", "--help"), cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
    ).stdout
    return "" if "--workers" in help_text else "`tokensvc serve` has one process"


def _start(folder: Path, stack: ExitStack, workers: str) -> Target:
    redis = stack.enter_context(running_redis(folder / f"redis-{workers}", "always"))
    options = () if workers == "1" else ("--workers", workers)
    service = running_service(folder / workers, f"redis://127.0.0.1:{redis.port}/0", *options)
    server, exchanges = stack.enter_context(service)
    return Target(server=server, requests=exchanges.cold, behind=redis)


if __name__ == "__main__":
    run_script(measure, "Two processes of the token service over one.", full=LOAD, quick=LOAD_QUICK)
