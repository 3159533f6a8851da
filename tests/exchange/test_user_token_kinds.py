"""Access tokens and ID tokens of an identity provider: neither ever passes for the other."""

from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE, USER_SCOPE, identity_provider, make_registry
from tests.exchange.world import World, claims_of, make_world
from tests.simulator import ABSENT, Members
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE

REFUSED = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
# What identity providers put into `typ`: RFC 9068, most others, Cognito and Okta.
TYPES = {"at+jwt": "at+jwt", "jwt": "JWT", "": ABSENT}


async def world_with(**members: Any) -> World:  # noqa: ANN401 - any field of UpstreamIssuer
    provider = identity_provider(id_tokens=True, **members)
    return await make_world(registry=make_registry(provider=provider))


def id_token(
    world: World,
    *,
    header: Members | None = None,
    **claims: Any,  # noqa: ANN401 - claims
) -> str:
    """An ID token for planner's client, with the scopes in it."""
    bare: Members = {"aud": "planner", "client_id": None, "nonce": "n", "at_hash": "x" * 22}
    return world.user_token(header={"typ": "JWT", **(header or {})}, **{**bare, **claims})


async def verdict(world: World, token: str, token_type: str) -> object:
    return await world.verdict("planner", world.starting(token, subject_token_type=token_type))


@pytest.mark.requirement("JWT-BCP-EXCLUSIVE", "TE-VALIDATE-TYPE")
@pytest.mark.parametrize("id_typ", ["jwt", ""])
@pytest.mark.parametrize("access_typ", ["at+jwt", "jwt", ""])
async def test_each_kind_starts_as_what_it_is_and_never_as_the_other(access_typ: str, id_typ: str) -> None:
    world = await world_with(typ=frozenset({access_typ}))
    access = world.user_token(header={"typ": TYPES[access_typ]})
    bare = {"nonce": None, "at_hash": None, "azp": "planner"}
    identity = id_token(world, header={"typ": TYPES[id_typ]})
    # As like an access token as it gets: no claim says what it is.
    plain = id_token(world, header={"typ": TYPES[id_typ]}, **bare)

    for token_type in (ACCESS_TOKEN_TYPE, JWT_TYPE):
        assert await verdict(world, access, token_type) is None
        assert await verdict(world, identity, token_type) == REFUSED
        assert await verdict(world, plain, token_type) == REFUSED
    assert await verdict(world, access, ID_TOKEN_TYPE) == REFUSED
    assert await verdict(world, identity, ID_TOKEN_TYPE) is None
    assert await verdict(world, plain, ID_TOKEN_TYPE) is None


async def test_an_id_token_gives_the_chain_an_access_token_gives() -> None:
    world = await world_with()
    request = world.starting(id_token(world), subject_token_type=ID_TOKEN_TYPE)
    issued = await world.exchange("planner", request)
    root = claims_of(issued.access_token)["grant_chain"][0]

    assert root["scope"] == USER_SCOPE.removesuffix(" openid")
    assert root["sub"] == "user-1"
    assert sorted(root["resources"]) == sorted([CRM, FILES])
    described: Any = world.store.records[-1].inputs["request"]
    assert described["subject_token_type"] == ID_TOKEN_TYPE


async def test_id_tokens_are_refused_where_the_issuer_is_not_configured_for_them() -> None:
    world = await world_with()
    without = world.but(registry=make_registry())

    assert await verdict(without, id_token(without), ID_TOKEN_TYPE) == REFUSED
    assert await verdict(world, id_token(world), ID_TOKEN_TYPE) is None


async def test_access_tokens_are_refused_where_no_audience_is_configured() -> None:
    world = await world_with(audience=frozenset())

    assert await verdict(world, world.user_token(), ACCESS_TOKEN_TYPE) == REFUSED
    assert await verdict(world, world.user_token(aud=[]), ACCESS_TOKEN_TYPE) == REFUSED
    assert await verdict(world, id_token(world), ID_TOKEN_TYPE) is None


@pytest.mark.requirement("OIDC-ID-TOKEN-AUD")
@pytest.mark.parametrize(
    ("claims", "starts"),
    [
        ({}, True),
        ({"aud": ["planner"]}, True),
        ({"aud": "web"}, True),
        ({"aud": "web", "azp": "web"}, True),
        ({"azp": "planner"}, True),
        ({"may_act": {"sub": "planner"}}, True),
        ({"aud": None}, False),
        ({"aud": []}, False),
        ({"aud": ["planner", "web"]}, False),
        ({"aud": ["planner", "tokensvc"]}, False),
        ({"aud": "tokensvc"}, False),
        ({"aud": "researcher"}, False),
        ({"aud": {"planner": True}}, False),
        ({"azp": "researcher"}, False),
        ({"azp": None, "client_id": "researcher"}, False),
        ({"azp": ["planner"]}, False),
        ({"may_act": {"sub": "researcher"}}, False),
        # An actor that is named here does not make up for an audience.
        ({"aud": "researcher", "may_act": {"sub": "planner"}}, False),
        ({"azp": "researcher", "may_act": {"sub": "planner"}}, False),
        ({"iat": None}, False),
        ({"exp": None}, False),
        ({"sub": None}, False),
        ({"act": {"sub": "researcher"}}, False),
    ],
)
async def test_an_id_token_starts_only_for_the_client_it_was_made_for(claims: Members, *, starts: bool) -> None:
    world = await world_with()

    assert await verdict(world, id_token(world, **claims), ID_TOKEN_TYPE) == (None if starts else REFUSED)


@pytest.mark.parametrize(
    "claims",
    [
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"s_hash": None},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Offline"},
        {"typ": "Logout"},
        {"typ": ["Bearer"]},
        {"token_use": "id"},
        {"token_use": ""},
    ],
)
async def test_an_access_token_that_says_it_is_something_else_is_refused(claims: Members) -> None:
    world = await world_with()
    token = world.user_token(**{name: {} if value is None else value for name, value in claims.items()})

    assert await verdict(world, token, ACCESS_TOKEN_TYPE) == REFUSED
    assert await verdict(world, world.user_token(), ACCESS_TOKEN_TYPE) is None


@pytest.mark.parametrize("claims", [{"typ": "Bearer"}, {"typ": "DPoP"}, {"token_use": "access"}, {"nonce": "n"}])
async def test_an_access_token_that_says_so_starts(claims: Members) -> None:
    world = await world_with()

    assert await verdict(world, world.user_token(**claims), ACCESS_TOKEN_TYPE) is None


@pytest.mark.parametrize(
    ("claims", "starts"),
    [
        ({"typ": "ID"}, True),
        ({"token_use": "id"}, True),
        ({"typ": "Bearer"}, False),
        ({"typ": "Logout"}, False),
        ({"token_use": "access"}, False),
        # OpenID Connect Back-Channel Logout s2.4: the same key, audience, subject and often `typ`.
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "nonce": None}, False),
    ],
)
async def test_an_id_token_that_says_it_is_something_else_is_refused(claims: Members, *, starts: bool) -> None:
    world = await world_with()

    assert await verdict(world, id_token(world, **claims), ID_TOKEN_TYPE) == (None if starts else REFUSED)


@pytest.mark.parametrize(
    "typ", ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "none", "NONE", 1, "", "application/"]
)
async def test_an_id_token_has_one_of_two_types(typ: object) -> None:
    world = await world_with(typ=frozenset({"at+jwt", ""}))

    assert await verdict(world, id_token(world, header={"typ": typ}), ID_TOKEN_TYPE) == REFUSED
    assert await verdict(world, id_token(world, header={"typ": "application/jwt"}), ID_TOKEN_TYPE) is None


@pytest.mark.parametrize("typ", ["none", "", "application/", None, "JWT"])
async def test_where_access_tokens_have_no_type_none_is_taken_for_no_type(typ: object) -> None:
    world = await world_with(typ=frozenset({""}))

    assert await verdict(world, world.user_token(header={"typ": typ}), ACCESS_TOKEN_TYPE) == REFUSED
    assert await verdict(world, world.user_token(header={"typ": ABSENT}), ACCESS_TOKEN_TYPE) is None


async def test_an_id_token_without_scopes_has_those_that_are_configured_or_is_refused() -> None:
    configured = await world_with(id_token_scope=frozenset(START_SCOPE.split()) | {"crm.delete"})
    without = await world_with()
    bare = id_token(configured, scope=None)

    assert await verdict(without, bare, ID_TOKEN_TYPE) == REFUSED
    assert await verdict(configured, bare, ID_TOKEN_TYPE) is None
    # They are for ID tokens alone.
    assert await verdict(configured, configured.user_token(scope=None), ACCESS_TOKEN_TYPE) == REFUSED


async def test_scopes_of_an_id_token_and_those_that_are_configured_add_up() -> None:
    world = await world_with(id_token_scope=frozenset({"crm.delete", "crm.export", "unheard.of"}))
    token = id_token(world, scope="crm.read crm.write")
    request = world.starting(token, subject_token_type=ID_TOKEN_TYPE, scope="crm.read", resource=CRM)
    issued = await world.exchange("planner", request)

    root = claims_of(issued.access_token)["grant_chain"][0]
    assert root["scope"] == "crm.delete crm.export crm.read crm.write"


async def test_a_token_of_ours_is_no_id_token(world: World) -> None:
    token = await world.start()
    renewal = world.renewal(token)

    assert await world.verdict("planner", {**renewal, "subject_token_type": (ID_TOKEN_TYPE,)}) == REFUSED
    assert await world.verdict("planner", renewal) is None
    assert claims_of(token)["iss"] == ISSUER
