"""The disk of the store is full, for a while: 503, nothing half there, nothing lost, and it goes on by itself."""

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.faults.audit import Auditor
from tests.faults.disk import SmallDisk, mounted
from tests.faults.journal import Journal
from tests.faults.load import Callers, Load
from tests.faults.rounds import ROUNDS
from tests.faults.site import Site

# SQLite's log alone takes 4 MB before it is folded into the database.
SIZE = "16m"
BEFORE = 20
REFUSED = 20
AFTER = 20


async def fill_under_load(
    site: Site, callers: Callers, journal: Journal, disk: SmallDisk, numbers: "itertools.count[int]"
) -> None:
    """Return once many requests were refused, with the disk still full."""
    async with Load(site, callers, numbers=numbers).running():
        await journal.reaches(acknowledged=journal.acknowledged + BEFORE)
        disk.fill()
        await journal.reaches(unknown=journal.unknown + REFUSED)


async def serve_again(site: Site, callers: Callers, journal: Journal, numbers: "itertools.count[int]") -> None:
    async with Load(site, callers, numbers=numbers).running():
        await journal.reaches(acknowledged=journal.acknowledged + AFTER)


@pytest.mark.parametrize("workers", [2, 1] if ROUNDS else [2])
async def test_sqlite_goes_on_once_there_is_room_again(tmp_path: Path, workers: int) -> None:
    journal, numbers = Journal(), itertools.count()
    with mounted(tmp_path / "disk", size=SIZE) as disk:
        async with (
            Site.open(tmp_path, "sqlite", workers, database="disk/tokens.db") as site,
            Callers.open(site, journal) as callers,
        ):
            auditor = Auditor(site, journal, callers)
            for number in range(1 + ROUNDS // 20):
                await fill_under_load(site, callers, journal, disk, numbers)
                disk.free()
                await serve_again(site, callers, journal, numbers)
                await auditor.audit(f"full disk {number}")
            # Killed while nothing can be written: what is half in its log must not come back as whole.
            await fill_under_load(site, callers, journal, disk, numbers)
            site.kill()
            disk.free()
            await asyncio.to_thread(site.start)
            await serve_again(site, callers, journal, numbers)
            await auditor.audit("SIGKILL on a full disk")
            assert site.running is not None
            assert site.running.logged("store_made") == site.running.logged("store_lost") == []


async def test_redis_ends_itself_and_has_everything_once_it_is_started_with_room(tmp_path: Path) -> None:
    journal, numbers = Journal(), itertools.count()
    with mounted(tmp_path / "redis", size=SIZE) as disk:
        async with Site.open(tmp_path, "redis", workers=2) as site, Callers.open(site, journal) as callers:
            auditor = Auditor(site, journal, callers)
            assert site.redis is not None
            for number in range(1 + ROUNDS // 20):
                await fill_under_load(site, callers, journal, disk, numbers)
                # With `appendfsync always` it does not answer for what it cannot write.
                assert await asyncio.to_thread(site.redis.ends) != 0
                disk.free()
                await asyncio.to_thread(site.redis.start)
                await serve_again(site, callers, journal, numbers)
                await auditor.audit(f"full disk {number}")
            assert site.running is not None
            assert not site.running.has_logged("store_lost", count=1)
