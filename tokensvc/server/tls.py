"""The service's own TLS: its certificate, and which certificates of clients may pass a handshake.

What a certificate is good for is not judged here but with each request. A handshake proves that the client holds its
key, and lets pass only what somebody registered: an authority, or the certificate itself.
"""

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokensvc.core.certificate import Certificate
from tokensvc.errors import ConfigurationError

__all__ = ["ServerTls"]


class ServerTls:
    """The context of every handshake. What it was given last counts for the next connection."""

    __slots__ = ("_certificate", "_key", "context")

    def __init__(self, *, certificate: Path, key: Path, clients: Iterable[Certificate]) -> None:
        """`clients` are their authorities, and their own certificates. Raises: ConfigurationError."""
        self._certificate = certificate
        self._key = key
        context: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        # A resumed session would go on with a certificate that nobody checks again.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        # A certificate is trusted as it is registered, whatever stands above it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.context: Final = context
        self.renew(clients)

    def renew(self, clients: Iterable[Certificate]) -> None:
        """Read the certificate and the key again, and let `clients` pass as well. Raises: ConfigurationError.

        Those that passed before pass still, which proves nothing: authentication knows them no more.
        """
        try:
            # Without a password one would be asked for at the terminal.
            self.context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ValueError) as exc:
            problem = "the certificate and the key of the server cannot be used together"
            remedy = "Save both as PEM, the key without a password: tokensvc check-config says more."
            raise ConfigurationError(problem, file=str(self._certificate), key="", remedy=remedy) from exc
        ders = b"".join(certificate.der for certificate in clients)
        if ders:
            self.context.load_verify_locations(cadata=ders)
            # Optional: who has none may authenticate in another way.
            self.context.verify_mode = ssl.CERT_OPTIONAL
