"""What must hold after any fault, found out from the store itself and by asking the service again.

of the store    an answered grant, refusal or revocation has its record, one and whole
                after the record of a revocation there is none of a grant below what it names
                every entry of a granted chain is claimed, and every root has its subject token noted
                records beyond the answered ones are no more than the requests of which nobody knows
of the service  every token of a chain whose revocation was answered is dead, to introspection and to the exchange
                one that nobody knows of is in force exactly when it has its record
                every other token is alive: nothing was lost, and nothing taken for lost
                a subject token whose root was revoked starts nothing
                an assertion that was used is refused; one of which nobody knows works once more at most
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.faults.journal import Attempt, Journal, Kind, Token
from tests.faults.load import Callers
from tests.faults.site import Site
from tokensvc.ports import Committed, ListedRecord, OneTimeValue, Outcome, Record, Store

__all__ = ["CHECKED", "Auditor"]

CHECKED: Counter[str] = Counter()
"""What all tests of this run checked, for those who want to know how much it was."""

T = TypeVar("T")
R = TypeVar("R")
# Of each list of problems so many are shown.
_SHOWN = 20
_AT_ONCE = 16
# The family of what is asked in here.
AUDIT = -1
_PAGE = 2_000


@dataclass(slots=True)
class _Books:
    """The records of the store, in their order."""

    position: str | None = None
    records: list[Record] = field(default_factory=list)
    grants: dict[str, Record] = field(default_factory=dict)
    by_id: dict[str, Record] = field(default_factory=dict)
    # Entry to the number of the record that revoked it first.
    revoked: dict[str, int] = field(default_factory=dict)

    def add(self, listed: ListedRecord) -> list[str]:
        """Enter a record; what is wrong with it."""
        record, problems = listed.record, []
        self.position = listed.position
        if record.id in self.by_id:
            problems.append(f"record {record.id} stands twice")
        self.by_id[record.id] = record
        self.records.append(record)
        if record.outcome is Outcome.REVOKED:
            self.revoked.setdefault(revoked_by(record), len(self.records))
        if record.outcome is Outcome.GRANTED:
            jti = granted(record)["jti"]
            if jti in self.grants:
                problems.append(f"token {jti} has two records")
            self.grants[jti] = record
            dead = [entry for entry in entries_of(record) if entry in self.revoked]
            if dead:
                problems.append(f"record {record.id} grants {jti} below {dead}, revoked by an earlier record")
        return problems


def granted(record: Record) -> dict[str, Any]:
    found = record.inputs["granted"]
    assert isinstance(found, dict)
    return dict(found)


def entries_of(record: Record) -> list[str]:
    """The `jti`s of the chain that was granted, the root first."""
    return [entry["jti"] for entry in granted(record)["grant_chain"]]


def revoked_by(record: Record) -> str:
    """The entry that an agent or an operator revoked."""
    named = record.inputs["revoked"]
    found = named["id"] if isinstance(named, dict) else named
    assert isinstance(found, str)
    return found


class Auditor:
    """Checks the attempts since the last time, and keeps the books."""

    def __init__(self, site: Site, journal: Journal, callers: Callers) -> None:
        self._site = site
        self._journal = journal
        self._callers = callers
        self._books = _Books()
        self._done = 0
        # Who asked from what: how often that was granted, and how often nobody knows.
        self._told: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)

    async def audit(self, what: str) -> None:
        """Raises: AssertionError with what was acknowledged and what was found."""
        attempts = self._next_attempts()
        problems = await self._check_store(attempts)
        try:
            problems += await self._check_service([a for a in attempts if a.family != AUDIT])
        except AssertionError as exc:
            problems.append(f"the service gave no answer to go by: {exc}")
        self._judge(what, problems)

    async def audit_stopped(self, what: str) -> None:
        """The same without asking the service; and what was not answered was not done either."""
        attempts = self._next_attempts()
        problems = await self._check_store(attempts)
        self._judge(what, problems + self._unsaid(attempts))

    def _next_attempts(self) -> list[Attempt]:
        CHECKED["rounds"] += 1
        attempts = self._journal.attempts[self._done :]
        # What an audit asks is answered as well, and looked up the next time.
        self._done = len(self._journal.attempts)
        for attempt in attempts:
            if attempt.kind is not Kind.REVOKE and (attempt.is_granted or attempt.is_unknown):
                self._told[attempt.client, subject_of(attempt)][attempt.is_granted] += 1
        return attempts

    def _judge(self, what: str, problems: Sequence[str]) -> None:
        if problems:
            shown = "\n".join(f"  {problem}" for problem in problems[:_SHOWN])
            raise AssertionError(
                f"after {what}: {len(problems)} problems\n{shown}\ntold\n{self._journal.summary()}\n"
                f"found {len(self._books.records)} records, {len(self._books.grants)} grants, "
                f"{len(self._books.revoked)} entries revoked"
            )

    async def _check_store(self, attempts: Sequence[Attempt]) -> list[str]:
        async with self._site.store() as store:
            new, problems = await self._read(store)
            problems += await self._unclaimed(store, [r for r in new if r.outcome is Outcome.GRANTED])
        for attempt in attempts:
            problems += [f"{text}: {attempt}" for text in self._recorded_wrongly(attempt)]
        return problems + self._surplus()

    async def _read(self, store: Store) -> tuple[list[Record], list[str]]:
        before, problems = len(self._books.records), []
        while page := await store.list_records(after=self._books.position, limit=_PAGE):
            for listed in page:
                problems += self._books.add(listed)
        return self._books.records[before:], problems

    async def _unclaimed(self, store: Store, grants: Sequence[Record]) -> list[str]:
        """No half-issued token: whoever has a record has used up every entry of its chain."""
        now, problems = int(time.time()), []
        wanted = {entry for record in grants for entry in entries_of(record)}
        claims = [OneTimeValue(value=entry, until=now + 60, made=now) for entry in sorted(wanted)]
        for claim, answer in zip(claims, await _gather(lambda c: store.claim((c,), now=now), claims), strict=True):
            if answer is not Committed.REPLAYED:
                problems.append(f"entry {claim.value} has a record and was free to claim")
        for record in grants:
            if record.inputs["shape"] == "start":
                subject = record.inputs["subject"]
                assert isinstance(subject, dict)
                if await store.note_of(entries_of(record)[0]) != subject["sha256"]:
                    problems.append(f"the root of {record.id} has not its subject token noted")
        CHECKED["entries claimed"] += len(claims)
        return problems

    def _recorded_wrongly(self, attempt: Attempt) -> list[str]:
        if attempt.is_unknown:
            return []
        if attempt.kind is Kind.REVOKE:
            if attempt.status != 200:
                return ["a revocation was refused"]
            CHECKED["revocations acknowledged"] += 1
            return [] if attempt.revokes in self._books.revoked else ["an answered revocation has no record"]
        if attempt.is_granted:
            CHECKED["grants acknowledged"] += 1
            claims = attempt.token.claims
            record = self._books.grants.get(claims["jti"])
            if record is None:
                return ["an answered grant has no record"]
            whole = {name: claims[name] for name in ("jti", "sub", "aud", "scope", "exp", "grant_chain")}
            return [] if {**granted(record), **whole} == granted(record) else ["the record tells of another grant"]
        CHECKED["refusals acknowledged"] += 1
        if attempt.status != 400 or attempt.reason != "revoked":
            return [f"unexpected answer {dict(attempt.body)}"]
        is_told = attempt.body["record"] in self._books.by_id
        return [] if is_told else ["an answered refusal has no record"]

    def _surplus(self) -> list[str]:
        """Of records without an answer there are no more than requests without one, for each thing asked."""
        found = Counter((record.client_id, subject_of_record(record)) for record in self._books.grants.values())
        return [
            f"{client}: {n} grants from one subject, {self._told[client, subject][True]} answered and "
            f"{self._told[client, subject][False]} unknown"
            for (client, subject), n in found.items()
            if n > self._told[client, subject].total()
        ]

    def _unsaid(self, attempts: Sequence[Attempt]) -> list[str]:
        answered = Counter(subject_of(a) for a in attempts if a.kind is not Kind.REVOKE and a.is_granted)
        # Of these subjects nobody asked before, each family having its own.
        found = Counter(subject_of_record(record) for record in self._books.grants.values())
        problems = []
        for attempt in attempts:
            CHECKED["unanswered and not done"] += attempt.is_unknown
            if attempt.is_unknown and attempt.kind is Kind.REVOKE and attempt.revokes in self._books.revoked:
                problems.append(f"revoked, and not answered: {attempt}")
            if attempt.is_unknown and found[subject_of(attempt)] > answered[subject_of(attempt)]:
                problems.append(f"granted, and not answered: {attempt}")
        return problems

    async def _check_service(self, attempts: Sequence[Attempt]) -> list[str]:
        families = {attempt.family for attempt in attempts}
        known = [attempt for attempt in self._journal.attempts if attempt.family in families]
        tokens = [a.token for a in known if a.kind is not Kind.REVOKE and a.is_granted]
        problems = self._minted_late(known)
        # The exchange judges by the chain: of those that share one, one is asked for.
        by_chain = {tuple(token.entries): token for token in tokens}.values()
        found = await _gather(self._wrongly_active, tokens) + await _gather(self._wrongly_exchanged, by_chain)
        problems += [problem for problem in found if problem is not None]
        problems += await self._bars(known)
        problems += await self._assertions([a for a in attempts if a.assertion is not None])
        return problems

    def _minted_late(self, attempts: Sequence[Attempt]) -> list[str]:
        """By the clients' own clock: asked after a revocation was answered, and granted below it."""
        answered = {a.revokes: a.answered for a in attempts if a.kind is Kind.REVOKE and a.is_granted}
        sent = {a.revokes for a in attempts if a.kind is Kind.REVOKE}
        problems = []
        for attempt in attempts:
            if attempt.kind in {Kind.START, Kind.REVOKE}:
                continue
            ends = [answered[entry] for entry in attempt.subject.entries if entry in answered]
            if attempt.is_granted and any(end < attempt.sent for end in ends):
                problems.append(f"granted after the revocation was answered: {attempt}")
            if attempt.reason == "revoked" and sent.isdisjoint(attempt.subject.entries):
                problems.append(f"refused as revoked, and nobody revoked: {attempt}")
        return problems

    def _is_dead(self, token: Token) -> bool:
        """By the books, in which every answered revocation was found."""
        return any(entry in self._books.revoked for entry in token.entries)

    async def _wrongly_active(self, token: Token) -> str | None:
        is_dead, is_active = self._is_dead(token), await self._callers.is_active(token)
        CHECKED["dead to introspection" if is_dead else "alive to introspection"] += 1
        if is_active is not is_dead:
            return None
        return f"token {token.claims['jti']} of {token.entries} is {'revoked' if is_dead else 'lost'}, and {is_active=}"

    async def _wrongly_exchanged(self, token: Token) -> str | None:
        is_dead = self._is_dead(token)
        attempt = await self._callers.renew(token.claims["client_id"], AUDIT, token)
        CHECKED["dead to the exchange" if is_dead else "alive to the exchange"] += 1
        if (attempt.status, attempt.reason) == ((400, "revoked") if is_dead else (200, None)):
            return None
        return f"token of {token.entries} is {'revoked' if is_dead else 'lost'} in the exchange: {attempt}"

    async def _bars(self, attempts: Sequence[Attempt]) -> list[str]:
        """A revoked root bars its subject token; any other one starts again."""
        problems = []
        for attempt in attempts:
            if attempt.kind is not Kind.START or not attempt.is_granted:
                continue
            is_barred = attempt.token.entries[0] in self._books.revoked
            again = await self._callers.start(AUDIT, attempt.subject)
            CHECKED["subject tokens barred" if is_barred else "subject tokens that start again"] += 1
            if (again.status, again.reason) != ((400, "revoked") if is_barred else (200, None)):
                problems.append(f"a subject token, {is_barred=}: {again}")
        return problems

    async def _assertions(self, attempts: Sequence[Attempt]) -> list[str]:
        async def replayed(attempt: Attempt) -> str | None:
            assert attempt.assertion is not None
            if attempt.is_unknown:
                await self._callers.accepts(attempt.assertion)
            CHECKED["assertions replayed"] += 1
            return (
                f"an assertion was accepted again: {attempt}"
                if await self._callers.accepts(attempt.assertion)
                else None
            )

        problems = [problem for problem in await _gather(replayed, attempts) if problem is not None]
        if not await self._callers.accepts(self._callers.assertion()):
            problems.append("an assertion that was never used is refused")
        return problems


def subject_of(attempt: Attempt) -> str:
    """What names the subject of a request in its record: the leaf of the chain, or the hash of a user's token."""
    return attempt.subject.entries[-1] if attempt.subject.entries else attempt.subject.sha256


def subject_of_record(record: Record) -> str:
    subject: Any = record.inputs["subject"]
    found: str = subject["grant_chain"][-1]["jti"] if "grant_chain" in subject else subject["sha256"]
    return found


async def _gather(check: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Several at once, and no more than a queue takes."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> R:
        async with turns:
            return await check(item)

    return await asyncio.gather(*map(one, items))
