"""Memory of one process of the token service over 100,000 exchanges, each with a subject token of its own.

Not part of `make bench`: it takes minutes. What is judged: the resident memory at the end, and whether it still grows,
which is the memory at the end over that at half of the way.

Run: make bench-memory, or .venv/bin/python -m bench.exchange_memory [--json] [--quick]
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from bench._load import drive
from bench._measure import Goal, Plan, Row, progress, run_script
from bench._processes import Server, can_measure, running_redis
from bench._rounds import LOAD_QUICK, absent
from bench._service import Exchanges, running_service

GROUP: Final = "memory"
_SIZE: Final = Goal("<=", 120)
# What an allocator may keep for itself between two looks; a leak of one small object for each exchange is more.
_GROWTH: Final = Goal("<=", 1.03)
_FULL: Final = Plan(rounds=40, calls=2500)


def measure(plan: Plan) -> Iterator[Row]:
    """Two rows for each store."""
    count = plan.rounds * plan.calls
    rows = {f"RSS after {count} exchanges": _SIZE}
    if not can_measure():
        yield from absent(GROUP, rows, "needs Linux")
        return
    yield from _measure_one(plan, "SQLite")
    if shutil.which("redis-server") is None:
        yield from absent(GROUP, {f"Redis, {name}": goal for name, goal in rows.items()}, "needs redis-server")
        return
    yield from _measure_one(plan, "Redis")


def _measure_one(plan: Plan, store: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        server, exchanges = stack.enter_context(_service(Path(folder), stack, store))
        started = server.rss_mb()
        sizes = []
        for number in range(1, plan.rounds + 1):
            drive(server.port, exchanges.cold(plan.calls))
            sizes.append(server.rss_mb())
            progress(f"{GROUP}: {store}, {number * plan.calls} exchanges, {sizes[-1]:.1f} MiB")
    half = sizes[len(sizes) // 2 - 1]
    seen = {"at_start_mib": started, "at_half_mib": half, "at_end_mib": sizes[-1]}
    count = plan.rounds * plan.calls
    yield Row(
        group=GROUP,
        name=f"{store}, RSS after {count} exchanges",
        figure=sizes[-1],
        unit="MiB",
        goal=_SIZE,
        detail=seen,
    )
    yield Row(
        group=GROUP,
        name=f"{store}, RSS then over RSS at half of the way",
        figure=sizes[-1] / half,
        unit="x",
        goal=_GROWTH,
        detail=seen,
    )


def _service(folder: Path, stack: ExitStack, store: str) -> AbstractContextManager[tuple[Server, Exchanges]]:
    if store == "SQLite":
        return running_service(folder / "service", "sqlite:///tokens.db")
    redis = stack.enter_context(running_redis(folder / "redis", "everysec"))
    return running_service(folder / "service", f"redis://127.0.0.1:{redis.port}/0")


if __name__ == "__main__":
    run_script(measure, "Memory over many exchanges.", full=_FULL, quick=LOAD_QUICK)
