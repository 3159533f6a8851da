"""Delegations, renewals and revocations of one chain at the same time, by two workers: no child is late."""

import itertools
from pathlib import Path

import pytest

from tests.faults.audit import Auditor
from tests.faults.journal import Journal, Kind
from tests.faults.load import Callers, Load
from tests.faults.rounds import ROUNDS
from tests.faults.site import Site

ANSWERS = 250
LANES = 6


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_no_child_is_minted_once_the_revocation_above_it_was_answered(tmp_path: Path, store: str) -> None:
    journal = Journal()
    async with Site.open(tmp_path, store, workers=2) as site, Callers.open(site, journal) as callers:
        auditor = Auditor(site, journal, callers)
        numbers = itertools.count()
        for number in range(1 + ROUNDS // 10):
            async with Load(site, callers, lanes=LANES, numbers=numbers).running():
                await journal.reaches(acknowledged=journal.acknowledged + ANSWERS)
            await auditor.audit(f"race {number}")

    # They did meet: granted below an entry while its revocation was under way.
    assert granted_meanwhile(journal) >= 5


def granted_meanwhile(journal: Journal) -> int:
    """How many grants were answered between a revocation above them and its answer."""
    revoked = {a.revokes: a for a in journal.attempts if a.kind is Kind.REVOKE and a.is_granted}
    return sum(
        any(
            attempt.sent < revoked[entry].answered and revoked[entry].sent < attempt.answered
            for entry in attempt.subject.entries
            if entry in revoked
        )
        for attempt in journal.attempts
        if attempt.is_granted and attempt.kind is not Kind.REVOKE
    )
