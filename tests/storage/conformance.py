"""What every `ports.Store` promises. The test module of an adapter subclasses each class and gives `store_factory`.

Every refusal has its control: the same call with the one thing at fault undone is accepted. Longer than other files:
it is the contract, and is read from top to bottom when an adapter is written.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace

import pytest

from tokensvc.core.jsontext import JsonValue
from tokensvc.core.revocation import Revocable, Revocation, RevocationKind
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, ListedRecord, OneTimeValue, Outcome, Record, Store
from tokensvc.storage.loss import LossRule

StoreFactory = Callable[[], Store]
"""Makes a store with `RULE` that is not open yet. Each call of one factory may give another, empty store."""

Use = Callable[..., Awaitable[Committed]]
"""Claims values, by `claim` or by `commit`."""

NOW = 1_800_000_000
DAY = 24 * 60 * 60
# How far a clock is ahead while something ends at NOW + 60. At the last of these it may not be forgotten yet.
AHEAD = (200, 2 * 60 * 60, DAY + 60)
ISSUER = "https://tokens.example"
IDP = "https://idp.example"
LEEWAY = 30
RULE = LossRule(issuer=ISSUER, upstream=(IDP,), leeway_s=LEEWAY, clock=lambda: NOW)
ODD_TEXTS = (
    "",
    " ",
    "'; DROP TABLE claims; --",
    '"%_?\\',
    "a\x00b",
    "a\x00c",
    "\n\t\x1f\x7f",
    "é",
    "e\u0301",
    "ﬁ ß İ",
    "\u200b\u202e",
    "\ufeff\ufffe\uffff",
    "\U0001f511" * 300,
    "A",
    "a",
    "1",
    "01",
    "1.0",
    "x" * 20_000,
)


def record(record_id: str, *, at: int = NOW, **changes: object) -> Record:
    plain = Record(
        id=record_id, at=at, outcome=Outcome.GRANTED, client_id="agent-1", reason=None, lineage=None, inputs={}
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # each test names fields of Record


def claim(value: str, *, until: int = NOW + 60, made: int = NOW, note: str | None = None) -> OneTimeValue:
    return OneTimeValue(value=value, until=until, made=made, note=note)


def grant(value: str, note: str | None, *, until: int = NOW + 60, made: int = NOW) -> OneTimeValue:
    """A value that may come again with its note."""
    return OneTimeValue(value=value, until=until, made=made, note=note, repeatable=True)


def chain_from(iss: str, iat: int) -> tuple[Revocable, ...]:
    """What a chain depends on whose root is of that issuer and moment."""
    return (Revocable(kind=RevocationKind.ISSUER, id=iss, iat=iat),)


def entry(jti: str) -> Revocable:
    return Revocable(kind=RevocationKind.ENTRY, id=jti, iat=NOW)


def revocation(
    name: str, kind: RevocationKind = RevocationKind.ENTRY, *, not_before: int | None = None, until: int | None = None
) -> Revocation:
    return Revocation(kind=kind, id=name, not_before=not_before, until=until)


async def commit(
    store: Store, record_id: str, *values: str, unless: Iterable[Revocable] = (), now: int = NOW
) -> Committed:
    claims = tuple(claim(value, until=now + 60) for value in values)
    return await store.commit(claims=claims, unless_revoked=tuple(unless), record=record(record_id), now=now)


async def write_much(store: Store, now: int) -> None:
    """Far more commits than any store needs to forget what it may forget at `now`."""
    for n in range(20):
        assert await commit(store, f"much-{n}", *(f"much-{n}-{m}" for m in range(100)), now=now) is Committed.STORED


async def revoke(store: Store, record_id: str, *revocations: Revocation) -> None:
    await store.revoke(revocations=revocations, record=record(record_id, outcome=Outcome.REVOKED))


class HeardEvents:
    """Implements `StoreEvents`: remembers them."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.doubts: list[str] = []

    def store_made(self, place: str) -> None:
        self.heard.append(("made", place))

    def store_lost(self, place: str) -> None:
        self.heard.append(("lost", place))

    def store_doubtful(self, place: str, problem: str) -> None:
        self.heard.append(("doubtful", place))
        self.doubts.append(problem)


class _WithStore:
    @pytest.fixture
    async def store(self, store_factory: StoreFactory) -> AsyncIterator[Store]:
        store = store_factory()
        await store.open()
        yield store
        await store.close()


class ClaimsConformance(_WithStore):
    async def test_a_value_can_be_claimed_once(self, store: Store) -> None:
        assert await commit(store, "r1", "jti-1") is Committed.STORED
        assert await commit(store, "r2", "jti-1") is Committed.REPLAYED
        assert await commit(store, "r3", "jti-2") is Committed.STORED

    async def test_claims_and_commits_share_one_memory(self, store: Store) -> None:
        assert await store.claim((claim("jti-1"), claim("jti-2")), now=NOW) is Committed.STORED
        assert await store.claim((claim("jti-1"),), now=NOW) is Committed.REPLAYED
        assert await commit(store, "r1", "jti-2") is Committed.REPLAYED
        assert await commit(store, "r1", "jti-3") is Committed.STORED
        assert await store.claim((claim("jti-3"),), now=NOW) is Committed.REPLAYED
        assert await store.claim((claim("jti-4"),), now=NOW) is Committed.STORED

    async def test_one_replayed_value_leaves_nothing_of_a_claim(self, store: Store) -> None:
        await store.claim((claim("old"),), now=NOW)
        assert await store.claim((claim("new"), claim("old")), now=NOW) is Committed.REPLAYED
        assert await store.claim((claim("new"), claim("new")), now=NOW) is Committed.REPLAYED
        assert await store.claim((claim("new"),), now=NOW) is Committed.STORED

    async def test_racing_claims_of_one_value_store_exactly_one(self, store: Store) -> None:
        answers = await asyncio.gather(*(store.claim((claim("wanted"),), now=NOW) for _ in range(400)))
        assert sorted(answers) == [Committed.REPLAYED] * 399 + [Committed.STORED]

    async def test_a_note_is_kept_with_its_value(self, store: Store) -> None:
        assert await store.claim((claim("root", note="sha256"), claim("odd", note="")), now=NOW) is Committed.STORED
        claims = (claim("grant", note="hash é\x00"), claim("hop"))
        await store.commit(claims=claims, unless_revoked=(), record=record("r1"), now=NOW)

        for value, note in (("root", "sha256"), ("odd", ""), ("grant", "hash é\x00"), ("hop", None), ("never", None)):
            assert await store.note_of(value) == note

    async def test_a_claim_with_an_equal_note_is_replayed_all_the_same(self, store: Store) -> None:
        await store.claim((claim("grant", note="hash"),), now=NOW)
        for note in ("hash", "other", None):
            assert await store.claim((claim("grant", note=note),), now=NOW) is Committed.REPLAYED
        assert await store.note_of("grant") == "hash"
        assert await store.claim((claim("grant-2", note="hash"),), now=NOW) is Committed.STORED

    async def test_a_value_claimed_anew_has_its_new_note(self, store: Store) -> None:
        await store.claim((claim("v", until=NOW + 10, note="first"),), now=NOW)
        assert await store.claim((claim("v", until=NOW + 90, note="second"),), now=NOW + 11) is Committed.STORED
        assert await store.note_of("v") == "second"

    async def test_nothing_to_claim_is_stored(self, store: Store) -> None:
        assert await commit(store, "r1") is Committed.STORED
        assert await store.find("r1") is not None

    async def test_one_replayed_value_leaves_nothing_of_the_commit(self, store: Store) -> None:
        await commit(store, "r1", "old")

        assert await commit(store, "r2", "new-1", "old", "new-2") is Committed.REPLAYED

        assert await store.find("r2") is None
        assert await commit(store, "r2", "new-1", "new-2") is Committed.STORED
        assert await store.find("r2") is not None

    async def test_a_value_named_twice_in_one_commit_is_replayed(self, store: Store) -> None:
        assert await commit(store, "r1", "twice", "twice") is Committed.REPLAYED
        assert await commit(store, "r1", "twice") is Committed.STORED

    async def test_hundreds_of_racing_commits_of_one_value_store_exactly_one(self, store: Store) -> None:
        answers = await asyncio.gather(*(commit(store, f"r{n}", "wanted", f"own-{n}") for n in range(400)))

        assert sorted(answers) == [Committed.REPLAYED] * 399 + [Committed.STORED]
        found = [n for n in range(400) if await store.find(f"r{n}") is not None]
        assert found == [answers.index(Committed.STORED)]

    async def test_racing_commits_of_overlapping_values_never_share_one(self, store: Store) -> None:
        async def pair(n: int) -> set[str] | None:
            values = (f"v{n}", f"v{n + 1}")
            return set(values) if await commit(store, f"r{n}", *values) is Committed.STORED else None

        won = [values for values in await asyncio.gather(*(pair(n) for n in range(200))) if values]

        assert len(won) >= 2
        assert len(set().union(*won)) == 2 * len(won)

    async def test_a_claim_is_remembered_until_its_time_and_forgotten_after(self, store: Store) -> None:
        await store.commit(claims=(claim("v", until=NOW + 10),), unless_revoked=(), record=record("r1"), now=NOW)

        assert await commit(store, "r2", "v", now=NOW + 9) is Committed.REPLAYED
        assert await commit(store, "r3", "v", now=NOW + 10) is Committed.REPLAYED
        assert await commit(store, "r4", "v", now=NOW + 11) is Committed.STORED
        assert await commit(store, "r5", "v", now=NOW + 12) is Committed.REPLAYED

    @pytest.mark.parametrize("ahead", AHEAD)
    async def test_a_clock_ahead_and_back_again_revives_no_claim(self, store: Store, ahead: int) -> None:
        await commit(store, "r1", "committed")
        await store.claim((claim("claimed"),), now=NOW)

        await store.claim((claim("by the clock ahead"),), now=NOW + ahead)
        await write_much(store, NOW + ahead)

        for value in ("committed", "claimed", "by the clock ahead"):
            for now in (NOW, NOW + 60):
                assert await store.claim((claim(value),), now=now) is Committed.REPLAYED
                assert await commit(store, "r2", value, now=now) is Committed.REPLAYED
            assert await store.claim((claim(value, until=NOW + 90),), now=NOW + 61) is Committed.STORED

    async def test_a_note_is_told_for_a_day_after_the_end_of_its_value(self, store: Store) -> None:
        await store.claim((claim("root", until=NOW + 60, note="sha256"),), now=NOW)
        for now in (NOW + 61, NOW + 60 + DAY):
            await store.claim((claim(f"then-{now}"),), now=now)
            assert await store.note_of("root") == "sha256"
        await write_much(store, NOW + 60 + DAY)
        assert await store.note_of("root") == "sha256"

    async def test_thousands_of_expired_claims_do_not_take_living_ones_with_them(self, store: Store) -> None:
        old = tuple(claim(f"old-{n}", until=NOW + n % 2) for n in range(3000))
        living = (claim("living", until=NOW + DAY + 500),)
        await store.commit(claims=old + living, unless_revoked=(), record=record("r0"), now=NOW)

        for n in range(5):
            assert await commit(store, f"r{n + 1}", f"new-{n}", now=NOW + DAY + 100 + n) is Committed.STORED

        assert await commit(store, "rx", "living", now=NOW + DAY + 500) is Committed.REPLAYED
        assert await commit(store, "ry", *(f"old-{n}" for n in range(3000)), now=NOW + DAY + 500) is Committed.STORED

    async def test_odd_texts_are_told_apart(self, store: Store) -> None:
        for n, text in enumerate(ODD_TEXTS):
            assert await commit(store, f"r{n}", text) is Committed.STORED
        for n, text in enumerate(ODD_TEXTS):
            assert await commit(store, f"again-{n}", text) is Committed.REPLAYED

    async def test_values_that_no_store_holds_are_refused_and_disturb_nobody(self, store: Store) -> None:
        answers = await asyncio.gather(
            commit(store, "r1", "good"),
            commit(store, "r2", "lone \ud800 surrogate"),
            store.commit(claims=(claim("huge", until=2**63),), unless_revoked=(), record=record("r3"), now=NOW),
            store.commit(claims=(claim("large", until=2**63 - 1),), unless_revoked=(), record=record("r4"), now=NOW),
            store.claim((claim("v", made=2**63),), now=NOW),
            store.claim((claim("v", note="\ud800"),), now=NOW),
            store.claim((claim("v", made=2**63 - 1, note="\ud7ff"),), now=NOW),
            store.note_of("\ud800"),
            store.claim((claim("early"),), now=-(2**63)),
            return_exceptions=True,
        )

        assert answers[0] is Committed.STORED
        assert isinstance(answers[1], ValueError)
        assert isinstance(answers[2], ValueError)
        assert answers[3] is Committed.STORED
        assert isinstance(answers[4], ValueError)
        assert isinstance(answers[5], ValueError)
        assert answers[6] is Committed.STORED
        assert isinstance(answers[7], ValueError)
        assert answers[8] is Committed.STORED


class RepeatsConformance(_WithStore):
    """A repeatable value with the same note is a retry, in `claim` and in `commit` alike."""

    @pytest.fixture(params=["claim", "commit"])
    def use(self, request: pytest.FixtureRequest, store: Store) -> Use:
        async def use(*claims: OneTimeValue, now: int = NOW) -> Committed:
            if request.param == "claim":
                return await store.claim(claims, now=now)
            kept = record(secrets.token_hex(8))
            answer = await store.commit(claims=claims, unless_revoked=(), record=kept, now=now)
            assert (await store.find(kept.id) is not None) is (answer is Committed.STORED)
            return answer

        return use

    async def test_the_same_again_is_stored_and_another_note_is_replayed(self, store: Store, use: Use) -> None:
        for note in ("hash", "", "hash é\x00\n", "~=", " x "):
            value = f"grant {note}"
            assert await use(grant(value, note)) is Committed.STORED
            assert await use(grant(value, note)) is Committed.STORED
            assert await store.claim((grant(value, note),), now=NOW) is Committed.STORED
            for other in ("other", note + " ", note + "\x00", f"={note}", f"~{note}"):
                assert await use(grant(value, other)) is Committed.REPLAYED
            assert await store.note_of(value) == note
            assert await use(grant(value, note)) is Committed.STORED

    async def test_it_takes_both_times_to_be_repeatable(self, store: Store, use: Use) -> None:
        assert await use(claim("once", note="hash")) is Committed.STORED
        assert await use(grant("once", "hash")) is Committed.REPLAYED
        assert await use(grant("grant", "hash")) is Committed.STORED
        assert await use(claim("grant", note="hash")) is Committed.REPLAYED
        assert await use(grant("grant", "hash")) is Committed.STORED
        assert await store.note_of("once") == await store.note_of("grant") == "hash"

    @pytest.mark.parametrize("marked", ["=hash", "~hash"])
    async def test_a_note_never_passes_for_a_repeatable_one(self, use: Use, marked: str) -> None:
        assert await use(claim("once", note=marked)) is Committed.STORED
        for again in (grant("once", "hash"), grant("once", marked), claim("once", note=marked)):
            assert await use(again) is Committed.REPLAYED
        assert await use(grant("grant", marked)) is Committed.STORED
        assert await use(grant("grant", marked)) is Committed.STORED

    async def test_without_a_note_nothing_is_repeatable(self, use: Use) -> None:
        assert await use(grant("grant", None)) is Committed.STORED
        assert await use(grant("grant", None)) is Committed.REPLAYED
        assert await use(grant("grant", "")) is Committed.REPLAYED
        assert await use(claim("once")) is Committed.STORED
        assert await use(grant("once", None)) is Committed.REPLAYED

    async def test_a_value_named_twice_in_one_step_is_no_retry(self, use: Use) -> None:
        assert await use(grant("grant", "hash"), grant("grant", "hash")) is Committed.REPLAYED
        assert await use(grant("grant", "hash"), grant("other", "hash")) is Committed.STORED

    async def test_a_retry_beside_a_replayed_value_stores_nothing(self, use: Use) -> None:
        await use(grant("grant", "hash"), claim("used"))
        assert await use(claim("new"), grant("grant", "hash"), claim("used")) is Committed.REPLAYED
        assert await use(claim("new"), grant("grant", "hash")) is Committed.STORED
        assert await use(claim("new"), grant("grant", "hash")) is Committed.REPLAYED

    async def test_it_is_remembered_until_the_latest_time_that_was_said(self, store: Store, use: Use) -> None:
        for first, second in ((NOW + 10, NOW + 90), (NOW + 90, NOW + 10)):
            value = f"grant-{first}"
            assert await use(grant(value, "hash", until=first)) is Committed.STORED
            assert await use(grant(value, "hash", until=second)) is Committed.STORED
            assert await use(grant(value, "other"), now=NOW + 90) is Committed.REPLAYED
            assert await use(grant(value, "other", until=NOW + 99), now=NOW + 91) is Committed.STORED
            assert await store.note_of(value) == "other"

    async def test_fifty_racing_retries_all_succeed(self, use: Use) -> None:
        answers = await asyncio.gather(*(use(grant("grant", "hash"), claim(f"own-{n}")) for n in range(50)))
        assert answers == [Committed.STORED] * 50
        assert await use(grant("grant", "other")) is Committed.REPLAYED

    async def test_of_notes_racing_for_one_value_exactly_one_wins(self, store: Store, use: Use) -> None:
        notes = [f"hash-{n % 2}" for n in range(200)]
        answers = await asyncio.gather(*(use(grant("grant", note)) for note in notes))

        won = {note for note, answer in zip(notes, answers, strict=True) if answer is Committed.STORED}
        assert len(won) == 1
        assert answers.count(Committed.STORED) == 100
        assert await store.note_of("grant") in won

    async def test_what_was_made_before_the_store_is_no_retry(self, use: Use) -> None:
        assert await use(grant("grant", "hash", made=NOW - 1)) is Committed.REPLAYED
        assert await use(grant("grant", "hash")) is Committed.STORED
        assert await use(grant("grant", "hash", made=NOW - 1)) is Committed.REPLAYED
        assert await use(grant("grant", "hash")) is Committed.STORED

    async def test_a_retry_under_a_revoked_entry_is_revoked(self, store: Store) -> None:
        async def redeem(record_id: str) -> Committed:
            claims = (grant("hop", "hash"),)
            return await store.commit(claims=claims, unless_revoked=(entry("hop"),), record=record(record_id), now=NOW)

        assert await redeem("r1") is Committed.STORED
        assert await redeem("r2") is Committed.STORED
        await revoke(store, "r3", revocation("hop"))
        assert await redeem("r4") is Committed.REVOKED


class MakingConformance(_WithStore):
    """A store made anew may stand for one that was lost while nobody looked."""

    async def test_what_the_service_issued_before_is_dead(self, store: Store) -> None:
        assert await store.is_revoked(chain_from(ISSUER, NOW - 1))
        assert not await store.is_revoked(chain_from(ISSUER, NOW))
        assert await commit(store, "r1", "v", unless=chain_from(ISSUER, NOW - 1)) is Committed.REVOKED
        assert await commit(store, "r1", "v", unless=chain_from(ISSUER, NOW)) is Committed.STORED

    async def test_what_others_issued_before_starts_a_chain(self, store: Store) -> None:
        # On a first start a user who is logged in already need not log in again.
        assert not await store.is_revoked(chain_from(IDP, NOW - 600))
        await revoke(store, "r1", revocation(IDP, RevocationKind.ISSUER, not_before=NOW - 600))
        assert await store.is_revoked(chain_from(IDP, NOW - 600))

    async def test_values_made_before_count_as_used(self, store: Store) -> None:
        assert await store.claim((claim("assertion", made=NOW - 1),), now=NOW) is Committed.REPLAYED
        assert await store.claim((claim("assertion", made=NOW),), now=NOW) is Committed.STORED
        old = (claim("grant", made=NOW - 1),)
        assert await store.commit(claims=old, unless_revoked=(), record=record("r1"), now=NOW) is Committed.REPLAYED
        assert await commit(store, "r1", "grant") is Committed.STORED


class RevocationsConformance(_WithStore):
    async def test_a_commit_under_a_revoked_entry_stores_nothing(self, store: Store) -> None:
        await revoke(store, "r1", revocation("hop-2"))

        chain = [entry("root"), entry("hop-1"), entry("hop-2")]
        assert await commit(store, "r2", "jti", unless=chain) is Committed.REVOKED

        assert await store.find("r2") is None
        assert await commit(store, "r2", "jti", unless=chain[:2]) is Committed.STORED

    async def test_revoked_is_answered_before_replayed(self, store: Store) -> None:
        await commit(store, "r1", "jti")
        await revoke(store, "r2", revocation("root"))

        assert await commit(store, "r3", "jti", unless=[entry("root")]) is Committed.REVOKED
        assert await commit(store, "r3", "jti", unless=[entry("other")]) is Committed.REPLAYED

    async def test_is_revoked_sees_every_revocation_that_was_acknowledged(self, store: Store) -> None:
        assert not await store.is_revoked(())
        assert not await store.is_revoked((entry("a"), entry("b")))
        await revoke(store, "r1", revocation("b"), revocation("c"))
        assert await store.is_revoked((entry("a"), entry("b")))
        assert await store.is_revoked((entry("c"),))
        assert not await store.is_revoked((entry("a"),))

    async def test_kinds_do_not_hit_each_other(self, store: Store) -> None:
        for kind in RevocationKind:
            await revoke(store, f"r-{kind}", revocation(f"only-{kind}", kind))
        for kind in RevocationKind:
            for other in RevocationKind:
                hit = await store.is_revoked((Revocable(kind=kind, id=f"only-{other}", iat=NOW),))
                assert hit is (kind is other)

    async def test_what_was_issued_after_the_not_before_lives(self, store: Store) -> None:
        await revoke(store, "r1", revocation("alice", RevocationKind.USER, not_before=NOW))
        for iat, dead in ((NOW - 1, True), (NOW, True), (NOW + 1, False)):
            assert await store.is_revoked((Revocable(kind=RevocationKind.USER, id="alice", iat=iat),)) is dead

    @pytest.mark.parametrize("in_one_call", [True, False])
    @pytest.mark.parametrize(
        ("first", "second", "dead_up_to"),
        [(NOW, NOW + 5, NOW + 5), (NOW + 5, NOW, NOW + 5), (NOW, None, None), (None, NOW, None)],
    )
    async def test_the_stronger_not_before_stays(
        self, store: Store, in_one_call: bool, first: int | None, second: int | None, dead_up_to: int | None
    ) -> None:
        pair = [revocation("alice", RevocationKind.USER, not_before=when) for when in (first, second)]
        if in_one_call:
            await revoke(store, "r1", *pair)
        else:
            await revoke(store, "r1", pair[0])
            await revoke(store, "r2", pair[1])

        for iat in (NOW - 1, NOW, NOW + 5, NOW + 6):
            hit = await store.is_revoked((Revocable(kind=RevocationKind.USER, id="alice", iat=iat),))
            assert hit is (dead_up_to is None or iat <= dead_up_to)

    @pytest.mark.parametrize(
        ("first", "second"), [(NOW + 1, NOW + 900), (NOW + 900, NOW + 1), (NOW + 1, None), (None, NOW + 1)]
    )
    async def test_the_later_until_stays(self, store: Store, first: int | None, second: int | None) -> None:
        await revoke(store, "r1", revocation("root", until=first))
        await revoke(store, "r2", revocation("root", until=second))

        await write_much(store, NOW + DAY + 800)

        assert await store.is_revoked((entry("root"),))

    @pytest.mark.parametrize("ahead", AHEAD)
    async def test_a_clock_ahead_and_back_again_revives_nothing_revoked(self, store: Store, ahead: int) -> None:
        await revoke(store, "r1", revocation("root", until=NOW + 60), revocation("ended", until=NOW + 60))

        await write_much(store, NOW + ahead)

        for name in ("root", "ended"):
            assert await store.is_revoked((entry(name),))
            assert await commit(store, "r2", "jti", unless=[entry(name)]) is Committed.REVOKED
        assert await commit(store, "r2", "jti", unless=[entry("other")]) is Committed.STORED

    async def test_a_revocation_without_until_is_never_forgotten(self, store: Store) -> None:
        await revoke(store, "r1", revocation("for-ever"), *(revocation(f"old-{n}", until=NOW) for n in range(1500)))
        for n in range(20):
            await commit(store, f"c{n}", *(f"v{n}-{m}" for m in range(100)), now=2**40 + n)
        assert await store.is_revoked((entry("for-ever"),))

    async def test_the_same_revocation_again_adds_only_its_record(self, store: Store) -> None:
        await revoke(store, "r1", revocation("root"))
        await revoke(store, "r2", revocation("root"))
        assert await store.is_revoked((entry("root"),))
        assert await store.find("r1") is not None
        assert await store.find("r2") is not None

    async def test_no_commit_is_stored_after_revoke_returned(self, store: Store) -> None:
        revoked, under_way = asyncio.Event(), asyncio.Event()
        answers: list[tuple[bool, Committed]] = []

        async def issue(n: int) -> None:
            for m in range(1000):
                asked_after = revoked.is_set()
                answer = await commit(store, f"i{n}-{m}", f"jti-{n}-{m}", unless=[entry("other"), entry("root")])
                answers.append((asked_after, answer))
                if len(answers) == 100:
                    under_way.set()
                if asked_after:
                    break
                await asyncio.sleep(0)

        async def stop() -> None:
            await under_way.wait()
            await revoke(store, "stop", revocation("root"))
            revoked.set()

        await asyncio.gather(stop(), *(issue(n) for n in range(20)))

        assert [answer for asked_after, answer in answers if asked_after] == [Committed.REVOKED] * 20
        assert [answer for _, answer in answers].count(Committed.STORED) >= 100
        assert await commit(store, "control", "jti", unless=[entry("other")]) is Committed.STORED

    async def test_odd_texts_are_told_apart(self, store: Store) -> None:
        for n, text in enumerate(ODD_TEXTS):
            assert not await store.is_revoked((entry(text),))
            await revoke(store, f"r{n}", revocation(text))
            assert await store.is_revoked((entry(text),))

    async def test_values_that_no_store_holds_are_refused(self, store: Store) -> None:
        for bad in (revocation("\udfff"), revocation("x", not_before=-(2**63) - 1), revocation("x", until=2**64)):
            with pytest.raises(ValueError, match=r"surrogate|64 bits"):
                await revoke(store, "r1", revocation("good"), bad)
        assert not await store.is_revoked((entry("good"), entry("x")))
        await revoke(store, "r1", revocation("good"), revocation("x", not_before=-(2**63), until=2**63 - 1))
        assert await store.is_revoked((entry("good"),))


class RecordsConformance(_WithStore):
    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_a_record_is_found_as_it_was_stored(self, store: Store, outcome: Outcome) -> None:
        inputs: dict[str, JsonValue] = {
            "scope": ["a", "b"],
            "ünï\x00": {"deep": [None, True, False, -1, 2**53 - 1, 0.5, "\U0001f511\u2028"], "": {}},
        }
        kept = record("id-1", outcome=outcome, client_id="ägent", reason="revoked", lineage="root", inputs=inputs)
        await store.append(kept)
        assert await store.find("id-1") == kept
        assert await store.find("id-2") is None

    async def test_the_record_of_commit_and_of_revoke_is_found(self, store: Store) -> None:
        await commit(store, "r1", "v")
        await revoke(store, "r2", revocation("root"))
        assert await store.find("r1") == record("r1")
        assert await store.find("r2") == record("r2", outcome=Outcome.REVOKED)

    async def test_odd_texts_come_back(self, store: Store) -> None:
        for n, text in enumerate(ODD_TEXTS):
            kept = record(text, at=n, client_id=text, reason=text, lineage=text, inputs={text: text})
            await store.append(kept)
            assert await store.find(text) == kept

    async def test_a_caller_cannot_change_a_record_afterwards(self, store: Store) -> None:
        scopes: list[JsonValue] = ["read"]
        await store.append(record("r1", inputs={"scope": scopes}))
        scopes.append("write")
        found = await store.find("r1")
        assert found is not None
        assert found.inputs == {"scope": ["read"]}

    async def test_a_record_is_never_rewritten(self, store: Store) -> None:
        await store.append(record("r1"))
        changed = record("r1", client_id="mallory")

        with pytest.raises(ValueError, match="stands already"):
            await store.append(changed)
        with pytest.raises(ValueError, match="stands already"):
            await store.commit(claims=(claim("v"),), unless_revoked=(), record=changed, now=NOW)
        with pytest.raises(ValueError, match="stands already"):
            await store.revoke(revocations=(revocation("root"),), record=changed)

        assert await store.find("r1") == record("r1")
        assert not await store.is_revoked((entry("root"),))
        assert await commit(store, "r2", "v") is Committed.STORED

    async def test_racing_records_of_one_id_keep_exactly_one_and_disturb_nobody(self, store: Store) -> None:
        answers = await asyncio.gather(
            *(store.append(record("same", client_id=f"c{n}")) for n in range(100)),
            *(commit(store, f"r{n}", f"v{n}") for n in range(100)),
            return_exceptions=True,
        )

        kept = [n for n, answer in enumerate(answers[:100]) if answer is None]
        assert len(kept) == 1
        assert await store.find("same") == record("same", client_id=f"c{kept[0]}")
        assert answers[100:] == [Committed.STORED] * 100

    @pytest.mark.parametrize("bad", [float("nan"), 2**53, b"bytes", "\ud800", {1, 2}])
    async def test_inputs_that_could_not_be_read_back_are_refused(self, store: Store, bad: JsonValue) -> None:
        with pytest.raises(ValueError, match="not JSON"):
            await store.append(record("r1", inputs={"a": bad}))
        await store.append(record("r1", inputs={"a": 2**53 - 1}))
        assert await store.find("r1") == record("r1", inputs={"a": 2**53 - 1})

    async def test_texts_that_no_store_holds_are_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="surrogate"):
            await store.append(record("r1", client_id="\ud800"))
        with pytest.raises(ValueError, match="surrogate"):
            await store.find("\ud800")
        assert await store.find("r1") is None


class ListingConformance(_WithStore):
    async def test_records_are_listed_as_they_came(self, store: Store) -> None:
        assert await store.list_records(after=None, limit=10) == ()
        await store.append(record("r1", at=NOW + 9, reason="replayed", inputs={"a": [1]}))
        await commit(store, "r2", "v")
        await revoke(store, "r3", revocation("root"))
        await commit(store, "r4", "v")  # replayed: no record

        listed = await store.list_records(after=None, limit=10)

        assert [each.record.id for each in listed] == ["r1", "r2", "r3"]
        assert [each.record for each in listed] == [await store.find(each.record.id) for each in listed]
        assert sorted(listed, key=lambda each: each.position) == list(listed)
        assert len({each.position for each in listed}) == 3

    async def test_a_listing_goes_on_where_it_was(self, store: Store) -> None:
        for n in range(7):
            await store.append(record(f"r{n}"))

        pages: list[tuple[ListedRecord, ...]] = []
        after = None
        while page := await store.list_records(after=after, limit=3):
            pages.append(page)
            after = page[-1].position

        assert [[each.record.id for each in page] for page in pages] == [["r0", "r1", "r2"], ["r3", "r4", "r5"], ["r6"]]
        await store.append(record("r7"))
        assert [each.record.id for each in await store.list_records(after=after, limit=3)] == ["r7"]

    async def test_the_newest_are_listed_oldest_first(self, store: Store) -> None:
        for n in range(5):
            await store.append(record(f"r{n}"))

        everything = await store.list_records(after=None, limit=10)
        assert await store.list_records(after=None, limit=2, newest=True) == everything[3:]
        assert await store.list_records(after=None, limit=10, newest=True) == everything
        assert await store.list_records(after=everything[0].position, limit=2, newest=True) == everything[3:]
        assert await store.list_records(after=everything[3].position, limit=2, newest=True) == everything[4:]
        assert await store.list_records(after=everything[4].position, limit=2, newest=True) == ()

    async def test_a_reader_beside_racing_writers_misses_nothing_and_sees_nothing_twice(self, store: Store) -> None:
        read: list[str] = []

        async def follow() -> None:
            after = None
            while len(read) < 300:
                page = await store.list_records(after=after, limit=17)
                read.extend(each.record.id for each in page)
                after = page[-1].position if page else after
                await asyncio.sleep(0)

        async def write(lane: int) -> None:
            for n in range(30):
                assert await commit(store, f"r{lane}-{n}", f"v{lane}-{n}") is Committed.STORED
                await asyncio.sleep(0)

        await asyncio.gather(follow(), *(write(lane) for lane in range(10)))

        assert sorted(read) == sorted(f"r{lane}-{n}" for lane in range(10) for n in range(30))

    @pytest.mark.parametrize("after", ["", "x", "-1", "0", "9" * 20, "1" * 16 + "-" + "x" * 6, "\ud800"])
    async def test_a_position_that_no_store_gave_is_refused(self, store: Store, after: str) -> None:
        await store.append(record("r1"))
        with pytest.raises(ValueError, match=r"position|64 bits"):
            await store.list_records(after=after, limit=1)
        (listed,) = await store.list_records(after=None, limit=1)
        assert await store.list_records(after=listed.position, limit=1) == ()

    @pytest.mark.parametrize("limit", [0, -1, 2**63])
    async def test_a_limit_that_lists_nothing_is_refused(self, store: Store, limit: int) -> None:
        await store.append(record("r1"))
        with pytest.raises(ValueError, match=r"one record|64 bits"):
            await store.list_records(after=None, limit=limit)
        assert len(await store.list_records(after=None, limit=1)) == 1


class LifetimeConformance:
    async def test_a_store_answers_between_open_and_close_only(self, store_factory: StoreFactory) -> None:
        store = store_factory()
        await _require_unavailable(store)
        await store.open()
        await store.ping()
        assert await commit(store, "r1", "v") is Committed.STORED
        await store.close()
        await _require_unavailable(store)

    async def test_open_and_close_may_be_called_twice(self, store_factory: StoreFactory) -> None:
        store = store_factory()
        await store.close()
        await store.open()
        await store.open()
        await store.ping()
        await store.close()
        await store.close()

    async def test_a_closed_store_opens_again(self, store_factory: StoreFactory) -> None:
        store = store_factory()
        for _ in range(2):
            await store.open()
            await store.ping()
            await store.close()

    async def test_close_finishes_what_was_accepted(self, store_factory: StoreFactory) -> None:
        store = store_factory()
        await store.open()
        calls = [asyncio.ensure_future(commit(store, f"r{n}", f"v{n}")) for n in range(500)]
        await asyncio.sleep(0)  # each call is accepted now
        await asyncio.gather(store.close(), store.close())
        assert [call.done() and call.result() for call in calls] == [Committed.STORED] * 500


async def _require_unavailable(store: Store) -> None:
    for call in (
        store.ping(),
        commit(store, "r9", "v9"),
        revoke(store, "r9", revocation("root")),
        store.is_revoked((entry("root"),)),
        store.append(record("r9")),
        store.find("r9"),
        store.claim((claim("v9"),), now=NOW),
        store.note_of("v9"),
        store.list_records(after=None, limit=1),
    ):
        with pytest.raises(Unavailable):
            await call
