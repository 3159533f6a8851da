"""Whose certificate it is: the one name by which an agent is registered for `tls_client_auth` (RFC 8705 s2.1.2).

Names are compared as they are decoded, never as text that somebody printed.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, assert_never

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from tokensvc.errors import Malformed

__all__ = ["SubjectKind", "SubjectRule", "parse_subject_rule"]

# What OpenSSL writes beyond the names of RFC 4514; everything else has its number there, as in 2.5.4.97=...
_MORE_NAMES: Final[dict[str, ObjectIdentifier]] = {
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "GN": NameOID.GIVEN_NAME,
    "SN": NameOID.SURNAME,
    "title": NameOID.TITLE,
}
# Labels of letters, digits, hyphen and underscore. A wildcard would be anybody below.
_DNS_NAME: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]{1,2000}")
_EMAIL: Final = re.compile(r"[\x21-\x3f\x41-\x7e]{1,64}@[A-Za-z0-9.-]{1,253}")


class SubjectKind(StrEnum):
    """Where the name stands in the certificate (names of RFC 8705 s2.1.2)."""

    SUBJECT_DN = "tls_client_auth_subject_dn"
    SAN_DNS = "tls_client_auth_san_dns"
    SAN_URI = "tls_client_auth_san_uri"
    SAN_IP = "tls_client_auth_san_ip"
    SAN_EMAIL = "tls_client_auth_san_email"


_ALTERNATIVES: Final[dict[SubjectKind, type[x509.GeneralName]]] = {
    SubjectKind.SAN_DNS: x509.DNSName,
    SubjectKind.SAN_URI: x509.UniformResourceIdentifier,
    SubjectKind.SAN_IP: x509.IPAddress,
    SubjectKind.SAN_EMAIL: x509.RFC822Name,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectRule:
    """A name in its one form: equal rules are fitted by the same certificates."""

    kind: SubjectKind
    name: x509.Name | IPv4Address | IPv6Address | str

    def fits(self, certificate: x509.Certificate) -> bool:
        """True where the certificate bears exactly that name: as its whole subject, or among its alternative names.

        No wildcard counts on either side. A certificate with names or extensions that do not parse fits no rule.
        """
        try:
            if self.kind is SubjectKind.SUBJECT_DN:
                return certificate.subject == self.name
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            return False
        kind = _ALTERNATIVES[self.kind]
        names = [name.value for name in found.value if isinstance(name, kind)]
        return self.name in ([str(name).lower() for name in names] if kind is x509.DNSName else names)


def parse_subject_rule(kind: SubjectKind, text: str) -> SubjectRule:
    """The rule that `text` of a configuration states. Raises: Malformed."""
    return SubjectRule(kind=kind, name=_parse_name(kind, text))


def _parse_name(kind: SubjectKind, text: str) -> x509.Name | IPv4Address | IPv6Address | str:
    match kind:
        case SubjectKind.SUBJECT_DN:
            return _parse_dn(text)
        case SubjectKind.SAN_DNS:
            # RFC 5280 s7.2: whatever the case of the letters, it is the same name.
            return _require(_DNS_NAME, text, "a DNS name without wildcards").lower()
        case SubjectKind.SAN_URI:
            return _require(_URI, text, "an absolute URI")
        case SubjectKind.SAN_IP:
            return _parse_ip(text)
        case SubjectKind.SAN_EMAIL:
            return _require(_EMAIL, text, "an email address")
        case _:
            assert_never(kind)


def _parse_dn(text: str) -> x509.Name:
    try:
        name = x509.Name.from_rfc4514_string(text, _MORE_NAMES)
    except ValueError as exc:
        raise Malformed("not a distinguished name of RFC 4514") from exc
    if not len(name):
        raise Malformed("a distinguished name that names nobody")
    return name


def _parse_ip(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as exc:
        raise Malformed("not an IP address") from exc


def _require(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise Malformed(f"not {what}")
    return text
