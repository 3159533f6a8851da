"""What an agent says to its token service and what it makes of the answers, without I/O.

Every operation is a generator of requests (`wire.Steps`). Each request is made anew when it is sent again: no
assertion and no proof goes out twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, urlsplit

from tokensvc.client.answers import (
    OK,
    Issued,
    Metadata,
    parse_agent_key,
    parse_issued,
    parse_metadata,
    raise_refusal,
)
from tokensvc.client.asked import ACCESS_TOKEN, Asked
from tokensvc.client.auth import ClientAuth, ClientSecret, PrivateKeyJwt, TlsClientAuth
from tokensvc.client.errors import HolderKeyUnknown, ServiceUnavailable
from tokensvc.client.grant import seal_grant
from tokensvc.client.held import HeldToken
from tokensvc.client.keys import require_holder_key
from tokensvc.client.sealed import make_proof
from tokensvc.client.wire import HttpReply, HttpRequest, Steps
from tokensvc.core.jws import SigningKey
from tokensvc.core.secure_url import origin_of, require_secure_url
from tokensvc.errors import Malformed

__all__ = ["TokenService"]

_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
_BUSY: Final = 503
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
# A service that is busy for longer has a queue of its own to work off, and the caller something better to do.
_MAX_RETRIES: Final = 2
_MAX_WAIT_S: Final = 10.0
# Where nothing is said.
_DEFAULT_WAIT_S: Final = 1.0
Form = Mapping[str, str | list[str]]

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "tokensvc-client"}


@dataclass(slots=True, kw_only=True)
class TokenService:
    """The token service as one agent sees it. Of what changes there is only what was learned: metadata and nonces."""

    client_id: str
    auth: ClientAuth = field(repr=False)
    issuer: str | None
    token_endpoint: str | None
    holder_key: SigningKey | None
    sign_grants: bool
    clock: Callable[[], float] = field(repr=False)
    _metadata: Metadata | None = field(default=None, init=False)
    _nonces: dict[tuple[str, str, int] | None, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises: ValueError for what does not fit together, KeyRefused, Malformed for a URL that is not safe."""
        if self.issuer is None and self.token_endpoint is None:
            raise ValueError("give issuer=, or token_endpoint= where there is no metadata")
        if self.issuer is None and isinstance(self.auth, PrivateKeyJwt):
            raise ValueError("PrivateKeyJwt needs issuer=, which is the aud of what it signs")
        if self.sign_grants and self.holder_key is None:
            raise ValueError("sign_grants=True needs holder_key=, which signs them")
        if self.holder_key is not None:
            require_holder_key(self.holder_key)
        for url in (self.issuer, self.token_endpoint):
            if url is not None:
                require_secure_url(url)
        if self.issuer is not None and "?" in self.issuer:
            raise Malformed("an issuer has no query (RFC 8414 s2)")

    @property
    def jkt(self) -> str | None:
        """The thumbprint of the holder key."""
        return None if self.holder_key is None else self.holder_key.public.thumbprint

    def exchange(self, subject_token: str, asked: Asked, *, subject_token_type: str = ACCESS_TOKEN) -> Steps[Issued]:
        """POST /token (RFC 8693 s2). Raises: what `client.errors` has."""
        _require_token_text(subject_token)
        url = self.token_endpoint or (yield from self._discover()).token_endpoint
        form: Form = {
            "grant_type": _GRANT_TYPE,
            "subject_token": subject_token,
            "subject_token_type": subject_token_type,
            **asked.form(),
        }
        asked_at = self.clock()
        reply = yield from self._call("POST", url, form, prove_with=subject_token)
        if reply.status != OK:
            raise_refusal(reply, self.clock())
        return parse_issued(reply, asked, iss=self.issuer, client_id=self.client_id, jkt=self.jkt, now=asked_at)

    def delegate(
        self, held: HeldToken, asked: Asked, *, to: str, may_delegate: bool, holder_jkt: str | None
    ) -> Steps[Issued]:
        """A token for the agent `to`, below `held`: by a signed grant where this agent signs."""
        if self.sign_grants:
            grant = yield from self.grant(held, asked, to=to, may_delegate=may_delegate, holder_jkt=holder_jkt)
            # The grant says both, and they are not to be said in two ways.
            asked = replace(asked, actor=to, grant=grant, max_depth=None, lifetime_s=None)
        else:
            asked = replace(asked, actor=to, max_depth=None if may_delegate else held.index + 1)
        return (yield from self.exchange(held.text, asked))

    def grant(
        self, held: HeldToken, asked: Asked, *, to: str, may_delegate: bool, holder_jkt: str | None
    ) -> Steps[str]:
        """A delegation grant for the agent `to`, signed with the holder key. Raises: HolderKeyUnknown, Malformed."""
        if self.holder_key is None:
            raise HolderKeyUnknown("this agent has no holder key to sign with")
        jkt = holder_jkt or self._own_jkt(to) or (yield from self.agent_key(to))
        if jkt is None:
            raise HolderKeyUnknown(f"the agent {to} is registered without a holder key, which a signed grant needs")
        return seal_grant(
            held,
            key=self.holder_key,
            to=to,
            holder_jkt=jkt,
            scope=asked.scope or frozenset(),
            resources=asked.resources,
            details=asked.details,
            may_delegate=may_delegate,
            lifetime_s=asked.lifetime_s,
            now=self.clock(),
        )

    def agent_key(self, agent_id: str) -> Steps[str | None]:
        """The thumbprint of another agent's holder key, which the token service tells those who may delegate to it."""
        if self.issuer is None:
            raise HolderKeyUnknown("without issuer= nobody can be asked for the key of an agent: give holder_jkt=")
        url = f"{self.issuer}/agents/{quote(agent_id, safe='')}"
        # What goes into a form cannot go with GET.
        in_header = isinstance(self.auth, ClientSecret) and not self.auth.in_body
        reply = yield from self._call("GET" if in_header else "POST", url, None if in_header else {})
        if reply.status == _NOT_FOUND:
            raise HolderKeyUnknown(f"the agent {agent_id} is unknown, or not one that this agent may delegate to")
        if reply.status != OK:
            raise_refusal(reply, self.clock())
        return parse_agent_key(reply, agent_id)

    def revoke(self, token: str, *, hop: str | None) -> Steps[None]:
        """POST /revoke (RFC 7009 s2): the last hop of `token` and all below it, or the entry `hop`."""
        _require_token_text(token)
        url = (yield from self._discover()).revocation_endpoint
        if url is None:
            raise ValueError("the token service names no revocation_endpoint")
        form: Form = {"token": token} if hop is None else {"token": token, "hop": hop}
        reply = yield from self._call("POST", url, form)
        if reply.status != OK:
            raise_refusal(reply, self.clock())

    def proof(self, method: str, url: str, token: str) -> str | None:
        """The DPoP proof for a request to `url` with `token` (RFC 9449 s7.1); None without a holder key."""
        if self.holder_key is None:
            return None
        nonce = self._nonces.get(origin_of(url))
        return make_proof(self.holder_key, method=method, url=url, now=self.clock(), token=token, nonce=nonce)

    def remember_nonce(self, url: str, nonce: str | None) -> None:
        """The newest nonce that the origin of `url` gave (RFC 9449 s8.2)."""
        if nonce:
            self._nonces[origin_of(url)] = nonce

    def _own_jkt(self, agent_id: str) -> str | None:
        return self.jkt if agent_id == self.client_id else None

    def _discover(self) -> Steps[Metadata]:
        if self._metadata is None:
            if self.issuer is None:
                raise ValueError("give issuer=: without metadata only the token endpoint is known")
            parts = urlsplit(self.issuer)
            path = parts.path.removesuffix("/")
            url = f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{path}"
            reply = yield HttpRequest(method="GET", url=url, headers=_HEADERS)
            if reply.status != OK:
                raise ServiceUnavailable(f"the metadata of the token service cannot be had ({reply.status})")
            by_certificate = isinstance(self.auth, TlsClientAuth)
            self._metadata = parse_metadata(reply, issuer=self.issuer, by_certificate=by_certificate)
        return self._metadata

    def _call(self, method: str, url: str, form: Form | None, *, prove_with: str | None = None) -> Steps[HttpReply]:
        """The answer: after one repetition for a nonce, and after two at most while the service is busy."""
        may_repeat, retries, waited, after = prove_with is not None, 0, 0.0, 0.0
        while True:
            reply = yield self._request(method, url, form, prove_with, after)
            nonce = reply.headers.get("dpop-nonce")
            self.remember_nonce(url, nonce)
            after = 0.0
            if may_repeat and nonce and _wants_nonce(reply):
                may_repeat = False
                continue
            if reply.status != _BUSY:
                return reply
            wait = reply.retry_after_s(self.clock())
            after = _DEFAULT_WAIT_S if wait is None else wait
            if retries == _MAX_RETRIES or waited + after > _MAX_WAIT_S:
                return reply
            retries, waited = retries + 1, waited + after

    def _request(self, method: str, url: str, form: Form | None, token: str | None, after_s: float) -> HttpRequest:
        now = self.clock() + after_s
        credentials = self.auth.credentials(self.client_id, issuer=self.issuer, now=now)
        headers = {**_HEADERS, **credentials.headers}
        if self.holder_key is not None and token is not None:
            nonce = self._nonces.get(origin_of(url))
            headers["dpop"] = make_proof(self.holder_key, method=method, url=url, now=now, token=token, nonce=nonce)
        body = None if form is None else {**form, **credentials.form}
        return HttpRequest(method=method, url=url, headers=headers, form=body, after_s=after_s)


def _wants_nonce(reply: HttpReply) -> bool:
    return reply.status == _BAD_REQUEST and reply.json().get("error") == "use_dpop_nonce"


def _require_token_text(token: str) -> None:
    """What goes out as a token is visible ASCII. Raises: Malformed, which does not repeat it."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Malformed("the token is empty, or not one line of visible ASCII")
