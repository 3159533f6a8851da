"""SIGTERM in the middle of the load: whatever was begun is finished and answered, and nothing else was done."""

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.faults.audit import Auditor
from tests.faults.journal import Journal
from tests.faults.load import Callers, Load
from tests.faults.rounds import ROUNDS
from tests.faults.site import SITES, Site

BEFORE = 20


@pytest.mark.parametrize(("store", "workers"), SITES)
async def test_what_sigterm_finds_in_flight_is_answered(tmp_path: Path, store: str, workers: int) -> None:
    journal, numbers = Journal(), itertools.count()
    async with Site.open(tmp_path, store, workers) as site, Callers.open(site, journal) as callers:
        auditor = Auditor(site, journal, callers)
        for number in range(1 + ROUNDS // 10):
            if number:
                await asyncio.to_thread(site.start)
            async with Load(site, callers, numbers=numbers).running():
                await journal.reaches(acknowledged=journal.acknowledged + BEFORE + 3 * number % 10)
                code = await site.stop()
            await auditor.audit_stopped(f"SIGTERM {number}")
            assert code == 0
