"""A hundred thousand used assertions in the store: none is accepted again, and nobody works longer for it."""

import itertools
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.audit import CHECKED
from tests.faults.journal import Journal
from tests.faults.load import Callers, Load
from tests.faults.site import Site
from tokensvc.ports import Committed, OneTimeValue, Store

CLAIMS = 100_000
BATCH = 500
LIFETIME_S = 300
DAY = 86_400
ASKED = 80
SAMPLE = range(0, CLAIMS, CLAIMS // 20)
# A table of that size takes 20 MB. What a process keeps of it is a cache of 2 MB.
GROWN_KB = 8_000
# Of processor time, which says what is done and not how long it waited; a search through all claims would be tenfold.
MORE_WORK = 3


async def claim_all(store: Store, generation: str, now: int) -> None:
    """Use as many assertions of clerk, as the service would have them claimed."""
    for start in range(0, CLAIMS, BATCH):
        claims = tuple(
            OneTimeValue(
                value=f"client_assertion clerk {generation}-{number}",
                until=now + LIFETIME_S,
                made=now,
            )
            for number in range(start, start + BATCH)
        )
        assert await store.claim(claims, now=now) is Committed.STORED


async def work_per_request(site: Site, journal: Journal, callers: Callers, numbers: "itertools.count[int]") -> float:
    """Seconds of processor time that the service takes for one request of the load."""
    assert site.running is not None
    pid, asked, begun = site.running.process.pid, len(journal.attempts), processor_s(site.running.process.pid)
    async with Load(site, callers, numbers=numbers).running():
        await journal.reaches(acknowledged=journal.acknowledged + ASKED)
    return (processor_s(pid) - begun) / (len(journal.attempts) - asked)


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_a_hundred_thousand_used_assertions_cost_nothing(tmp_path: Path, store: str) -> None:
    journal, numbers = Journal(), itertools.count()
    async with Site.open(tmp_path, store, workers=1) as site, Callers.open(site, journal) as callers:
        assert site.running is not None
        pid = site.running.process.pid
        # The first requests fill caches of all kinds.
        await work_per_request(site, journal, callers, numbers)
        work_before, memory_before = await work_per_request(site, journal, callers, numbers), resident_kb(pid)
        now = int(time.time())
        async with site.store() as beside:
            await claim_all(beside, "old", now)
        work, memory = await work_per_request(site, journal, callers, numbers), resident_kb(pid)

        accepted = [n for n in SAMPLE if await callers.accepts(callers.assertion(f"old-{n}"))]
        CHECKED["assertions replayed"] += len(SAMPLE)
        assert accepted == []
        assert await callers.accepts(callers.assertion())
        assert memory - memory_before < GROWN_KB
        assert work < MORE_WORK * work_before, (work, work_before)
        if site.redis is not None:
            # It forgets by itself, a day after their end.
            left_s = [site.redis.command("TTL", f"{{tokensvc}}:claim:client_assertion clerk old-{n}") for n in SAMPLE]
            assert all(0 < left <= LIFETIME_S + DAY for left in left_s), left_s
            return
        await forgotten_by_sqlite(site, tmp_path / "tokens.db", now)


async def forgotten_by_sqlite(site: Site, path: Path, now: int) -> None:
    """As many new ones, a day after the old ones have ended, take their place."""
    before = size_of(path)
    async with site.store() as beside:
        await claim_all(beside, "new", now + LIFETIME_S + DAY + 1)
    with closing(sqlite3.connect(path)) as connection:
        kept = dict(connection.execute("SELECT substr(value, 24, 3), count(*) FROM claims GROUP BY 1").fetchall())
    assert kept.get("new") == CLAIMS
    assert "old" not in kept
    assert size_of(path) < 1.5 * before


def size_of(path: Path) -> int:
    return path.stat().st_size


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
