"""Certificates of clients, read: from DER, PEM and the header of a proxy; and what is told of one."""

from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates import Authority, constraints, private_key, self_signed
from tokensvc.core.certificate import (
    MAX_BYTES,
    certificate_thumbprint,
    is_fit_to_issue,
    parse_certificate,
    parse_certificate_header,
    parse_pem_certificates,
)
from tokensvc.core.keyset import Algorithm, PublicKey, wrap_key
from tokensvc.errors import Malformed, Reason

CLIENT = self_signed("planner")
OTHER = self_signed("researcher")
SEQUENCE = b":" + b64encode(CLIENT.der) + b":"


def test_the_thumbprint_is_the_hash_of_the_der() -> None:
    expected = urlsafe_b64encode(sha256(CLIENT.der).digest()).rstrip(b"=").decode()

    assert certificate_thumbprint(CLIENT.der) == CLIENT.parsed.thumbprint == expected
    assert CLIENT.parsed.der == CLIENT.der


@pytest.mark.parametrize(
    "value",
    [
        SEQUENCE,
        b" \t" + SEQUENCE + b" ",
        CLIENT.escaped,
        quote(CLIENT.pem.decode()).encode(),  # a slash as it is
        CLIENT.escaped.replace(b"%0A", b"%0D%0A"),
        CLIENT.escaped.removesuffix(b"%0A"),
    ],
)
def test_a_header_is_a_byte_sequence_or_escaped_pem(value: bytes) -> None:
    assert parse_certificate_header(value) == CLIENT.parsed


@pytest.mark.parametrize("value", [b"", b" ", b"\t"])
def test_an_empty_header_says_that_there_is_none(value: bytes) -> None:
    assert parse_certificate_header(value) is None


@pytest.mark.parametrize(
    "value",
    [
        SEQUENCE[:-1],
        SEQUENCE[1:],
        SEQUENCE + b";q=1",
        SEQUENCE + b", " + SEQUENCE,
        SEQUENCE.replace(b":", b'"'),
        b"::",
        b":AAAA:",
        b":AAA:",
        b":" + urlsafe_b64encode(CLIENT.der) + b":",
        b":" + b64encode(CLIENT.der + b"\x00") + b":",
        b":" + b64encode(CLIENT.der[:-1]) + b":",
        b":" + b64encode(CLIENT.pem) + b":",
        CLIENT.pem.replace(b"\n", b" ").strip(),
        b64encode(CLIENT.der),
        CLIENT.escaped + OTHER.escaped,
        CLIENT.escaped + b"x",
        b"x" + CLIENT.escaped,
        CLIENT.escaped.replace(b"%0A", b"%0"),
        CLIENT.escaped.replace(b"%0A", b""),
        CLIENT.escaped.replace(b"%0A", b"%20"),
        quote(CLIENT.escaped).encode(),
        CLIENT.escaped.replace(b"CERTIFICATE", b"PUBLIC%20KEY"),
        b"Cert=" + CLIENT.escaped,
        b"(null)",
        b"-",
        b"\xff\xfe",
    ],
)
def test_whatever_else_stands_there_is_no_certificate(value: bytes) -> None:
    with pytest.raises(Malformed):
        parse_certificate_header(value)


@given(st.binary(max_size=300))
def test_no_header_is_anything_but_a_certificate_nothing_or_malformed(value: bytes) -> None:
    try:
        assert parse_certificate_header(value) is None
    except Malformed as exc:
        assert exc.description  # noqa: PT017 - any header may be either
    assert parse_certificate_header(SEQUENCE) == CLIENT.parsed


def test_a_certificate_has_a_largest_size() -> None:
    def of(size: int) -> bytes:
        padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04" * size)
        return AUTHORITY.issue("planner", extensions=[(padding, False)]).der

    assert parse_certificate(of(MAX_BYTES - 1000)).thumbprint
    with pytest.raises(Malformed) as raised:
        parse_certificate(of(MAX_BYTES))
    assert raised.value.reason is Reason.TOO_LARGE


AUTHORITY = Authority()


@pytest.mark.parametrize(("bits", "is_good"), [(2048, True), (1024, False)])
def test_short_rsa_keys_are_refused(bits: int, *, is_good: bool) -> None:
    der = AUTHORITY.issue("planner", key=rsa.generate_private_key(65537, bits)).der
    if is_good:
        assert parse_certificate(der).thumbprint == certificate_thumbprint(der)
        return
    with pytest.raises(Malformed, match="2048"):
        parse_certificate(der)


def test_a_pem_file_holds_certificates_and_nothing_else_but_text() -> None:
    both = b"CN=planner\n" + CLIENT.pem + b"\nCN=researcher\n" + OTHER.pem

    assert parse_pem_certificates(both) == (CLIENT.parsed, OTHER.parsed)
    assert parse_pem_certificates(both.replace(b"\n", b"\r\n")) == (CLIENT.parsed, OTHER.parsed)
    assert parse_pem_certificates(b"") == ()
    for broken in (both + CLIENT.key_pem, both.replace(b"-----END CERTIFICATE-----\n\nCN", b"CN"), both[:-40]):
        with pytest.raises(Malformed):
            parse_pem_certificates(broken)


def test_both_ends_of_its_validity_belong_to_it() -> None:
    certificate = self_signed("planner", begin=2025, end=2030).parsed
    begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2025, 2030))

    assert [certificate.is_valid_at(now) for now in (begin - 1, begin, end, end + 1)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (private_key("a"), Algorithm.ES256),
        (ed25519.Ed25519PrivateKey.generate(), Algorithm.ED25519),
        (rsa.generate_private_key(65537, 2048), Algorithm.RS256),
        (ec.generate_private_key(ec.SECP384R1()), None),
    ],
)
def test_a_key_is_known_by_the_thumbprint_that_key_sets_have(
    key: ec.EllipticCurvePrivateKey, algorithm: Algorithm | None
) -> None:
    one, two = self_signed("planner", key=key).parsed, self_signed("planner", key=key, end=2041).parsed

    assert one.thumbprint != two.thumbprint
    assert one.key_thumbprints == two.key_thumbprints
    assert one.key_thumbprints.isdisjoint(OTHER.parsed.key_thumbprints)
    if algorithm is None:
        assert len(one.key_thumbprints) == 1
    else:
        public = PublicKey.of(wrap_key(key.public_key(), alg=algorithm), kid="k", alg=algorithm)
        assert public.thumbprint in one.key_thumbprints


@pytest.mark.parametrize(
    ("key", "extensions", "is_fit"),
    [
        (private_key("a"), [constraints(ca=True)], True),
        (ec.generate_private_key(ec.SECP521R1()), [constraints(ca=True)], True),
        (rsa.generate_private_key(65537, 2048), [constraints(ca=True)], True),
        (private_key("a"), [constraints(ca=False)], False),
        (private_key("a"), [], False),
        (ec.generate_private_key(ec.SECP256K1()), [constraints(ca=True)], False),
        (ed25519.Ed25519PrivateKey.generate(), [constraints(ca=True)], False),
    ],
)
def test_an_authority_is_fit_when_its_signatures_can_be_verified(
    key: ec.EllipticCurvePrivateKey, extensions: list[tuple[x509.ExtensionType, bool]], *, is_fit: bool
) -> None:
    authority = Authority(key=key, extensions=extensions)

    assert is_fit_to_issue(authority.issued.parsed) is is_fit


def test_what_does_not_parse_as_an_extension_is_no_authority() -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x01")

    assert not is_fit_to_issue(Authority(extensions=[(broken, True)]).issued.parsed)


def test_nothing_of_a_certificate_is_shown_but_its_thumbprint() -> None:
    assert repr(CLIENT.parsed) == f"Certificate(thumbprint='{CLIENT.parsed.thumbprint}')"
    assert CLIENT.content.public_bytes(Encoding.DER) == CLIENT.der
