"""Certificates for tests: authorities, clients of theirs, and self-signed ones. Valid from 2020 to 2040, else said.

authority = Authority()
client = authority.issue("planner", san_dns="planner.example")
client.write(folder, "planner")  # planner.pem and planner.key
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tokensvc.core.certificate import Certificate, parse_certificate

__all__ = [
    "CLIENT_AUTH",
    "SERVER_AUTH",
    "Authority",
    "Issued",
    "constraints",
    "key_usage",
    "private_key",
    "self_signed",
    "server_certificate",
]

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extension = tuple[x509.ExtensionType, bool]

BEGIN: Final = 2020
END: Final = 2040
CLIENT_AUTH: Final[Extension] = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
SERVER_AUTH: Final[Extension] = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)


@cache
def private_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The key of that name, the same in one run of the tests."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


def constraints(*, ca: bool) -> Extension:
    return x509.BasicConstraints(ca=ca, path_length=None), True


def key_usage(**members: bool) -> Extension:
    """A KeyUsage of nothing but `members`."""
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: members.get(name, False) for name in names}), True


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate and its private key."""

    content: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.content.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.content.public_bytes(Encoding.PEM)

    @property
    def parsed(self) -> Certificate:
        return parse_certificate(self.der)

    @property
    def escaped(self) -> bytes:
        """As nginx writes it in `$ssl_client_escaped_cert`."""
        return quote(self.pem, safe="").encode()

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """`NAME.pem` and `NAME.key` in `folder`, as curl and the like want them: their paths."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(self.pem)
        paths[1].touch(0o600)
        paths[1].write_bytes(self.key_pem)
        return str(paths[0]), str(paths[1])


class Authority:
    """A certificate authority; below another one where that is said."""

    def __init__(
        self,
        name: str = "Authority",
        *,
        above: "Authority | None" = None,
        key: Key | None = None,
        extensions: Sequence[Extension] = (constraints(ca=True),),
        end: int = END,
    ) -> None:
        self.issued: Issued = _make(
            _dn(name),
            private_key(f"authority {name}") if key is None else key,
            issuer=None if above is None else above.issued,
            extensions=extensions,
            end=end,
        )

    def issue(
        self,
        name: str | x509.Name,
        *,
        key: Key | None = None,
        extensions: Sequence[Extension] = (),
        begin: int = BEGIN,
        end: int = END,
        **sans: str,
    ) -> Issued:
        """A certificate for a client of that common name. `sans`: `san_dns`, `san_uri`, `san_ip`, `san_email`."""
        names = [_SANS[kind](value) for kind, value in sans.items()]
        alternative: list[Extension] = [(x509.SubjectAlternativeName(names), False)] if names else []
        subject = _dn(name) if isinstance(name, str) else name
        chosen = private_key(f"client {name}") if key is None else key
        return _make(subject, chosen, issuer=self.issued, extensions=[*alternative, *extensions], begin=begin, end=end)


def self_signed(name: str, *, key: Key | None = None, begin: int = BEGIN, end: int = END) -> Issued:
    """A certificate that a client made for itself."""
    return _make(_dn(name), private_key(f"client {name}") if key is None else key, begin=begin, end=end)


def server_certificate(authority: Authority, *, end: int = END) -> Issued:
    """One for servers at 127.0.0.1 and localhost."""
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    return authority.issue("localhost", extensions=[(names, False), SERVER_AUTH], end=end)


_SANS: Final[dict[str, Any]] = {
    "san_dns": x509.DNSName,
    "san_uri": x509.UniformResourceIdentifier,
    "san_ip": lambda value: x509.IPAddress(ip_address(value)),
    "san_email": x509.RFC822Name,
}


def _dn(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _make(
    subject: x509.Name,
    key: Key,
    *,
    issuer: Issued | None = None,
    extensions: Sequence[Extension] = (),
    begin: int = BEGIN,
    end: int = END,
) -> Issued:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.content.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(begin, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(end, 1, 1, tzinfo=UTC))
    )
    # With an extension it is of version 3, and others are refused.
    for extension, critical in [*extensions, (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)]:
        builder = builder.add_extension(extension, critical)
    signer = key if issuer is None else issuer.key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(content=builder.sign(signer, algorithm), key=key)
