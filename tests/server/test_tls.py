"""The service's own TLS over real sockets: who passes a handshake, whose certificate it was, and bounds before it."""

import json
import socket
import ssl
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.certificates import self_signed, server_certificate
from tests.cli.running import until
from tests.server.certified import (
    PLANNER,
    PROXY_HEADER,
    RESEARCHER,
    SERVERS,
    TIMEOUT_S,
    TlsServed,
    client_context,
    serving_tls,
)
from tests.server.world import API, basic, exchange_form
from tokensvc.errors import ConfigurationError
from tokensvc.server.protocol import ConnectionLimits
from tokensvc.server.tls import ServerTls

PLANNER_ID = {"client_id": "planner"}
RESEARCHER_ID = {"client_id": "researcher"}
INACTIVE = {"active": False}
HELLO = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServed]:
    with serving_tls(tmp_path_factory.mktemp("tls"), loop=request.param) as served:
        yield served
        assert not [event for event in served.world.events() if event["event"] in {"fault", "log"}]


def claims_of(token: str) -> Any:  # noqa: ANN401 - JSON
    payload = token.split(".")[1]
    return json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_certificate_of_the_handshake_authenticates(served: TlsServed, version: ssl.TLSVersion) -> None:
    for certificate, client_id, status in (
        ("planner", "planner", 200),
        ("researcher", "researcher", 200),
        ("planner", "researcher", 401),
        ("researcher", "planner", 401),
        (None, "planner", 401),
        (None, "researcher", 401),
    ):
        context = client_context(served.folder, certificate)
        context.minimum_version = context.maximum_version = version
        answer = served.ask_with(context, "/introspect", {"token": "x", "client_id": client_id})

        assert (certificate, client_id, answer.status) == (certificate, client_id, status)


def test_tokens_are_bound_to_the_certificate_and_need_it_again(served: TlsServed) -> None:
    started = served.ask("/token", served.world.start(**PLANNER_ID), "planner")
    token = started.body["access_token"]
    assert (started.status, started.body["token_type"]) == (200, "Bearer")
    assert claims_of(token)["cnf"] == {"x5t#S256": PLANNER.parsed.thumbprint}

    handed_on = exchange_form(token, scope="crm.read", requested_actor="researcher", **PLANNER_ID)
    delegated = served.ask("/token", handed_on, "planner")
    assert delegated.status == 200
    picked_up = exchange_form(delegated.body["access_token"], scope="crm.read", resource=API, **RESEARCHER_ID)
    picked_up["requested_actor"] = "researcher"
    held = served.ask("/token", picked_up, "researcher")
    assert claims_of(held.body["access_token"])["cnf"] == {"x5t#S256": RESEARCHER.parsed.thumbprint}
    seen = served.ask("/introspect", {"token": token, **PLANNER_ID}, "planner")
    assert seen.body["cnf"] == {"x5t#S256": PLANNER.parsed.thumbprint}


def test_beside_a_secret_a_certificate_binds_and_does_not_authenticate(served: TlsServed) -> None:
    user = served.world.user_token(client_id="keeper")
    start = exchange_form(user, scope="crm.read")

    bound = served.ask("/token", start, "planner", basic("keeper"))
    without = served.ask("/token", exchange_form(user, scope="crm.read"), None, basic("keeper"))

    assert claims_of(bound.body["access_token"])["cnf"] == {"x5t#S256": PLANNER.parsed.thumbprint}
    assert (without.status, without.body["reason"]) == (400, "holder_unproven")


def test_a_certificate_of_nobody_known_passes_no_handshake(served: TlsServed) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        served.ask("/introspect", {"token": "x", **PLANNER_ID}, "stranger")
    assert served.ask("/introspect", {"token": "x", **PLANNER_ID}, "planner").body == INACTIVE


def test_a_header_is_no_certificate_where_the_service_speaks_tls(served: TlsServed) -> None:
    form = {"token": "x", **PLANNER_ID}
    for header in (PROXY_HEADER, "Client-Cert", "X-SSL-Cert"):
        assert served.ask("/introspect", form, None, {header: PLANNER.escaped.decode()}).status == 401
    assert served.ask("/introspect", form, "planner").status == 200


def test_a_request_right_behind_the_handshake_is_answered(served: TlsServed) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = client_context(served.folder)
    client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) as connection:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        # The end of the handshake and the request in one piece.
        client.write(HELLO)
        connection.sendall(outgoing.read())
        answer = b""
        while chunk := connection.recv(65536):
            incoming.write(chunk)
            try:
                answer += client.read(65536)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLZeroReturnError:
                break

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_whoever_speaks_no_tls_or_goes_away_is_cut_off(served: TlsServed) -> None:
    before = len(served.cuts())
    with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(HELLO)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"\x16\x03\x01")

    assert b"HTTP" not in answer
    assert served.cuts()[before:] in ([], ["handshake"])
    assert served.ask("/introspect", {"token": "x", **PLANNER_ID}, "planner").status == 200


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_handshake_takes_no_longer_than_a_head(tmp_path: Path, loop: str) -> None:
    with serving_tls(tmp_path, loop=loop, limits=ConnectionLimits(head_s=0.2)) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) as connection:
            # Sends nothing at all, and is cut off.
            assert connection.recv(1) == b""

        assert served.ask("/introspect", {"token": "x", **PLANNER_ID}, "planner").status == 200
        assert served.cuts() == ["handshake"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_handshakes_count_as_connections_and_give_way(tmp_path: Path, loop: str) -> None:
    limits = ConnectionLimits(connections=2, give_way_s=0)
    with serving_tls(tmp_path, loop=loop, limits=limits) as served:
        silent = [socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) for _ in range(2)]

        assert served.ask("/introspect", {"token": "x", **PLANNER_ID}, "planner").status == 200
        assert "connections" in served.cuts()
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_where_nobody_waited_long_enough_the_new_connection_is_refused(tmp_path: Path, loop: str) -> None:
    limits = ConnectionLimits(connections=1, give_way_s=1000)
    with serving_tls(tmp_path, loop=loop, limits=limits) as served:
        form = {"token": "x", **PLANNER_ID}
        with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                served.ask("/introspect", form, "planner")
            assert served.cuts() == ["connections"]
        until(lambda: "handshake" in served.cuts())

        assert served.ask("/introspect", form, "planner").status == 200


def test_a_key_that_cannot_be_used_is_refused_and_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    certificate, key = (Path(path) for path in server_certificate(SERVERS).write(tmp_path, "server"))
    tls = ServerTls(certificate=certificate, key=key, clients=())
    assert tls.context.verify_mode.name == "CERT_NONE"
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2

    encrypted = server_certificate(SERVERS).key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    for content in (encrypted, self_signed("another").key_pem, b""):
        key.write_bytes(content)
        with pytest.raises(ConfigurationError):
            tls.renew(())
    server_certificate(SERVERS).write(tmp_path, "server")
    tls.renew([PLANNER.parsed])
    assert tls.context.verify_mode.name == "CERT_OPTIONAL"


def test_a_server_that_stops_waits_for_no_handshake(tmp_path: Path) -> None:
    with serving_tls(tmp_path) as served:
        silent = socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S)
        assert served.ask("/introspect", {"token": "x", **PLANNER_ID}, "planner").status == 200
    with silent:
        assert silent.recv(1) == b""


async def test_a_reload_renews_the_certificate_and_lets_new_clients_pass(tmp_path: Path) -> None:
    with serving_tls(tmp_path) as served:
        form = {"token": "x", **RESEARCHER_ID}
        follower = self_signed("researcher", key=self_signed("researcher follows").key)
        follower.write(tmp_path, "follower")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            served.ask("/introspect", form, "follower")

        (tmp_path / "researcher.pem").write_bytes(follower.pem)
        renewed = server_certificate(SERVERS, end=2041)
        renewed.write(tmp_path, "server")
        assert await served.service.reload(tmp_path / "tokensvc.toml", {}) is True

        assert served.ask("/introspect", form, "follower").status == 200
        shown = ssl.get_server_certificate(("127.0.0.1", served.port), timeout=TIMEOUT_S)
        assert ssl.PEM_cert_to_DER_cert(shown) == renewed.der
        # It passes the handshake still, and is nobody's any more.
        RESEARCHER.write(tmp_path, "former")
        assert served.ask("/introspect", form, "former").status == 401
