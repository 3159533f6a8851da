"""Grants that are not their delegator's word for this place, or say too much. Refused, nothing claimed, nothing minted.

`Site.verdict` looks that nothing but the record of the refusal is left, and every row has its accepted control.
"""

from dataclasses import replace
from typing import Any

import pytest

from tests.exchange.grants import INVALID, Draft, Site
from tests.exchange.holders import holder, presented, registry_with_keys
from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE
from tests.exchange.places import Place, judged, registry_by_key
from tests.exchange.world import claims_of, form, make_world
from tests.simulator import ABSENT, b64, ec_key, ed_key, jti, jwk, rsa_key, seal, thumbprint
from tokensvc.core.authority import Order
from tokensvc.core.entry import parse_signed_hop
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.delegation_grant import note_of, once_of_grant
from tokensvc.exchange.holder import Presented
from tokensvc.exchange.request import JWT_TYPE
from tokensvc.ports import Committed, OneTimeValue
from tokensvc.storage.loss import LossRule
from tokensvc.storage.memory import MemoryStore

NOT_ACTOR = (OAuthError.INVALID_REQUEST, Reason.NOT_CURRENT_ACTOR)
NOT_ALLOWED = (OAuthError.INVALID_REQUEST, Reason.DELEGATEE_NOT_ALLOWED)
UNPROVEN = (OAuthError.INVALID_REQUEST, Reason.HOLDER_UNPROVEN)
REPLAYED = (OAuthError.INVALID_REQUEST, Reason.REPLAYED)
REVOKED = (OAuthError.INVALID_REQUEST, Reason.REVOKED)
SCOPES = frozenset(START_SCOPE.split())
TARGET = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)


def refused(reason: Reason, error: OAuthError = OAuthError.INVALID_REQUEST) -> tuple[OAuthError, Reason]:
    return error, reason


async def require_refused(site: Site, grant: Draft, verdict: object) -> None:
    """Delegator and delegatee are both told so; and the grant before its one change is taken."""
    assert await site.verdicts(grant) == (verdict, verdict)
    assert await site.verdicts(site.draft()) == (None, None)


@pytest.fixture
async def site() -> Site:
    return await Site.make()


ELSEWHERE: dict[str, Any] = {
    "iss": "fetcher",
    "sub": "user-2",
    "aud": "https://other.example",
    "root": jti("another root"),
    "index": 3,
    "parent": jti("another hop"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
async def test_a_grant_for_another_place_is_refused(site: Site, name: str) -> None:
    await require_refused(site, site.draft(**{name: ELSEWHERE[name]}), INVALID)


@pytest.mark.parametrize("index", [1, 0, -1, 11])
async def test_a_grant_is_lifted_to_no_other_depth(site: Site, index: int) -> None:
    await require_refused(site, site.draft(index=index), INVALID)


async def test_a_grant_with_the_id_of_an_entry_above_is_refused(site: Site) -> None:
    for entry in site.world.read(site.token).chain.entry_ids:
        draft = site.draft(jti=entry)
        for client in ("planner", "researcher"):
            assert await site.world.verdict(client, site.form(draft), site.proof(client)) == INVALID
    assert await site.verdicts(site.draft()) == (None, None)


async def test_a_grant_is_good_in_no_other_chain(site: Site) -> None:
    other = await site.again()
    draft = site.draft()
    assert await other.verdicts(draft) == (INVALID, INVALID)
    # Not even with the ids of the other chain, unless all of them fit.
    moved = site.draft(root=other.draft().payload["root"])
    assert await other.verdicts(moved) == (INVALID, INVALID)
    assert await site.verdicts(draft) == (None, None)
    assert await other.verdicts(other.draft()) == (None, None)


async def test_a_grant_for_a_hop_above_is_not_good_below(site: Site) -> None:
    below = await site.handed_on(site.draft(scope="crm.read crm.write files.read"))
    for_above = site.draft("fetcher", scope="crm.read")
    assert await below.verdict("researcher", for_above) == INVALID
    assert await below.verdict("researcher", below.draft("fetcher")) is None


@pytest.mark.parametrize("key", [ec_key("other"), ed_key("other"), holder("researcher"), ec_key("service")])
async def test_a_grant_by_another_key_than_the_parent_s_is_refused(site: Site, key: Any) -> None:  # noqa: ANN401 - a key
    await require_refused(site, site.draft(key=key), INVALID)


async def test_a_grant_that_names_the_parent_s_key_and_is_signed_by_another_is_refused(site: Site) -> None:
    forged = replace(site.draft(), key=ec_key("other"), header={"jwk": jwk(holder("planner"))})
    await require_refused(site, forged, INVALID)


# The neutral point and a point of order 4: with either every signature of zeros fits some message.
SMALL = ("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
HEADERS: dict[str, Any] = {
    "typ of an access token": {"typ": "at+jwt"},
    "typ of a root": {"typ": "delegation-root+jwt"},
    "typ in capitals": {"typ": "Delegation-Grant+JWT"},
    "no typ": {"typ": ABSENT},
    "alg none": {"alg": "none"},
    "alg of a secret": {"alg": "HS256"},
    "another alg": {"alg": "ES384"},
    "alg of another key": {"alg": "Ed25519"},
    "a kid": {"kid": "planner"},
    "crit": {"crit": ["exp"]},
    "b64": {"b64": False},
    "no jwk": {"jwk": ABSENT},
    "a jwk that is text": {"jwk": "planner"},
    "a private jwk": {"jwk": {**jwk(holder("planner")), "d": "AA"}},
    "a jwk with a kid": {"jwk": {**jwk(holder("planner")), "kid": "planner"}},
    "a symmetric jwk": {"jwk": {"kty": "oct", "k": "AAAA"}},
    "an RSA jwk": {"jwk": jwk(rsa_key("other"))},
    "a point that is none": {"jwk": {**jwk(holder("planner")), "y": "AA"}},
    "a key of small order": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": SMALL[0]}, "alg": "Ed25519"},
    "a key of order four": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": SMALL[1]}, "alg": "Ed25519"},
    "a header of a kilobyte": {"jwk": {**jwk(holder("planner")), "x5c": ["A" * 1000]}},
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_grant_with_another_header_is_refused(site: Site, name: str) -> None:
    await require_refused(site, replace(site.draft(), header=HEADERS[name]), INVALID)


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "root", "index", "actor", "scope", "resources", "max_depth",
                                  "iat", "exp", "jti", "parent", "cnf"])  # fmt: skip
async def test_a_grant_that_leaves_a_member_out_or_gives_it_another_type_is_refused(site: Site, name: str) -> None:
    draft = site.draft()
    spoils: tuple[Any, ...] = (ABSENT, None, [], {}, 1.5)
    for value in spoils:
        spoilt = draft.but(**{name: value})
        assert await site.verdict("planner", spoilt) == INVALID
    assert await site.verdict("planner", draft) is None


async def test_a_grant_with_a_member_of_its_own_is_refused(site: Site) -> None:
    for name in ("nbf", "act", "evidence", "grant_chain", "client_id"):
        await require_refused(site, site.draft().but(**{name: "x"}), INVALID)


@pytest.mark.parametrize("text", ["x", "a.b", "a.b.c", "..", "é.é.é", "{}", "a" * 20_000, "a.b.c.d"])
async def test_what_is_no_jws_is_refused(site: Site, text: str) -> None:
    assert await site.verdict("planner", text) == INVALID
    assert await site.verdict("researcher", text, site.proof("researcher")) == INVALID
    assert await site.verdict("planner", site.draft()) is None


async def test_a_grant_changed_after_signing_is_refused(site: Site) -> None:
    header, payload, signature = site.draft().text().split(".")
    wider = b64(seal({}, site.draft(scope=START_SCOPE).payload, ec_key("x")).encode())
    for text in (f"{header}.{wider}.{signature}", f"{header}.{payload}.", f"{header}.{payload}.{signature[:-4]}AAAA"):
        assert await site.verdict("planner", text) == INVALID
    assert await site.verdict("planner", f"{header}.{payload}.{signature}") is None


# Every bound, and what an unsigned request would be told that passes it.
BOUNDS: dict[str, tuple[Any, Any]] = {
    "a scope that the delegator has not": (
        {"scope": "crm.delete crm.read"},
        refused(Reason.NOT_NARROWER, OAuthError.INVALID_SCOPE),
    ),
    "all that the delegator has": ({"scope": START_SCOPE}, refused(Reason.NOT_PROPER, OAuthError.INVALID_SCOPE)),
    "a scope that the delegatee may not have": (
        {"scope": "crm.read files.write"},
        refused(Reason.CEILING_EXCEEDED, OAuthError.INVALID_SCOPE),
    ),
    "a scope without meaning at its resource": (
        {"scope": "crm.read files.read", "resources": [CRM]},
        refused(Reason.TARGET_NOT_ALLOWED, OAuthError.INVALID_SCOPE),
    ),
    "a resource that is unknown": ({"resources": [CRM, "https://other.example"]}, TARGET),
    "the issuer as a resource": ({"resources": [ISSUER]}, TARGET),
    "details that the delegator has not": (
        {"authorization_details": [{"type": "payment"}]},
        refused(Reason.NOT_NARROWER, OAuthError.INVALID_AUTHORIZATION_DETAILS),
    ),
    "more depth than there is": ({"max_depth": 6}, refused(Reason.DEPTH_EXCEEDED)),
}


@pytest.mark.parametrize("name", BOUNDS)
async def test_a_grant_that_passes_a_bound_is_refused_for_it(site: Site, name: str) -> None:
    members, verdict = BOUNDS[name]
    await require_refused(site, site.draft(**members), verdict)


async def test_a_grant_outlives_nothing_above_it(site: Site) -> None:
    end = site.draft().payload["exp"]
    await require_refused(site, site.draft(exp=end + 1), refused(Reason.LIFETIME_EXCEEDED))
    assert await site.verdicts(site.draft(exp=end)) == (None, None)


async def test_a_grant_that_has_ended_is_refused(site: Site) -> None:
    now = site.world.clock.now
    ended = refused(Reason.EXPIRED)
    await require_refused(site, site.draft(exp=now), ended)
    await require_refused(site, site.draft(iat=now + 20, exp=now + 20), ended)
    assert await site.verdicts(site.draft(exp=now + 1)) == (None, None)


async def test_a_grant_is_made_between_its_parent_and_now(site: Site) -> None:
    now, made = site.world.clock.now, site.world.read(site.token).chain.leaf.authority.iat
    assert made == now
    await require_refused(site, site.draft(iat=made - 1), refused(Reason.NOT_NARROWER))
    assert "iat lies before" in (await site.world.refused("planner", site.form(site.draft(iat=made - 1)))).description
    await require_refused(site, site.draft(iat=now + 31), refused(Reason.NOT_YET_VALID))
    assert await site.verdicts(site.draft(iat=now + 30)) == (None, None)
    site.world.clock.now += 100
    assert await site.verdicts(site.draft(iat=made)) == (None, None)


async def test_a_grant_keeps_the_bounds_of_its_delegatee() -> None:
    site = await Site.make(researcher={"max_lifetime_s": 600, "max_depth": 3, "resources": frozenset({CRM})})
    now = site.world.clock.now
    fits: dict[str, Any] = {"resources": [CRM], "scope": "crm.read", "exp": now + 600, "max_depth": 3}

    for members, verdict in (
        ({"exp": now + 601}, refused(Reason.LIFETIME_EXCEEDED)),
        ({"max_depth": 4}, refused(Reason.DEPTH_EXCEEDED)),
        ({"resources": [CRM, FILES]}, TARGET),
    ):
        assert await site.verdicts(site.draft(**{**fits, **members})) == (verdict, verdict)
    assert await site.verdicts(site.draft(**fits)) == (None, None)


async def test_what_was_taken_from_the_delegator_since_is_not_its_to_sign(site: Site) -> None:
    draft = site.draft()
    narrower = site.at(site.world.but(registry=registry_with_keys(planner={"scopes": frozenset({"crm.read"})})))
    assert await narrower.verdicts(draft) == (refused(Reason.CEILING_EXCEEDED, OAuthError.INVALID_SCOPE),) * 2
    elsewhere = site.at(site.world.but(registry=registry_with_keys(planner={"resources": frozenset({FILES})})))
    assert await elsewhere.verdicts(draft) == (TARGET, TARGET)
    assert await site.verdicts(draft) == (None, None)


async def test_a_grant_is_no_deeper_than_the_settings_allow(site: Site) -> None:
    shallow = site.at(site.world.but(max_depth=1))
    assert await shallow.verdicts(site.draft()) == (refused(Reason.DEPTH_EXCEEDED),) * 2
    assert await site.verdicts(site.draft()) == (None, None)
    ends_here = await site.handed_on(site.draft(max_depth=2))
    assert await ends_here.verdicts(ends_here.draft("fetcher")) == (refused(Reason.DEPTH_EXCEEDED),) * 2


async def test_a_wildcard_that_is_none_is_refused() -> None:
    site = await Site.make()
    segments = site.at(site.world.but(order=Order(grammar=ScopeGrammar.SEGMENTS)))
    verdict = refused(Reason.MALFORMED, OAuthError.INVALID_SCOPE)
    assert await segments.verdicts(site.draft(scope="crm.*.read")) == (verdict, verdict)
    assert await segments.verdicts(site.draft(scope="crm.read")) == (None, None)


@pytest.mark.parametrize("actor", ["mailer", "nobody", "retired", "crm-api"])
async def test_a_delegatee_that_is_unknown_disabled_or_not_allowed_is_not_told_apart(site: Site, actor: str) -> None:
    draft = site.draft(actor, cnf={"jkt": holder("researcher").public.thumbprint})
    assert await site.verdict("planner", draft) == NOT_ALLOWED
    assert await site.verdict("planner", site.draft()) is None
    refusals = [await site.world.refused("planner", site.form(draft)) for _ in range(2)]
    assert {refusal.description for refusal in refusals} == {"the delegator may not delegate to the actor of the grant"}


async def test_a_delegatee_that_its_delegator_may_not_delegate_to_cannot_accept(site: Site) -> None:
    draft = site.draft("mailer", scope="crm.read")
    assert await site.verdict("mailer", draft, site.proof("mailer")) == NOT_ALLOWED
    allowed = registry_with_keys(
        planner={"may_delegate_to": frozenset({"mailer"})}, mailer={"holder_keys": (holder("mailer").public,)}
    )
    assert await site.at(site.world.but(registry=allowed)).verdicts(draft) == (None, None)


async def test_an_agent_above_is_not_delegated_to(site: Site) -> None:
    below = await site.handed_on(site.draft())
    loop = below.draft("planner")
    assert await below.verdict("researcher", loop) == refused(Reason.LOOP)
    assert await below.verdict("planner", loop, below.proof("planner")) == refused(Reason.LOOP)
    assert await below.verdict("researcher", below.draft("fetcher")) is None


async def test_a_foreign_key_in_cnf_is_refused(site: Site) -> None:
    thief = ec_key("thief")
    draft = site.draft(cnf={"jkt": thief.public.thumbprint})
    assert await site.verdict("planner", draft) == INVALID
    # Who took researcher's credentials, and had planner sign for another key.
    for proven in (presented(thief, site.world), site.proof("researcher")):
        assert await site.verdict("researcher", draft, proven) == UNPROVEN
    assert await site.verdicts(site.draft()) == (None, None)


async def test_whoever_holds_the_grant_and_not_the_delegatee_s_credentials_has_nothing(site: Site) -> None:
    draft = site.draft()
    for thief in ("fetcher", "mailer"):
        for key in (ec_key("thief"), holder("researcher")):
            for said in ({}, {"requested_actor": "researcher"}, {"requested_actor": thief}):
                assert await site.verdict(thief, draft, presented(key, site.world), **said) == NOT_ACTOR
    assert await site.verdict("researcher", draft, site.proof("researcher")) is None


async def test_whoever_holds_the_delegatee_s_credentials_and_not_its_key_has_nothing(site: Site) -> None:
    draft = site.draft()
    assert await site.verdict("researcher", draft) == UNPROVEN
    assert await site.verdict("researcher", draft, presented(ec_key("thief"), site.world)) == UNPROVEN
    assert await site.verdict("researcher", draft, resource=CRM) == UNPROVEN
    assert await site.verdict("researcher", draft, site.proof("researcher")) is None


async def test_whoever_is_bound_to_a_certificate_gets_nothing_without_it_by_a_grant_either() -> None:
    bound = {"certificate_bound": True, "holder_keys": ()}
    site = await Site.make(planner={"may_delegate_to": frozenset({"mailer"})}, mailer={**bound, "scopes": SCOPES})
    grant = site.draft("mailer")
    assert await site.verdict("mailer", grant, site.proof("mailer")) == UNPROVEN
    assert await site.verdict("mailer", grant, Presented(certificate=thumbprint("its certificate"))) == UNPROVEN

    both = replace(site.proof("mailer"), certificate=thumbprint("its certificate"))
    issued = await site.world.exchange("mailer", site.form(grant, resource=CRM), both)
    assert claims_of(issued.access_token)["cnf"] == {"jkt": holder("mailer").public.thumbprint}


async def test_whoever_is_bound_to_a_certificate_narrows_by_a_grant_with_it_alone(site: Site) -> None:
    certified = site.at(site.world.but(registry=registry_with_keys(planner={"certificate_bound": True})))
    grant = site.draft("planner", scope="crm.read")
    assert await certified.verdict("planner", grant, site.proof("planner")) == UNPROVEN
    both = replace(site.proof("planner"), certificate=thumbprint("its certificate"))
    assert await certified.verdict("planner", grant, both) is None


async def test_the_parent_s_token_is_nothing_to_the_delegatee_without_the_grant(site: Site) -> None:
    wanted = {"requested_actor": "researcher", "scope": "crm.read", "resource": CRM}
    for proven in (site.proof("researcher"), site.proof("planner")):
        verdict = await site.world.verdict("researcher", form(site.token, **wanted), proven)
        assert verdict in {UNPROVEN, NOT_ACTOR}
    assert await site.verdict("researcher", site.draft(), site.proof("researcher")) is None


async def test_a_token_for_a_resource_is_no_invitation(site: Site) -> None:
    shown = await site.world.exchange("planner", site.world.renewal(site.token), site.proof("planner"))
    at_crm = replace(site, token=shown.access_token)
    draft = site.draft()
    assert await at_crm.verdict("researcher", draft, site.proof("researcher")) == NOT_ACTOR
    serving = registry_with_keys(researcher={"serves": frozenset({CRM}), "downstream_resources": frozenset({FILES})})
    as_server = at_crm.at(site.world.but(registry=serving))
    assert await as_server.verdict("researcher", draft, site.proof("researcher")) == NOT_ACTOR
    # To its own actor it is a token as any other.
    assert await at_crm.verdict("planner", draft) is None
    assert await site.verdict("researcher", draft, site.proof("researcher")) is None


async def test_another_payload_under_the_same_id_is_refused(site: Site) -> None:
    first = site.draft()
    other = first.but(scope="crm.read")
    assert await site.verdict("planner", first) is None
    for client in ("planner", "researcher"):
        assert await site.world.verdict(client, site.form(other), site.proof(client)) == REPLAYED
    assert await site.verdicts(first) == (None, None)
    assert await site.verdicts(other.but(jti=jti("an id of its own"))) == (None, None)


async def test_an_id_that_somebody_used_is_nobody_else_s(site: Site) -> None:
    other = await site.again()
    hop = await other.delegate(other.draft(jti=jti("wanted twice")))
    assert await site.world.verdict("planner", site.form(site.draft(jti=jti("wanted twice")))) == REPLAYED
    taken = site.world.read(hop.access_token).lineage
    assert await site.world.verdict("planner", site.form(site.draft(jti=taken))) == REPLAYED
    assert await site.verdict("planner", site.draft()) is None


async def test_after_a_revocation_nothing_is_redeemed(site: Site) -> None:
    draft = site.draft()
    await site.world.revoke(site.token, "planner")
    assert await site.verdicts(draft) == (REVOKED, REVOKED)
    other = await site.again()
    assert await other.verdicts(other.draft()) == (None, None)


async def test_a_grant_passes_for_nothing_else(site: Site) -> None:
    text = site.draft().text()
    for token_type in (None, JWT_TYPE):
        kind = {} if token_type is None else {"subject_token_type": token_type}
        request = form(text, requested_actor="researcher", scope="crm.read", **kind)
        verdict = await site.world.verdict("researcher", request, site.proof("researcher"))
        assert verdict == refused(Reason.SUBJECT_TOKEN_INVALID)
    by_key = await make_world(registry=registry_by_key())
    assert await judged(by_key, Place.ACTOR, text) == refused(Reason.ACTOR_TOKEN_INVALID)
    assert await judged(by_key, Place.ASSERTION, text) == (OAuthError.INVALID_CLIENT, None)
    assert await site.world.introspect(text, "researcher") == {"active": False}


async def test_nothing_else_passes_for_a_grant(site: Site) -> None:
    proof = site.proof("planner").dpop[0]
    for text in (site.token, site.world.user_token(), proof):
        assert await site.verdict("planner", text) == INVALID
        assert await site.verdict("researcher", text, site.proof("researcher")) == INVALID
    # Not even what the key of the parent signed, for another purpose.
    for typ in ("dpop+jwt", "JWT", "client-authentication+jwt", "actor+jwt"):
        assert await site.verdict("planner", replace(site.draft(), header={"typ": typ})) == INVALID
    assert await site.verdict("planner", site.draft()) is None


async def test_of_two_payloads_that_race_under_one_id_one_is_taken(site: Site) -> None:
    first = site.draft()
    second = first.but(scope="crm.read")
    verdicts = [await site.world.verdict("planner", site.form(draft)) for draft in (second, first, second)]
    assert verdicts == [None, REPLAYED, None]
    assert claims_of((await site.delegate(second)).access_token)["scope"] == "crm.read"


async def test_a_claim_that_was_no_grant_is_no_retry(site: Site) -> None:
    draft = site.draft()
    now = site.world.clock.now
    used = OneTimeValue(value=draft.jti, until=now + 60, made=now, note=note_of(parse_signed_hop(draft.text())))
    assert await site.world.store.claim((used,), now=now) is Committed.STORED
    assert await site.world.verdict("planner", site.form(draft)) == REPLAYED
    assert await site.verdict("planner", site.draft()) is None


async def test_a_store_that_forgot_takes_no_grant_from_before(site: Site) -> None:
    """What it may have known of goes by the moment at which the grant was signed."""
    signed_at = site.world.clock.now + 20
    once = once_of_grant(parse_signed_hop(site.draft(iat=signed_at).text()))
    rule = LossRule(issuer=ISSUER, upstream=(), leeway_s=30, clock=lambda: signed_at)
    assert once.made == signed_at
    for late_s, answer in ((0, Committed.STORED), (2, Committed.REPLAYED)):
        store = MemoryStore(replace(rule, clock=lambda late_s=late_s: signed_at + late_s))  # type: ignore[misc] # bound
        await store.open()
        assert await store.claim((once,), now=signed_at + late_s) is answer
