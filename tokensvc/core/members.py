"""Members of JSON objects by exact types: what claims, chain entries and headers are read with."""

import re
from typing import Final

from tokensvc.core.jsontext import JsonValue
from tokensvc.errors import Malformed

__all__ = ["parse_integer", "parse_jti", "parse_text", "parse_thumbprint"]

_JTI: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def parse_text(value: JsonValue, what: str) -> str:
    """A string that is not empty. Raises: Malformed, naming `what`."""
    if type(value) is not str or not value:
        raise Malformed(f"{what} is a string that is not empty")
    return value


def parse_integer(value: JsonValue, what: str) -> int:
    """An integer from 0 on; true, 1.0 and "1" are none. Raises: Malformed, naming `what`."""
    if type(value) is not int or value < 0:
        raise Malformed(f"{what} is an integer that is not negative")
    return value


def parse_jti(value: JsonValue) -> str:
    """128 bits as 22 base64url characters. Raises: Malformed."""
    if type(value) is not str or _JTI.fullmatch(value) is None:
        raise Malformed("a jti is 128 bits in base64url")
    return value


def parse_thumbprint(value: JsonValue) -> str:
    """A SHA-256 value as 43 base64url characters (RFC 7638, RFC 9449, RFC 8705). Raises: Malformed."""
    if type(value) is not str or _THUMBPRINT.fullmatch(value) is None:
        raise Malformed("a thumbprint is a SHA-256 value in base64url")
    return value
