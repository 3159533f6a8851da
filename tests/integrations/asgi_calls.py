"""Calls of a protected app, as a server makes them, and the tokens that they carry."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from tests.proofs import HOLDER
from tests.simulator import API, ISSUER, NOW, Simulator
from tokensvc.integrations.asgi import TokenMiddleware, metadata_url, protected_resource_metadata, verified_token
from tokensvc.verify import LifetimeOnly, VerifiedToken

Message = MutableMapping[str, Any]

SIM: Final = Simulator()
URL: Final = metadata_url(API)
# planner holds crm.read crm.write files.read mail.send
TOKEN: Final = SIM.token(SIM.claims(SIM.chain("planner")))
BOUND: Final = SIM.token(SIM.claims(SIM.chain("planner"), cnf={"jkt": HOLDER.public.thumbprint}))
EXPIRED: Final = SIM.token(SIM.claims(SIM.chain("planner"), iat=NOW - 59, exp=NOW - 30))
ALSO_DPOP: Final = f', DPoP algs="ES256 Ed25519 RS256", resource_metadata="{URL}"'
"""What stands behind a Bearer challenge that asks for no scope."""
DOCUMENT: Final = protected_resource_metadata(
    resource=API, authorization_servers=[ISSUER], scopes_supported=["crm.read"]
)


@dataclass
class Api:
    """An app that notes every token it was called with, and asks of it what `needs` says."""

    needs: str | None = "crm.read"
    seen: list[VerifiedToken] = field(default_factory=list)

    async def __call__(self, scope: MutableMapping[str, Any], _receive: object, send: Callable[[Message], Any]) -> None:
        token = verified_token(scope)
        self.seen.append(token)
        if self.needs is not None:
            token.require(scope=self.needs)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": token.sub.encode()})


def protect(app: Any, **terms: Any) -> TokenMiddleware:  # noqa: ANN401 - any app, any term
    defaults = {
        "keys": SIM.keys(),
        "expect": SIM.expect(),
        "revocations": LifetimeOnly(max_s=900),
        "resource_metadata": URL,
        "clock": lambda: NOW,
    }
    return TokenMiddleware(app, **{**defaults, **terms})


def as_bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("ascii")


async def call(
    app: Any,  # noqa: ANN401
    *authorization: bytes | str,
    method: str = "GET",
    path: str = "/customers",
    **request: Any,  # noqa: ANN401
) -> httpx2.Response:
    headers = [(b"Authorization", as_bytes(value)) for value in authorization]
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://crm.example") as client:
        return await client.request(method, path, headers=headers, **request)


async def present(
    app: Any,  # noqa: ANN401
    token: str,
    *proofs: bytes | str,
    scheme: str = "DPoP",
    method: str = "GET",
    path: str = "/customers",
    **others: str,
) -> httpx2.Response:
    """The answer to a call with `token` under `scheme`, a `DPoP` header for each of `proofs`, and other headers."""
    headers = [(b"Authorization", f"{scheme} {token}".encode()), *((b"DPoP", as_bytes(proof)) for proof in proofs)]
    headers += [(name.encode(), value.encode()) for name, value in others.items()]
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://crm.example") as client:
        return await client.request(method, path, headers=headers)


async def drive(
    app: Any,  # noqa: ANN401
    scope: Mapping[str, Any],
    *received: Message,
    on_send: Callable[[Message], None] = lambda _message: None,
) -> list[Message]:
    """What `app` sends on a raw ASGI connection; `on_send` sees each message as it is sent."""
    pending, sent = list(received), []

    async def receive() -> Message:
        return pending.pop(0)

    async def send(message: Message) -> None:
        on_send(message)
        sent.append(message)

    await app(scope, receive, send)
    return sent


def http_scope(*authorization: bytes | str) -> dict[str, Any]:
    """The scope of a GET with these `Authorization` headers."""
    headers = [(b"authorization", as_bytes(value)) for value in authorization]
    return {"type": "http", "method": "GET", "path": "/", "headers": headers}
