"""DPoP proofs (RFC 9449 s4.3): each refusal beside the proof without that fault."""

import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.proofs import HOLDER, HTM, HTU, ath, judge, proof, proof_claims, proof_header
from tests.shared_vectors import vector_folder
from tests.simulator import ABSENT, NOW, Members, assemble, b64, ec_key, ed_key, jwk, rsa_key, seal
from tokensvc.core.jws import SigningKey, split_compact
from tokensvc.core.keyset import Algorithm
from tokensvc.core.proof import ClientCertificate, VerifiedProof, token_hash
from tokensvc.errors import Reason, TokenRefused

OTHER: Final = ec_key("other")


def refusal(text: str, **terms: Any) -> TokenRefused:  # noqa: ANN401 - any term
    with pytest.raises(TokenRefused) as refused:
        judge(text, **terms)
    assert refused.value.reason is Reason.PROOF_INVALID
    return refused.value


def assert_refused(text: str, **terms: Any) -> None:  # noqa: ANN401 - any term
    refusal(text, **terms)
    assert judge(proof()).jkt == HOLDER.public.thumbprint


def with_header(**members: Any) -> str:  # noqa: ANN401 - any member, of any type
    return proof(header=proof_header(**members))


@cache
def large_rsa_key(bits: int) -> SigningKey:
    pem = rsa.generate_private_key(public_exponent=65537, key_size=bits).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return SigningKey.from_pem(pem, alg=Algorithm.RS256)


# What is accepted


def test_a_proof_says_whose_key_was_held_for_what_and_when() -> None:
    assert judge(proof("a.token", nonce="n-1")) == VerifiedProof(
        jkt=HOLDER.public.thumbprint, jti=proof_claims()["jti"], iat=NOW, ath=ath("a.token"), nonce="n-1"
    )


def test_what_is_not_said_is_none() -> None:
    verified = judge(proof())
    assert (verified.ath, verified.nonce) == (None, None)


@pytest.mark.parametrize(
    "make_key",
    [lambda: ec_key("p"), lambda: ed_key("p"), *[partial(large_rsa_key, bits) for bits in (2048, 3072, 4096)]],
    ids=["P-256", "Ed25519", "RSA-2048", "RSA-3072", "RSA-4096"],
)
def test_every_algorithm_that_is_named_to_clients_is_accepted(make_key: Callable[[], SigningKey]) -> None:
    key = make_key()
    assert judge(proof(key=key)).jkt == key.public.thumbprint
    forged = proof(key=key)[:-8] + "AAAAAAAA"
    assert refusal(forged).description == "DPoP: the signature does not verify"


@pytest.mark.parametrize("name", ["Ed25519", "EdDSA"])
def test_both_names_of_ed25519_are_taken(name: str) -> None:
    key = ed_key("holder")
    assert judge(proof(key=key, header=proof_header(key, alg=name))).jkt == key.public.thumbprint


def test_a_kid_beside_the_key_says_nothing() -> None:
    assert judge(with_header(kid="planner-1")).jkt == HOLDER.public.thumbprint


@pytest.mark.parametrize(
    "members", [{"use": "sig"}, {"alg": "ES256"}, {"kid": "x"}, {"key_ops": ["verify"], "ext": True}]
)
def test_what_others_write_into_a_public_key_does_not_change_its_thumbprint(members: Members) -> None:
    assert judge(with_header(jwk={**jwk(HOLDER), **members})).jkt == HOLDER.public.thumbprint


def test_figure_1_of_the_rfc_is_a_proof_for_its_request_at_its_time() -> None:
    figure = (vector_folder(".") / "rfc9449_fig1.txt").read_text("ascii").strip()
    request = {"htm": "POST", "htu": "https://server.example.com/token", "now": 1_562_262_616, "leeway_s": 0}

    verified = judge(figure, **request)
    assert verified.jkt == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    assert verified.once == "dpop 0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I -BwC3ESc6acc2lTc"
    for change in ({"htm": "GET"}, {"htu": "https://server.example.com/other"}, {"now": NOW}):
        refusal(figure, **{**request, **change})


def test_the_hash_of_a_token_is_the_one_that_the_rfc_shows() -> None:
    # RFC 9449 figures 12 and 13.
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    assert token_hash(token) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def test_a_certificate_is_known_by_the_hash_of_its_der() -> None:
    der = b"0\x82 any certificate"
    assert ClientCertificate.of(der) == ClientCertificate(thumbprint=b64(sha256(der).digest()))


# Once


def test_the_same_jti_of_two_keys_is_two_proofs() -> None:
    mine, theirs, next_one = judge(proof()), judge(proof(key=OTHER)), judge(proof(jti="another"))
    assert len({mine.once, theirs.once, next_one.once}) == 3
    assert judge(proof(iat=NOW - 1)).once == mine.once


# The text


@pytest.mark.parametrize("text", ["", "x", "a.b", "a.b.c", "a.b.c.d", "....", "\u00e9.e.e", " ", "\ud800", "null"])
@pytest.mark.requirement("DPOP-WELL-FORMED")
def test_what_is_no_jws_is_refused(text: str) -> None:
    assert_refused(text)


@pytest.mark.parametrize("change", ["{0} ", " {0}", "{0}=", "{0}.", "{0},{0}", "{0}\n", "DPoP {0}"])
def test_a_proof_with_something_around_it_is_refused(change: str) -> None:
    assert_refused(change.format(proof()))


def test_a_proof_is_refused_from_its_bound_on() -> None:
    room = 8192 - len(proof(pad=""))
    near = proof(pad="x" * (room * 3 // 4 - 3))
    assert 8185 < len(near) <= 8192
    assert judge(near).jti
    assert "larger than 8192 bytes" in refusal(proof(pad="x" * (room * 3 // 4 + 8))).description


def test_two_members_of_one_name_are_refused_in_header_payload_and_key() -> None:
    header, claims, key = (json.dumps(part) for part in (proof_header(), proof_claims(), jwk(HOLDER)))
    texts = [
        (header[:-1] + ', "typ": "dpop+jwt"}', claims),
        (header, claims[:-1] + f', "htm": "{HTM}"}}'),
        (header.replace(key, key[:-1] + ', "kty": "EC"}'), claims),
    ]
    for one, other in texts:
        assert_refused(seal(one.encode(), other.encode(), HOLDER))
    assert judge(seal(header.encode(), claims.encode(), HOLDER)).jti


@pytest.mark.parametrize("part", [b"[]", b"null", b'"x"', b"{", b"\xff", b'{"a": NaN}', b""])
def test_a_header_or_payload_that_is_no_object_is_refused(part: bytes) -> None:
    assert_refused(seal(part, proof_claims(), HOLDER))
    assert_refused(seal(proof_header(), part, HOLDER))


# The header


@pytest.mark.parametrize(
    "typ",
    [ABSENT, "JWT", "at+jwt", "dpop", "DPOP+JWT", "application/dpop+jwt", "delegation-grant+jwt", None, ["dpop+jwt"]],
)
@pytest.mark.requirement("DPOP-TYP")
def test_another_type_is_refused(typ: object) -> None:
    assert_refused(with_header(typ=typ))


@pytest.mark.parametrize(
    "alg",
    [ABSENT, "none", "None", "HS256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA", "es256", "", None, 1, ["ES256"]],
)
@pytest.mark.requirement("DPOP-ALG")
def test_an_algorithm_that_is_none_in_use_or_not_that_of_the_key_is_refused(alg: object) -> None:
    assert_refused(with_header(alg=alg))


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_the_algorithm_of_another_kind_of_key_is_refused(alg: str) -> None:
    key = ed_key("holder")
    assert_refused(proof(key=key, header=proof_header(key, alg=alg)))
    assert judge(proof(key=key)).jti


def test_no_signature_at_all_is_refused() -> None:
    assert_refused(assemble(proof_header(alg="none"), proof_claims(), b""))
    assert_refused(proof().rpartition(".")[0] + ".")


@pytest.mark.requirement("DPOP-ALG")
def test_a_shared_secret_is_no_proof_even_where_it_is_the_public_key() -> None:
    """HMAC keyed with what everybody can read."""
    for header in (proof_header(alg="HS256"), proof_header(alg="HS256", jwk={"kty": "oct", "k": b64(b"secret")})):
        text = assemble(header, proof_claims(), b"")
        secret = json.dumps(header["jwk"]).encode()
        mac = hmac.digest(secret, text[:-1].encode(), "sha256")
        assert_refused(text + b64(mac))


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"jku": "https://thief.example/jwks"},
        {"x5u": "https://thief.example/cert"},
        {"x5c": ["MIIB"]},
        {"x5t#S256": "x"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"nonce": "n-1"},
        {"unknown": 1},
    ],
    ids="-".join,
)
def test_a_member_of_the_header_that_could_change_its_meaning_is_refused(members: Members) -> None:
    assert_refused(with_header(**members))


# The key


@pytest.mark.requirement("DPOP-NO-PRIVATE")
def test_a_key_is_public_and_there() -> None:
    private: Members = {**HOLDER.unsafe_private_jwk()}
    for key in (ABSENT, None, {}, [], "x", private, {**jwk(HOLDER), "d": ""}, {"kty": "oct", "k": b64(b"k" * 32)}):
        assert_refused(with_header(jwk=key))


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"kty": ["EC"]},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": ABSENT},
        {"x": ABSENT},
        {"y": 1},
        {"x": "AAAA"},
        {"y": jwk(OTHER)["y"]},
        {"alg": "ES384"},
        {"alg": "RS256"},
    ],
)
def test_a_key_that_is_none_is_refused(change: Members) -> None:
    members = {name: member for name, member in {**jwk(HOLDER), **change}.items() if member is not ABSENT}
    assert_refused(with_header(jwk=members))


def test_a_short_rsa_key_and_another_curve_are_refused() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers()  # noqa: S505
    weak = {"kty": "RSA", "e": "AQAB", "n": b64(short.n.to_bytes(128))}
    assert_refused(with_header(alg="RS256", jwk=weak))
    curve = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    p384 = {"kty": "EC", "crv": "P-384", "x": b64(curve.x.to_bytes(48)), "y": b64(curve.y.to_bytes(48))}
    assert_refused(with_header(alg="ES256", jwk=p384))
    assert judge(proof(key=rsa_key("control"))).jti


# RFC 8032: orders 1, 2, 4, 8.
SMALL_ORDER: Final = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_an_ed25519_key_of_small_order_under_which_anybody_could_sign_is_refused(point: str) -> None:
    header = {
        "typ": "dpop+jwt",
        "alg": "Ed25519",
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes.fromhex(point))},
    }
    # With the identity as R and zero as S the equation holds for every message, or one in eight.
    for number in range(8):
        text = assemble(header, proof_claims(jti=f"proof {number}"), bytes.fromhex(SMALL_ORDER[0]) + bytes(32))
        assert "small order" in refusal(text).description
    assert judge(proof(key=ed_key("holder"))).jti


# The signature


def test_a_signature_of_zeros_and_one_in_der_are_refused() -> None:
    text = proof()
    signing_input = text.rpartition(".")[0]
    raw = split_compact(text, max_bytes=8192).signature
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    der = encode_dss_signature(r, s)
    assert decode_dss_signature(der) == (r, s)
    for signature in (
        bytes(64),
        raw[:32] + bytes(32),
        bytes(32) + raw[32:],
        der,
        raw + b"\x00",
        raw[:-1],
        b"\x00" + raw,
    ):
        assert_refused(f"{signing_input}.{b64(signature)}")
    assert judge(text).jti


@pytest.mark.requirement("DPOP-SIGNATURE")
def test_a_proof_signed_by_another_key_than_the_one_it_shows_is_refused() -> None:
    assert_refused(seal(proof_header(), proof_claims(), OTHER))
    header, _, signature = proof().split(".")
    assert_refused(f"{header}.{b64(json.dumps(proof_claims(htm='POST')).encode())}.{signature}", htm="POST")


def test_no_letter_of_a_proof_may_change() -> None:
    text = proof()
    for position in range(0, len(text), 7):
        letter = text[position]
        if letter != ".":
            changed = text[:position] + ("B" if letter == "A" else "A") + text[position + 1 :]
            refusal(changed)
    assert judge(text).jti


def test_nothing_of_a_proof_is_remembered_from_one_to_the_next() -> None:
    """Its key is, and neither its signature nor its claims."""
    first = proof(jti="first")
    header, payload, _ = proof(jti="second").split(".")
    assert judge(first).jti == "first"
    assert_refused(f"{header}.{payload}.{first.rpartition('.')[2]}")


def test_a_header_too_large_to_be_remembered_is_judged_alike() -> None:
    padded = proof_header(kid="x" * 2000)
    assert judge(proof(header=padded)).jkt == HOLDER.public.thumbprint
    assert_refused(seal(padded, proof_claims(), OTHER))


# The claims


@pytest.mark.parametrize("jti", [ABSENT, "", None, 1, ["x"], "x" * 257])
@pytest.mark.requirement("DPOP-WELL-FORMED")
def test_a_jti_that_could_not_be_remembered_is_refused(jti: object) -> None:
    assert_refused(proof(jti=jti))
    assert judge(proof(jti="x" * 256)).jti == "x" * 256


@pytest.mark.parametrize("htm", [ABSENT, "POST", "get", "GET ", "", None, ["GET"]])
@pytest.mark.requirement("DPOP-HTM")
def test_another_method_is_refused(htm: object) -> None:
    assert_refused(proof(htm=htm))
    assert judge(proof(htm="POST"), htm="POST").jti


@pytest.mark.parametrize(
    "htu",
    [
        ABSENT,
        "",
        None,
        [HTU],
        {"uri": HTU},
        "https://files.example/customers",
        "https://crm.example/",
        "https://crm.example",
        "https://crm.example/customers/",
        "https://crm.example/Customers",
        "http://crm.example/customers",
        "https://crm.example:8443/customers",
        "https://user@crm.example/customers",
        "https://crm.example@thief.example/customers",
        "/customers",
        "crm.example/customers",
        "//crm.example/customers",
        "https:/customers",
        "https:///customers",
        "wss://crm.example/customers",
        "https://crm.example:x/customers",
        "https://crm.example:99999/customers",
        "https://[crm.example/customers",
        "https://crm.example/customers\n",
        "https://crm.example/cust\tomers",
        " https://crm.example/customers",
        "https://crm.example/customers\u00e9",
        "https://crm.example/./customers",
        "https://crm.example/x/../customers",
    ],
)
@pytest.mark.requirement("DPOP-HTU")
def test_another_uri_is_refused(htu: object) -> None:
    assert_refused(proof(htu=htu))


@pytest.mark.parametrize("iat", [ABSENT, None, str(NOW), NOW + 0.0, True, -1, [NOW]])
@pytest.mark.requirement("DPOP-WELL-FORMED")
def test_a_time_that_is_none_is_refused(iat: object) -> None:
    assert_refused(proof(iat=iat))


@pytest.mark.parametrize(
    ("offset", "is_accepted"),
    [
        (-3600, False),
        (-91, False),
        (-90, True),
        (-10, True),
        (0, True),
        (8, True),
        (30, True),
        (31, False),
        (3600, False),
    ],
)
@pytest.mark.requirement("DPOP-IAT")
def test_a_proof_lasts_a_minute_and_the_leeway(offset: int, is_accepted: bool) -> None:
    if is_accepted:
        assert judge(proof(iat=NOW + offset)).iat == NOW + offset
    else:
        assert_refused(proof(iat=NOW + offset))


@pytest.mark.parametrize("name", ["ath", "nonce"])
@pytest.mark.parametrize("value", ["", None, 1, True, ["x"]])
def test_a_claim_that_may_be_left_out_is_text_where_it_stands(name: str, value: object) -> None:
    odd, good = ({**proof_claims(), name: said} for said in (value, "x"))
    assert_refused(seal(proof_header(), odd, HOLDER))
    assert getattr(judge(seal(proof_header(), good, HOLDER)), name) == "x"


@pytest.mark.parametrize(
    "terms", [{"now": float("nan")}, {"now": float(NOW)}, {"now": True}, {"leeway_s": float("inf")}]
)
def test_a_clock_without_whole_seconds_proves_nothing(terms: Members) -> None:
    with pytest.raises(TypeError, match="whole seconds"):
        judge(proof(iat=1), **terms)
    assert judge(proof()).iat == NOW


def test_a_refusal_shows_nothing_of_the_proof() -> None:
    refused = refusal(proof(htm="POST", jti="very-secret"))
    assert str(refused) == "proof_invalid: DPoP: htm is not the method of this request"


def test_a_proof_is_a_value_that_shows_no_credential() -> None:
    verified = judge(proof())
    assert replace(verified, jti="x") != verified
    assert proof().rpartition(".")[2] not in repr(verified)
