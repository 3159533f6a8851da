"""A bound on the requests that are worked on at once. Beyond it the answer is 503 at once, and not a late one.

A process answers one request after the other; what comes in faster than that waits, and the wait of each grows with the
queue. Clients that gave up are served all the same, and their second try behind them. So a full queue takes nobody.
"""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from tokensvc.server.errors import trouble
from tokensvc.telemetry import Telemetry

__all__ = ["Shed"]

# Health has to be told above all when there is much to do; so have the keys, with which others verify.
_ALWAYS: Final = frozenset({"GET", "HEAD"})


class Shed:
    """Takes `most` requests at once; GET and HEAD, which cost nothing, are not counted."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, *, most: int) -> None:
        self._app = app
        self._telemetry = telemetry
        self._most = most
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or answer in its place."""
        if scope["type"] != "http" or scope["method"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        if self._taken >= self._most:
            self._telemetry.request_shed()
            await trouble()(scope, receive, send)
            return
        self._taken += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._taken -= 1
