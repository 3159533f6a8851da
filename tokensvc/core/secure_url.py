"""URLs over which secrets may go, and the origin that a URL is of. By syntax alone: nothing is resolved."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from tokensvc.core.authority import is_resource
from tokensvc.errors import Malformed

__all__ = ["is_loopback", "origin_of", "require_secure_url"]

_PORTS: Final = {"https": 443, "http": 80}


def require_secure_url(url: str) -> None:
    """Refuse a URL over which a secret could be read on its way: https anywhere, http on a loopback address alone.

    Raises: Malformed, which does not repeat the URL.
    """
    parts = _split(url)
    # Visible ASCII, a scheme and no fragment; a user name before the host would go into logs.
    if parts is None or not is_resource(url) or not parts.hostname or "@" in parts.netloc:
        raise Malformed("not https://HOST[:PORT][/PATH], in ASCII, without user name and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise Malformed("not a https URL; http is for 127.0.0.1, [::1] and localhost only")


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, the default one where none is named (RFC 6454 s4); None for what is no http or https URL.

    Hosts are compared in lower case, and nothing else is made equal.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if parts.port is None else parts.port


def is_loopback(host: str) -> bool:
    """True for this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        return None
    return parts
