"""The demo's world: three servers, everybody who uses them, and `world.json`, by which any other client can.

    1 a folder, three sockets        4 the token service: settings and keys read from these files, SQLite beside them
    2 the cast with its secrets      5 the API, with the keys that the service publishes
    3 configuration, keys, key sets  6 alice's login; world.json

The sockets come first, as every address stands in the configuration.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, parse_jwks, render_jwks
from tokensvc.demo.api import CUSTOMERS, make_api
from tokensvc.demo.cast import (
    IDP_ALGORITHM,
    IDP_JWKS_FILE,
    SIGNING_ALGORITHM,
    SUBJECT_SCOPES,
    USER,
    Addresses,
    Cast,
    make_cast,
    render_config,
)
from tokensvc.demo.folder import (
    KEYS_FOLDER,
    LOG_FILE,
    WORLD_FILE,
    demo_folder,
    write_config,
    write_private,
)
from tokensvc.demo.idp import make_idp
from tokensvc.demo.servers import Servers
from tokensvc.demo.wire import ACCESS_TOKEN_TYPE, Wire
from tokensvc.errors import Unavailable
from tokensvc.settings import load_settings
from tokensvc.signing.keyfiles import generate_key, make_key
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import bind, build_app, system_clock

__all__ = ["DEFAULT_STORE", "World", "open_world"]

DEFAULT_STORE: Final = "sqlite:///tokensvc.db"

_HOST: Final = "127.0.0.1"
# An answer of the demo takes milliseconds; on a machine under load a second. Longer is a fault, and is to be said.
_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running demo. `keys` are what the token service publishes, `signing_key` is its private key."""

    folder: Path
    addresses: Addresses
    cast: Cast
    wire: Wire
    keys: KeySet
    signing_key: SigningKey
    subject_token: str = field(repr=False)

    @property
    def file(self) -> Path:
        """Where `world.json` is."""
        return self.folder / WORLD_FILE

    @property
    def api_url(self) -> str:
        """What answers GET for a token with the read scope."""
        return self.addresses.crm + CUSTOMERS


@contextmanager
def open_world(directory: Path | None, *, store: str = DEFAULT_STORE) -> Iterator[World]:
    """The world, until the block is left: in `directory`, or in a temporary folder that goes with it.

    `store` is where the token service keeps its state, as in `store.url`; a file counts from the folder.
    Raises: ConfigurationError for a folder that cannot be used, Unavailable when a server does not answer.
    """
    with ExitStack() as stack:
        try:
            world = _build(stack, directory, store)
        except OSError as exc:
            raise Unavailable(f"the demo cannot be set up here ({exc.strerror})") from exc
        yield world


def _build(stack: ExitStack, directory: Path | None, store: str) -> World:
    folder = stack.enter_context(demo_folder(directory))  # 1
    service, idp, crm = (stack.enter_context(closing(bind(_HOST, 0))) for _ in range(3))
    addresses = Addresses(issuer=_url(service), idp=_url(idp), crm=_url(crm))
    cast = make_cast(addresses)  # 2
    config = write_config(folder, render_config(cast, addresses, store=store))  # 3
    signing_key = generate_key(folder / KEYS_FOLDER, SIGNING_ALGORITHM, now=system_clock()).key
    idp_key = make_key(IDP_ALGORITHM)
    write_private(folder / IDP_JWKS_FILE, json.dumps(render_jwks(KeySet([idp_key.public]))))

    telemetry = Telemetry(stack.enter_context((folder / LOG_FILE).open("a", encoding="utf-8", buffering=1)))
    servers = stack.enter_context(Servers())
    idp_app = make_idp(iss=addresses.idp, audience=addresses.issuer, key=idp_key, clock=system_clock)
    servers.start(idp_app, idp, name="the identity provider", telemetry=telemetry)
    # No environment: TOKENSVC_ variables are for a service of your own.
    app = build_app(load_settings(config, {}), telemetry=telemetry)  # 4
    servers.start(app, service, name="the token service", telemetry=telemetry)
    # Nor a proxy that the environment names: everything here is on this machine.
    http = stack.enter_context(httpx2.Client(timeout=_TIMEOUT_S, trust_env=False))
    wire = Wire(http, addresses)
    keys = parse_jwks(wire.get(wire.discover().jwks_uri).body)
    api = make_api(resource=addresses.crm, issuer=addresses.issuer, keys=keys, clock=system_clock)  # 5
    servers.start(api, crm, name="the API", telemetry=telemetry)

    world = World(
        folder=folder,
        addresses=addresses,
        cast=cast,
        wire=wire,
        keys=keys,
        signing_key=signing_key,
        subject_token=wire.log_in(USER).token(),  # 6
    )
    # The others have answered by now. This one must too before anybody is told of it.
    wire.get(world.api_url)
    write_private(world.file, json.dumps(_describe(world), indent=2) + "\n")
    return world


def _url(listener: socket.socket) -> str:
    return f"http://{_HOST}:{listener.getsockname()[1]}"


def _describe(world: World) -> dict[str, object]:
    """The members of world.json. It holds every secret that a client needs, and the service's private key."""
    endpoints, cast = world.wire.discover(), world.cast
    return {
        "issuer": endpoints.issuer,
        "token_endpoint": endpoints.token_endpoint,
        "jwks_uri": endpoints.jwks_uri,
        "introspection_endpoint": endpoints.introspection_endpoint,
        "revocation_endpoint": endpoints.revocation_endpoint,
        "resources": [{"id": server.resource, "scopes": server.scopes} for server in (cast.crm, cast.mail)],
        "clients": [
            {
                "client_id": client.client_id,
                "auth_method": client.auth_method,
                "client_secret": client.client_secret,
                "scopes": client.scopes,
            }
            for client in cast.agents
        ],
        "resource_server": {
            "client_id": cast.crm.client_id,
            "client_secret": cast.crm.client_secret,
            "resource": cast.crm.resource,
            "auth_method": cast.crm.auth_method,
        },
        "user": USER,
        "subject_token": world.subject_token,
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "subject_scopes": SUBJECT_SCOPES,
        "api_url": world.api_url,
        "signing_key": world.signing_key.unsafe_private_jwk(),
    }
