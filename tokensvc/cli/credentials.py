"""By what a command proves which client it is: a secret or a private key, from a file or standard input.

Neither is ever an argument, which would stay in the shell's history and show in the list of processes.
"""

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import typer

from tokensvc.cli.inputs import read_small
from tokensvc.errors import KeyRefused, Malformed

if TYPE_CHECKING:
    from tokensvc.client.auth import ClientAuth
    from tokensvc.core.jsontext import JsonValue
    from tokensvc.core.jws import SigningKey

__all__ = ["BASIC", "POST", "ClientKey", "ClientSecret", "read_holder_key", "read_key", "read_secret"]

BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"

# It accompanies one request, made right away.
_ACTOR_TOKEN_LIFETIME_S: Final = 60
# An RSA key of 8192 bits takes 7 KB as a JWK. A secret is a line.
_MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """A client and its secret (RFC 6749 s2.3.1)."""

    client_id: str
    secret: str = field(repr=False)

    def auth(self, method: str) -> "ClientAuth":
        """What proves it by `method`, which is `BASIC` or `POST`."""
        from tokensvc.client import auth

        return auth.ClientSecret(self.secret, in_body=method == POST)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """A client and its key, with which it signs JWTs about itself for the token service `issuer`."""

    client_id: str
    issuer: str
    key: "SigningKey" = field(repr=False)

    def auth(self) -> "ClientAuth":
        """What makes a new client assertion (RFC 7523 s2.2) for each request."""
        from tokensvc.client.auth import PrivateKeyJwt

        return PrivateKeyJwt(self.key)

    def actor_token(self) -> str:
        """A new actor token (RFC 8693 s2.1), good for one request."""
        from tokensvc.core.jws import seal_compact

        now = int(time.time())
        claims: dict[str, JsonValue] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + _ACTOR_TOKEN_LIFETIME_S,
            "jti": secrets.token_urlsafe(16),
        }
        return seal_compact(claims, typ="actor+jwt", key=self.key)


def read_secret(name: str) -> str:
    """The one line of the file `name`, or of standard input for `-`. Raises: typer.BadParameter, without any of it."""
    try:
        secret = read_small("--secret-file", name, max_bytes=_MAX_BYTES).decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        # Not "from exc", which carries the bytes.
        raise typer.BadParameter("--secret-file: not a text of one line") from None
    secret = secret.removesuffix("\r")
    if not secret or not secret.isprintable():
        raise typer.BadParameter("--secret-file: not one line of printable characters")
    return secret


def read_key(name: str) -> "SigningKey":
    """The private JWK in the file `name`. Raises: typer.BadParameter, without any of it."""
    return _read_jwk("--key", name, "ES256, Ed25519 or RS256")


def read_holder_key(name: str) -> "SigningKey":
    """The private JWK in the file `name`, by which an agent's tokens are bound. Raises: typer.BadParameter."""
    from tokensvc.client.keys import require_holder_key

    key = _read_jwk("--holder-key", name, "ES256 or Ed25519")
    try:
        require_holder_key(key)
    except KeyRefused as exc:
        raise typer.BadParameter(f"--holder-key: {exc.description}") from None
    return key


def _read_jwk(option: str, name: str, algorithms: str) -> "SigningKey":
    from tokensvc.core.jsontext import parse_json_object
    from tokensvc.core.jws import SigningKey

    try:
        return SigningKey.from_jwk(parse_json_object(read_small(option, name, max_bytes=_MAX_BYTES)))
    except (Malformed, KeyRefused) as exc:
        # `from None`: what lies below may hold parts of the key.
        raise typer.BadParameter(f"{option}: not a private JWK of {algorithms}: {exc.description}") from None
