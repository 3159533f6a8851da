"""A real nginx in front that ends TLS and hands certificates over, as docs/operations.md has it written."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.programs import require_programs
from tests.server.certified import (
    PLANNER,
    PROXY_HEADER,
    RESEARCHER,
    STRANGER,
    TIMEOUT_S,
    Answered,
    ask,
    certified_world,
    client_context,
    loggers_given_back,
)
from tests.server.world import World
from tokensvc.server.listen import Server
from tokensvc.wiring import bind, uvicorn_config

OPERATIONS: Final = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
# Two loopback addresses: nginx connects from the one that is trusted, the test itself from the other.
PROXY: Final = "127.0.0.2"
FORM: Final = {"token": "x", "client_id": "planner"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied:
    """The service on `port`, and nginx in front of it on `tls_port`."""

    world: World
    folder: Path
    port: int
    tls_port: int

    def ask(self, client_id: str, certificate: str | None, header: bytes | None = None) -> Answered:
        """Through nginx, with that certificate, and with that header."""
        return ask(
            self.tls_port,
            "/introspect",
            {"token": "x", "client_id": client_id},
            client_context(self.folder, certificate),
            {} if header is None else {PROXY_HEADER: header.decode()},
        )


def recipe() -> str:
    """The server block of the page."""
    found = re.search(r"```nginx\n(server \{.+?\n\})\n```", OPERATIONS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def nginx_configuration(folder: Path, *, port: int, tls_port: int) -> str:
    server = recipe()
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{tls_port} ssl",
        "/etc/nginx/tls/tokens.pem": f"{folder}/server.pem",
        "/etc/nginx/tls/tokens.key": f"{folder}/server.key",
        "http://127.0.0.1:8700": f"http://127.0.0.1:{port}",
        "proxy_set_header Host": f"proxy_bind {PROXY};\n        proxy_set_header Host",
    }.items():
        assert server.count(old) == 1, old
        server = server.replace(old, new)
    places = "".join(
        f"{kind}_temp_path {folder}/nginx-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"pid {folder}/nginx.pid; daemon off; worker_processes 1; error_log stderr crit;"
        f"events {{}} http {{ access_log off; {places} {server} }}"
    )


@contextmanager
def nginx(folder: Path, *, port: int) -> Iterator[int]:
    require_programs("nginx")
    with closing(bind("127.0.0.1", 0)) as listener:
        tls_port: int = listener.getsockname()[1]
        (folder / "nginx.conf").write_text(nginx_configuration(folder, port=port, tls_port=tls_port))
        # The socket is handed over as it is: nobody can take the port in between.
        listener.set_inheritable(True)
        with subprocess.Popen(
            ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")],
            pass_fds=[listener.fileno()],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
        ) as process:
            try:
                yield tls_port
            finally:
                process.terminate()
                process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxied")
    world = certified_world(folder, proxies=(f"{PROXY}/32",))
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with loggers_given_back():
        server = Server(uvicorn_config(world.app, telemetry=world.telemetry, graceful_shutdown_s=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with nginx(folder, port=port) as tls_port:
                yield Proxied(world=world, folder=folder, port=port, tls_port=tls_port)
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


def test_what_nginx_saw_authenticates(proxied: Proxied) -> None:
    assert proxied.ask("planner", "planner").status == 200
    assert proxied.ask("researcher", "researcher").status == 200
    assert proxied.ask("researcher", "planner").status == 401
    assert proxied.ask("planner", None).status == 401


def test_nginx_lets_every_certificate_pass_and_the_service_judges_it(proxied: Proxied) -> None:
    assert STRANGER.content.subject == PLANNER.content.subject
    assert proxied.ask("planner", "stranger").status == 401
    assert proxied.ask("planner", "planner").status == 200


@pytest.mark.parametrize("certificate", [None, "researcher"])
def test_a_header_sent_through_nginx_is_overwritten(proxied: Proxied, certificate: str | None) -> None:
    assert proxied.ask("planner", certificate, PLANNER.escaped).status == 401
    assert proxied.ask("planner", "planner", RESEARCHER.escaped).status == 200


def test_a_header_that_does_not_come_from_nginx_is_nobodys(proxied: Proxied) -> None:
    headers = {PROXY_HEADER: PLANNER.escaped.decode()}

    assert ask(proxied.port, "/introspect", FORM, None, headers).status == 401
    assert ask(proxied.port, "/introspect", FORM, None, headers, source=PROXY).status == 200


def test_a_token_is_bound_to_the_certificate_that_nginx_saw(proxied: Proxied) -> None:
    form = proxied.world.start(client_id="planner")
    answer = ask(proxied.tls_port, "/token", form, client_context(proxied.folder, "planner"))
    shown = {"token": answer.body["access_token"], "client_id": "planner"}
    seen = ask(proxied.tls_port, "/introspect", shown, client_context(proxied.folder, "planner"))

    assert (answer.status, seen.body["cnf"]) == (200, {"x5t#S256": PLANNER.parsed.thumbprint})
