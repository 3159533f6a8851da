"""Client authentication by `private_key_jwt` (RFC 7523 s3), and the actor token, which looks alike and is neither."""

from typing import Any

import pytest

from tests.exchange.parties import IDP, ISSUER, identity_provider, make_registry
from tests.exchange.world import World, claims_of, make_world
from tests.simulator import ABSENT, Members, ec_key, ed_key, rsa_key, seal
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.actor_token import verify_actor_token
from tokensvc.exchange.authenticate import ClientAssertion, ClientAuthenticator
from tokensvc.exchange.parties import AuthMethod
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, JWT_TYPE
from tokensvc.exchange.upstream_keys import UpstreamKeys

TOKEN_ENDPOINT = f"{ISSUER}/token"
GENERIC = "client authentication failed"
AUDIENCE = "aud of the client_assertion is this service's issuer alone, as a string"
BY_KEY: dict[str, Any] = {"auth": AuthMethod.PRIVATE_KEY_JWT, "secret_sha256": ()}


def registry_with(*keys: SigningKey, **members: Any) -> Registry:  # noqa: ANN401 - any field of Agent
    """planner authenticates by its key."""
    key_set = KeySet(key.public for key in keys or (ec_key("planner"),))
    return make_registry(planner={**BY_KEY, "keys": key_set, **members})


@pytest.fixture
async def world() -> World:
    return await make_world(registry=registry_with())


class Maker:
    """Makes JWTs that are right by default; every member may be changed, and left out with ABSENT."""

    typ: object = "JWT"

    def __init__(self, world: World, key: SigningKey | None = None) -> None:
        self.world = world
        self.key = key or ec_key("planner")
        self.made = 0

    def __call__(self, *, header: Members | None = None, **claims: object) -> str:
        self.made += 1
        now = self.world.clock.now
        plain: Members = {"iss": "planner", "sub": "planner", "aud": ISSUER, "jti": f"id-{self.made}"}
        times = {"iat": now, "exp": now + 60}
        members = {"typ": self.typ, "alg": str(self.key.alg), "kid": self.key.kid, **(header or {})}
        return seal(_present(members), _present({**plain, **times, **claims}), self.key)


class ActorTokens(Maker):
    typ = "actor+jwt"


def _present(members: Members) -> Members:
    return {name: member for name, member in members.items() if member is not ABSENT}


async def verdict(world: World, assertion: str, *, body_client_id: str | None = None) -> str | None:
    """Why the client is refused; None when it is planner."""
    authenticator = ClientAuthenticator(
        registry=world.registry, terms=world.terms, store=world.store, clock=world.clock
    )
    try:
        party = await authenticator.authenticate(ClientAssertion(assertion=assertion, body_client_id=body_client_id))
    except OAuthRefused as refusal:
        return refusal.description if refusal.error is OAuthError.INVALID_CLIENT else str(refusal)
    return None if party.client_id == "planner" else f"taken for {party.client_id}"


async def test_a_key_that_is_an_identity_providers_proves_no_agent() -> None:
    pinned = UpstreamKeys(pinned={IDP: KeySet([ec_key("idp").public])}, own=lambda: ())
    registered = KeySet([ec_key("planner").public, ec_key("idp").public])
    world = await make_world(registry=registry_with(keys=pinned.of_agent("planner", registered)))

    assert await verdict(world, Maker(world, ec_key("idp"))()) == GENERIC
    assert await verdict(world, Maker(world)()) is None
    unaware = await make_world(registry=registry_with(keys=registered))
    assert await verdict(unaware, Maker(unaware, ec_key("idp"))()) is None


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {}),
        ({"typ": ABSENT}, {}),
        ({"typ": "jwt"}, {}),
        ({"typ": "client-authentication+jwt"}, {}),
        ({"typ": "application/client-authentication+jwt"}, {}),
        ({"kid": ABSENT}, {}),
        ({}, {"iat": ABSENT}),
        ({}, {"nbf": 1}),
        ({}, {"jti": "x" * 256}),
        ({}, {"extra": {"anything": 1}}),
    ],
)
async def test_a_client_is_who_its_key_says(world: World, header: Members, claims: Members) -> None:
    assertion = Maker(world)(header=header, **claims)

    assert await verdict(world, assertion, body_client_id="planner") is None


@pytest.mark.parametrize(
    "key", [ec_key("planner"), ed_key("planner"), rsa_key("planner")], ids=["ES256", "Ed25519", "RS256"]
)
async def test_each_algorithm_will_do(key: SigningKey) -> None:
    world = await make_world(registry=registry_with(key))

    assert await verdict(world, Maker(world, key)()) is None


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "at+jwt"}, {}),
        ({"typ": "actor+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": "delegation-grant+jwt"}, {}),
        ({"typ": "delegation-root+jwt"}, {}),
        ({"typ": "logout+jwt"}, {}),
        ({"typ": 1}, {}),
        ({"alg": "none"}, {}),
        ({"alg": "HS256"}, {}),
        ({"alg": "RS256"}, {}),
        ({"kid": "other"}, {}),
        ({"kid": 1}, {}),
        ({"jwk": {}}, {}),
        ({"crit": ["b64"], "b64": False}, {}),
        ({}, {"sub": "nobody"}),
        ({}, {"sub": "researcher"}),
        ({}, {"sub": ABSENT}),
        ({}, {"sub": ["planner"]}),
    ],
)
async def test_what_the_agent_did_not_sign_as_an_assertion_gets_the_answer_of_a_wrong_secret(
    world: World, header: Members, claims: Members
) -> None:
    make = Maker(world)

    assert await verdict(world, make(header=header, **claims)) == GENERIC
    assert await verdict(world, make()) is None


@pytest.mark.requirement("ASSERTION-CLIENT-ID", "ASSERTION-SIGNED")
async def test_another_key_a_changed_text_and_another_client_get_it_too(world: World) -> None:
    make = Maker(world)
    good = make()
    head, payload, signature = good.split(".")

    assert await verdict(world, Maker(world, ec_key("researcher"))(header={"kid": "planner"})) == GENERIC
    assert await verdict(world, f"{head}.{payload}.{signature[:-4]}AAAA") == GENERIC
    assert await verdict(world, good + "=") == GENERIC
    assert await verdict(world, "foo") == GENERIC
    assert await verdict(world, "x" * 9000) == GENERIC
    assert await verdict(world, good, body_client_id="researcher") == GENERIC
    by_secret = world.but(registry=make_registry(planner={"keys": KeySet([ec_key("planner").public])}))
    assert await verdict(by_secret, good) == GENERIC
    disabled = world.but(registry=registry_with(enabled=False))
    assert await verdict(disabled, good) == GENERIC
    # None of these used it up.
    assert await verdict(world, good) is None


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"iss": "researcher"}, "iss and sub of the client_assertion are the client_id"),
        ({"iss": ABSENT}, "iss and sub of the client_assertion are the client_id"),
        ({"aud": TOKEN_ENDPOINT}, AUDIENCE),
        ({"aud": ISSUER + "/"}, AUDIENCE),
        ({"aud": [ISSUER]}, AUDIENCE),
        ({"aud": [ISSUER, "https://other.example"]}, AUDIENCE),
        ({"aud": {}}, AUDIENCE),
        ({"aud": ABSENT}, AUDIENCE),
        ({"jti": ABSENT}, "jti is a string that is not empty"),
        ({"jti": ""}, "jti is a string that is not empty"),
        ({"jti": 7}, "jti is a string that is not empty"),
        ({"jti": "x" * 257}, "jti has more than 256 characters"),
        ({"exp": ABSENT}, "exp is an integer that is not negative"),
        ({"exp": 1.5}, "exp is an integer that is not negative"),
        ({"iat": "1"}, "iat is an integer that is not negative"),
        ({"nbf": True}, "nbf is an integer that is not negative"),
        ({"azp": "planner"}, "the client_assertion has a claim that belongs to another kind of token"),
        ({"act": {"sub": "x"}}, "the client_assertion has a claim that belongs to another kind of token"),
        ({"scope": "x"}, "the client_assertion has a claim that belongs to another kind of token"),
    ],
)  # fmt: skip
@pytest.mark.requirement("ASSERTION-CLAIMS")
async def test_who_holds_the_key_is_told_what_is_wrong(world: World, claims: Members, problem: str) -> None:
    make = Maker(world)

    assert await verdict(world, make(**claims)) == problem
    assert await verdict(world, make()) is None


@pytest.mark.parametrize(
    ("iat_s", "exp_s", "problem"),
    [
        (-60, -30, "the client_assertion has expired"),
        (-60, -29, None),
        (30, 90, None),
        (31, 90, "the client_assertion is not valid yet"),
        (0, 300, None),
        (0, 301, "the client_assertion lives longer than 300 s"),
        (30, 330, None),
        (-100, 201, "the client_assertion lives longer than 300 s"),
        (ABSENT, 300, None),
        (ABSENT, 330, None),
        (ABSENT, 331, "the client_assertion is not valid yet"),
    ],
)
@pytest.mark.requirement("ASSERTION-TIME")
async def test_it_is_good_for_minutes(world: World, iat_s: Any, exp_s: int, problem: str | None) -> None:  # noqa: ANN401
    now = world.clock.now
    assertion = Maker(world)(iat=ABSENT if iat_s is ABSENT else now + iat_s, exp=now + exp_s)

    assert await verdict(world, assertion) == problem


class TestOptIns:
    """What some client libraries do and cannot be told otherwise."""

    async def test_the_token_endpoint_as_audience(self, world: World) -> None:
        assertion = Maker(world)(aud=TOKEN_ENDPOINT)
        lenient = world.but(registry=registry_with(accept_token_endpoint_audience=True))

        assert await verdict(world, assertion) is not None
        assert await verdict(lenient, assertion) is None
        assert await verdict(lenient, Maker(world)(jti="another")) is None
        assert await verdict(lenient, Maker(world)(jti="third", aud=f"{ISSUER}/revoke")) is not None

    async def test_an_hour(self, world: World) -> None:
        assertion = Maker(world)(exp=world.clock.now + 3600)

        assert await verdict(world, assertion) == "the client_assertion lives longer than 300 s"
        assert await verdict(world.but(registry=registry_with(max_assertion_lifetime_s=3600)), assertion) is None


class TestOnce:
    async def test_it_is_used_up_by_success_even_when_the_request_is_refused(self, world: World) -> None:
        assertion = Maker(world)()
        assert await verdict(world, assertion) is None

        assert await verdict(world, assertion) == "the client_assertion was used before; make one for each request"
        assert await verdict(world, Maker(world)(jti="fresh")) is None

    async def test_it_stays_used_up_for_as_long_as_it_could_pass(self, world: World) -> None:
        assertion = Maker(world)()
        assert await verdict(world, assertion) is None
        world.clock.now += 60 + 29

        assert await verdict(world, assertion) == "the client_assertion was used before; make one for each request"
        world.clock.now += 1
        assert await verdict(world, assertion) == "the client_assertion has expired"

    async def test_clients_do_not_use_up_each_others_ids(self) -> None:
        both = make_registry(
            planner={**BY_KEY, "keys": KeySet([ec_key("planner").public])},
            researcher={**BY_KEY, "keys": KeySet([ec_key("researcher").public])},
        )
        world = await make_world(registry=both)
        assert await verdict(world, Maker(world)(jti="1")) is None
        theirs = Maker(world, ec_key("researcher"))(iss="researcher", sub="researcher", jti="1")
        authenticator = ClientAuthenticator(registry=both, terms=world.terms, store=world.store, clock=world.clock)

        assert (
            await authenticator.authenticate(ClientAssertion(assertion=theirs, body_client_id=None))
        ).client_id == "researcher"

    async def test_two_keys_are_told_apart_by_kid(self) -> None:
        world = await make_world(registry=registry_with(ec_key("planner"), ec_key("planner's next")))
        for key in (ec_key("planner"), ec_key("planner's next")):
            assert await verdict(world, Maker(world, key)(jti=key.kid)) is None
        assert await verdict(world, Maker(world)(header={"kid": ABSENT})) == GENERIC


class TestActorToken:
    """Step 7: the client's own word, for one request."""

    @staticmethod
    def starting(world: World, actor_token: str, **parameters: Any) -> Any:  # noqa: ANN401 - form parameters
        return world.starting(actor_token=actor_token, **{"actor_token_type": JWT_TYPE, **parameters})

    async def test_it_confirms_the_client_and_bounds_the_token(self, world: World) -> None:
        token = ActorTokens(world)(exp=world.clock.now + 100)
        issued = await world.exchange("planner", self.starting(world, token))

        assert issued.expires_in == 100
        claims = claims_of(issued.access_token)
        assert claims["act"] == {"sub": "planner"}
        assert claims["grant_chain"][-1]["exp"] > claims["exp"]
        renewed = world.renewal(issued.access_token, actor_token=ActorTokens(world)(jti="r"), actor_token_type=JWT_TYPE)
        assert (await world.exchange("planner", renewed)).expires_in == 60

    async def test_it_is_used_once(self, world: World) -> None:
        request = self.starting(world, ActorTokens(world)())
        assert await world.verdict("planner", request) is None

        assert await world.verdict("planner", request) == (OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID)
        assert await world.verdict("planner", self.starting(world, ActorTokens(world)(jti="fresh"))) is None

    @pytest.mark.parametrize(
        ("header", "claims"),
        [
            ({"typ": ABSENT}, {}),
            ({"typ": "JWT"}, {}),
            ({"typ": "client-authentication+jwt"}, {}),
            ({"typ": "at+jwt"}, {}),
            ({"kid": "other"}, {}),
            ({}, {"iss": "researcher", "sub": "researcher"}),
            ({}, {"sub": "researcher"}),
            ({}, {"aud": TOKEN_ENDPOINT}),
            ({}, {"aud": [ISSUER]}),
            ({}, {"act": {"sub": "researcher"}}),
            ({}, {"may_act": {"sub": "researcher"}}),
            ({}, {"jti": ABSENT}),
            ({}, {"exp": ABSENT}),
        ],
    )
    async def test_anything_else_is_refused_alike(self, world: World, header: Members, claims: Members) -> None:
        make = ActorTokens(world)
        refusal = await world.refused("planner", self.starting(world, make(header=header, **claims)))

        assert (refusal.error, refusal.reason) == (OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID)
        assert refusal.description == "the actor_token is not acceptable"
        assert refusal.detail != ""
        assert await world.verdict("planner", self.starting(world, make())) is None

    async def test_the_word_of_another_agent_or_of_the_user_is_not_the_clients(self, world: World) -> None:
        both = make_registry(
            planner={**BY_KEY, "keys": KeySet([ec_key("planner").public])},
            researcher={**BY_KEY, "keys": KeySet([ec_key("researcher").public])},
        )
        world = world.but(registry=both)
        theirs = ActorTokens(world, ec_key("researcher"))(iss="researcher", sub="researcher")
        for borrowed in (theirs, world.user_token(), await world.start(), Maker(world)()):
            verdict = await world.verdict("planner", self.starting(world, borrowed))
            assert verdict == (OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID)
        assert await world.verdict("planner", self.starting(world, ActorTokens(world)(jti="own"))) is None

    async def test_it_is_not_looked_at_before_the_subject_token(self, world: World) -> None:
        token = ActorTokens(world)()
        stale = self.starting(world, token)
        stale["subject_token"] = (world.user_token(exp=1),)
        assert await world.verdict("planner", stale) == (
            OAuthError.INVALID_REQUEST,
            Reason.SUBJECT_TOKEN_INVALID,
        )
        assert await world.verdict("planner", self.starting(world, token)) is None

    async def test_an_identity_provider_may_say_it_where_it_is_registered_for_that(self, world: World) -> None:
        names: dict[str, Any] = {"upstream_client_ids": {IDP: "client-7"}}
        provider = identity_provider(actor_tokens=True)

        def starting(actor_token: str) -> Any:  # noqa: ANN401 - a form
            user_token = world.user_token(client_id="client-7")
            return world.starting(user_token, actor_token=actor_token, actor_token_type=JWT_TYPE)

        trusting = world.but(registry=make_registry(provider=provider, planner=names))
        make = ActorTokens(world, ec_key("idp"))
        said: Members = {"iss": IDP, "sub": "client-7"}
        token = make(exp=world.clock.now + 100, **said)
        assert (await trusting.exchange("planner", starting(token))).expires_in == 100

        refused = (OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID)
        assert await trusting.verdict("planner", starting(token)) == refused
        others = [
            make(**{**said, "sub": "planner"}),
            make(**{**said, "sub": "user-1"}),
            make(**said, act={"sub": "planner"}),
            make(**said, exp=world.clock.now + 400),
            make(**{**said, "aud": [ISSUER]}),
            make(header={"typ": "at+jwt"}, **said),
            make(header={"kid": ABSENT}, **said),
            make(header={"kid": "other"}, **said),
            ActorTokens(world, ec_key("planner"))(header={"kid": "idp"}, **said),
        ]
        for other in others:
            assert await trusting.verdict("planner", starting(other)) == refused
        fresh = make(jti="fresh", **said)
        without = world.but(registry=make_registry(planner=names))
        assert await without.verdict("planner", starting(fresh)) == refused
        assert await trusting.verdict("planner", starting(fresh)) is None

    @pytest.mark.parametrize(("algorithm", "is_taken"), [("ES256", True), ("RS256", False)])
    async def test_that_provider_signs_with_what_it_is_registered_with(
        self, world: World, algorithm: str, *, is_taken: bool
    ) -> None:
        provider = identity_provider(actor_tokens=True, algorithms=frozenset({algorithm}))
        registry = make_registry(provider=provider)
        token = ActorTokens(world, ec_key("idp"))(iss=IDP)
        client = registry.agents["planner"]
        try:
            await verify_actor_token(token, client=client, registry=registry, terms=world.terms, now=world.clock.now)
            taken = True
        except OAuthRefused as refusal:
            taken = refusal.reason is not Reason.ACTOR_TOKEN_INVALID

        assert taken is is_taken

    async def test_both_parameters_or_none_and_no_other_type(self, world: World) -> None:
        token = ActorTokens(world)()
        for parameters, reason in (
            ({"actor_token": token}, Reason.PARAMETER_MISSING),
            ({"actor_token_type": JWT_TYPE}, Reason.PARAMETER_MISSING),
            ({"actor_token": token, "actor_token_type": ACCESS_TOKEN_TYPE}, Reason.PARAMETER_UNSUPPORTED),
            ({"actor_token": token, "actor_token_type": JWT_TYPE}, None),
        ):
            verdict = await world.verdict("planner", world.starting(**parameters))
            assert verdict == (None if reason is None else (OAuthError.INVALID_REQUEST, reason))
