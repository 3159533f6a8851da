"""`tokensvc authority`: what an authority such as an identity provider does, as a reference and for trials."""

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tokensvc.cli.console import JsonOption, fail, say_json
from tokensvc.cli.inputs import read_small
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed

if TYPE_CHECKING:
    from tokensvc.core.jsontext import JsonValue
    from tokensvc.core.jws import SigningKey
    from tokensvc.core.keyset import PublicKey

__all__ = ["register"]

# An RSA key of 8192 bits takes 7 KB.
_MAX_KEY_BYTES: Final = 64 * 1024
# As a token service takes requested details.
_MAX_DETAILS_BYTES: Final = 8192
# As `settings.values.MAX_ROOT_LIFETIME_S`, which a test compares: the help must not load the settings.
_MAX_LIFETIME_S: Final = 8 * 3600
_HOUR_S: Final = 3600
# As `core.chain.HARD_MAX_DEPTH`, and what a ceiling says by default.
_HARD_MAX_DEPTH: Final = 10
_DEFAULT_DEPTH: Final = 5


def register(app: typer.Typer) -> None:
    """Add the group `authority` to `app`."""
    authority = typer.Typer(
        help="What an authority does: sign what a user lets an agent do, so that no token service can make it up.",
        no_args_is_help=True,
    )

    @authority.callback()
    def group() -> None:
        """Keeps `sign` a command of its own while it is the only one."""

    authority.command("sign")(_sign)
    app.add_typer(authority, name="authority")


def _sign(
    *,
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="Its private key, JWK or PEM, which nobody else may read.")
    ],
    issuer: Annotated[str, typer.Option("--issuer", metavar="URL", help="The authority.")],
    audience: Annotated[str, typer.Option("--audience", metavar="URL", help="The issuer of the token service.")],
    sub: Annotated[str, typer.Option("--sub", metavar="NAME", help="The user, as the authority calls them.")],
    actor: Annotated[str, typer.Option("--actor", metavar="ID", help="The first agent.")],
    scope: Annotated[str, typer.Option("--scope", metavar="SCOPES", help="Scopes, separated by spaces.")],
    resource: Annotated[list[str], typer.Option("--resource", metavar="URI", help="A resource. May repeat.")],
    actor_jwks: Annotated[
        str | None,
        typer.Option("--actor-jwks", metavar="FILE", help="The agent's public keys; the first one counts. - is stdin."),
    ] = None,
    actor_jkt: Annotated[
        str | None, typer.Option("--actor-jkt", metavar="SHA256", help="Instead: the RFC 7638 thumbprint of its key.")
    ] = None,
    authorization_details: Annotated[
        str | None,
        typer.Option("--authorization-details", metavar="FILE|JSON", help="Tools and arguments (RFC 9396)."),
    ] = None,
    max_depth: Annotated[
        int, typer.Option("--max-depth", min=1, max=_HARD_MAX_DEPTH, help="Delegations in a row.")
    ] = _DEFAULT_DEPTH,
    lifetime_s: Annotated[
        int, typer.Option("--lifetime", min=1, max=_MAX_LIFETIME_S, metavar="SECONDS", help="From now on.")
    ] = _HOUR_S,
    kid: Annotated[
        str | None, typer.Option("--kid", help="What the key is called in the JWK set, where its file does not say.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a root: the JWS on standard output, and nothing else. `tokensvc keys client` makes a key pair.

    The agent presents it as `subject_token`, of type `urn:ietf:params:oauth:token-type:jwt`, and proves its own key by
    DPoP. The token service knows the authority as `[[authority]]`. To copy: `tokensvc/signing/authority_root.py`.

    Example: `tokensvc authority sign --key roots.private.jwk.json --issuer https://idp.example
    --audience https://tokens.example --sub alice --actor planner --actor-jwks planner-holder.jwks.json
    --scope "crm.read crm.write" --resource https://crm.example/api`

    Example: `tokensvc authority sign ... --lifetime 600 --max-depth 2 --json`
    """
    jkt = _read_jkt(actor_jwks, actor_jkt)
    details = _read_details(authorization_details)
    try:
        signing = _read_key(key, kid)
    except ConfigurationError as exc:
        fail([exc], as_json=as_json)
    from tokensvc.signing.authority_root import root_claims, sign_root

    now = int(time.time())
    claims = root_claims(
        iss=issuer,
        sub=sub,
        aud=audience,
        actor=actor,
        jkt=jkt,
        scope=scope,
        resources=resource,
        max_depth=max_depth,
        iat=now,
        exp=now + lifetime_s,
        jti=secrets.token_urlsafe(16),
        authorization_details=details,
    )
    try:
        root = sign_root(claims, signing)
    except Malformed as exc:
        raise typer.BadParameter(f"no token service takes this: {exc.description}") from exc
    if as_json:
        say_json({"root": root, "claims": claims})
    else:
        typer.echo(root)


def _read_jkt(name: str | None, jkt: str | None) -> str:
    """The thumbprint of the agent's key. Raises: typer.BadParameter."""
    from tokensvc.core.members import parse_thumbprint

    if name is not None and jkt is None:
        return _first_key(name).thumbprint
    if name is not None or jkt is None:
        raise typer.BadParameter("give the agent's key: either --actor-jwks or --actor-jkt")
    try:
        return parse_thumbprint(jkt)
    except Malformed as exc:
        raise typer.BadParameter(f"--actor-jkt: {exc.description}") from exc


def _first_key(name: str) -> "PublicKey":
    from tokensvc.core.jsontext import parse_json_object
    from tokensvc.core.keyset import parse_jwks

    try:
        keys = parse_jwks(parse_json_object(read_small("--actor-jwks", name, max_bytes=_MAX_KEY_BYTES)))
    except (Malformed, KeyRefused) as exc:
        raise typer.BadParameter(f"--actor-jwks: {exc.description}") from exc
    for key in keys:
        return key
    raise typer.BadParameter("--actor-jwks: the key set holds no signature key")


def _read_details(text: str | None) -> list["JsonValue"]:
    """The array that `text` is, or that stands in the file of that name. Raises: typer.BadParameter."""
    from tokensvc.core.details import parse_details
    from tokensvc.core.jsontext import parse_json

    if text is None:
        return []
    is_json = text.lstrip().startswith("[")
    content = text.encode() if is_json else read_small("--authorization-details", text, max_bytes=_MAX_DETAILS_BYTES)
    try:
        details = parse_json(content)
        parse_details(details)
    except Malformed as exc:
        raise typer.BadParameter(f"--authorization-details: {exc.description}") from exc
    # What is no array did not come so far, which the types do not say.
    return details if isinstance(details, list) else []


def _read_key(path: Path, kid: str | None) -> "SigningKey":
    """Raises: ConfigurationError, without anything of the key."""
    from tokensvc.core.jws import SigningKey
    from tokensvc.private_files import read_private_file

    try:
        key = _parse_key(read_private_file(path, max_bytes=_MAX_KEY_BYTES))
        return key if kid is None else SigningKey.from_jwk({**key.unsafe_private_jwk(), "kid": kid})
    except (Malformed, KeyRefused) as exc:
        problem = f"not a private key of ES256, Ed25519 or RS256: {exc.description}"
        remedy = "Make one: tokensvc keys client roots"
        # `from None`: what lies below may hold parts of the key.
        raise ConfigurationError(problem, file=str(path), key="", remedy=remedy) from None


def _parse_key(content: bytes) -> "SigningKey":
    """A JWK, or PEM of PKCS#8, whose kind of key says the algorithm. Raises: Malformed, KeyRefused."""
    from tokensvc.core.jsontext import parse_json_object
    from tokensvc.core.jws import SigningKey
    from tokensvc.core.keyset import Algorithm

    if not content.startswith(b"-----BEGIN"):
        return SigningKey.from_jwk(parse_json_object(content))
    refusals: list[KeyRefused] = []
    for algorithm in Algorithm:
        try:
            return SigningKey.from_pem(content, alg=algorithm)
        except KeyRefused as exc:
            refusals.append(exc)
    raise refusals[0]
