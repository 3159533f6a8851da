"""A platform's token is nothing but a workload's word: no access token, subject token or assertion of an agent's own.

In pairs: where one kind passes, each of the others is refused, the same way round as the other.
"""

import pytest

from tests.exchange.parties import CRM, IDP, ISSUER, identity_provider
from tests.exchange.workloads import (
    CLUSTER,
    DOMAIN,
    GENERIC,
    PLANNER,
    RESEARCHER,
    Maker,
    account_token,
    make_platform_world,
    svid,
    verdict,
)
from tests.exchange.world import World, form
from tests.simulator import Members, ec_key, seal
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.parties import AuthMethod
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE
from tokensvc.exchange.upstream_keys import UpstreamKeys

BOTH = [svid, account_token]
NO_SUBJECT = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
ALL_USERS: Members = {
    "id_tokens": True,
    "typ": frozenset({"at+jwt", "jwt", ""}),
    "audience": frozenset({"tokensvc", ISSUER}),
}


@pytest.fixture
async def world() -> World:
    """An identity provider that is as lenient as the settings let it be."""
    return await make_platform_world(
        provider=identity_provider(**ALL_USERS),
        fetcher={
            "auth": AuthMethod.PRIVATE_KEY_JWT,
            "secret_sha256": (),
            "keys": KeySet([ec_key("fetcher").public]),
        },
    )


def own_assertion(world: World, **claims: object) -> str:
    """fetcher's own client assertion."""
    now = world.clock.now
    plain: Members = {"iss": "fetcher", "sub": "fetcher", "aud": ISSUER, "jti": "1", "iat": now, "exp": now + 60}
    return seal({"typ": "JWT", "alg": "ES256", "kid": "fetcher"}, {**plain, **claims}, ec_key("fetcher"))


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("kind", [ACCESS_TOKEN_TYPE, JWT_TYPE, ID_TOKEN_TYPE])
@pytest.mark.parametrize("claims", [{}, {"iss": IDP}, {"iss": ISSUER}, {"iss": DOMAIN}, {"iss": CLUSTER}])
async def test_it_starts_nothing(world: World, make: Maker, kind: str, claims: Members) -> None:
    token = make(world, **claims)
    for client in ("planner", "researcher"):
        refused = await world.verdict(client, form(token, subject_token_type=kind, scope="crm.read", resource=CRM))
        assert refused == NO_SUBJECT
    assert await verdict(world, make(world)) in {"planner", "researcher"}
    assert await world.start()


@pytest.mark.parametrize("make", BOTH)
async def test_it_is_no_access_token(world: World, make: Maker) -> None:
    token = make(world)
    for client in ("crm-api", "planner", "researcher"):
        assert await world.introspect(token, client) == {"active": False}
    await world.revoke(token, "planner")
    # It was no token of ours, and goes on.
    assert await verdict(world, token) in {"planner", "researcher"}
    assert await world.is_active(await world.start())


@pytest.mark.parametrize("is_svid", [True, False])
async def test_tokens_of_this_service_are_no_workloads_word(world: World, *, is_svid: bool) -> None:
    for token in (await world.start(), await world.renew(await world.start())):
        assert await verdict(world, token, is_svid=is_svid) == GENERIC
    assert await verdict(world, svid(world), is_svid=is_svid) == "planner"


@pytest.mark.parametrize("is_svid", [True, False])
@pytest.mark.parametrize(
    "claims",
    [{}, {"aud": ISSUER}, {"sub": PLANNER, "aud": ISSUER}, {"sub": RESEARCHER, "aud": ISSUER, "iss": CLUSTER}],
)
async def test_a_users_token_is_no_workloads_word(world: World, claims: Members, *, is_svid: bool) -> None:
    untyped = world.user_token(header={"typ": "JWT"}, **{"scope": None, "client_id": None, **claims})

    assert await verdict(world, untyped, is_svid=is_svid) == GENERIC
    assert await verdict(world, svid(world), is_svid=is_svid) == "planner"


async def test_an_agents_own_assertion_is_no_workloads_word(world: World) -> None:
    own = own_assertion(world)
    as_workload = own_assertion(world, sub=PLANNER, iss=PLANNER, jti="2")

    assert await verdict(world, own, is_svid=True) == GENERIC
    assert await verdict(world, as_workload) == GENERIC
    assert await verdict(world, as_workload, is_svid=True) == GENERIC
    assert await verdict(world, own) == "fetcher"


@pytest.mark.parametrize("make", BOTH)
async def test_a_platform_makes_no_assertion_for_an_agent_with_a_key(world: World, make: Maker) -> None:
    assert await verdict(world, make(world, sub="fetcher", iss="fetcher", aud=ISSUER, jti="3")) == GENERIC
    assert await verdict(world, make(world)) in {"planner", "researcher"}


async def test_an_agent_that_copies_a_platforms_key_does_not_have_it() -> None:
    pinned = UpstreamKeys(pinned={DOMAIN: KeySet([ec_key("spire").public])}, own=lambda: ())
    copied = KeySet([ec_key("fetcher").public, ec_key("spire").public])
    by_key = {"auth": AuthMethod.PRIVATE_KEY_JWT, "secret_sha256": (), "keys": pinned.of_agent("fetcher", copied)}
    world = await make_platform_world(fetcher=by_key)
    as_fetcher = svid(world, sub="fetcher", iss="fetcher", aud=ISSUER, jti="4")

    assert await verdict(world, as_fetcher) == GENERIC
    assert await verdict(world, own_assertion(world)) == "fetcher"
    unaware = await make_platform_world(fetcher={**by_key, "keys": copied})
    assert await verdict(unaware, as_fetcher) == "fetcher"


async def test_one_platforms_token_is_not_anothers(world: World) -> None:
    """Each with the names of the other, under its own key."""
    as_account = svid(world, sub=RESEARCHER, iss=CLUSTER)
    as_svid = account_token(world, sub=PLANNER, iss=DOMAIN)

    for is_svid in (True, False):
        assert await verdict(world, as_account, is_svid=is_svid) == GENERIC
        assert await verdict(world, as_svid, is_svid=is_svid) == GENERIC
    assert await verdict(world, svid(world)) == "planner"
    assert await verdict(world, account_token(world)) == "researcher"
