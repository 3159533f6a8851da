"""`tokensvc exchange`: a narrower token for a token (RFC 8693), with the chain drawn."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import typer

from tokensvc.cli.console import ExitCode, JsonOption, fail
from tokensvc.cli.credentials import BASIC, POST, ClientKey, ClientSecret, Proof, read_key, read_secret
from tokensvc.cli.inputs import STDIN, read_small, read_stdin
from tokensvc.cli.issuance import fetch_keys, fetch_metadata, judge
from tokensvc.cli.judging import load_keys, require_piped
from tokensvc.cli.outward import Reply, call, host_of, require_secure_url
from tokensvc.core.authority import Order
from tokensvc.errors import ConfigurationError, Malformed, Unavailable

if TYPE_CHECKING:
    from tokensvc.verify import KeySet, KeySource

__all__ = ["register"]

_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
_JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
_OK: Final = 200
# An OAuth refusal (RFC 6749 s5.2). Anything else is a server in trouble, or none for tokens.
_REFUSALS: Final = frozenset({400, 401, 403})
# More than any service takes; enough to see that it is too large, and no more.
_MAX_INPUT_BYTES: Final = 65_536

_WHERE: Final = "Where"
_WHO: Final = "Who asks"
_WHAT: Final = "What for"
_ANSWER: Final = "What becomes of the answer"

_SubjectToken = Annotated[
    str,
    typer.Argument(
        metavar="FILE|-",
        show_default=False,
        help="The file with the token to exchange. - or nothing: standard input. Never the token itself.",
    ),
]
_Issuer = Annotated[
    str | None,
    typer.Option(metavar="URL", rich_help_panel=_WHERE, help="The token service; its metadata says the rest."),
]
_TokenEndpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", rich_help_panel=_WHERE, help="Its token endpoint, where there is no metadata."),
]
_ClientId = Annotated[str, typer.Option(metavar="ID", rich_help_panel=_WHO, help="The agent that asks.")]
_SecretFile = Annotated[
    str | None,
    typer.Option(metavar="FILE|-", rich_help_panel=_WHO, help="Its secret: a file, <(a command), or standard input."),
]
_Key = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=_WHO, help="Or its private JWK: it signs an assertion of 60 s."),
]
_Auth = Annotated[
    Literal["client_secret_basic", "client_secret_post"] | None,
    typer.Option(rich_help_panel=_WHO, help="How the secret is sent. Else as the metadata says, basic first."),
]
_ActorToken = Annotated[
    bool, typer.Option("--actor-token", rich_help_panel=_WHO, help="Also say with --key that it is the acting party.")
]
_HolderKey = Annotated[
    str | None,
    typer.Option(metavar="FILE", rich_help_panel=_WHO, help="The private JWK that its tokens are bound to (DPoP)."),
]
_Scope = Annotated[
    list[str] | None, typer.Option(metavar="SCOPE", rich_help_panel=_WHAT, help="Can be repeated, or be a list.")
]
_Resource = Annotated[
    list[str] | None,
    typer.Option(metavar="URI", rich_help_panel=_WHAT, help="Where the token is for. Can be repeated."),
]
_Audience = Annotated[
    list[str] | None, typer.Option(metavar="NAME", rich_help_panel=_WHAT, help="The same, by registered name.")
]
_For = Annotated[
    str | None,
    typer.Option(
        "--for", metavar="AGENT", rich_help_panel=_WHAT, help="The agent that gets it; the asker's own id renews."
    ),
]
_Lifetime = Annotated[
    int | None, typer.Option(metavar="S", min=1, rich_help_panel=_WHAT, help="How long the delegation may live.")
]
_MaxDepth = Annotated[
    int | None, typer.Option(metavar="N", min=1, rich_help_panel=_WHAT, help="The highest hop that may stand below.")
]
_Details = Annotated[
    str | None,
    typer.Option(metavar="FILE|JSON", rich_help_panel=_WHAT, help="Authorization details: a JSON array, or its file."),
]
_Jwks = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=_ANSWER, help="The keys to verify it with, else those it publishes."),
]
_NoVerify = Annotated[
    bool, typer.Option("--no-verify", rich_help_panel=_ANSWER, help="Take it as it comes; draw its chain unverified.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """Where to ask, and what its metadata says besides; `order` is None for one that is not known here."""

    issuer: str | None
    endpoint: str
    jwks_uri: str | None = None
    auth_methods: frozenset[str] = frozenset({BASIC})
    order: Order | None = field(default_factory=Order)


def register(app: typer.Typer) -> None:
    """Add `exchange` to `app`."""
    # Click quotes an argument too many, and that may be a token: let it through, and refuse it without its text.
    app.command("exchange", context_settings={"allow_extra_args": True})(_exchange)


def _exchange(
    context: typer.Context,
    subject_token: _SubjectToken = "",
    *,
    issuer: _Issuer = None,
    token_endpoint: _TokenEndpoint = None,
    client_id: _ClientId,
    secret_file: _SecretFile = None,
    key: _Key = None,
    auth: _Auth = None,
    actor_token: _ActorToken = False,
    holder_key: _HolderKey = None,
    scope: _Scope = None,
    resource: _Resource = None,
    audience: _Audience = None,
    requested_actor: _For = None,
    lifetime: _Lifetime = None,
    max_depth: _MaxDepth = None,
    authorization_details: _Details = None,
    jwks: _Jwks = None,
    no_verify: _NoVerify = False,
    as_json: JsonOption = False,
) -> None:
    """Exchange a token for a narrower one and draw its chain: who got what from whom, and what was lost at each hop.

    The token goes to standard output, alone; the chain goes to standard error. The token is verified with the keys
    that the service publishes: one that does not verify is not printed.

    Exit codes: 0 granted, 1 refused, 2 the command line is wrong, 3 the keys of --jwks cannot be used, 4 the token
    service cannot be reached. SSL_CERT_FILE may name further certificate authorities. No redirect is followed.

    Example: delegate to another agent

        tokensvc exchange --issuer https://tokens.example --client-id planner --secret-file planner.secret
        --for researcher --scope "crm.read crm.comment" planner.token > handed.token
    """
    if context.args:
        raise typer.BadParameter("more than one FILE: give one, or none and use standard input")
    from tokensvc.cli.exchange_view import show_granted, show_refused

    place = _parse_place(issuer, token_endpoint)
    if jwks is not None and issuer is None:
        raise typer.BadParameter("--jwks needs --issuer, whose keys they are")
    if secret_file == STDIN and subject_token in {"", STDIN}:
        raise typer.BadParameter("standard input cannot be both secret and token: name the token's FILE")
    client = _read_client(client_id, issuer, secret_file, key)
    _require_fitting(client, auth, actor_token=actor_token)
    holder = None if holder_key is None else read_key("--holder-key", holder_key)
    own_keys = None if jwks is None else load_keys("--jwks", jwks, as_json=as_json)
    form: dict[str, str | list[str]] = {
        "grant_type": _GRANT_TYPE,
        "subject_token": _read_subject_token(subject_token),
        "subject_token_type": _ACCESS_TOKEN_TYPE,
        **_given("scope", " ".join(scope or [])),
        **_given("resource", resource),
        **_given("audience", audience),
        **_given("requested_actor", requested_actor),
        **_given("requested_lifetime_s", None if lifetime is None else str(lifetime)),
        **_given("requested_max_depth", None if max_depth is None else str(max_depth)),
        **_given("authorization_details", _read_details(authorization_details)),
    }
    server = place if isinstance(place, _Server) else _discover(place, as_json=as_json)

    def ask(nonce: str | None) -> Reply:
        # An assertion is used up with each request, and so is a proof.
        proof = _prove(client, auth, server, with_actor_token=actor_token)
        return _ask(server, form, proof.with_holder(holder, server.endpoint, nonce=nonce), as_json=as_json)

    reply = ask(None)
    if holder is not None and reply.dpop_nonce is not None and reply.text("error") == "use_dpop_nonce":
        reply = ask(reply.dpop_nonce)
    if reply.status != _OK:
        try_post = isinstance(client, ClientSecret) and auth is None
        show_refused(reply, hint=_hint(reply, try_post=try_post, is_proven=holder is not None), as_json=as_json)
        raise typer.Exit(ExitCode.REFUSED)
    token = reply.text("access_token") or ""
    judgement = judge(
        token,
        issuer=server.issuer,
        # A registered name may stand for any resource.
        audiences=frozenset() if audience else frozenset(resource or []),
        order=server.order,
        keys="--no-verify was given" if no_verify else _find_keys(server, own_keys),
    )
    show_granted(reply, token, judgement, as_json=as_json)
    if judgement.refusal is not None:
        raise typer.Exit(ExitCode.REFUSED)


def _parse_place(issuer: str | None, token_endpoint: str | None) -> _Server | str:
    """The server, or the issuer whose metadata says where it is. Raises: typer.BadParameter."""
    for option, url in (("--issuer", issuer), ("--token-endpoint", token_endpoint)):
        try:
            require_secure_url(url or "https://none.example")
        except Malformed as exc:
            raise typer.BadParameter(f"{option}: {exc.description}") from exc
    if issuer is not None and "?" in issuer:
        raise typer.BadParameter("--issuer: an issuer has no query (RFC 8414 s2)")
    if token_endpoint is not None:
        return _Server(issuer=issuer, endpoint=token_endpoint)
    if issuer is None:
        raise typer.BadParameter("give --issuer, or --token-endpoint where there is no metadata")
    return issuer


def _read_client(
    client_id: str, issuer: str | None, secret_file: str | None, key: str | None
) -> ClientSecret | ClientKey:
    """Raises: typer.BadParameter."""
    if not client_id:
        raise typer.BadParameter("--client-id must not be empty")
    if secret_file is not None and key is None:
        return ClientSecret(client_id=client_id, secret=read_secret(secret_file))
    if key is None or secret_file is not None:
        raise typer.BadParameter("give one of --secret-file and --key")
    if issuer is None:
        raise typer.BadParameter("--key needs --issuer, which is the aud of what it signs")
    return ClientKey(client_id=client_id, issuer=issuer, key=read_key("--key", key))


def _require_fitting(client: ClientSecret | ClientKey, auth: str | None, *, actor_token: bool) -> None:
    """Raises: typer.BadParameter for what this client cannot do."""
    if isinstance(client, ClientKey) and auth is not None:
        raise typer.BadParameter("--auth is for a secret; a key has one way only")
    if isinstance(client, ClientSecret) and actor_token:
        raise typer.BadParameter("--actor-token needs --key, which signs it")


def _hint(reply: Reply, *, try_post: bool, is_proven: bool) -> str | None:
    """What else on the command line may be the cause of a refusal."""
    if reply.text("error") == "invalid_client" and try_post:
        return f"or try --auth {POST}"
    if reply.text("reason") == "holder_unproven" and not is_proven:
        return "here: --holder-key FILE"
    return None


def _given(name: str, value: str | list[str] | None) -> dict[str, str | list[str]]:
    return {name: value} if value else {}


def _read_subject_token(name: str) -> str:
    """The token in the file of that name or on standard input. No message says any of it."""
    if name == "":
        require_piped("exchange")
    content = (
        read_stdin(_MAX_INPUT_BYTES) if name in {"", STDIN} else read_small("FILE", name, max_bytes=_MAX_INPUT_BYTES)
    )
    token = content.decode("latin-1").strip()
    if not token:
        raise typer.BadParameter("the token is empty")
    return token


def _read_details(text: str | None) -> str | None:
    """The JSON text of `--authorization-details`, or of the file that it names. Raises: typer.BadParameter."""
    if text is None:
        return None
    from tokensvc.core.jsontext import parse_json

    option = "--authorization-details"
    is_json = text.lstrip().startswith(("[", "{"))
    content = text.encode() if is_json else read_small(option, text, max_bytes=_MAX_INPUT_BYTES)
    try:
        value = parse_json(content)
    except Malformed as exc:
        raise typer.BadParameter(f"{option}: {exc.description}") from exc
    if not isinstance(value, list):
        raise typer.BadParameter(f"{option}: not a JSON array")
    return content.decode("utf-8").strip()


def _discover(issuer: str, *, as_json: bool) -> _Server:
    """What the metadata of `issuer` says. Exits where it cannot be had or used."""
    try:
        metadata = fetch_metadata(issuer)
    except Malformed as exc:
        remedy = "Give the issuer byte for byte as its metadata names it, or the endpoint: --token-endpoint URL."
        problem = ConfigurationError(exc.description, file=host_of(issuer), key="", remedy=remedy)
        fail([problem], as_json=as_json, code=ExitCode.REFUSED)
    except Unavailable as exc:
        _fail_unreachable(exc, issuer, as_json=as_json)
    return _Server(
        issuer=issuer,
        endpoint=metadata.token_endpoint,
        jwks_uri=metadata.jwks_uri,
        auth_methods=metadata.auth_methods,
        order=metadata.order,
    )


def _prove(client: ClientSecret | ClientKey, auth: str | None, server: _Server, *, with_actor_token: bool) -> Proof:
    if isinstance(client, ClientSecret):
        only_post = POST in server.auth_methods and BASIC not in server.auth_methods
        return client.prove(auth or (POST if only_post else BASIC))
    proof = client.prove()
    if not with_actor_token:
        return proof
    return Proof(form={**proof.form, "actor_token": client.actor_token(), "actor_token_type": _JWT_TYPE})


def _ask(server: _Server, form: dict[str, str | list[str]], proof: Proof, *, as_json: bool) -> Reply:
    """A token, or a refusal of the token service; whatever else comes back ends the command."""
    try:
        reply = call(server.endpoint, form={**form, **proof.form}, headers=proof.headers)
    except Unavailable as exc:
        _fail_unreachable(exc, server.endpoint, as_json=as_json)
    is_refusal = reply.status in _REFUSALS and reply.text("error") is not None
    if not is_refusal and not (reply.status == _OK and reply.text("access_token") is not None):
        said = reply.text("error_description") or "which is no answer of a token endpoint"
        problem = Unavailable(f"{host_of(server.endpoint)} answers {reply.status}: {said}")
        _fail_unreachable(problem, server.endpoint, as_json=as_json)
    return reply


def _fail_unreachable(exc: Unavailable, url: str, *, as_json: bool) -> NoReturn:
    remedy = "Look whether the address is right and the token service runs (its log says why it cannot answer)."
    problem = ConfigurationError(exc.description, file=host_of(url), key="", remedy=remedy)
    fail([problem], as_json=as_json, code=ExitCode.UNREACHABLE)


def _find_keys(server: _Server, own: "KeySet | None") -> "KeySource | str":
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
