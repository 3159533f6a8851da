"""How an agent proves who it is at the token service: a secret, a key of its own, its platform's token, a certificate.

Each makes what goes into one request, anew for each. Nothing shows a secret in its repr.
"""

import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote_plus

from tokensvc.client.sealed import new_jti
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.jws import SigningKey, seal_compact
from tokensvc.errors import Malformed
from tokensvc.smallfile import read_small_file

__all__ = [
    "JWT_BEARER",
    "JWT_SPIFFE",
    "ClientAuth",
    "ClientSecret",
    "Credentials",
    "PrivateKeyJwt",
    "TlsClientAuth",
    "WorkloadToken",
]

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 s2.2."""
JWT_SPIFFE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
"""draft-ietf-oauth-spiffe-client-auth."""
# It accompanies one request, made right away.
_ASSERTION_LIFETIME_S: Final = 60
# Tokens of platforms have one or two KB.
_MAX_TOKEN_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What goes into a request: header fields and parameters of the form."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


class ClientAuth(Protocol):
    """A way to authenticate."""

    def credentials(self, client_id: str, *, issuer: str | None, now: float) -> Credentials:
        """What proves for one request that it is from `client_id`. `now` in epoch seconds."""
        ...


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret (RFC 6749 s2.3.1): in the Authorization header, or with `in_body` in the form."""

    secret: str = field(repr=False)
    in_body: bool = False

    def credentials(self, client_id: str, *, issuer: str | None, now: float) -> Credentials:  # noqa: ARG002 - of the protocol
        """Both parts form-encoded in the header, as RFC 6749 says."""
        if self.in_body:
            return Credentials(form={"client_id": client_id, "client_secret": self.secret})
        pair = f"{quote_plus(client_id)}:{quote_plus(self.secret)}".encode("ascii")
        return Credentials(headers={"authorization": f"Basic {b64encode(pair).decode('ascii')}"})


@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    """A key that signs a new assertion for each request (RFC 7523 s2.2). The agent has to know the issuer."""

    key: SigningKey = field(repr=False)

    def credentials(self, client_id: str, *, issuer: str | None, now: float) -> Credentials:
        """An assertion of 60 s whose `aud` is the issuer, as a string. Raises: ValueError without an issuer."""
        if issuer is None:
            raise ValueError("PrivateKeyJwt needs issuer=, which is the aud of what it signs")
        iat = int(now)
        claims: dict[str, JsonValue] = {
            "iss": client_id,
            "sub": client_id,
            "aud": issuer,
            "iat": iat,
            "exp": iat + _ASSERTION_LIFETIME_S,
            "jti": new_jti(),
        }
        assertion = seal_compact(claims, typ="client-authentication+jwt", key=self.key)
        return Credentials(form={"client_assertion_type": JWT_BEARER, "client_assertion": assertion})


@dataclass(frozen=True, slots=True)
class WorkloadToken:
    """The token that a platform gives its workloads, a JWT-SVID or a Kubernetes service-account token.

    `read` is called for each request, as platforms replace these tokens every few minutes: a path, or what returns the
    text. For SPIFFE `assertion_type` is `JWT_SPIFFE`.
    """

    read: Path | Callable[[], str] = field(repr=False)
    assertion_type: str = JWT_BEARER

    def credentials(self, client_id: str, *, issuer: str | None, now: float) -> Credentials:  # noqa: ARG002 - of the protocol
        """The token as it is now. Raises: OSError and Malformed for a file, and what the callable raises."""
        token = self._read_file(self.read) if isinstance(self.read, Path) else self.read()
        form = {"client_assertion_type": self.assertion_type, "client_assertion": token.strip()}
        return Credentials(form={**form, "client_id": client_id})

    @staticmethod
    def _read_file(path: Path) -> str:
        content = read_small_file(path, max_bytes=_MAX_TOKEN_BYTES)
        if not content.isascii():
            raise Malformed("the file of the workload token holds no token")
        return content.decode("ascii")


@dataclass(frozen=True, slots=True)
class TlsClientAuth:
    """A certificate (RFC 8705 s2): the form names the client, the connection proves it.

    `cert` and `key` are PEM files. Without, the HTTP client that you give the agent has to present the certificate.
    """

    cert: Path | str | None = None
    key: Path | str | None = None

    def credentials(self, client_id: str, *, issuer: str | None, now: float) -> Credentials:  # noqa: ARG002 - of the protocol
        """The name alone."""
        return Credentials(form={"client_id": client_id})

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have connections of `context` present the certificate. Raises: OSError, ssl.SSLError."""
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
