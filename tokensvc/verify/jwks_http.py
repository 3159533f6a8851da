"""Key sets that the verifier fetches over HTTPS, each from the one URL that the configuration names (extra `http`).

    keys = https_keys({"https://tokens.example": "https://tokens.example/jwks"})

    async with keys:            # owns the background task; in a lifespan, for as long as the app runs
        await keys.ensure()     # without this the app starts without keys, and answers 503 until there are some
        ...                     # TokenMiddleware(app, keys=keys, ...)

    keys.refresh_sync()         # instead, in a script without an event loop

`fetch_from` and `discover` fetch one issuer's set for a `RefreshedKeys` of your own, where issuers differ in reach.

Hostile answers are bounded: whole time, size, no redirect, no compression, status 200, a JSON media type, no address
inside. A failure leaves the last good set as it is; see `RefreshedKeys`.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx2

from tokensvc.core.jsontext import JsonObject, parse_json_object
from tokensvc.core.jwks_url import discovery_url
from tokensvc.core.keyset import KeySet, parse_jwks
from tokensvc.errors import Unavailable
from tokensvc.verify.jwks_refresh import Fetch, FetchedKeys, RefreshedKeys, seconds_since_boot
from tokensvc.verify.jwks_url import IPAddress, JwksUrl, Resolve, UnsafeReach, look_up, parse_jwks_url, reachable

__all__ = ["Door", "RefreshedKeys", "UnsafeReach", "discover", "fetch_from", "https_keys", "open_door"]

# The hundred keys that a set may have, RSA with 8192 bits, take 150 KB.
_MAX_BYTES: Final = 256 * 1024
# Enough to pass over an address that does not answer; an answer of the resolver may hold thousands.
_MAX_ADDRESSES_TRIED: Final = 4
_MEDIA_TYPES: Final = ("application/json", "application/jwk-set+json")
_OK: Final = 200
_DIGITS: Final = re.compile(r'"?([0-9]{1,18})"?')


def https_keys(
    urls: Mapping[str, str],
    *,
    reach: UnsafeReach | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 5.0,
    cooldown_s: float = 30.0,
    max_fresh_s: float = 900.0,
    max_stale_s: float = 3600.0,
    clock: Callable[[], float] = seconds_since_boot,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    resolve: Resolve = look_up,
) -> RefreshedKeys:
    """A `KeySource` over the key sets at `urls`, one URL for each issuer.

    `tls` replaces the system's certificate authorities; `reach` opens networks that are not public. For the seconds see
    `RefreshedKeys`. Proxies, certificates and passwords that the environment names are passed over.
    Raises: ValueError for terms that cannot be meant; it names the issuer, and does not repeat the URL.
    """
    door = open_door(reach=reach, tls=tls, timeout_s=timeout_s, resolve=resolve)
    return RefreshedKeys(
        {iss: _fetch_for(iss, url, door) for iss, url in urls.items()},
        timeout_s=timeout_s,
        cooldown_s=cooldown_s,
        max_fresh_s=max_fresh_s,
        max_stale_s=max_stale_s,
        clock=clock,
        sleep=sleep,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How requests go out: made by `open_door`."""

    reach: UnsafeReach | None
    tls: ssl.SSLContext = field(repr=False)
    resolve: Resolve
    connect_s: float

    async def get(self, url: JwksUrl) -> "_Answer":
        """The JSON text at `url`. Its caller bounds the time.

        Raises: Unavailable, OSError, httpx2.HTTPError.
        """
        addresses = await reachable(url, reach=self.reach, resolve=self.resolve)
        *others, last = addresses[:_MAX_ADDRESSES_TRIED]
        # A transport, not a client: it knows nothing of redirects, cookies, proxies and .netrc, and logs no URL.
        async with httpx2.AsyncHTTPTransport(verify=self.tls, trust_env=False) as transport:
            for address in others:
                with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                    return await self._get(transport, url, address)
            return await self._get(transport, url, last)

    async def _get(self, transport: httpx2.AsyncHTTPTransport, url: JwksUrl, address: IPAddress) -> "_Answer":
        request = httpx2.Request(
            "GET",
            url.at(address),
            headers={
                "host": url.authority,
                "accept": ", ".join(_MEDIA_TYPES),
                "accept-encoding": "identity",
                "connection": "close",
                "user-agent": "tokensvc",
            },
            extensions={
                # The name that the server is asked for, and that its certificate must be for.
                "sni_hostname": url.host,
                "timeout": {"connect": self.connect_s},
            },
        )
        response = await transport.handle_async_request(request)
        async with aclosing(response):
            _require_json(response)
            return _Answer(body=await _read(response), headers=response.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What came, read to its end and not parsed."""

    body: bytes
    headers: httpx2.Headers


def open_door(
    *,
    reach: UnsafeReach | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 5.0,
    resolve: Resolve = look_up,
) -> Door:
    """The way out, as `https_keys` describes it. Raises: ValueError for `tls` that checks nothing."""
    if tls is not None and not (tls.check_hostname and tls.verify_mode is ssl.CERT_REQUIRED):
        raise ValueError("tls does not check the certificate and the host name")
    return Door(
        reach=reach,
        tls=httpx2.create_ssl_context(trust_env=False) if tls is None else tls,
        resolve=resolve,
        # Leaves time for another address; the whole is bounded by `timeout_s`.
        connect_s=timeout_s / 2,
    )


def fetch_from(url: str, door: Door, *, parse: Callable[[JsonObject], KeySet] = parse_jwks) -> Fetch:
    """Fetches the key set at `url`, which `parse` reads; see `parse_jwks` for what it may raise.

    Raises: ValueError, at once, for a URL that may not be fetched.
    """
    return _Source(url=parse_jwks_url(url, reach=door.reach), door=door, parse=parse)


def discover(iss: str, door: Door) -> Fetch:
    """Fetches the key set that the OpenID provider `iss` names in its metadata, which is fetched anew each time.

    The metadata must say that it is `iss`, exactly; nothing but its `jwks_uri` is used, and that is fetched by the same
    rules. Raises: ValueError, at once, for an `iss` that is no URL to fetch from.
    """
    return _Discovered(iss=iss, url=parse_jwks_url(discovery_url(iss), reach=door.reach), door=door)


def _fetch_for(iss: str, url: str, door: Door) -> Fetch:
    try:
        return fetch_from(url, door)
    except ValueError as exc:
        raise ValueError(f"the key set URL of {iss}: {exc}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One issuer's URL; calling it fetches the key set. Its caller bounds the time."""

    url: JwksUrl
    door: Door
    parse: Callable[[JsonObject], KeySet] = parse_jwks

    async def __call__(self) -> FetchedKeys:
        """Raises: Unavailable, Malformed, KeyRefused, OSError, httpx2.HTTPError."""
        answer = await self.door.get(self.url)
        # In a thread: parsing the worst of bodies takes a tenth of a second, for which the loop must not stand still.
        keys = await asyncio.to_thread(lambda: self.parse(parse_json_object(answer.body)))
        return FetchedKeys(keys=keys, max_age_s=_max_age_s(answer.headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Discovered:
    """One OpenID provider; calling it fetches its metadata and then its key set. Its caller bounds the time of both."""

    iss: str
    url: JwksUrl
    door: Door

    async def __call__(self) -> FetchedKeys:
        """Raises: as `_Source`."""
        answer = await self.door.get(self.url)
        metadata = await asyncio.to_thread(parse_json_object, answer.body)
        return await _Source(url=self._jwks_uri(metadata), door=self.door)()

    def _jwks_uri(self, metadata: JsonObject) -> JwksUrl:
        # OpenID Connect Discovery s4.3: else one provider could hand out the keys of another.
        if metadata.get("issuer") != self.iss:
            raise Unavailable("the metadata is that of another issuer")
        jwks_uri = metadata.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise Unavailable("the metadata names no jwks_uri")
        try:
            return parse_jwks_url(jwks_uri, reach=self.door.reach)
        except ValueError as exc:
            raise Unavailable(f"the jwks_uri of the metadata: {exc}") from None


def _require_json(response: httpx2.Response) -> None:
    """Raises: Unavailable for headers that do not announce JSON as it is."""
    if response.status_code != _OK:
        raise Unavailable(f"the answer has the status {response.status_code}")
    # The header as it was sent: two of them would be read as one with a comma, which is no media type here.
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() not in _MEDIA_TYPES:
        raise Unavailable("the answer is of another media type than JSON")
    # A small answer may unpack to gigabytes. Nobody was asked to pack it.
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Unavailable("the answer has a content encoding")


async def _read(response: httpx2.Response) -> bytes:
    """The body, counted while it comes: no header is believed. Raises: Unavailable, httpx2.HTTPError."""
    body = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > _MAX_BYTES:
                raise Unavailable(f"the answer is larger than {_MAX_BYTES} bytes")
    return bytes(body)


def _max_age_s(headers: httpx2.Headers) -> int | None:
    """How long the answer is fresh from now on (RFC 9111 s4.2); None when it does not say, 0 when it says nonsense."""
    directives = [
        directive.strip().lower().partition("=") for directive in headers.get_list("cache-control", split_commas=True)
    ]
    if any(name in {"no-store", "no-cache"} for name, _, _ in directives):
        return 0
    ages = [_seconds(value) for name, _, value in directives if name == "max-age"]
    return max(0, min(ages) - _seconds(headers.get("age", "0"))) if ages else None


def _seconds(text: str) -> int:
    match = _DIGITS.fullmatch(text.strip())
    return 0 if match is None else int(match[1])
