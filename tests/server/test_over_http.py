"""The same over real HTTP: uvicorn as `serve` and the demo start it, on a free loopback port, and clients of others."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import jwt
import pytest
import requests
import uvicorn
from authlib.integrations.requests_client import OAuth2Session

from tests.server.world import API, USER, World, basic, exchange_form, make_world, secret_of, values
from tokensvc.server.listen import TAKEN_OVER
from tokensvc.verify.jwks_refresh import RefreshedKeys
from tokensvc.wiring import bind, uvicorn_config

TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A service on a real port."""

    world: World
    issuer: str
    port: int

    def raw(self, request: bytes) -> bytes:
        """The whole answer to these bytes, after which the client has nothing more to say."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module", autouse=True)
def _loggers_given_back() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in TAKEN_OVER]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    issuer = f"http://127.0.0.1:{port}"
    world = make_world(tmp_path_factory.mktemp("world"), values(issuer))
    server = uvicorn.Server(uvicorn_config(world.app, telemetry=world.telemetry, graceful_shutdown_s=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Served(world=world, issuer=issuer, port=port)
    server.should_exit = True
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()
    events = [event["event"] for event in world.events()]
    assert (events[0], events[-1]) == ("started", "stopped")
    assert "fault" not in events


def test_an_ordinary_oauth_client_starts_hands_on_and_picks_up(served: Served) -> None:
    def fetch(agent: str, method: str, form: dict[str, object]) -> dict[str, str]:
        with OAuth2Session(agent, secret_of(agent), token_endpoint_auth_method=method) as session:
            token: dict[str, str] = session.fetch_token(f"{served.issuer}/token", timeout=TIMEOUT_S, **form)
            return token

    started = fetch("planner", "client_secret_basic", served.world.start())
    form = exchange_form(started["access_token"], scope="crm.read crm.write", requested_actor="researcher")
    handed_on = fetch("planner", "client_secret_basic", form)
    form = exchange_form(
        handed_on["access_token"], scope="crm.read crm.write", requested_actor="researcher", resource=API
    )
    picked_up = fetch("researcher", "client_secret_post", form)

    assert (picked_up["token_type"], picked_up["scope"]) == ("Bearer", "crm.read crm.write")
    keys = jwt.PyJWKClient(f"{served.issuer}/.well-known/jwks.json", timeout=TIMEOUT_S)
    key = keys.get_signing_key_from_jwt(picked_up["access_token"])
    claims = jwt.decode(
        picked_up["access_token"],
        key,
        algorithms=["ES256"],
        audience=API,
        issuer=served.issuer,
        options={"verify_iat": False, "verify_nbf": False},
    )
    assert (claims["sub"], claims["act"]) == (USER, {"sub": "researcher", "act": {"sub": "planner"}})


def test_answers_do_not_name_the_server(served: Served) -> None:
    answer = requests.get(f"{served.issuer}/healthz", timeout=TIMEOUT_S)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "server" not in answer.headers


def test_a_body_in_chunks_is_read_and_counted(served: Served) -> None:
    def post(*chunks: bytes) -> requests.Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded", **basic("crm-api")}
        return requests.post(f"{served.issuer}/introspect", data=iter(chunks), headers=headers, timeout=TIMEOUT_S)

    assert post(b"tok", b"en=x").json() == {"active": False}
    assert post(*[b"x" * 1000] * 66).json()["reason"] == "too_large"


HOST = b"Host: 127.0.0.1\r\nConnection: close\r\n"
WEBSOCKET = (
    b"Host: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
FORM = HOST + b"Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        (b"POST /token HTTP/1.1\r\n" + FORM + b"Content-Length: 3\r\n\r\na=1", {401}),
        (b"POST /token HTTP/1.0\r\n" + FORM + b"Content-Length: 3\r\n\r\na=1", {401}),
        (b"POST /token HTTP/1.1\r\n" + FORM + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\na=1", {100, 401}),
        (b"POST /token HTTP/1.1\r\n" + FORM + b"X-Odd: \xff\xfe\xc3\xa9\r\nContent-Length: 3\r\n\r\na=1", {401}),
        (b"POST /token HTTP/1.1\r\n" + FORM + b"Authorization: Basic \xff\xff\r\nContent-Length: 3\r\n\r\na=1", {401}),
        (b"POST /token HTTP/1.1\r\n" + HOST + b"Content-Type: \xff\r\nContent-Length: 3\r\n\r\na=1", {400}),
        (b"GET /%zz%ff%00 HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
        (b"GET /token%0A HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
        (b"GET /healthz?" + b"x" * 50_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {431}),
        (b"GET /healthz?" + b"x" * 30_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {200}),
        (b"POST /token?" + b"x" * 30_000 + b" HTTP/1.1\r\n" + FORM + b"Content-Length: 3\r\n\r\na=1", {400}),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
        (b"CONNECT tokens.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
        (b"GET http://elsewhere.example/healthz HTTP/1.1\r\n" + HOST + b"\r\n", {200}),
        (b"GET //evil.example/token HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
        (b"BREW /token HTTP/1.1\r\n" + HOST + b"\r\n", {400, 405}),
        (b"not http at all\r\n\r\n", {400}),
        (b"GET /token HTTP/1.1\r\n" + WEBSOCKET + b"\r\n", {405}),
    ],
)
def test_odd_requests_get_an_answer_that_is_no_500(served: Served, request_bytes: bytes, statuses: set[int]) -> None:
    lines = served.raw(request_bytes).split(b"\r\n")

    seen = {int(line.split(b" ")[1]) for line in lines if line.startswith(b"HTTP/1.1 ")}
    assert seen
    assert seen <= statuses


def test_a_client_that_goes_away_in_the_middle_of_its_body_harms_nobody(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"POST /token HTTP/1.1\r\n" + FORM + b"Content-Length: 100\r\n\r\na=1")

    assert requests.get(f"{served.issuer}/readyz", timeout=TIMEOUT_S).status_code == 200


def test_the_access_log_is_off_so_that_no_query_is_written(served: Served) -> None:
    requests.get(f"{served.issuer}/nothing?token=eyJsecret", timeout=TIMEOUT_S)

    assert "eyJsecret" not in served.world.log.getvalue()


async def test_a_request_that_never_ends_is_cut_off_when_the_server_stops(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = make_world(tmp_path_factory.mktemp("world"))
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn_config(world.app, telemetry=world.telemetry, graceful_shutdown_s=1))
    running = asyncio.ensure_future(server._serve([listener]))  # noqa: SLF001 - without its signal handlers
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"POST /token HTTP/1.1\r\n" + FORM + b"Content-Length: 100\r\n\r\na=1")
    while not server.server_state.tasks:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)

    server.should_exit = True
    answer = await asyncio.wait_for(reader.read(), TIMEOUT_S)
    await running
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "temporarily_unavailable"
    assert world.events()[-1]["event"] == "stopped"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_can_be_bound_once(host: str) -> None:
    with bind(host, 0) as listener, pytest.raises(OSError, match="in use"):
        bind(host, listener.getsockname()[1])


def test_who_has_logging_of_their_own_keeps_it(world: World) -> None:
    logger = logging.getLogger("uvicorn")
    before = list(logger.handlers)

    config = uvicorn_config(world.app)

    assert logger.handlers == before
    assert (config.log_config, config.access_log, config.lifespan) == (None, False, "on")


def test_what_is_logged_of_keys_that_cannot_be_fetched_is_an_event(world: World) -> None:
    uvicorn_config(world.app, telemetry=world.telemetry)

    logging.getLogger(RefreshedKeys.__module__).warning("key set of %s not refreshed", "https://idp.example")

    (event,) = world.events()
    assert event["event"] == "key set of https://idp.example not refreshed"
    assert (event["level"], event["logger"]) == ("warning", "tokensvc.verify.jwks_refresh")
