"""The client libraries under test behind one face: `PYTHON[name](service, client_id)` gives a `Connected`.

What they do is in clients/ here and beside tests/node, and stands word for word in docs/clients.md.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from authlib.integrations.base_client import OAuthError
from oauthlib.oauth2 import OAuth2Error
from requests_oauth2client import ClientSecretBasic, ClientSecretPost
from requests_oauth2client.exceptions import EndpointError

from tests.interop.clients import (
    authlib_key,
    authlib_secret,
    requests_oauth2client_any,
    requests_oauthlib_secret,
)
from tests.interop.service import KEYS, Service, holder_key_of, key_of, secret_of

__all__ = ["NODE_FOLDER", "PYTHON", "Connect", "Connected", "NodeProcess", "Refused", "private_jwk_of"]

NODE_FOLDER: Final = Path(__file__).resolve().parents[1] / "node"


class Refused(Exception):
    """What a library raised: the class, and what it made of `error` and `error_description`."""

    def __init__(self, kind: str, error: str | None, description: str | None) -> None:
        super().__init__(kind, error, description)
        self.kind, self.error, self.description = kind, error, description


class Exchange(Protocol):
    def __call__(self, **parameters: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A client that is ready to be used. `introspect` and `revoke` are None where the library cannot."""

    exchange: Exchange
    introspect: Callable[[str], Mapping[str, Any]] | None = None
    revoke: Callable[[str], object] | None = None


def private_jwk_of(client_id: str) -> dict[str, str | list[str]]:
    """The agent's key as a private JWK."""
    return {**key_of(client_id).unsafe_private_jwk()}


def _told(call: Callable[..., Any], raised: type[Exception]) -> Callable[..., Any]:
    """`call`, with what the library raises as `Refused`."""

    def told(*arguments: object, **parameters: object) -> object:
        try:
            return call(*arguments, **parameters)
        except raised as exc:
            description = getattr(exc, "description", None)
            raise Refused(type(exc).__name__, getattr(exc, "error", None), description) from exc

    return told


def _authlib(service: Service, client_id: str, *, secret: str | None = None) -> Connected:
    auth = client_id.partition(".")[2]
    if auth in KEYS:
        session = authlib_key.connect(client_id, private_jwk_of(client_id), service.issuer)
    else:
        session = authlib_secret.connect(client_id, secret_of(client_id) if secret is None else secret, auth)
    told = partial(_told, raised=OAuthError)
    return Connected(
        exchange=told(partial(authlib_secret.exchange, session, service.issuer)),
        introspect=told(partial(authlib_secret.introspect, session, service.issuer)),
        revoke=told(partial(authlib_secret.revoke, session, service.issuer)),
    )


def _requests_oauthlib(service: Service, client_id: str, *, secret: str | None = None) -> Connected:
    credentials = (client_id, secret_of(client_id) if secret is None else secret, client_id.partition(".")[2])
    call = partial(requests_oauthlib_secret.exchange, service.issuer, *credentials)
    return Connected(exchange=_told(call, OAuth2Error))


def _requests_oauth2client(service: Service, client_id: str, *, secret: str | None = None) -> Connected:
    auth, issuer = client_id.partition(".")[2], service.issuer
    way: Any
    if auth in KEYS:
        way = requests_oauth2client_any.key_authentication(issuer, client_id, private_jwk_of(client_id))
    else:
        kind = ClientSecretBasic if auth == "client_secret_basic" else ClientSecretPost
        way = kind(client_id, secret_of(client_id) if secret is None else secret)
    client = requests_oauth2client_any.connect(issuer, way)
    told = partial(_told, raised=EndpointError)
    return Connected(
        exchange=told(partial(requests_oauth2client_any.exchange, client)),
        introspect=told(client.introspect_token),
        revoke=told(client.revoke_access_token),
    )


class NodeProcess:
    """tests/node/drive.mjs, which runs the libraries in JavaScript. Not safe for several threads."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, library: str, call: str, issuer: str, client: Mapping[str, Any], *arguments: object) -> Any:  # noqa: ANN401 - JSON
        """What the library answers. Raises: Refused."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"library": library, "call": call, "issuer": issuer, "client": client, "arguments": arguments}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        if "refused" in said:
            refused = said["refused"]
            raise Refused(refused["kind"], refused.get("error"), refused.get("description") or refused["message"])
        return said["answer"]

    def connect(self, library: str, service: Service, client_id: str, *, secret: str | None = None) -> Connected:
        """That library as `client_id`, with its own secret or key, or with another `secret`."""
        way = client_id.partition(".")[2]
        credentials = (
            {"auth": "private_key_jwt", "jwk": private_jwk_of(client_id)}
            if way in KEYS
            else {"auth": way, "secret": secret_of(client_id) if secret is None else secret}
        )
        holder = {"holder": {**holder_key_of(client_id).unsafe_private_jwk()}} if way == "dpop" else {}
        client = {"id": client_id, **credentials, **holder}

        def exchange(**parameters: str) -> Mapping[str, Any]:
            answer: Mapping[str, Any] = self.call(library, "exchange", service.issuer, client, parameters)
            return answer

        return Connected(
            exchange=exchange,
            introspect=partial(self.call, library, "introspect", service.issuer, client),
            revoke=partial(self.call, library, "revoke", service.issuer, client),
        )


class Connect(Protocol):
    def __call__(self, service: Service, client_id: str, *, secret: str | None = None) -> Connected: ...


PYTHON: Final[Mapping[str, Connect]] = {
    "authlib": _authlib,
    "requests-oauthlib": _requests_oauthlib,
    "requests_oauth2client": _requests_oauth2client,
}
"""The libraries in Python, by name."""
