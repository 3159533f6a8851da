"""The Redis store on a healthy server: the contract, and what is its own."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings

from tests.storage.conformance import (
    DAY,
    NOW,
    RULE,
    ClaimsConformance,
    LifetimeConformance,
    ListingConformance,
    MakingConformance,
    RecordsConformance,
    RepeatsConformance,
    RevocationsConformance,
    StoreFactory,
    claim,
    commit,
    entry,
    grant,
    record,
    revocation,
    revoke,
)
from tests.storage.model import Script, play, scripts
from tests.storage.redis_server import RedisServer
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.redis import RedisStore
from tokensvc.storage.redis_link import Link
from tokensvc.storage.redis_steps import Step

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), "--save", "") as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """Of a store that nobody has used: to empty the server is a loss, not a fresh start."""
    return f"store-{next(_numbers)}"


@pytest.fixture
def store_factory(server: RedisServer) -> StoreFactory:
    return lambda: RedisStore(server.address, RULE, prefix=f"store-{next(_numbers)}")


@pytest.fixture
async def store(server: RedisServer, prefix: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(server.address, RULE, prefix=prefix)
    await store.open()
    yield store
    await store.close()


class TestClaims(ClaimsConformance): ...


class TestRepeats(RepeatsConformance): ...


class TestRevocations(RevocationsConformance): ...


class TestRecords(RecordsConformance): ...


class TestMaking(MakingConformance): ...


class TestListing(ListingConformance): ...


class TestLifetime(LifetimeConformance): ...


def calls_of_scripts(server: RedisServer) -> int:
    return int(server.command("INFO", "commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


@settings(max_examples=100)
@given(script=scripts)
def test_it_answers_as_the_memory_store_does(server: RedisServer, script: Script) -> None:
    store = RedisStore(server.address, RULE, prefix=f"store-{next(_numbers)}")
    assert asyncio.run(play(store, script)) == asyncio.run(play(MemoryStore(RULE), script))


async def test_steps_of_one_moment_share_a_call(store: RedisStore, server: RedisServer) -> None:
    before = calls_of_scripts(server)
    for n in range(20):
        await commit(store, f"one-{n}", f"one-{n}")
    alone = calls_of_scripts(server) - before
    await asyncio.gather(*(commit(store, f"many-{n}", f"many-{n}") for n in range(200)))
    together = calls_of_scripts(server) - before - alone

    assert alone == 20
    assert together == 1


async def test_two_stores_on_one_server_see_each_other(store: RedisStore, server: RedisServer, prefix: str) -> None:
    second = RedisStore(server.address, RULE, prefix=prefix)
    await second.open()
    await revoke(store, "r1", revocation("root"))
    assert await second.is_revoked((entry("root"),))
    assert await commit(second, "r2", "v", unless=[entry("root")]) is Committed.REVOKED
    assert await commit(second, "r2", "v") is Committed.STORED
    await second.close()
    assert await commit(store, "r3", "v") is Committed.REPLAYED


async def test_two_stores_racing_for_the_same_values_never_share_one(
    store: RedisStore, server: RedisServer, prefix: str
) -> None:
    second = RedisStore(server.address, RULE, prefix=prefix)
    await second.open()

    async def race(mine: RedisStore, name: str) -> set[str]:
        values = [f"v{n}" for n in range(300)]
        answers = await asyncio.gather(*(commit(mine, f"{name}-{value}", value) for value in values))
        return {value for value, answer in zip(values, answers, strict=True) if answer is Committed.STORED}

    first_won, second_won = await asyncio.gather(race(store, "a"), race(second, "b"))

    assert not first_won & second_won
    assert first_won | second_won == {f"v{n}" for n in range(300)}
    await second.close()


async def test_redis_forgets_a_claim_only_after_the_service_has(
    store: RedisStore, server: RedisServer, prefix: str
) -> None:
    claims = (claim("short", until=NOW + 60), claim("past", until=NOW - 9000), claim("for-ever", until=2**62))
    await store.claim(claims, now=NOW)
    rests = {name: server.command("TTL", f"{{{prefix}}}:claim:{name}") for name in ("short", "past", "for-ever")}

    assert DAY + 50 < rests["short"] <= DAY + 60
    assert DAY - 10 < rests["past"] <= DAY
    assert rests["for-ever"] == -1


async def test_the_margin_does_not_make_a_claim_live_longer(store: RedisStore) -> None:
    await store.claim((claim("v", until=NOW + 60),), now=NOW)
    assert await store.claim((claim("v", until=NOW + 60),), now=NOW + 60) is Committed.REPLAYED
    assert await store.claim((claim("v", until=NOW + 90),), now=NOW + 61) is Committed.STORED


async def test_expired_revocations_are_forgotten_a_bounded_number_at_a_time(
    store: RedisStore, server: RedisServer, prefix: str
) -> None:
    await revoke(store, "r1", *(revocation(f"e{n}", until=NOW) for n in range(250)), revocation("for-ever"))
    left = []
    for n, now in enumerate((NOW + DAY, *[NOW + DAY + 1] * 3)):
        await commit(store, f"c{n}", now=now)
        left.append(server.command("HLEN", f"{{{prefix}}}:revocations"))
    # And the one of the making.
    assert left == [252, 152, 52, 2]
    assert await store.is_revoked((entry("for-ever"),))


async def test_all_keys_lie_in_one_slot(store: RedisStore, server: RedisServer, prefix: str) -> None:
    await revoke(store, "r1", revocation("root", until=NOW + 9))
    await commit(store, "r2", "}v{")
    keys = server.command("KEYS", f"{{{prefix}}}:*")
    assert len(keys) == 7
    assert all(key.startswith(f"{{{prefix}}}:".encode()) for key in keys)


async def test_a_cancelled_caller_disturbs_nobody(store: RedisStore) -> None:
    calls = [asyncio.ensure_future(commit(store, f"r{n}", f"v{n}")) for n in range(100)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert answers[1::2] == [Committed.STORED] * 50
    assert await commit(store, "r100", "v100") is Committed.STORED


async def test_a_full_queue_is_refused_at_once_and_drains(server: RedisServer, prefix: str) -> None:
    store = RedisStore(server.address, RULE, prefix=prefix, capacity=10)
    await store.open()
    answers = await asyncio.gather(*(commit(store, f"r{n}", f"v{n}") for n in range(30)), return_exceptions=True)
    assert sum(isinstance(answer, Unavailable) for answer in answers) == 20
    assert answers.count(Committed.STORED) == 10
    assert await commit(store, "r30", "v30") is Committed.STORED
    await store.close()


async def test_a_server_that_forgot_the_script_learns_it_again(store: RedisStore, server: RedisServer) -> None:
    assert await commit(store, "r1", "v") is Committed.STORED
    server.command("SCRIPT", "FLUSH")
    assert await commit(store, "r2", "v") is Committed.REPLAYED
    assert await commit(store, "r2", "w") is Committed.STORED


async def test_a_record_that_somebody_else_wrote_is_unavailable(
    store: RedisStore, server: RedisServer, prefix: str
) -> None:
    await store.append(record("r1"))
    for broken in ({"outcome": "maybe"}, {"inputs": "[NaN"}, {"at": "soon"}, {"client_id": b"\xff"}):
        fields = {"id": "r2", "at": "1", "outcome": "granted", "client_id": "c", "reason": "", "lineage": ""}
        written: dict[str, str | bytes] = {**fields, "inputs": "{}", **broken}
        position = server.command("XADD", f"{{{prefix}}}:records", "*", *itertools.chain(*written.items()))
        server.command("HSET", f"{{{prefix}}}:index", "r2", position)
        with pytest.raises(Unavailable):
            await store.find("r2")
        with pytest.raises(Unavailable):
            await store.list_records(after=None, limit=9)
        server.command("XDEL", f"{{{prefix}}}:records", position)
    assert await store.find("r2") is None
    assert await store.find("r1") == record("r1")


async def test_a_claim_that_somebody_else_wrote_is_unavailable(
    store: RedisStore, server: RedisServer, prefix: str
) -> None:
    name = f"{{{prefix}}}:claim:v"
    server.command("SET", name, b"1 =\xff")
    with pytest.raises(Unavailable, match="note"):
        await store.note_of("v")
    for unreadable in (b"soon =note", b"9999999999", b"", b" ~note"):
        server.command("SET", name, unreadable)
        for value in (claim("v"), grant("v", "note")):
            with pytest.raises(Unavailable):
                await store.claim((value,), now=NOW)
    server.command("DEL", name)
    assert await store.claim((claim("v", note="note"),), now=NOW) is Committed.STORED
    assert await store.note_of("v") == "note"


async def test_an_answer_that_means_nothing_lets_nobody_wait_for_ever(server: RedisServer, prefix: str) -> None:
    async def nothing_to_check() -> None: ...

    link = Link(
        server.address,
        RULE,
        prefix=prefix,
        timeout_s=9,
        capacity=9,
        check=nothing_to_check,
        when_lost=lambda: None,
    )
    await link.make()
    answers = await asyncio.gather(
        link.ask(Step(arguments=("ping",), answer=lambda reply: reply)),
        link.ask(Step(arguments=("ping",), answer=lambda reply: reply.none_of_ours)),
        link.ask(Step(arguments=("ping",), answer=lambda reply: reply)),
        return_exceptions=True,
    )
    assert [answers[0], answers[2]] == [b"alive", b"alive"]
    assert isinstance(answers[1], Unavailable)
    await link.close()


@pytest.mark.parametrize("key", ["state", "marks", "revocations", "records", "index", "claim:v"])
async def test_a_key_of_another_kind_is_unavailable_until_it_is_mended(
    store: RedisStore, server: RedisServer, prefix: str, key: str
) -> None:
    await commit(store, "r1", "v")
    name = f"{{{prefix}}}:{key}"
    server.command("RENAME", name, "kept")
    server.command("SADD", name, "x")
    with pytest.raises(Unavailable, match="WRONGTYPE"):
        await commit(store, "r2", "v" if key == "claim:v" else "w", unless=[entry("root")])
    server.command("RENAME", "kept", name)
    assert await store.find("r2") is None
    assert await commit(store, "r2", "v", unless=[entry("root")]) is Committed.REPLAYED
    assert await commit(store, "r2", "x", unless=[entry("root")]) is Committed.STORED


async def test_a_store_opened_again_remembers(server: RedisServer, prefix: str) -> None:
    moments = iter(range(NOW, NOW + 1000, 100))
    store = RedisStore(server.address, replace(RULE, clock=lambda: next(moments)), prefix=prefix)
    await store.open()
    await commit(store, "r1", "v")
    await store.close()
    await store.open()
    assert await commit(store, "r2", "v") is Committed.REPLAYED
    assert await commit(store, "r2", "w") is Committed.STORED
    await store.close()
