"""ASGI middleware for a resource server: only calls with a verified token reach the app. Starlette is not needed.

    app.add_middleware(  # Starlette and FastAPI; anything else: app = TokenMiddleware(app, ...)
        TokenMiddleware,
        keys=StaticKeys({"https://tokens.example": parse_jwks(parse_json_object(Path("jwks.json").read_bytes()))}),
        expect=Expectation.bearer(issuers=["https://tokens.example"], audiences=["https://api.example"]),
        revocations=LifetimeOnly(max_s=900),
        resource_metadata=metadata_url("https://api.example"),
    )

    async def read_customer(request):
        verified_token(request.scope).require(scope="crm.read")  # what it does not allow is answered with 403

A token authorises nothing by itself: each handler says what it needs, or `scope` says it for all of them.
Whatever goes wrong inside verification, the app is not called. A websocket is verified once, when it opens.

A token that is bound to a key comes with its proof: as `Authorization: DPoP` beside one `DPoP` header, made for the
method and URI of this one call, or over a TLS connection with its certificate. `docs/verifier.md` says what an app
behind a proxy, and one of several processes, configure for that.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from tokensvc.core.jsontext import JsonObject, render_json
from tokensvc.core.scope import parse_scope, render_scope
from tokensvc.errors import AccessDenied
from tokensvc.integrations.answer import Answer
from tokensvc.integrations.connection import CertificateSource
from tokensvc.integrations.judge import Admission, TokenJudge, system_clock
from tokensvc.integrations.nonces import ServerNonces
from tokensvc.integrations.proof_memory import ProofStore
from tokensvc.integrations.resource_metadata import metadata_url, protected_resource_metadata
from tokensvc.ports import Clock
from tokensvc.verify import Expectation, KeySource, Revocations, VerifiedToken

__all__ = ["TokenMiddleware", "metadata_url", "protected_resource_metadata", "verified_token"]

# As Starlette types them: what a server passes is open, so Any it is.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_TOKEN: Final = "tokensvc.token"
_POLICY_VIOLATION: Final = 1008  # RFC 6455 s7.4.1
_WITH_HEADERS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


def verified_token(scope: Mapping[str, Any]) -> VerifiedToken:
    """The token that `TokenMiddleware` verified for this call. Raises: LookupError when it did not run."""
    if _TOKEN not in scope:
        raise LookupError("no verified token in the scope: the app is not behind TokenMiddleware")
    token: VerifiedToken = scope[_TOKEN]
    return token


class TokenMiddleware:
    """Calls `app` with the http and websocket calls whose one token verifies; lifespan passes as it is.

    `revocations` may be a function that gives the current view. `scope` is what every call needs. `resource_metadata`
    is the URL that challenges name (RFC 9728 s5.1); with `metadata`, GET of it is answered to anybody. `base_url`,
    `proofs`, `nonces` and `certificate` are about proofs of keys, as `TokenJudge` says.
    Raises: ValueError, Malformed (`scope`) for terms that cannot be meant.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeySource,
        expect: Expectation,
        revocations: Revocations | Callable[[], Revocations],
        resource_metadata: str,
        scope: str | None = None,
        metadata: JsonObject | None = None,
        base_url: str | None = None,
        proofs: ProofStore | None = None,
        nonces: ServerNonces | None = None,
        certificate: CertificateSource | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._judge = TokenJudge(
            keys=keys,
            expect=expect,
            revocations=revocations,
            resource_metadata=resource_metadata,
            base_url=base_url,
            proofs=proofs,
            nonces=nonces,
            certificate=certificate,
            clock=clock,
        )
        if metadata is not None and metadata_url(str(metadata.get("resource"))) != resource_metadata:
            raise ValueError("metadata is of another resource than resource_metadata")  # RFC 9728 s3.3
        self._app = app
        self._scope = None if scope is None else render_scope(parse_scope(scope))
        self._public = {} if metadata is None else {unquote(urlsplit(resource_metadata).path): render_json(metadata)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection. Raises: ValueError for a type of scope that it cannot protect."""
        match scope["type"]:
            case "lifespan":
                await self._app(scope, receive, send)
            case "http" if scope["method"] in {"GET", "HEAD"} and scope["path"] in self._public:
                headers = ((b"content-type", b"application/json"),)
                await _answer(scope, send, Answer(status=200, headers=headers, body=self._public[scope["path"]]))
            case "http" | "websocket":
                await self._guard(scope, receive, send)
            case _:
                raise ValueError("TokenMiddleware protects http and websocket, nothing else")

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        verdict = await self._judge.judge(scope, scope=self._scope)
        refusal = verdict if isinstance(verdict, Answer) else await self._call(verdict, scope, receive, send)
        if refusal is not None:
            await _answer(scope, send, refusal)

    async def _call(self, admission: Admission, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            if admission.headers and message["type"] in _WITH_HEADERS:
                message = {**message, "headers": [*message.get("headers", ()), *admission.headers]}
            await send(message)

        try:
            await self._app({**scope, _TOKEN: admission.token}, receive, send_and_note)
        except AccessDenied as exc:
            if started:
                raise
            return self._judge.deny(exc, admission.token, scope=exc.scope)
        return None


async def _answer(scope: Scope, send: Send, answer: Answer) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            # Before the handshake is accepted, the server makes this a plain 403.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        kind = "websocket.http.response"
    length = (b"content-length", b"%d" % len(answer.body))
    await send({"type": f"{kind}.start", "status": answer.status, "headers": [*answer.headers, length]})
    await send({"type": f"{kind}.body", "body": answer.body})
