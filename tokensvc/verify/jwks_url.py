"""From a key set's URL to the addresses of its host (what may be reached is judged in `core.jwks_url`).

The host is resolved once, every address is judged, and the connection goes to an address that was judged: whoever
answers for the name cannot show one address to the check and another to the connection (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address

from tokensvc.core.jwks_url import IPAddress, JwksUrl, UnsafeReach, is_reachable, parse_jwks_url
from tokensvc.errors import Unavailable

__all__ = ["IPAddress", "JwksUrl", "Resolve", "UnsafeReach", "is_reachable", "look_up", "parse_jwks_url", "reachable"]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host (its name and the port), as text. Raises: OSError."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses of `host`, by the system's resolver, in a thread of the event loop. Raises: OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def reachable(url: JwksUrl, *, reach: UnsafeReach | None, resolve: Resolve) -> tuple[IPAddress, ...]:
    """The addresses of the host of `url`, one or more, each once. `resolve` is asked once.

    Raises: Unavailable when a single one of them may not be reached: a name that points inside is not to be trusted
    with the rest. Also what `resolve` raises.
    """
    if url.address is not None:
        return (url.address,)
    addresses = _distinct(await resolve(url.host, url.port))
    if not addresses:
        raise Unavailable("the host has no address")
    if not all(is_reachable(url, address, reach=reach) for address in addresses):
        raise Unavailable("the host has an address that is not on the public internet")
    return addresses


def _distinct(addresses: Iterable[str]) -> tuple[IPAddress, ...]:
    """Raises: Unavailable for what is no address."""
    try:
        return tuple(dict.fromkeys(ip_address(address) for address in addresses))
    except ValueError as exc:
        raise Unavailable("the resolver answered with what is no address") from exc
