"""A grant is revoked by the agent that signed it, redeemed or not; and nobody ends another's hop by signing one."""

from dataclasses import replace
from typing import Any

import pytest

from tests.exchange.grants import Draft, Site
from tests.exchange.parties import ISSUER
from tests.simulator import b64, ec_key, ed_key, jti, seal
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.operate import OperatorService
from tokensvc.exchange.parties import Operator
from tokensvc.exchange.revoke import RevocationService
from tokensvc.ports import Outcome

REVOKED = (OAuthError.INVALID_REQUEST, Reason.REVOKED)
HOUR = 3600


@pytest.fixture
async def site() -> Site:
    return await Site.make()


async def is_revoked(site: Site, jti: str) -> bool:
    entry = Revocable(kind=RevocationKind.ENTRY, id=jti, iat=site.world.clock.now)
    return await site.world.store.is_revoked((entry,))


async def refusal_of(site: Site, grant: Draft | str, client: str, **options: Any) -> OAuthRefused:  # noqa: ANN401 - hop
    text = grant if isinstance(grant, str) else grant.text()
    with pytest.raises(OAuthRefused) as caught:
        await site.world.revoke(text, client, **options)
    assert site.world.store.records[-1].outcome is Outcome.REFUSED
    assert caught.value.record == site.world.store.records[-1].id
    return caught.value


async def test_a_grant_that_was_revoked_is_not_redeemed(site: Site) -> None:
    draft, control = site.draft(), site.draft()
    await site.world.revoke(draft.text(), "planner")
    record = site.world.store.records[-1]
    assert (record.outcome, record.client_id, record.lineage) == (
        Outcome.REVOKED,
        "planner",
        draft.payload["root"],
    )
    assert not any(part in str(record.inputs) for part in draft.text().split("."))
    for client in ("planner", "researcher"):
        assert await site.world.verdict(client, site.form(draft), site.proof(client)) == REVOKED
    assert await site.verdicts(control) == (None, None)


async def test_a_grant_that_was_redeemed_takes_all_below_it_along(site: Site) -> None:
    draft = site.draft()
    below = await site.handed_on(draft)
    lower = await below.handed_on(below.draft("fetcher"))
    control = await site.handed_on(site.draft())
    assert await site.world.is_active(lower.token)

    await site.world.revoke(draft.text(), "planner")

    for each, alive in ((below, False), (lower, False), (control, True), (site, True)):
        assert await site.world.is_active(each.token) is alive
    # The same again changes nothing.
    await site.world.revoke(draft.text(), "planner")


async def test_only_its_signer_revokes_a_grant(site: Site) -> None:
    draft = site.draft()
    for client in ("researcher", "fetcher", "crm-api"):
        refusal = await refusal_of(site, draft, client)
        assert (refusal.error, refusal.reason) == (OAuthError.UNAUTHORIZED_CLIENT, None)
    assert await site.verdicts(draft) == (None, None)
    await site.world.revoke(draft.text(), "planner")
    assert await is_revoked(site, draft.jti)


async def test_nobody_ends_another_s_hop_by_its_id(site: Site) -> None:
    """fetcher signs what it likes; ids of others are in every token that it sees."""
    below = await site.handed_on(site.draft())
    chain = site.world.read(below.token).chain
    for entry in chain.entry_ids:
        forged = below.draft("mailer", iss="fetcher", jti=entry).text()
        refusal = await refusal_of(
            site, replace(below.draft("mailer", iss="fetcher"), key=ec_key("own")).but(jti=entry), "fetcher"
        )
        assert (refusal.error, refusal.reason) == (OAuthError.INVALID_REQUEST, Reason.REPLAYED)
        await refusal_of(site, forged, "fetcher")
        assert not await is_revoked(site, entry)
    assert await site.world.is_active(below.token)
    free = replace(below.draft("mailer", iss="fetcher"), key=ec_key("own"))
    await site.world.revoke(free.text(), "fetcher")
    assert await is_revoked(site, free.jti)


async def test_another_payload_under_the_id_of_a_grant_revokes_nothing(site: Site) -> None:
    draft = site.draft()
    await site.delegate(draft)
    refusal = await refusal_of(site, draft.but(scope="crm.read"), "planner")
    assert refusal.reason is Reason.REPLAYED
    assert not await is_revoked(site, draft.jti)
    await site.world.revoke(draft.text(), "planner")
    assert await is_revoked(site, draft.jti)


UNUSABLE: dict[str, Any] = {
    "another token service": lambda draft: draft.but(aud="https://other.example"),
    "no member iss": lambda draft: Draft(
        payload={name: value for name, value in draft.payload.items() if name != "iss"}, key=draft.key
    ),
    "a far end": lambda draft: draft.but(exp=draft.payload["iat"] + 9 * HOUR),
    "the end of time": lambda draft: draft.but(exp=2**53 - 1),
    "a kid": lambda draft: replace(draft, header={"kid": "planner"}),
    "another jwk": lambda draft: replace(draft, header={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}),
    "a long header": lambda draft: replace(draft, header={"x": "A" * 600}),
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_what_is_no_grant_of_ours_is_answered_like_a_success(site: Site, name: str) -> None:
    draft = site.draft()
    records = len(site.world.store.records)
    await site.world.revoke(UNUSABLE[name](draft).text(), "planner")
    assert not await is_revoked(site, draft.jti)
    assert await site.world.store.note_of(draft.jti) is None
    assert len(site.world.store.records) == records
    await site.world.revoke(draft.text(), "planner")
    assert await is_revoked(site, draft.jti)


async def test_a_signature_that_does_not_verify_revokes_nothing(site: Site) -> None:
    draft = site.draft()
    header, payload, _ = draft.text().split(".")
    neutral = b64(bytes([1]) + bytes(31))
    small = seal(
        {"typ": "delegation-grant+jwt", "alg": "Ed25519", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": neutral}},
        draft.payload,
        ed_key("x"),
    ).rpartition(".")[0]
    for text in (
        f"{header}.{payload}.{b64(bytes(64))}",
        f"{small}.{b64(bytes([1]) + bytes(63))}",
        f"{header}.{payload}.",
    ):
        await site.world.revoke(text, "planner")
        assert not await is_revoked(site, draft.jti)
    await site.world.revoke(draft.text(), "planner")
    assert await is_revoked(site, draft.jti)


async def test_hop_names_the_grant_or_nothing(site: Site) -> None:
    draft = site.draft()
    refusal = await refusal_of(site, draft, "planner", hop=jti("another"))
    assert refusal.reason is Reason.PARAMETER_INVALID
    assert not await is_revoked(site, draft.jti)
    await site.world.revoke(draft.text(), "planner", hop=draft.jti)
    assert await is_revoked(site, draft.jti)


async def test_an_operator_is_not_a_grant_s_signer(site: Site) -> None:
    operator = Operator(client_id="planner", auth=site.world.registry.agents["planner"].auth, secret_sha256=())
    world = site.world
    service = RevocationService(
        registry=world.registry, terms=world.terms, store=world.store, signer=world.signer, clock=world.clock
    )
    draft = site.draft()
    with pytest.raises(OAuthRefused, match="unauthorized_client"):
        await service.revoke(draft.text(), operator, hop=None)
    await service.revoke(draft.text(), site.world.party("planner"), hop=None)
    assert await is_revoked(site, draft.jti)


async def test_an_operator_who_revokes_a_redeemed_grant_bars_no_start(site: Site) -> None:
    draft = site.draft()
    below = await site.handed_on(draft)
    service = OperatorService(terms=site.world.terms, store=site.world.store, clock=site.world.clock)
    await service.revoke("entry", draft.jti, operator="op")
    assert site.world.store.records[-1].lineage is None
    assert not await site.world.is_active(below.token)
    assert await site.world.is_active(site.token)
    await service.revoke("entry", site.world.read(site.token).lineage, operator="op")
    assert site.world.store.records[-1].lineage is not None
    assert site.world.terms.issuer == ISSUER
