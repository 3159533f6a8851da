import gc
import weakref
from dataclasses import replace

import pytest

from tests.storage.conformance import (
    DAY,
    ISSUER,
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
    chain_from,
    claim,
    commit,
    revocation,
    revoke,
)
from tokensvc.ports import Committed
from tokensvc.storage.memory import MemoryStore


@pytest.fixture
def store_factory() -> StoreFactory:
    return lambda: MemoryStore(RULE)


class TestClaims(ClaimsConformance): ...


class TestRepeats(RepeatsConformance): ...


class TestRevocations(RevocationsConformance): ...


class TestRecords(RecordsConformance): ...


class TestMaking(MakingConformance): ...


class TestListing(ListingConformance): ...


class TestLifetime(LifetimeConformance): ...


class _Text(str):
    """A text that tells when it is gone (plain str takes no weak references)."""

    __slots__ = ("__weakref__",)


async def test_without_a_rule_nothing_is_declared_dead() -> None:
    store = MemoryStore()
    await store.open()
    assert not await store.is_revoked(chain_from(ISSUER, NOW - 1))
    assert await store.claim((claim("v", made=0),), now=NOW) is Committed.STORED


async def test_a_memory_opened_again_is_not_made_anew() -> None:
    moments = iter([NOW, NOW + 100])
    store = MemoryStore(replace(RULE, clock=lambda: next(moments)))
    for _ in range(2):
        await store.open()
        assert not await store.is_revoked(chain_from(ISSUER, NOW))
        await store.close()


async def test_expired_claims_and_revocations_give_their_memory_back() -> None:
    store = MemoryStore()
    await store.open()
    texts = [_Text(f"text-{n}") for n in range(4)]
    await commit(store, "r1", texts[0], now=NOW)
    await commit(store, "r2", texts[1], now=NOW + 5000)
    await revoke(store, "r3", revocation(texts[2], until=NOW), revocation(texts[3], until=None))
    is_held = [weakref.ref(text) for text in texts]
    del texts

    for n in range(30):
        await commit(store, f"c{n}", *(f"v{n}-{m}" for m in range(100)), now=NOW + DAY + 1000 + n)
    gc.collect()

    assert [held() is not None for held in is_held] == [False, True, False, True]
