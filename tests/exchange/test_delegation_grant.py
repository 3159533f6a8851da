"""A hop that its delegator signed: redeemed by the delegator or by the delegatee, once or again, and never cut."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.exchange.grants import DELEGATED, INVALID, Draft, Site
from tests.exchange.holders import holder, make_bound_world, presented
from tests.exchange.parties import CRM, FILES, IDP, ISSUER, identity_provider, make_registry, root_key
from tests.exchange.roots import PREFIX, make_root_world
from tests.exchange.roots import start as start_from_root
from tests.exchange.world import claims_of, make_world
from tests.simulator import Members, ec_key, ed_key, rsa_key
from tokensvc.core.details import parse_details
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, Reason
from tokensvc.verify import Evidence, Expectation, LifetimeOnly, StaticKeys, VerifiedToken, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

UNPROVEN = (OAuthError.INVALID_REQUEST, Reason.HOLDER_UNPROVEN)


@pytest.fixture
async def site() -> Site:
    return await Site.make()


def proven_to_a_resource(site: Site, token: str, *audiences: str) -> VerifiedToken:
    """What a verifier says that believes no word of the token service about hops, and pins the first agent's key."""
    expect = Expectation.delegator_signed(
        issuers=[ISSUER],
        audiences=audiences or [CRM],
        agent_keys={(ISSUER, "planner"): frozenset({holder("planner").public.thumbprint})},
    )
    return verify_token(
        token,
        keys=StaticKeys({ISSUER: site.world.signer.public_keys()}),
        expect=expect,
        now=site.world.clock.now,
        revocations=LifetimeOnly(max_s=900),
        proof=UnsafeHolderProvenUpstream(),
    )


async def test_a_delegator_gets_an_exchange_only_token_for_its_delegatee(site: Site) -> None:
    draft = site.draft()
    text = draft.text()
    issued = await site.delegate(text)

    claims = claims_of(issued.access_token)
    assert claims["grant_chain"][2] == {"jws": text}
    assert (claims["aud"], claims["client_id"], claims["cnf"]) == (ISSUER, "researcher", draft.payload["cnf"])
    assert issued.token_type == "DPoP"
    assert set(issued.scope.split()) == set(DELEGATED.split())
    # The grant proves planner's key, and planner only asks: it cannot use what it got.
    assert (
        await site.world.verdict("planner", site.world.renewal(issued.access_token), site.proof("planner")) == UNPROVEN
    )
    renewal = site.world.renewal(issued.access_token)
    assert await site.world.verdict("researcher", renewal) == UNPROVEN
    renewed = await site.world.exchange("researcher", renewal, site.proof("researcher"))
    verified = proven_to_a_resource(site, renewed.access_token)
    assert verified.hop_evidence == (Evidence.ISSUER, Evidence.DELEGATOR)


async def test_a_delegatee_redeems_a_grant_for_one_of_its_resources_or_for_all(site: Site) -> None:
    for parameters, audience in (
        ({"resource": CRM}, CRM),
        ({"audience": "files"}, FILES),
        ({}, ISSUER),
        ({"resource": [FILES, CRM]}, ISSUER),
        ({"resource": CRM, "audience": "files"}, ISSUER),
    ):
        draft = site.draft()
        issued = await site.redeem(draft, **parameters)
        claims = claims_of(issued.access_token)
        assert claims["aud"] == audience
        assert claims["grant_chain"][2]["jws"].split(".")[1] == draft.text().split(".")[1]
        assert claims["cnf"] == {"jkt": holder("researcher").public.thumbprint}
        proven_to_a_resource(site, issued.access_token, audience)


async def test_a_grant_for_one_resource_needs_no_naming(site: Site) -> None:
    draft = site.draft(resources=[CRM], scope="crm.read")
    assert claims_of((await site.redeem(draft)).access_token)["aud"] == CRM
    assert claims_of((await site.redeem(draft, resource=CRM)).access_token)["aud"] == CRM
    # For another it stays exchange-only.
    assert claims_of((await site.delegate(draft)).access_token)["aud"] == ISSUER


async def test_a_chain_of_signed_hops_is_nobody_s_word_but_the_agents(site: Site) -> None:
    second = await site.handed_on(site.draft())
    third = second.draft("fetcher")
    issued = await second.redeem(third, resource=FILES)

    verified = proven_to_a_resource(site, issued.access_token, FILES)
    assert verified.actors == ("fetcher", "researcher", "planner")
    assert verified.hop_evidence == (Evidence.ISSUER, Evidence.DELEGATOR, Evidence.DELEGATOR)
    # Signed hops stay as they are in whatever follows.
    narrowed = site.world.renewal(issued.access_token, scope="files.read", resource=FILES)
    again = await site.world.exchange("fetcher", narrowed, site.proof("fetcher"))
    chain, before = claims_of(again.access_token)["grant_chain"], claims_of(issued.access_token)["grant_chain"]
    assert chain[:4] == before
    assert "jws" not in chain[4]


async def test_an_agent_narrows_its_own_grant_by_a_signed_hop(site: Site) -> None:
    second = await site.handed_on(site.draft())
    narrowing = second.draft("researcher", scope="crm.read")

    issued = await second.redeem(narrowing, resource=CRM)
    assert proven_to_a_resource(site, issued.access_token).actors == ("researcher", "researcher", "planner")
    assert await second.verdict("researcher", second.draft("researcher", scope="crm.read")) == UNPROVEN
    other_key = second.draft("researcher", scope="crm.read", cnf={"jkt": ec_key("other").public.thumbprint})
    assert await second.verdict("researcher", other_key, presented(ec_key("other"), site.world)) == INVALID
    same = second.draft("researcher", scope=DELEGATED)
    assert await second.verdict("researcher", same, second.proof("researcher")) == (
        OAuthError.INVALID_SCOPE,
        Reason.NOT_PROPER,
    )


async def test_an_agent_without_registered_keys_accepts_with_the_key_that_it_proves() -> None:
    site = await Site.make(researcher={"holder_keys": ()})
    own = ed_key("whatever researcher has")
    draft = site.draft(cnf={"jkt": own.public.thumbprint})

    # Its delegator cannot know whose key that is.
    assert await site.verdict("planner", draft) == INVALID
    assert await site.verdict("researcher", draft) == UNPROVEN
    assert await site.verdict("researcher", draft, presented(ec_key("other"), site.world)) == UNPROVEN
    issued = await site.world.exchange("researcher", site.form(draft, resource=CRM), presented(own, site.world))
    assert claims_of(issued.access_token)["cnf"] == {"jkt": own.public.thumbprint}
    assert proven_to_a_resource(site, issued.access_token).actor == "researcher"


async def test_of_several_registered_keys_a_grant_may_name_any() -> None:
    keys = (holder("researcher"), ed_key("second key of researcher"))
    site = await Site.make(researcher={"holder_keys": tuple(key.public for key in keys)})
    for key in keys:
        draft = site.draft(cnf={"jkt": key.public.thumbprint})
        assert claims_of((await site.delegate(draft)).access_token)["cnf"] == draft.payload["cnf"]
        redeemed = await site.world.exchange("researcher", site.form(draft), presented(key, site.world))
        assert claims_of(redeemed.access_token)["cnf"] == draft.payload["cnf"]


async def test_an_ed25519_key_signs_grants() -> None:
    key = ed_key("planner")
    world = await make_world(registry=make_registry(researcher={"holder_keys": (holder("researcher").public,)}))
    started = await world.exchange("planner", world.starting(), presented(key, world))
    site = Site(world=world, token=started.access_token)
    assert await site.verdict("planner", site.draft(key=key)) is None
    assert await site.verdict("planner", site.draft()) == INVALID


async def test_an_rsa_key_holds_tokens_and_signs_no_grants() -> None:
    key = rsa_key("planner")
    world = await make_world(registry=make_registry(researcher={"holder_keys": (holder("researcher").public,)}))
    started = await world.exchange("planner", world.starting(), presented(key, world))
    site = Site(world=world, token=started.access_token)
    assert await site.verdict("planner", site.draft(key=key)) == INVALID
    delegated = world.delegation(started.access_token)
    assert await world.verdict("planner", delegated, presented(key, world)) is None


SAID: dict[str, tuple[Any, Any]] = {
    "requested_actor": ("researcher", "fetcher"),
    "scope": ("files.read crm.write crm.read crm.read", "crm.read"),
    "authorization_details": ("[]", '[{"type":"x"}]'),
    "requested_lifetime_s": ("600", "599"),
    "requested_max_depth": ("3", "2"),
    "resource": ([FILES, CRM], [CRM, FILES, "https://other.example"]),
    "audience": (["files", "crm"], None),
}


@pytest.mark.parametrize("name", SAID)
async def test_a_parameter_beside_a_grant_says_the_same_or_nothing(site: Site, name: str) -> None:
    same, other = SAID[name]

    def draft() -> Draft:
        return site.draft(exp=site.world.clock.now + 600, max_depth=3)

    assert await site.verdicts(draft(), **{name: same}) == (None, None)
    if other is not None:
        assert await site.verdicts(draft(), **{name: other}) == (INVALID, INVALID)
        refusal = await site.world.refused("planner", site.form(draft(), **{name: other}))
        assert name in refusal.description
    assert await site.verdicts(draft()) == (None, None)


@pytest.mark.parametrize(
    ("parameters", "verdict"),
    [
        ({"resource": ISSUER}, INVALID),
        ({"resource": "https://other.example"}, INVALID),
        ({"audience": "nothing"}, (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)),
        ({"scope": "crm.read  crm.write"}, (OAuthError.INVALID_SCOPE, Reason.MALFORMED)),
        ({"authorization_details": "{"}, (OAuthError.INVALID_AUTHORIZATION_DETAILS, Reason.MALFORMED)),
    ],
)
async def test_a_parameter_that_means_nothing_is_refused(site: Site, parameters: Any, verdict: Any) -> None:  # noqa: ANN401 - a row
    assert await site.verdicts(site.draft(), **parameters) == (verdict, verdict)
    assert await site.verdicts(site.draft()) == (None, None)


async def test_a_delegator_may_not_name_one_resource_of_its_grant_for_another(site: Site) -> None:
    assert await site.verdict("planner", site.draft(), resource=CRM) == INVALID
    assert await site.verdict("planner", site.draft(), resource=[CRM, FILES]) is None


async def test_the_same_grant_again_gives_another_token_under_the_same_hop(site: Site) -> None:
    draft = site.draft()
    issued = [await site.delegate(draft), await site.redeem(draft, resource=CRM), await site.redeem(draft)]

    claims = [claims_of(each.access_token) for each in issued]
    assert len({each["jti"] for each in claims}) == 3
    assert {site.world.read(each.access_token).chain.leaf.jti for each in issued} == {draft.jti}
    for each in issued:
        await site.world.revoke(each.access_token, "planner")
        break
    assert not any([await site.world.is_active(each.access_token) for each in issued])


async def test_a_retry_after_the_end_of_the_hop_is_too_late(site: Site) -> None:
    draft = site.draft(exp=site.world.clock.now + 60)
    await site.delegate(draft)
    site.world.clock.now += 59
    await site.delegate(draft)
    site.world.clock.now += 1
    with pytest.raises(Exception, match="expired"):
        await site.delegate(draft)


async def test_an_exchange_only_token_past_its_end_is_good_for_redeeming(site: Site) -> None:
    draft = site.draft()
    site.world.clock.now += 3000
    assert (await site.redeem(draft, resource=CRM)).expires_in == 300


async def test_a_record_tells_what_was_signed_and_not_the_grant(site: Site) -> None:
    draft = site.draft()
    await site.delegate(draft)
    granted = site.world.store.records[-1].inputs

    text = str(granted)
    assert not any(part in text for part in draft.text().split("."))
    assert granted["delegation_grant"]["jti"] == draft.jti  # type: ignore[index,call-overload] # a JSON object
    chain = granted["granted"]["grant_chain"]  # type: ignore[index,call-overload] # the same
    assert granted["granted"]["evidence"] == ["issuer", "issuer", "delegator"]  # type: ignore[index,call-overload] # the same
    members = ("actor", "scope", "resources", "max_depth", "iat", "exp", "jti", "parent", "cnf")
    assert chain[2] == {name: draft.payload[name] for name in members}  # type: ignore[index] # the same


async def test_details_are_granted_as_they_are_signed() -> None:
    payment: Members = {"type": "payment", "currency": "EUR"}
    tool: Members = {
        "type": "attenuating_agent_token",
        "tools": {"search": {"limit": {"constraint_type": "range", "max": 5}}},
    }
    ceiling = {"type": "attenuating_agent_token", "tools": {"search": {}, "read": {}}}
    provider = identity_provider(ceiling_details=parse_details([ceiling, payment]))
    keys: Any = {name: {"holder_keys": (holder(name).public,)} for name in ("planner", "researcher")}
    world = await make_world(registry=make_registry(provider=provider, **keys))
    request = world.starting(authorization_details=json.dumps([ceiling, payment]))
    site = Site(
        world=world, token=(await world.exchange("planner", request, presented(holder("planner"), world))).access_token
    )

    for details in ([tool], [payment, tool], [tool, payment]):
        draft = site.draft(authorization_details=details)
        issued = await site.redeem(draft, authorization_details=json.dumps(details[::-1]))
        assert issued.authorization_details == claims_of(issued.access_token)["authorization_details"] == details
        proven_to_a_resource(site, issued.access_token, ISSUER)
    assert (
        await site.verdict("planner", site.draft(authorization_details=[tool]), authorization_details="[]") == INVALID
    )
    # None are written by leaving the member out.
    assert await site.verdict("planner", site.draft(authorization_details=[])) == INVALID
    assert "authorization_details" not in claims_of((await site.delegate(site.draft())).access_token)


async def test_a_start_takes_no_grant(site: Site) -> None:
    world = await make_bound_world()
    for request, verdict in ((world.starting(delegation_grant=site.draft().text()), INVALID), (world.starting(), None)):
        assert await world.verdict("planner", request, presented(holder("planner"), world)) == verdict


async def test_a_grant_below_a_hop_without_a_key_is_nobody_s() -> None:
    world = await make_world(registry=make_registry(researcher={"holder_keys": (holder("researcher").public,)}))
    site = Site(world=world, token=await world.start())
    assert await site.verdicts(site.draft()) == (INVALID, INVALID)
    assert await world.verdict("planner", world.delegation(site.token)) is None


async def test_below_an_authority_s_root_signed_hops_need_no_pin() -> None:
    world = await make_root_world()
    site = Site(world=world, token=(await start_from_root(world)).access_token)
    draft = site.draft()
    assert draft.payload["sub"].startswith(PREFIX)
    # The user as the authority calls them is another user here.
    bare = site.draft(sub=draft.payload["sub"].removeprefix(PREFIX))
    assert await site.verdicts(bare) == (INVALID, INVALID)

    below = await site.handed_on(draft)
    issued = await below.redeem(below.draft("fetcher"), resource=CRM)

    trusted = {(ISSUER, IDP): PREFIX}
    signed = Expectation.delegator_signed(issuers=[ISSUER], audiences=[CRM], agent_keys={}, authorities=trusted)
    expect = replace(signed, root_floor=Evidence.AUTHORITY)
    verified = verify_token(
        issued.access_token,
        keys=StaticKeys({ISSUER: world.signer.public_keys(), IDP: KeySet([root_key(IDP).public])}),
        expect=expect,
        now=world.clock.now,
        revocations=LifetimeOnly(max_s=900),
        proof=UnsafeHolderProvenUpstream(),
    )
    assert (verified.root_evidence, verified.hop_evidence[1:]) == (Evidence.AUTHORITY, (Evidence.DELEGATOR,) * 2)
