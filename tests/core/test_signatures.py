import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.simulator import ec_key, ed_key, rsa_key
from tokensvc.core.jws import CompactJws, SigningKey, verify_signature

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MESSAGE = b"header.payload"


def jws(signature: bytes, signing_input: bytes = MESSAGE) -> CompactJws:
    return CompactJws(header=b"", payload=b"", signature=signature, signing_input=signing_input)


def es256() -> tuple[int, int]:
    signature = ec_key("k").sign(MESSAGE)
    return int.from_bytes(signature[:32]), int.from_bytes(signature[32:])


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32) + s.to_bytes(32)


@pytest.mark.requirement("ES256-LENGTH")
def test_es256_signatures_of_another_length_or_form_are_refused() -> None:
    r, s = es256()
    good = raw(r, s)
    assert verify_signature(jws(good), ec_key("k").public)

    forms = [encode_dss_signature(r, s), b"", good[:63], good[1:], good + b"\0", b"\0" + good, good[:32], good * 2]
    forms += [good[:32] + b"\0" + good[32:], r.to_bytes(33) + s.to_bytes(33), good[32:] + good[:32]]
    assert [verify_signature(jws(form), ec_key("k").public) for form in forms] == [False] * len(forms)


@pytest.mark.parametrize("number", [0, ORDER, 2**256 - 1])
def test_psychic_es256_signatures_are_refused(number: int) -> None:
    r, s = es256()

    assert not verify_signature(jws(raw(number, number)), ec_key("k").public)
    assert not verify_signature(jws(raw(number, s)), ec_key("k").public)
    assert not verify_signature(jws(raw(r, number)), ec_key("k").public)
    assert verify_signature(jws(raw(r, s)), ec_key("k").public)


def test_both_s_of_an_es256_signature_verify_as_the_standard_says() -> None:
    # So nothing may be keyed on the bytes of a token.
    r, s = es256()

    assert verify_signature(jws(raw(r, s)), ec_key("k").public)
    assert verify_signature(jws(raw(r, ORDER - s)), ec_key("k").public)


@pytest.mark.parametrize("key", [ec_key("k"), ed_key("k"), rsa_key("k")], ids=["ES256", "Ed25519", "RS256"])
def test_a_signature_with_any_bit_changed_is_refused(key: SigningKey) -> None:
    good = key.sign(MESSAGE)
    assert verify_signature(jws(good), key.public)

    for position in range(0, len(good) * 8, 5):
        changed = bytearray(good)
        changed[position // 8] ^= 1 << position % 8
        assert not verify_signature(jws(bytes(changed)), key.public)


def test_rs256_signatures_of_another_length_or_message_are_refused() -> None:
    key = rsa_key("k")
    good = key.sign(MESSAGE)
    assert verify_signature(jws(good), key.public)

    for form in (b"", b"\0", good[:-1], good[1:], good + b"\0", b"\0" + good, bytes(256), b"\xff" * 256):
        assert not verify_signature(jws(form), key.public)
    assert not verify_signature(jws(good, MESSAGE + b"x"), key.public)


def test_a_signature_is_judged_by_the_algorithm_of_the_key_alone() -> None:
    keys = [ec_key("k"), ed_key("k"), rsa_key("k")]

    for signer in keys:
        verdicts = [verify_signature(jws(signer.sign(MESSAGE)), key.public) for key in keys]
        assert verdicts == [key is signer for key in keys]
