"""The certificate of a TLS client (RFC 8705): its thumbprint, and how it is read from DER, PEM and a proxy's header.

Nothing is trusted here. That the client holds the key was proven in the handshake, by us or by the proxy that says so.
"""

import re
from base64 import b64decode
from binascii import Error as BinasciiError
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokensvc.core.jws import encode_base64url
from tokensvc.core.keyset import MIN_RSA_BITS, Algorithm, PublicKey, wrap_key
from tokensvc.errors import KeyRefused, Malformed, Reason

__all__ = [
    "Certificate",
    "certificate_thumbprint",
    "is_fit_to_issue",
    "parse_certificate",
    "parse_certificate_header",
    "parse_pem_certificates",
]

# Those in use have one or two KiB; a header line has no room for more than this, either.
MAX_BYTES: Final = 16 * 1024

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_BYTE_SEQUENCE: Final = re.compile(rb":([A-Za-z0-9+/]+={0,2}):")
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\r?\n((?:[A-Za-z0-9+/]+={0,2}\r?\n)+)-----END CERTIFICATE-----(?:\r?\n|\Z)"
)
_PEM_BEGIN: Final = b"-----BEGIN "
_ALGORITHMS: Final = {
    EllipticCurvePublicKey: Algorithm.ES256,
    Ed25519PublicKey: Algorithm.ED25519,
    RSAPublicKey: Algorithm.RS256,
}
# RFC 5280 and the CA/Browser forum agree on these; the package cryptography verifies no others in a chain.
_CURVES_OF_AUTHORITIES: Final = (SECP256R1, SECP384R1, SECP521R1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate. `thumbprint` is its `x5t#S256`, `content` what it says."""

    thumbprint: str
    content: x509.Certificate = field(repr=False)

    @property
    def der(self) -> bytes:
        """The bytes, exactly as they came."""
        return self.content.public_bytes(Encoding.DER)

    @property
    def key_thumbprints(self) -> frozenset[str]:
        """What its public key is known by: the hash of RFC 7469 s2.4, and that of RFC 7638 where a key set may hold it.

        Two parties that have one of these in common have the key in common.
        """
        key = self.content.public_key()
        names = {certificate_thumbprint(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))}
        for kind, algorithm in _ALGORITHMS.items():
            if isinstance(key, kind):
                try:
                    wrapped = wrap_key(key, alg=algorithm)
                except KeyRefused:
                    # On another curve, say: no key set holds it.
                    continue
                names.add(PublicKey.of(wrapped, kid="", alg=algorithm).thumbprint)
        return frozenset(names)

    def is_valid_at(self, now: int) -> bool:
        """True within its validity; both ends belong to it (RFC 5280 s4.1.2.5). `now` in seconds since the epoch."""
        begin, end = self.content.not_valid_before_utc, self.content.not_valid_after_utc
        return begin.timestamp() <= now <= end.timestamp()

    def is_authority(self) -> bool:
        """True where it says that it may issue certificates."""
        try:
            constraints = self.content.extensions.get_extension_for_class(x509.BasicConstraints)
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            return False
        return constraints.value.ca


def certificate_thumbprint(der: bytes) -> str:
    """The `x5t#S256` of a certificate: SHA-256 of its DER, in base64url (RFC 8705 s3.1)."""
    return encode_base64url(sha256(der).digest()).decode("ascii")


def parse_certificate(der: bytes) -> Certificate:
    """The certificate that `der` is, the whole of it. Raises: Malformed, for one with a weak or unknown key as well."""
    if len(der) > MAX_BYTES:
        raise Malformed(f"a certificate of more than {MAX_BYTES} bytes", reason=Reason.TOO_LARGE)
    try:
        content = x509.load_der_x509_certificate(der)
        key = content.public_key()
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as exc:
        raise Malformed("the certificate does not parse") from exc
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise Malformed(f"the RSA key of the certificate has less than {MIN_RSA_BITS} bits")
    return Certificate(thumbprint=certificate_thumbprint(der), content=content)


def parse_pem_certificates(pem: bytes) -> tuple[Certificate, ...]:
    """Every certificate of a PEM file; other text around them is passed over (RFC 7468 s2). Raises: Malformed."""
    found = tuple(parse_certificate(_decode(block[1])) for block in _PEM.finditer(pem))
    if len(found) != pem.count(_PEM_BEGIN):
        raise Malformed("something else than certificates stands in the PEM file")
    return found


def parse_certificate_header(value: bytes) -> Certificate | None:
    """The certificate in a header that a proxy set; None for an empty one, which says that the client had none.

    Written as the byte sequence of `Client-Cert` (RFC 9440 s2.1) or as URL-encoded PEM, nginx's
    `$ssl_client_escaped_cert`. That the proxy may be believed is for the caller to know. Raises: Malformed.
    """
    value = value.strip(b" \t")
    if not value:
        return None
    if sequence := _BYTE_SEQUENCE.fullmatch(value):
        return parse_certificate(_decode(sequence[1]))
    if _BAD_ESCAPE.search(value) is None and (pem := _PEM.fullmatch(unquote_to_bytes(value))):
        return parse_certificate(_decode(pem[1]))
    raise Malformed("the header is neither a byte sequence nor one certificate as URL-encoded PEM")


def is_fit_to_issue(certificate: Certificate) -> bool:
    """True for a certificate authority with an RSA key or one on a NIST curve: other signatures are not verified."""
    key = certificate.content.public_key()
    is_known = isinstance(key, RSAPublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, _CURVES_OF_AUTHORITIES)
    )
    return is_known and certificate.is_authority()


def _decode(base64: bytes) -> bytes:
    try:
        return b64decode(b"".join(base64.split()), validate=True)
    except BinasciiError as exc:
        raise Malformed("the certificate is not in base64") from exc
