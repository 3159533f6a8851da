"""Ed25519: its names, its keys, and the points that the package cryptography lets in and we do not."""

import json
from typing import Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt

from tests.simulator import NOW, Members, Simulator, assemble, b64, ec_key, ed_key, encode, rsa_key
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import CompactJws, SigningKey, decode_base64url, seal_compact, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, KeySet, PublicKey, find_algorithm, import_key, parse_jwks, wrap_key
from tokensvc.errors import KeyRefused

P: Final = 2**255 - 19
D: Final = -121665 * pow(121666, -1, P) % P
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
# The y of every point whose order divides 8, in any order. The five were found by solving the equations, and
# test_the_torsion_points_are_all_eight shows that they are right and complete.
SMALL_Y: Final = (
    0,
    1,
    P - 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
)
SMALL_ENCODINGS: Final = tuple(
    (spelt | sign << 255).to_bytes(32, "little")
    for y in SMALL_Y
    for spelt in (y, y + P)
    if spelt < 2**255
    for sign in (0, 1)
)
IDENTITY: Final = (1).to_bytes(32, "little")
# R is the identity and S is zero: 0 B = R + h A holds for every h when A is the identity, whatever was signed.
FIXED_SIGNATURE: Final = IDENTITY + bytes(32)

Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    """The complete addition of RFC 8032 s5.1.4, in plain coordinates."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2
    x3 = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y3 = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x3 % P, y3 % P


def decode(raw: bytes) -> Point | None:
    """The point of RFC 8032 s5.1.3, or None where decoding fails."""
    number = int.from_bytes(raw, "little")
    y, sign = number % 2**255, number >> 255
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    return (P - x if x % 2 != sign else x, y)


def is_sound(raw: bytes) -> bool:
    """The reference: a point, in its one encoding, that is not the neutral element eight times over."""
    point = decode(raw)
    if point is None:
        return False
    for _ in range(3):
        point = add(point, point)
    return point != (0, 1)


def okp(raw: bytes, **change: object) -> Members:
    return {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(raw), **change}


def is_key(raw: bytes) -> bool:
    try:
        parse_jwks({"keys": [okp(raw)]})
    except KeyRefused:
        return False
    return True


def raw_of(key: SigningKey) -> bytes:
    return decode_base64url(key.public.jwk()["x"].encode())


def jws(signature: bytes, signing_input: bytes = b"header.payload") -> CompactJws:
    return CompactJws(header=b"", payload=b"", signature=signature, signing_input=signing_input)


# Names


@pytest.mark.requirement("ED25519-NAMES")
def test_the_old_name_is_read_and_never_written() -> None:
    public = {**ed_key("k").public.jwk(), "alg": "EdDSA"}

    (key,) = parse_jwks({"keys": [public]})
    header = parse_json_object(split_compact(seal_compact({}, typ="at+jwt", key=ed_key("k")), max_bytes=999).header)

    assert key == ed_key("k").public
    assert (key.alg, key.jwk()["alg"], header["alg"]) == ("Ed25519",) * 3
    assert "EdDSA" not in {*Algorithm}


@pytest.mark.parametrize("name", [*Algorithm])
def test_an_algorithm_is_found_by_its_exact_name_only(name: Algorithm) -> None:
    assert find_algorithm(str(name)) is name
    for other in (name.lower() + " ", f" {name}", name.swapcase(), name.encode(), [name], {name: name}, None, 1, True):
        assert find_algorithm(other) is None


# RFC 8037, appendix A


@pytest.mark.requirement("OKP-JWK")
def test_the_thumbprint_and_the_signature_are_those_of_rfc_8037() -> None:
    key = SigningKey.from_jwk(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    )
    signing_input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"

    assert key.kid == key.public.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert b64(key.sign(signing_input)) == (
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )


# Signatures


@pytest.mark.requirement("ED25519-SIGNATURE")
def test_ed25519_signatures_of_another_length_or_form_are_refused() -> None:
    key = ed_key("k")
    good = key.sign(b"header.payload")
    assert verify_signature(jws(good), key.public)

    s = int.from_bytes(good[32:], "little")
    forms = [b"", good[:63], good[1:], good + b"\0", b"\0" + good, good * 2, good[32:] + good[:32], bytes(64)]
    # S + L is the same number to the group: a verifier that takes it has two signatures for one message.
    forms += [good[:32] + (s + ORDER * times).to_bytes(32, "little") for times in (1, 2, 8)]
    forms += [small + good[32:] for small in SMALL_ENCODINGS]
    assert [verify_signature(jws(form), key.public) for form in forms] == [False] * len(forms)
    assert not verify_signature(jws(good, b"header.payloae"), key.public)


# Points


def test_the_torsion_points_are_all_eight() -> None:
    points = {point for raw in SMALL_ENCODINGS if (point := decode(raw)) is not None}

    # Closed under addition, and of the one size that the group has room for: its order is 8 times a prime.
    assert len(points) == 8
    assert {add(one, other) for one in points for other in points} == points
    assert len(set(SMALL_ENCODINGS)) == 14


@pytest.mark.parametrize("raw", SMALL_ENCODINGS, ids=lambda raw: raw.hex()[:2] + raw.hex()[-2:])
def test_cryptography_takes_every_small_order_key_and_we_take_none(raw: bytes) -> None:
    theirs = Ed25519PublicKey.from_public_bytes(raw)
    forged = [small + bytes(32) for small in SMALL_ENCODINGS]

    def passes(signature: bytes, message: bytes) -> bool:
        try:
            theirs.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    # Nobody holds a private key, and for one message in eight at least there is a signature that passes.
    assert any(passes(signature, b"%d" % message) for signature in forged for message in range(64))
    assert not is_key(raw)
    with pytest.raises(KeyRefused):
        import_key(okp(raw))
    with pytest.raises(KeyRefused):
        wrap_key(theirs, alg=Algorithm.ED25519)
    # One such key spoils the whole set, as every contradictory key does.
    with pytest.raises(KeyRefused):
        parse_jwks({"keys": [ec_key("sound").public.jwk(), okp(raw)]})
    assert is_key(raw_of(ed_key("k")))


def test_one_fixed_signature_makes_every_token_valid_for_joserfc_and_no_key_set_of_ours_holds_its_key() -> None:
    sim = Simulator(key=ed_key("service"))
    token = assemble(sim.header(), {"sub": "anybody", "exp": NOW}, FIXED_SIGNATURE)
    poisoned: Members = {**sim.key.public.jwk(), "x": b64(IDENTITY)}

    claims = joserfc_jwt.decode(token, joserfc_jwk.import_key(poisoned), algorithms=["Ed25519"]).claims

    assert claims["sub"] == "anybody"
    for message in (b"", b"a", encode({"sub": "root"})):
        Ed25519PublicKey.from_public_bytes(IDENTITY).verify(FIXED_SIGNATURE, message)
    with pytest.raises(KeyRefused):
        parse_jwks({"keys": [poisoned]})
    assert not verify_signature(split_compact(token, max_bytes=999), sim.key.public)
    assert len(parse_jwks({"keys": [sim.key.public.jwk()]})) == 1


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("above", range(19))
def test_a_y_that_is_not_reduced_is_refused_although_cryptography_takes_it(above: int, sign: int) -> None:
    raw = (P + above | sign << 255).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(raw)

    assert not is_key(raw)


def test_what_is_no_point_is_refused_although_cryptography_takes_it() -> None:
    verdicts = {}
    for y in range(2, 100):
        raw = y.to_bytes(32, "little")
        Ed25519PublicKey.from_public_bytes(raw)
        verdicts[y] = is_key(raw)

    assert verdicts == {y: decode(y.to_bytes(32, "little")) is not None for y in range(2, 100)}
    # About half of all numbers are the y of a point.
    assert 30 < sum(verdicts.values()) < 70


@pytest.mark.requirement("ED25519-POINT")
@given(st.binary(min_size=32, max_size=32) | st.sampled_from(SMALL_ENCODINGS))
@example(raw_of(ed_key("k")))
@example(b"\xff" * 32)
def test_of_any_32_bytes_exactly_the_sound_points_are_keys(raw: bytes) -> None:
    assert is_key(raw) == is_sound(raw)


@given(st.binary(min_size=1, max_size=31) | st.binary(min_size=33, max_size=70))
def test_a_key_of_another_length_is_refused(raw: bytes) -> None:
    assert not is_key(raw)


# JWK


@pytest.mark.parametrize(
    "x",
    [
        b64(raw_of(ed_key("k"))) + "=",
        b64(raw_of(ed_key("k"))) + "\n",
        " " + b64(raw_of(ed_key("k"))),
        # The last letter carries four bits and two that must be zero.
        b64(raw_of(ed_key("k")))[:-1] + chr(ord(b64(raw_of(ed_key("k")))[-1]) + 1),
        b64(raw_of(ed_key("k"))).replace("-", "+").replace("_", "/") + "=",
        raw_of(ed_key("k")).hex(),
        "",
        "\ud800",
        "\u00e9" * 43,
        5,
        None,
        ["AA"],
    ],
)
def test_an_x_that_is_not_canonical_base64url_is_refused(x: object) -> None:
    parse_jwks({"keys": [okp(raw_of(ed_key("k")))]})

    with pytest.raises(KeyRefused):
        parse_jwks(json.loads(json.dumps({"keys": [okp(b"", x=x)]})))


def test_a_key_without_x_is_refused() -> None:
    for change in ({}, {"y": "AA"}, {"alg": "Ed25519"}):
        with pytest.raises(KeyRefused):
            parse_jwks({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", **change}]})


def test_a_set_of_all_three_kinds_finds_each_by_its_kid() -> None:
    made: list[PublicKey] = [ec_key("a").public, ed_key("b").public, rsa_key("c").public]
    keys = KeySet(made)

    assert [keys.find(key.kid) for key in made] == made
    assert [key.alg for key in keys] == ["ES256", "Ed25519", "RS256"]
