"""Attacks on token services that are seen elsewhere, as far as no other test here is about that very one."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.exchange.parties import CRM, FILES, IDP, ISSUER, TERMS, agent, identity_provider, make_registry
from tests.exchange.places import REFUSED, Good, Place, judged, registry_by_key
from tests.exchange.world import FixedSigner, World, claims_of, form, make_world
from tests.simulator import ABSENT, NOW, Members, Simulator, assemble, b64, ec_key, encode
from tokensvc.core.details import parse_details
from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.operate import OperatorService
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, JWT_TYPE
from tokensvc.ports import Committed, OneTimeValue, Store
from tokensvc.storage.loss import LossRule
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.sqlite import SqliteStore

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
INVALID = OAuthError.INVALID_REQUEST
everywhere = pytest.mark.parametrize("place", Place, ids=lambda place: place.name)


@pytest.fixture
async def world() -> World:
    return await make_world(registry=registry_by_key())


# What a JWT may look like, at each place that takes one.


@everywhere
@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: text.decode().encode("utf-16-le"),
        lambda text: text + b"x",
        lambda text: text + b"\0",
        lambda text: text + text,
        lambda text: b"[" + text + b"]",
        lambda _: b"[]",
        lambda text: b'"' + b64(text).encode() + b'"',
        lambda _: b"1",
        lambda _: b"",
        lambda text: text[:-1],
        lambda text: text[:-1] + b',"x":NaN}',
        lambda text: text[:-1] + b',"x":-Infinity}',
        lambda text: text[:-1] + b',"x":1e999}',
        lambda text: text[:-1] + b',"x":9007199254740993}',
        lambda text: text[:-1] + b',"x":"\\ud800"}',
        lambda text: text[:-1] + b',"x":"\xff"}',
        lambda text: text[:-1] + b',"x":' + b"[" * 200 + b"]" * 200 + b"}",
        lambda text: text[:-1] + b',"sub":"admin"}',
        lambda text: b'{"iss":"https://admin.example",' + text[1:],
    ],
)
async def test_claims_that_are_no_strict_json_object_are_refused(
    world: World, place: Place, change: Callable[[bytes], bytes]
) -> None:
    good = await Good.at(place, world)

    assert await judged(world, place, good.seal(claims=change(encode(good.claims)))) == REFUSED[place]
    assert await judged(world, place, good.seal(claims=b" " + encode(good.claims)[:-1] + b',"x":[1]} \n')) is None


@everywhere
@pytest.mark.parametrize(
    "header",
    [
        {"crit": []},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"jwk": ec_key("evil").public.jwk()},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "file:///etc/passwd"},
        {"x5c": ["MII"]},
        {"zip": "DEF"},
        {"kid": "../../../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": "https://evil.example/key"},
        {"kid": ""},
        {"kid": ["planner", "idp", "service"]},
        {"alg": "none"},
        {"alg": "es256"},
        {"alg": "ES384"},
        {"alg": "EdDSA"},
        {"alg": ["ES256"]},
        {"alg": ABSENT},
    ],
)
async def test_a_header_that_changes_how_a_token_is_read_is_refused(
    world: World, place: Place, header: Members
) -> None:
    good = await Good.at(place, world)

    assert await judged(world, place, good.seal(header=header)) == REFUSED[place]
    assert await judged(world, place, good.seal()) is None


@everywhere
@pytest.mark.parametrize(
    "typ",
    [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "oauth-id-jag+jwt",
        "statuslist+jwt",
        "token-introspection+jwt",
        "delegation-root+jwt",
        "delegation-grant+jwt",
        "revocations+jwt",
        "kb+jwt",
        "JOSE",
        "",
        "application/",
    ],
)
async def test_a_jwt_of_another_kind_is_refused_by_its_type_whatever_it_claims(
    world: World, place: Place, typ: str
) -> None:
    good = await Good.at(place, world)

    assert await judged(world, place, good.seal(header={"typ": typ})) == REFUSED[place]
    assert await judged(world, place, good.seal()) is None


@pytest.mark.parametrize("made_for", Place, ids=lambda place: place.name)
@everywhere
@pytest.mark.requirement("TE-VALIDATE-TYPE")
async def test_what_is_good_at_one_place_is_nothing_at_another(world: World, place: Place, made_for: Place) -> None:
    # Both subject tokens stand at one place, where the issuer tells them apart.
    others = frozenset(Place) - ({Place.USER, Place.OWN} if place in {Place.USER, Place.OWN} else {place})
    token = (await Good.at(made_for, world)).seal()

    if made_for in others:
        assert await judged(world, place, token) == REFUSED[place]
    assert await judged(world, made_for, token) is None


def twin(token: str) -> str:
    """The same token with the other signature that everybody can make of an ECDSA signature: s, or the order less s."""
    signing_input, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = P256_ORDER - int.from_bytes(raw[32:])
    return f"{signing_input}.{b64(raw[:32] + s.to_bytes(32))}"


def der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


@everywhere
@pytest.mark.parametrize(
    "change",
    [
        der,
        lambda _: b"",
        lambda _: b"\0" * 64,
        lambda raw: raw[:32] + b"\0" * 32,
        lambda raw: raw[:63],
        lambda raw: raw + b"\0",
        lambda raw: raw[32:] + raw[:32],
        lambda raw: raw[:32] + P256_ORDER.to_bytes(32),
    ],
    ids=["DER", "none", "zeros", "s is 0", "short", "long", "swapped", "s is the order"],
)
@pytest.mark.requirement("ASSERTION-SIGNED")
async def test_a_signature_of_another_form_is_refused(
    world: World, place: Place, change: Callable[[bytes], bytes]
) -> None:
    good = await Good.at(place, world)
    signing_input, _, signature = good.seal().rpartition(".")
    changed = b64(change(base64.urlsafe_b64decode(signature + "==")))

    assert await judged(world, place, f"{signing_input}.{changed}") == REFUSED[place]
    assert await judged(world, place, twin(good.seal())) is None


@everywhere
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
async def test_a_public_key_is_no_shared_secret(world: World, place: Place, alg: str) -> None:
    good = await Good.at(place, world)
    signing_input = f"{b64(encode({**good.header, 'alg': alg}))}.{b64(encode(good.claims))}"
    public = good.key.public.key.public_key
    jwk = encode(good.key.public.jwk())
    for secret in (public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), jwk, b""):
        tag = hmac.digest(secret, signing_input.encode(), getattr(hashlib, f"sha{alg[2:]}"))
        assert await judged(world, place, f"{signing_input}.{b64(tag)}") == REFUSED[place]
    assert await judged(world, place, good.seal()) is None


@everywhere
@pytest.mark.parametrize("alg", ["RSA1_5", "ECDH-ES", "dir", "PBES2-HS256+A128KW"])
async def test_an_encrypted_token_is_none(world: World, place: Place, alg: str) -> None:
    good = await Good.at(place, world)
    header = b64(encode({**good.header, "alg": alg, "enc": "A128GCM", "p2c": 10**9, "zip": "DEF"}))
    payload = b64(encode(good.claims))

    for parts in ((header, b64(b"\0" * 32), b64(b"\0" * 12), payload, "AA"), (header, payload, b64(b"\0" * 64))):
        assert await judged(world, place, ".".join(parts)) == REFUSED[place]
    assert await judged(world, place, good.seal()) is None


class CountedKeys(KeySet):
    """Counts how often somebody looks for a key, which nobody does but to verify a signature."""

    def __init__(self, *keys: PublicKey) -> None:
        super().__init__(keys)
        self.looked = 0

    def find(self, kid: str) -> PublicKey | None:
        self.looked += 1
        return super().find(kid)

    def __iter__(self) -> Iterator[PublicKey]:
        self.looked += 1
        return super().__iter__()


class CountedSigner(FixedSigner):
    """A signer whose public keys are counted."""

    def __init__(self) -> None:
        super().__init__(ec_key("service"))
        self.counted = CountedKeys(ec_key("service").public)

    def public_keys(self) -> KeySet:
        return self.counted


class CountedProvider:
    """Implements `IssuerKeys` over counted keys."""

    def __init__(self) -> None:
        self.counted = CountedKeys(ec_key("idp").public)

    async def find(self, kid: str) -> PublicKey | None:
        return self.counted.find(kid)


def nested(name: str, levels: int) -> bytes:
    return f'{{"{name}":'.encode() * levels + b"1" + b"}" * levels


@everywhere
async def test_what_is_too_large_or_too_deep_is_refused_before_any_signature_work(place: Place) -> None:
    provider, signer, keys = CountedProvider(), CountedSigner(), CountedKeys(ec_key("planner").public)
    registry = registry_by_key(keys, provider=identity_provider())
    upstream = replace(registry.issuers[IDP], keys=provider)
    registry = Registry(agents=registry.agents.values(), resources=registry.resources.values(), issuers=[upstream])
    world = replace(await make_world(registry=registry), signer=signer)
    good = await Good.at(place, world)
    iss = f'"iss":"{good.claims["iss"]}","sub":"{good.claims["sub"]}",'.encode()
    payloads = [
        b"{" + iss + b'"act":' + nested("act", 10_000) + b"}",
        b"{" + iss + b'"x":"' + b"x" * 1_000_000 + b'"}',
        # Small enough to be read, and read strictly. An actor token of that size is its own client's to sign.
        *([b"{" + iss + b'"act":' + nested("act", 500) + b"}"] if place is not Place.ACTOR else []),
    ]

    def looked() -> int:
        return {Place.USER: provider.counted, Place.OWN: signer.counted}.get(place, keys).looked

    before = looked()
    for payload in payloads:
        assert await judged(world, place, assemble(good.header, payload, b"\0" * 64)) == REFUSED[place]
    for text in ("." * 1_000_000, "a" * 200_000, b64(nested("alg", 3_000)) + ".e30.AA"):
        assert await judged(world, place, text) == REFUSED[place]
    assert looked() == before
    assert await judged(world, place, good.seal()) is None
    assert looked() > before


@everywhere
@pytest.mark.parametrize("token_type", [ACCESS_TOKEN_TYPE, JWT_TYPE])
async def test_a_token_that_is_no_jwt_is_refused_by_either_type(world: World, place: Place, token_type: str) -> None:
    for opaque in ("2YotnFZFEjr1zCsicMWpAA", "ya29.a0AfH6SMBx", "null", "{}", b64(b"\0" * 300)):
        assert await judged(world, place, opaque) == REFUSED[place]
        request = world.starting(opaque, subject_token_type=token_type)
        assert await world.verdict("planner", request) == REFUSED[Place.USER]
    assert await judged(world, place, (await Good.at(place, world)).seal()) is None


@everywhere
async def test_only_access_tokens_of_ours_are_introspected_and_revoke_anything(world: World, place: Place) -> None:
    good = await Good.at(place, world)
    foreign = [good.seal(header={"typ": typ}) for typ in ("JWT", "dpop+jwt", "oauth-id-jag+jwt", "statuslist+jwt")]
    stored = list(world.store.records)

    for token in [*foreign, *([] if place is Place.OWN else [good.seal()])]:
        assert await world.introspect(token, "planner") == {"active": False}
        await world.revoke(token, "planner")
    assert world.store.records == stored
    own = await world.start()
    assert await world.is_active(own)
    await world.revoke(own, "planner")
    assert not await world.is_active(own)


# Nothing is keyed on the bytes of a token.


async def test_the_twin_of_a_users_token_does_not_start_again_what_was_revoked(world: World) -> None:
    user_token = world.user_token()
    assert twin(twin(user_token)) == user_token
    first = await world.exchange("planner", world.starting(user_token))
    assert await world.verdict("planner", world.starting(twin(user_token))) is None
    operator = OperatorService(terms=world.terms, store=world.store, clock=world.clock)
    await operator.revoke("entry", world.read(first.access_token).lineage, operator="ops")

    for same in (user_token, twin(user_token)):
        assert await world.verdict("planner", world.starting(same)) == (INVALID, Reason.REVOKED)
    assert await world.verdict("planner", world.starting(world.user_token(jti="another login"))) is None


async def test_the_twin_of_a_token_of_ours_is_revoked_with_it(world: World) -> None:
    token = await world.start()
    assert await world.verdict("planner", world.renewal(twin(token))) is None
    await world.revoke(twin(token), "planner")

    for same in (token, twin(token)):
        assert await world.verdict("planner", world.renewal(same)) == (INVALID, Reason.REVOKED)
        assert not await world.is_active(same)


@pytest.mark.parametrize("place", [Place.ACTOR, Place.ASSERTION], ids=lambda place: place.name)
async def test_the_twin_of_what_is_used_once_is_a_replay(world: World, place: Place) -> None:
    token = (await Good.at(place, world)).seal()
    assert await judged(world, place, token) is None

    assert await judged(world, place, twin(token)) == REFUSED[place]
    assert await judged(world, place, twin((await Good.at(place, world)).seal())) is None


# Replay: what is used once stays used.


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("place", [Place.ACTOR, Place.ASSERTION], ids=lambda place: place.name)
async def test_a_restart_between_two_uses_is_no_second_use(tmp_path: Path, place: Place, kind: str) -> None:
    async def started() -> World:
        rule = LossRule(issuer=ISSUER, upstream=(IDP,), leeway_s=TERMS.leeway_s, clock=lambda: now)
        store: Store = MemoryStore(rule) if kind == "memory" else SqliteStore(tmp_path / "tokensvc.db", rule)
        world = await make_world(store, registry=registry_by_key())
        world.clock.now = now
        return world

    now = NOW
    world = await started()
    token = (await Good.at(place, world)).seal()
    assert await judged(world, place, token) is None
    await world.store.close()

    now += 2
    world = await started()
    assert await judged(world, place, token) == REFUSED[place]
    assert await judged(world, place, (await Good.at(place, world)).seal()) is None
    await world.store.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_first_of_a_hundred_thousand_is_still_a_replay(tmp_path: Path, kind: str) -> None:
    rule = LossRule(issuer=ISSUER, upstream=(IDP,), leeway_s=TERMS.leeway_s, clock=lambda: NOW)
    store: Store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "tokensvc.db", rule)
    world = await make_world(store, registry=registry_by_key())
    token = (await Good.at(Place.ASSERTION, world)).seal()
    assert await judged(world, Place.ASSERTION, token) is None
    for group in range(101):
        values = [f"client_assertion other {group}-{number}" for number in range(1000)]
        claims = tuple(OneTimeValue(value=value, until=NOW + 390, made=NOW) for value in values)
        assert await store.claim(claims, now=NOW) is Committed.STORED

    assert await judged(world, Place.ASSERTION, token) == REFUSED[Place.ASSERTION]
    assert await judged(world, Place.ASSERTION, (await Good.at(Place.ASSERTION, world)).seal()) is None
    await store.close()


# What a form may ask for.

SMUGGLED: Members = {
    "act": '{"sub":"admin"}',
    "may_act": '{"sub":"admin"}',
    "actor": "admin",
    "aud": "https://admin.example",
    "client_id": "mailer",
    "cnf": '{"jkt":"' + "x" * 43 + '"}',
    "delegation_chain": '["admin"]',
    "exp": "9999999999",
    "grant_chain": "[]",
    "iat": "1",
    "iss": "https://admin.example",
    "jti": "A" * 22,
    "login_hint": "admin",
    "max_depth": "9",
    "parent": "A" * 22,
    "sub": "admin",
    "username": "admin",
}


@pytest.mark.parametrize("shape", ["start", "delegate", "renew", "narrow", "accept"])
async def test_no_claim_comes_from_a_form_field_whatever_the_shape(shape: str) -> None:
    gateway = agent("gateway", "crm.read files.read", serves=frozenset({CRM}), downstream_resources=frozenset({FILES}))
    known = make_registry(planner={"may_delegate_to": frozenset({"researcher", "gateway"})})
    world = await make_world(
        registry=Registry(
            agents=[*known.agents.values(), gateway],
            resources=known.resources.values(),
            issuers=known.issuers.values(),
        )
    )
    first = await world.start()
    presented = await world.renew(first)
    requests: dict[str, tuple[str, Any]] = {
        "start": ("planner", world.starting()),
        "delegate": ("planner", world.delegation(first)),
        "renew": ("planner", world.renewal(first)),
        "narrow": ("planner", world.renewal(first, scope="crm.read")),
        "accept": ("gateway", form(presented, scope="files.read", resource=FILES)),
    }
    client, request = requests[shape]

    plain = await world.exchange(client, request)
    smuggled = await world.exchange(client, {**request, **{name: (value,) for name, value in SMUGGLED.items()}})

    assert world.store.records[-1].inputs["shape"] == shape
    assert _without_ids(smuggled.access_token) == _without_ids(plain.access_token)
    assert "admin" not in json.dumps(claims_of(smuggled.access_token))


def _without_ids(token: str) -> Members:
    claims = claims_of(token)
    entries = [
        {name: member for name, member in entry.items() if name not in {"jti", "parent"}}
        for entry in claims["grant_chain"]
    ]
    return {**claims, "jti": None, "grant_chain": entries}


async def test_a_subject_token_is_no_actor_token(world: World) -> None:
    actor = (await Good.at(Place.ACTOR, world)).seal()
    start, user_token = await world.start(), world.user_token()
    as_actor = {"actor_token_type": JWT_TYPE}

    for token in (start, user_token):
        own = form(token, requested_actor="planner", scope="crm.read", resource=CRM, actor_token=token, **as_actor)
        assert await world.verdict("planner", own) == REFUSED[Place.ACTOR]
        own["actor_token_type"] = (ACCESS_TOKEN_TYPE,)
        assert await world.verdict("planner", own) == (INVALID, Reason.PARAMETER_UNSUPPORTED)
    both = form(actor, scope="crm.read", resource=CRM, actor_token=actor, **as_actor)
    assert await world.verdict("planner", both) == REFUSED[Place.USER]
    renewal = world.renewal(start, actor_token=actor, **as_actor)
    assert await world.verdict("planner", renewal) is None


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("100", None),
        ("1e2", None),
        ("100.0", None),
        ("99.5", None),
        ("-1", None),
        ("101", Reason.ROOT_EXCEEDED),
        ("100.5", Reason.ROOT_EXCEEDED),
        ('"100"', Reason.MALFORMED),
        ("true", Reason.MALFORMED),
        ("null", Reason.MALFORMED),
        ("100.0000000000000001", Reason.MALFORMED),
        ("NaN", Reason.MALFORMED),
        ("-Infinity", Reason.MALFORMED),
        ("1e999", Reason.MALFORMED),
        ("9007199254740993", Reason.MALFORMED),
        ("\ufeff1", Reason.MALFORMED),
    ],
)
async def test_a_limit_that_is_asked_for_is_the_number_that_it_is(limit: str, expected: Reason | None) -> None:
    def details(number: str) -> str:
        constraint = f'{{"constraint_type":"range","max":{number}}}'
        return f'[{{"type":"attenuating_agent_token","tools":{{"pay":{{"amount":{constraint}}}}}}}]'

    ceiling = identity_provider(ceiling_details=parse_details(json.loads(details("100"))))
    world = await make_world(registry=make_registry(provider=ceiling))
    verdict = await world.verdict("planner", world.starting(authorization_details=details(limit)))

    assert verdict == (None if expected is None else (OAuthError.INVALID_AUTHORIZATION_DETAILS, expected))


@pytest.mark.parametrize("text", ["\ufeff[]", "[] []", "[]x", '"[]"', "{}", "[[]]"])
@pytest.mark.requirement("RAR-INVALID")
async def test_details_that_are_no_array_of_objects_are_refused(world: World, text: str) -> None:
    verdict = await world.verdict("planner", world.starting(authorization_details=text))

    assert verdict == (OAuthError.INVALID_AUTHORIZATION_DETAILS, Reason.MALFORMED)
    assert await world.verdict("planner", world.starting(authorization_details=" [ ] ")) is None


async def test_a_scope_that_is_registered_at_no_resource_is_never_granted() -> None:
    scopes = frozenset({"admin.all", "crm.read", "crm.write"})
    world = await make_world(registry=make_registry(planner={"scopes": scopes}, researcher={"scopes": scopes}))
    token = world.user_token(scope=" ".join(sorted(scopes)))
    for scope in ("admin.all", "admin.all crm.read"):
        verdict = await world.verdict("planner", world.starting(token, scope=scope))
        assert verdict == (OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED)
    first = await world.exchange("planner", world.starting(token, scope="crm.read"))

    assert claims_of(first.access_token)["grant_chain"][0]["scope"] == "crm.read crm.write"


# Whose a token is.


@pytest.mark.parametrize("iss", ["https://idp.ex\u0430mple", "HTTPS://idp.example", IDP + ":443", IDP + "/", f" {IDP}"])
async def test_an_identity_provider_is_known_by_its_exact_name(world: World, iss: str) -> None:
    good = await Good.at(Place.USER, world)

    assert await judged(world, Place.USER, good.seal(claims={**good.claims, "iss": iss})) == REFUSED[Place.USER]
    assert await judged(world, Place.USER, good.seal()) is None


@pytest.mark.parametrize(
    "names", [{"preferred_username": "admin"}, {"email": "admin@idp.example"}, {"username": "admin"}, {"uid": "admin"}]
)
async def test_a_user_is_who_iss_and_sub_say_and_nothing_else(world: World, names: Members) -> None:
    named = await world.exchange("planner", world.starting(world.user_token(**names)))
    other = await world.exchange("planner", world.starting(world.user_token(sub="user-2", **names)))

    assert [world.read(issued.access_token).sub for issued in (named, other)] == ["user-1", "user-2"]


@pytest.mark.parametrize(
    "change",
    [
        lambda chain, _: [chain[0], chain[2], chain[1], chain[3]],
        lambda chain, _: [chain[0], chain[1], chain[3], chain[2]],
        lambda chain, _: [chain[0], chain[1], chain[3]],
        lambda chain, _: [*chain, chain[3]],
        lambda chain, other: [*chain[:3], other[3]],
        lambda chain, other: [*chain[:2], *other[2:]],
        lambda chain, other: [other[0], *chain[1:]],
    ],
)
async def test_a_chain_that_was_taken_apart_and_put_together_otherwise_is_refused(
    world: World, change: Callable[[list[Members], list[Members]], list[Members]]
) -> None:
    _, _, token = await world.chain()
    _, _, other = await world.chain()
    claims = claims_of(token)
    by_us = Simulator(iss=ISSUER, key=ec_key("service"))

    async def judged_with(chain: list[Members]) -> object:
        forged = by_us.token({**claims, "grant_chain": chain})
        wanted = {"requested_actor": "fetcher", "scope": "crm.read files.read", "resource": CRM}
        return await world.verdict("fetcher", form(forged, **wanted))

    spliced = change(claims["grant_chain"], claims_of(other)["grant_chain"])
    assert await judged_with(spliced) == (INVALID, Reason.CHAIN_MISALIGNED)
    assert await judged_with(claims["grant_chain"]) is None
