"""What a client presents to prove who it is (RFC 6749 s2.3.1, RFC 7523 s2.2, RFC 8705 s2), from headers, body and TLS.

Nothing is judged here. Two ways at once are refused: two readers could pick different ones. A certificate is a way
where there is no other; beside one it binds tokens and proves nobody. A way that is not supported (another scheme or
type) and one that does not parse are no credentials at all: the answer is `invalid_client`, as for a wrong secret.
"""

import re
from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from tokensvc.core.certificate import Certificate
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.authenticate import (
    ClientAssertion,
    ClientAuthenticator,
    ClientSecret,
    Credentials,
    TlsCertificate,
)
from tokensvc.exchange.parties import AuthMethod, Party
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import Form
from tokensvc.exchange.workload import claimed_agent
from tokensvc.server.client_certificate import CertificateSource
from tokensvc.server.form import read_form
from tokensvc.telemetry import Telemetry

__all__ = ["ASSERTION_TYPE", "SVID_TYPE", "Admitted", "Door", "read_credentials"]

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# draft-ietf-oauth-spiffe-client-auth. A JWT-SVID may come under the other type as well, as one of RFC 7523 does.
SVID_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_IN_BODY: Final = ("client_secret", "client_assertion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A form and the client that proved to have sent it.

    `certificate` is the `x5t#S256` of the certificate that came with it, used to authenticate or not.
    """

    form: Form
    client: Party
    certificate: str | None


class Door:
    """Steps 1 and 2 of every request that needs a client: the form, then who sent it."""

    __slots__ = ("_authenticator", "_certificates", "_registry", "_telemetry")

    def __init__(
        self,
        authenticator: ClientAuthenticator,
        registry: Registry,
        telemetry: Telemetry,
        certificates: CertificateSource | None = None,
    ) -> None:
        """Without a source of `certificates` no request has one."""
        self._authenticator = authenticator
        self._certificates = certificates
        self._registry = registry
        self._telemetry = telemetry

    async def admit(self, request: Request) -> Admitted:
        """The form and its sender. Raises: OAuthRefused; a failed authentication is counted and logged, not stored."""
        return await self._admit(request, await read_form(request))

    async def admit_without_form(self, request: Request) -> Admitted:
        """The sender of a request that has no body, by its header. Raises: OAuthRefused, as `admit` does."""
        if request.scope["query_string"]:
            raise _invalid(Reason.PARAMETER_INVALID, "no parameters here: the query stays empty")
        return await self._admit(request, {})

    async def _admit(self, request: Request, form: Form) -> Admitted:
        credentials: Credentials | None = None
        try:
            certificate = None if self._certificates is None else self._certificates.certificate_of(request.scope)
            credentials = read_credentials(request.headers.raw, form, certificate)
            client = await self._authenticator.authenticate(credentials)
        except OAuthRefused as refusal:
            if refusal.error is not OAuthError.INVALID_CLIENT:
                raise
            client_id = _claimed_id(credentials, form, self._registry)
            is_registered = client_id is not None and self._registry.party(client_id) is not None
            self._telemetry.client_failed(client_id=client_id, is_registered=is_registered)
            raise
        return Admitted(form=form, client=client, certificate=None if certificate is None else certificate.thumbprint)


def read_credentials(
    headers: Iterable[tuple[bytes, bytes]], form: Form, certificate: Certificate | None = None
) -> Credentials | None:
    """The credentials, or None where there are none that could be checked.

    `headers` are raw, their names in lower case. Raises: OAuthRefused (`invalid_request`) for more than one way.
    """
    authorization = [value for name, value in headers if name == b"authorization"]
    if len(authorization) > 1:
        raise _invalid(Reason.PARAMETER_REPEATED, "there is more than one Authorization header")
    for name in ("client_id", "client_assertion_type", *_IN_BODY):
        if len(form.get(name, ())) > 1:
            raise _invalid(Reason.PARAMETER_REPEATED, f"the parameter {name} stands more than once")
    ways = [*authorization, *(name for name in _IN_BODY if name in form)]
    if len(ways) > 1:
        raise _invalid(Reason.PARAMETER_INVALID, "the client authenticates in more than one way")
    (client_id,) = form.get("client_id", (None,))
    if authorization:
        return _parse_basic(authorization[0], body_client_id=client_id)
    if "client_assertion" in form:
        return _parse_assertion(form, body_client_id=client_id)
    if client_id is None:
        return None
    if "client_secret" not in form:
        # RFC 8705 s2: the certificate proves what client_id says, and does not say it itself. A type of assertion
        # means another way, begun and not finished.
        if certificate is None or "client_assertion_type" in form:
            return None
        return TlsCertificate(client_id=client_id, certificate=certificate)
    return ClientSecret(
        method=AuthMethod.CLIENT_SECRET_POST,
        readings=((client_id, form["client_secret"][0]),),
        body_client_id=client_id,
    )


def _parse_assertion(form: Form, *, body_client_id: str | None) -> ClientAssertion | None:
    (kind,) = form.get("client_assertion_type", (None,))
    if kind is None:
        raise _invalid(Reason.PARAMETER_MISSING, f"the parameter client_assertion_type is required: {ASSERTION_TYPE}")
    if kind not in {ASSERTION_TYPE, SVID_TYPE}:
        return None
    return ClientAssertion(
        assertion=form["client_assertion"][0], body_client_id=body_client_id, is_svid=kind == SVID_TYPE
    )


def _parse_basic(value: bytes, *, body_client_id: str | None) -> ClientSecret | None:
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = b64decode(encoded.strip(b" "), validate=True).partition(b":")
    except BinasciiError:
        return None
    # RFC 6749 s2.3.1 form-encodes both parts, and many clients do not.
    raw = _decode(user), _decode(password)
    encoded_form = _decode_form(user), _decode_form(password)
    readings = tuple(
        dict.fromkeys((client_id, secret) for client_id, secret in (encoded_form, raw) if client_id and secret)
    )
    if not colon or not readings:
        return None
    return ClientSecret(method=AuthMethod.CLIENT_SECRET_BASIC, readings=readings, body_client_id=body_client_id)


def _decode_form(part: bytes) -> str | None:
    return None if _BAD_ESCAPE.search(part) else _decode(unquote_to_bytes(part.replace(b"+", b" ")))


def _decode(part: bytes) -> str | None:
    try:
        return part.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _claimed_id(credentials: Credentials | None, form: Form, registry: Registry) -> str | None:
    """Who a failed client said it was, for the log."""
    if credentials is None:
        return form["client_id"][0] if "client_id" in form else None
    if isinstance(credentials, ClientAssertion) and (agent := claimed_agent(credentials.assertion, registry)):
        return agent.id
    return credentials.claimed_id or (form["client_id"][0] if "client_id" in form else None)


def _invalid(reason: Reason, description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_REQUEST, reason, description)
