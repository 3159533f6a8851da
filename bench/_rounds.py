"""Servers that are driven in turns, and what a round of each came to."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench._load import CONNECTIONS, drive
from bench._measure import Goal, Plan, Row
from bench._processes import Server

__all__ = ["LOAD", "LOAD_QUICK", "Measured", "Target", "absent", "compare", "take_turns"]

LOAD: Final = Plan(rounds=5, calls=320)
"""Fewer and longer rounds than calls in a process get: a server has to come to its pace."""
LOAD_QUICK: Final = Plan(rounds=2, calls=2 * CONNECTIONS, is_quick=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server, what it is asked, and the server behind it that keeps its state, if there is one.

    It is asked `times` over: what answers fast is driven for about as long as the others, so that a busy neighbour has
    the same chance to be in the way.
    """

    server: Server
    requests: Callable[[int], list[bytes]]
    behind: Server | None = None
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A round of one target. Times in microseconds; processor times are for one request."""

    per_s: float
    cpu_us: float
    behind_us: float
    p50_us: float
    p99_us: float


def take_turns(plan: Plan, targets: Mapping[str, Target]) -> dict[str, list[Measured]]:
    """The rounds of each target, after one that does not count."""
    taken: dict[str, list[Measured]] = {name: [] for name in targets}
    names = list(targets)
    for number in range(plan.rounds + 1):
        # Each round another target begins, so that none always runs on what the same other one left behind.
        begin = number % len(names)
        for name in names[begin:] + names[:begin]:
            taken[name].append(_round(targets[name], plan.calls))
    return {name: rounds[1:] for name, rounds in taken.items()}


def _round(target: Target, calls: int) -> Measured:
    requests = target.requests(calls) * target.times
    before = _cpu(target)
    done = drive(target.server.port, requests)
    after = _cpu(target)
    return Measured(
        per_s=done.per_s,
        cpu_us=(after[0] - before[0]) / len(requests),
        behind_us=(after[1] - before[1]) / len(requests),
        p50_us=done.p50 * 1e6,
        p99_us=done.p99 * 1e6,
    )


def _cpu(target: Target) -> tuple[float, float]:
    return target.server.cpu_us(), 0.0 if target.behind is None else target.behind.cpu_us()


def compare(
    name: str,
    ratios: Sequence[float],
    of: Sequence[Measured],
    over: Sequence[Measured],
    *,
    group: str,
    goal: Goal | None = None,
) -> Row:
    """The row whose figure is the median of `ratios`, with what stands behind it."""
    low, _, high = statistics.quantiles(ratios, n=4)
    found = {
        f"{member}{suffix}": _median(rounds, member)
        for suffix, rounds in (("", of), ("_of_other", over))
        for member in ("per_s", "cpu_us", "behind_us", "p50_us", "p99_us")
    }
    detail = {"low": low, "high": high, "rounds": len(ratios), "connections": CONNECTIONS, **found}
    return Row(group=group, name=name, figure=statistics.median(ratios), unit="x", goal=goal, detail=detail)


def _median(rounds: Sequence[Measured], member: str) -> float:
    values: list[float] = [getattr(each, member) for each in rounds]
    return statistics.median(values)


def absent(group: str, names: Mapping[str, Goal], why: str) -> list[Row]:
    """The rows with those names and goals, without a figure."""
    return [Row(group=group, name=name, figure=None, unit="x", goal=goal, note=why) for name, goal in names.items()]
