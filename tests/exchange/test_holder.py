"""Keys that agents hold: who has to prove which one, and what tokens and hops are bound to (TOKEN: key binding)."""

from typing import Any

import pytest

from tests.exchange.holders import holder, make_bound_world, presented, proof, registry_with_keys
from tests.exchange.parties import CRM, FILES, START_SCOPE, make_registry
from tests.exchange.world import World, claims_of, form
from tests.simulator import ec_key, ed_key, rsa_key
from tokensvc.core.proof import token_hash
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.holder import Presented
from tokensvc.exchange.operate import OperatorService

UNPROVEN = (OAuthError.INVALID_REQUEST, Reason.HOLDER_UNPROVEN)
BAD_PROOF = (OAuthError.INVALID_DPOP_PROOF, Reason.PROOF_INVALID)
KEY = ec_key("any holder")


def jkt(name: str) -> str:
    return holder(name).public.thumbprint


@pytest.fixture
async def bound() -> World:
    return await make_bound_world()


async def delegated(bound: World) -> str:
    """What planner got for researcher: exchange-only, bound to researcher's key."""
    start = await bound.exchange("planner", bound.starting(), presented(holder("planner"), bound))
    request = bound.delegation(start.access_token)
    return (await bound.exchange("planner", request, presented(holder("planner"), bound))).access_token


@pytest.mark.requirement("DPOP-BOUND")
async def test_a_start_with_a_proof_gives_a_token_that_is_bound_to_the_key(world: World) -> None:
    start = world.starting(resource=CRM, scope="crm.read")
    issued = await world.exchange("planner", start, presented(KEY, world))

    claims = claims_of(issued.access_token)
    assert issued.token_type == "DPoP"
    assert claims["cnf"] == claims["grant_chain"][1]["cnf"] == {"jkt": KEY.public.thumbprint}
    answer = await world.introspect(issued.access_token, "planner")
    assert (answer["cnf"], answer["token_type"]) == (claims["cnf"], "DPoP")


async def test_without_a_proof_nothing_is_bound(world: World) -> None:
    issued = await world.exchange("planner", world.starting())

    claims = claims_of(issued.access_token)
    assert issued.token_type == "Bearer"
    assert "cnf" not in claims
    assert "cnf" not in claims["grant_chain"][1]
    assert "cnf" not in await world.introspect(issued.access_token, "planner")


@pytest.mark.parametrize("key", [ed_key("holder"), rsa_key("holder"), KEY], ids=["Ed25519", "RS256", "ES256"])
async def test_keys_of_every_algorithm_can_be_held(world: World, key: Any) -> None:  # noqa: ANN401 - a key
    issued = await world.exchange("planner", world.starting(), presented(key, world))
    renewed = await world.exchange("planner", world.renewal(issued.access_token), presented(key, world))

    assert claims_of(renewed.access_token)["cnf"] == {"jkt": key.public.thumbprint}


@pytest.mark.requirement("DPOP-HOLDER")
async def test_a_bound_token_is_exchanged_by_nobody_who_does_not_prove_its_key(world: World) -> None:
    token = (await world.exchange("planner", world.starting(), presented(KEY, world))).access_token

    for request in (world.renewal(token), world.delegation(token), world.renewal(token, scope="crm.read")):
        assert await world.verdict("planner", request) == UNPROVEN
        assert await world.verdict("planner", request, presented(ec_key("another"), world)) == UNPROVEN
        assert await world.verdict("planner", request, Presented(certificate=KEY.public.thumbprint)) == UNPROVEN
        issues = request["requested_actor"] != ("researcher",)
        assert (await world.verdict("planner", request, presented(KEY, world)) is None) is issues


async def test_a_proof_may_say_for_which_token_it_was_made_and_then_it_is_that_one(world: World) -> None:
    token = (await world.exchange("planner", world.starting(), presented(KEY, world))).access_token
    other = (await world.exchange("planner", world.starting(), presented(KEY, world))).access_token

    made_for_other = presented(KEY, world, ath=token_hash(other))
    assert await world.verdict("planner", world.renewal(token), made_for_other) == BAD_PROOF
    assert await world.verdict("planner", world.renewal(token), presented(KEY, world, ath=token_hash(token))) is None


@pytest.mark.requirement("DPOP-REPLAY")
async def test_a_proof_is_used_once(world: World) -> None:
    once = presented(KEY, world)

    assert await world.verdict("planner", world.starting(), once) is None
    assert await world.verdict("planner", world.starting(), once) == (OAuthError.INVALID_DPOP_PROOF, Reason.REPLAYED)
    assert await world.verdict("planner", world.starting(), presented(KEY, world)) is None


async def test_two_keys_may_use_one_jti(world: World) -> None:
    assert await world.verdict("planner", world.starting(), presented(KEY, world, jti="one")) is None
    assert await world.verdict("planner", world.starting(), presented(ed_key("b"), world, jti="one")) is None
    assert await world.verdict("planner", world.starting(), presented(KEY, world, jti="one")) is not None


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {"htm": "GET"}),
        ({}, {"htm": "post"}),
        ({}, {"htm": None}),
        ({}, {"htu": "https://tokens.example/introspect"}),
        ({}, {"htu": "https://other.example/token"}),
        ({}, {"htu": "http://tokens.example/token"}),
        ({}, {"htu": None}),
        ({}, {"jti": None}),
        ({}, {"jti": ""}),
        ({}, {"iat": None}),
        ({"typ": "at+jwt"}, {}),
        ({"typ": None}, {}),
        ({"jwk": None}, {}),
        ({"alg": "none"}, {}),
        ({"alg": "HS256"}, {}),
        ({"crit": ["x"]}, {}),
    ],
)
async def test_a_proof_that_does_not_fit_is_refused_and_nothing_is_issued(
    world: World, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    refusal = await world.refused("planner", world.starting(), presented(KEY, world, header=header, **claims))

    assert (refusal.error, refusal.reason) == BAD_PROOF
    assert "commit" not in world.store.calls
    assert await world.verdict("planner", world.starting(), presented(KEY, world)) is None


@pytest.mark.parametrize(
    ("age_s", "accepted"), [(10, True), (90, True), (91, False), (3600, False), (-30, True), (-31, False)]
)
async def test_a_proof_is_of_about_now(world: World, age_s: int, accepted: bool) -> None:
    verdict = await world.verdict("planner", world.starting(), presented(KEY, world, iat=world.clock.now - age_s))

    assert verdict == (None if accepted else BAD_PROOF)


async def test_two_proofs_are_none(world: World) -> None:
    one, two = (proof(KEY, world.clock.now) for _ in range(2))

    assert await world.verdict("planner", world.starting(), Presented(dpop=(one, two))) == BAD_PROOF
    assert await world.verdict("planner", world.starting(), Presented(dpop=(one,))) is None


async def test_an_agent_with_registered_keys_gets_nothing_without_one_of_them(bound: World) -> None:
    assert await bound.verdict("planner", bound.starting()) == UNPROVEN
    assert await bound.verdict("planner", bound.starting(), presented(KEY, bound)) == UNPROVEN
    assert await bound.verdict("planner", bound.starting(), presented(holder("planner"), bound)) is None


async def test_a_delegation_is_bound_to_the_first_registered_key_of_the_delegatee(world: World) -> None:
    keys = (holder("researcher").public, KEY.public)
    bound = world.but(registry=registry_with_keys(researcher={"holder_keys": keys}))

    claims = claims_of(await delegated(bound))
    assert claims["cnf"] == claims["grant_chain"][2]["cnf"] == {"jkt": jkt("researcher")}
    assert claims["aud"] == claims["iss"]


async def test_what_was_handed_over_is_picked_up_with_its_key_alone(bound: World) -> None:
    handed = await delegated(bound)
    pick_up = bound.renewal(handed)

    assert await bound.verdict("researcher", pick_up) == UNPROVEN
    assert await bound.verdict("researcher", pick_up, presented(holder("planner"), bound)) == UNPROVEN
    issued = await bound.exchange("researcher", pick_up, presented(holder("researcher"), bound))
    assert (issued.token_type, claims_of(issued.access_token)["cnf"]) == ("DPoP", {"jkt": jkt("researcher")})


async def test_below_a_bound_hop_an_agent_without_a_key_is_refused(world: World) -> None:
    bound = world.but(registry=registry_with_keys(fetcher={"holder_keys": ()}))
    handed = await delegated(bound)
    wanted = {"requested_actor": "fetcher", "scope": "crm.read files.read"}
    request = bound.delegation(handed, **wanted)

    refusal = await bound.refused("researcher", request, presented(holder("researcher"), bound))
    assert (refusal.error, refusal.reason) == (OAuthError.INVALID_REQUEST, Reason.NOT_NARROWER)
    assert "holder_jwks_file" in refusal.description
    assert "commit" not in bound.store.calls[-2:]
    with_key = bound.but(registry=registry_with_keys())
    assert await with_key.verdict("researcher", request, presented(holder("researcher"), bound)) is None


async def test_narrowing_keeps_the_key_of_the_hop(bound: World) -> None:
    handed = await delegated(bound)
    narrowed = bound.renewal(handed, scope="crm.read", resource=[CRM])

    issued = await bound.exchange("researcher", narrowed, presented(holder("researcher"), bound))
    claims = claims_of(issued.access_token)
    assert [entry["cnf"]["jkt"] for entry in claims["grant_chain"][2:]] == [jkt("researcher")] * 2


async def test_a_new_key_needs_a_new_hop_and_the_old_one_serves_to_its_end(bound: World) -> None:
    handed = await delegated(bound)
    new = ec_key("new key of researcher")
    replaced = bound.but(
        registry=registry_with_keys(researcher={"holder_keys": (new.public, holder("researcher").public)})
    )

    assert await replaced.verdict("researcher", bound.renewal(handed), presented(new, bound)) == UNPROVEN
    assert await replaced.verdict("researcher", bound.renewal(handed), presented(holder("researcher"), bound)) is None
    assert claims_of(await delegated(replaced))["cnf"] == {"jkt": new.public.thumbprint}


async def test_an_unbound_hop_may_be_used_with_a_key_and_the_token_is_bound_then(world: World) -> None:
    first = await world.start()
    bound = (await world.exchange("planner", world.renewal(first), presented(KEY, world))).access_token

    claims = claims_of(bound)
    assert claims["cnf"] == {"jkt": KEY.public.thumbprint}
    assert "cnf" not in claims["grant_chain"][1]
    # The hop stays what it was: its other tokens, and agents below it, need no key.
    assert await world.verdict("planner", world.renewal(bound)) == UNPROVEN
    assert await world.verdict("planner", world.renewal(first)) is None
    assert (
        await world.verdict("planner", world.delegation(bound, resource=CRM, scope="crm.read"), presented(KEY, world))
        is None
    )


@pytest.mark.parametrize("late_s", [330, 1000])
async def test_a_missed_lease_is_renewed_with_its_key_while_the_hop_lives(world: World, late_s: int) -> None:
    leases = [
        (await world.exchange("planner", world.starting(resource=CRM, scope="crm.read"), proofs)).access_token
        for proofs in (presented(KEY, world), Presented())
    ]
    world.clock.now += late_s
    bound, unbound = leases

    assert await world.verdict("planner", world.renewal(bound), presented(KEY, world)) is None
    assert await world.verdict("planner", world.renewal(bound)) == UNPROVEN
    assert await world.verdict("planner", world.renewal(unbound), presented(KEY, world)) == (
        OAuthError.INVALID_REQUEST,
        Reason.EXPIRED,
    )
    world.clock.now = claims_of(bound)["grant_chain"][1]["exp"] + 30
    assert await world.verdict("planner", world.renewal(bound), presented(KEY, world)) == (
        OAuthError.INVALID_REQUEST,
        Reason.EXPIRED,
    )


async def test_a_users_bound_token_starts_with_its_key_and_the_delegation_is_bound_to_it(world: World) -> None:
    token = world.user_token(cnf={"jkt": KEY.public.thumbprint})

    assert await world.verdict("planner", world.starting(token)) == UNPROVEN
    issued = await world.exchange("planner", world.starting(token), presented(KEY, world))
    assert claims_of(issued.access_token)["cnf"] == {"jkt": KEY.public.thumbprint}


async def test_a_server_goes_on_with_a_bound_token_that_was_presented_to_it(world: World) -> None:
    server = {"serves": frozenset({CRM}), "downstream_resources": frozenset({FILES})}
    at_hand = world.but(
        registry=make_registry(
            planner={"may_delegate_to": frozenset({"researcher"})},
            researcher={**server, "holder_keys": (holder("researcher").public,)},
        )
    )
    start = await at_hand.exchange("planner", at_hand.starting(), presented(KEY, world))
    lease = await at_hand.exchange(
        "planner", at_hand.renewal(start.access_token, scope=START_SCOPE), presented(KEY, world)
    )
    request = form(lease.access_token, scope="files.read", resource=FILES)

    assert await at_hand.verdict("researcher", request) == UNPROVEN
    issued = await at_hand.exchange("researcher", request, presented(holder("researcher"), world))
    assert claims_of(issued.access_token)["cnf"] == {"jkt": jkt("researcher")}
    # The loan ends with the token, whoever proves what.
    world.clock.now += 331
    late = await at_hand.verdict("researcher", request, presented(holder("researcher"), world))
    assert late == (OAuthError.INVALID_REQUEST, Reason.EXPIRED)


async def test_a_revoked_key_ends_everything_that_is_bound_to_it(bound: World) -> None:
    handed = await delegated(bound)
    assert await bound.verdict("researcher", bound.renewal(handed), presented(holder("researcher"), bound)) is None
    operator = OperatorService(terms=bound.terms, store=bound.store, clock=bound.clock)
    await operator.revoke("key", jkt("researcher"), operator="op")

    revoked = (OAuthError.INVALID_REQUEST, Reason.REVOKED)
    assert await bound.verdict("researcher", bound.renewal(handed), presented(holder("researcher"), bound)) == revoked
    start = await bound.exchange("planner", bound.starting(), presented(holder("planner"), bound))
    again = bound.delegation(start.access_token)
    assert await bound.verdict("planner", again, presented(holder("planner"), bound)) == revoked


CERTIFICATE = ec_key("a certificate").public.thumbprint


async def test_an_agent_whose_tokens_are_bound_to_its_certificate_needs_it(world: World) -> None:
    certified = world.but(registry=make_registry(planner={"certificate_bound": True}))
    connected = Presented(certificate=CERTIFICATE)

    assert await certified.verdict("planner", certified.starting()) == UNPROVEN
    issued = await certified.exchange("planner", certified.starting(), connected)
    claims = claims_of(issued.access_token)
    assert (issued.token_type, claims["cnf"]) == ("Bearer", {"x5t#S256": CERTIFICATE})
    assert "cnf" not in claims["grant_chain"][1]

    renewal = certified.renewal(issued.access_token)
    assert await certified.verdict("planner", renewal) == UNPROVEN
    assert await certified.verdict("planner", renewal, Presented(certificate=KEY.public.thumbprint)) == UNPROVEN
    assert await certified.verdict("planner", renewal, connected) is None


async def test_a_key_of_ones_own_does_not_replace_the_certificate(world: World) -> None:
    certified = world.but(registry=make_registry(planner={"certificate_bound": True}))
    proven = proof(KEY, world.clock.now)

    assert await certified.verdict("planner", certified.starting(), Presented(dpop=(proven,))) == UNPROVEN
    both = Presented(dpop=(proof(KEY, world.clock.now),), certificate=CERTIFICATE)
    issued = await certified.exchange("planner", certified.starting(), both)
    assert claims_of(issued.access_token)["cnf"] == {"jkt": KEY.public.thumbprint}


async def test_a_certificate_binds_nothing_for_an_agent_that_is_not_registered_so(world: World) -> None:
    issued = await world.exchange("planner", world.starting(), Presented(certificate=CERTIFICATE))

    assert "cnf" not in claims_of(issued.access_token)


async def test_the_proof_stands_in_the_record_by_its_key_and_never_as_it_came(world: World) -> None:
    one = proof(KEY, world.clock.now)
    await world.exchange("planner", world.starting(), Presented(dpop=(one,)))

    record = world.store.records[-1]
    assert record.inputs["proof"] == {"jkt": KEY.public.thumbprint, "iat": world.clock.now}
    assert one.split(".")[2] not in str(record)


async def test_nonces_are_asked_for_where_that_is_configured(world: World) -> None:
    nonces = world.but(dpop_nonces=True)
    nonce = nonces.exchange_service().nonce()
    asked = (OAuthError.USE_DPOP_NONCE, Reason.PROOF_INVALID)
    assert world.exchange_service().nonce() is None

    for bad in (None, "x", nonce[:-4] + "AAAA" if nonce else "", KEY.public.thumbprint):
        assert await nonces.verdict("planner", nonces.starting(), presented(KEY, world, nonce=bad)) == asked
    assert await nonces.verdict("planner", nonces.starting(), presented(KEY, world, nonce=nonce)) is None
    # A request without a proof is none that a nonce could be missing in.
    assert await nonces.verdict("planner", nonces.starting()) is None
    world.clock.now += 300
    assert await nonces.verdict("planner", nonces.starting(), presented(KEY, world, nonce=nonce)) == asked


async def test_an_access_token_is_no_nonce_and_a_nonce_no_token(world: World) -> None:
    nonces = world.but(dpop_nonces=True)
    token, nonce = await world.start(), nonces.exchange_service().nonce()
    assert nonce is not None

    asked = (OAuthError.USE_DPOP_NONCE, Reason.PROOF_INVALID)
    assert await nonces.verdict("planner", nonces.starting(), presented(KEY, world, nonce=token)) == asked
    subject = await world.verdict("planner", form(nonce, scope="crm.read", resource=CRM, requested_actor="planner"))
    assert subject == (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
