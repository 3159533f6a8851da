"""Subject tokens in our own name: forged, altered, spliced, or lawfully signed with an unlawful chain."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, IDP, ISSUER
from tests.exchange.world import World, claims_of, form
from tests.simulator import ABSENT, Members, Simulator, act, assemble, ec_key, jti
from tokensvc.errors import OAuthError, Reason

FORGER = Simulator(iss=ISSUER, key=ec_key("service"))
"""Signs with the service's own key whatever it is told: a token like this is what a fault in the service would make."""

Change = Callable[[Members], object]


async def judged(world: World, token: str) -> tuple[OAuthError, Reason | None] | None:
    """The answer to a renewal by researcher."""
    wanted = {"requested_actor": "researcher", "scope": "crm.read crm.write files.read", "resource": CRM}
    verdict = await world.verdict("researcher", form(token, **wanted))
    if verdict is not None:
        assert not world.store.records[-1].reason or world.store.records[-1].reason == verdict[1]
        assert await world.introspect(token, "researcher") == {"active": False}
    return verdict


def hop(claims: Members, index: int) -> Members:
    entry: Members = claims["grant_chain"][index]
    return entry


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: hop(c, 2).update(scope=hop(c, 1)["scope"]), Reason.NOT_PROPER),
        (lambda c: hop(c, 2).update(scope="crm.delete crm.read"), Reason.NOT_NARROWER),
        (lambda c: hop(c, 1).update(scope=hop(c, 0)["scope"]), Reason.NOT_PROPER),
        (lambda c: hop(c, 1).update(scope="admin"), Reason.NOT_NARROWER),
        (lambda c: hop(c, 1).update(resources=[FILES]), Reason.NOT_NARROWER),
        (lambda c: hop(c, 2).update(resources=[CRM, FILES, "urn:x"]), Reason.NOT_NARROWER),
        (lambda c: hop(c, 2).update(exp=hop(c, 1)["exp"] + 1), Reason.NOT_NARROWER),
        (lambda c: hop(c, 2).update(iat=hop(c, 1)["iat"] - 1), Reason.NOT_NARROWER),
        (lambda c: hop(c, 2).update(max_depth=6), Reason.NOT_NARROWER),
        (lambda c: [hop(c, n).update(max_depth=1) for n in (0, 1, 2)], Reason.DEPTH_EXCEEDED),
        (lambda c: c.update(scope="crm.read"), Reason.TOKEN_EXCEEDS_GRANT),
        (lambda c: c.update(scope=c["scope"] + " crm.delete"), Reason.TOKEN_EXCEEDS_GRANT),
        (lambda c: c.update(exp=hop(c, 2)["exp"] + 1), Reason.TOKEN_EXCEEDS_GRANT),
        (lambda c: c.update(authorization_details=[]), Reason.SUBJECT_TOKEN_INVALID),
        (lambda c: c.update(authorization_details=[{"type": "x"}]), Reason.TOKEN_EXCEEDS_GRANT),
        (lambda c: c.update(client_id="planner"), Reason.TOKEN_EXCEEDS_GRANT),
        (lambda c: c.update(aud="https://other.example"), Reason.WRONG_AUDIENCE),
        (lambda c: c.update(aud=CRM + "/"), Reason.WRONG_AUDIENCE),
        (lambda c: c.update(act=act("researcher")), Reason.CHAIN_MISALIGNED),
        (lambda c: c.update(act=act("researcher", "mailer")), Reason.CHAIN_MISALIGNED),
        (lambda c: c.update(act=act("planner", "researcher")), Reason.CHAIN_MISALIGNED),
        (lambda c: c["grant_chain"].pop(1), Reason.CHAIN_MISALIGNED),
        (lambda c: c["grant_chain"].pop(2), Reason.CHAIN_MISALIGNED),
        (lambda c: c["grant_chain"].append(hop(c, 2)), Reason.CHAIN_MISALIGNED),
        (lambda c: hop(c, 2).update(jti=hop(c, 1)["jti"]), Reason.CHAIN_MISALIGNED),
        (lambda c: hop(c, 2).update(parent=hop(c, 0)["jti"]), Reason.CHAIN_MISALIGNED),
        (lambda c: c.update(jti=hop(c, 2)["jti"]), Reason.CHAIN_MISALIGNED),
        (lambda c: c.update(sub="admin"), Reason.ROOT_INVALID),
        (lambda c: hop(c, 0).update(iss=IDP), Reason.ROOT_INVALID),
        (lambda c: c["grant_chain"].__setitem__(0, {"jws": "e30.e30.AA"}), Reason.SUBJECT_TOKEN_INVALID),
        (lambda c: c["grant_chain"].__setitem__(2, {"jws": "e30.e30.AA"}), Reason.SUBJECT_TOKEN_INVALID),
        (lambda c: c.pop("grant_chain"), Reason.CHAIN_MISSING),
        (lambda c: c.update(iat=c["iat"] + 31), Reason.NOT_YET_VALID),
        (lambda c: c.update(nbf=c["iat"] + 31), Reason.NOT_YET_VALID),
    ],
)
async def test_a_chain_that_is_not_attenuated_is_refused_under_the_services_own_signature(
    world: World, change: Change, reason: Reason
) -> None:
    _, second, _ = await world.chain()
    claims = claims_of(second)
    assert await judged(world, FORGER.token(claims)) is None

    change(claims)

    assert await judged(world, FORGER.token(claims)) == (OAuthError.INVALID_REQUEST, reason)


async def test_a_token_that_the_service_bound_to_a_key_is_refused_without_a_proof(world: World) -> None:
    _, second, _ = await world.chain()
    claims = claims_of(second)
    assert await judged(world, FORGER.token(claims)) is None

    claims["cnf"] = {"jkt": "A" * 43}
    wanted = {"requested_actor": "researcher", "scope": "crm.read crm.write files.read", "resource": CRM}
    verdict = await world.verdict("researcher", form(FORGER.token(claims), **wanted))

    assert verdict == (OAuthError.INVALID_REQUEST, Reason.HOLDER_UNPROVEN)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("act"),
        lambda c: c.update(act="researcher"),
        lambda c: c.update(act=["researcher"]),
        lambda c: c.update(act=None),
        lambda c: c["act"].update(exp=1),
        lambda c: c["act"].pop("sub"),
        lambda c: c.update(aud=[CRM]),
        lambda c: c.update(aud=["*"]),
        lambda c: c.pop("aud"),
        lambda c: c.update(scope=["crm.read"]),
        lambda c: c.update(scope="crm.read crm.read crm.write files.read"),
        lambda c: c.update(grant_profile=2),
        lambda c: c.update(grant_profile="1"),
        lambda c: c.pop("grant_profile"),
        lambda c: hop(c, 2).update(may="admin"),
        lambda c: hop(c, 2).update(authorization_details=[]),
        lambda c: hop(c, 2).pop("scope"),
        lambda c: hop(c, 2).update(resources=[]),
        lambda c: hop(c, 2).update(exp=str(hop(c, 2)["exp"])),
        lambda c: c.update(grant_chain=[]),
        lambda c: c["grant_chain"].extend([hop(c, 2)] * 10),
        lambda c: c.update(iss=ISSUER + "/"),
        lambda c: c.update(iss=[ISSUER]),
    ],
)
async def test_a_token_of_another_form_is_refused_without_saying_why(world: World, change: Change) -> None:
    _, second, _ = await world.chain()
    claims = claims_of(second)
    assert await judged(world, FORGER.token(claims)) is None

    change(claims)

    assert await judged(world, FORGER.token(claims)) == (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "dpop+jwt"},
        {"typ": "actor+jwt"},
        {"typ": "client-authentication+jwt"},
        {"typ": "delegation-grant+jwt"},
        {"typ": "delegation-root+jwt"},
        {"typ": "revocations+jwt"},
        {"typ": ABSENT},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"kid": "idp"},
        {"kid": ABSENT},
        {"jwk": ec_key("evil").public.jwk()},
        {"crit": ["exp"]},
        {"cty": "at+jwt"},
    ],
)
async def test_a_header_of_anything_but_our_access_tokens_is_refused(world: World, header: Members) -> None:
    _, second, _ = await world.chain()
    claims = claims_of(second)

    forged = FORGER.token(claims, header=FORGER.header(**header))

    assert await judged(world, forged) == (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
    assert await judged(world, FORGER.token(claims)) is None


async def test_a_token_by_another_key_is_refused_without_saying_why(world: World) -> None:
    _, second, _ = await world.chain()
    claims = claims_of(second)
    refused = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
    for key in (ec_key("stranger"), ec_key("idp")):
        forger = Simulator(iss=ISSUER, key=key)
        assert await judged(world, forger.token(claims)) == refused
        assert await judged(world, forger.token(claims, header=forger.header(kid="service"))) == refused
    for signature in (b"", b"\x00" * 64, b"\x01" * 64):
        assert await judged(world, assemble(FORGER.header(), claims, signature)) == refused


async def test_any_letter_of_a_token_of_ours_changed_or_cut_is_refused(world: World) -> None:
    _, second, _ = await world.chain()
    for position in range(0, len(second), 11):
        other = "A" if second[position] != "A" else "B"
        for changed in (second[:position] + other + second[position + 1 :], second[:position] or "x", second + "A"):
            verdict = await judged(world, changed)
            assert verdict == (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)


async def test_the_last_hop_of_one_chain_does_not_fit_another(world: World) -> None:
    one, other = [claims_of((await world.chain())[1]) for _ in range(2)]
    spliced = {**one, "grant_chain": [*one["grant_chain"][:2], other["grant_chain"][2]]}

    assert await judged(world, FORGER.token(spliced)) == (OAuthError.INVALID_REQUEST, Reason.CHAIN_MISALIGNED)


async def test_a_token_under_a_retired_key_is_good_while_the_key_is_published(world: World) -> None:
    _, second, _ = await world.chain()
    world.signer.keys.append(ec_key("service-2"))
    renewed = await world.renew(second)
    assert await judged(world, second) is None
    assert await judged(world, renewed) is None

    del world.signer.keys[0]
    assert await judged(world, second) == (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
    assert await judged(world, renewed) is None


@pytest.mark.parametrize(
    "iss", ["https://other-tokens.example", ISSUER + "/", ISSUER.upper(), "https://tokens.ex\u0430mple"]
)
async def test_a_token_of_another_token_service_is_refused_and_never_a_start(world: World, iss: str) -> None:
    def presented(iss: str, **parameters: str) -> Any:  # noqa: ANN401 - a form
        service = Simulator(iss=iss, key=ec_key("service"))
        chain = service.chain("planner", root=service.root(resources=[CRM], jti=jti("other")))
        return form(service.token(service.claims(chain)), scope="crm.read", resource=CRM, **parameters)

    for parameters in ({}, {"requested_actor": "planner"}):
        assert await world.verdict("planner", presented(iss, **parameters)) == (
            OAuthError.INVALID_REQUEST,
            Reason.SUBJECT_TOKEN_INVALID,
        )
    assert await world.verdict("planner", presented(ISSUER, requested_actor="planner")) is None
