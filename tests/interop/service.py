"""A token service on a real port and on the clock of the system, with one pair of agents for each way to authenticate.

`planner.<way>` may delegate to `researcher.<way>`, and to `crm-server`, which serves the resource `API`.
"""

import io
import json
import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import uvicorn

from tests.settings_file import sha256, write_settings
from tests.simulator import Simulator, ec_key, ed_key, rsa_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE
from tokensvc.server.listen import TAKEN_OVER
from tokensvc.settings import load_settings
from tokensvc.signing.keyfiles import generate_key
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import bind, build_app, uvicorn_config

__all__ = ["API", "FILES", "KEYS", "TIMEOUT_S", "USER", "Service", "holder_key_of", "key_of", "secret_of", "serving"]

API: Final = "https://crm.example/api"
FILES: Final = "https://files.example"
IDP: Final = "https://idp.example"
USER: Final = "user-1"
USER_SCOPE: Final = "crm.delete crm.export crm.read crm.write files.read openid"
START_SCOPE: Final = ("crm.export", "crm.read", "crm.write", "files.read")
TIMEOUT_S: Final = 20

SECRETS: Final = ("client_secret_basic", "client_secret_post")
KEYS: Final = ("ES256", "RS256", "Ed25519", "lenient", "dpop")
"""Ways with a key: by algorithm; `lenient`: ES256 with the two settings for clients that need them; `dpop`: ES256, and
another key that the agent's tokens are bound to."""
_LENIENT: Final[dict[str, object]] = {"accept_token_endpoint_audience": True, "max_assertion_lifetime_s": 3600}


def secret_of(client_id: str) -> str:
    """The secret of a client. It has every character that clients disagree on how to write in HTTP Basic."""
    return f"{client_id} +/%:=&%2B-" + "x" * 32


def key_of(client_id: str) -> SigningKey:
    """The key of an agent, by the way that its name ends in."""
    make = {"RS256": rsa_key, "Ed25519": ed_key}.get(client_id.partition(".")[2], ec_key)
    return make(client_id)


def holder_key_of(client_id: str) -> SigningKey:
    """The key that an agent of the way `dpop` holds."""
    return ec_key(f"{client_id} holder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where it is, and what it wrote."""

    issuer: str
    port: int
    log: io.StringIO
    http: httpx2.Client
    """A client whose requests start at the issuer."""

    def user_token(self, agent: str, **members: object) -> str:
        """A user's access token, obtained by `agent`."""
        now = int(time.time())
        claims = {"iss": IDP, "sub": USER, "aud": "tokensvc", "client_id": agent, "scope": USER_SCOPE}
        times = {"iat": now - 10, "exp": now + 3600}
        return Simulator(iss=IDP, key=ec_key("idp")).token({**claims, **times, **members})

    def start(self, agent: str, **parameters: str) -> dict[str, str]:
        """The parameters of a start by `agent`, but for the grant type."""
        form = {"subject_token": self.user_token(agent), "subject_token_type": ACCESS_TOKEN_TYPE}
        return {**form, "scope": "crm.export crm.read crm.write", **parameters}

    def post(self, path: str, client_id: str, form: Mapping[str, object]) -> httpx2.Response:
        """`form` posted with HTTP Basic by no library for OAuth."""
        credentials = b64encode(f"{client_id}:{secret_of(client_id)}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"}
        return self.http.post(path, data=form, headers=headers)

    def exchange(self, client_id: str, token: str, **parameters: str) -> str:
        """The access token that `client_id` gets for `token`."""
        form = {"grant_type": GRANT_TYPE, "subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE}
        answer = self.post("/token", client_id, {**form, **parameters})
        assert answer.status_code == 200, answer.text
        access_token: str = answer.json()["access_token"]
        return access_token

    def introspect(self, token: str) -> dict[str, Any]:
        """What the resource server of `API` is told of `token`."""
        seen: dict[str, Any] = self.post("/introspect", "crm-api", {"token": token}).json()
        return seen

    def events(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def _nothing_more(_name: str) -> dict[str, object]:
    return {}


_MORE: Final[Mapping[str, Callable[[str], dict[str, object]]]] = {
    "lenient": lambda _name: _LENIENT,
    "dpop": lambda name: {"holder_jwks_file": f"{name}.holder.jwks.json"},
}


def _agent(name: str, **members: object) -> dict[str, object]:
    way = name.partition(".")[2]
    if way in KEYS:
        auth = {"auth": "private_key_jwt", "jwks_file": f"{name}.jwks.json", **_MORE.get(way, _nothing_more)(name)}
    else:
        auth = {"auth": way or "client_secret_basic", "secret_sha256": [sha256(secret_of(name))]}
    targets = {"resources": [API, FILES], "default_resource": API}
    return {"id": name, **auth, "scopes": [*START_SCOPE], **targets, **members}


def _values(issuer: str, *, dpop_nonces: bool) -> dict[str, Any]:
    ways = (*SECRETS, *KEYS)
    provider = {"iss": IDP, "jwks_file": "idp.jwks.json", "audience": ["tokensvc"], "algorithms": ["ES256"]}
    resources = {
        "crm-api": {"id": API, "names": ["crm"], "scopes": ["crm.delete", "crm.export", "crm.read", "crm.write"]},
        "files-api": {"id": FILES, "names": ["files"], "scopes": ["files.read"]},
    }
    return {
        "issuer": issuer,
        "store": {"url": "memory:"},
        "server": {"dpop_nonces": dpop_nonces},
        "identity_provider": [{**provider, "ceiling": {"resources": [API, FILES]}}],
        "agent": [
            *(_agent(f"planner.{way}", may_delegate_to=[f"researcher.{way}", "crm-server"]) for way in ways),
            *(_agent(f"researcher.{way}") for way in ways),
            _agent("crm-server", serves=[API], downstream_resources=[FILES], default_resource=FILES),
        ],
        "resource": [
            {**resource, "client_id": client_id, "secret_sha256": [sha256(secret_of(client_id))]}
            for client_id, resource in resources.items()
        ],
        "operator": [{"id": "ops", "secret_sha256": [sha256(secret_of("ops"))]}],
    }


def _write_keys(folder: Path, values: Mapping[str, Any]) -> None:
    generate_key(folder / "keys", Algorithm.ES256, now=1)
    owners = {agent["jwks_file"]: key_of(agent["id"]) for agent in values["agent"] if "jwks_file" in agent}
    holders = {
        agent["holder_jwks_file"]: holder_key_of(agent["id"])
        for agent in values["agent"]
        if "holder_jwks_file" in agent
    }
    for name, key in {"idp.jwks.json": ec_key("idp"), **owners, **holders}.items():
        (folder / name).write_text(json.dumps(render_jwks(KeySet([key.public]))))


@contextmanager
def _loggers_given_back() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in TAKEN_OVER]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@contextmanager
def serving(folder: Path, *, dpop_nonces: bool = False) -> Iterator[Service]:
    """The service as `tokensvc serve` puts it on a socket; its files are in `folder`."""
    listener, log = bind("127.0.0.1", 0), io.StringIO()
    port = listener.getsockname()[1]
    values = _values(f"http://127.0.0.1:{port}", dpop_nonces=dpop_nonces)
    path = write_settings(folder, values)
    _write_keys(folder, values)
    telemetry = Telemetry(log)
    app = build_app(load_settings(path, {}), telemetry=telemetry)
    with _loggers_given_back():
        server = uvicorn.Server(uvicorn_config(app, telemetry=telemetry, graceful_shutdown_s=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx2.Client(base_url=values["issuer"], timeout=TIMEOUT_S) as http:
                yield Service(issuer=values["issuer"], port=port, log=log, http=http)
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_S)
        assert not thread.is_alive()
