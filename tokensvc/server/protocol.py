"""HTTP/1.1 with bounds: what one connection may hold, how long it may take, and how many there may be.

uvicorn reads heads of any size for any time. Here each connection is bounded before the parser stores what it sends:

1. The head of a request is counted as it is received, and its header fields are counted.
2. A head must be complete in time, and then the body: from the first byte (on a new connection: from its start).
3. What comes of a body is counted, chunk framing and trailers included. Trailers are dropped.
4. Only so many requests wait behind the one that is answered; the last one's answer ends the connection.
5. An answer must be read in time.
6. Beyond the number of connections, the one that has waited longest for its client gives way, else the new one.

With TLS a connection is counted and bounded from its start as well: `handshake`.
"""

import asyncio
import resource
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tokensvc.core.jsontext import JsonValue
from tokensvc.errors import OAuthError, Reason
from tokensvc.server.answer import uncached_json
from tokensvc.server.client_certificate import tls_extension
from tokensvc.telemetry import Telemetry

__all__ = ["BoundedProtocol", "ConnectionLimits", "Connections", "Cut", "bounded_protocol"]

# 1000 waiting heads and bodies are about 100 MB at worst; agents renew every few minutes and keep no connection.
_MAX_CONNECTIONS: Final = 1000
# Descriptors for the listener, the store, logs and key files, and for connections that are being ended.
_RESERVED_DESCRIPTORS: Final = 64
# At least something works where the system allows almost nothing.
_MIN_CONNECTIONS: Final = 16
# Half of the reserve: beyond it a connection is ended without waiting for its client to read why.
_MAX_LINGERING: Final = 32
# How exactly heads and bodies are counted where one follows another in the same packet.
_SLICE_BYTES: Final = 4096
# As in the other answers of 503.
_RETRY: Final = {"Retry-After": "5"}


def _body(error: OAuthError, description: str) -> dict[str, JsonValue]:
    return {"error": error, "error_description": description}


# An OAuth client reads `error` of whatever it gets; a proxy's page instead would look like another server's.
_BODIES: Final[Mapping[HTTPStatus, Mapping[str, JsonValue]]] = {
    HTTPStatus.BAD_REQUEST: _body(OAuthError.INVALID_REQUEST, "this is no HTTP/1.1 request"),
    HTTPStatus.REQUEST_TIMEOUT: _body(OAuthError.INVALID_REQUEST, "the request was not complete in time"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _body(OAuthError.INVALID_REQUEST, "the body is too large"),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: _body(
        OAuthError.INVALID_REQUEST, "the request line and header fields are too large"
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: {
        **_body(OAuthError.TEMPORARILY_UNAVAILABLE, "too many connections; try again later"),
        "reason": Reason.TEMPORARILY_UNAVAILABLE,
    },
}


class Cut(StrEnum):
    """Why a connection was ended; a line of the log has it as `kind`."""

    HANDSHAKE = "handshake"
    HEAD_BYTES = "head_bytes"
    HEADER_COUNT = "header_count"
    HEAD_TIME = "head_time"
    BODY_BYTES = "body_bytes"
    BODY_TIME = "body_time"
    ANSWER_TIME = "answer_time"
    CONNECTIONS = "connections"


def _default_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(_MIN_CONNECTIONS, min(_MAX_CONNECTIONS, soft - _RESERVED_DESCRIPTORS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The bounds; sizes in bytes, times in seconds."""

    # Twice what a token may have (16 KiB): proxies and browsers send less, load balancers refuse more.
    head_bytes: int = 32 * 1024
    # Apache's number; a request through several proxies has about 30.
    header_count: int = 100
    # A head is one or two packets. Ten seconds survive some lost ones; an attacker must come again every ten seconds.
    head_s: float = 10
    # The largest form is 64 KiB: 50 kbit/s.
    body_s: float = 10
    # The largest form in chunks of one byte each (`1\r\nx\r\n`), and some. By then the endpoint has refused it.
    body_bytes: int = 512 * 1024
    # Answers are a few KiB, the kernel holds dozens: who reads nothing for so long reads nothing.
    answer_s: float = 10
    # HTTP clients hardly pipeline; each waiting request costs some KiB.
    pipelined: int = 16
    # From when on a connection that waits for its client gives way to a new one. An honest request takes less.
    give_way_s: float = 1
    # How long an ended connection is still read, so that its client gets the answer and no reset (RFC 9112 s9.6).
    linger_s: float = 1
    # Below the limit on descriptors: `accept` must never fail.
    connections: int = field(default_factory=_default_connections)


class _Waiting(Protocol):
    def give_way(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """What the connections of one server know of each other."""

    limits: ConnectionLimits
    telemetry: Telemetry
    # Since when each waits for its client, the longest first.
    waiting: dict[_Waiting, float] = field(default_factory=dict)
    lingering: "set[BoundedProtocol]" = field(default_factory=set)

    def make_room(self, count: int, *, now: float) -> bool:
        """True when a new connection, the last of `count`, may stay (6)."""
        if count <= self.limits.connections:
            return True
        longest = next(iter(self.waiting), None)
        if longest is None or self.waiting[longest] > now - self.limits.give_way_s:
            return False
        longest.give_way()
        return True


def bounded_protocol(telemetry: Telemetry, limits: ConnectionLimits | None = None) -> "Callable[..., BoundedProtocol]":
    """What makes the connections of one server: `uvicorn.Config(http=...)`. Who is cut off is told to `telemetry`."""
    limits = ConnectionLimits() if limits is None else limits
    return partial(BoundedProtocol, shared=Connections(limits=limits, telemetry=telemetry))


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Inherits because uvicorn has no other way in; the parser calls the `on_` methods."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        shared: Connections,
        when_made: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shared = shared
        self._limits = shared.limits
        self._when_made = when_made
        # Nothing that still comes is read: the connection ends, now or after the answers that are owed.
        self._is_deaf = False
        self._is_lost = False
        self._in_head = False
        self._in_body = False
        # Of the head or body that is being received.
        self._received_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._extensions: dict[str, dict[object, object]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head, or make room (6)."""
        if self._when_made is not None:
            self._when_made()
        super().connection_made(transport)
        self._extensions = _extensions_of(transport)
        if not self._shared.make_room(len(self.connections), now=self.loop.time()):
            self._cut(Cut.CONNECTIONS, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._await_client(Cut.HEAD_TIME, self._limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._is_lost = True
        self._stop_waiting()
        self._stop_answer_timer()
        self._shared.lingering.discard(self)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Hand `data` to the parser in pieces that keep within the bounds (1, 3)."""
        at = 0
        while at < len(data) and not self._is_deaf:
            bound = self._limits.body_bytes if self._in_body else self._limits.head_bytes
            piece = data[at : at + min(_SLICE_BYTES, bound - self._received_bytes)]
            at += len(piece)
            self._received_bytes += len(piece)
            super().data_received(piece)
            if self._received_bytes >= bound and not self._is_deaf:
                self._cut_too_large()
        if not self._is_deaf:
            self._watch()

    def give_way(self) -> None:
        """End this connection, which waits for its client, so that another one has its place."""
        has_begun = self._in_head or self._in_body or self._received_bytes > 0
        self._cut(Cut.CONNECTIONS, HTTPStatus.SERVICE_UNAVAILABLE if has_begun else None)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if not self._is_deaf:
            self._in_head = True
            super().on_message_begin()
            if self._extensions:
                self.scope["extensions"] = self._extensions

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field, or one trailer field, which nobody here asked for (RFC 9110 s6.5.1)."""
        if self._is_deaf or self._in_body:
            return
        if len(self.headers) >= self._limits.header_count:
            self._cut(Cut.HEADER_COUNT, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: the request starts, or waits for its turn (4)."""
        if self._is_deaf:
            return
        if b"#" in self.url:
            # No part of a request target (RFC 9112 s3.2). What is dropped here, the rules of a proxy would have seen.
            self._end(HTTPStatus.BAD_REQUEST)
            return
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._received_bytes = 0
        self._stop_waiting()
        # After an upgrade that is not spoken here the parser takes a body for the next request: there must be none.
        if self.parser.should_upgrade() or len(self.pipeline) >= self._limits.pipelined:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Some bytes of the body."""
        if not self._is_deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._is_deaf:
            return
        super().on_message_complete()
        self._in_body = False
        self._received_bytes = 0
        self._stop_waiting()
        # Nothing after the last request is processed (RFC 9112 s9.6).
        self._is_deaf = not self.cycle.keep_alive

    def on_response_complete(self) -> None:
        """An answer is written. An answer that closes is flushed by the transport for as long as it takes: (5)."""
        super().on_response_complete()
        if self._is_lost:
            return
        if self.transport.is_closing():
            self._await_reading()
        elif self._timer is None and self.timeout_keep_alive_task is not None:
            self._shared.waiting[self] = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self._await_reading()

    def pause_writing(self) -> None:
        """The client does not read its answers (5)."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._stop_answer_timer()

    def send_400_response(self, msg: str) -> None:
        """Not HTTP; uvicorn has logged it."""
        del msg
        self._end(HTTPStatus.BAD_REQUEST)

    def _watch(self) -> None:
        """Whoever owes us something has a timer: the rest of a body or head, or the next request."""
        if self._timer is not None:
            return
        if self._in_body:
            self._await_client(Cut.BODY_TIME, self._limits.body_s)
        elif self._in_head or self._received_bytes > 0:
            self._await_client(Cut.HEAD_TIME, self._limits.head_s)
        elif not self._is_answering() and not self.transport.is_closing():
            # Answered before the body was complete: uvicorn has stopped its timer and starts no other.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            self._shared.waiting[self] = self.loop.time()

    def _await_client(self, kind: Cut, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self._expire, kind, seconds)
        self._shared.waiting[self] = self.loop.time()

    def _stop_waiting(self) -> None:
        self._shared.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, kind: Cut, seconds: float) -> None:
        if self.flow.read_paused:
            # It is us who did not read: an earlier request is still being answered.
            self._await_client(kind, seconds)
            return
        has_begun = self._in_head or self._in_body or self._received_bytes > 0
        # A connection on which nothing was asked gets no answer: it would be taken for one to the next question.
        self._cut(kind, HTTPStatus.REQUEST_TIMEOUT if has_begun else None)

    def _await_reading(self) -> None:
        self._stop_answer_timer()
        self._answer_timer = self.loop.call_later(self._limits.answer_s, self._abort_unread)

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _abort_unread(self) -> None:
        self._shared.telemetry.connection_cut(Cut.ANSWER_TIME)
        self.transport.abort()

    def _is_answering(self) -> bool:
        # uvicorn types it as always there; before the first request it is None.
        return bool(self.cycle) and not self.cycle.response_complete

    def _cut_too_large(self) -> None:
        if self._in_body:
            self._cut(Cut.BODY_BYTES, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._cut(Cut.HEAD_BYTES, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _cut(self, kind: Cut, status: HTTPStatus | None) -> None:
        self._shared.telemetry.connection_cut(kind)
        self._end(status)

    def _end(self, status: HTTPStatus | None) -> None:
        """End the connection, with an answer of `status` where one is due and none has begun."""
        self._is_deaf = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        if self._is_answering():
            if not self._in_body:
                # The answers that are owed come first: ours would be taken for one of them.
                self.cycle.keep_alive = False
                return
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                self._await_reading()
                return
            # The endpoint waits for a body that will not come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._in_body:
            # It has its answer already.
            status = None
        # The place is free for others; what lingers is counted by itself.
        self.connections.discard(self)
        if status is not None:
            self.transport.write(self._render(status))
        lingering = self._shared.lingering
        if len(lingering) >= _MAX_LINGERING or not self.transport.can_write_eof():
            self.transport.close()
        else:
            lingering.add(self)
            self.flow.resume_reading()
            self.transport.write_eof()
        self._timer = self.loop.call_later(self._limits.linger_s, self.transport.abort)

    def _render(self, status: HTTPStatus) -> bytes:
        headers = _RETRY if status is HTTPStatus.SERVICE_UNAVAILABLE else None
        answer = uncached_json({**_BODIES[status]}, status=status, headers=headers)
        head = [b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode())]
        head += [b"%s: %s\r\n" % header for header in (*self.server_state.default_headers, *answer.raw_headers)]
        return b"".join([*head, b"connection: close\r\n\r\n", answer.body])


def _extensions_of(transport: asyncio.Transport) -> dict[str, dict[object, object]]:
    """The TLS extension of ASGI for an encrypted connection, with the certificate that its client proved to hold."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None:
        return {}
    der = connection.getpeercert(binary_form=True)
    pem = None if der is None else ssl.DER_cert_to_PEM_cert(der)
    return {"tls": tls_extension(pem, _TLS_VERSIONS.get(connection.version()))}


# By their numbers in the protocol (RFC 8446 s4.2.1).
_TLS_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
