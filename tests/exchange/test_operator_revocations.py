"""Revocations of the other kinds, as an operator's tool stores them: user, actor, issuer, and the root of a lineage."""

import pytest

from tests.exchange.parties import IDP, ISSUER
from tests.exchange.world import World
from tests.simulator import NOW, USER
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.service import new_id
from tokensvc.ports import Outcome, Record

REVOKED = (OAuthError.INVALID_REQUEST, Reason.REVOKED)


async def store_revocation(world: World, kind: RevocationKind, name: str, *, not_before: int | None = None) -> None:
    record = Record(
        id=new_id(), at=world.clock.now, outcome=Outcome.REVOKED, client_id="op", reason=None, lineage=None, inputs={}
    )
    revocation = Revocation(kind=kind, id=name, not_before=not_before, until=None)
    await world.store.revoke(revocations=(revocation,), record=record)


async def test_a_root_takes_its_whole_lineage_with_it_and_no_other(world: World) -> None:
    tokens, other = await world.chain(), await world.start()
    await store_revocation(world, RevocationKind.ENTRY, world.read(tokens[0]).lineage)

    for token in tokens:
        assert not await world.is_active(token)
        assert await world.verdict(world.read(token).actor, world.renewal(token)) == REVOKED
    assert await world.is_active(other)


@pytest.mark.parametrize(
    ("kind", "name"), [(RevocationKind.USER, USER), (RevocationKind.ISSUER, ISSUER), (RevocationKind.ACTOR, "planner")]
)
async def test_what_is_revoked_up_to_a_moment_starts_afresh_after_it(
    world: World, kind: RevocationKind, name: str
) -> None:
    tokens = await world.chain()
    await store_revocation(world, kind, name, not_before=NOW)

    for token in tokens:
        assert not await world.is_active(token)
        assert await world.verdict(world.read(token).actor, world.renewal(token)) == REVOKED
    # A renewal does not escape by its own younger iat.
    world.clock.now += 100
    assert await world.verdict("fetcher", world.renewal(tokens[2])) == REVOKED
    assert await world.is_active(await world.renew(await world.start()))


@pytest.mark.parametrize(("kind", "name"), [(RevocationKind.USER, USER), (RevocationKind.ISSUER, IDP)])
async def test_a_users_token_from_before_the_revocation_starts_nothing_after_it(
    world: World, kind: RevocationKind, name: str
) -> None:
    await store_revocation(world, kind, name, not_before=NOW)
    world.clock.now += 100

    assert await world.verdict("planner", world.starting(world.user_token(iat=NOW))) == REVOKED
    assert await world.verdict("planner", world.starting(world.user_token(iat=NOW + 1))) is None
    assert await world.verdict("planner", world.starting(world.user_token(iat=NOW + 1, sub="user-2"))) is None


@pytest.mark.parametrize(("kind", "name"), [(RevocationKind.USER, USER), (RevocationKind.ISSUER, IDP)])
async def test_a_users_token_that_is_revoked_while_it_is_exchanged_starts_nothing(
    world: World, kind: RevocationKind, name: str
) -> None:
    async def revoke_before_commit(call: str) -> None:
        if call == "commit":
            world.store.before = None
            # The root would be younger than the revocation; the user's token is not.
            await store_revocation(world, kind, name, not_before=NOW - 5)

    world.store.before = revoke_before_commit

    assert await world.verdict("planner", world.starting(world.user_token(iat=NOW - 10))) == REVOKED
    assert await world.verdict("planner", world.starting(world.user_token(iat=NOW - 4))) is None


async def test_an_actor_that_is_revoked_gets_no_hop_of_that_moment(world: World) -> None:
    first = await world.start()
    await store_revocation(world, RevocationKind.ACTOR, "researcher", not_before=NOW + 30)

    assert await world.verdict("planner", world.delegation(first)) == REVOKED
    assert await world.verdict("planner", world.renewal(first)) is None
    world.clock.now += 31
    assert await world.verdict("planner", world.delegation(first)) is None


async def test_the_user_of_one_chain_revoked_leaves_the_others_alone(world: World) -> None:
    first = await world.start()
    other = await world.exchange("planner", world.starting(world.user_token(sub="user-2")))
    await store_revocation(world, RevocationKind.USER, USER, not_before=NOW)

    assert not await world.is_active(first)
    assert await world.is_active(other.access_token)
