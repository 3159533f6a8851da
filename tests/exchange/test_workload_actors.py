"""The actor token of a client that runs on a platform: the platform's own token, naming the client and nobody else."""

from dataclasses import replace
from typing import Any

import pytest

from tests.exchange.parties import IDP, ISSUER, identity_provider
from tests.exchange.workloads import OTHER_CLUSTER, PLANNER, Maker, account_token, make_platform_world, svid
from tests.exchange.world import World, claims_of
from tests.simulator import ABSENT, Members, ec_key, rsa_key, seal
from tokensvc.core.keyset import PublicKey
from tokensvc.errors import OAuthError, Reason, Unavailable
from tokensvc.exchange.parties import WorkloadName
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE

INVALID = (OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID)


@pytest.fixture
async def world() -> World:
    return await make_platform_world()


def starting(world: World, actor_token: str, **parameters: str) -> dict[str, tuple[str, ...]]:
    """planner's start with that actor token."""
    return dict(world.starting(actor_token=actor_token, **{"actor_token_type": JWT_TYPE, **parameters}))


async def verdict(world: World, actor_token: str) -> tuple[OAuthError, Reason | None] | None:
    return await world.verdict("planner", starting(world, actor_token))


def actor_jwt(world: World, **claims: object) -> str:
    """An identity provider's word on who planner is."""
    now = world.clock.now
    plain: Members = {"iss": IDP, "sub": "planner", "aud": ISSUER, "jti": "a1", "iat": now, "exp": now + 60}
    return seal({"typ": "actor+jwt", "alg": "ES256", "kid": "idp"}, {**plain, **claims}, ec_key("idp"))


async def test_it_confirms_the_client_and_bounds_the_token_each_time(world: World) -> None:
    token = svid(world, exp=world.clock.now + 100)
    for time in ("first", "second"):  # a platform hands it out again
        user = world.user_token(jti=time)
        issued = await world.exchange("planner", starting(world, token) | {"subject_token": (user,)})
        assert issued.expires_in == 100
        assert claims_of(issued.access_token)["act"] == {"sub": "planner"}
    record = world.store.records[-1]
    assert (record.inputs["client_auth"], record.inputs["actor_token"]) == (
        "spiffe_jwt",
        {"exp": world.clock.now + 100},
    )


async def test_an_account_confirms_its_agent(world: World) -> None:
    handed = await world.delegate(await world.start())
    renewal = world.renewal(handed, actor_token=account_token(world), actor_token_type=JWT_TYPE)

    issued = await world.exchange("researcher", renewal)
    assert claims_of(issued.access_token)["act"]["sub"] == "researcher"
    another = world.renewal(handed, actor_token=account_token(world, sub="system:serviceaccount:agents:fetcher"),
                            actor_token_type=JWT_TYPE)  # fmt: skip
    assert await world.verdict("researcher", another) == INVALID


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "actor+jwt"}, {}),
        ({"typ": "at+jwt"}, {}),
        ({"kid": "other"}, {}),
        ({"kid": ABSENT}, {}),
        ({"alg": "RS256"}, {}),
        ({"jwk": {}}, {}),
        ({}, {"sub": PLANNER + "x"}),
        ({}, {"sub": ABSENT}),
        ({}, {"sub": "planner"}),
        ({}, {"aud": [ISSUER, "https://else.example"]}),
        ({}, {"aud": ABSENT}),
        ({}, {"exp": ABSENT}),
        ({}, {"exp": 1}),
        ({}, {"exp": 2_000_000_000}),
        ({}, {"nbf": 2_000_000_000}),
        ({}, {"act": {"sub": "x"}}),
        ({}, {"cnf": {"jkt": "x"}}),
    ],
)
async def test_whatever_is_wrong_the_answer_is_the_same(world: World, header: Members, claims: Members) -> None:
    refusal = await world.refused("planner", starting(world, svid(world, header=header, **claims)))

    assert (refusal.error, refusal.reason) == INVALID
    assert refusal.description == "the actor_token is not acceptable"
    assert await verdict(world, svid(world)) is None


async def test_another_workloads_token_is_no_word_of_the_client(world: World) -> None:
    both = await make_platform_world(
        fetcher={"workload": WorkloadName(platform="spiffe://example.org", sub="spiffe://example.org/fetcher")}
    )

    assert await verdict(both, svid(both, sub="spiffe://example.org/fetcher")) == INVALID
    assert await verdict(both, account_token(both)) == INVALID
    assert await verdict(both, svid(both, key=ec_key("other-spire"))) == INVALID
    assert await verdict(both, svid(both, key=rsa_key("cluster"))) == INVALID
    assert await verdict(both, svid(both)) is None
    assert await verdict(world, svid(world)) is None


@pytest.mark.parametrize("iss", [OTHER_CLUSTER, ISSUER, IDP, ABSENT])
async def test_the_token_of_a_cluster_names_its_cluster(world: World, iss: object) -> None:
    handed = await world.delegate(await world.start())

    def renewal(**claims: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401 - any claim
        return dict(world.renewal(handed, actor_token=account_token(world, **claims), actor_token_type=JWT_TYPE))

    assert await world.verdict("researcher", renewal(iss=iss)) == INVALID
    assert await world.verdict("researcher", renewal()) is None


async def test_a_client_that_is_no_workload_has_no_such_word(world: World) -> None:
    by_secret = await make_platform_world(planner={"workload": None})

    assert await verdict(by_secret, svid(by_secret)) == INVALID
    assert await verdict(world, svid(world)) is None


async def test_a_platform_that_is_gone_confirms_nobody(world: World) -> None:
    gone = await make_platform_world(planner={"workload": WorkloadName(platform="spiffe://gone.org", sub=PLANNER)})

    assert await verdict(gone, svid(gone)) == INVALID
    assert await verdict(world, svid(world)) is None


@pytest.mark.parametrize("kind", [ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE])
async def test_it_is_presented_as_a_jwt(world: World, kind: str) -> None:
    refused = await world.verdict("planner", starting(world, svid(world), actor_token_type=kind))

    assert refused == (OAuthError.INVALID_REQUEST, Reason.PARAMETER_UNSUPPORTED)
    assert await verdict(world, svid(world)) is None


async def test_an_identity_provider_may_still_say_who_a_workload_is() -> None:
    """By `actor+jwt`, which it is registered for; a platform makes none."""
    registered = await make_platform_world(provider=identity_provider(actor_tokens=True))
    usual = await make_platform_world()

    assert await verdict(registered, actor_jwt(registered)) is None
    assert await verdict(registered, svid(registered)) is None
    # The issuer's name in a JWT-SVID changes nothing: SPIRE can be told to write one.
    assert await verdict(registered, svid(registered, iss=IDP)) is None
    assert await verdict(usual, actor_jwt(usual)) == INVALID


@pytest.mark.parametrize(
    ("named", "is_accepted"), [({}, False), ({IDP: PLANNER}, True), ({IDP: "spiffe://example.org/x"}, False)]
)
async def test_an_identity_provider_may_call_it_by_its_spiffe_id(named: dict[str, str], *, is_accepted: bool) -> None:
    world = await make_platform_world(
        provider=identity_provider(actor_tokens=True), planner={"upstream_client_ids": named}
    )
    user = world.user_token(client_id=named.get(IDP, "planner"))
    form = starting(world, actor_jwt(world, sub=PLANNER)) | {"subject_token": (user,)}

    assert await world.verdict("planner", form) == (None if is_accepted else INVALID)


@pytest.mark.parametrize("make", [svid, account_token])
async def test_an_own_actor_jwt_of_the_platforms_key_is_none(world: World, make: Maker) -> None:
    assert await verdict(world, make(world, header={"typ": "actor+jwt"}, jti="1", iss="planner")) == INVALID
    assert await verdict(world, svid(world)) is None


class _Unreachable:
    """Implements `parties.IssuerKeys` for a platform that is down."""

    async def find(self, kid: str) -> PublicKey | None:
        raise Unavailable(f"the key {kid} cannot be had at the moment")


async def test_without_the_keys_it_cannot_be_told(world: World) -> None:
    known = world.registry
    down = [replace(platform, keys=_Unreachable()) for platform in known.platforms.values()]
    broken = world.but(
        registry=Registry(
            agents=known.agents.values(),
            resources=known.resources.values(),
            issuers=known.issuers.values(),
            platforms=down,
        )
    )

    with pytest.raises(Unavailable):
        await broken.exchange("planner", starting(broken, svid(broken)))
    assert await verdict(world, svid(world)) is None
