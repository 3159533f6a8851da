"""The certificate of the client that sent a request: from our own TLS, or from the header of a trusted proxy.

Which of the two it is, the configuration alone says. What the other one holds is not looked at, and neither is the
header of anybody but the proxy: whoever can set it could be any agent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.types import Scope

from tokensvc.core.certificate import Certificate, parse_certificate_header, parse_pem_certificates
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason

__all__ = ["CertificateSource", "FromProxy", "FromTls", "source_of", "tls_extension"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTls:
    """The connection is encrypted by this process: the certificate stands in the TLS extension of ASGI."""

    def certificate_of(self, scope: Scope) -> Certificate | None:
        """The client's certificate, the first of its chain. Raises: OAuthRefused (`invalid_client`)."""
        tls = scope.get("extensions", {}).get("tls", {})
        # No more than its own: those above it are ours to know.
        for pem in tls.get("client_cert_chain", ()):
            try:
                (certificate,) = parse_pem_certificates(pem.encode("ascii"))
            except (Malformed, ValueError) as exc:
                raise _unreadable() from exc
            return certificate
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FromProxy:
    """A proxy in front ends TLS and hands the certificate over in `header`, its name in lower case."""

    header: bytes
    proxies: tuple[IPv4Network | IPv6Network, ...]

    def certificate_of(self, scope: Scope) -> Certificate | None:
        """The client's certificate; None where it has none, or the sender is not the proxy.

        Raises: OAuthRefused: `invalid_request` for two of them, of which two readers could take different ones;
        `invalid_client` for one that cannot be read.
        """
        values = [value for name, value in scope["headers"] if name == self.header]
        if not values or not self._is_proxy(scope.get("client")):
            return None
        if len(values) > 1:
            raise OAuthRefused(
                OAuthError.INVALID_REQUEST, Reason.PARAMETER_REPEATED, "there is more than one client certificate"
            )
        try:
            return parse_certificate_header(values[0])
        except Malformed as exc:
            raise _unreadable() from exc

    def _is_proxy(self, peer: tuple[str, int] | None) -> bool:
        try:
            address = ip_address(peer[0] if peer else "")
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            # How a socket for both shows a peer of the older kind.
            address = address.ipv4_mapped
        return any(address in network for network in self.proxies)


CertificateSource = FromTls | FromProxy


def source_of(*, speaks_tls: bool, header: str | None, proxies: Iterable[str]) -> CertificateSource | None:
    """Where certificates come from; None: from nowhere, whatever a request holds."""
    if speaks_tls:
        return FromTls()
    if header is None:
        return None
    return FromProxy(header=header.lower().encode("ascii"), proxies=tuple(map(ip_network, proxies)))


def tls_extension(pem: str | None, version: int | None) -> dict[object, object]:
    """`scope["extensions"]["tls"]` (ASGI TLS extension) of a connection whose client showed the certificate `pem`."""
    return {
        "server_cert": None,
        "client_cert_chain": () if pem is None else (pem,),
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": version,
        "cipher_suite": None,
    }


_UNREADABLE: Final = "the client certificate cannot be read"


def _unreadable() -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_CLIENT, None, _UNREADABLE)
