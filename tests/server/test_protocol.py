"""Bounds of connections over real sockets: each is met by one client, and its control is served."""

import asyncio
import io
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tokensvc.server.listen import bind, uvicorn_config
from tokensvc.server.protocol import ConnectionLimits
from tokensvc.telemetry import Telemetry

TIMEOUT_S = 10
SHORT_S = 0.2
LIMITS = ConnectionLimits(
    head_bytes=1000,
    header_count=10,
    head_s=TIMEOUT_S,
    body_s=TIMEOUT_S,
    body_bytes=5000,
    answer_s=TIMEOUT_S,
    pipelined=3,
    give_way_s=TIMEOUT_S,
    linger_s=SHORT_S,
    connections=100,
)
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(_request: Request) -> Response:
    return Response(b"hello")


async def echo(request: Request) -> Response:
    try:
        return Response(b"got %d, " % len(await request.body()) + b"%d fields" % len(request.headers))
    except ClientDisconnect:
        return Response(status_code=400)


async def slow(_request: Request) -> Response:
    await asyncio.sleep(2 * SHORT_S)
    return Response(b"slow")


async def early(_request: Request) -> Response:
    return Response(b"early")


async def big(_request: Request) -> Response:
    return Response(b"x" * 20_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    port: int
    log: io.StringIO

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)

    def ask(self, *pieces: bytes, pause_s: float = 0) -> bytes:
        """Everything that is answered to these bytes until the server closes."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            return rest(connection)

    def kinds(self) -> list[str]:
        events = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [event["kind"] for event in events if event["event"] == "connection_cut"]


def rest(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        received += connection.recv(65536)
    return received


def trickle(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"A")
        time.sleep(SHORT_S / 4)


@contextmanager
def serve(limits: ConnectionLimits = LIMITS, keep_alive_s: int | None = None) -> Iterator[Served]:
    routes = [
        Route("/hello", hello),
        Route("/echo", echo, methods=["POST"]),
        Route("/slow", slow),
        Route("/early", early, methods=["POST"]),
        Route("/big", big),
    ]
    log = io.StringIO()
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    config = uvicorn_config(Starlette(routes=routes), telemetry=None, graceful_shutdown_s=1, limits=limits)
    # Without taking the loggers of this process over.
    config.http.keywords["shared"] = replace(config.http.keywords["shared"], telemetry=Telemetry(log))  # type: ignore[union-attr]
    if keep_alive_s is not None:
        config.timeout_keep_alive = keep_alive_s
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Served(port=port, log=log)
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve() as served:
        yield served


def padded(start: bytes, size: int) -> bytes:
    """A head of exactly `size` bytes."""
    return start + b"X: " + b"x" * (size - len(start) - 7) + b"\r\n\r\n"


GET = b"GET /hello HTTP/1.1\r\nConnection: close\r\n"


@pytest.mark.parametrize(("size", "status"), [(1000, b"200"), (1001, b"431"), (500_000, b"431")])
def test_a_head_is_bounded_in_bytes(served: Served, size: int, status: bytes) -> None:
    answer = served.ask(padded(GET, size))

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in answer


def test_a_head_that_comes_byte_by_byte_is_counted_as_well(served: Served) -> None:
    head = padded(GET, 1001)

    assert served.ask(head[:-1]).startswith(b"HTTP/1.1 431 ")
    assert served.ask(*[head[at : at + 100] for at in range(0, 1000, 100)]).startswith(b"HTTP/1.1 431 ")
    assert "head_bytes" in served.kinds()


def test_the_url_and_lines_before_a_request_count_as_its_head(served: Served) -> None:
    assert served.ask(b"GET /hello?" + b"x" * 1000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert served.ask(b"\r\n" * 1000).startswith(b"HTTP/1.1 431 ")
    assert served.ask(b"\r\n" + LAST_HELLO).startswith(b"HTTP/1.1 200 ")


def test_the_next_head_of_a_connection_has_the_same_bound(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(3):
            connection.sendall(padded(b"GET /hello HTTP/1.1\r\n", 1000))
            assert until(connection, b"hello").startswith(b"HTTP/1.1 200 ")
        connection.sendall(padded(GET, 1001))
        assert rest(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(("count", "status"), [(9, b"200"), (10, b"431"), (90, b"431")])
def test_header_fields_are_counted(served: Served, count: int, status: bytes) -> None:
    answer = served.ask(GET + b"a: b\r\n" * count + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1") == 1
    assert "header_count" in served.kinds() or status == b"200"


def test_a_body_is_bounded_with_its_framing(served: Served) -> None:
    chunked = ECHO + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert served.ask(chunked + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n").endswith(b"got 500, 3 fields")
    assert served.ask(chunked, b"1\r\nx\r\n" * 2000).startswith(b"HTTP/1.1 413 ")
    assert served.ask(chunked, b"1;" + b"x" * 6000).startswith(b"HTTP/1.1 413 ")
    assert "body_bytes" in served.kinds()


def test_trailers_are_dropped_and_bounded(served: Served) -> None:
    chunked = ECHO + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert served.ask(chunked, b"1\r\nx\r\n0\r\nA: b\r\n\r\n").endswith(b"got 1, 3 fields")
    assert served.ask(chunked, b"1\r\nx\r\n0\r\n" + b"A: b\r\n" * 1000).startswith(b"HTTP/1.1 413 ")
    assert served.ask(chunked, b"1\r\nx\r\n0\r\nA: " + b"b" * 6000).startswith(b"HTTP/1.1 413 ")


def test_an_endless_body_that_has_its_answer_gets_no_second_one(served: Served) -> None:
    answer = served.ask(b"POST /early HTTP/1.1\r\nContent-Length: 9000\r\n\r\n", b"x" * 8000, pause_s=0.05)

    assert answer.endswith(b"early")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("sent", [b"", b"GET /hello HTTP/1.1\r\nHost: x\r\n", b"\r\n", HELLO + b"GET"])
def test_a_head_must_come_in_time(sent: bytes) -> None:
    with serve(replace(LIMITS, head_s=SHORT_S)) as served:
        started = time.monotonic()
        answer = served.ask(sent)
        assert SHORT_S / 2 < time.monotonic() - started < TIMEOUT_S / 2
        assert served.kinds() == ["head_time"]
        if sent:
            assert b"HTTP/1.1 408 " in answer
        else:
            assert answer == b""
        assert served.ask(GET, b"\r\n", pause_s=SHORT_S / 4).startswith(b"HTTP/1.1 200 ")


def test_bytes_that_trickle_do_not_give_a_head_more_time() -> None:
    with serve(replace(LIMITS, head_s=SHORT_S)) as served, served.connect() as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\nX: ")
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            trickle(connection)
        assert served.kinds() == ["head_time"]


def test_the_time_of_the_next_head_starts_with_its_first_byte() -> None:
    with serve(replace(LIMITS, head_s=SHORT_S)) as served, served.connect() as connection:
        for _ in range(2):
            connection.sendall(HELLO)
            assert until(connection, b"hello").startswith(b"HTTP/1.1 200 ")
            time.sleep(2 * SHORT_S)
        connection.sendall(HELLO[:5])
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("body", [b"Content-Length: 5\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"])
def test_a_body_must_come_in_time(body: bytes) -> None:
    with serve(replace(LIMITS, body_s=SHORT_S)) as served:
        answer = served.ask(ECHO + body)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "invalid_request"
        assert served.kinds() == ["body_time"]
        whole = ECHO + b"Connection: close\r\nContent-Length: 4\r\n\r\nab"
        assert served.ask(whole, b"cd", pause_s=SHORT_S / 4).endswith(b"got 4, 3 fields")


def test_the_rest_of_a_body_behind_a_slow_request_is_not_the_clients_delay() -> None:
    with serve(replace(LIMITS, body_s=SHORT_S / 2)) as served, served.connect() as connection:
        connection.sendall(SLOW + ECHO + b"Connection: close\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(SHORT_S / 8)
        connection.sendall(b"cd")
        answers = rest(connection)
    assert b"slow" in answers
    assert answers.endswith(b"got 4, 3 fields")


def test_a_body_that_never_comes_behind_another_request_ends_the_connection() -> None:
    with serve(replace(LIMITS, body_s=SHORT_S)) as served:
        answers = served.ask(SLOW + ECHO + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 6000)
        assert b"HTTP/1.1 4" not in answers


def test_a_broken_request_behind_another_does_not_take_its_answer(served: Served) -> None:
    for broken in (b"GET /" + b"x" * 1000, b"GET /hello HTTP/1.1\r\n" + b"a: b\r\n" * 12, b"\0\0"):
        answers = served.ask(SLOW, broken, pause_s=0.02)
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert answers.endswith(b"slow")


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    answers = served.ask(SLOW + ECHO + b"Content-Length: 2\r\n\r\nab" + LAST_HELLO)

    assert answers.count(b"HTTP/1.1 200 ") == 3
    assert answers.index(b"slow") < answers.index(b"got 2") < answers.index(b"hello")


def test_beyond_the_bound_of_pipelining_the_last_answer_says_that_it_is_the_last(served: Served) -> None:
    answers = served.ask(SLOW + HELLO * 1000)

    assert answers.count(b"HTTP/1.1 200 ") == 4
    assert answers.count(b"connection: close") == 1
    assert answers.endswith(b"hello")


def test_http_1_0_and_expect_100_continue_work(served: Served) -> None:
    assert served.ask(b"GET /hello HTTP/1.0\r\n\r\n").endswith(b"hello")
    with served.connect() as connection:
        connection.sendall(ECHO + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ab")
        assert rest(connection).endswith(b"got 2, 4 fields")


@pytest.mark.parametrize("apart", [False, True])
def test_what_follows_an_upgrade_is_not_taken_for_a_request(served: Served, apart: bool) -> None:
    upgrade = ECHO + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(HELLO)

    answers = served.ask(upgrade, HELLO, pause_s=0.02) if apart else served.ask(upgrade + HELLO)

    assert answers.startswith(b"HTTP/1.1 200 ")
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("request_bytes", "status", "error"),
    [
        (b"not http\r\n\r\n", b"400", "invalid_request"),
        (b"GET /hello?" + b"x" * 1000 + b" HTTP/1.1\r\n\r\n", b"431", "invalid_request"),
        (ECHO + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 6000, b"413", "invalid_request"),
    ],
)
def test_what_ends_a_connection_is_said_in_json(
    served: Served, request_bytes: bytes, status: bytes, error: str
) -> None:
    head, _, body = served.ask(request_bytes).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"content-type: application/json" in head.lower()
    assert b"cache-control: no-store" in head.lower()
    said = json.loads(body)
    assert (said.keys(), said["error"]) == ({"error", "error_description"}, error)


def test_what_is_not_http_gets_400(served: Served) -> None:
    assert served.ask(b"not http\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert served.ask(ECHO + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("target", [b"/hello#x", b"/hello#", b"/hello?x#y", b"http://x/hello#x"])
def test_a_target_with_a_fragment_is_none(served: Served, target: bytes) -> None:
    """It would be a second spelling of a path, which the rules of a proxy in front do not know."""
    for request in (b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET %s HTTP/1.1\r\n\r\n" + LAST_HELLO):
        answers = served.ask(request % target)
        assert answers.startswith(b"HTTP/1.1 400 ")
        assert b"hello" not in answers
    assert served.ask(SLOW + b"GET %s HTTP/1.1\r\n\r\n" % target).endswith(b"slow")
    whole = target.partition(b"#")[0]
    assert served.ask(b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % whole).endswith(b"hello")


def test_a_client_that_does_not_read_is_cut_off() -> None:
    with serve(replace(LIMITS, answer_s=SHORT_S)) as served, served.connect() as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        eventually(lambda: served.kinds() == ["answer_time"])
        assert len(rest(connection)) < 20_000_000
        assert len(served.ask(b"GET /big HTTP/1.0\r\n\r\n")) > 20_000_000
        assert len(served.ask(b"GET /big HTTP/1.1\r\n\r\n" + LAST_HELLO)) > 20_000_000
        assert served.kinds() == ["answer_time"]


def test_an_idle_connection_ends_after_its_keep_alive() -> None:
    with serve(keep_alive_s=0) as served:
        assert served.ask(HELLO).endswith(b"hello")
    with serve(keep_alive_s=1) as served:
        # The answer comes before the body: uvicorn by itself would now wait forever.
        answer = served.ask(b"POST /early HTTP/1.1\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd", pause_s=0.05)
        assert answer.endswith(b"early")
        assert served.kinds() == []


def test_beyond_the_number_of_connections_503_says_when_to_come_again() -> None:
    with serve(replace(LIMITS, connections=2)) as served, served.connect() as first, served.connect():
        answers = [served.ask(HELLO) for _ in range(40)]
        assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
        assert all(b"retry-after: 5\r\n" in answer and b"connection: close\r\n" in answer for answer in answers)
        bodies = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers]
        assert {(body["error"], body["reason"]) for body in bodies} == {("temporarily_unavailable",) * 2}
        first.sendall(LAST_HELLO)
        assert rest(first).endswith(b"hello")
        # Its place is free again.
        eventually(lambda: served.ask(LAST_HELLO).endswith(b"hello"))
        assert served.kinds().count("connections") <= 3


def test_more_connections_at_once_than_may_linger_get_503_as_well() -> None:
    with serve(replace(LIMITS, connections=1, linger_s=TIMEOUT_S)) as served, served.connect():
        refused = [served.connect() for _ in range(50)]
        assert all(rest(connection).startswith(b"HTTP/1.1 503 ") for connection in refused)
        for connection in refused:
            connection.close()


@pytest.mark.parametrize("sent", [b"", HELLO[:20], ECHO + b"Content-Length: 5\r\n\r\nab"])
def test_an_honest_client_is_served_while_others_hold_all_connections(sent: bytes) -> None:
    with serve(replace(LIMITS, connections=20, give_way_s=SHORT_S)) as served:
        held = [served.connect() for _ in range(60)]
        for connection in held[:20]:
            connection.sendall(sent)
        time.sleep(2 * SHORT_S)

        assert all(served.ask(LAST_HELLO).endswith(b"hello") for _ in range(10))

        expected = b"HTTP/1.1 503 " if sent else b""
        assert rest(held[0]).startswith(expected)
        for connection in held:
            connection.close()


def test_an_idle_connection_gives_way_and_one_that_is_served_does_not() -> None:
    with serve(replace(LIMITS, connections=2, give_way_s=0)) as served, served.connect() as idle:
        idle.sendall(HELLO)
        assert until(idle, b"hello").startswith(b"HTTP/1.1 200 ")
        with served.connect() as busy:
            busy.sendall(SLOW)
            time.sleep(0.05)
            assert served.ask(LAST_HELLO).endswith(b"hello")
            assert rest(idle) == b""
            assert until(busy, b"slow").startswith(b"HTTP/1.1 200 ")


def test_clients_that_go_away_leave_nothing_behind(served: Served) -> None:
    for sent in (b"", SLOW, SLOW + HELLO, ECHO + b"Content-Length: 9\r\n\r\nab"):
        with served.connect() as connection:
            connection.sendall(sent)
    time.sleep(3 * SHORT_S)

    assert served.ask(LAST_HELLO).endswith(b"hello")


@pytest.mark.parametrize(("soft", "expected"), [(256, 192), (20, 16), (10_000, 1000), (resource.RLIM_INFINITY, 1000)])
def test_the_number_of_connections_stays_below_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, expected: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, soft))

    assert ConnectionLimits().connections == expected


def test_cuts_of_one_kind_are_one_line_a_second() -> None:
    log, now = io.StringIO(), [100.0]
    telemetry = Telemetry(log, monotonic=lambda: now[0])

    for _ in range(50):
        telemetry.connection_cut("head_time")
    telemetry.connection_cut("connections")
    now[0] += 1
    telemetry.connection_cut("head_time")
    telemetry.stopped()

    *lines, stopped = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["kind"], line["count"]) for line in lines] == [
        ("head_time", 1),
        ("connections", 1),
        ("head_time", 51),
    ]
    assert stopped["connections_cut"] == {"head_time": 51, "connections": 1}


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
