"""The agents' side of every call, over real HTTP: what they send, and what came back."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import httpx2

from tokensvc.client import make_proof
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import SigningKey
from tokensvc.demo.api import CUSTOMERS
from tokensvc.demo.cast import Addresses, Client, ResourceServer
from tokensvc.errors import Malformed, Unavailable
from tokensvc.settings import AuthMethod
from tokensvc.wiring import system_clock

__all__ = ["ACCESS_TOKEN_TYPE", "Answer", "Endpoints", "Wire"]

ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer with a JSON object in it. The object may hold a token, so it is not shown."""

    status: int
    body: Mapping[str, JsonValue] = field(repr=False)

    @property
    def is_yes(self) -> bool:
        """True when what was asked for was granted; of an introspection, when the token is active."""
        return self.status == _OK and self.body.get("active") is not False

    @property
    def description(self) -> str:
        """What was said about it to whoever asked."""
        return str(self.body.get("error_description") or "")

    @property
    def reason(self) -> str:
        """Why not: the stable code, or the OAuth error where there is none, or `inactive`."""
        if self.body.get("active") is False:
            return "inactive"
        return str(self.body.get("reason") or self.body.get("error") or "")

    def token(self) -> str:
        """The token that was issued. Raises: Unavailable when there is none, with the reason."""
        token = self.body.get("access_token")
        if not self.is_yes or not isinstance(token, str):
            raise Unavailable(f"no token: {self.status} {self.reason}")
        return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What the token service says of itself (RFC 8414 s2)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    introspection_endpoint: str
    revocation_endpoint: str

    @classmethod
    def of(cls, metadata: Mapping[str, JsonValue]) -> Self:
        """The endpoints named in `metadata`."""
        return cls(**{name: str(metadata.get(name)) for name in cls.__slots__})


class Wire:
    """Calls the demo's servers as the demo's parties. Raises: Unavailable when one does not answer in JSON."""

    def __init__(self, http: httpx2.Client, addresses: Addresses) -> None:
        self._http = http
        self._addresses = addresses
        self._endpoints: Endpoints | None = None

    def discover(self) -> Endpoints:
        """The token service's endpoints, from its metadata; asked for once."""
        if self._endpoints is None:
            url = f"{self._addresses.issuer}/.well-known/oauth-authorization-server"
            self._endpoints = Endpoints.of(self.get(url).body)
        return self._endpoints

    def get(self, url: str, *, token: str | None = None) -> Answer:
        """GET `url`, with `token` where one is given."""
        return self._send(self._http.build_request("GET", url, headers=_bearer(token)))

    def log_in(self, user: str) -> Answer:
        """The user's login at the identity provider."""
        return self._post(f"{self._addresses.idp}/login", {"user": user})

    def exchange(
        self,
        client: Client,
        subject_token: str,
        *,
        scope: tuple[str, ...] | None,
        resource: str,
        requested_actor: str | None = None,
        requested_lifetime_s: int | None = None,
        proven_by: SigningKey | None = None,
        grant: str | None = None,
    ) -> Answer:
        """POST /token (RFC 8693), with a proof of the key `proven_by`. What is None is left out."""
        optional = {
            "delegation_grant": grant,
            "scope": None if scope is None else " ".join(scope),
            "requested_actor": requested_actor,
            "requested_lifetime_s": None if requested_lifetime_s is None else str(requested_lifetime_s),
        }
        form = {
            "grant_type": _GRANT_TYPE,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN_TYPE,
            "resource": resource,
            **{name: value for name, value in optional.items() if value is not None},
        }
        url = self.discover().token_endpoint
        return self._post(url, form, client=client, proof=_proof(proven_by, "POST", url, None))

    def introspect(self, caller: ResourceServer, token: str) -> Answer:
        """POST /introspect (RFC 7662)."""
        return self._post(self.discover().introspection_endpoint, {"token": token}, client=caller)

    def revoke(self, client: Client, token: str) -> Answer:
        """POST /revoke (RFC 7009): the last hop of `token`, and all below it."""
        return self._post(self.discover().revocation_endpoint, {"token": token}, client=client)

    def read_customers(self, token: str, *, proven_by: SigningKey | None = None) -> Answer:
        """GET /customers at the API: as a Bearer token, or with a proof of a key (RFC 9449 s7.1)."""
        return self.call("GET", self._addresses.crm + CUSTOMERS, token, proven_by)

    def delete_customer(self, token: str, *, proven_by: SigningKey | None = None) -> Answer:
        """DELETE /customers/2 at the API."""
        return self.call("DELETE", f"{self._addresses.crm}{CUSTOMERS}/2", token, proven_by)

    def call(self, method: str, url: str, token: str, proven_by: SigningKey | None) -> Answer:
        """A call of the API."""
        proof = _proof(proven_by, method, url, token)
        if proof is not None:
            return self.send_with_proof(method, url, token, proof)
        return self._send(self._http.build_request(method, url, headers=_bearer(token)))

    def send_with_proof(self, method: str, url: str, token: str, proof: str) -> Answer:
        """A call of the API with this proof, which may have been sent before."""
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        return self._send(self._http.build_request(method, url, headers=headers))

    def _post(
        self,
        url: str,
        form: dict[str, str],
        *,
        client: Client | ResourceServer | None = None,
        proof: str | None = None,
    ) -> Answer:
        headers: dict[str, str] = {} if proof is None else {"DPoP": proof}
        match client:
            case None:
                pass
            case _ if client.auth_method is AuthMethod.CLIENT_SECRET_POST:
                form = {**form, "client_id": client.client_id, "client_secret": client.client_secret}
            case _:
                headers |= _basic(client)
        return self._send(self._http.build_request("POST", url, data=form, headers=headers))

    def _send(self, request: httpx2.Request) -> Answer:
        try:
            response = self._http.send(request)
            body = parse_json_object(response.content) if response.content else {}
        except (httpx2.HTTPError, Malformed) as exc:
            raise Unavailable(f"no answer in JSON from {request.url} ({type(exc).__name__})") from exc
        return Answer(status=response.status_code, body=body)


def _proof(key: SigningKey | None, method: str, url: str, token: str | None) -> str | None:
    return None if key is None else make_proof(key, method=method, url=url, now=system_clock(), token=token)


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _basic(client: Client | ResourceServer) -> dict[str, str]:
    # Ids and secrets of the demo are of letters that need no form-encoding (RFC 6749 s2.3.1).
    credentials = b64encode(f"{client.client_id}:{client.client_secret}".encode("ascii")).decode("ascii")
    return {"Authorization": f"Basic {credentials}"}
