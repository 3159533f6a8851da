"""What the settings say about certificates: where they come from, who vouches for them, and our own TLS."""

from collections.abc import Iterable, Iterator

from tokensvc.core.certificate import Certificate
from tokensvc.server.client_certificate import CertificateSource, source_of
from tokensvc.server.tls import ServerTls
from tokensvc.settings import AuthMethod, Settings

__all__ = ["certificate_methods_of", "certificate_source_of", "server_tls_of"]


def certificate_source_of(settings: Settings) -> CertificateSource | None:
    """Where the certificate of a request comes from; None: there is none."""
    server = settings.server
    return source_of(
        speaks_tls=server.speaks_tls, header=server.client_certificate_header, proxies=server.trusted_proxies
    )


def certificate_methods_of(settings: Settings) -> Iterator[AuthMethod]:
    """The ways to authenticate by certificate for which an agent could be registered here."""
    if settings.server.sees_certificates:
        if settings.server.client_ca_file is not None:
            yield AuthMethod.TLS_CLIENT_AUTH
        yield AuthMethod.SELF_SIGNED_TLS_CLIENT_AUTH


def server_tls_of(settings: Settings, clients: Iterable[Certificate]) -> ServerTls | None:
    """Our own TLS, with the certificates that may pass its handshakes; None where a proxy encrypts.

    Raises: ConfigurationError.
    """
    certificate, key = settings.server.tls_certificate_file, settings.server.tls_key_file
    return None if certificate is None or key is None else ServerTls(certificate=certificate, key=key, clients=clients)
