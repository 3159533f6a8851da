"""A bound on the requests that are worked on at once. Beyond it the answer is 503 at once, and not a late one.

A request counts once its body is there: whoever sends slowly holds a connection (`protocol` bounds those), and no place
among the requests. It is then answered by the configuration of that moment, however long it took to come in.

A process answers one request after the other; what comes in faster than that waits, and the wait of each grows with the
queue. Clients that gave up are served all the same, and their second try behind them. So a full queue takes nobody.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tokensvc.server.errors import trouble
from tokensvc.server.form import MAX_BODY_BYTES, announces_too_much
from tokensvc.telemetry import Telemetry

__all__ = ["Shed"]

# Health has to be told above all when there is much to do; so have the keys, with which others verify.
_ALWAYS: Final = frozenset({"GET", "HEAD"})


class Shed:
    """Takes `most` requests at once. GET and HEAD, which cost nothing, are not counted, except below `costly`."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, *, most: int, costly: str) -> None:
        self._app = app
        self._telemetry = telemetry
        self._most = most
        self._costly = costly
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or answer in its place."""
        if scope["type"] != "http" or (scope["method"] in _ALWAYS and not scope["path"].startswith(self._costly)):
            await self._app(scope, receive, send)
            return
        # What is announced too large is refused unread.
        received = [] if announces_too_much(scope["headers"]) else await _receive_whole(receive)
        if self._taken >= self._most:
            self._telemetry.request_shed()
            await trouble()(scope, receive, send)
            return
        self._taken += 1
        try:
            await self._app(scope, _replay(received, receive), send)
        finally:
            self._taken -= 1


async def _receive_whole(receive: Receive) -> list[Message]:
    """The messages of a body to its end, or to where it is too large for any form: its reader refuses it then."""
    messages, size = [], 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if not message.get("more_body") or size > MAX_BODY_BYTES:
            return messages


def _replay(received: list[Message], receive: Receive) -> Receive:
    """Gives what was received, then what follows."""
    rest = iter(received)

    async def replayed() -> Message:
        for message in rest:
            return message
        return await receive()

    return replayed
