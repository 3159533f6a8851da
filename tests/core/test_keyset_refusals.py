import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.simulator import Members, b64, ec_key, ed_key, rsa_key
from tokensvc.core.jws import decode_base64url
from tokensvc.core.keyset import MAX_KEYS, MAX_KID_LENGTH, KeySet, parse_jwks
from tokensvc.errors import KeyRefused

# The fault ROCA (CVE-2017-15361) shows in the residues modulo these primes alone: each is a power of 65537.
ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def parse(*keys: object) -> KeySet:
    return parse_jwks(json.loads(json.dumps({"keys": keys})))


def ec_jwk(**change: object) -> Members:
    return {**ec_key("ec").public.jwk(), **change}


def rsa_jwk(**change: object) -> Members:
    return {**rsa_key("rsa").public.jwk(), **change}


def ed_jwk(**change: object) -> Members:
    return {**ed_key("ed").public.jwk(), **change}


def require_refused(*keys: object) -> None:
    # The sound key beside them shows that one bad key spoils the whole set.
    with pytest.raises(KeyRefused):
        parse(ec_key("sound").public.jwk(), *keys)


@pytest.mark.parametrize("value", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"Keys": []}])
def test_what_is_no_key_set_is_refused(value: Members) -> None:
    with pytest.raises(KeyRefused):
        parse_jwks(value)
    assert len(parse_jwks({"keys": []})) == 0


@pytest.mark.parametrize("key", [None, "x", 1, [], [{}], True])
def test_a_key_that_is_no_object_is_refused(key: object) -> None:
    require_refused(key)


def test_a_set_of_very_many_keys_is_refused_unread() -> None:
    assert len(parse(*[{"kty": "OKP"}] * MAX_KEYS)) == 0
    with pytest.raises(KeyRefused):
        parse(*[{"kty": "OKP"}] * (MAX_KEYS + 1))


@pytest.mark.requirement("JWK-NO-PRIVATE")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_private_member_in_a_public_set_is_refused_even_on_a_key_that_is_not_used(member: str) -> None:
    for key in (ec_jwk(), rsa_jwk(), ed_jwk(), {"kty": "OKP"}, ec_jwk(use="enc")):
        require_refused({**key, member: "AA"})
        parse(key)


@pytest.mark.requirement("JWT-BCP-MIXED-KEYS")
def test_a_symmetric_key_in_a_public_set_is_refused() -> None:
    require_refused({"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "h"})
    require_refused({"kty": "oct"})
    parse(ec_jwk(), ed_jwk(), rsa_jwk())


@pytest.mark.parametrize("kid", [None, "", 1, ["a"], True, "k" * (MAX_KID_LENGTH + 1)])
def test_a_key_without_a_usable_kid_is_refused(kid: object) -> None:
    require_refused(ec_jwk(kid=kid))
    require_refused({name: member for name, member in ec_jwk().items() if name != "kid"})
    parse(ec_jwk(kid="k" * MAX_KID_LENGTH))


@pytest.mark.requirement("JWT-BCP-ONE-ALG")
@pytest.mark.parametrize(
    "key",
    [
        ec_jwk(alg="RS256"),
        rsa_jwk(alg="ES256"),
        ec_jwk(kty="RSA"),
        rsa_jwk(kty="EC"),
        ec_jwk(crv="P-384"),
        ec_jwk(crv="Ed25519"),
        ec_jwk(alg="Ed25519"),
        ec_jwk(alg="EdDSA"),
        rsa_jwk(alg="EdDSA"),
        ed_jwk(alg="ES256"),
        ed_jwk(alg="RS256"),
        ed_jwk(kty="EC"),
        ed_jwk(kty="RSA"),
        ed_jwk(crv="Ed448"),
        ed_jwk(crv="X25519"),
        ed_jwk(crv="X448"),
        ed_jwk(crv="P-256"),
        ed_jwk(crv="ed25519"),
        ed_jwk(crv=["Ed25519"]),
        ed_jwk(crv=None),
        ed_jwk(alg="EdDSA", crv="X25519"),
        ed_jwk(alg="EdDSA", crv="P-256"),
    ],
)
def test_a_key_of_another_kind_than_its_algorithm_is_refused(key: Members) -> None:
    require_refused(key)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_a_good_key_on_another_curve_is_no_es256_key(curve: ec.EllipticCurve) -> None:
    numbers = ec.derive_private_key(7, curve).public_key().public_numbers()
    size = (curve.key_size + 7) // 8
    coordinates = {"x": b64(numbers.x.to_bytes(size)), "y": b64(numbers.y.to_bytes(size))}

    require_refused(ec_jwk(crv=f"P-{curve.key_size}", **coordinates))
    require_refused(ec_jwk(**coordinates))


@pytest.mark.parametrize(
    "change",
    [
        {"x": ec_key("other").public.jwk()["x"]},
        {"y": ec_key("ec").public.jwk()["x"]},
        {"x": "AA", "y": "AA"},
        {"x": ""},
        {"x": 5},
        {"x": None},
        {"x": "é" * 43},
        {"x": "\ud800"},
        {"x": ec_key("ec").public.jwk()["x"] + "="},
        {"y": b64(b"\xff" * 32)},
        {"crv": ["P-256"]},
        {"crv": "p-256"},
        {"crv": "secp256k1"},
        {"crv": "toString"},
    ],
)
def test_an_ec_key_that_is_no_point_of_the_curve_is_refused(change: Members) -> None:
    require_refused(ec_jwk(**change))


def test_an_ec_key_without_a_coordinate_is_refused() -> None:
    for name in ("x", "y", "crv"):
        require_refused({member: value for member, value in ec_jwk().items() if member != name})


@pytest.mark.parametrize("value", [5, None, ["x"], True])
def test_a_member_of_a_key_that_is_no_string_is_refused_though_its_kind_has_no_such_member(value: object) -> None:
    require_refused(ed_jwk(y=value))
    parse(ed_jwk(y="x"))


def rsa_number(bits: int) -> int:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key().public_numbers().n


def test_a_short_rsa_modulus_is_refused_however_it_is_padded() -> None:
    short = rsa_number(1024)

    require_refused(rsa_jwk(n=number(short)))
    require_refused(rsa_jwk(n=b64(bytes(128) + short.to_bytes(128))))
    require_refused(rsa_jwk(n=number(2**2047 - 1)))


@pytest.mark.parametrize("bits", [8193, 16_384, 100_000])
def test_an_overlong_rsa_modulus_is_refused(bits: int) -> None:
    require_refused(rsa_jwk(n=number(2**bits - 1)))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 17, 257, 65535, 65536, 65538])
def test_a_small_or_even_rsa_exponent_is_refused(exponent: int) -> None:
    require_refused(rsa_jwk(e=number(exponent) or "AA"))
    parse(rsa_jwk(e=number(65537)))


@pytest.mark.parametrize("exponent", [2**64 + 1, 2**65 - 1, 2**256 + 1, 2**2000 + 1, 2**4000 + 1])
def test_an_overlong_rsa_exponent_is_refused(exponent: int) -> None:
    require_refused(rsa_jwk(e=number(exponent)))
    parse(rsa_jwk(e=number(2**64 - 1)))


@pytest.mark.parametrize("change", [{"n": ""}, {"n": 1}, {"n": None}, {"e": []}, {"e": "A"}, {"n": "+/+/"}])
def test_an_rsa_key_that_does_not_parse_is_refused(change: Members) -> None:
    require_refused(rsa_jwk(**change))


def test_an_even_rsa_modulus_is_refused() -> None:
    modulus = int.from_bytes(decode_base64url(rsa_jwk()["n"].encode()))
    require_refused(rsa_jwk(n=number(modulus - 1)))
    parse(rsa_jwk(n=number(modulus)))


def test_an_rsa_modulus_with_the_fingerprint_of_roca_is_refused() -> None:
    product = 1
    for prime in ROCA_PRIMES:
        product *= prime
    modulus = pow(65537, 12_345, product) + 2 * product * 2**2000
    modulus += 0 if modulus % 2 else product

    require_refused(rsa_jwk(n=number(modulus)))
    parse(rsa_jwk(n=number(modulus + 2)))
