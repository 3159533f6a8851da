"""The credentials of a request: the one token of its `Authorization` header, and the proof in its `DPoP` header.

Sources: RFC 6750 s2.1, RFC 9449 s4.3 and s7.1. Query and body are never looked at.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tokensvc.errors import OAuthError, OAuthRefused, Reason, TokenRefused

__all__ = ["Credentials", "Headers", "Scheme", "parse_credentials", "parse_proof"]

Headers = Iterable[tuple[bytes, bytes]]

_B64TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


class Scheme(StrEnum):
    """How a token is presented."""

    BEARER = "Bearer"
    """Alone, or over a TLS connection with the certificate that it is bound to."""
    DPOP = "DPoP"
    """With a proof of the key that it is bound to."""


_SCHEMES: Final = {scheme.lower().encode("ascii"): scheme for scheme in Scheme}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What an `Authorization` header of a known scheme says; `text` is to be a token, and is none yet."""

    scheme: Scheme
    text: bytes = field(repr=False)

    def token(self) -> str:
        """The token. Raises: TokenRefused (`malformed`) for what is no b64token."""
        if _B64TOKEN.fullmatch(self.text) is None:
            raise TokenRefused(Reason.MALFORMED, f"the Authorization header is not {self.scheme} and one token")
        return self.text.decode("ascii")


def parse_credentials(headers: Headers) -> Credentials | None:
    """The one `Authorization` header, or None where there is none, or one of another scheme.

    Raises: OAuthRefused (`invalid_request`) for two of them: whoever reads the other one would see another caller.
    """
    values = _values(headers, b"authorization")
    if len(values) > 1:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_REPEATED, "more than one Authorization header")
    name, _, text = b"".join(values).strip(b" \t").partition(b" ")
    scheme = _SCHEMES.get(name.lower())
    return None if scheme is None else Credentials(scheme=scheme, text=text.lstrip(b" "))


def parse_proof(headers: Headers) -> str:
    """The text of the one `DPoP` header (RFC 9449 s4.3, check 1), whatever it is.

    Raises: TokenRefused (`proof_invalid`) when there is none; OAuthRefused (`invalid_request`) for two of them.
    """
    values = _values(headers, b"dpop")
    if not values:
        raise TokenRefused(Reason.PROOF_INVALID, "DPoP: the scheme DPoP needs a proof in the header DPoP")
    if len(values) > 1:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_REPEATED, "more than one DPoP header")
    # One character for each byte: what is not ASCII is refused as malformed, not repaired.
    return values[0].strip(b" \t").decode("latin-1")


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]
