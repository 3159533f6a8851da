"""The form, the client and the types (steps 1, 3 and 4), and the exact shape of the answer (step 15)."""

import pytest

from tests.exchange.parties import CRM, START_SCOPE
from tests.exchange.world import Parameter, World, claims_of, form
from tests.simulator import Members
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, JWT_TYPE
from tokensvc.exchange.service import Issued

TYPE = "urn:ietf:params:oauth:token-type:"
INVALID = OAuthError.INVALID_REQUEST


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"grant_type": None}, INVALID, Reason.PARAMETER_MISSING),
        ({"grant_type": "client_credentials"}, OAuthError.UNSUPPORTED_GRANT_TYPE, None),
        ({"grant_type": "Urn:ietf:params:oauth:grant-type:token-exchange"}, OAuthError.UNSUPPORTED_GRANT_TYPE, None),
        ({"subject_token": None}, INVALID, Reason.PARAMETER_MISSING),
        ({"subject_token_type": None}, INVALID, Reason.PARAMETER_MISSING),
        ({"subject_token_type": TYPE + "refresh_token"}, INVALID, Reason.PARAMETER_UNSUPPORTED),
        ({"subject_token_type": TYPE + "id_token"}, INVALID, Reason.SUBJECT_TOKEN_INVALID),
        ({"subject_token_type": TYPE + "saml2"}, INVALID, Reason.PARAMETER_UNSUPPORTED),
        ({"subject_token_type": "access_token"}, INVALID, Reason.PARAMETER_UNSUPPORTED),
        ({"requested_token_type": TYPE + "id_token"}, INVALID, Reason.PARAMETER_UNSUPPORTED),
        ({"requested_token_type": TYPE + "refresh_token"}, INVALID, Reason.PARAMETER_UNSUPPORTED),
        ({"requested_token_type": TYPE + "id-jag-wrong"}, INVALID, Reason.PARAMETER_UNSUPPORTED),
        ({"authorization_details": ["[]", "[]"]}, INVALID, Reason.PARAMETER_REPEATED),
        ({"delegation_grant": "x"}, INVALID, Reason.GRANT_INVALID),
        ({"requested_max_depth": "0"}, INVALID, Reason.PARAMETER_INVALID),
        ({"requested_max_depth": "11"}, INVALID, Reason.PARAMETER_INVALID),
        ({"requested_max_depth": "02"}, INVALID, Reason.PARAMETER_INVALID),
        ({"requested_max_depth": "2.0"}, INVALID, Reason.PARAMETER_INVALID),
        ({"scope": [START_SCOPE, START_SCOPE]}, INVALID, Reason.PARAMETER_REPEATED),
        ({"subject_token_type": [ACCESS_TOKEN_TYPE, JWT_TYPE]}, INVALID, Reason.PARAMETER_REPEATED),
        ({"client_id": ["planner", "planner"]}, INVALID, Reason.PARAMETER_REPEATED),
        ({"unheard_of": ["1", "2"]}, INVALID, Reason.PARAMETER_REPEATED),
    ],
)
@pytest.mark.requirement("OAUTH-GRANT-TYPE", "TE-SUBJECT-TOKEN", "TE-TOKEN-TYPES")
async def test_a_form_that_is_not_in_order_is_refused(
    world: World, changes: dict[str, Parameter], error: OAuthError, reason: Reason | None
) -> None:
    control = world.starting()
    names = {name: (value,) if isinstance(value, str) else tuple(value or ()) for name, value in changes.items()}
    changed = {name: values for name, values in {**control, **names}.items() if values}

    assert await world.verdict("planner", changed) == (error, reason)
    assert await world.verdict("planner", control) is None


async def test_a_subject_token_twice_is_refused_although_both_are_good(world: World) -> None:
    request = {**world.starting(), "subject_token": (world.user_token(), world.user_token())}

    assert await world.verdict("planner", request) == (INVALID, Reason.PARAMETER_REPEATED)
    assert await world.verdict("planner", world.starting(world.user_token())) is None


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "+5", "1.0", "1e3", "01", " 60", "60 ", "60\n", "0x10", "1000000", "NaN", "Infinity", "६०", "six"],
)
async def test_a_lifetime_that_is_no_whole_number_of_seconds_is_refused(world: World, text: str) -> None:
    request = world.starting(requested_lifetime_s=text)

    assert await world.verdict("planner", request) == (INVALID, Reason.PARAMETER_INVALID)
    assert await world.verdict("planner", world.starting(requested_lifetime_s="60")) is None


async def test_a_resource_server_may_not_use_the_token_endpoint(world: World) -> None:
    first = await world.start()
    for request in (world.starting(), world.renewal(first), form("foo"), {}):
        assert await world.verdict("crm-api", request) == (OAuthError.UNAUTHORIZED_CLIENT, None)
    assert await world.verdict("planner", world.renewal(first)) is None


async def test_the_answer_of_a_start_has_exactly_what_was_asked(world: World) -> None:
    issued = await world.exchange("planner", world.starting(scope="crm.write crm.read", resource=CRM))

    assert issued == Issued(
        access_token=issued.access_token,
        issued_token_type=ACCESS_TOKEN_TYPE,
        token_type="Bearer",
        expires_in=300,
        scope="crm.read crm.write",
        authorization_details=[],
    )
    verified = world.verify(issued.access_token, CRM)
    assert (verified.audience, verified.actor) == (CRM, "planner")
    verified.require(scope="crm.read crm.write")


@pytest.mark.parametrize("asked", [ACCESS_TOKEN_TYPE, JWT_TYPE])
@pytest.mark.parametrize("declared", [ACCESS_TOKEN_TYPE, JWT_TYPE])
@pytest.mark.requirement("TE-ISSUED-TYPE")
async def test_the_same_token_goes_by_either_type(world: World, asked: str, declared: str) -> None:
    request = world.starting(requested_token_type=asked, subject_token_type=declared)
    issued = await world.exchange("planner", request)
    own = await world.exchange(
        "planner", world.renewal(issued.access_token, requested_token_type=asked, subject_token_type=declared)
    )

    assert (issued.issued_token_type, own.issued_token_type) == (asked, asked)
    assert (issued.token_type, own.token_type) == ("Bearer", "Bearer")


async def test_unknown_parameters_change_nothing(world: World) -> None:
    smuggled: Members = {
        "act": '{"sub":"admin"}',
        "may_act": '{"sub":"mailer"}',
        "delegation_chain": "x",
        "grant_chain": "[]",
        "sub": "admin",
        "exp": "9999999999",
        "iat": "1",
        "cnf": '{"jkt":"x"}',
        "jti": "A" * 22,
        "client_id": "mailer",
        "aud": "https://admin.example",
        "expires_in": "999999",
        "actor": "admin",
        "max_depth": "9",
        "id_token_hint": "x",
    }
    plain = claims_of(await world.start())
    token = claims_of(await world.start(**smuggled))

    fresh = {"jti", "grant_chain"}
    assert {name: token[name] for name in token.keys() - fresh} == {name: plain[name] for name in plain.keys() - fresh}
    assert "admin" not in str(token)
    assert "mailer" not in str(token)


@pytest.mark.requirement("RFC9068-ISSUED")
async def test_a_token_has_exactly_the_claims_of_the_profile(world: World) -> None:
    _, _, third = await world.chain()
    token = claims_of(await world.renew(third))

    entry = {"scope", "resources", "max_depth", "iat", "exp", "jti"}
    root_members, hop_members = entry | {"iss", "sub"}, entry | {"actor", "parent"}
    named = "iss sub aud client_id scope iat exp jti act grant_profile grant_chain"
    assert set(token) == set(named.split())
    assert set(token["grant_chain"][0]) == root_members
    for hop in token["grant_chain"][1:]:
        assert set(hop) == hop_members


@pytest.mark.requirement("OAUTH-UNGUESSABLE")
async def test_every_id_is_128_random_bits(world: World) -> None:
    tokens = [claims_of(await world.start()) for _ in range(50)]
    ids = [entry["jti"] for token in tokens for entry in [token, *token["grant_chain"]]]

    assert len(set(ids)) == 150
    assert {len(jti) for jti in ids} == {22}


@pytest.mark.requirement("TE-INPUTS-KEPT")
async def test_the_inputs_are_not_used_up(world: World) -> None:
    first = await world.start()
    for _ in range(3):
        assert await world.verdict("planner", world.delegation(first)) is None
        assert await world.verdict("planner", world.renewal(first)) is None
    assert await world.is_active(first)
