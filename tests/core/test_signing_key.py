import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.simulator import Members, b64, ec_key, ed_key, rsa_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import MAX_KID_LENGTH, Algorithm, KeySet, parse_jwks, render_jwks
from tokensvc.errors import KeyRefused

PrivateKey = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
)

P256 = ec.derive_private_key(11, ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: PrivateKey, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(
    ("key", "alg"),
    [(P256, Algorithm.ES256), (ED25519, Algorithm.ED25519), (RSA, Algorithm.RS256)],
    ids=["ES256", "Ed25519", "RS256"],
)
def test_a_key_from_pem_is_named_by_its_thumbprint_and_comes_back_from_its_jwk(key: PrivateKey, alg: Algorithm) -> None:
    signing = SigningKey.from_pem(pem(key), alg=alg)

    assert signing.kid == signing.public.thumbprint
    assert signing.alg == alg
    assert SigningKey.from_jwk(signing.unsafe_private_jwk()) == signing
    assert list(parse_jwks(render_jwks(KeySet([signing.public])))) == [signing.public]


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSA, Algorithm.ES256),
        (P256, Algorithm.RS256),
        (ec.derive_private_key(11, ec.SECP384R1()), Algorithm.ES256),
        (ec.derive_private_key(11, ec.SECP256K1()), Algorithm.ES256),
        (ec.derive_private_key(11, ec.BrainpoolP256R1()), Algorithm.ES256),
        (ED25519, Algorithm.ES256),
        (ED25519, Algorithm.RS256),
        (P256, Algorithm.ED25519),
        (RSA, Algorithm.ED25519),
        (ed448.Ed448PrivateKey.generate(), Algorithm.ED25519),
        (x25519.X25519PrivateKey.generate(), Algorithm.ED25519),
        (rsa.generate_private_key(public_exponent=65537, key_size=1024), Algorithm.RS256),  # noqa: S505 - weak on purpose
        (rsa.generate_private_key(public_exponent=3, key_size=2048), Algorithm.RS256),
    ],
)
def test_a_pem_key_that_is_not_fit_for_the_algorithm_is_refused(key: PrivateKey, alg: Algorithm) -> None:
    with pytest.raises(KeyRefused):
        SigningKey.from_pem(pem(key), alg=alg)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"PRIVATE",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(P256, BestAvailableEncryption(b"secret")),
        P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["empty", "binary", "word", "junk", "encrypted", "public"],
)
def test_text_that_holds_no_readable_private_key_is_refused(text: bytes) -> None:
    for alg in Algorithm:
        with pytest.raises(KeyRefused):
            SigningKey.from_pem(text, alg=alg)
    SigningKey.from_pem(pem(P256), alg=Algorithm.ES256)


def private(**change: object) -> Members:
    return {**ec_key("k").unsafe_private_jwk(), **change}


def test_a_jwk_without_kid_is_named_by_its_thumbprint() -> None:
    jwk = {name: member for name, member in private().items() if name != "kid"}

    assert SigningKey.from_jwk(jwk).kid == ec_key("k").public.thumbprint


@pytest.mark.parametrize(
    "change",
    [
        {"kid": ""},
        {"kid": 5},
        {"kid": None},
        {"kid": "k" * (MAX_KID_LENGTH + 1)},
        {"kty": "oct", "k": "AAAA"},
        {"kty": ["EC"]},
        {"alg": "RS256"},
        {"alg": ["ES256"]},
        {"alg": "none"},
        {"d": 5},
        {"d": ec_key("other").unsafe_private_jwk()["d"]},
        {"d": ""},
    ],
)
def test_a_jwk_that_must_not_sign_is_refused(change: Members) -> None:
    with pytest.raises(KeyRefused):
        SigningKey.from_jwk(private(**change))
    SigningKey.from_jwk(private(kid="k" * MAX_KID_LENGTH))


@pytest.mark.parametrize(
    "change",
    [
        {"d": ed_key("other").unsafe_private_jwk()["d"]},
        {"x": ed_key("other").unsafe_private_jwk()["x"]},
        {"d": ed_key("k").unsafe_private_jwk()["d"] + "="},
        {"x": ed_key("k").unsafe_private_jwk()["x"] + "="},
        {"d": b64(bytes(31))},
        {"d": b64(bytes(33))},
        {"d": ""},
        {"d": 5},
        {"x": None},
        {"crv": "Ed448"},
        {"crv": "X25519"},
        {"alg": "ES256"},
        {"alg": "Ed448"},
        {"alg": ["Ed25519"]},
    ],
)
def test_an_ed25519_jwk_that_must_not_sign_is_refused(change: Members) -> None:
    jwk = ed_key("k").unsafe_private_jwk()
    assert SigningKey.from_jwk(jwk) == ed_key("k")

    with pytest.raises(KeyRefused):
        SigningKey.from_jwk({**jwk, **change})


@pytest.mark.parametrize("member", ["crv", "x"])
def test_an_incomplete_private_ed25519_jwk_is_refused(member: str) -> None:
    jwk = ed_key("k").unsafe_private_jwk()

    with pytest.raises(KeyRefused):
        SigningKey.from_jwk({name: value for name, value in jwk.items() if name != member})


def test_a_private_jwk_that_says_eddsa_signs_as_ed25519() -> None:
    key = SigningKey.from_jwk({**ed_key("k").unsafe_private_jwk(), "alg": "EdDSA"})

    assert key == ed_key("k")
    assert (key.alg, key.public.jwk()["alg"], key.unsafe_private_jwk()["alg"]) == ("Ed25519",) * 3


def test_a_public_jwk_cannot_sign() -> None:
    for key in (ec_key("k"), ed_key("k"), rsa_key("k")):
        with pytest.raises(KeyRefused):
            SigningKey.from_jwk(key.public.jwk())


@pytest.mark.parametrize("member", ["p", "q", "dp", "dq", "qi", "n", "e"])
def test_an_incomplete_private_rsa_jwk_is_refused(member: str) -> None:
    jwk = rsa_key("k").unsafe_private_jwk()
    SigningKey.from_jwk(jwk)

    with pytest.raises(KeyRefused):
        SigningKey.from_jwk({name: value for name, value in jwk.items() if name != member})


def test_a_signing_key_shows_nothing_private() -> None:
    for key in (ec_key("k"), ed_key("k"), rsa_key("k")):
        shown = repr(key) + repr(key.public) + str(key.public.jwk())
        secrets = [
            value for name, value in key.unsafe_private_jwk().items() if name in ("d", "p", "q", "dp", "dq", "qi")
        ]
        assert secrets
        assert not [secret for secret in secrets if secret in shown]
