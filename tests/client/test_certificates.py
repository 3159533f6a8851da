"""Agents that prove themselves by a certificate, at the real service over TLS of its own."""

from collections.abc import Iterator

import pytest

from tests.server.certified import PLANNER, RESEARCHER, TlsServed, serving_tls
from tests.server.world import API
from tokensvc.client import Agent, ClientAuthenticationFailed, ExchangeRefused, TlsClientAuth
from tokensvc.client.held import read_held_token


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServed]:
    with serving_tls(tmp_path_factory.mktemp("tls")) as served:
        yield served


def agent(served: TlsServed, client_id: str, certificate: str) -> Agent:
    return Agent(
        token_endpoint=f"https://127.0.0.1:{served.port}/token",
        client_id=client_id,
        auth=TlsClientAuth(served.folder / f"{certificate}.pem", served.folder / f"{certificate}.key"),
        clock=lambda: float(served.world.clock.now),
    )


def test_certificates_authenticate_and_bind(served: TlsServed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(served.folder / "servers.pem"))
    with agent(served, "planner", "planner") as planner, agent(served, "researcher", "researcher") as researcher:
        lease = planner.start(served.world.user_token(), scope="crm.export crm.read crm.write", resource=API)
        handed = lease.delegate(to="researcher", scope="crm.read")
        received = researcher.receive(handed)
        received.renew()
        for under, certificate in ((lease, PLANNER), (received, RESEARCHER)):
            assert under.issued().kind == "Bearer"
            assert read_held_token(under.token()).claims.cnf == ("x5t#S256", certificate.parsed.thumbprint)

        with pytest.raises(ExchangeRefused):
            planner.receive(handed)
    with agent(served, "researcher", "planner") as impostor, pytest.raises(ClientAuthenticationFailed):
        impostor.receive(handed)
