"""Which tokens of an identity provider start a delegation (step 5), and for whom."""

import pytest

from tests.exchange.parties import CRM, IDP, ISSUER, USER_SCOPE, identity_provider, make_registry
from tests.exchange.world import World, form, make_world
from tests.simulator import ABSENT, NOW, USER, Members, Simulator, assemble, ec_key, ed_key, rsa_key
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, Reason

REFUSED = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": IDP + "/"},
        {"iss": [IDP]},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["user-1"]},
        {"aud": None},
        {"aud": "https://crm.example/api"},
        {"aud": "Tokensvc"},
        {"aud": "tokensvc/"},
        {"aud": []},
        {"aud": ["*"]},
        {"aud": {"tokensvc": True}},
        {"aud": [["tokensvc"]]},
        {"scope": None},
        {"scope": ""},
        {"scope": ["crm.read", 1]},
        {"scope": {"crm.read": True}},
        {"scope": "crm.read  crm.write"},
        {"scope": 'crm.read "'},
        {"iat": None},
        {"iat": NOW + 31},
        {"iat": float(NOW)},
        {"iat": str(NOW)},
        {"iat": True},
        {"iat": -1},
        {"exp": None},
        {"exp": NOW - 30},
        {"exp": str(NOW + 60)},
        {"exp": NOW + 60.5},
        {"nbf": NOW + 31},
        {"nbf": "0"},
    ],
)
async def test_a_user_token_that_is_not_in_order_is_refused_without_saying_why(world: World, claims: Members) -> None:
    refusal = await world.refused("planner", world.starting(world.user_token(**claims)))

    assert (refusal.error, refusal.reason) == REFUSED
    assert refusal.description == "the subject_token is not acceptable"
    assert await world.verdict("planner", world.starting(world.user_token())) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": NOW + 30},
        {"nbf": NOW + 30},
        {"nbf": NOW},
        {"exp": NOW + 1},
        {"aud": ["other", "tokensvc"]},
        {"anything": {"act": 1}},
        {"scp": ["crm.delete"]},
        {"scope": USER_SCOPE.split()},
        {"scope": [*USER_SCOPE.split(), "Domain Users", ""]},
        {"scope": "crm.export crm.read crm.write files.read files.write crm.delete crm.delete"},
    ],
)
async def test_a_user_token_within_the_leeway_or_with_more_claims_starts(world: World, claims: Members) -> None:
    assert await world.verdict("planner", world.starting(world.user_token(**claims))) is None


async def test_null_where_a_claim_is_optional_is_no_absence(world: World) -> None:
    for claims in ('"nbf":null', '"may_act":null', '"azp":null'):
        text = claims_text(world, claims)
        token = Simulator(iss=IDP, key=ec_key("idp")).token(text.encode())
        assert await world.verdict("planner", world.starting(token)) == REFUSED
    control = Simulator(iss=IDP, key=ec_key("idp")).token(claims_text(world, '"azp":"web"').encode())
    assert await world.verdict("planner", world.starting(control)) is None


def claims_text(world: World, more: str) -> str:
    """The claims set of a user's token as JSON text with `more` members."""
    times = f'"iat":{world.clock.now},"exp":{world.clock.now + 60}'
    scope = "crm.delete crm.export crm.read crm.write files.read files.write"
    who = f'"iss":"{IDP}","sub":"{USER}","aud":"tokensvc","client_id":"planner"'
    return f'{{{who},"scope":"{scope}",{times},{more}}}'


@pytest.mark.parametrize("more", ['"sub":"admin"', '"exp":1e999', '"x":NaN', '"x":"\\ud800"', '"x":9007199254740993'])
async def test_claims_that_two_readers_could_read_differently_are_refused(world: World, more: str) -> None:
    token = Simulator(iss=IDP, key=ec_key("idp")).token(claims_text(world, more).encode())
    control = Simulator(iss=IDP, key=ec_key("idp")).token(claims_text(world, '"x":1').encode())

    assert await world.verdict("planner", world.starting(token)) == REFUSED
    assert await world.verdict("planner", world.starting(control)) is None


@pytest.mark.parametrize("claim", ["act", "grant_chain", "grant_profile"])
@pytest.mark.parametrize("value", [{"sub": "researcher"}, [], 1, False])
async def test_a_user_token_that_carries_a_delegation_is_refused(world: World, claim: str, value: object) -> None:
    claims: Members = {claim: value}
    token = world.user_token(**claims)

    assert await world.verdict("planner", world.starting(token)) == REFUSED
    assert await world.verdict("planner", world.starting(world.user_token())) is None


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": ABSENT},
        {"typ": 1},
        {"typ": "dpop+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "delegation-root+jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "es256"},
        {"alg": ABSENT},
        {"alg": ["ES256"]},
        {"kid": ABSENT},
        {"kid": "service"},
        {"kid": "../../etc/passwd"},
        {"kid": "https://evil.example/jwks.json"},
        {"kid": 1},
        {"crit": []},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
        {"jwk": ec_key("evil").public.jwk()},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/x"},
        {"x5c": ["MII"]},
        {"cty": "JWT"},
    ],
)
async def test_a_header_that_is_not_as_configured_is_refused(world: World, header: Members) -> None:
    assert await world.verdict("planner", world.starting(world.user_token(header=header))) == REFUSED
    assert await world.verdict("planner", world.starting(world.user_token())) is None


@pytest.mark.parametrize("header", [{"typ": "application/at+jwt"}, {"typ": "AT+JWT"}, {"x5t": "x"}, {"x5t#S256": "x"}])
async def test_a_header_as_identity_providers_write_it_is_accepted(world: World, header: Members) -> None:
    assert await world.verdict("planner", world.starting(world.user_token(header=header))) is None


@pytest.mark.parametrize("alg", ["Ed25519", "EdDSA"])
async def test_an_identity_provider_may_call_ed25519_by_its_old_name(alg: str) -> None:
    keys = KeySet([ec_key("idp").public, ed_key("idp-ed").public])
    wide = await make_world(
        registry=make_registry(provider=identity_provider(keys=keys, algorithms=frozenset({"Ed25519"})))
    )
    narrow = wide.but(registry=make_registry(provider=identity_provider(keys=keys)))
    token = wide.user_token(key=ed_key("idp-ed"), header={"alg": alg})
    crossed = wide.user_token(key=ed_key("idp-ed"), header={"alg": "ES256"})

    assert await wide.verdict("planner", wide.starting(token)) is None
    assert await wide.verdict("planner", wide.starting(crossed)) == REFUSED
    assert await narrow.verdict("planner", narrow.starting(token)) == REFUSED


async def test_only_the_configured_keys_and_algorithms_of_the_issuer_count() -> None:
    keys = KeySet([ec_key("idp").public, rsa_key("idp-rsa").public])
    narrow = await make_world(registry=make_registry(provider=identity_provider(keys=keys)))
    wide = narrow.but(
        registry=make_registry(provider=identity_provider(keys=keys, algorithms=frozenset({"ES256", "RS256"})))
    )
    by_rsa = narrow.user_token(key=rsa_key("idp-rsa"))
    by_stranger = narrow.user_token(key=ec_key("stranger"), header={"kid": "idp"})
    by_us = narrow.user_token(key=ec_key("service"))

    assert await narrow.verdict("planner", narrow.starting(by_rsa)) == REFUSED
    assert await wide.verdict("planner", wide.starting(by_rsa)) is None
    assert await wide.verdict("planner", wide.starting(by_stranger)) == REFUSED
    assert await wide.verdict("planner", wide.starting(by_us)) == REFUSED


@pytest.mark.parametrize("signature", [b"", b"\x00" * 64, b"\x01" * 63, b"\x01" * 65])
async def test_a_token_without_a_true_signature_is_refused(world: World, signature: bytes) -> None:
    simulator = Simulator(iss=IDP, key=ec_key("idp"))
    claims = {"iss": IDP, "sub": USER, "aud": "tokensvc", "client_id": "planner", "scope": "crm.read crm.write"}
    forged = assemble(simulator.header(), {**claims, "iat": NOW, "exp": NOW + 60}, signature)

    assert await world.verdict("planner", world.starting(forged)) == REFUSED
    assert await world.verdict("planner", world.starting(forged.rsplit(".", 1)[0] + ".")) == REFUSED


async def test_any_letter_of_a_user_token_changed_or_cut_is_refused(world: World) -> None:
    token = world.user_token()
    for position in range(0, len(token), 7):
        other = "A" if token[position] != "A" else "B"
        changed = token[:position] + other + token[position + 1 :]
        assert await world.verdict("planner", world.starting(changed)) == REFUSED
        assert await world.verdict("planner", world.starting(token[:position] or ".")) == REFUSED
    assert await world.verdict("planner", world.starting(token)) is None


@pytest.mark.parametrize(
    ("claims", "starts"),
    [
        ({}, True),
        ({"client_id": "web"}, True),
        ({"client_id": None, "azp": "planner"}, True),
        ({"client_id": None, "azp": "web"}, True),
        ({"client_id": "planner", "azp": "web"}, True),
        ({"client_id": None}, False),
        ({"client_id": "researcher"}, False),
        ({"client_id": "planner", "azp": "researcher"}, False),
        ({"client_id": "researcher", "azp": "planner"}, False),
        ({"client_id": "Planner"}, False),
        ({"client_id": ["planner"]}, False),
        ({"client_id": ""}, False),
        ({"client_id": "researcher", "may_act": {"sub": "planner"}}, True),
        ({"client_id": None, "may_act": {"sub": "planner"}}, True),
        ({"may_act": {"sub": "researcher"}}, False),
        ({"may_act": {"sub": "planner", "iss": IDP}}, False),
        ({"may_act": [{"sub": "planner"}]}, False),
        ({"may_act": "planner"}, False),
        ({"may_act": {}}, False),
        ({"may_act": {"sub": "web"}}, False),
    ],
)
@pytest.mark.requirement("TE-MAY-ACT")
async def test_a_user_token_starts_only_for_the_agent_it_was_obtained_for(
    world: World, claims: Members, *, starts: bool
) -> None:
    verdict = await world.verdict("planner", world.starting(world.user_token(**claims)))

    assert verdict == (None if starts else REFUSED)


async def test_a_front_works_for_its_own_agent_only(world: World) -> None:
    token = world.user_token(client_id="web")

    assert await world.verdict("researcher", world.starting(token, scope="crm.read", audience="crm")) == REFUSED
    assert await world.verdict("planner", world.starting(token)) is None


@pytest.mark.parametrize("name", ["planner", "researcher", "retired", "crm-api"])
@pytest.mark.requirement("RFC9068-NAMES")
async def test_a_user_with_the_id_of_a_client_is_refused(world: World, name: str) -> None:
    prefixed = world.but(registry=make_registry(provider=identity_provider(subject_prefix="idp|")))
    token = world.user_token(sub=name, client_id="web")

    assert await world.verdict("planner", world.starting(token)) == REFUSED
    assert await prefixed.verdict("planner", world.starting(token)) is None


@pytest.mark.parametrize("cnf", [{}, "x", {"jkt": "x"}, {"jwk": {}}, {"jkt": "A" * 43, "x5t#S256": "A" * 43}])
async def test_a_user_token_that_is_bound_in_a_way_that_cannot_be_checked_is_refused(world: World, cnf: object) -> None:
    assert await world.verdict("planner", world.starting(world.user_token(cnf=cnf))) == REFUSED
    assert await world.verdict("planner", world.starting(world.user_token())) is None


@pytest.mark.parametrize("member", ["jkt", "x5t#S256"])
async def test_a_user_token_that_is_bound_to_a_key_is_refused_without_that_key(world: World, member: str) -> None:
    token = world.user_token(cnf={member: "A" * 43})
    verdict = await world.verdict("planner", world.starting(token))

    assert verdict == (OAuthError.INVALID_REQUEST, Reason.HOLDER_UNPROVEN)
    assert await world.verdict("planner", world.starting(world.user_token())) is None


async def test_a_bound_user_token_tells_a_stranger_nothing(world: World) -> None:
    token = world.user_token(cnf={"jkt": "x" * 43})

    assert await world.verdict("researcher", world.starting(token)) == REFUSED


@pytest.mark.parametrize(
    "token",
    [
        "foo",
        "a.b.c",
        "....",
        "e30.e30.",
        "e30.e30.AA",
        "é.é.é",
        "x" * 20_000,
        "." * 20_000,
        "[" * 20_000,
        "\x00",
        "null",
    ],
)
async def test_garbage_is_refused_like_any_other_bad_token(world: World, token: str) -> None:
    refusal = await world.refused("planner", world.starting(token))

    assert (refusal.error, refusal.reason) == REFUSED
    assert refusal.description == "the subject_token is not acceptable"


async def test_an_identity_provider_that_is_taken_out_starts_nothing_any_more(world: World) -> None:
    other = identity_provider(iss="https://other-idp.example", keys=KeySet([ec_key("other").public]))
    token = world.user_token()

    assert await world.but(registry=make_registry(provider=other)).verdict("planner", world.starting(token)) == REFUSED
    assert await world.verdict("planner", world.starting(token)) is None


async def test_two_issuers_with_one_kid_are_told_apart(world: World) -> None:
    by_us = world.user_token(key=ec_key("service"), header={"kid": "idp"})
    forger = Simulator(iss=ISSUER, key=ec_key("idp"))
    chain = forger.chain("planner", root=forger.root(resources=[CRM]))
    by_them = forger.token(forger.claims(chain), header=forger.header(kid="service"))
    control = Simulator(iss=ISSUER, key=ec_key("service")).token(forger.claims(chain))
    wanted = {"requested_actor": "planner", "scope": "crm.read crm.write", "audience": "crm"}

    assert await world.verdict("planner", world.starting(by_us)) == REFUSED
    assert await world.verdict("planner", form(by_them, **wanted)) == REFUSED
    assert await world.verdict("planner", form(control, **wanted)) is None
