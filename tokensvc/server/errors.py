"""From exception to answer: the only place that knows status codes.

    invalid_client           401   and WWW-Authenticate (RFC 6749 s5.2, RFC 9110 s11.6.1)
    every other OAuth error  400   also a body that is too large: an OAuth client reads `error` at 400
    wrong method             405   with Allow
    unknown path             404
    Unavailable              503   with Retry-After; the same when there is too much to do (`shed`)
    a fault of ours          503   as well: logged with its place, nothing of it shown. Peers take a 503 for our trouble
                                   and try again; a 500 would say no more, and often not in JSON.

A body is `error`, `error_description` and, where there is one, `reason` and `record`.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from tokensvc.core.jsontext import JsonValue
from tokensvc.errors import OAuthError, OAuthRefused, Reason, Unavailable
from tokensvc.server.answer import headers_of, uncached_json
from tokensvc.telemetry import Telemetry

__all__ = ["FaultGuard", "exception_handlers", "trouble"]

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="tokensvc"'}
# Long enough for a lock to be let go or for a restart; short against a token's life.
_RETRY: Final = {"Retry-After": "5"}
_NOT_FOUND: Final = 404


def exception_handlers(telemetry: Telemetry) -> Mapping[type[Exception], ExceptionHandler]:
    """The answers to everything that is expected to go wrong."""

    async def refuse(request: Request, exc: OAuthRefused) -> Response:
        return _refusal(exc, headers_of(request))

    async def apologise(_request: Request, exc: Unavailable) -> Response:
        telemetry.unavailable(exc)
        return trouble()

    async def misdirect(_request: Request, exc: HTTPException) -> Response:
        return _misdirected(exc)

    # Starlette calls each with exceptions of its class only, which its types cannot say.
    return {OAuthRefused: refuse, Unavailable: apologise, HTTPException: misdirect}  # type: ignore[dict-item]


class FaultGuard:
    """The outermost layer: whatever comes up to here is a fault of ours, and is answered like any other trouble."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; answer in its place when it fails before it began to answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except asyncio.CancelledError:
            # The server stops, and its patience is over. Left to the server, the answer would be a bare 500.
            if not has_begun:
                await trouble()(scope, receive, send)
            raise
        except Exception as exc:
            self._telemetry.fault(exc)
            if has_begun:
                # Half an answer is out: only the server can end the connection.
                raise
            await trouble()(scope, receive, send)


def _refusal(exc: OAuthRefused, headers: Mapping[str, str]) -> Response:
    body: dict[str, JsonValue] = {"error": exc.error, "error_description": exc.description}
    if exc.reason is not None:
        body["reason"] = exc.reason
    if exc.record is not None:
        body["record"] = exc.record
    if exc.error is OAuthError.INVALID_CLIENT:
        # RFC 9110 wants the challenge with every 401, however the client tried to authenticate.
        return uncached_json(body, status=401, headers={**headers, **_CHALLENGE})
    return uncached_json(body, status=400, headers=headers)


def trouble() -> Response:
    """The answer when it is ours to mend, or to wait for."""
    body: dict[str, JsonValue] = {
        "error": OAuthError.TEMPORARILY_UNAVAILABLE,
        "error_description": "the service cannot answer now; try again later",
        "reason": Reason.TEMPORARILY_UNAVAILABLE,
    }
    return uncached_json(body, status=503, headers=_RETRY)


def _misdirected(exc: HTTPException) -> Response:
    """No endpoint here, or not with this method."""
    if exc.status_code == _NOT_FOUND:
        body: dict[str, JsonValue] = {"error": "not_found", "error_description": "there is no endpoint at this path"}
        return uncached_json(body, status=_NOT_FOUND)
    # Starlette names the methods in no fixed order.
    allow = ", ".join(sorted((exc.headers or {})["Allow"].split(", ")))
    body = {"error": OAuthError.INVALID_REQUEST, "error_description": f"only {allow} is allowed here"}
    return uncached_json(body, status=405, headers={"Allow": allow})
