"""The body of a request as a form (RFC 6749 App. B). Strict: what two readers could read differently is refused.

Nothing is taken from the query: it ends up in logs. The body is counted as it comes in, whatever its header says.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.request import Form, require_single

__all__ = ["MAX_BODY_BYTES", "MAX_PARAMETERS", "announces_too_much", "parse_form", "read_form", "require_token"]

# A subject token of 16 KiB, percent-encoded at worst threefold, and everything else.
MAX_BODY_BYTES: Final = 64 * 1024
# Every parameter of RFC 8693 and ours, and dozens of targets.
MAX_PARAMETERS: Final = 64

_MEDIA_TYPE: Final = b"application/x-www-form-urlencoded"
# A lax decoder leaves these as they are, the next one may not.
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,18}")


async def read_form(request: Request) -> Form:
    """The parameters in the body of `request`. Raises: OAuthRefused (`invalid_request`)."""
    if request.scope["query_string"]:
        raise _invalid(Reason.PARAMETER_INVALID, "parameters go into the body: the query stays empty")
    content_types = _values(request, b"content-type")
    if len(content_types) != 1 or content_types[0].split(b";")[0].strip().lower() != _MEDIA_TYPE:
        raise _invalid(Reason.MALFORMED, "the Content-Type is application/x-www-form-urlencoded")
    return parse_form(await _read_body(request))


def parse_form(body: bytes) -> Form:
    """The parameters of a form, those with an empty value left out (RFC 6749 s3.2). Raises: OAuthRefused."""
    if _BAD_ESCAPE.search(body):
        raise _invalid(Reason.MALFORMED, "the body has a percent sign that is no percent-encoding")
    if body.count(b"&") >= MAX_PARAMETERS:
        raise _invalid(Reason.TOO_LARGE, f"the body has more than {MAX_PARAMETERS} parameters")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, encoding="utf-8", errors="strict")
    except UnicodeDecodeError as exc:
        raise _invalid(Reason.MALFORMED, "the body is not UTF-8") from exc
    form: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if value:
            form[name] = (*form.get(name, ()), value)
    return form


def require_token(form: Form) -> str:
    """The parameter `token`, in a form without repeats (RFC 7662 s2.1, RFC 7009 s2.1). Raises: OAuthRefused."""
    require_single(form, repeatable=frozenset())
    if "token" not in form:
        raise _invalid(Reason.PARAMETER_MISSING, "the parameter token is required")
    return form["token"][0]


def announces_too_much(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True where a header says that the body is larger than a form may be. `headers` are raw, names in lower case."""
    announced = [value for name, value in headers if name == b"content-length"]
    return any(_CONTENT_LENGTH.fullmatch(length) and int(length) > MAX_BODY_BYTES for length in announced)


async def _read_body(request: Request) -> bytes:
    if announces_too_much(request.headers.raw):
        raise _too_large()
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
    except ClientDisconnect as exc:
        # Nobody reads the answer, and nothing is processed.
        raise _invalid(Reason.MALFORMED, "the body ends early") from exc
    return bytes(body)


def _values(request: Request, name: bytes) -> list[bytes]:
    return [value for header, value in request.headers.raw if header == name]


def _too_large() -> OAuthRefused:
    return _invalid(Reason.TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes")


def _invalid(reason: Reason, description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_REQUEST, reason, description)
