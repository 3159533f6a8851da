import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator import Members, b64, ec_key, ed_key, rsa_key
from tokensvc.core.keyset import MAX_KID_LENGTH, KeySet, PublicKey, parse_jwks, render_jwks
from tokensvc.errors import KeyRefused

# RFC 7638 s3.1
RFC7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
    "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
    "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


def ec_jwk(name: str = "ec") -> Members:
    return dict(ec_key(name).public.jwk())


def rsa_jwk(name: str = "rsa") -> Members:
    return dict(rsa_key(name).public.jwk())


def ed_jwk(name: str = "ed") -> Members:
    return dict(ed_key(name).public.jwk())


def jwks(*keys: object) -> KeySet:
    return parse_jwks(json.loads(json.dumps({"keys": keys})))


@pytest.mark.requirement("JWK-SET")
def test_a_rendered_key_set_is_read_back_and_holds_no_private_member() -> None:
    keys = KeySet([ec_key("a").public, ec_key("b").public, rsa_key("r").public, ed_key("e").public])

    rendered = render_jwks(keys)

    assert list(parse_jwks(rendered)) == list(keys)
    assert len(keys) == 4
    assert [jwk.keys() for jwk in rendered["keys"][1:]] == [
        {"kty", "kid", "alg", "use", "crv", "x", "y"},
        {"kty", "kid", "alg", "use", "n", "e"},
        {"kty", "kid", "alg", "use", "crv", "x"},
    ]


@pytest.mark.requirement("JWK-THUMBPRINT")
def test_the_thumbprint_is_the_one_of_rfc_7638() -> None:
    jwk = {"kty": "RSA", "n": RFC7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    (key,) = jwks(jwk)

    assert key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert (key.kid, key.alg) == ("2011-04-29", "RS256")


def test_a_key_is_found_by_its_exact_kid_only() -> None:
    keys = jwks({**ec_jwk(), "kid": "Key-1"})

    assert keys.find("Key-1") is not None
    assert [keys.find(kid) for kid in ("key-1", "Key-1 ", "Key-", "", "Key-1\0", "*")] == [None] * 6


def test_a_key_set_shows_kids_and_no_key_material() -> None:
    keys = jwks(ec_jwk())

    assert repr(keys) == "KeySet(['ec'])"
    assert ec_jwk()["x"] not in repr(keys.find("ec"))


@pytest.mark.requirement("JWK-UNIQUE-KID")
def test_a_kid_or_a_key_that_stands_twice_is_refused() -> None:
    one, other = ec_jwk("one"), ec_jwk("other")
    assert len(jwks(one, other)) == 2

    for twice in ([one, {**other, "kid": "one"}], [one, {**one, "kid": "other"}], [one, one]):
        with pytest.raises(KeyRefused):
            jwks(*twice)


def test_a_key_has_one_thumbprint_however_it_is_spelt() -> None:
    padded = {**ec_jwk(), "kid": "padded", "x": b64(bytes(3)) + ec_jwk()["x"]}

    (key,) = jwks(padded)
    assert key.thumbprint == ec_key("ec").public.thumbprint
    assert key.jwk()["x"] == ec_jwk()["x"]
    with pytest.raises(KeyRefused):
        jwks(padded, ec_jwk())


@pytest.mark.requirement("JWK-UNKNOWN-IGNORED")
@pytest.mark.parametrize(
    "other",
    [
        {"kty": "OKP", "crv": "Ed448", "x": "AA"},
        {"kty": "OKP", "crv": "Ed448", "alg": "EdDSA", "x": "AA"},
        {"kty": "OKP", "crv": "Ed448", "alg": "Ed448", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": ed_key("ed").public.jwk()["x"]},
        {"kty": "OKP", "crv": "X25519", "alg": "ECDH-ES", "x": "AA"},
        {"kty": "OKP", "crv": "X448", "use": "enc", "x": "AA"},
        {"kty": "OKP", "crv": ["Ed25519"]},
        {"kty": "OKP"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": ["EC"]},
        {"kty": {}},
        {},
    ],
)
def test_keys_of_kinds_that_are_not_in_use_are_passed_over(other: Members) -> None:
    assert list(jwks(other, ec_jwk())) == [ec_key("ec").public]


@pytest.mark.requirement("JWK-USE")
@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"use": ["sig"]},
        {"use": None},
        {"key_ops": []},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"key_ops": {"verify": 1}},
        {"key_ops": ["sign", "wrapKey"]},
        {"alg": "ECDH-ES"},
        {"alg": "ES256K"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": ["ES256"]},
        {"alg": {}},
        {"alg": None},
    ],
)
def test_a_key_that_is_not_for_our_signatures_is_passed_over(change: Members) -> None:
    assert len(jwks({**ec_jwk(), **change})) == 0
    assert len(jwks(ec_jwk())) == 1


def test_a_key_without_use_and_alg_has_the_algorithm_of_its_kind() -> None:
    bare = [{name: jwk[name] for name in jwk if name not in ("use", "alg")} for jwk in (ec_jwk(), rsa_jwk(), ed_jwk())]

    assert [key.alg for key in jwks(*bare)] == ["ES256", "RS256", "Ed25519"]
    assert len(jwks({**bare[0], "key_ops": ["verify"]})) == 1


json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.floats(-1, 1) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "k", "alg", "use", "key_ops", "kid", "oth", "x5c"])
base64url = st.binary(max_size=70).map(b64)


@given(st.sampled_from(["ec", "ed", "rsa"]), st.dictionaries(members, json_values | base64url, max_size=4))
def test_no_json_value_in_a_key_raises_anything_but_key_refused(kind: str, change: Mapping[str, object]) -> None:
    try:
        keys = jwks({**{"ec": ec_jwk, "ed": ed_jwk, "rsa": rsa_jwk}[kind](), **change})
    except KeyRefused:
        return
    for key in keys:
        assert isinstance(key, PublicKey)
        assert 0 < len(key.kid) <= MAX_KID_LENGTH
        assert key.alg == {"EC": "ES256", "OKP": "Ed25519", "RSA": "RS256"}[key.jwk()["kty"]]


@given(st.dictionaries(st.just("keys") | st.text(max_size=4), json_values, max_size=3))
def test_no_json_object_as_key_set_raises_anything_but_key_refused(value: Members) -> None:
    try:
        assert len(parse_jwks(value)) == 0
    except KeyRefused:
        return
