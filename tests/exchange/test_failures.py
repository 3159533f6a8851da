"""When the store or the signer fails: Unavailable, nothing released, and all is well once they are back."""

from dataclasses import replace

import pytest

from tests.exchange.parties import CRM
from tests.exchange.world import FixedSigner, World, make_world
from tests.simulator import ec_key
from tokensvc.core.jws import SigningKey
from tokensvc.errors import OAuthError, OAuthRefused, Reason, Unavailable
from tokensvc.exchange.request import Form
from tokensvc.ports import Committed, OneTimeValue, Outcome

# The calls of the store that each kind of request makes, in order.
CALLS = {
    "start": ["is_revoked", "commit"],
    "delegate": ["is_revoked", "commit"],
    "narrow": ["is_revoked", "commit"],
    "renew": ["is_revoked", "commit"],
    "refused early": ["append"],
    "refused late": ["is_revoked", "append"],
}


async def request_of(world: World, kind: str) -> Form:
    first = await world.start()
    requests = {
        "start": world.starting(),
        "delegate": world.delegation(first),
        "narrow": world.renewal(first, scope="crm.read"),
        "renew": world.renewal(first),
        "refused early": world.starting(delegation_grant="x"),
        "refused late": world.delegation(first, scope="crm.delete"),
    }
    return requests[kind]


@pytest.mark.parametrize("kind", CALLS)
async def test_each_request_asks_the_store_what_it_must(world: World, kind: str) -> None:
    request = await request_of(world, kind)
    world.store.calls.clear()

    await world.verdict("planner", request)

    assert world.store.calls == CALLS[kind]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("kind", "number"), [(kind, n) for kind, calls in CALLS.items() for n in range(len(calls))])
async def test_a_store_that_fails_at_any_call_releases_nothing(
    world: World, kind: str, number: int, *, late: bool
) -> None:
    request = await request_of(world, kind)
    records = list(world.store.records)
    world.store.fails_at, world.store.fails_late = len(world.store.calls) + number, late

    with pytest.raises(Unavailable) as caught:
        await world.exchange("planner", request)

    assert "store" in caught.value.description
    assert world.store.records == records
    world.store.fails_at = None
    expected = await (await make_world()).verdict("planner", await request_of(await make_world(), kind))
    assert await world.verdict("planner", request) == expected


async def test_a_store_that_is_closed_releases_nothing(world: World) -> None:
    first = await world.start()
    await world.store.close()
    for request in (world.starting(), world.renewal(first), world.starting(delegation_grant="x")):
        with pytest.raises(Unavailable):
            await world.exchange("planner", request)
    with pytest.raises(Unavailable):
        await world.introspect(first, "planner")
    with pytest.raises(Unavailable):
        await world.revoke(first, "planner")

    # Whom a token does not concern learns nothing, not even that.
    assert await world.introspect(first, "crm-api") == {"active": False}
    await world.store.open()
    assert await world.is_active(first)


async def test_a_refusal_that_could_not_be_recorded_is_not_answered(world: World) -> None:
    first = await world.start()
    world.store.fails_at = len(world.store.calls)
    with pytest.raises(Unavailable):
        await world.revoke(first, "mailer")

    world.store.fails_at = len(world.store.calls)
    with pytest.raises(Unavailable):
        await world.exchange("planner", world.starting(delegation_grant="x"))


async def test_a_revocation_that_was_not_stored_is_not_acknowledged(world: World) -> None:
    first = await world.start()
    world.store.fails_at = len(world.store.calls)
    with pytest.raises(Unavailable):
        await world.revoke(first, "planner")
    assert await world.is_active(first)

    await world.revoke(first, "planner")
    assert not await world.is_active(first)


async def test_a_revocation_between_the_check_and_the_release_is_not_overtaken(world: World) -> None:
    first = await world.start()

    async def revoke_before_commit(call: str) -> None:
        if call == "commit":
            world.store.before = None
            await world.revoke(first, "planner")

    for request in (world.delegation(first), world.renewal(first), world.renewal(first, scope="crm.read")):
        world.store.before = revoke_before_commit
        assert await world.verdict("planner", request) == (OAuthError.INVALID_REQUEST, Reason.REVOKED)
    assert world.store.records[-1].outcome is Outcome.REFUSED
    assert not [record for record in world.store.records[1:] if record.outcome is Outcome.GRANTED]


async def test_an_entry_whose_id_was_used_before_is_not_released(world: World) -> None:
    first = await world.start()
    inner = world.store.inner

    class Forgetful:
        """A store that was given every value once already."""

        async def commit(self, *, claims: tuple[OneTimeValue, ...], **rest: object) -> Committed:
            record = replace(world.store.records[0], id="x" * 22)
            now = world.clock.now
            assert await inner.commit(claims=claims, unless_revoked=(), record=record, now=now) is Committed.STORED
            return await inner.commit(claims=claims, **rest)  # type: ignore[arg-type] # the rest of the call as it is

        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

    world.store.inner = Forgetful()  # type: ignore[assignment] # the other calls go to the store itself
    verdict = await world.verdict("planner", world.delegation(first))

    assert verdict == (OAuthError.INVALID_REQUEST, Reason.REPLAYED)
    world.store.inner = inner
    assert await world.verdict("planner", world.delegation(first)) is None


class HalfSigner(FixedSigner):
    """Its private key is not the one its public key says."""

    def signing_key(self) -> SigningKey:
        return replace(ec_key("other"), public=ec_key("service").public)


async def test_a_product_that_the_public_verifier_refuses_is_never_released(world: World) -> None:
    first = await world.start()
    broken = replace(world, signer=HalfSigner(ec_key("service")))
    records = list(world.store.records)
    for request in (world.starting(), world.delegation(first), world.renewal(first)):
        with pytest.raises(Unavailable) as caught:
            await broken.exchange("planner", request)
        assert "bad_signature" in caught.value.description

    assert world.store.records == records
    assert await world.verdict("planner", world.delegation(first)) is None


class SilentSigner(FixedSigner):
    """Cannot reach its keys."""

    def signing_key(self) -> SigningKey:
        raise Unavailable("the keys are away")


async def test_a_signer_that_cannot_answer_releases_nothing(world: World) -> None:
    silent = replace(world, signer=SilentSigner(ec_key("service")))
    with pytest.raises(Unavailable):
        await silent.exchange("planner", world.starting())

    assert world.store.records == []
    refusal = await silent.refused("planner", world.starting(scope="crm.delete", resource=CRM))
    assert isinstance(refusal, OAuthRefused)
