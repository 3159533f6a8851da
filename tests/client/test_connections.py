"""Connections: the certificate that an agent presents, the one that it checks, and answers that do not come in time."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import anyio.lowlevel
import httpx2
import pytest
from cryptography import x509

from tests.client.standin import ISSUER, StandIn
from tests.jwks_server import Behaviour, JwksServer, answers, serving
from tests.verify.test_jwks_http_tls import Authority
from tokensvc.client import (
    Agent,
    AsyncAgent,
    ClientAuthenticationFailed,
    ClientSecret,
    ServiceUnavailable,
    TlsClientAuth,
)
from tokensvc.client import transport as driving


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[JwksServer]:
    """Wants a certificate, and answers who has one that it is not the right client."""
    context = authority.server(x509.IPAddress(ip_address("127.0.0.1")))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    refusal = json.dumps({"error": "invalid_client"}).encode()
    async with JwksServer(answers(refusal, status="401 No"), tls=context) as listening:
        yield listening


async def test_an_agent_presents_its_certificate(
    server: JwksServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    certificate = authority.file.with_name("server.pem")
    # What was read of the request is enough to know that the certificate was taken.
    with pytest.raises(ClientAuthenticationFailed):
        await _start(server, TlsClientAuth(certificate))
    with pytest.raises(ServiceUnavailable):
        await _start(server, TlsClientAuth())
    assert len(server.requests) == 1

    def in_a_thread() -> None:
        with Agent(token_endpoint=server.url, client_id="planner", auth=TlsClientAuth(certificate)) as agent:
            agent.start("user-token", scope="crm.read")

    with pytest.raises(ClientAuthenticationFailed):
        await asyncio.to_thread(in_a_thread)


async def test_a_service_whose_certificate_is_nobodys_gets_no_secret(server: JwksServer) -> None:
    with pytest.raises(ServiceUnavailable):
        await _start(server, ClientSecret("s"))
    assert server.requests == []


async def _start(server: JwksServer, auth: TlsClientAuth | ClientSecret) -> None:
    async with AsyncAgent(token_endpoint=server.url, client_id="planner", auth=auth) as agent:
        await agent.start("user-token", scope="crm.read")


async def test_an_answer_that_takes_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    standin = StandIn()

    async def handle(request: httpx2.Request) -> httpx2.Response:
        await anyio.lowlevel.checkpoint()
        return standin.handle(request)

    agent = standin.async_agent(http=httpx2.AsyncClient(transport=httpx2.MockTransport(handle)))
    standin.agent().receive(standin.token(aud=ISSUER))
    await agent.receive(standin.token(aud=ISSUER))
    monkeypatch.setattr(driving, "_CALL_S", -1.0)
    with pytest.raises(ServiceUnavailable, match="in time"):
        standin.agent().receive(standin.token(aud=ISSUER))
    with pytest.raises(ServiceUnavailable, match="in time"):
        await agent.receive(standin.token(aud=ISSUER))


async def _drip(writer: asyncio.StreamWriter) -> None:
    """A head without an end, a byte now and then: no wait for the next bytes is long."""
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _interim(writer: asyncio.StreamWriter) -> None:
    """Answers that announce another one, without an end."""
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("behave", [_drip, _interim])
@pytest.mark.parametrize("encrypted", [False, True])
def test_an_answer_that_never_comes_keeps_no_thread(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, behave: Behaviour, encrypted: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = authority.server(x509.IPAddress(ip_address("127.0.0.1"))) if encrypted else None
    refusal = answers(json.dumps({"error": "invalid_client"}).encode(), status="401 No")
    with serving(behave, tls=tls) as server:
        with Agent(token_endpoint=server.url, client_id="planner", auth=ClientSecret("s")) as agent:
            monkeypatch.setattr(driving, "_CALL_S", 0.2)
            for _ in range(2):
                with pytest.raises(ServiceUnavailable, match="in time"):
                    agent.start("user-token", scope="crm.read")
            monkeypatch.undo()
            server.behave = refusal
            with pytest.raises(ClientAuthenticationFailed):
                agent.start("user-token", scope="crm.read")
        assert len(server.requests) == 3
