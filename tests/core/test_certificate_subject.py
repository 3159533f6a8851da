"""Whose certificate it is: each kind of name with one that fits, and its nearest neighbours that do not."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tests.certificates import Authority, self_signed
from tokensvc.core.certificate_subject import SubjectKind, parse_subject_rule
from tokensvc.errors import Malformed

AUTHORITY = Authority()
DN, DNS, URI, IP, EMAIL = SubjectKind


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


CN, ORG, COUNTRY = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.COUNTRY_NAME
PLANNER = name((COUNTRY, "DE"), (ORG, "Example, Inc."), (CN, "planner"))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("CN=planner,O=Example\\, Inc.,C=DE", True),
        ("CN=planner,O=Example\\2C Inc.,C=DE", True),
        ("2.5.4.3=planner,O=Example\\, Inc.,C=DE", True),
        ("CN=Planner,O=Example\\, Inc.,C=DE", False),
        ("C=DE,O=Example\\, Inc.,CN=planner", False),
        ("CN=planner,O=Example\\, Inc.", False),
        ("CN=planner", False),
        ("CN=planner\\,O=Example\\\\\\, Inc.\\,C=DE", False),
        ("CN=planner+O=Example\\, Inc.,C=DE", False),
        ("CN=planner,O=Example\\, Inc.,C=DE,O=x", False),
    ],
)
def test_a_subject_is_compared_as_a_structure(text: str, *, fits: bool) -> None:
    assert parse_subject_rule(DN, text).fits(AUTHORITY.issue(PLANNER).content) is fits


def test_a_value_that_looks_like_a_name_is_a_value() -> None:
    forged = AUTHORITY.issue(name((CN, "planner,O=Example"))).content
    honest = AUTHORITY.issue(name((ORG, "Example"), (CN, "planner"))).content
    rule = parse_subject_rule(DN, "CN=planner,O=Example")

    assert (rule.fits(forged), rule.fits(honest)) == (False, True)


def test_how_a_value_is_encoded_is_not_part_of_the_name() -> None:
    printable = x509.Name([x509.NameAttribute(CN, "planner", _ASN1Type.PrintableString)])

    assert parse_subject_rule(DN, "CN=planner").fits(AUTHORITY.issue(printable).content)


@pytest.mark.parametrize(
    ("text", "oid"),
    [
        ("emailAddress=A1-42,CN=planner", NameOID.EMAIL_ADDRESS),
        ("serialNumber=A1-42,CN=planner", NameOID.SERIAL_NUMBER),
        ("SN=A1-42,CN=planner", NameOID.SURNAME),
    ],
)
def test_names_of_attributes_are_those_of_openssl(text: str, oid: x509.ObjectIdentifier) -> None:
    rule = parse_subject_rule(DN, text)

    assert rule.fits(AUTHORITY.issue(name((CN, "planner"), (oid, "A1-42"))).content)
    assert not rule.fits(AUTHORITY.issue(name((CN, "planner"), (NameOID.TITLE, "A1-42"))).content)


@pytest.mark.parametrize(
    ("kind", "text", "good", "bad"),
    [
        (DNS, "planner.example", {"san_dns": "planner.example"}, {"san_dns": "xplanner.example"}),
        (DNS, "Planner.example", {"san_dns": "planner.EXAMPLE"}, {"san_dns": "*.example"}),
        (DNS, "planner.example", {"san_dns": "planner.example"}, {"san_dns": "planner.example.com"}),
        (DNS, "planner.example", {"san_dns": "planner.example"}, {"san_dns": "planner.example."}),
        (DNS, "planner.example", {"san_dns": "planner.example"}, {"san_uri": "planner.example"}),
        (DNS, "10.0.0.1", {"san_dns": "10.0.0.1"}, {"san_ip": "10.0.0.1"}),
        (
            URI,
            "spiffe://example/planner",
            {"san_uri": "spiffe://example/planner"},
            {"san_uri": "spiffe://EXAMPLE/planner"},
        ),
        (
            URI,
            "spiffe://example/planner",
            {"san_uri": "spiffe://example/planner"},
            {"san_uri": "spiffe://example/planner/"},
        ),
        (IP, "10.0.0.1", {"san_ip": "10.0.0.1"}, {"san_ip": "10.0.0.2"}),
        (IP, "10.0.0.1", {"san_ip": "10.0.0.1"}, {"san_ip": "::ffff:10.0.0.1"}),
        (IP, "2001:DB8:0::1", {"san_ip": "2001:db8::1"}, {"san_ip": "2001:db8::2"}),
        (EMAIL, "planner@example.com", {"san_email": "planner@example.com"}, {"san_email": "Planner@example.com"}),
        (EMAIL, "planner@example.com", {"san_email": "planner@example.com"}, {"san_dns": "planner@example.com"}),
    ],
)
def test_an_alternative_name_is_exact(kind: SubjectKind, text: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    rule = parse_subject_rule(kind, text)

    assert rule.fits(AUTHORITY.issue(text[:64], **good).content)
    assert not rule.fits(AUTHORITY.issue(text[:64], **bad).content)


def test_a_name_may_stand_among_others() -> None:
    among = AUTHORITY.issue("x", san_uri="spiffe://example/x", san_dns="planner.example").content

    assert parse_subject_rule(DNS, "planner.example").fits(among)
    assert parse_subject_rule(URI, "spiffe://example/x").fits(among)
    assert not parse_subject_rule(DNS, "x").fits(among)


def test_the_common_name_is_no_dns_name() -> None:
    assert not parse_subject_rule(DNS, "planner.example").fits(AUTHORITY.issue("planner.example").content)
    assert not parse_subject_rule(DNS, "planner.example").fits(self_signed("planner.example").content)


def test_names_that_do_not_parse_fit_nothing() -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x01")
    certificate = AUTHORITY.issue("planner", extensions=[(broken, False)]).content

    assert not parse_subject_rule(DNS, "planner.example").fits(certificate)
    assert parse_subject_rule(DN, "CN=planner").fits(certificate)


@pytest.mark.parametrize(
    ("kind", "bad", "good"),
    [
        (DN, "", "CN=x"),
        (DN, "CN", "CN=x"),
        (DN, "cn=x", "CN=x"),
        (DN, "CN=x, O=y", "CN=x,O=y"),
        (DN, "CN=x,", "CN=x"),
        (DN, "NAME=x", "1.2.3=x"),
        (DN, "C=GER", "C=DE"),
        (DNS, "", "a"),
        (DNS, "*.example", "x.example"),
        (DNS, "a..b", "a.b"),
        (DNS, "a.", "a"),
        (DNS, "a b", "a-b"),
        (DNS, "ä.example", "xn--4ca.example"),
        (DNS, "a" * 64, "a" * 63),
        (DNS, "a.example\n", "a.example"),
        (DNS, ".".join(["a" * 63] * 4), ".".join(["a" * 63] * 3)),
        (URI, "planner", "x:planner"),
        (URI, "x:", "x:y"),
        (URI, "x:y z", "x:y%20z"),
        (IP, "10.0.0.0/8", "10.0.0.0"),
        (IP, "10.0.0", "10.0.0.0"),
        (IP, "", "::"),
        (EMAIL, "planner", "planner@example"),
        (EMAIL, "a@b@c", "a@b"),
        (EMAIL, "a b@c", "ab@c"),
    ],
)
def test_a_rule_names_one_thing(kind: SubjectKind, bad: str, good: str) -> None:
    assert parse_subject_rule(kind, good) == parse_subject_rule(kind, good)
    with pytest.raises(Malformed):
        parse_subject_rule(kind, bad)
