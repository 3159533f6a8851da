"""What is remembered between tokens is small: whoever signs tokens cannot fill the memory with what only they send."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from tests.simulator import API, Members, Simulator, assemble
from tokensvc.core.entry import parse_hop
from tokensvc.core.scope import parse_scope
from tokensvc.errors import Malformed

ROUNDS = 200
SIM = Simulator()


def hop(**members: object) -> Members:
    return {**SIM.chain("planner", "mailer")[-1], **members}


def read_scope(number: int) -> None:
    parse_scope(" ".join(f"s{number}.{n}" for n in range(200)))


def read_resources(number: int) -> None:
    parse_hop(hop(resources=[f"{API}/{number}/{n}" for n in range(200)]))


def read_header(number: int) -> None:
    # Closed later; by then it was read.
    header = {"alg": "ES256", "x": [{"n": number}] + [{} for _ in range(2000)]}
    with pytest.raises(Malformed):
        parse_hop({"jws": assemble(header, hop(), b"signature")})


@pytest.mark.parametrize("read", [read_scope, read_resources, read_header])
def test_long_texts_are_read_and_forgotten(read: Callable[[int], None]) -> None:
    read(-1)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(ROUNDS):
            read(number)
        gc.collect()
        kept, _most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Remembered, they would take several times that.
    assert kept < 1_500_000
