"""Another process on the same database, for test_sqlite.py: python -m tests.storage.sqlite_process WHAT PATH [NAME]."""

import asyncio
import itertools
import sys

from tests.storage.conformance import RULE, commit, entry, revocation, revoke
from tokensvc.ports import Committed
from tokensvc.storage.sqlite import SqliteStore

RACED = 300


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def race(path: str, name: str) -> None:
    """After a line on stdin, open the store and say every value that this process could claim."""
    _say("ready")
    sys.stdin.readline()
    store = SqliteStore(path, RULE, busy_timeout_s=10)
    await store.open()
    for start in range(0, RACED, 20):
        values = [f"v{n}" for n in range(start, start + 20)]
        answers = await asyncio.gather(*(commit(store, f"{name}-{value}", value) for value in values))
        for value, answer in zip(values, answers, strict=True):
            if answer is Committed.STORED:
                _say(value)
    await store.close()


async def stream(path: str) -> None:
    """Commit and revoke until killed; say what was acknowledged, once it was."""
    store = SqliteStore(path, RULE)
    await store.open()

    async def lane(name: str) -> None:
        for n in itertools.count():
            if n % 2:
                await revoke(store, f"r-{name}-{n}", revocation(f"e-{name}-{n}"))
            elif await commit(store, f"r-{name}-{n}", f"v-{name}-{n}", unless=[entry("none")]) is not Committed.STORED:
                sys.exit("a fresh value was not stored")
            _say(f"{name}-{n}")

    await asyncio.gather(*(lane(str(n)) for n in range(8)))


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    asyncio.run(race(where, rest[0]) if what == "race" else stream(where))
