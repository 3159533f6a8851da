"""Drives the operations over HTTP: one driver that waits in the thread, one that waits in the event loop."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Self, TypeVar

import anyio
import httpx2

from tokensvc.client.auth import ClientAuth, TlsClientAuth
from tokensvc.client.errors import AnswerMalformed, ServiceUnavailable
from tokensvc.client.wire import MAX_BYTES, HttpReply, HttpRequest, Steps, host_of

__all__ = ["drive", "drive_async", "make_async_client", "make_client"]

_T = TypeVar("_T")

# Each step of a call: to connect, to send, to wait for the next bytes.
_STEP_S: Final = 10.0
# The whole call. Somebody waits for it.
_CALL_S: Final = 15.0
# A connection each: agents call every few minutes, and a call can end those alone that it has seen made.
_LIMITS: Final = httpx2.Limits(max_keepalive_connections=0)
# Of the names that httpx has for what happens (its extension `trace`): the connection stands, in plain or encrypted.
_CONNECTED: Final = frozenset({"connection.connect_tcp.complete", "connection.start_tls.complete"})


def make_client(auth: ClientAuth, *urls: str | None) -> httpx2.Client:
    """A client for the token service alone: proxies and passwords of the environment are passed over."""
    return httpx2.Client(verify=_tls(auth, urls), trust_env=False, timeout=_STEP_S, limits=_LIMITS)


def make_async_client(auth: ClientAuth, *urls: str | None) -> httpx2.AsyncClient:
    """The same for an event loop."""
    return httpx2.AsyncClient(verify=_tls(auth, urls), trust_env=False, timeout=_STEP_S)


def drive(steps: Steps[_T], http: httpx2.Client) -> _T:
    """What `steps` come to. Raises: what they raise; ServiceUnavailable, AnswerMalformed."""
    try:
        request = next(steps)
        while True:
            request = steps.send(_send(http, request))
    except StopIteration as stop:
        result: _T = stop.value
        return result


async def drive_async(steps: Steps[_T], http: httpx2.AsyncClient) -> _T:
    """The same for an event loop. It may be cancelled at any time."""
    try:
        request = next(steps)
        while True:
            request = steps.send(await _send_async(http, request))
    except StopIteration as stop:
        result: _T = stop.value
        return result


def _send(http: httpx2.Client, request: HttpRequest) -> HttpReply:
    if request.after_s:
        time.sleep(request.after_s)
    with _explained(request.url), _Deadline(_CALL_S) as deadline:
        built = _build(http, request, trace=deadline.trace)
        response = http.send(built, stream=True, auth=None, follow_redirects=False)
        try:
            _require_plain(response)
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                _require_bounded(body)
                deadline.require_time_left()
        finally:
            response.close()
    return _reply(response, body)


async def _send_async(http: httpx2.AsyncClient, request: HttpRequest) -> HttpReply:
    if request.after_s:
        await anyio.sleep(request.after_s)
    with _explained(request.url), anyio.fail_after(_CALL_S):
        built = _build(http, request)
        response = await http.send(built, stream=True, auth=None, follow_redirects=False)
        try:
            _require_plain(response)
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                _require_bounded(body)
        finally:
            await response.aclose()
    return _reply(response, body)


class _Deadline:
    """Ends a call after `seconds`, as a TimeoutError.

    Whoever sends a byte now and then never runs into the timeout of a step, and httpx has no other before the body
    begins. So the connection is shut down, where this call made it.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, _kind: object, exc: BaseException | None, _traceback: object) -> None:
        self._timer.cancel()
        if isinstance(exc, httpx2.HTTPError | OSError):
            self.require_time_left()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpx calls with all that happens."""
        if event in _CONNECTED:
            self._socket = info["return_value"].get_extra_info("socket")
            # One that stands too late is shut down by nobody.
            self.require_time_left()

    def require_time_left(self) -> None:
        """Raises: TimeoutError."""
        if time.monotonic() > self._until:
            raise TimeoutError

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # Below TLS: an object that another thread reads from is not to be touched.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _build(http: httpx2.Client | httpx2.AsyncClient, request: HttpRequest, **extensions: object) -> httpx2.Request:
    data = None if request.form is None else dict(request.form)
    return http.build_request(
        request.method, request.url, headers=request.headers, data=data, timeout=_STEP_S, extensions=extensions
    )


def _reply(response: httpx2.Response, body: bytearray) -> HttpReply:
    return HttpReply(status=response.status_code, headers=dict(response.headers.items()), body=bytes(body))


def _require_plain(response: httpx2.Response) -> None:
    """Nothing is unpacked: a few bytes could become more than there is memory."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise AnswerMalformed("an answer that is packed, which was not asked for")


def _require_bounded(body: bytearray) -> None:
    if len(body) > MAX_BYTES:
        raise AnswerMalformed(f"an answer of more than {MAX_BYTES} bytes")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """What keeps an answer from coming, as one kind of error that names the host alone."""
    try:
        yield
    except TimeoutError as exc:
        raise ServiceUnavailable(f"{host_of(url)} does not answer in time") from exc
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        raise ServiceUnavailable(f"cannot reach {host_of(url)} ({type(exc).__name__})") from exc


def _tls(auth: ClientAuth, urls: tuple[str | None, ...]) -> ssl.SSLContext:
    # To read the authorities takes a moment. Where there is no TLS there are none.
    if not any(url is not None and url.startswith("https:") for url in urls):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = httpx2.create_ssl_context()
    if isinstance(auth, TlsClientAuth):
        auth.load_into(context)
    return context
