"""URLs that keys may be fetched from, and the addresses behind them: what may be reached, judged without reaching it.

Nothing here resolves or connects; `verify.jwks_url` does, and `verify.jwks_http` fetches.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

__all__ = ["IPAddress", "JwksUrl", "UnsafeReach", "discovery_url", "is_reachable", "parse_jwks_url"]

IPAddress = IPv4Address | IPv6Address

_CHARACTER: Final = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}"
# RFC 3986, less what no key set needs: user information, which would end up in logs, a fragment, an empty host.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<name>[A-Za-z0-9.-]{1,253})|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\])(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<target>(?:/(?:{_CHARACTER})*)?(?:\?(?:{_CHARACTER}|\?)*)?)"
)
_NAME: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# What many resolvers take for an IPv4 address: decimal, octal and hexadecimal, of one to four parts (inet_aton).
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_MAX_URL_LENGTH: Final = 2048
_MAX_PORT: Final = 65535
_PORTS: Final = {"https": 443, "http": 80}

# IPv6 unicast on the internet is in here and nowhere else (IANA); Python calls site-local and other ranges global.
_IPV6_UNICAST: Final = IPv6Network("2000::/3")
# Python judges these as global too, in some version from 3.11 on.
_NOT_PUBLIC: Final[tuple[IPv4Network | IPv6Network, ...]] = (
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo among them: an IPv4 address in disguise
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address in disguise
    IPv6Network("3fff::/20"),  # documentation
)
# NAT64 (RFC 6052): how a host without IPv4 reaches one that has nothing else. Judged by the IPv4 address inside.
_NAT64: Final = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsafeReach:
    """Networks outside the public internet that key sets may be fetched from, in CIDR notation: `("10.1.0.0/16",)`.

    With `plain_http`, for a demo on one machine, http URLs are allowed as well; then `networks` are loopback and http
    goes nowhere else. Raises: ValueError for what is no network, and for `plain_http` beyond loopback.
    """

    networks: tuple[str, ...]
    plain_http: bool = False

    def __post_init__(self) -> None:
        """Raises: ValueError."""
        networks = [ip_network(network) for network in self.networks]
        if self.plain_http and not all(network.is_loopback for network in networks):
            raise ValueError("plain http is for loopback networks only")

    def holds(self, address: IPAddress) -> bool:
        """True when `address` is in one of `networks`."""
        return any(address in ip_network(network) for network in self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksUrl:
    """A URL taken apart. `target` is path and query; `address` is the host where that is no name."""

    scheme: str
    host: str
    port: int
    target: str
    address: IPAddress | None

    def __repr__(self) -> str:
        # A query may hold a key to the door.
        return f"JwksUrl({self.host!r})"

    @property
    def authority(self) -> str:
        """Host and port as the Host header names them (RFC 9110 s7.2)."""
        return _authority(self.host, None if self.port == _PORTS[self.scheme] else self.port)

    def at(self, address: IPAddress) -> str:
        """The same URL with `address` for its host."""
        return f"{self.scheme}://{_authority(str(address), self.port)}{self.target}"


def discovery_url(iss: str) -> str:
    """Where an OpenID provider describes itself (OpenID Connect Discovery s4): `iss` has no query and no fragment.

    Raises: ValueError for one that has.
    """
    if "?" in iss or "#" in iss:
        raise ValueError("not an issuer identifier: it has a query or a fragment")
    return iss.removesuffix("/") + "/.well-known/openid-configuration"


def parse_jwks_url(text: str, *, reach: UnsafeReach | None) -> JwksUrl:
    """The parts of `text`, which is a https URL, or a http one where `reach` allows that.

    Raises: ValueError, which does not repeat `text`, also for an address that may not be reached and for hosts that
    some resolvers read as an address: `https://2130706433/` is 127.0.0.1.
    """
    match = _URL.fullmatch(text)
    if match is None or len(text) > _MAX_URL_LENGTH:
        raise ValueError("not https://host[:port][/path][?query], in ASCII, without user name, password and fragment")
    scheme, port = match["scheme"], int(match["port"] or _PORTS[match["scheme"]])
    if not 0 < port <= _MAX_PORT:
        raise ValueError("not a port")
    if scheme == "http" and not (reach is not None and reach.plain_http):
        raise ValueError("key sets are fetched over https only")
    host = (match["name"] or match["ipv6"]).lower()
    address = _parse_host(host, is_name=match["name"] is not None)
    url = JwksUrl(scheme=scheme, host=host, port=port, target=match["target"] or "/", address=address)
    if address is not None and not is_reachable(url, address, reach=reach):
        raise ValueError("not an address on the public internet")
    return url


def _parse_host(host: str, *, is_name: bool) -> IPAddress | None:
    """The address that `host` is, or None for a name. Raises: ValueError."""
    if not is_name:
        return IPv6Address(host)
    if _NUMBER.fullmatch(host):
        return IPv4Address(host)
    if _NAME.fullmatch(host) is None:
        raise ValueError("not a host name")
    return None


def is_reachable(url: JwksUrl, address: IPAddress, *, reach: UnsafeReach | None) -> bool:
    """True when `url` may be fetched from `address`: a public one over https, or one that `reach` holds."""
    real = _real(address)
    return (reach is not None and reach.holds(real)) or (url.scheme == "https" and _is_public(real))


def _real(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 one stands for, where it does: that is where packets end up."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, IPv6Address) and (address not in _IPV6_UNICAST or address.scope_id is not None):
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)


def _authority(host: str, port: int | None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"
