"""What a resource server knows of a request beside its headers: its URI and the client's certificate, from ASGI.

The URI is never read from the `Host` header or from what a proxy forwards: whoever sends them chooses them, and a proof
that was made for another server would then fit. It is the configured base URL and the path that was asked for.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from tokensvc.core.proof import ClientCertificate
from tokensvc.errors import Reason, TokenRefused
from tokensvc.integrations.resource_metadata import require_http_url

__all__ = ["CertificateSource", "base_of", "certificate_of", "method_of", "uri_of"]

CertificateSource = Callable[[Mapping[str, Any]], bytes | None]
"""From an ASGI scope to the DER of the client's certificate, or None: for a proxy that ends TLS and forwards it."""

# What a path may have beside unreserved characters (RFC 3986 s3.3).
_PATH: Final = "/:@!$&'()*+,;="


def base_of(url: str | None, *, resource_metadata: str) -> str:
    """The URL that the paths of requests follow: `url`, or the origin of the metadata. Raises: ValueError."""
    if url is None:
        parts = urlsplit(resource_metadata)
        return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    require_http_url("base_url", url)
    if urlsplit(url).query:
        raise ValueError("base_url: a URL without query")
    return url.rstrip("/")


def method_of(connection: Mapping[str, Any]) -> str:
    """The method of the request; a websocket opens with GET (RFC 6455 s4.1)."""
    return str(connection.get("method", "GET"))


def uri_of(connection: Mapping[str, Any], base_url: str) -> str:
    """The URI of the request, without its query. Raises: TokenRefused (`proof_invalid`) when it has no path."""
    raw: bytes | None = connection.get("raw_path")
    path = quote(connection["path"], safe=_PATH) if raw is None else raw.decode("latin-1")
    if not path.startswith("/") or "#" in path:
        # `OPTIONS *`; or ".thief.example/", which would make another host of the base URL. RFC 9112 s3.2 knows no
        # fragment: a proof does not name it, and some servers hand it on as part of the path.
        raise TokenRefused(Reason.PROOF_INVALID, "DPoP: this request has no path that a proof could name")
    return base_url + path.partition("?")[0]


def certificate_of(connection: Mapping[str, Any], source: CertificateSource | None) -> ClientCertificate | None:
    """The client certificate of the connection, from `source` if there is one, else from the ASGI extension `tls`."""
    der = _own_certificate(connection) if source is None else source(connection)
    return None if der is None else ClientCertificate.of(der)


def _own_certificate(connection: Mapping[str, Any]) -> bytes | None:
    tls = (connection.get("extensions") or {}).get("tls") or {}
    # A chain that the server found fault with is none, whatever the fault was.
    if tls.get("client_cert_error"):
        return None
    leaf = next(iter(tls.get("client_cert_chain") or ()), None)
    return None if leaf is None else ssl.PEM_cert_to_DER_cert(leaf)
