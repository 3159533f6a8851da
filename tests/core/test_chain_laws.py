from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator import Members, Simulator, b64, jti, thumbprint
from tokensvc.core.authority import Authority
from tokensvc.core.chain import (
    HARD_MAX_DEPTH,
    GrantChain,
    Hop,
    Root,
    parse_act,
    parse_grant_chain,
    render_act,
    render_grant_chain,
)
from tokensvc.core.claims import AccessTokenClaims, parse_claims, parse_delegation, render_access_token
from tokensvc.core.jsontext import JsonValue, parse_json, parse_json_object, render_json
from tokensvc.errors import Malformed, TokenRefused

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
scopes = st.frozensets(st.text("abc.:*_-", min_size=1, max_size=6), min_size=1, max_size=5)
times = st.integers(0, 2**53 - 1)
jtis = st.binary(min_size=16, max_size=16).map(b64)
thumbprints = st.binary(min_size=32, max_size=32).map(b64)
resources = st.frozensets(st.sampled_from(["https://a.example", "urn:b", "x:c"]), min_size=1)


def authorities(*, bound: bool) -> st.SearchStrategy[Authority]:
    return st.builds(
        Authority, scope=scopes, resources=resources, iat=times, exp=times, max_depth=times, bound=st.just(bound)
    )


roots = st.builds(Root, iss=names, sub=names, jti=jtis, authority=authorities(bound=False))
hops = st.one_of(
    st.builds(Hop, actor=names, jti=jtis, parent=jtis, jkt=st.none(), authority=authorities(bound=False)),
    st.builds(Hop, actor=names, jti=jtis, parent=jtis, jkt=thumbprints, authority=authorities(bound=True)),
)
chains = st.builds(GrantChain, root=roots, hops=st.lists(hops, min_size=1, max_size=HARD_MAX_DEPTH).map(tuple))
claims_sets = st.builds(
    AccessTokenClaims,
    iss=names,
    sub=names,
    aud=names,
    client_id=names,
    scope=scopes,
    iat=times,
    exp=times,
    nbf=st.none() | times,
    jti=jtis,
    cnf=st.none() | st.tuples(st.sampled_from(["jkt", "x5t#S256"]), thumbprints),
)
act_chains = st.lists(names, min_size=1, max_size=HARD_MAX_DEPTH).map(tuple)


@given(chains)
def test_a_rendered_chain_is_read_back(chain: GrantChain) -> None:
    assert parse_grant_chain(parse_json(render_json(render_grant_chain(chain)))) == chain


@pytest.mark.requirement("TE-ACT-NESTED")
@given(act_chains)
def test_rendered_actors_are_read_back(actors: tuple[str, ...]) -> None:
    act = render_act(actors)

    assert act["sub"] == actors[0]
    assert parse_act(parse_json(render_json(act))) == actors


@given(claims_sets, chains)
def test_a_rendered_token_is_read_back(claims: AccessTokenClaims, chain: GrantChain) -> None:
    payload = parse_json_object(render_json(render_access_token(claims, chain)))

    assert parse_claims(payload) == claims
    delegation = parse_delegation(payload)
    assert delegation.chain == chain
    assert delegation.act == chain.actors == tuple(hop.actor for hop in reversed(chain.hops))


def test_a_chain_names_its_leaf_and_its_entries() -> None:
    sim = Simulator()
    chain = parse_grant_chain(sim.chain("planner", "mailer"))

    assert chain.leaf.actor == "mailer"
    assert chain.actors == ("mailer", "planner")
    assert chain.entry_ids == (jti("root"), chain.hops[0].jti, chain.hops[1].jti)


def test_everything_whose_revocation_kills_a_chain_is_named() -> None:
    sim = Simulator()
    entries = sim.chain("planner", "mailer")
    entries[1] |= {"cnf": {"jkt": thumbprint("planner")}, "iat": entries[0]["iat"] + 7}
    chain = parse_grant_chain(entries)

    named = {
        (revocable.kind.value, revocable.id, revocable.iat)
        for revocable in chain.revocables(iss="https://as", sub="the user", key=thumbprint("token"))
    }

    root_iat = entries[0]["iat"]
    assert named == {
        *(("entry", entry["jti"], root_iat) for entry in entries),
        ("user", "the user", root_iat),
        ("issuer", "https://as", root_iat),
        ("issuer", sim.iss, root_iat),
        ("actor", "planner", root_iat + 7),
        ("actor", "mailer", root_iat),
        ("key", thumbprint("planner"), root_iat),
        ("key", thumbprint("token"), root_iat),
    }


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["sub", "act", "iss", "scope", "jws", "jti", "resources"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_value_raises_anything_but_our_errors(value: JsonValue) -> None:
    for parse in (parse_act, parse_grant_chain):
        try:
            parse(value)
        except (Malformed, TokenRefused):
            continue


MEMBERS = [
    "iss",
    "sub",
    "aud",
    "client_id",
    "scope",
    "iat",
    "exp",
    "nbf",
    "jti",
    "cnf",
    "act",
    "grant_profile",
    "grant_chain",
]


@given(st.dictionaries(st.sampled_from(MEMBERS), json_values, max_size=4))
def test_no_json_value_of_a_claim_raises_anything_but_our_errors(change: Members) -> None:
    sim = Simulator()
    payload = {**sim.claims(sim.chain("planner")), **change}
    for parse in (parse_claims, parse_delegation):
        try:
            parse(payload)
        except (Malformed, TokenRefused):
            continue
