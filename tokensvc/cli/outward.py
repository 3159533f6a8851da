"""What a command asks of a server: one call, bounded in time and size, over https or on this machine.

No redirect is followed: what was meant for one server, a secret above all, is not carried to another. Proxies,
passwords and cookies that lie about in the environment are passed over; SSL_CERT_FILE may name certificate authorities.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.secure_url import is_loopback, require_secure_url
from tokensvc.errors import Malformed, Unavailable, printable

if TYPE_CHECKING:
    import httpx2

__all__ = ["Reply", "call", "host_of", "is_loopback", "require_secure_url", "tls_for"]

# The whole call, connecting included. Somebody waits for it.
_TIMEOUT_S: Final = 15.0
# A token is 16 KiB at most; metadata that lists a thousand scopes is less than this.
_MAX_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A status and the JSON object that came with it. It may hold a token, so it is not shown.

    `nonce` is what the next DPoP proof has to carry (RFC 9449 s8), where the server said one.
    """

    status: int
    body: Mapping[str, JsonValue] = field(repr=False)
    nonce: str | None = field(default=None, repr=False)

    def text(self, name: str) -> str | None:
        """The member of that name, if it is text that says something."""
        value = self.body.get(name)
        return value if isinstance(value, str) and value else None


def tls_for(url: str) -> ssl.SSLContext:
    """By what the certificate of `url` is checked: the system's authorities, or those that SSL_CERT_FILE names."""
    import httpx2

    # To read them takes a moment. Where there is no TLS there are none.
    return httpx2.create_ssl_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def host_of(url: str) -> str:
    """Scheme, host and port, for a message."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc}")


def call(
    url: str, *, form: Mapping[str, str | list[str]] | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """GET `url`, or POST `form` to it. Raises: Unavailable when no JSON object comes back; it names the host alone."""
    import httpx2

    try:
        return asyncio.run(_call(url, form, {} if headers is None else headers))
    except TimeoutError as exc:
        raise Unavailable(f"{host_of(url)} does not answer within {_TIMEOUT_S:.0f} s") from exc
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        # What went wrong while connecting says what to mend; the rest could repeat what was sent.
        why = str(exc) if isinstance(exc, httpx2.ConnectError) and str(exc) else type(exc).__name__
        raise Unavailable(f"cannot reach {host_of(url)}: {why}") from exc


async def _call(url: str, form: Mapping[str, str | list[str]] | None, headers: Mapping[str, str]) -> Reply:
    import httpx2

    client = httpx2.AsyncClient(
        verify=tls_for(url),
        trust_env=False,
        follow_redirects=False,
        timeout=_TIMEOUT_S,
        headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "tokensvc", **headers},
    )
    async with asyncio.timeout(_TIMEOUT_S), client:
        method = "GET" if form is None else "POST"
        async with client.stream(method, url, data=None if form is None else dict(form)) as response:
            body = await _read(response, url)
    try:
        nonce = response.headers.get("dpop-nonce")
        return Reply(status=response.status_code, body=parse_json_object(body), nonce=nonce)
    except Malformed:
        # Not "from exc": an answer that does not parse may still hold a token.
        raise Unavailable(f"{host_of(url)} answers {response.status_code}, without a JSON object") from None


async def _read(response: "httpx2.Response", url: str) -> bytes:
    """The body, counted while it comes: no header is believed, and nothing is unpacked. Raises: Unavailable."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise Unavailable(f"{host_of(url)} answers with more than {_MAX_BYTES} bytes")
    return bytes(body)
