"""FastAPI dependencies for a resource server: a handler gets the verified token, with the scope that it needs.

    guard = TokenGuard(
        keys=StaticKeys({"https://tokens.example": parse_jwks(parse_json_object(Path("jwks.json").read_bytes()))}),
        expect=Expectation.bearer(issuers=["https://tokens.example"], audiences=["https://api.example"]),
        revocations=LifetimeOnly(max_s=900),
        resource_metadata=metadata_url("https://api.example"),
    )
    app = FastAPI(responses=refusal_responses())  # for the OpenAPI document

    @app.get("/customers/{customer}")
    def read(customer: str, token: Annotated[VerifiedToken, Depends(guard.require(scope="crm.read"))]) -> Customer: ...

Refusals have the status and headers of `TokenMiddleware`; FastAPI puts the members of the body under `detail`. Nothing
else has to be registered: an `AccessDenied` that a handler raises (`token.require(scope=...)`) is answered with 403.
In tests `app.dependency_overrides[guard] = lambda: token` replaces verification; the scopes are still checked.

FastAPI reads and parses a request's body before any dependency runs: where strangers must not get that far, put
`TokenMiddleware` in front. A route without a dependency is open to anybody: `FastAPI(dependencies=[...])` covers all.
"""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Final

from fastapi import HTTPException, Response, Security, WebSocket, WebSocketException
from fastapi.openapi.models import HTTPBase, HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from fastapi.websockets import WebSocketState

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.scope import parse_scope, render_scope
from tokensvc.errors import AccessDenied
from tokensvc.integrations.answer import Answer
from tokensvc.integrations.connection import CertificateSource
from tokensvc.integrations.judge import TokenJudge, system_clock
from tokensvc.integrations.nonces import ServerNonces
from tokensvc.integrations.proof_memory import ProofStore
from tokensvc.integrations.resource_metadata import metadata_url
from tokensvc.integrations.responses import refusal_responses
from tokensvc.ports import Clock
from tokensvc.verify import Expectation, HolderFloor, KeySource, Revocations, VerifiedToken

__all__ = ["TokenGuard", "metadata_url", "refusal_responses"]

_VERIFIED: Final = "tokensvc.verified"
_POLICY_VIOLATION: Final = 1008  # RFC 6455 s7.4.1


class TokenGuard(SecurityBase):
    """Dependencies that verify the one token of a call, on the terms given; use them through `require`.

    `revocations` may be a function that gives the current view. `resource_metadata` is the URL that challenges name
    (RFC 9728 s5.1). `base_url`, `proofs`, `nonces` and `certificate` are as in `TokenMiddleware`. FastAPI
    knows security schemes of the OpenAPI document by the class inherited from.
    Raises: ValueError for terms that cannot be meant.
    """

    def __init__(
        self,
        *,
        keys: KeySource,
        expect: Expectation,
        revocations: Revocations | Callable[[], Revocations],
        resource_metadata: str,
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
        described = f"Access token; metadata: {resource_metadata}"
        if expect.holder is HolderFloor.PROOF:
            self.model: HTTPBase = HTTPBase(scheme="DPoP", description=f"{described}. With a proof: RFC 9449")
        else:
            self.model = HTTPBearer(bearerFormat="JWT", description=f"{described}. A bound one as DPoP: RFC 9449")
        self.scheme_name = "DPoP" if expect.holder is HolderFloor.PROOF else "Bearer"

    async def __call__(self, connection: HTTPConnection, needed: SecurityScopes, response: Response) -> VerifiedToken:
        """The verified token, carrying every scope that `Security` demands on the way here.

        Raises: HTTPException, WebSocketException; Malformed for a demand that is no scope.
        """
        scope = render_scope(parse_scope(needed.scope_str)) if needed.scopes else None
        known: dict[TokenGuard, VerifiedToken] = connection.scope.setdefault(_VERIFIED, {})
        if self in known:
            # Once for a call: the second time its proof would have been used before.
            return self._require(known[self], scope, connection)
        verdict = await self._judge.judge(connection.scope, scope=scope)
        if isinstance(verdict, Answer):
            raise _refusal(verdict, connection)
        # A handler that returns a Response of its own loses these: its client is then asked for the nonce once more.
        response.headers.raw.extend(verdict.headers)
        known[self] = verdict.token
        return verdict.token

    def _require(self, token: VerifiedToken, scope: str | None, connection: HTTPConnection) -> VerifiedToken:
        try:
            if scope is not None:
                token.require(scope=scope)
        except AccessDenied as exc:
            raise _refusal(self._judge.deny(exc, token, scope=exc.scope), connection) from exc
        return token

    def require(self, *, scope: str | None = None) -> Callable[..., AsyncIterator[VerifiedToken]]:
        """A dependency that gives the verified token; None: any valid one, and the handler judges what it allows.

        It stands round the handler, and answers an `AccessDenied` from there as well. Raises: Malformed (`scope`).
        """
        scopes = [] if scope is None else sorted(parse_scope(scope))

        async def required(
            connection: HTTPConnection, token: Annotated[VerifiedToken, Security(self, scopes=scopes)]
        ) -> AsyncIterator[VerifiedToken]:
            try:
                # Once more: whoever replaces the guard in a test still learns of a scope that is missing.
                yield self._require(token, scope, connection)
            except AccessDenied as exc:
                raise _refusal(self._judge.deny(exc, token, scope=exc.scope), connection) from exc

        return required


def _refusal(answer: Answer, connection: HTTPConnection) -> HTTPException | WebSocketException:
    members = parse_json_object(answer.body)
    if isinstance(connection, WebSocket) and not _takes_answer(connection):
        # Before the handshake is accepted, the server makes this a plain 403.
        return WebSocketException(_POLICY_VIOLATION, str(members.get("error", "")))
    headers = {name.decode("ascii"): value.decode("ascii") for name, value in answer.headers if name != b"content-type"}
    return HTTPException(answer.status, {**members}, headers)


def _takes_answer(websocket: WebSocket) -> bool:
    """True while the handshake is open, on a server that can refuse it with a whole answer."""
    return websocket.application_state is WebSocketState.CONNECTING and "websocket.http.response" in (
        websocket.scope.get("extensions") or {}
    )
