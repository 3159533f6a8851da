"""The token service under load over a bare form echo: an exchange with everything that belongs to it.

Client authentication by `private_key_jwt`, the assertion claimed; the subject token verified, revocation looked up; the
new token signed and verified again; its hop claimed, its record written down. A subject token is `warm` when it was
seen before, `cold` when it was not. The yardstick is `bench._echo`, which gets the same bytes.

All servers are up; one is driven at a time, over 16 connections. `throughput` is requests per second over those of the
echo. It has the generator of load and Redis on the same processors, so `server time` stands beside it: processor time
of the echo's process for a request over that of the token service.

Run: .venv/bin/python -m bench.exchange [--json] [--quick]
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench._measure import Goal, Plan, Row, progress, run_script
from bench._processes import Server, can_measure, python, running, running_redis
from bench._rounds import LOAD, LOAD_QUICK, Measured, Target, absent, compare, take_turns
from bench._service import LISTENING, Exchanges, running_service

GROUP: Final = "exchange over an echo"
_ECHO: Final = "echo"
_BOUNDED: Final = "echo behind the connection limits"
# What counts is Redis as docs/operations.md demands it: an answer has outlived a power cut before it is given.
_REDIS: Final = "Redis, appendfsync always"
_REDIS_LAX: Final = "Redis, appendfsync everysec"
_SQLITE: Final = "SQLite"
GOALS: Final[Mapping[tuple[str, str], Goal | None]] = {
    (_REDIS, "warm"): Goal(">=", 0.45),
    (_REDIS, "cold"): Goal(">=", 0.33),
    (_REDIS_LAX, "warm"): None,
    (_REDIS_LAX, "cold"): None,
    (_SQLITE, "warm"): Goal(">=", 0.30),
    (_SQLITE, "cold"): Goal(">=", 0.30),
}
_P99: Final = Goal("<=", 12)
# About so much faster it is.
_ECHO_TIMES: Final = 8


def measure(plan: Plan) -> Iterator[Row]:
    """Two rows for each store and kind of subject token, one for the slowest answers, one about the yardstick."""
    if why := _missing():
        judged = {f"exchange, {store}, {heat}": goal for (store, heat), goal in GOALS.items() if goal is not None}
        yield from absent(GROUP, judged, why)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        progress(f"{GROUP}: servers start")
        targets = start(Path(folder), stack)
        progress(f"{GROUP}: {plan.rounds} rounds")
        taken = take_turns(plan, targets)
    echo = taken[_ECHO]
    for (store, heat), goal in GOALS.items():
        yield from _rows(f"exchange, {store}, {heat}", taken[f"{store}, {heat}"], echo, goal)
    bounded = taken[_BOUNDED]
    cost = [one.cpu_us / other.cpu_us for one, other in zip(echo, bounded, strict=True)]
    yield compare(f"{_BOUNDED}, server time", cost, bounded, echo, group=GROUP)


def _missing() -> str:
    if not can_measure():
        return "needs Linux"
    return "" if shutil.which("redis-server") else "needs redis-server"


def start(folder: Path, stack: ExitStack) -> dict[str, Target]:
    """The servers, in `folder`, until `stack` is closed."""
    echo = stack.enter_context(running(python("bench._echo"), folder / "echo", ready=LISTENING))
    bounded = stack.enter_context(running(python("bench._echo", "--bounded"), folder / "bounded", ready=LISTENING))
    targets: dict[str, Target] = {}
    for name, fsync in ((_REDIS, "always"), (_REDIS_LAX, "everysec")):
        redis = stack.enter_context(running_redis(folder / f"redis-{fsync}", fsync))
        service = running_service(folder / fsync, f"redis://127.0.0.1:{redis.port}/0")
        targets |= _both(name, *stack.enter_context(service), redis)
    server, exchanges = stack.enter_context(running_service(folder / "sqlite", "sqlite:///tokens.db"))
    targets |= _both(_SQLITE, server, exchanges)
    # The echo does not look at what it gets.
    targets[_ECHO] = Target(server=echo, requests=exchanges.cold, times=_ECHO_TIMES)
    targets[_BOUNDED] = Target(server=bounded, requests=exchanges.cold, times=_ECHO_TIMES)
    return targets


def _both(name: str, server: Server, exchanges: Exchanges, behind: Server | None = None) -> dict[str, Target]:
    kinds = {"warm": exchanges.warm, "cold": exchanges.cold}
    return {f"{name}, {heat}": Target(server=server, requests=make, behind=behind) for heat, make in kinds.items()}


def _rows(name: str, of: list[Measured], echo: list[Measured], goal: Goal | None) -> Iterator[Row]:
    pairs = list(zip(of, echo, strict=True))
    yield compare(f"{name}, throughput", [a.per_s / b.per_s for a, b in pairs], of, echo, group=GROUP, goal=goal)
    yield compare(f"{name}, server time", [b.cpu_us / a.cpu_us for a, b in pairs], of, echo, group=GROUP, goal=goal)
    if goal is not None:
        slowest = [a.p99_us / b.p50_us for a, b in pairs]
        yield compare(f"{name}, p99 over the echo's p50", slowest, of, echo, group=GROUP, goal=_P99)


if __name__ == "__main__":
    run_script(measure, "Exchanges under load, over a bare form echo.", full=LOAD, quick=LOAD_QUICK)
