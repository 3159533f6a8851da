"""By what a command proves which client it is: a secret or a private key, from a file or standard input.

Neither is ever an argument, which would stay in the shell's history and show in the list of processes.
"""

import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

import typer

from tokensvc.cli.inputs import read_small
from tokensvc.errors import KeyRefused, Malformed

if TYPE_CHECKING:
    from tokensvc.core.jsontext import JsonValue
    from tokensvc.core.jws import SigningKey

__all__ = ["BASIC", "POST", "ClientKey", "ClientSecret", "Proof", "read_key", "read_secret"]

BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# It accompanies one request, made right away.
_ASSERTION_LIFETIME_S: Final = 60
# An RSA key of 8192 bits takes 7 KB as a JWK. A secret is a line.
_MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What goes into a request: header fields and parameters of the form."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)

    def with_holder(self, key: "SigningKey | None", url: str, *, nonce: str | None) -> "Proof":
        """The same, and a DPoP proof of `key` for one POST to `url` (RFC 9449 s4.2) where there is a key."""
        if key is None:
            return self
        from tokensvc.client.sealed import make_proof

        proof = make_proof(key, method="POST", url=url, now=time.time(), nonce=nonce)
        return Proof(headers={**self.headers, "dpop": proof}, form=self.form)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """A client and its secret (RFC 6749 s2.3.1)."""

    client_id: str
    secret: str = field(repr=False)

    def prove(self, method: str) -> Proof:
        """The proof by `method`, which is `BASIC` or `POST`."""
        if method == POST:
            return Proof(form={"client_id": self.client_id, "client_secret": self.secret})
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}".encode("ascii")
        return Proof(headers={"authorization": f"Basic {b64encode(pair).decode('ascii')}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """A client and its key, with which it signs JWTs about itself for the token service `issuer`."""

    client_id: str
    issuer: str
    key: "SigningKey" = field(repr=False)

    def prove(self) -> Proof:
        """A new client assertion (RFC 7523 s2.2), good for one request."""
        return Proof(form={"client_assertion_type": _ASSERTION_TYPE, "client_assertion": self._sign("JWT")})

    def actor_token(self) -> str:
        """A new actor token (RFC 8693 s2.1), good for one request."""
        return self._sign("actor+jwt")

    def _sign(self, typ: str) -> str:
        from tokensvc.core.jws import seal_compact

        now = int(time.time())
        claims: dict[str, JsonValue] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + _ASSERTION_LIFETIME_S,
            "jti": secrets.token_urlsafe(16),
        }
        return seal_compact(claims, typ=typ, key=self.key)


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


def read_key(option: str, name: str) -> "SigningKey":
    """The private JWK in the file `name` that `option` names. Raises: typer.BadParameter, without any of it."""
    from tokensvc.core.jsontext import parse_json_object
    from tokensvc.core.jws import SigningKey

    try:
        return SigningKey.from_jwk(parse_json_object(read_small(option, name, max_bytes=_MAX_BYTES)))
    except (Malformed, KeyRefused) as exc:
        # `from None`: what lies below may hold parts of the key.
        raise typer.BadParameter(f"{option}: not a private JWK of ES256, Ed25519 or RS256: {exc.description}") from None
