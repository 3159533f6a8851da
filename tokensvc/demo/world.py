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

from tokensvc.client import Agent, ClientSecret
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
    Client,
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
from tokensvc.settings import AuthMethod, load_settings
from tokensvc.signing.keyfiles import generate_key, make_key
from tokensvc.telemetry import Telemetry
from tokensvc.verify import Evidence, Expectation
from tokensvc.wiring import bind, build_app, system_clock

__all__ = ["DEFAULT_STORE", "World", "open_world"]

DEFAULT_STORE: Final = "sqlite:///tokensvc.db"

_HOST: Final = "127.0.0.1"
# An answer of the demo takes milliseconds; on a machine under load a second. Longer is a fault, and is to be said.
_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running demo. `keys` are what the token service publishes, `signing_key` is its private key.

    `expect` are the terms on which the API takes tokens.
    """

    folder: Path
    addresses: Addresses
    cast: Cast
    wire: Wire
    http: httpx2.Client = field(repr=False)
    expect: Expectation
    keys: KeySet
    signing_key: SigningKey
    subject_token: str = field(repr=False)

    @property
    def file(self) -> Path:
        """Where `world.json` is."""
        return self.folder / WORLD_FILE

    def agent(self, client: Client) -> Agent:
        """`client` as its own code has it: the client library, with the key that it holds, if it does."""
        in_body = client.auth_method is AuthMethod.CLIENT_SECRET_POST
        return Agent(
            issuer=self.addresses.issuer,
            client_id=client.client_id,
            auth=ClientSecret(client.client_secret, in_body=in_body),
            holder_key=client.holder_key,
            sign_grants=client.holder_key is not None,
            http=self.http,
        )

    @property
    def api_url(self) -> str:
        """What answers GET for a token with the read scope."""
        return self.addresses.crm + CUSTOMERS


@contextmanager
def open_world(
    directory: Path | None, *, store: str = DEFAULT_STORE, evidence: Evidence = Evidence.ISSUER
) -> Iterator[World]:
    """The world, until the block is left: in `directory`, or in a temporary folder that goes with it.

    With `Evidence.DELEGATOR` the agents hold keys and sign what they delegate, and the API demands it.

    `store` is where the token service keeps its state, as in `store.url`; a file counts from the folder.
    Raises: ConfigurationError for a folder that cannot be used, Unavailable when a server does not answer.
    """
    with ExitStack() as stack:
        try:
            world = _build(stack, directory, store, evidence)
        except OSError as exc:
            raise Unavailable(f"the demo cannot be set up here ({exc.strerror})") from exc
        yield world


def _build(stack: ExitStack, directory: Path | None, store: str, evidence: Evidence) -> World:
    folder = stack.enter_context(demo_folder(directory))  # 1
    service, idp, crm = (stack.enter_context(closing(bind(_HOST, 0))) for _ in range(3))
    addresses = Addresses(issuer=_url(service), idp=_url(idp), crm=_url(crm))
    cast = make_cast(addresses, evidence)  # 2
    config = write_config(folder, render_config(cast, addresses, store=store))  # 3
    signing_key = generate_key(folder / KEYS_FOLDER, SIGNING_ALGORITHM, now=system_clock()).key
    idp_key = make_key(IDP_ALGORITHM)
    write_private(folder / IDP_JWKS_FILE, json.dumps(render_jwks(KeySet([idp_key.public]))))
    for client in cast.agents:
        if client.holder_key is not None:
            write_private(folder / client.holder_jwks_file, json.dumps(render_jwks(KeySet([client.holder_key.public]))))

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
    expect = terms_of_api(cast, addresses)
    api = make_api(  # 5
        expect=expect, resource=addresses.crm, issuer=addresses.issuer, keys=keys, clock=system_clock
    )
    servers.start(api, crm, name="the API", telemetry=telemetry)

    world = World(
        folder=folder,
        addresses=addresses,
        cast=cast,
        wire=wire,
        http=http,
        expect=expect,
        keys=keys,
        signing_key=signing_key,
        subject_token=wire.log_in(USER).token(),  # 6
    )
    # The others have answered by now. This one must too before anybody is told of it.
    wire.get(world.api_url)
    write_private(world.file, json.dumps(_describe(world), indent=2) + "\n")
    return world


def terms_of_api(cast: Cast, addresses: Addresses) -> Expectation:
    """Bearer tokens; or proofs and signed hops, below the one key that the API was told: planner's."""
    if cast.planner.holder_key is None:
        return Expectation.bearer(issuers=[addresses.issuer], audiences=[addresses.crm])
    pins = {(addresses.issuer, cast.planner.client_id): [cast.planner.holder_key.public.thumbprint]}
    return Expectation.delegator_signed(issuers=[addresses.issuer], audiences=[addresses.crm], agent_keys=pins)


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
                **({} if client.holder_key is None else {"holder_private_jwk": client.holder_key.unsafe_private_jwk()}),
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
