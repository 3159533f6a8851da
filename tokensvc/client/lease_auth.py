"""A lease as the credential of API calls: `httpx2.Client(auth=LeaseAuth(lease))` or `httpx2.AsyncClient(...)`."""

import re
from collections.abc import AsyncGenerator, Generator, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import httpx2

from tokensvc.client.agent import Lease
from tokensvc.client.answers import Issued
from tokensvc.client.async_agent import AsyncLease
from tokensvc.client.errors import TokenWithheld
from tokensvc.client.leased import Leased
from tokensvc.core.secure_url import origin_of, require_secure_url

__all__ = ["LeaseAuth"]

_UNAUTHORIZED: Final = 401
_ERROR: Final = re.compile(r'\berror="?([a-z_]+)')


class _Next(Enum):
    DONE = "done"
    AGAIN = "again"
    """With the nonce that the resource gave."""
    RENEWED = "renewed"
    """With another token."""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One call of an API: what it carries, and whether its answer asks for another try; once for each cause."""

    leased: Leased
    request: httpx2.Request
    left: set[_Next] = field(default_factory=lambda: {_Next.AGAIN, _Next.RENEWED})

    def carry(self, issued: Issued) -> httpx2.Request:
        url, token = self.request.url, issued.held.text
        self.request.headers["authorization"] = f"{issued.kind} {token}"
        if issued.kind == "DPoP":
            self.request.headers["dpop"] = self.leased.service.proof(self.request.method, _htu(url), token) or ""
        return self.request

    def after(self, response: httpx2.Response) -> _Next:
        nonce = response.headers.get("dpop-nonce")
        # A redirect may have gone elsewhere: its nonces are not this origin's.
        if _origin(response.request.url) == _origin(self.request.url):
            self.leased.service.remember_nonce(str(self.request.url), nonce)
        if response.status_code != _UNAUTHORIZED or not _can_repeat(self.request):
            return _Next.DONE
        errors = _ERROR.findall(" ".join(response.headers.get_list("www-authenticate")))
        if "use_dpop_nonce" in errors and nonce:
            return self._once(_Next.AGAIN)
        return self._once(_Next.RENEWED) if "invalid_token" in errors else _Next.DONE

    def _once(self, step: _Next) -> _Next:
        if step not in self.left:
            return _Next.DONE
        self.left.remove(step)
        return step


class LeaseAuth(httpx2.Auth):
    """Attaches the token of a lease, with a proof where it is bound to a key (RFC 6750 s2.1, RFC 9449 s7.1).

    The token is renewed early, once more when the resource calls it invalid, and the proof is made again with the nonce
    that the resource demands. `resource` is needed where the lease is for several. It goes to `origins` alone
    (`https://host[:port]`), which without a word is that of the resource; a request to another one raises
    TokenWithheld, and a redirect to one goes without the token. Raises: ValueError, Malformed.
    """

    def __init__(
        self, lease: Lease | AsyncLease, *, resource: str | None = None, origins: Iterable[str] | None = None
    ) -> None:
        self._lease = lease
        self._resource = lease.leased.resource_of(resource)
        urls = [self._resource] if origins is None else [*origins]
        for url in urls:
            require_secure_url(url)
        self._origins = frozenset(map(origin_of, urls))

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """For `httpx2.Client`."""
        lease = self._lease
        if not isinstance(lease, Lease):
            raise TypeError("a lease of an AsyncAgent is for httpx2.AsyncClient")
        attempt = self._attempt(request)
        issued = lease.issued(self._resource)
        while (step := attempt.after((yield attempt.carry(issued)))) is not _Next.DONE:
            issued = lease.issued(self._resource, refused=issued if step is _Next.RENEWED else None)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """For `httpx2.AsyncClient`."""
        lease = self._lease
        if not isinstance(lease, AsyncLease):
            raise TypeError("a lease of an Agent is for httpx2.Client")
        attempt = self._attempt(request)
        issued = await lease.issued(self._resource)
        while (step := attempt.after((yield attempt.carry(issued)))) is not _Next.DONE:
            issued = await lease.issued(self._resource, refused=issued if step is _Next.RENEWED else None)

    def _attempt(self, request: httpx2.Request) -> _Attempt:
        if _origin(request.url) not in self._origins:
            raise TokenWithheld("the request is to another origin than those of the lease's resource")
        return _Attempt(leased=self._lease.leased, request=request)


def _origin(url: httpx2.URL) -> tuple[str, str, int] | None:
    return origin_of(str(url))


def _htu(url: httpx2.URL) -> str:
    """The URI as it is sent, without what does not count (RFC 9449 s4.2)."""
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}"


def _can_repeat(request: httpx2.Request) -> bool:
    """False for a body that came out of a stream and is gone."""
    try:
        request.content  # noqa: B018 - raises for one that was not read
    except httpx2.RequestNotRead:
        return False
    return True
