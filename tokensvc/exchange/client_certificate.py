"""The certificates that `client_ca_file` vouches for (RFC 8705 s2.1), judged by the service itself.

A proxy proves that the client holds the key of its certificate, and nothing else: whose it is, is not for it to say.
Revocation lists are not asked: an agent is barred by `enabled = false`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from tokensvc.core.certificate import Certificate

__all__ = ["ClientAuthorities"]


class ClientAuthorities:
    """The certificate authorities of clients; with none of them nobody is vouched for.

    Each is trusted by itself, root or not, and none but these: a client needs to send its own certificate alone.
    """

    __slots__ = ("_store",)

    def __init__(self, certificates: Iterable[Certificate] = ()) -> None:
        contents = [certificate.content for certificate in certificates]
        self._store = Store(contents) if contents else None

    def vouch_for(self, certificate: Certificate, *, now: int) -> bool:
        """True where one of them issued it for a client, and it and they are valid at `now` (RFC 5280 s6)."""
        if self._store is None:
            return False
        builder = PolicyBuilder().store(self._store).time(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
        verifier = builder.extension_policies(ca_policy=_CA_POLICY, ee_policy=_EE_POLICY).build_client_verifier()
        try:
            verifier.verify(certificate.content, [])
        except (VerificationError, ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            return False
        return True


def _require_no_ca(_policy: Policy, _certificate: x509.Certificate, found: x509.BasicConstraints | None) -> None:
    # An authority of the file is vouched for by itself; it is no client.
    if found is not None and found.ca:
        raise ValueError("a certificate authority as client")


def _require_cert_sign(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the key of the issuer may not sign certificates")


def _require_signature(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("the key may not sign, which a client does in the handshake")


def _require_client_auth(_policy: Policy, _certificate: x509.Certificate, found: x509.ExtendedKeyUsage | None) -> None:
    if found is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in found:
        raise ValueError("not for TLS clients")


# Not those for the web, which demand a SubjectAlternativeName and more: certificates of private authorities often have
# a subject alone. What is there must fit. Checked without being asked for: that an issuer is an authority, the names
# that it may give, and that no extension is critical which nobody knows.
_CA_POLICY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_cert_sign)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _require_client_auth)
)
_EE_POLICY: Final = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _require_no_ca)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_signature)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _require_client_auth)
)
