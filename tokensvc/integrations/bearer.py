"""Bearer tokens in HTTP, for every adapter: the one token of a request, and the answer to one that is refused.

Sources: RFC 6750 s2.1 and s3, RFC 9728 s5.1. Everything that gets into a header is ASCII without quotation mark and
backslash: URLs and scopes by their grammar, descriptions by `errors.printable`.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tokensvc.core.jsontext import render_json
from tokensvc.errors import AccessDenied, OAuthError, OAuthRefused, Reason, TokenRefused

__all__ = ["Answer", "Headers", "parse_bearer", "render_refusal"]

Headers = Iterable[tuple[bytes, bytes]]

_B64TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
# Long enough for a key set or a revocation feed to be read again, short enough for a caller to wait for it.
_RETRY_AFTER_S: Final = 5
# A refusal speaks of one token at one moment, and a cache must not give it to the next caller.
_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `body` is a JSON object with `error`, `error_description` and `reason`."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def parse_bearer(headers: Headers) -> str | None:
    """The Bearer token of the one `Authorization` header, or None where there is none, or one of another scheme.

    Query and body are never looked at. Raises: OAuthRefused (`invalid_request`) for two headers: whoever reads the
    other one would see another caller; TokenRefused (`malformed`) for what is no b64token.
    """
    values = [value for name, value in headers if name.lower() == b"authorization"]
    if len(values) > 1:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_REPEATED, "more than one Authorization header")
    scheme, _, credentials = b"".join(values).strip(b" \t").partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    token = credentials.lstrip(b" ")
    if _B64TOKEN.fullmatch(token) is None:
        raise TokenRefused(Reason.MALFORMED, "the Authorization header is not Bearer and one token")
    return token.decode("ascii")


def render_refusal(exc: Exception | None, *, resource_metadata: str, scope: str | None) -> Answer:
    """The answer for whatever stopped a call; None: it carried no credentials (no error code, RFC 6750 s3.1).

    `scope` is what the challenge asks for. What is no verdict on the token is answered with 503 and logged: the class
    of the exception only, as its text could hold the token.
    """
    match exc:
        case None:
            return _challenge(401, {}, resource_metadata, scope)
        case TokenRefused() if exc.reason is not Reason.REVOCATION_STALE:
            return _challenge(401, _said("invalid_token", exc.description, exc.reason), resource_metadata, scope)
        case AccessDenied():
            return _challenge(403, _said("insufficient_scope", exc.description, exc.reason), resource_metadata, scope)
        case OAuthRefused():
            return _challenge(400, _said(exc.error, exc.description, exc.reason), resource_metadata, scope)
        case _:
            reason = exc.reason if isinstance(exc, TokenRefused) else Reason.TEMPORARILY_UNAVAILABLE
            _log.error("no verdict on a token: %s: %s", reason, type(exc).__name__)
            said = _said("temporarily_unavailable", "the token cannot be verified at the moment", reason)
            return Answer(
                status=503,
                headers=(*_HEADERS, (b"retry-after", b"%d" % _RETRY_AFTER_S)),
                body=render_json(said),
            )


def _said(error: str, description: str, reason: Reason | None) -> dict[str, str]:
    said = {"error": error, "error_description": description}
    return said if reason is None else {**said, "reason": reason}


def _challenge(status: int, said: Mapping[str, str], resource_metadata: str, scope: str | None) -> Answer:
    parameters = {name: value for name, value in said.items() if name != "reason"}
    if scope is not None:
        parameters["scope"] = scope
    parameters["resource_metadata"] = resource_metadata
    challenge = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())
    headers = (*_HEADERS, (b"www-authenticate", challenge.encode("ascii")))
    return Answer(status=status, headers=headers, body=render_json(said))
