"""How `tokensvc exchange` asks a token service: where it is, who asks, and what comes back."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from tokensvc.cli.console import ExitCode, fail
from tokensvc.cli.credentials import BASIC, POST, ClientKey, ClientSecret
from tokensvc.cli.issuance import fetch_keys, fetch_metadata
from tokensvc.cli.outward import Reply, call, host_of
from tokensvc.core.authority import Order
from tokensvc.errors import ConfigurationError, Malformed, OAuthError, TokensvcError, Unavailable

if TYPE_CHECKING:
    from tokensvc.client.auth import ClientAuth
    from tokensvc.core.jws import SigningKey
    from tokensvc.verify import KeySet, KeySource

__all__ = ["OK", "Asker", "Form", "Server", "ask", "discover", "fetch_holder_jkt", "find_keys"]

OK: Final = 200
_JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
# An OAuth refusal (RFC 6749 s5.2). Anything else is a server in trouble, or none for tokens.
_REFUSALS: Final = frozenset({400, 401, 403})
_NO_HOLDER_KEY: Final = (
    "Look at the id after --for and have its key registered, give its key by --holder-jkt, or do not sign."
)
Form = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where to ask, and what its metadata says besides; `order` is None for one that is not known here."""

    issuer: str | None
    endpoint: str
    jwks_uri: str | None = None
    auth_methods: frozenset[str] = frozenset({BASIC})
    order: Order | None = field(default_factory=Order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and how: `method` is how a secret is sent, None as the server says; `holder_key` is proven by DPoP."""

    client: ClientSecret | ClientKey
    method: str | None
    with_actor_token: bool
    holder_key: "SigningKey | None" = field(repr=False)

    def auth(self, server: Server) -> "ClientAuth":
        """What authenticates it at `server`."""
        if isinstance(self.client, ClientKey):
            return self.client.auth()
        only_post = POST in server.auth_methods and BASIC not in server.auth_methods
        return self.client.auth(self.method or (POST if only_post else BASIC))

    def post(self, server: Server, form: Form, *, token: str, nonce: str | None) -> Reply:
        """The answer to `form` with credentials, and a proof for `token`, of its own. Raises: Unavailable."""
        now = time.time()
        credentials = self.auth(server).credentials(self.client.client_id, issuer=server.issuer, now=now)
        headers, body = {**credentials.headers}, {**form, **credentials.form}
        if self.with_actor_token and isinstance(self.client, ClientKey):
            body |= {"actor_token": self.client.actor_token(), "actor_token_type": _JWT_TYPE}
        if self.holder_key is not None:
            from tokensvc.client.sealed import make_proof

            headers["dpop"] = make_proof(
                self.holder_key, method="POST", url=server.endpoint, now=now, token=token, nonce=nonce
            )
        return call(server.endpoint, form=body, headers=headers)


def discover(issuer: str, *, as_json: bool) -> Server:
    """What the metadata of `issuer` says. Exits where it cannot be had or used."""
    try:
        metadata = fetch_metadata(issuer)
    except Malformed as exc:
        remedy = "Give the issuer byte for byte as its metadata names it, or the endpoint: --token-endpoint URL."
        _fail_refused(exc, issuer, remedy, as_json=as_json)
    except Unavailable as exc:
        _fail_unreachable(exc, issuer, as_json=as_json)
    return Server(
        issuer=issuer,
        endpoint=metadata.token_endpoint,
        jwks_uri=metadata.jwks_uri,
        auth_methods=metadata.auth_methods,
        order=metadata.order,
    )


def ask(server: Server, form: Form, asker: Asker, *, token: str, as_json: bool) -> Reply:
    """A token, or a refusal of the token service; whatever else comes back ends the command.

    Asked for a nonce (RFC 9449 s8), it asks once more: assertion and proof are new, as both are good for one request.
    """
    try:
        reply = asker.post(server, form, token=token, nonce=None)
        wants_nonce = reply.status in _REFUSALS and reply.text("error") == OAuthError.USE_DPOP_NONCE
        if asker.holder_key is not None and wants_nonce and reply.nonce:
            reply = asker.post(server, form, token=token, nonce=reply.nonce)
    except Unavailable as exc:
        _fail_unreachable(exc, server.endpoint, as_json=as_json)
    is_refusal = reply.status in _REFUSALS and reply.text("error") is not None
    if not is_refusal and not (reply.status == OK and reply.text("access_token") is not None):
        said = reply.text("error_description") or "which is no answer of a token endpoint"
        problem = Unavailable(f"{host_of(server.endpoint)} answers {reply.status}: {said}")
        _fail_unreachable(problem, server.endpoint, as_json=as_json)
    return reply


def fetch_holder_jkt(server: Server, asker: Asker, agent_id: str, *, as_json: bool) -> str:
    """The thumbprint of the holder key of that agent, as `server` tells it. Exits where it does not."""
    from tokensvc.cli.exchange_view import show_refused
    from tokensvc.client.errors import AnswerMalformed, ExchangeRefused, HolderKeyUnknown, ServiceUnavailable
    from tokensvc.client.service import TokenService
    from tokensvc.client.transport import drive, make_client

    auth = asker.auth(server)
    service = TokenService(
        client_id=asker.client.client_id,
        auth=auth,
        issuer=server.issuer,
        token_endpoint=server.endpoint,
        holder_key=None,
        sign_grants=False,
        clock=time.time,
    )
    try:
        with make_client(auth, server.issuer) as http:
            jkt = drive(service.agent_key(agent_id), http)
    except HolderKeyUnknown as exc:
        _fail_refused(exc, server.endpoint, _NO_HOLDER_KEY, as_json=as_json)
    except ExchangeRefused as exc:
        said = {"error": exc.error, "reason": exc.reason, "error_description": exc.description, "record": exc.record}
        show_refused(Reply(status=exc.status, body=said), hint=None, as_json=as_json)
        raise typer.Exit(ExitCode.REFUSED) from exc
    except (ServiceUnavailable, AnswerMalformed) as exc:
        _fail_unreachable(exc, server.endpoint, as_json=as_json)
    if jkt is None:
        unknown = HolderKeyUnknown(f"the agent {agent_id} is registered without a holder key")
        _fail_refused(unknown, server.endpoint, _NO_HOLDER_KEY, as_json=as_json)
    return jkt


def find_keys(server: Server, own: "KeySet | None") -> "KeySource | str":
    """The keys of the token service, or why there are none."""
    from tokensvc.verify import StaticKeys

    if server.issuer is None:
        return "without --issuer nothing says who should have signed it"
    if own is not None:
        return StaticKeys({server.issuer: own})
    if server.jwks_uri is None:
        return "nothing says where the keys of the token service are: give them with --jwks"
    try:
        return fetch_keys(server.issuer, server.jwks_uri)
    except Unavailable as exc:
        return f"the keys of the token service cannot be had: {exc.description}"


def _fail_refused(exc: TokensvcError, url: str, remedy: str, *, as_json: bool) -> NoReturn:
    problem = ConfigurationError(exc.description, file=host_of(url), key="", remedy=remedy)
    fail([problem], as_json=as_json, code=ExitCode.REFUSED)


def _fail_unreachable(exc: TokensvcError, url: str, *, as_json: bool) -> NoReturn:
    remedy = "Look whether the address is right and the token service runs (its log says why it cannot answer)."
    problem = ConfigurationError(exc.description, file=host_of(url), key="", remedy=remedy)
    fail([problem], as_json=as_json, code=ExitCode.UNREACHABLE)
