"""Revocations by an operator: a root or hop, a user, an actor, an issuer or identity provider, a key."""

import pytest

from tests.exchange.parties import IDP, ISSUER
from tests.exchange.world import World
from tests.simulator import NOW, USER
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.operate import OperatorService
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


def operator(world: World) -> OperatorService:
    return OperatorService(terms=world.terms, store=world.store, clock=world.clock)


async def test_a_root_takes_every_further_start_from_the_same_user_token_with_it(world: World) -> None:
    user_token = world.user_token()
    root = world.read((await world.exchange("planner", world.starting(user_token))).access_token).lineage
    await operator(world).revoke("entry", root, operator="ops")

    assert await world.verdict("planner", world.starting(user_token)) == REVOKED
    assert await world.verdict("planner", world.starting(world.user_token(jti="another login"))) is None


async def test_a_hop_takes_what_is_below_it_and_bars_no_start(world: World) -> None:
    first, second, third = await world.chain()
    hop = world.read(second).chain.hops[1].jti
    await operator(world).revoke("entry", hop, operator="ops")

    assert [await world.is_active(token) for token in (first, second, third)] == [True, False, False]
    assert await world.verdict("planner", world.starting()) is None


async def test_an_identity_provider_takes_the_chains_of_its_users_with_it(world: World) -> None:
    token = await world.start()
    revoked = await operator(world).revoke("issuer", IDP, operator="ops")

    assert not await world.is_active(token)
    assert await world.verdict("planner", world.renewal(token)) == REVOKED
    assert revoked.not_before == world.clock.now + world.terms.leeway_s
    world.clock.now += world.terms.leeway_s + 11
    assert await world.is_active(await world.start())


@pytest.mark.parametrize(("kind", "name"), [("user", USER), ("actor", "planner"), ("issuer", ISSUER)])
async def test_up_to_a_moment_ahead_of_every_clock_within_the_leeway(world: World, kind: str, name: str) -> None:
    token = await world.start()
    revoked = await operator(world).revoke(kind, name, operator="ops")

    assert not await world.is_active(token)
    assert revoked.not_before == world.clock.now + world.terms.leeway_s
    world.clock.now += world.terms.leeway_s
    assert await world.verdict("planner", world.starting()) == REVOKED
    # The user's own token is made 10 s before it is exchanged here.
    world.clock.now += 11
    assert await world.is_active(await world.start())


async def test_it_is_recorded_with_who_asked(world: World) -> None:
    root = world.read(await world.start()).lineage
    revoked = await operator(world).revoke("entry", root, operator="ops")

    record = await world.store.find(revoked.record)
    assert record is not None
    assert (record.outcome, record.client_id, record.lineage) == (Outcome.REVOKED, "ops", root)
    assert record.inputs == {
        "configuration": "c0ffee",
        "revoked": {"kind": "entry", "id": root, "not_before": None},
    }


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        ("token", USER, ("user", USER)),
        ("subject_token", "0" * 64, ("user", USER)),
        ("Entry", "A" * 22, ("entry", "A" * 22)),
        ("entry", "A" * 21, ("entry", "A" * 22)),
        ("key", "A" * 42, ("key", "A" * 43)),
        ("user", "", ("user", USER)),
        ("user", "x" * 16_385, ("user", "x" * 16_384)),
    ],
)
async def test_what_is_no_kind_or_no_name_is_refused_and_changes_nothing(
    world: World, kind: str, name: str, good: tuple[str, str]
) -> None:
    with pytest.raises(OAuthRefused) as caught:
        await operator(world).revoke(kind, name, operator="ops")

    assert caught.value.reason is Reason.PARAMETER_INVALID
    assert world.store.calls == []
    assert (await operator(world).revoke(*good, operator="ops")).id == good[1]


@pytest.mark.parametrize("sub", ["al\u00a0ice", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "a\nb", "x" * 1100])
async def test_whoever_can_start_can_be_revoked(world: World, sub: str) -> None:
    start = world.starting(world.user_token(sub=sub))
    token = (await world.exchange("planner", start)).access_token
    assert await world.is_active(token)
    await operator(world).revoke("user", sub, operator="ops")

    assert not await world.is_active(token)
