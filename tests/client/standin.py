"""A stand-in for the token service, for what the real one cannot be made to show: it answers as a test scripts it.

It issues, for whatever it is asked, the one delegation to `researcher`: a new token each time, for the resource that is
named.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qs

import httpx2

from tests.simulator import API, NOW, Members, Simulator, ec_key, jti
from tokensvc.client import Agent, AsyncAgent, ClientSecret
from tokensvc.core.jws import SigningKey, split_compact

__all__ = ["ISSUER", "Scripted", "StandIn", "answer", "holder", "proof_of", "refusal"]

ISSUER: Final = "https://as.example"
Scripted = Callable[[httpx2.Request], httpx2.Response]


def answer(status: int, body: object, **headers: str) -> Scripted:
    """An answer of JSON. `retry_after="3"` is the header Retry-After."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: httpx2.Response(status, json=body, headers=fields)


def refusal(status: int, error: str, **headers: str) -> Scripted:
    return answer(status, {"error": error, "error_description": "no", "reason": "revoked", "record": "r1"}, **headers)


def proof_of(request: httpx2.Request) -> Members:
    """The claims of the proof in a request."""
    claims: Members = json.loads(split_compact(request.headers["dpop"], max_bytes=8192).payload)
    return claims


@dataclass(slots=True, kw_only=True)
class StandIn:
    """Requests are kept in `requests`. `script` is used up first; then every request is granted."""

    key: SigningKey | None = None
    resources: list[str] = field(default_factory=lambda: [API])
    now: float = NOW
    expires_in: int = 300
    changed: Members = field(default_factory=dict)
    """Members of the answer that are other than they should be."""
    claims: Members = field(default_factory=dict)
    """The same, of the token."""
    script: list[Scripted] = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.script:
            return self.script.pop(0)(request)
        return self.grant(request)

    def grant(self, request: httpx2.Request) -> httpx2.Response:
        aud = self.form(request)["resource"]
        body = {
            "access_token": self.token(aud=aud[0] if len(aud) == 1 else ISSUER),
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer" if self.key is None else "DPoP",
            "expires_in": self.expires_in,
            "scope": "crm.write files.read mail.send",
        }
        return httpx2.Response(200, json={**body, **self.changed})

    def chain(self) -> list[Members]:
        simulator = Simulator(iss=ISSUER)
        cnf = {} if self.key is None else {"cnf": {"jkt": self.key.public.thumbprint}}
        root = simulator.root()
        planner = simulator.hop(root, "planner", **cnf)
        return [root, planner, simulator.hop(planner, "researcher", resources=self.resources)]

    def token(self, **members: object) -> str:
        """A new token of the delegation."""
        chain = self.chain()
        cnf = {} if self.key is None else {"cnf": {"jkt": self.key.public.thumbprint}}
        times = {"iat": int(self.now), "exp": min(int(self.now) + self.expires_in, chain[-1]["exp"])}
        own = {"jti": jti(f"token {next(self._numbers)}"), **times, **cnf}
        simulator = Simulator(iss=ISSUER)
        return simulator.token(simulator.claims(chain, **{**own, **members, **self.claims}))

    def form(self, request: httpx2.Request) -> dict[str, list[str]]:
        return parse_qs(request.content.decode())

    def agent(self, **options: Any) -> Agent:  # noqa: ANN401 - any option of Agent
        http = httpx2.Client(transport=httpx2.MockTransport(self.handle))
        return Agent(**{"http": http, **self._options(), **options})

    def async_agent(self, **options: Any) -> AsyncAgent:  # noqa: ANN401 - any option of AsyncAgent
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.handle))
        return AsyncAgent(**{"http": http, **self._options(), **options})

    def _options(self) -> dict[str, Any]:
        return {
            "token_endpoint": f"{ISSUER}/token",
            "client_id": "researcher",
            "auth": ClientSecret("s"),
            "holder_key": self.key,
            "clock": lambda: self.now,
        }


def holder() -> SigningKey:
    return ec_key("holder")
