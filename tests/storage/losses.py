"""A loss, whichever store it befalls: the steps that may come first, and what holds afterwards."""

from typing import Final

from tests.storage.conformance import (
    IDP,
    ISSUER,
    LEEWAY,
    NOW,
    chain_from,
    claim,
    commit,
    grant,
    record,
    revocation,
    revoke,
)
from tokensvc.ports import Committed, Store

__all__ = ["DEAD_TO", "LOST", "STEPS", "require_lost", "require_whole", "take_step"]

LOST: Final = NOW + 1000
"""When it is noticed."""

DEAD_TO: Final = LOST + LEEWAY
"""The last moment whose chains and values are dead by it."""

STEPS: Final = ("commit", "claim", "revoke", "append", "ask", "find", "note", "list", "ping")


async def take_step(store: Store, step: str) -> None:
    """One call after a loss of everything but r1 and v1; its answer is already that of a store that has forgotten."""
    match step:
        case "commit":
            assert await commit(store, "r9", "v9", unless=chain_from(ISSUER, NOW)) is Committed.REVOKED
        case "claim":
            assert await store.claim((claim("v9", made=NOW),), now=LOST) is Committed.REPLAYED
        case "revoke":
            await revoke(store, "r9", revocation("other"))
        case "append":
            await store.append(record("r9"))
        case "ask":
            assert await store.is_revoked(chain_from(IDP, NOW))
        case "find":
            assert await store.find("r2") is None
        case "note":
            assert await store.note_of("v2") is None
        case "list":
            assert "r2" not in [each.record.id for each in await store.list_records(after=None, limit=9)]
        case _:
            await store.ping()


async def require_lost(store: Store) -> None:
    """The store declares dead whatever it could have forgotten by `LOST`, and nothing else."""
    assert await commit(store, "r-lost", "lost", unless=chain_from(ISSUER, DEAD_TO)) is Committed.REVOKED
    for iss in (ISSUER, IDP):
        assert await store.is_revoked(chain_from(iss, DEAD_TO))
        assert not await store.is_revoked(chain_from(iss, DEAD_TO + 1))
    assert await store.claim((claim("old", made=DEAD_TO, until=LOST),), now=LOST) is Committed.REPLAYED
    assert await store.claim((claim("old", made=DEAD_TO + 1, until=LOST),), now=LOST) is Committed.STORED
    # Whether it is a retry cannot be told any more.
    assert await store.claim((grant("retry", "hash", made=DEAD_TO),), now=LOST) is Committed.REPLAYED
    for _ in range(2):
        assert await store.claim((grant("retry", "hash", made=DEAD_TO + 1),), now=LOST) is Committed.STORED


async def require_whole(store: Store) -> None:
    """The store trusts what was issued since it was made."""
    for iss in (ISSUER, IDP):
        assert not await store.is_revoked(chain_from(iss, NOW))
