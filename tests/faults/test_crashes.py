"""SIGKILL of a worker, of Redis, of both, of everything, in the middle of the load: what was answered stays true."""

import itertools
from pathlib import Path

import pytest

from tests.faults.audit import Auditor
from tests.faults.journal import Journal
from tests.faults.load import Callers, Load
from tests.faults.rounds import ROUNDS
from tests.faults.site import SITES, Site, faults_at

# Answers before the fault, and after it. Not the same in any two rounds, so that it strikes in another place each time.
BEFORE = 25
AFTER = 15
# A start takes a second or two of both processors; each site comes back from the death of everything once.
EVERY_DAY = {("sqlite", 1): 1, ("sqlite", 2): 3, ("redis", 1): 2, ("redis", 2): 5}


@pytest.mark.parametrize(("store", "workers"), SITES)
async def test_what_was_acknowledged_outlives_every_kill(tmp_path: Path, store: str, workers: int) -> None:
    faults = faults_at(store, workers)
    journal, numbers = Journal(), itertools.count()
    async with Site.open(tmp_path, store, workers) as site, Callers.open(site, journal) as callers:
        auditor = Auditor(site, journal, callers)
        for number in range(ROUNDS or EVERY_DAY[store, workers]):
            fault = faults[number % len(faults)]
            async with Load(site, callers, numbers=numbers).running():
                await journal.reaches(acknowledged=journal.acknowledged + BEFORE + 7 * number % 20)
                await site.suffer(fault)
                await journal.reaches(acknowledged=journal.acknowledged + AFTER)
            await auditor.audit(f"round {number}, SIGKILL of {fault.value}")
        await auditor.audit("all rounds")
