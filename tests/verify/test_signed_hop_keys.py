"""The key in the header of a signed hop (TOKEN.md section 2, Evidence)."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519

from tests.simulator import (
    ABSENT,
    Members,
    b64,
    ec_key,
    ed_key,
    jwk,
    rsa_key,
)
from tests.verify.signed import SIGNED, SIM, Draft, holder
from tokensvc.core.jws import SigningKey
from tokensvc.errors import Reason, TokenRefused

# The last hop of planner, mailer, printer is signed with Ed25519, the one before it with ES256.
SIGNED_HOPS = [2, 3]


def with_header(at: int, /, **header: object) -> Draft:
    draft = Draft.of()
    part = draft.parts[at]
    part.header = {name: value for name, value in {**part.header, **header}.items() if value is not ABSENT}
    return draft


def thumbprint_of(key: Members) -> str:
    return b64(sha256(json.dumps(dict(sorted(key.items())), separators=(",", ":")).encode()).digest())


def bind_first_agent(draft: Draft, jkt: str) -> Draft:
    """Make root and first hop name this key, as a service and an authority that work together could."""
    draft.parts[0].payload["cnf"] = draft.chain[1]["cnf"] = {"jkt": jkt}
    return draft


@pytest.mark.parametrize("index", SIGNED_HOPS)
@pytest.mark.parametrize("extra", ["kid", "alg", "use", "key_ops", "d", "x5c", "n", "", "Y"])
def test_a_jwk_with_any_other_member_is_refused(index: int, extra: str) -> None:
    draft = Draft.of()
    draft.parts[index].header["jwk"] = {**draft.parts[index].header["jwk"], extra: "sig"}

    assert draft.reason() is Reason.GRANT_INVALID


@pytest.mark.parametrize("index", SIGNED_HOPS)
@pytest.mark.parametrize("value", [ABSENT, None, "", 1, [], {}, "EC", "OKP", "RSA", "P-256", "Ed25519", "P-384", "é"])
@pytest.mark.parametrize("name", ["kty", "crv", "x", "y"])
def test_a_jwk_without_a_member_or_with_another_value_is_refused(index: int, name: str, value: object) -> None:
    draft = Draft.of()
    key = draft.parts[index].header["jwk"]
    changed_key = {member: found for member, found in {**key, name: value}.items() if found is not ABSENT}
    draft.parts[index].header["jwk"] = changed_key

    assert draft.reason() is (None if changed_key == key else Reason.GRANT_INVALID)


@pytest.mark.parametrize("index", SIGNED_HOPS)
@pytest.mark.parametrize("key", [ec_key("thief"), ed_key("thief"), SIM.key, rsa_key("thief"), holder("printer")])
def test_a_hop_signed_with_a_key_that_the_entry_above_does_not_name_is_refused(index: int, key: SigningKey) -> None:
    draft = with_header(index, jwk=jwk(key), alg=str(key.alg))
    draft.parts[index].key = key

    assert draft.reason() is draft.reason(expect=SIGNED) is Reason.GRANT_INVALID


def test_the_thumbprint_is_compared_before_the_signature() -> None:
    # Genuine by the header's own key, and by the right key under another's header: neither is enough.
    own = with_header(2, jwk=jwk(ec_key("thief")))
    own.parts[2].key = ec_key("thief")
    borrowed = with_header(2, jwk=jwk(holder("planner")))
    borrowed.parts[2].key = ec_key("thief")
    for draft, words in ((own, "bound to"), (borrowed, "signature")):
        with pytest.raises(TokenRefused, match=words):
            draft.verify()


def test_keys_of_other_kinds_are_refused_even_where_the_entry_above_names_them() -> None:
    numbers = ec.derive_private_key(7, ec.SECP384R1()).public_key().public_numbers()
    x, y = (b64(number.to_bytes(48)) for number in (numbers.x, numbers.y))
    x448 = b64(ed448.Ed448PrivateKey.from_private_bytes(b"7" * 57).public_key().public_bytes_raw())
    x25519_x = b64(x25519.X25519PrivateKey.from_private_bytes(b"7" * 32).public_key().public_bytes_raw())
    foreign: list[Members] = [
        {"kty": "EC", "crv": "P-384", "x": x, "y": y},
        {"kty": "EC", "crv": "P-256", "x": x, "y": y},
        {"kty": "OKP", "crv": "Ed448", "x": x448},
        {"kty": "OKP", "crv": "X25519", "x": x25519_x},
        {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes([1, *bytes(31)]))},
        {"kty": "OKP", "crv": "?", "x": x448},
        {"kty": "oct", "k": "AAAA"},
        jwk(rsa_key("planner")),
        {},
    ]
    for key in foreign:
        for alg in ("ES256", "Ed25519", "RS256", "ES384", "EdDSA"):
            draft = bind_first_agent(with_header(2, jwk=key, alg=alg), thumbprint_of(key))
            assert draft.reason() is Reason.GRANT_INVALID, key


def test_an_rsa_key_makes_no_hop_even_where_the_entry_above_names_it() -> None:
    # The same with a key of another agent that is of a kind that may.
    for key, reason in ((rsa_key("rsa"), Reason.GRANT_INVALID), (ec_key("ec"), None), (ed_key("ed"), None)):
        draft = bind_first_agent(with_header(2, jwk=jwk(key), alg=str(key.alg)), key.public.thumbprint)
        draft.parts[2].key = key
        assert draft.reason() is reason


@pytest.mark.parametrize(
    "respell",
    [
        lambda x: b64(b"\0" + urlsafe_b64decode(x + "=")),
        lambda x: b64(bytes(3) + urlsafe_b64decode(x + "=")),
        lambda x: x + "=",
        lambda x: x + "\n",
        lambda x: x[:-1] + chr(ord(x[-1]) + 1),
        lambda x: x[:9] + "!" + x[9:],
    ],
    ids=["zero", "zeros", "padding", "newline", "loose bits", "junk"],
)
def test_a_key_in_another_spelling_is_refused_even_where_the_entry_above_names_it(
    respell: Callable[[str], str],
) -> None:
    # With a second thumbprint for one key, a revoked one would live on.
    key = jwk(holder("planner"))
    for name in ("x", "y"):
        other = {**key, name: respell(key[name])}
        draft = bind_first_agent(with_header(2, jwk=other), thumbprint_of(other))
        assert draft.reason() is Reason.GRANT_INVALID
    assert bind_first_agent(with_header(2, jwk=key), thumbprint_of(key)).reason() is None
