"""`tokensvc exchange`: a narrower token for a token (RFC 8693), with the chain drawn."""

from typing import Final

import typer

from tokensvc.cli.asking import OK, Asker, Form, Server, ask, discover, fetch_holder_jkt, find_keys
from tokensvc.cli.console import ExitCode, JsonOption
from tokensvc.cli.credentials import POST, ClientKey, ClientSecret, read_holder_key, read_key, read_secret
from tokensvc.cli.exchange_options import (
    ActorToken,
    Audience,
    Auth,
    ClientId,
    Details,
    For,
    HolderJkt,
    HolderKey,
    Issuer,
    Jwks,
    Key,
    Lifetime,
    MaxDepth,
    NoVerify,
    Resource,
    Scope,
    SecretFile,
    SignGrant,
    SubjectToken,
    SubjectTokenType,
    TokenEndpoint,
)
from tokensvc.cli.inputs import STDIN, read_small, read_stdin
from tokensvc.cli.issuance import Sent, is_below_authority, judge
from tokensvc.cli.judging import load_keys, require_piped
from tokensvc.cli.outward import require_secure_url
from tokensvc.cli.wish import Wish, parse_grant, parse_jkt
from tokensvc.errors import Malformed

__all__ = ["register"]

_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:"
# More than any service takes; enough to see that it is too large, and no more.
_MAX_INPUT_BYTES: Final = 65_536


def register(app: typer.Typer) -> None:
    """Add `exchange` to `app`."""
    # Click quotes an argument too many, and that may be a token: let it through, and refuse it without its text.
    app.command("exchange", context_settings={"allow_extra_args": True})(_exchange)


def _exchange(
    context: typer.Context,
    subject_token: SubjectToken = "",
    *,
    issuer: Issuer = None,
    token_endpoint: TokenEndpoint = None,
    client_id: ClientId,
    secret_file: SecretFile = None,
    key: Key = None,
    auth: Auth = None,
    actor_token: ActorToken = False,
    holder_key: HolderKey = None,
    sign_grant: SignGrant = False,
    holder_jkt: HolderJkt = None,
    subject_token_type: SubjectTokenType = "access_token",
    scope: Scope = None,
    resource: Resource = None,
    audience: Audience = None,
    requested_actor: For = None,
    lifetime: Lifetime = None,
    max_depth: MaxDepth = None,
    authorization_details: Details = None,
    jwks: Jwks = None,
    no_verify: NoVerify = False,
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

    Example: sign the delegation, with the key that the token is bound to

        tokensvc exchange --issuer https://tokens.example --client-id planner --secret-file planner.secret
        --holder-key planner.jwk --sign-grant --for researcher --scope crm.read --resource https://api.example
        planner.token > handed.token
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
    jkt = None if holder_jkt is None else parse_jkt(holder_jkt, signs=sign_grant)
    wish = Wish(
        scope=tuple(scope or ()),
        resources=tuple(resource or ()),
        audiences=tuple(audience or ()),
        actor=requested_actor,
        lifetime_s=lifetime,
        max_depth=max_depth,
        details=_read_details(authorization_details),
    )
    held = None if holder_key is None else read_holder_key(holder_key)
    can_find_key = issuer is not None or jkt is not None
    grant = parse_grant(wish, client_id=client_id, key=held, can_find_key=can_find_key) if sign_grant else None
    own_keys = None if jwks is None else load_keys("--jwks", jwks, as_json=as_json)
    subject = _read_subject_token(subject_token)
    if grant is not None:
        grant.require_signable(subject)
    server = place if isinstance(place, Server) else discover(place, as_json=as_json)
    asker = Asker(client=client, method=auth, with_actor_token=actor_token, holder_key=held)
    signed = None
    if grant is not None:
        signed = grant.seal(subject, jkt or fetch_holder_jkt(server, asker, grant.to, as_json=as_json))
    form: Form = {
        "grant_type": _GRANT_TYPE,
        "subject_token": subject,
        "subject_token_type": _TOKEN_TYPE + subject_token_type,
        # A grant says it all, and nothing is to be said in two ways.
        **(wish.form() if signed is None else {"delegation_grant": signed}),
    }
    reply = ask(server, form, asker, token=subject, as_json=as_json)
    if reply.status != OK:
        hint = f"or try --auth {POST}" if isinstance(client, ClientSecret) and auth is None else None
        show_refused(reply, hint=hint if reply.text("error") == "invalid_client" else None, as_json=as_json)
        raise typer.Exit(ExitCode.REFUSED)
    token = reply.text("access_token") or ""
    own_jkt = held.public.thumbprint if held is not None and requested_actor in {None, client_id} else None
    judgement = judge(
        token,
        issuer=server.issuer,
        # A registered name may stand for any resource.
        audiences=frozenset() if audience else frozenset(wish.resources),
        order=server.order,
        keys="--no-verify was given" if no_verify else find_keys(server, own_keys),
        sent=Sent(jkt=own_jkt, grant=signed, is_below_authority=is_below_authority(subject, subject_token_type)),
    )
    show_granted(reply, token, judgement, as_json=as_json)
    if judgement.refusal is not None:
        raise typer.Exit(ExitCode.REFUSED)


def _parse_place(issuer: str | None, token_endpoint: str | None) -> Server | str:
    """The server, or the issuer whose metadata says where it is. Raises: typer.BadParameter."""
    for option, url in (("--issuer", issuer), ("--token-endpoint", token_endpoint)):
        try:
            require_secure_url(url or "https://none.example")
        except Malformed as exc:
            raise typer.BadParameter(f"{option}: {exc.description}") from exc
    if issuer is not None and "?" in issuer:
        raise typer.BadParameter("--issuer: an issuer has no query (RFC 8414 s2)")
    if token_endpoint is not None:
        return Server(issuer=issuer, endpoint=token_endpoint)
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
    return ClientKey(client_id=client_id, issuer=issuer, key=read_key(key))


def _require_fitting(client: ClientSecret | ClientKey, auth: str | None, *, actor_token: bool) -> None:
    """Raises: typer.BadParameter for what this client cannot do."""
    if isinstance(client, ClientKey) and auth is not None:
        raise typer.BadParameter("--auth is for a secret; a key has one way only")
    if isinstance(client, ClientSecret) and actor_token:
        raise typer.BadParameter("--actor-token needs --key, which signs it")


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
