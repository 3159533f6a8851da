"""A token service with everything around it held still: identity provider, agents, clock, signer, store.

Over `https://tokens.example` in memory by `World.client()`, or as raw ASGI by `call`, where a test needs bytes that no
HTTP client would send.
"""

import asyncio
import io
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message

from tests.settings_file import sha256, write_settings
from tests.simulator import NOW, Simulator, ec_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE
from tokensvc.ports import Store
from tokensvc.settings import Settings, load_settings
from tokensvc.storage.memory import MemoryStore
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import build_app, fetched_keys_of

__all__ = [
    "API",
    "FORM",
    "IDP",
    "Answer",
    "FixedClock",
    "FixedSigner",
    "World",
    "basic",
    "call",
    "make_world",
    "values",
]

ISSUER: Final = "https://tokens.example"
IDP: Final = "https://idp.example"
API: Final = "https://api.example"
USER: Final = "user-1"
USER_SCOPE: Final = "crm.delete crm.export crm.read crm.write openid"
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


class FixedClock:
    """A clock that a test sets."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class FixedSigner:
    """Implements `ports.Signer`: signs with the last of its keys and publishes them all."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)

    def signing_key(self) -> SigningKey:
        return self.keys[-1]

    def public_keys(self) -> KeySet:
        return KeySet(key.public for key in self.keys)


def values(issuer: str = ISSUER) -> dict[str, Any]:
    """A configuration: `planner` (Basic) may delegate to `researcher` (post); `crm-api` asks about tokens."""

    def agent(name: str, auth: str, scopes: str, **members: object) -> dict[str, object]:
        bare = {"id": name, "auth": auth, "secret_sha256": [sha256(secret_of(name))], "scopes": scopes.split()}
        return {**bare, "resources": [API], "default_resource": API, **members}

    provider = {"iss": IDP, "jwks_file": "idp.jwks.json", "audience": ["tokensvc"], "algorithms": ["ES256"]}
    resource = {"id": API, "client_id": "crm-api", "names": ["crm"], "secret_sha256": [sha256(secret_of("crm-api"))]}
    return {
        "issuer": issuer,
        "store": {"url": "memory:"},
        "identity_provider": [{**provider, "ceiling": {"resources": [API]}}],
        "agent": [
            agent("planner", "client_secret_basic", "crm.export crm.read crm.write", may_delegate_to=["researcher"]),
            agent("researcher", "client_secret_post", "crm.read crm.write"),
            agent("retired", "client_secret_basic", "crm.read", enabled=False),
        ],
        "resource": [{**resource, "scopes": ["crm.delete", "crm.export", "crm.read", "crm.write"]}],
    }


def secret_of(client_id: str) -> str:
    """The secret of a client of this world."""
    return f"{client_id}-secret-" + "x" * 32


def basic(client_id: str, secret: str | None = None) -> dict[str, str]:
    """The header of HTTP Basic, not form-encoded."""
    secret = secret_of(client_id) if secret is None else secret
    return {"Authorization": "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()}


def post_credentials(client_id: str) -> dict[str, str]:
    """The same in the body."""
    return {"client_id": client_id, "client_secret": secret_of(client_id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One token service and its surroundings."""

    settings: Settings
    app: Starlette
    clock: FixedClock
    signer: FixedSigner
    store: Store
    log: io.StringIO
    telemetry: Telemetry

    @asynccontextmanager
    async def running(self) -> AsyncIterator[httpx2.AsyncClient]:
        """The application within its lifespan, and a client whose requests start at the issuer's host."""
        async with self.app.router.lifespan_context(self.app), self.client() as client:
            yield client

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url=ISSUER)

    def user_token(self, **members: object) -> str:
        """An access token of the identity provider, obtained by planner."""
        claims = {"iss": IDP, "sub": USER, "aud": "tokensvc", "client_id": "planner", "scope": USER_SCOPE}
        times = {"iat": self.clock.now - 10, "exp": self.clock.now + 3600}
        return Simulator(iss=IDP, key=ec_key("idp")).token({**claims, **times, **members})

    def events(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def start(self, **parameters: object) -> dict[str, object]:
        """The form of a start by planner."""
        return exchange_form(self.user_token(), scope="crm.export crm.read crm.write", **parameters)


def exchange_form(subject_token: str, **parameters: object) -> dict[str, object]:
    """The form of an exchange; None leaves a parameter out."""
    form = {"grant_type": GRANT_TYPE, "subject_token": subject_token, "subject_token_type": ACCESS_TOKEN_TYPE}
    return {name: value for name, value in {**form, **parameters}.items() if value is not None}


def make_world(
    folder: Path,
    configured: Mapping[str, Any] | None = None,
    *,
    store: Store | None = None,
    signer: FixedSigner | None = None,
    clock: FixedClock | None = None,
    key_clock: Callable[[], float] | None = None,
) -> World:
    """The service of `configured` (else `values()`), its files in `folder`.

    With `key_clock`, keys are fetched by that clock, and only when somebody asks for them after the start.
    """
    path = write_settings(folder, values() if configured is None else configured)
    (folder / "idp.jwks.json").write_text(json.dumps(render_jwks(KeySet([ec_key("idp").public]))))
    settings, log = load_settings(path, {}), io.StringIO()
    clock = FixedClock() if clock is None else clock
    signer = FixedSigner(ec_key("service")) if signer is None else signer
    store = MemoryStore() if store is None else store
    telemetry = Telemetry(log)
    fetched = None if key_clock is None else fetched_keys_of(settings, clock=key_clock, sleep=_forever)
    app = build_app(settings, clock=clock, store=store, signer=signer, telemetry=telemetry, fetched_keys=fetched)
    return World(settings=settings, app=app, clock=clock, signer=signer, store=store, log=log, telemetry=telemetry)


async def _forever(_seconds: float) -> None:
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an ASGI application sent; `status` is None when it sent nothing."""

    status: int | None
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        found = [value.decode("latin-1") for key, value in self.headers if key == name.encode()]
        return ", ".join(found) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wire:
    sent: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def answer(self) -> Answer:
        starts = [message for message in self.sent if message["type"] == "http.response.start"]
        bodies = [message.get("body", b"") for message in self.sent if message["type"] == "http.response.body"]
        assert len(starts) <= 1
        headers = list(starts[0].get("headers", [])) if starts else []
        return Answer(status=starts[0]["status"] if starts else None, headers=headers, body=b"".join(bodies))


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    chunks: Iterable[bytes] = (),
    query: bytes = b"",
    ends: bool = True,
    on_receive: Callable[[], None] | None = None,
) -> Answer:
    """One request as raw ASGI. Without `ends` the client goes away after the last chunk."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages += [{"type": "http.request", "body": b"", "more_body": False}] if ends else []

    async def receive() -> Message:
        if on_receive is not None:
            on_receive()
        await asyncio.sleep(0)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    wire = _Wire()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": None,
        "server": None,
    }
    await app(scope, receive, wire.send)
    return wire.answer()
