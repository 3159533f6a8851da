"""Starts with a root that an authority signed: what they give, and what is refused beside what is accepted."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.grants import INVALID as INVALID_GRANT
from tests.exchange.grants import Site
from tests.exchange.holders import holder, presented
from tests.exchange.parties import CRM, FILES, IDP, ISSUER, START_SCOPE, root_key
from tests.exchange.roots import (
    OTHER,
    PREFIX,
    ROOT_SCOPE,
    by,
    make_root_world,
    root_claims,
    sign,
    start,
    starting,
)
from tests.exchange.test_details import tools
from tests.exchange.watched import WatchedStore
from tests.exchange.world import World, claims_of
from tests.simulator import ABSENT, NOW, USER, Members, b64, ec_key, ed_key, jti, rsa_key, seal
from tokensvc.cli.record_view import chain_of
from tokensvc.core.authority import Order
from tokensvc.core.details import parse_details
from tokensvc.core.keyset import KeySet
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import OAuthError, Reason, Unavailable
from tokensvc.exchange.holder import NOTHING_PRESENTED, Presented
from tokensvc.exchange.operate import OperatorService
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.storage.loss import LossRule
from tokensvc.storage.sqlite import SqliteStore
from tokensvc.verify import Evidence, Expectation, LifetimeOnly, StaticKeys, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

INVALID = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
EXCEEDED = (OAuthError.INVALID_REQUEST, Reason.ROOT_EXCEEDED)
REVOKED = (OAuthError.INVALID_REQUEST, Reason.REVOKED)
UNPROVEN = (OAuthError.INVALID_REQUEST, Reason.HOLDER_UNPROVEN)
LEEWAY_S = 30
Verdict = tuple[OAuthError, Reason | None] | None


@pytest.fixture
async def world() -> World:
    return await make_root_world()


async def verdict(world: World, root: str, client: str = "planner", **parameters: Any) -> Verdict:  # noqa: ANN401
    """Error and reason for a start with `root` by `client`, which proves its own key."""
    prover = client if client in {"planner", "researcher", "fetcher"} else "planner"
    return await world.verdict(client, starting(root, **parameters), by(world, prover))


async def revoke(world: World, kind: str, name: str) -> None:
    service = OperatorService(terms=world.terms, store=world.store, clock=world.clock)
    await service.revoke(kind, name, operator="op")


async def test_the_root_stands_in_the_chain_byte_for_byte(world: World) -> None:
    claims = root_claims(world)
    root = sign(claims)
    issued = await world.exchange("planner", starting(root), by(world))

    entry, hop = claims_of(issued.access_token)["grant_chain"]
    assert entry == {"jws": root}
    assert hop == {
        "actor": "planner",
        "scope": START_SCOPE,
        "resources": [CRM, FILES],
        "max_depth": 4,
        "iat": NOW,
        "exp": NOW + 3600,
        "cnf": {"jkt": holder("planner").public.thumbprint},
        "jti": hop["jti"],
        "parent": claims["jti"],
    }
    verified = world.read(issued.access_token)
    assert (verified.sub, verified.lineage, verified.cnf) == (PREFIX + USER, claims["jti"], ("jkt", hop["cnf"]["jkt"]))
    assert verified.root_evidence is Evidence.AUTHORITY
    assert issued.token_type == "DPoP"


@pytest.mark.parametrize("key", [ed_key("root"), rsa_key("root"), ec_key("root")], ids=["Ed25519", "RS256", "ES256"])
async def test_an_authority_signs_with_any_algorithm(key: Any) -> None:  # noqa: ANN401 - a key
    holder_of_it = f"authority {IDP}"
    keys = UpstreamKeys(pinned={holder_of_it: KeySet([key.public])}, own=list).of(holder_of_it)
    world = await make_root_world(keys=keys)
    assert await verdict(world, sign(root_claims(world), key=key)) is None


async def test_what_stands_below_a_signed_root_is_delegated_renewed_accepted_told_and_revoked(world: World) -> None:
    first = (await start(world)).access_token
    second = (await world.exchange("planner", world.delegation(first), by(world))).access_token
    lease = (await world.exchange("researcher", world.renewal(second), by(world, "researcher"))).access_token
    narrowed = world.renewal(lease, scope="crm.read crm.write")
    less = (await world.exchange("researcher", narrowed, by(world, "researcher"))).access_token

    for token in (first, second, lease, less):
        assert world.read(token).root_evidence is Evidence.AUTHORITY
        assert world.read(token).sub == PREFIX + USER
        assert await world.is_active(token)
    await world.revoke(second, "planner")
    assert [await world.is_active(token) for token in (first, second, lease, less)] == [True, False, False, False]


async def test_a_server_goes_on_below_a_signed_root() -> None:
    world = await make_root_world()
    server: dict[str, Any] = {"serves": frozenset({CRM}), "downstream_resources": frozenset({FILES})}
    agents = world.registry.agents
    registry = type(world.registry)(
        agents=[
            *(one for one in agents.values() if one.id != "researcher"),
            replace(agents["researcher"], **server),
        ],
        resources=world.registry.resources.values(),
        issuers=world.registry.issuers.values(),
        authorities=world.registry.authorities.values(),
    )
    world = world.but(registry=registry)
    wanted = starting(sign(root_claims(world)), resource=[CRM, FILES])
    first = (await world.exchange("planner", wanted, by(world))).access_token
    lease = (await world.exchange("planner", world.renewal(first, resource=CRM), by(world))).access_token

    call = world.delegation(lease, requested_actor=None, scope="files.read", resource=FILES)
    issued = await world.exchange("researcher", call, by(world, "researcher"))
    assert world.read(issued.access_token).actors == ("researcher", "planner")
    assert world.read(issued.access_token).root_evidence is Evidence.AUTHORITY


# What is wrong with the JWS itself: one answer, as for any other token that is not known.


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "delegation-grant+jwt"},
        {"typ": "Delegation-Root+JWT"},
        {"typ": "application/delegation-root+jwt"},
        {"typ": "JWT"},
        {"typ": ABSENT},
        {"alg": "none"},
        {"alg": "RS256"},
        {"alg": "EdDSA"},
        {"alg": ABSENT},
        {"kid": "another"},
        {"kid": ABSENT},
        {"kid": 7},
        {"kid": ""},
        {"crit": ["exp"]},
        {"jku": "https://evil.example/jwks"},
        {"cty": "JWT"},
    ],
    ids=str,
)
async def test_the_header_of_a_root_is_exactly_that_of_the_profile(world: World, header: dict[str, Any]) -> None:
    claims = root_claims(world)
    assert await verdict(world, sign(claims, **header)) == INVALID
    assert await verdict(world, sign(claims)) is None


async def test_ed25519_goes_by_its_one_name() -> None:
    key, holder_of_it = ed_key("root"), f"authority {IDP}"
    keys = UpstreamKeys(pinned={holder_of_it: KeySet([key.public])}, own=list).of(holder_of_it)
    world = await make_root_world(keys=keys)
    claims = root_claims(world)
    # A verifier would refuse it below this root.
    assert await verdict(world, sign(claims, key=key, alg="EdDSA")) == INVALID
    assert await verdict(world, sign(claims, key=key)) is None


async def test_a_signature_that_does_not_verify_is_refused(world: World) -> None:
    root = sign(root_claims(world))
    head, payload, signature = root.split(".")
    other = sign(root_claims(world, scope="crm.read")).split(".")[1]
    for forged in (
        f"{head}.{other}.{signature}",
        f"{head}.{payload}.{b64(bytes(64))}",
        f"{head}.{payload}.",
        sign(root_claims(world), key=ec_key("evil"), kid=root_key(IDP).kid),
    ):
        assert await verdict(world, forged) == INVALID
    assert await verdict(world, root) is None


@pytest.mark.parametrize("key", ["idp", "service", f"roots of {OTHER}", "planner holder", "evil"])
async def test_no_key_but_the_authoritys_own_signs_its_roots(world: World, key: str) -> None:
    claims = root_claims(world)
    # By the kid that is known, and by its own.
    assert await verdict(world, sign(claims, key=ec_key(key), kid=root_key(IDP).kid)) == INVALID
    assert await verdict(world, sign(claims, key=ec_key(key))) == INVALID
    assert await verdict(world, sign(claims)) is None


async def test_a_key_for_logins_signs_no_root_even_where_the_authority_publishes_it_too() -> None:
    login, roots = ec_key("idp"), root_key(IDP)
    holder_of_it = f"authority {IDP}"
    both = KeySet([login.public, roots.public])
    pinned = {IDP: KeySet([login.public]), holder_of_it: both}
    world = await make_root_world(keys=UpstreamKeys(pinned=pinned, own=list).of(holder_of_it))
    claims = root_claims(world)
    assert await verdict(world, sign(claims, key=login)) == INVALID
    assert await verdict(world, sign(claims)) is None


async def test_a_key_for_roots_signs_no_users_token(world: World) -> None:
    # By its own kid, and by the one of the login key.
    for header in ({"kid": root_key(IDP).kid}, {"kid": "idp"}):
        forged = world.user_token(key=root_key(IDP), header=header)
        assert await world.verdict("planner", world.starting(forged), by(world)) == INVALID
    assert await world.verdict("planner", world.starting(), by(world)) is None


@pytest.mark.parametrize(
    "members",
    [
        {"iss": "https://evil.example"},
        {"iss": ISSUER},
        {"iss": ABSENT},
        {"aud": "https://tokens2.example"},
        {"aud": f"{ISSUER}/"},
        {"aud": [ISSUER]},
        {"aud": ABSENT},
        {"actor": "researcher"},
        {"actor": ABSENT},
        {"actor": ""},
        {"cnf": ABSENT},
        {"cnf": {}},
        {"cnf": {"jkt": "short"}},
        {"cnf": {"x5t#S256": b64(bytes(32))}},
        {"cnf": {"jkt": b64(bytes(32)), "x5t#S256": b64(bytes(32))}},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": ABSENT},
        {"exp": str(NOW + 60)},
        {"exp": (NOW + 60) * 1.0 + 0.5},
        {"iat": NOW + LEEWAY_S + 1},
        {"iat": NOW + 20, "exp": NOW + 20},
        {"iat": ABSENT},
        {"jti": ABSENT},
        {"jti": "root-1"},
        {"sub": ABSENT},
        {"sub": ""},
        {"scope": ""},
        {"scope": ABSENT},
        {"scope": "crm.read crm.read"},
        {"resources": []},
        {"resources": CRM},
        {"resources": [f"{CRM}#x"]},
        {"max_depth": 0},
        {"max_depth": "4"},
        {"max_depth": True},
        {"authorization_details": []},
        {"authorization_details": "x"},
        {"nbf": NOW},
        {"parent": jti("x")},
        {"act": {"sub": "planner"}},
        {"grant_chain": []},
    ],
    ids=str,
)
async def test_a_root_that_says_anything_wrong_is_refused(world: World, members: dict[str, Any]) -> None:
    root = (
        sign(root_claims(world, **members), key=root_key(IDP))
        if "iss" in members
        else sign(root_claims(world, **members))
    )
    assert await verdict(world, root) == INVALID
    assert await verdict(world, sign(root_claims(world))) is None


@pytest.mark.parametrize(
    "members",
    [
        {"exp": NOW + 1},
        {"iat": NOW + LEEWAY_S},
        {"iat": NOW},
        {"iat": NOW + 20, "exp": NOW + 21},
        {"max_depth": 1},
        {"resources": [CRM, FILES], "sub": "planner"},
        {"sub": "x y: \u00e9"},
    ],
    ids=str,
)
async def test_the_edge_of_what_a_root_may_say_is_accepted(world: World, members: dict[str, Any]) -> None:
    assert await verdict(world, sign(root_claims(world, **members))) is None


@pytest.mark.parametrize("kind", [ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE])
async def test_a_root_is_presented_as_a_jwt_and_nothing_else(world: World, kind: str) -> None:
    root = sign(root_claims(world))
    assert await verdict(world, root, subject_token_type=kind) == INVALID
    assert await verdict(world, root, subject_token_type=JWT_TYPE) is None


async def test_another_agent_gets_nothing_for_a_root(world: World) -> None:
    root = sign(root_claims(world))
    assert await verdict(world, root, "researcher", scope="crm.read", resource=CRM) == INVALID
    theirs = sign(root_claims(world, actor="researcher", cnf={"jkt": holder("researcher").public.thumbprint}))
    assert await verdict(world, theirs, "researcher", scope="crm.read", resource=CRM) is None
    assert await verdict(world, theirs) == INVALID
    assert await verdict(world, root) is None


async def test_a_start_is_for_the_agent_that_the_root_names(world: World) -> None:
    refused = (OAuthError.INVALID_REQUEST, Reason.DELEGATEE_NOT_ALLOWED)
    assert await verdict(world, sign(root_claims(world)), requested_actor="researcher") == refused
    assert await verdict(world, sign(root_claims(world)), requested_actor="planner") is None


async def test_the_agent_proves_the_very_key_that_the_root_names(world: World) -> None:
    root = starting(sign(root_claims(world)))
    assert await world.verdict("planner", root) == UNPROVEN
    assert await world.verdict("planner", root, NOTHING_PRESENTED) == UNPROVEN
    assert await world.verdict("planner", root, presented(ec_key("evil"), world)) == UNPROVEN
    assert await world.verdict("planner", root, by(world, "researcher")) == UNPROVEN
    # A key that planner proves, and that another root names.
    other = starting(sign(root_claims(world, cnf={"jkt": ec_key("evil").public.thumbprint})))
    assert await world.verdict("planner", other, by(world)) == UNPROVEN
    # The root names the key that is proven: but the agent registered which keys are its own.
    assert await world.verdict("planner", other, presented(ec_key("evil"), world)) == UNPROVEN
    assert await world.verdict("planner", root, by(world)) is None


# Beyond the ceiling: named, never cut.


@pytest.mark.parametrize(
    ("members", "within", "what"),
    [
        ({"resources": [CRM, "https://mail.example"]}, {"resources": [CRM, FILES]}, "resources"),
        ({"scope": f"{ROOT_SCOPE} mail.send"}, {"scope": ROOT_SCOPE}, "scope"),
        ({"scope": f"{ROOT_SCOPE} openid"}, {"scope": ROOT_SCOPE}, "scope"),
        ({"scope": f"{ROOT_SCOPE} crm.*"}, {"scope": ROOT_SCOPE}, "scope"),
        ({"max_depth": 5}, {"max_depth": 4}, "max_depth"),
        ({"exp": NOW + 28_801}, {"exp": NOW - 10 + 28_800}, "lifetime"),
        ({"exp": NOW - 10 + 28_801}, {"exp": NOW - 10 + 28_800}, "lifetime"),
        ({"iat": NOW + 20, "exp": NOW + 28_801}, {"iat": NOW + 20, "exp": NOW + 28_800}, "lifetime"),
        (
            {"authorization_details": [{"type": "x", "amount": 6}]},
            {"authorization_details": [{"type": "x", "amount": 5}]},
            "authorization_details",
        ),
        (
            {"authorization_details": [{"type": "y"}]},
            {"authorization_details": [{"type": "x", "amount": 5}]},
            "authorization_details",
        ),
    ],
    ids=str,
)
async def test_a_root_beyond_the_ceiling_of_its_authority_is_refused_and_not_cut(
    members: dict[str, Any], within: dict[str, Any], what: str
) -> None:
    world = await make_root_world(ceiling_details=parse_details([{"type": "x", "amount": 5}]))
    form = starting(sign(root_claims(world, **members)), scope="crm.read", resource=CRM)
    refusal = await world.refused("planner", form, by(world))
    assert (refusal.error, refusal.reason) == EXCEEDED
    assert f"the {what} of the root" in refusal.description
    assert await verdict(world, sign(root_claims(world, **within)), scope="crm.read", resource=CRM) is None


async def test_a_scope_has_its_meaning_at_a_resource_of_the_root(world: World) -> None:
    crm = root_claims(world, scope="crm.read crm.write files.read", resources=[CRM])
    assert await verdict(world, sign(crm), scope="crm.read", resource=CRM) == EXCEEDED
    both = {**crm, "resources": [CRM, FILES], "jti": jti("both")}
    assert await verdict(world, sign(both), scope="crm.read", resource=CRM) is None


async def test_no_root_goes_deeper_than_the_service(world: World) -> None:
    shallow = world.but(max_depth=3)
    assert await verdict(shallow, sign(root_claims(world, max_depth=4))) == EXCEEDED
    assert await verdict(shallow, sign(root_claims(world, max_depth=3))) is None


async def test_a_wildcard_that_is_none_is_no_scope_of_a_root(world: World) -> None:
    segments = world.but(order=Order(grammar=ScopeGrammar.SEGMENTS))
    wanted = {"scope": "crm.read", "resource": CRM}
    assert await verdict(segments, sign(root_claims(world, scope="crm.read *.write")), **wanted) == INVALID
    assert await verdict(segments, sign(root_claims(world, scope="crm.read crm.write")), **wanted) is None


async def test_details_that_cost_too_much_to_compare_are_beyond_the_ceiling() -> None:
    named: Members = {f"{n:02x}": {} for n in range(100)} | {"*": {}}
    # The last entry covers all that is asked; before it, each name of the others has to be looked at.
    ceiling = [*(tools(**named, **{f"only here {n}": {}}) for n in range(62)), tools(**named)]
    costly = [{**tools(**named), "locations": [f"u:{n}"]} for n in range(9)]
    world = await make_root_world(ceiling_details=parse_details(ceiling))
    wanted = {"scope": "crm.read", "resource": CRM}
    assert await verdict(world, sign(root_claims(world, authorization_details=costly)), **wanted) == EXCEEDED
    assert await verdict(world, sign(root_claims(world, authorization_details=costly[:1])), **wanted) is None


# What the first hop is below it: as below any other root.


async def test_the_first_hop_is_within_the_root(world: World) -> None:
    claims = root_claims(world, scope="crm.export crm.read crm.write", resources=[CRM])
    too_much = (OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED)
    assert await verdict(world, sign(claims), scope="crm.read files.read", resource=CRM) == too_much
    elsewhere = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)
    assert await verdict(world, sign(claims), scope="crm.read", resource=FILES) == elsewhere
    improper = (OAuthError.INVALID_SCOPE, Reason.NOT_PROPER)
    assert await verdict(world, sign(claims), scope="crm.export crm.read crm.write", resource=CRM) == improper
    longer = (OAuthError.INVALID_REQUEST, Reason.LIFETIME_EXCEEDED)
    assert await verdict(world, sign(claims), scope="crm.read", resource=CRM, requested_lifetime_s="3601") == longer
    assert await verdict(world, sign(claims), scope="crm.read", resource=CRM, requested_lifetime_s="3600") is None


async def test_a_token_that_would_be_too_large_is_refused(world: World) -> None:
    small = world.but(max_issued_bytes=1200)
    refused = (OAuthError.INVALID_REQUEST, Reason.TOO_LARGE)
    assert await verdict(small, sign(root_claims(world))) == refused
    assert await verdict(world, sign(root_claims(world))) is None


# One root, one lineage.


async def test_the_same_bytes_again_are_a_retry(world: World) -> None:
    root = sign(root_claims(world))
    first = await world.exchange("planner", starting(root), by(world))
    world.clock.now += 5
    again = await world.exchange("planner", starting(root, scope="crm.read", resource=CRM), by(world))

    chains = [claims_of(issued.access_token)["grant_chain"] for issued in (first, again)]
    assert chains[0][0] == chains[1][0] == {"jws": root}
    assert chains[0][1]["jti"] != chains[1][1]["jti"]


async def test_other_bytes_under_its_jti_are_a_replay(world: World) -> None:
    claims = root_claims(world)
    replayed = (OAuthError.INVALID_REQUEST, Reason.REPLAYED)
    assert await verdict(world, sign(claims)) is None
    assert await verdict(world, sign({**claims, "exp": claims["exp"] - 1})) == replayed
    assert await verdict(world, sign({**claims, "iss": OTHER})) == replayed
    # ECDSA signs the same anew each time: what was signed is the same.
    assert await verdict(world, sign(claims)) is None
    assert await verdict(world, sign({**claims, "jti": jti("a third")})) is None


async def test_a_root_does_not_take_the_name_of_an_entry(world: World) -> None:
    token = (await start(world)).access_token
    hop = claims_of(token)["grant_chain"][1]["jti"]
    replayed = (OAuthError.INVALID_REQUEST, Reason.REPLAYED)
    assert await verdict(world, sign(root_claims(world, jti=hop))) == replayed
    plain = await world.exchange("planner", world.starting(), by(world))
    root = claims_of(plain.access_token)["grant_chain"][0]["jti"]
    assert await verdict(world, sign(root_claims(world, jti=root))) == replayed


# Whose user.


async def test_each_authority_speaks_for_its_own_users(world: World) -> None:
    issued = await start(world, iss=OTHER, sub=f"{PREFIX}{USER}")
    assert world.read(issued.access_token).sub == f"other:{PREFIX}{USER}"


async def test_a_user_is_never_called_like_a_client() -> None:
    world = await make_root_world(OTHER, subject_prefix="")
    for name in ("planner", "retired", "crm-api"):
        assert await verdict(world, sign(root_claims(world, sub=name))) == INVALID
    assert await verdict(world, sign(root_claims(world, sub="planner2"))) is None


# What bars it.


@pytest.mark.parametrize("kind", ["user", "issuer", "entry", "key", "actor"])
async def test_what_is_revoked_bars_the_start_and_ends_the_chain(world: World, kind: str) -> None:
    claims = root_claims(world)
    token = (await world.exchange("planner", starting(sign(claims)), by(world))).access_token
    names = {
        "user": PREFIX + USER,
        "issuer": IDP,
        "entry": claims["jti"],
        "key": holder("planner").public.thumbprint,
        "actor": "planner",
    }
    assert await world.is_active(token)
    await revoke(world, kind, names[kind])

    assert not await world.is_active(token)
    assert await world.verdict("planner", world.delegation(token), by(world)) == REVOKED
    assert await verdict(world, sign(claims)) == REVOKED
    assert await verdict(world, sign(root_claims(world, iss=OTHER))) == (REVOKED if kind in {"key", "actor"} else None)


async def test_a_root_that_is_revoked_before_its_use_starts_nothing(world: World) -> None:
    claims = root_claims(world, exp=NOW - 10 + 28_800)
    await revoke(world, "entry", claims["jti"])
    assert await verdict(world, sign(claims), scope="crm.read", resource=CRM) == REVOKED
    # To the very end: what is barred is not forgotten before it is over.
    world.clock.now = claims["exp"] - 1
    assert await verdict(world, sign(claims), scope="crm.read", resource=CRM) == REVOKED
    live = root_claims(world)
    assert await verdict(world, sign(live), scope="crm.read", resource=CRM) is None


async def test_what_began_before_a_revocation_of_the_user_starts_nothing_and_what_began_after_does(
    world: World,
) -> None:
    await revoke(world, "user", PREFIX + USER)
    assert await verdict(world, sign(root_claims(world))) == REVOKED
    world.clock.now += 100
    assert await verdict(world, sign(root_claims(world, iat=NOW))) == REVOKED
    assert await verdict(world, sign(root_claims(world))) is None


async def test_an_authority_that_is_barred_ends_its_chains(world: World) -> None:
    token = (await start(world)).access_token
    theirs = (await start(world, iss=OTHER)).access_token
    barred = await make_root_world(IDP)
    after = world.but(registry=barred.registry, authorities=barred.terms.authorities)

    assert await verdict(after, sign(root_claims(world))) == INVALID
    gone = (OAuthError.INVALID_REQUEST, Reason.ROOT_INVALID)
    assert await after.verdict("planner", world.delegation(token), by(world)) == gone
    assert await after.introspect(token, "planner") == {"active": False}
    assert await after.verdict("planner", world.delegation(theirs), by(world)) is None
    # It may come back: nobody is told that something was revoked that was not.
    with pytest.raises(Unavailable):
        await after.revoke(token, "planner")
    await world.revoke(token, "planner")
    assert not await world.is_active(token)


async def test_what_is_taken_from_the_ceiling_is_taken_from_its_chains(world: World) -> None:
    token = (await start(world)).access_token
    registry = (await make_root_world(ceiling_resources=frozenset({CRM}))).registry
    after = world.but(registry=registry)
    gone = (OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED)
    files = {"resource": FILES, "scope": "files.read"}
    assert await after.verdict("planner", world.delegation(token, **files), by(world)) == gone
    assert await world.verdict("planner", world.delegation(token, **files), by(world)) is None


async def test_a_key_that_the_authority_takes_back_ends_what_it_signed(world: World) -> None:
    token = (await start(world)).access_token
    holder_of_it = f"authority {IDP}"
    fresh = UpstreamKeys(pinned={holder_of_it: KeySet([ec_key("new roots").public])}, own=list).of(holder_of_it)
    after = world.but(registry=(await make_root_world(keys=fresh)).registry)
    gone = (OAuthError.INVALID_REQUEST, Reason.ROOT_INVALID)
    assert await after.verdict("planner", world.delegation(token), by(world)) == gone
    assert await world.verdict("planner", world.delegation(token), by(world)) is None


# Kinds: a root is nothing else, and nothing else is a root.


async def test_a_root_is_neither_assertion_nor_actor_token_nor_user_token(world: World) -> None:
    root = sign(root_claims(world))
    user = world.user_token()
    refused = (OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID)
    with_actor = world.starting(user, actor_token=root, actor_token_type=JWT_TYPE)
    assert await world.verdict("planner", with_actor, by(world)) == refused
    as_access_token = world.starting(root)
    assert await world.verdict("planner", as_access_token, by(world)) == INVALID
    assert await world.verdict("planner", world.starting(user), by(world)) is None


@pytest.mark.parametrize(
    "typ", ["at+jwt", "JWT", "delegation-grant+jwt", "actor+jwt", "dpop+jwt", "client-authentication+jwt", ABSENT]
)
async def test_claims_of_a_root_under_another_type_start_nothing(world: World, typ: object) -> None:
    claims = root_claims(world)
    for key in (root_key(IDP), ec_key("idp")):
        for kind in (JWT_TYPE, ACCESS_TOKEN_TYPE):
            assert await verdict(world, sign(claims, key=key, typ=typ), subject_token_type=kind) == INVALID
    assert await verdict(world, sign(claims)) is None


async def test_a_users_token_under_the_type_of_a_root_starts_nothing(world: World) -> None:
    for key, kid in ((ec_key("idp"), "idp"), (root_key(IDP), root_key(IDP).kid)):
        forged = world.user_token(key=key, header={"typ": "delegation-root+jwt", "kid": kid})
        assert await verdict(world, forged) == INVALID
    assert await world.verdict("planner", world.starting(), by(world)) is None


async def test_a_token_of_ours_under_the_type_of_a_root_starts_nothing(world: World) -> None:
    token = (await start(world)).access_token
    claims = claims_of(token)
    header = {"typ": "delegation-root+jwt", "alg": "ES256", "kid": "service"}
    assert await verdict(world, seal(header, claims, ec_key("service"))) == INVALID
    assert await world.verdict("planner", world.delegation(token), by(world)) is None


async def test_a_plain_root_of_an_authority_is_nobodys_word(world: World) -> None:
    token = (await start(world)).access_token
    claims = claims_of(token)
    root = claims_of(claims["grant_chain"][0]["jws"])
    plain = {name: value for name, value in root.items() if name not in {"aud", "actor", "cnf"}}
    forged = {**claims, "grant_chain": [plain, *claims["grant_chain"][1:]]}
    header = {"typ": "at+jwt", "alg": "ES256", "kid": "service"}
    # Signed with the service's own key: whatever it would take for a chain, an authority's word is signed by it.
    refused = (OAuthError.INVALID_REQUEST, Reason.ROOT_INVALID)
    assert (
        await world.verdict("planner", world.delegation(seal(header, forged, ec_key("service"))), by(world)) == refused
    )
    assert await world.verdict("planner", world.delegation(seal(header, claims, ec_key("service"))), by(world)) is None


# What is written down.


async def test_the_record_tells_of_the_root_and_holds_no_signature(world: World) -> None:
    claims = root_claims(world)
    root = sign(claims)
    token = (await world.exchange("planner", starting(root), by(world))).access_token
    await world.exchange("planner", world.delegation(token), by(world))
    refusal = await world.refused("planner", starting(sign(root_claims(world, max_depth=9))), by(world))

    records = [listed.record for listed in await world.store.list_records(after=None, limit=10)]
    digest = sha256(root.rsplit(".", 1)[0].encode()).hexdigest()
    granted, delegated, refused = records
    assert granted.inputs["subject"] == {
        "iss": IDP,
        "sub": PREFIX + USER,
        "scope": " ".join(sorted(ROOT_SCOPE.split())),
        "authorization_details": [],
        "sha256": digest,
    }
    for record in (granted, delegated):
        assert record.lineage == claims["jti"]
        told: Any = record.inputs["granted"]
        assert told["sub"] == PREFIX + USER
        assert told["signed_entries"] == {claims["jti"]: digest}
        assert told["grant_chain"][0]["iss"] == IDP
    assert refused.id == refusal.record
    assert refused.lineage is not None
    text = json.dumps([dict(record.inputs) for record in records])
    assert root.rsplit(".", 1)[1] not in text
    assert root.split(".", maxsplit=1)[0] not in text


async def test_types_of_details_of_authorities_are_known() -> None:
    world = await make_root_world(ceiling_details=parse_details([{"type": "payment"}]))
    assert "payment" in world.registry.detail_types()
    assert "payment" not in (await make_root_world()).registry.detail_types()


async def test_a_root_is_no_token_to_ask_about_or_to_revoke_and_no_proof(world: World) -> None:
    claims = root_claims(world)
    root = sign(claims)
    token = (await world.exchange("planner", starting(root), by(world))).access_token
    for client in ("planner", "crm-api"):
        assert await world.introspect(root, client) == {"active": False}
    await world.revoke(root, "planner")
    assert await world.is_active(token)
    bad_proof = (OAuthError.INVALID_DPOP_PROOF, Reason.PROOF_INVALID)
    assert await world.verdict("planner", starting(root), Presented(dpop=(root,))) == bad_proof
    assert await world.verdict("planner", starting(root), by(world)) is None


async def test_the_chain_of_a_record_can_be_drawn(world: World) -> None:
    token = (await start(world)).access_token
    await world.exchange("planner", world.delegation(token), by(world))
    for listed in await world.store.list_records(after=None, limit=10):
        chain = chain_of(listed.record)
        assert chain is not None
        assert (chain.root.iss, chain.root.sub) == (IDP, USER)


# The store: what it remembers over a restart, and what it says when it has forgotten.


async def on_disk(path: Path, now: int) -> World:
    """The service with the store at `path`, started at `now`."""
    rule = LossRule(issuer=ISSUER, upstream=(IDP, OTHER), leeway_s=LEEWAY_S, clock=lambda: now)
    store = WatchedStore(SqliteStore(path, rule))
    await store.open()
    world = replace(await make_root_world(), store=store)
    world.clock.now = now
    return world


async def test_after_a_restart_a_retry_is_a_retry_and_a_replay_a_replay(tmp_path: Path) -> None:
    world = await on_disk(tmp_path / "tokensvc.db", NOW)
    claims = root_claims(world, iat=NOW)
    assert await verdict(world, sign(claims)) is None
    await world.store.close()

    world = await on_disk(tmp_path / "tokensvc.db", NOW + 5)
    replayed = (OAuthError.INVALID_REQUEST, Reason.REPLAYED)
    assert await verdict(world, sign({**claims, "max_depth": 3})) == replayed
    assert await verdict(world, sign(claims)) is None
    await world.store.close()


async def test_a_store_that_was_made_after_a_root_was_signed_does_not_know_what_became_of_it(tmp_path: Path) -> None:
    world = await on_disk(tmp_path / "tokensvc.db", NOW)
    assert await verdict(world, sign(root_claims(world, iat=NOW - 10))) == REVOKED
    assert await verdict(world, sign(root_claims(world, iat=NOW))) is None
    await world.store.close()


# With what agents sign themselves: nothing in the chain is the token service's word but the first hop.


async def test_below_a_signed_root_agents_sign_their_grants() -> None:
    world = await make_root_world()
    site = Site(world=world, token=(await start(world)).access_token)
    draft = site.draft()
    assert draft.payload["sub"] == PREFIX + USER
    # By the name that the user has here, not by the authority's.
    as_there = draft.but(sub=USER)
    assert await site.verdict("researcher", as_there, site.proof("researcher")) == INVALID_GRANT

    token = (await site.redeem(draft, resource=CRM)).access_token
    strictest = replace(
        Expectation.bearer(issuers=[ISSUER], audiences=[CRM]),
        root_floor=Evidence.AUTHORITY,
        hop_floor=Evidence.DELEGATOR,
        authorities={(ISSUER, IDP): PREFIX},
    )
    verified = verify_token(
        token,
        keys=StaticKeys({ISSUER: world.signer.public_keys(), IDP: KeySet([root_key(IDP).public])}),
        expect=strictest,
        now=NOW,
        revocations=LifetimeOnly(max_s=900),
        proof=UnsafeHolderProvenUpstream(),
    )
    assert (verified.sub, verified.actors) == (PREFIX + USER, ("researcher", "planner"))
    assert verified.hop_evidence == (Evidence.ISSUER, Evidence.DELEGATOR)
