"""A token service that sees certificates: who is registered, and clients that connect with what they hold."""

import http.client
import json
import logging
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from tests.certificates import Authority, self_signed, server_certificate
from tests.server.world import FORM, World, make_world, secret_of, values
from tests.settings_file import sha256
from tokensvc.server.listen import TAKEN_OVER, Server
from tokensvc.server.protocol import ConnectionLimits
from tokensvc.wiring import Service, bind, uvicorn_config

__all__ = [
    "AUTHORITY",
    "PLANNER",
    "PROXY_HEADER",
    "RESEARCHER",
    "STRANGER",
    "Answered",
    "TlsServed",
    "ask",
    "certified_values",
    "certified_world",
    "client_context",
    "loggers_given_back",
    "serving_tls",
    "write_certificates",
]

TIMEOUT_S: Final = 10
PROXY_HEADER: Final = "X-Client-Cert"

AUTHORITY: Final = Authority("Agents")
SERVERS: Final = Authority("Servers")
PLANNER: Final = AUTHORITY.issue("planner", san_dns="planner.agents.example")
RESEARCHER: Final = self_signed("researcher")
STRANGER: Final = Authority("Agents", key=self_signed("stranger").key).issue(
    "planner", san_dns="planner.agents.example"
)


def certified_values(
    *, tls: bool = False, proxies: tuple[str, ...] = (), issuer: str = "https://tokens.example"
) -> dict[str, Any]:
    """`planner` has a certificate of the authority, `researcher` its own; tokens of both are bound, and of `keeper`."""
    configured = values(issuer)
    planner, researcher, _ = configured["agent"]
    keeper = {**planner, "id": "keeper", "secret_sha256": [sha256(secret_of("keeper"))], "may_delegate_to": []}
    bound = {"tls_client_certificate_bound_access_tokens": True}
    for agent, how in (
        (planner, {"auth": "tls_client_auth", "tls_client_auth_san_dns": "planner.agents.example", **bound}),
        (researcher, {"auth": "self_signed_tls_client_auth", "certificate_file": "researcher.pem", **bound}),
    ):
        del agent["secret_sha256"]
        agent.update(how)
    configured["agent"] = [planner, researcher, {**keeper, **bound}]
    own = {"tls_certificate_file": "server.pem", "tls_key_file": "server.key"} if tls else {}
    proxy = {"trusted_proxies": [*proxies], "client_certificate_header": PROXY_HEADER} if proxies else {}
    source = {"client_ca_file": "clients.pem"} if tls or proxies else {}
    return {**configured, "server": {**own, **proxy, **source}}


def write_certificates(folder: Path) -> None:
    """Every file that the configuration names, and those of the clients."""
    (folder / "clients.pem").write_bytes(AUTHORITY.issued.pem)
    (folder / "servers.pem").write_bytes(SERVERS.issued.pem)
    server_certificate(SERVERS).write(folder, "server")
    for name, issued in (("planner", PLANNER), ("researcher", RESEARCHER), ("stranger", STRANGER)):
        issued.write(folder, name)


def certified_world(folder: Path, **how: Any) -> World:  # noqa: ANN401 - as certified_values
    write_certificates(folder)
    return make_world(folder, certified_values(**how))


def client_context(folder: Path, certificate: str | None = None) -> ssl.SSLContext:
    """How a client connects: it knows the servers' authority, and shows the certificate of that name."""
    context = ssl.create_default_context(cafile=str(folder / "servers.pem"))
    if certificate is not None:
        context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer."""

    status: int
    body: Any


def ask(
    port: int,
    path: str,
    form: Mapping[str, object],
    context: ssl.SSLContext | None,
    headers: Mapping[str, str] | None = None,
    *,
    source: str = "127.0.0.1",
) -> Answered:
    """What is answered to that form; over plain HTTP without a `context`. `source` is the client's address."""
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S, source_address=(source, 0))
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)
    )
    with closing(connection):
        connection.request("POST", path, urlencode(form), {**FORM, **(headers or {})})
        answer = connection.getresponse()
        return Answered(status=answer.status, body=json.loads(answer.read()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsServed:
    """A running service that speaks TLS, its files in `folder`."""

    world: World
    service: Service
    folder: Path
    port: int

    def ask(
        self, path: str, form: Mapping[str, object], certificate: str | None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        return ask(self.port, path, form, client_context(self.folder, certificate), headers)

    def ask_with(self, context: ssl.SSLContext, path: str, form: Mapping[str, object]) -> Answered:
        return ask(self.port, path, form, context)

    def cuts(self) -> list[str]:
        return [event["kind"] for event in self.world.events() if event["event"] == "connection_cut"]


@contextmanager
def serving_tls(folder: Path, *, loop: str = "auto", limits: ConnectionLimits | None = None) -> Iterator[TlsServed]:
    """The service of `certified_values` in a thread of this process."""
    world = certified_world(folder, tls=True)
    service = Service(
        world.settings, clock=world.clock, store=world.store, signer=world.signer, telemetry=world.telemetry
    )
    assert service.tls is not None
    listener = bind("127.0.0.1", 0)
    with loggers_given_back():
        config = uvicorn_config(service.app, graceful_shutdown_s=1, telemetry=world.telemetry, limits=limits)
        config.loop = loop
        server = Server(config, tls=service.tls.context)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        port = listener.getsockname()[1]
        thread.start()
        try:
            yield TlsServed(world=world, service=service, folder=folder, port=port)
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


@contextmanager
def loggers_given_back() -> Iterator[None]:
    """What a server takes over is as it was at the end."""
    loggers = [logging.getLogger(name) for name in TAKEN_OVER]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
