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
from typing import Annotated, Any, Final

from fastapi import HTTPException, Security, WebSocket, WebSocketException
from fastapi.openapi.models import HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from fastapi.websockets import WebSocketState

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.scope import parse_scope, render_scope
from tokensvc.errors import AccessDenied
from tokensvc.integrations.bearer import Answer
from tokensvc.integrations.judge import BearerJudge, system_clock
from tokensvc.integrations.resource_metadata import metadata_url
from tokensvc.ports import Clock
from tokensvc.verify import Expectation, KeySource, Revocations, VerifiedToken

__all__ = ["TokenGuard", "metadata_url", "refusal_responses"]

_POLICY_VIOLATION: Final = 1008  # RFC 6455 s7.4.1
_MEMBERS: Final = ("error", "error_description", "reason")
_CHALLENGE: Final = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "RFC 6750 s3, RFC 9728 s5.1"}}
_RETRY: Final = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}


class TokenGuard(SecurityBase):
    """Dependencies that verify the one Bearer token of a call, on the terms given; use them through `require`.

    `revocations` may be a function that gives the current view. `resource_metadata` is the URL that challenges name
    (RFC 9728 s5.1). FastAPI knows security schemes of the OpenAPI document by the class inherited from.
    Raises: ValueError for terms that cannot be meant.
    """

    def __init__(
        self,
        *,
        keys: KeySource,
        expect: Expectation,
        revocations: Revocations | Callable[[], Revocations],
        resource_metadata: str,
        clock: Clock = system_clock,
    ) -> None:
        self._judge = BearerJudge(
            keys=keys, expect=expect, revocations=revocations, resource_metadata=resource_metadata, clock=clock
        )
        self.model = HTTPBearer(bearerFormat="JWT", description=f"Access token; metadata: {resource_metadata}")
        self.scheme_name = "Bearer"

    async def __call__(self, connection: HTTPConnection, needed: SecurityScopes) -> VerifiedToken:
        """The verified token, carrying every scope that `Security` demands on the way here.

        Raises: HTTPException, WebSocketException; Malformed for a demand that is no scope.
        """
        scope = render_scope(parse_scope(needed.scope_str)) if needed.scopes else None
        verdict = self._judge.judge(connection.headers.raw, scope=scope)
        if isinstance(verdict, Answer):
            raise _refusal(verdict, connection)
        return verdict

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
                if scope is not None:
                    token.require(scope=scope)
                yield token
            except AccessDenied as exc:
                raise _refusal(self._judge.refuse(exc, scope=exc.scope), connection) from exc

        return required


def refusal_responses() -> dict[int | str, dict[str, Any]]:
    """What a call can be refused with, for `responses=` of an app, a router or a route."""
    properties = {name: {"type": "string"} for name in _MEMBERS}
    detail = {"type": "object", "properties": properties}
    schema = {"type": "object", "properties": {"detail": detail}, "required": ["detail"]}
    content = {"application/json": {"schema": schema}}
    described = {
        400: ("More than one Authorization header", _CHALLENGE),
        401: ("No token, or one that does not verify", _CHALLENGE),
        403: ("The token does not allow this call", _CHALLENGE),
        503: ("The token cannot be verified at the moment", _RETRY),
    }
    return {
        status: {"description": description, "headers": {**headers}, "content": content}
        for status, (description, headers) in described.items()
    }


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
