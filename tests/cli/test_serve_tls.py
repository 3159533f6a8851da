"""`tokensvc serve` that speaks TLS itself: the command as users run it, with clients that show certificates."""

import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import server_certificate
from tests.cli.running import Running, configured, serving
from tests.server.certified import (
    SERVERS,
    Answered,
    ask,
    certified_values,
    client_context,
    write_certificates,
)

FORM = {"token": "x", "client_id": "planner"}


def tls_configured(folder: Path, **changes: Any) -> Path:  # noqa: ANN401 - any table
    write_certificates(folder)
    values = certified_values(tls=True)
    return configured(folder, **{name: values[name] for name in ("issuer", "server", "agent")}, **changes)


def introspect(running: Running, certificate: str | None) -> Answered:
    port = int(running.address.rpartition(":")[2])
    return ask(port, "/introspect", FORM, client_context(running.folder, certificate))


@pytest.mark.parametrize("words", [(), ("--workers", "2")])
def test_it_says_https_and_knows_clients_by_their_certificates(tmp_path: Path, words: tuple[str, ...]) -> None:
    with serving(tls_configured(tmp_path), *words) as running:
        running.announced()
        statuses = [introspect(running, certificate).status for certificate in ("planner", "researcher", None) * 3]
        running.process.send_signal(signal.SIGTERM)
        code = running.ends()

    assert running.address.startswith("https://127.0.0.1:")
    assert running.said["Next"] == "curl -s https://tokens.example/.well-known/oauth-authorization-server"
    assert statuses == [200, 401, 401] * 3
    assert code == 0


def test_sighup_takes_up_a_renewed_certificate(tmp_path: Path) -> None:
    with serving(tls_configured(tmp_path)) as running:
        running.announced()
        address = ("127.0.0.1", int(running.address.rpartition(":")[2]))
        before = ssl.get_server_certificate(address)
        renewed = server_certificate(SERVERS, end=2039)
        renewed.write(tmp_path, "server")
        os.kill(running.process.pid, signal.SIGHUP)
        running.wait_for("configuration_reloaded")
        after = ssl.get_server_certificate(address)

    assert ssl.PEM_cert_to_DER_cert(before) != ssl.PEM_cert_to_DER_cert(after) == renewed.der


def test_with_an_expired_certificate_it_does_not_start(tmp_path: Path) -> None:
    path = tls_configured(tmp_path)
    server_certificate(SERVERS, end=2021).write(tmp_path, "server")

    with serving(path) as running:
        assert running.ends() == 3
        assert "the server certificate has expired" in "".join(running.rest())
