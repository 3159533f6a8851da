"""How every figure here is taken, judged and shown.

A figure is a ratio of two works done in turns in one process: rounds are short and take turns, each round gives one
ratio, and the figure is the median of those. A machine that slows down slows both. Time is the processor's, so that
what else the machine does counts little.
"""

import argparse
import gc
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = [
    "FULL",
    "INTERRUPTED",
    "QUICK",
    "Goal",
    "Plan",
    "Row",
    "Side",
    "detail",
    "interleave",
    "progress",
    "ratio",
    "run_script",
    "table",
]

# What a shell reports for a command that Ctrl-C ended.
INTERRUPTED: Final = 130
# Below it a second digit after the point is most of the figure.
_SMALL: Final = 0.2

Status = Literal["met", "missed", "for information", "absent", "not judged"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: `rounds` that count, each with `calls` calls of every work."""

    rounds: int
    calls: int
    is_quick: bool = False

    @property
    def inputs(self) -> int:
        """How many inputs a work takes: one for each call, and a round that does not count, to warm up."""
        return (self.rounds + 1) * self.calls


# Short rounds and many: a machine that other work slows down for a second spoils some of them and not the median.
FULL: Final = Plan(rounds=31, calls=30)
QUICK: Final = Plan(rounds=2, calls=2, is_quick=True)
"""Shows that a script runs. Its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a figure."""

    sense: Literal["<=", ">="]
    bound: float

    def is_met(self, figure: float) -> bool:
        """True when `figure`, unrounded, is within the bound."""
        return figure <= self.bound if self.sense == "<=" else figure >= self.bound

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table. `figure` None: there is nothing to measure yet, and `note` says why.

    A row without a goal is for information. `is_timed` False: the figure is the same in every run. `detail` holds what
    stands behind the figure, in the units that the names say.
    """

    group: str
    name: str
    figure: float | None
    unit: str
    goal: Goal | None = None
    is_timed: bool = True
    note: str = ""
    detail: Mapping[str, float] = field(default_factory=dict)

    def status(self, plan: Plan) -> Status:
        """How the figure stands to the goal."""
        if self.figure is None:
            return "absent"
        if self.goal is None:
            return "for information"
        if self.is_timed and plan.is_quick:
            return "not judged"
        return "met" if self.goal.is_met(self.figure) else "missed"

    def as_json(self, plan: Plan) -> dict[str, Any]:
        """The row as it stands in JSON."""
        return {
            "group": self.group,
            "row": self.name,
            "figure": None if self.figure is None else round(self.figure, 3),
            "unit": self.unit,
            "goal": None if self.goal is None else str(self.goal),
            "status": self.status(plan),
            "note": self.note,
            "detail": {name: round(value, 2) for name, value in self.detail.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A work and what it is done to: an input for each call.

    They differ, so that no call finds what an earlier one left in a cache, unless the cache is what is measured.
    `prime` runs before each round and does not count.
    """

    work: Callable[[Any], object]
    inputs: Sequence[Any]
    prime: Callable[[], object] | None = None


def interleave(plan: Plan, sides: Mapping[str, Side]) -> dict[str, list[float]]:
    """What a call of each side took, in microseconds of processor time, round by round.

    Raises: ValueError for a side with too few inputs.
    """
    for name, side in sides.items():
        if len(side.inputs) < plan.inputs:
            raise ValueError(f"{name} has {len(side.inputs)} inputs and needs {plan.inputs}")
    taken: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    # The inputs are many and stay: without this every collection would walk them, and count for whoever runs then.
    gc.collect()
    gc.freeze()
    try:
        for number in range(plan.rounds + 1):
            # Each round another side begins, so that none always runs on what the same other one left behind.
            begin = number % len(names)
            for name in names[begin:] + names[:begin]:
                taken[name].append(_round(sides[name], number * plan.calls, plan.calls))
    finally:
        gc.unfreeze()
    return {name: rounds[1:] for name, rounds in taken.items()}


def _round(side: Side, first: int, calls: int) -> float:
    work, inputs = side.work, side.inputs[first : first + calls]
    if side.prime is not None:
        side.prime()
    started = time.process_time()
    for each in inputs:
        work(each)
    return (time.process_time() - started) / calls * 1e6


def ratios(of: Sequence[float], over: Sequence[float]) -> list[float]:
    """The ratio of each round."""
    return [one / other for one, other in zip(of, over, strict=True)]


def ratio(of: Sequence[float], over: Sequence[float]) -> float:
    """The median of the ratios of the rounds."""
    return statistics.median(ratios(of, over))


def detail(of: str, over: str, taken: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """What stands behind a ratio: the medians of both sides as `{name}_us`, and the quartiles of the ratio."""
    low, _, high = statistics.quantiles(ratios(taken[of], taken[over]), n=4)
    return {f"{name}_us": statistics.median(taken[name]) for name in (of, over)} | {"low": low, "high": high}


def progress(text: str) -> None:
    """Say on standard error what is being measured now."""
    print(text, file=sys.stderr, flush=True)


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows, as they stand in JSON, as a table to read."""
    lines = [("row", "figure", "passes", "goal", "status")]
    lines += [(row["row"], _figure(row), _passes(row), row["goal"] or "", row["status"]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def _figure(row: Mapping[str, Any]) -> str:
    if row["figure"] is None:
        return str(row["note"])
    digits = 0 if row["unit"] == "bytes" else 2 if row["figure"] >= _SMALL else 3
    return f"{row['figure']:.{digits}f} {row['unit']}"


def _passes(row: Mapping[str, Any]) -> str:
    detail = row["detail"]
    return f"{detail['least']:.2f} to {detail['most']:.2f}" if "least" in detail else ""


def run_script(
    measure: Callable[[Plan], Iterable[Row]], description: str, *, full: Plan = FULL, quick: Plan = QUICK
) -> None:
    """The command line of a script: measure, and print the table, or JSON with --json."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--quick", action="store_true", help="a few calls, to see that it runs: figures mean nothing")
    arguments = parser.parse_args()
    plan = quick if arguments.quick else full
    # Whoever ends a script lets it stop the servers that it started.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        rows = [row.as_json(plan) for row in measure(plan)]
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    print(json.dumps({"quick": plan.is_quick, "rows": rows}, indent=1) if arguments.json else table(rows))
