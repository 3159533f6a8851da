"""What the claims of a user's token count for: scopes, maps, rules, clients, lifetimes, each as configured."""

from typing import Any

import pytest

from tests.exchange.parties import (
    CRM,
    FILES,
    IDP,
    START_SCOPE,
    USER_SCOPE,
    agent,
    identity_provider,
    make_registry,
    resource,
)
from tests.exchange.world import World, claims_of, make_world
from tests.simulator import NOW, USER, Members, Simulator, ec_key
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ID_TOKEN_TYPE

REFUSED = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
NO_SCOPE = (OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED)
ROLES = ("realm_access", "roles")


async def world_with(**members: Any) -> World:  # noqa: ANN401 - any field of UpstreamIssuer
    return await make_world(registry=make_registry(provider=identity_provider(**members)))


async def root_scope(world: World, **claims: Any) -> str:  # noqa: ANN401 - claims
    """The scope of the root that a token with these claims starts."""
    request = world.starting(world.user_token(**claims), scope="crm.read", resource=CRM)
    issued = await world.exchange("planner", request)
    return str(claims_of(issued.access_token)["grant_chain"][0]["scope"])


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        (("scope",), {"scope": "crm.read crm.write"}),
        (("scp",), {"scope": None, "scp": "crm.read crm.write"}),
        (("scp",), {"scope": "files.read", "scp": ["crm.read", "crm.write"]}),
        (("roles",), {"scope": None, "roles": ["crm.write", "crm.read", "crm.read"]}),
        (ROLES, {"scope": None, "realm_access": {"roles": ["crm.read", "crm.write"], "x": ["files.read"]}}),
        (("https://a.example/roles",), {"scope": None, "https://a.example/roles": ["crm.read", "crm.write"]}),
        (("resource_access", "a.b", "roles"), {"resource_access": {"a.b": {"roles": ["crm.read", "crm.write"]}}}),
    ],
)
async def test_scopes_are_read_where_they_are_configured_to_stand_and_nowhere_else(
    path: tuple[str, ...], claims: Members
) -> None:
    world = await world_with(scope_claim=path)

    assert await root_scope(world, **claims) == "crm.read crm.write"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"realm_access": None},
        {"realm_access": {}},
        {"realm_access": {"roles": None}},
        {"realm_access": {"roles": 7}},
        {"realm_access": {"roles": True}},
        {"realm_access": {"roles": {"crm.read": 1}}},
        {"realm_access": {"roles": [["crm.read"]]}},
        {"realm_access": {"roles": ["crm.read", None]}},
        {"realm_access": {"roles": ""}},
        {"realm_access": {"roles": "crm.read  crm.write"}},
        {"realm_access": [{"roles": ["crm.read"]}]},
        {"realm_access": ["roles", "crm.read"]},
        {"realm_access": "roles"},
        {"realm_access.roles": ["crm.read"]},
        {"roles": ["crm.read"]},
    ],
)
async def test_a_scope_claim_of_another_shape_is_refused(claims: Members) -> None:
    world = await world_with(scope_claim=ROLES)

    token = world.user_token(**claims)
    assert await world.verdict("planner", world.starting(token)) == REFUSED
    control = world.user_token(realm_access={"roles": USER_SCOPE.split()})
    assert await world.verdict("planner", world.starting(control)) is None


async def test_with_a_map_only_mapped_names_count_and_only_those_that_are_registered() -> None:
    scope_map = {
        "CRM Reader": frozenset({"crm.read"}),
        "boss": frozenset({"crm.write", "crm.export", "unheard.of"}),
        "crm.delete": frozenset({"crm.export"}),
    }
    world = await world_with(scope_claim=("roles",), scope_map=scope_map)

    assert await root_scope(world, roles=["CRM Reader", "boss", "files.read"]) == "crm.export crm.read crm.write"
    assert await root_scope(world, roles=["CRM Reader", "crm.delete"]) == "crm.export crm.read"
    # Names are compared letter for letter, and what is ours means nothing as theirs.
    for roles in (["crm reader", "crm.read"], ["crm.read", "crm.write"], []):
        token = world.user_token(roles=roles)
        assert await world.verdict("planner", world.starting(token, scope="crm.read")) == NO_SCOPE


async def test_more_roles_than_a_request_may_have_scopes_are_looked_through() -> None:
    world = await world_with(scope_claim=("roles",))

    roles = [f"role-{n}" for n in range(500)]
    assert await root_scope(world, roles=[*roles, "crm.read", "crm.write"]) == "crm.read crm.write"


@pytest.mark.parametrize(
    ("rule", "claims", "starts"),
    [
        (("tid", ("t1",)), {"tid": "t1"}, True),
        (("tid", ("t1",)), {"tid": ["t0", "t1"]}, True),
        (("tid", ("t0", "t1")), {"tid": "t1"}, True),
        (("tid", ("t1",)), {}, False),
        (("tid", ("t1",)), {"tid": "t2"}, False),
        (("tid", ("t1",)), {"tid": "T1"}, False),
        (("tid", ("t1",)), {"tid": "t1 "}, False),
        (("tid", ("t1",)), {"tid": "xt1x"}, False),
        (("tid", ("t1",)), {"tid": {"t1": "t1"}}, False),
        (("tid", ("t1",)), {"tid": [["t1"]]}, False),
        (("tid", ("t1",)), {"tid": []}, False),
        (("tid", ("t1",)), {"a": {"tid": "t1"}}, False),
        (("email_verified", (True,)), {"email_verified": True}, True),
        (("email_verified", (True,)), {"email_verified": False}, False),
        (("email_verified", (True,)), {"email_verified": 1}, False),
        (("email_verified", (True,)), {"email_verified": "true"}, False),
        (("level", (1,)), {"level": 1}, True),
        (("level", (1,)), {"level": True}, False),
        (("level", (1,)), {"level": "1"}, False),
        (("level", (0,)), {"level": False}, False),
    ],
)
async def test_a_required_claim_must_have_its_value(
    rule: tuple[str, tuple[str | int | bool, ...]], claims: Members, *, starts: bool
) -> None:
    name, allowed = rule
    world = await world_with(required_claims=(((name,), allowed),))

    verdict = await world.verdict("planner", world.starting(world.user_token(**claims)))
    assert verdict == (None if starts else REFUSED)


async def test_every_rule_holds_and_for_id_tokens_too() -> None:
    rules = ((("tid",), ("t1",)), (("ext", "level"), (2, 3)))
    world = await world_with(required_claims=rules, id_tokens=True)
    both: Members = {"tid": "t1", "ext": {"level": 3}}

    for claims, expected in ((both, None), ({"tid": "t1"}, REFUSED), ({"ext": {"level": 3}}, REFUSED)):
        access = world.starting(world.user_token(**claims))
        identity = world.user_token(header={"typ": "JWT"}, aud="planner", **claims)
        assert await world.verdict("planner", access) == expected
        request = world.starting(identity, subject_token_type=ID_TOKEN_TYPE)
        assert await world.verdict("planner", request) == expected


@pytest.mark.parametrize(
    ("claims", "starts"),
    [
        ({"cid": "planner"}, True),
        ({"cid": "web"}, True),
        ({"cid": "researcher"}, False),
        ({"cid": "planner", "appid": "researcher"}, False),
        ({}, False),
        # It is not configured here.
        ({"azp": "planner"}, False),
        ({"cid": "planner", "azp": "researcher"}, True),
    ],
)
async def test_the_client_stands_in_the_claims_that_are_configured(claims: Members, *, starts: bool) -> None:
    world = await world_with(client_claims=frozenset({"cid", "appid"}))

    verdict = await world.verdict("planner", world.starting(world.user_token(client_id=None, **claims)))
    assert verdict == (None if starts else REFUSED)


@pytest.mark.requirement("RFC9068-OWN-SUBJECT")
async def test_a_token_that_a_client_got_for_itself_has_no_user() -> None:
    world = await world_with(subject_prefix="idp|")

    own: list[Members] = [{"sub": "planner"}, {"sub": "web", "azp": "web", "client_id": None}]
    for claims in (*own, {"gty": "client-credentials"}, {"idtyp": "app"}):
        assert await world.verdict("planner", world.starting(world.user_token(**claims))) == REFUSED
    others: list[Members] = [{"sub": "web"}, {"gty": "password"}, {"idtyp": "user"}]
    for claims in others:
        assert await world.verdict("planner", world.starting(world.user_token(**claims))) is None


@pytest.mark.parametrize(("lifetime_s", "starts"), [(600, True), (601, False)])
async def test_a_token_that_lives_longer_than_the_issuers_may_is_refused(lifetime_s: int, *, starts: bool) -> None:
    bounded, free = await world_with(max_token_lifetime_s=600), await world_with()
    token = bounded.user_token(iat=NOW - 10, exp=NOW - 10 + lifetime_s)

    assert await bounded.verdict("planner", bounded.starting(token)) == (None if starts else REFUSED)
    assert await free.verdict("planner", free.starting(token)) is None


def with_upstream_ids(**ids: str) -> Registry:
    """planner is called otherwise at the identity provider."""
    plain = make_registry(
        provider=identity_provider(id_tokens=True), planner={"upstream_client_ids": {IDP: ids["planner"]}}
    )
    assert plain.agents["planner"].client_ids_at("https://other.example") == {"planner", "web"}
    return plain


@pytest.mark.parametrize(
    ("client", "starts"), [("0oa1", True), ("web", True), ("planner", False), ("0OA1", False), ("researcher", False)]
)
async def test_an_agent_is_at_the_identity_provider_who_it_is_configured_to_be(client: str, *, starts: bool) -> None:
    world = await make_world(registry=with_upstream_ids(planner="0oa1"))
    expected = None if starts else REFUSED
    identity = world.user_token(header={"typ": "JWT"}, aud=client, client_id=None)

    assert await world.verdict("planner", world.starting(world.user_token(client_id=client))) == expected
    assert await world.verdict("planner", world.starting(identity, subject_token_type=ID_TOKEN_TYPE)) == expected
    # `may_act` is in the words of this service.
    acting = world.user_token(client_id=None, may_act={"sub": "planner"})
    assert await world.verdict("planner", world.starting(acting)) is None


OTHER = "https://partner.example"


def two_providers() -> Registry:
    """The usual one, whose users are `corp:`, and a partner's, who may use the CRM alone."""
    corp = identity_provider(subject_prefix="corp:")
    partner = identity_provider(
        iss=OTHER,
        keys=KeySet([ec_key("partner").public]),
        audience=frozenset({"urn:tokensvc"}),
        typ=frozenset({"jwt"}),
        scope_claim=("scp",),
        subject_prefix="partner:",
        ceiling_resources=frozenset({CRM}),
        ceiling_max_depth=2,
    )
    return Registry(
        agents=[agent("planner", START_SCOPE, fronts=frozenset({"web"}))],
        resources=[
            resource(CRM, "crm-api", "crm", "crm.delete crm.export crm.read crm.write"),
            resource(FILES, "files-api", "files", "files.read files.write"),
        ],
        issuers=[corp, partner],
    )


def partner_token(**changes: object) -> str:
    claims = {"iss": OTHER, "sub": USER, "aud": "urn:tokensvc", "azp": "web", "scp": ["crm.read", "crm.write"]}
    simulator = Simulator(iss=OTHER, key=ec_key("partner"))
    times = {"iat": NOW, "exp": NOW + 600}
    return simulator.token({**claims, **times, **changes}, header=simulator.header(typ="JWT"))


async def test_users_of_two_identity_providers_are_never_the_same() -> None:
    world = await make_world(registry=two_providers())
    corp = await world.exchange("planner", world.starting(scope="crm.read", resource=CRM))
    partner = await world.exchange("planner", world.starting(partner_token(), scope="crm.read", resource=CRM))

    assert claims_of(corp.access_token)["sub"] == f"corp:{USER}"
    assert claims_of(partner.access_token)["sub"] == f"partner:{USER}"
    assert claims_of(partner.access_token)["grant_chain"][0]["resources"] == [CRM]
    assert claims_of(partner.access_token)["grant_chain"][0]["max_depth"] == 2


async def test_each_identity_provider_is_held_to_its_own_settings() -> None:
    world = await make_world(registry=two_providers())

    async def verdict(token: str, **parameters: str) -> object:
        return await world.verdict(
            "planner", world.starting(token, **{"scope": "crm.read", "resource": CRM, **parameters})
        )

    assert await verdict(partner_token()) is None
    assert await verdict(partner_token(aud="tokensvc")) == REFUSED
    assert await verdict(partner_token(scp=None, scope="crm.read")) == REFUSED
    assert await verdict(partner_token(iss=IDP)) == REFUSED
    assert await verdict(world.user_token(iss=OTHER)) == REFUSED
    assert await verdict(world.user_token(header={"typ": "JWT"})) == REFUSED
    # What the partner's users may reach ends at its ceiling.
    beyond = await verdict(
        partner_token(scp=["files.read", "files.write", "crm.read"]), scope="files.read", resource=FILES
    )
    assert beyond == (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)
