"""The memory of used proofs: bounded, exact, and never the one who forgets."""

import gc
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator import NOW
from tokensvc.errors import Unavailable
from tokensvc.integrations.proof_memory import ProofMemory

MANY: Final = 120_000


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def test_a_proof_is_claimed_once_while_it_could_be_accepted() -> None:
    clock = Clock()
    memory = ProofMemory(clock=clock)
    assert memory.claim("one", NOW + 90)
    assert not memory.claim("one", NOW + 90)
    assert not memory.claim("one", NOW + 91)
    assert memory.claim("two", NOW + 90)
    clock.now = NOW + 90
    assert not memory.claim("one", NOW + 90)
    assert len(memory) == 2
    clock.now = NOW + 91
    assert memory.claim("three", NOW + 181)
    assert len(memory) == 1


def test_a_clock_that_was_set_back_makes_no_used_proof_new() -> None:
    clock = Clock()
    memory = ProofMemory(clock=clock)
    assert memory.claim("one", NOW + 90)
    clock.now = NOW + 1000
    assert memory.claim("later", NOW + 1090)
    clock.now = NOW
    assert not memory.claim("one", NOW + 90)
    assert memory.claim("another", NOW + 91)


def test_a_full_memory_refuses_what_is_new_and_still_knows_what_is_old() -> None:
    clock = Clock()
    memory = ProofMemory(max_proofs=2, clock=clock)
    assert memory.claim("one", NOW + 10)
    assert memory.claim("two", NOW + 20)
    for _ in range(3):
        with pytest.raises(Unavailable):
            memory.claim("three", NOW + 30)
        assert not memory.claim("one", NOW + 10)
    clock.now = NOW + 11
    assert memory.claim("three", NOW + 30)
    with pytest.raises(Unavailable):
        memory.claim("four", NOW + 40)


def test_more_than_a_hundred_thousand_proofs_are_all_remembered_in_bounded_memory() -> None:
    memory = ProofMemory(clock=Clock())
    # Longer than any digest: what a proof names itself must not cost more.
    names = [f"dpop {'k' * 43} {number:0256}" for number in range(MANY)]
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert all(memory.claim(name, NOW + number % 120) for number, name in enumerate(names))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(memory) == MANY
    assert not any(memory.claim(name, NOW + 120) for name in names)
    # A digest, its slot in a set that is at most a fifth full, and its place in a list.
    assert (after - before) / MANY < 160


def test_all_of_them_are_forgotten_when_their_time_is_over() -> None:
    clock = Clock()
    memory = ProofMemory(clock=clock)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(10_000):
            memory.claim(str(number), NOW + number % 60)
        clock.now = NOW + 1000
        assert memory.claim("last", NOW + 1090)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(memory) == 1
    # A set keeps the room that it once needed.
    assert after - before < 10_000 * 60


@pytest.mark.parametrize("max_proofs", [0, -1, 1.5, True, None])
def test_a_bound_that_is_none_is_refused(max_proofs: Any) -> None:  # noqa: ANN401 - of any type
    with pytest.raises(ValueError, match="max_proofs"):
        ProofMemory(max_proofs=max_proofs)
    assert ProofMemory(max_proofs=1).claim("one", sys.maxsize)


def test_of_many_threads_with_one_proof_one_gets_it() -> None:
    memory = ProofMemory(clock=Clock())

    def claims(number: int) -> bool:
        return memory.claim(str(number % 500), NOW + number % 7)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claims, range(4000))) == 500


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 15)), max_size=40))
def test_it_says_what_a_list_of_everything_would_say(calls: list[tuple[int, int, int]]) -> None:
    clock: Any = Clock()
    memory = ProofMemory(clock=clock)
    used: dict[int, int] = {}
    for name, ahead, passed in calls:
        clock.now += passed
        until = clock.now + ahead
        # A name is free again only when no proof with it could have been accepted any more.
        expected = used.get(name, -1) < clock.now
        if expected:
            used[name] = until
        assert memory.claim(str(name), until) is expected


def test_the_default_clock_is_the_time_of_this_machine() -> None:
    memory = ProofMemory()
    assert memory.claim("long ago", 0)
    assert memory.claim("far ahead", sys.maxsize)
    assert len(memory) == 1
