"""Client authentication by the token of a platform: a SPIFFE JWT-SVID, a Kubernetes service account token."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.parties import CRM, ISSUER
from tests.exchange.workloads import (
    CLUSTER,
    GENERIC,
    OTHER_CLUSTER,
    PLANNER,
    RESEARCHER,
    Maker,
    account_token,
    make_platform_world,
    platforms,
    svid,
    verdict,
)
from tests.exchange.world import World
from tests.simulator import ABSENT, Members, ec_key, ed_key, rsa_key, seal
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import Unavailable
from tokensvc.exchange.parties import AuthMethod, WorkloadName
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.workload import claimed_agent

BOTH = [(svid, "planner"), (account_token, "researcher")]
AN_INTEGER = "is an integer that is not negative"


@pytest.fixture
async def world() -> World:
    return await make_platform_world()


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {}),
        ({"typ": ABSENT}, {}),
        ({"typ": "JOSE"}, {}),
        ({}, {"aud": ISSUER}),
        ({}, {"iat": ABSENT}),
        ({}, {"nbf": 1}),
        ({}, {"iss": "https://spire.example"}),
        ({}, {"jti": "1", "extra": {"anything": [1]}}),
    ],
)
@pytest.mark.parametrize("is_svid", [True, False])
async def test_an_agent_is_who_its_trust_domain_says(
    world: World, header: Members, claims: Members, *, is_svid: bool
) -> None:
    token = svid(world, header=header, **claims)

    assert await verdict(world, token, is_svid=is_svid) == "planner"
    assert await verdict(world, token, is_svid=is_svid, body_client_id="planner") == "planner"


@pytest.mark.parametrize(
    ("header", "claims"),
    [({}, {}), ({"typ": "JWT"}, {}), ({}, {"aud": ISSUER}), ({}, {"kubernetes.io": ABSENT, "jti": ABSENT})],
)
async def test_an_agent_is_who_its_cluster_says(world: World, header: Members, claims: Members) -> None:
    token = account_token(world, header=header, **claims)

    assert await verdict(world, token) == "researcher"
    assert await verdict(world, token, body_client_id="researcher") == "researcher"


@pytest.mark.parametrize(
    ("make", "key", "agent"),
    [
        (svid, ec_key("spire"), "planner"),
        (svid, rsa_key("spire-rsa"), "planner"),
        (account_token, rsa_key("cluster"), "researcher"),
        (account_token, ec_key("cluster-ec"), "researcher"),
    ],
)
async def test_each_key_of_the_platform_will_do(world: World, make: Maker, key: SigningKey, agent: str) -> None:
    assert await verdict(world, make(world, key=key)) == agent


@pytest.mark.parametrize(("make", "agent"), BOTH)
async def test_it_is_good_again_and_again_until_it_ends(world: World, make: Maker, agent: str) -> None:
    """Platforms keep their tokens and hand them out again, those with a `jti` too."""
    token = make(world, jti="one", exp=world.clock.now + 300)
    for _ in range(3):
        assert await verdict(world, token) == agent
    world.clock.now += 329
    assert await verdict(world, token) == agent
    world.clock.now += 1
    assert (await verdict(world, token)).endswith("has expired")


@pytest.mark.parametrize(("make", "agent"), BOTH)
@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "at+jwt"}, {}),
        ({"typ": "actor+jwt"}, {}),
        ({"typ": "client-authentication+jwt"}, {}),
        ({"typ": "kb+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": ""}, {}),
        ({"typ": 1}, {}),
        ({"alg": "none"}, {}),
        ({"alg": "HS256"}, {}),
        ({"alg": "PS256"}, {}),
        ({"alg": "Ed25519"}, {}),
        ({"alg": ABSENT}, {}),
        ({"kid": ABSENT}, {}),
        ({"kid": "other"}, {}),
        ({"kid": ["spire"]}, {}),
        ({"jwk": {}}, {}),
        ({"jku": "https://evil.example"}, {}),
        ({"x5c": ["MIIB"]}, {}),
        ({"crit": ["exp"]}, {}),
        ({"cty": "JWT"}, {}),
        ({}, {"sub": ABSENT}),
        ({}, {"sub": 7}),
        ({}, {"sub": "planner"}),
        ({}, {"sub": "nobody"}),
    ],
)
async def test_what_the_platform_did_not_sign_for_an_agent_gets_the_answer_of_a_wrong_secret(
    world: World, make: Maker, agent: str, header: Members, claims: Members
) -> None:
    assert await verdict(world, make(world, header=header, **claims)) == GENERIC
    assert await verdict(world, make(world)) == agent


@pytest.mark.parametrize("change", ["/x", "/", "?", "#", "x"])
async def test_a_name_is_compared_byte_for_byte(world: World, change: str) -> None:
    assert await verdict(world, svid(world, sub=PLANNER + change)) == GENERIC
    assert await verdict(world, account_token(world, sub=RESEARCHER + change)) == GENERIC
    assert await verdict(world, svid(world)) == "planner"


@pytest.mark.parametrize(
    "sub",
    [
        "spiffe://EXAMPLE.org/ns/agents/sa/planner",
        "Spiffe://example.org/ns/agents/sa/planner",
        "spiffe://example.org//ns/agents/sa/planner",
        "spiffe://example.org/ns/agents/sa/./planner",
        "spiffe://example.org/ns/agents/sa/x/../planner",
        "spiffe://example.org/ns/agents/sa/pl%61nner",
        "spiffe://example.org:443/ns/agents/sa/planner",
        "spiffe://example.org",
        "spiffe://other.org/ns/agents/sa/planner",
    ],
)
async def test_no_other_spelling_of_a_spiffe_id_is_the_agent(world: World, sub: str) -> None:
    assert await verdict(world, svid(world, sub=sub)) == GENERIC
    assert await verdict(world, svid(world)) == "planner"


@pytest.mark.parametrize(("make", "agent"), BOTH)
@pytest.mark.requirement("ASSERTION-SIGNED")
async def test_another_key_a_changed_text_and_another_client_get_it_too(world: World, make: Maker, agent: str) -> None:
    good = make(world)
    head, payload, signature = good.split(".")
    kid = "spire" if make is svid else "cluster"

    assert await verdict(world, make(world, key=ec_key("stranger"), header={"kid": kid})) == GENERIC
    assert await verdict(world, f"{head}.{payload}.{signature[:-4]}AAAA") == GENERIC
    assert await verdict(world, good + "=") == GENERIC
    assert await verdict(world, good, body_client_id="fetcher") == GENERIC
    assert await verdict(world, good, body_client_id="") == GENERIC
    assert await verdict(world, make(world, padding="x" * 9000)) == GENERIC
    assert await verdict(world, good) == agent


@pytest.mark.parametrize("key", [ec_key("other-spire"), rsa_key("cluster"), ec_key("service"), ec_key("idp")])
async def test_only_the_keys_of_its_own_trust_domain_speak_for_a_workload(world: World, key: SigningKey) -> None:
    assert await verdict(world, svid(world, key=key)) == GENERIC
    assert await verdict(world, svid(world)) == "planner"


@pytest.mark.parametrize("key", [rsa_key("other-cluster"), ec_key("spire"), ec_key("service"), ec_key("idp")])
async def test_only_the_keys_of_its_own_cluster_speak_for_an_account(world: World, key: SigningKey) -> None:
    assert await verdict(world, account_token(world, key=key)) == GENERIC
    assert await verdict(world, account_token(world)) == "researcher"


async def test_the_same_account_of_another_cluster_is_another_workload(world: World) -> None:
    theirs = account_token(world, key=rsa_key("other-cluster"), iss=OTHER_CLUSTER)
    assert await verdict(world, theirs) == GENERIC

    moved = await make_platform_world(researcher={"workload": WorkloadName(platform=OTHER_CLUSTER, sub=RESEARCHER)})
    assert await verdict(moved, theirs) == "researcher"
    assert await verdict(moved, account_token(moved)) == GENERIC


@pytest.mark.parametrize("iss", [ABSENT, 7, CLUSTER + "/", "https://KUBERNETES.default.svc.cluster.local", ISSUER])
async def test_a_cluster_is_known_by_its_exact_name(world: World, iss: object) -> None:
    assert await verdict(world, account_token(world, iss=iss)) == GENERIC
    assert await verdict(world, account_token(world)) == "researcher"


@pytest.mark.parametrize(
    ("make", "agent", "members"),
    [
        (svid, "planner", {"planner": {"enabled": False}}),
        (svid, "planner", {"planner": {"auth": AuthMethod.CLIENT_SECRET_BASIC}}),
        (svid, "planner", {"planner": {"workload": None}}),
        (account_token, "researcher", {"researcher": {"enabled": False}}),
        (account_token, "researcher", {"researcher": {"auth": AuthMethod.SPIFFE_JWT}}),
    ],
)
async def test_disabled_or_registered_otherwise_is_not_told_from_unknown(
    make: Maker, agent: str, members: dict[str, Members]
) -> None:
    other, usual = await make_platform_world(**members), await make_platform_world()

    assert await verdict(other, make(other)) == GENERIC
    assert await verdict(usual, make(usual)) == agent


async def test_a_trust_domain_that_is_not_registered_vouches_for_nobody(world: World) -> None:
    bare = world.but(
        registry=Registry(agents=world.registry.agents.values(), resources=[], issuers=[], platforms=platforms()[1:])
    )

    assert await verdict(bare, svid(bare)) == GENERIC
    assert await verdict(bare, account_token(bare)) == "researcher"


AUDIENCES: list[object] = [
    ABSENT,
    None,
    [],
    {},
    7,
    CRM,
    ISSUER + "/",
    [ISSUER, CRM],
    [ISSUER, ISSUER],
    [[ISSUER]],
    [CRM],
]


@pytest.mark.parametrize(("make", "agent"), BOTH)
@pytest.mark.parametrize("aud", AUDIENCES)
async def test_it_is_for_this_service_alone(world: World, make: Maker, agent: str, aud: object) -> None:
    assert (await verdict(world, make(world, aud=aud))).endswith("is this service's issuer alone")
    assert await verdict(world, make(world)) == agent


@pytest.mark.parametrize(("make", "agent"), BOTH)
@pytest.mark.parametrize("name", ["act", "azp", "client_id", "cnf", "grant_chain", "may_act", "scope"])
async def test_claims_of_other_tokens_are_refused(world: World, make: Maker, agent: str, name: str) -> None:
    assert (await verdict(world, make(world, **{name: "x"}))).endswith("belongs to another kind of token")
    assert await verdict(world, make(world)) == agent


TIMES = [
    (svid, {"exp": ABSENT}, f"exp {AN_INTEGER}"),
    (svid, {"exp": "1900000300"}, f"exp {AN_INTEGER}"),
    (svid, {"exp": 1900000300.5}, f"exp {AN_INTEGER}"),
    (svid, {"iat": True}, f"iat {AN_INTEGER}"),
    (svid, {"nbf": None}, f"nbf {AN_INTEGER}"),
    (account_token, {"exp": ABSENT}, f"exp {AN_INTEGER}"),
    (account_token, {"iat": ABSENT}, f"iat {AN_INTEGER}"),
    (account_token, {"nbf": ABSENT}, f"nbf {AN_INTEGER}"),
]


@pytest.mark.parametrize(("make", "claims", "problem"), TIMES)
async def test_a_token_without_its_times_is_refused(world: World, make: Maker, claims: Members, problem: str) -> None:
    assert await verdict(world, make(world, **claims)) == problem
    assert await verdict(world, make(world)) in {"planner", "researcher"}


@pytest.mark.parametrize(
    ("iat_s", "exp_s", "nbf_s", "problem"),
    [
        (-60, -30, None, "the JWT-SVID has expired"),
        (-60, -29, None, None),
        (30, 90, None, None),
        (31, 90, None, "the JWT-SVID is not valid yet"),
        (0, 90, 30, None),
        (0, 90, 31, "the JWT-SVID is not valid yet"),
        (0, 3600, None, None),
        (0, 3601, None, "the JWT-SVID lives longer than 3600 s"),
        (-10, 3591, None, "the JWT-SVID lives longer than 3600 s"),
        (None, 3600, None, None),
        (None, 3630, None, None),
        (None, 3631, None, "the JWT-SVID is not valid yet"),
    ],
)
@pytest.mark.requirement("ASSERTION-TIME")
async def test_times_are_kept_with_the_leeway(
    world: World, iat_s: int | None, exp_s: int, nbf_s: int | None, problem: str | None
) -> None:
    now = world.clock.now
    at: Members = {"iat": ABSENT if iat_s is None else now + iat_s, "nbf": ABSENT if nbf_s is None else now + nbf_s}

    assert await verdict(world, svid(world, exp=now + exp_s, **at)) == (problem or "planner")


async def test_how_long_a_token_may_live_is_the_platforms_setting() -> None:
    short, long = await make_platform_world(max_lifetime_s=600), await make_platform_world(max_lifetime_s=86_400)
    a_day: Members = {"exp": long.clock.now + 86_400}

    assert await verdict(short, account_token(short)) == "the service account token lives longer than 600 s"
    assert await verdict(short, account_token(short, exp=short.clock.now + 600)) == "researcher"
    assert await verdict(long, account_token(long, **a_day)) == "researcher"
    assert await verdict(long, svid(long, **a_day)) == "planner"


async def test_the_token_of_a_secret_is_refused(world: World) -> None:
    """The legacy one: it never ends, and is for everybody."""
    legacy: Members = {
        "kubernetes.io/serviceaccount/namespace": "agents",
        "kubernetes.io/serviceaccount/secret.name": "researcher-token-x",
        "kubernetes.io/serviceaccount/service-account.name": "researcher",
    }
    without: Members = dict.fromkeys(("aud", "exp", "iat", "nbf", "jti", "kubernetes.io"), ABSENT)

    assert await verdict(world, account_token(world, **{**without, **legacy, "iss": CLUSTER})) == (
        "aud of the service account token is this service's issuer alone"
    )
    assert await verdict(world, account_token(world, **{**without, **legacy, "iss": "kubernetes/serviceaccount"})) == (
        GENERIC
    )
    assert await verdict(world, account_token(world, **{**without, "aud": [ISSUER]})) == f"exp {AN_INTEGER}"
    assert await verdict(world, account_token(world, **legacy)) == "researcher"


@pytest.mark.parametrize(
    "claim",
    [
        None,
        "agents",
        {},
        {"namespace": "agents"},
        {"serviceaccount": {"name": "researcher"}},
        {"namespace": "other", "serviceaccount": {"name": "researcher"}},
        {"namespace": "agents", "serviceaccount": {"name": "fetcher"}},
        {"namespace": "agents", "serviceaccount": "researcher"},
        {"namespace": ["agents"], "serviceaccount": {"name": "researcher"}},
        {"namespace": "agents", "serviceaccount": {"name": None}},
    ],
)
async def test_what_the_cluster_says_besides_agrees_with_sub(world: World, claim: object) -> None:
    problem = "kubernetes.io and sub of the service account token name different accounts"
    agreeing: Members = {"namespace": "agents", "serviceaccount": {"name": "researcher"}}

    assert await verdict(world, account_token(world, **_besides(claim))) == problem
    assert await verdict(world, account_token(world, **_besides(agreeing))) == "researcher"


def _besides(claim: object) -> Members:
    return {"kubernetes.io": claim}


async def test_a_cluster_writes_jwt_or_nothing_as_the_type(world: World) -> None:
    assert await verdict(world, account_token(world, header={"typ": "JOSE"})) == GENERIC
    assert await verdict(world, svid(world, header={"typ": "JOSE"})) == "planner"
    assert await verdict(world, account_token(world, header={"typ": "JWT"})) == "researcher"


async def test_the_assertion_type_of_spiffe_is_for_svids(world: World) -> None:
    assert await verdict(world, account_token(world), is_svid=True) == GENERIC
    assert await verdict(world, account_token(world)) == "researcher"


@pytest.mark.parametrize("twice", ['"sub":"spiffe://example.org/x",', '"aud":["https://else.example"],'])
async def test_json_is_read_strictly(world: World, twice: str) -> None:
    now = world.clock.now
    claims = f'"sub":"{PLANNER}","aud":["{ISSUER}"],"exp":{now + 300},"iat":{now}'
    header = {"alg": "ES256", "kid": "spire"}

    assert await verdict(world, seal(header, f"{{{twice}{claims}}}".encode(), ec_key("spire"))) == GENERIC
    assert await verdict(world, seal(header, f"{{{claims}}}".encode(), ec_key("spire"))) == "planner"


class _Unreachable:
    """Implements `parties.IssuerKeys` for a platform that is down."""

    async def find(self, kid: str) -> PublicKey | None:
        assert kid
        raise Unavailable("the key set of the issuer cannot be had at the moment")


async def test_while_the_keys_cannot_be_had_nobody_learns_who_is_registered(world: World) -> None:
    down = [replace(platform, keys=_Unreachable()) for platform in platforms()]
    agents = world.registry.agents.values()
    broken = world.but(registry=Registry(agents=agents, resources=[], issuers=[], platforms=down))

    for token in (svid(world), svid(world, sub="spiffe://example.org/nobody"), account_token(world)):
        with pytest.raises(Unavailable):
            await verdict(broken, token)
    # What no platform could have made is refused all the same.
    assert await verdict(broken, svid(world, sub="spiffe://unheard.example/x")) == GENERIC
    assert await verdict(world, svid(world)) == "planner"


async def test_the_log_names_the_agent_whose_workload_is_claimed(world: World) -> None:
    forged = svid(world, key=ec_key("stranger"))
    agent = claimed_agent(forged, world.registry)

    assert agent is not None
    assert agent.id == "planner"
    assert claimed_agent(svid(world, sub="spiffe://example.org/x"), world.registry) is None
    assert claimed_agent("x", world.registry) is None


@pytest.mark.parametrize("agent_id", [PLANNER, "spiffe://example.org/elsewhere"])
async def test_an_agent_with_a_key_may_be_called_by_a_spiffe_id(agent_id: str) -> None:
    """Whose key is registered under a name proves itself by that key, and what a trust domain signs is not that."""
    world = await make_platform_world()
    fetcher = world.registry.agents["fetcher"]
    key = KeySet([ed_key("fetcher").public])
    by_key = replace(fetcher, id=agent_id, auth=AuthMethod.PRIVATE_KEY_JWT, secret_sha256=(), keys=key)
    registry = Registry(agents=[by_key], resources=[], issuers=[], platforms=platforms())
    named = world.but(registry=registry)
    now = world.clock.now
    own = {"iss": agent_id, "sub": agent_id, "aud": ISSUER, "jti": "1", "exp": now + 60}

    assert await verdict(named, svid(world, sub=agent_id)) == GENERIC
    assert await verdict(named, seal({"alg": "Ed25519"}, own, ed_key("fetcher")), is_svid=True) == GENERIC
    assert await verdict(named, seal({"alg": "Ed25519"}, own, ed_key("fetcher"))) == agent_id


@given(st.dictionaries(st.sampled_from(["sub", "aud", "exp", "iat", "nbf", "iss"]), st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.just([ISSUER]),
    st.just(ISSUER), st.just(PLANNER), st.lists(st.just(ISSUER), max_size=3)), min_size=1))  # fmt: skip
async def test_only_what_is_right_in_every_claim_is_the_agent(changes: Members) -> None:
    world = await make_platform_world()
    now = world.clock.now
    found = await verdict(world, svid(world, **changes))

    claims = {"aud": [ISSUER], "exp": now + 300, "iat": now, "sub": PLANNER, **changes}
    if found == "planner":
        assert claims["sub"] == PLANNER
        assert claims["aud"] in (ISSUER, [ISSUER])
        assert all(type(claims[name]) is int for name in ("exp", "iat", "nbf") if name in claims)
        assert now < claims["exp"] + 30
