"""What a rule says of a setting that does not go with the others, and what rules need to say it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = ["Conflict", "nearest", "repeats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A setting that does not go with the others."""

    key: str
    problem: str
    remedy: str


def repeats(entries: Iterable[tuple[str, str]], problem: str, remedy: str) -> Iterator[Conflict]:
    """A conflict at each key whose value was seen before."""
    seen: set[str] = set()
    for key, value in entries:
        if value in seen:
            yield Conflict(key=key, problem=problem.format(value=value), remedy=remedy)
        seen.add(value)


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """A remedy: the nearest known name, and what to do when it was not meant."""
    close = get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {close[0]}? Else: {otherwise}" if close else otherwise
