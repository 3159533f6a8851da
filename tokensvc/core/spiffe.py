"""SPIFFE IDs and the keys of a trust domain (SPIFFE-ID s2, SPIFFE Trust Domain and Bundle s4, JWT-SVID s6).

Names of workloads are compared byte for byte, so that only the one spelling of the specification is a SPIFFE ID: what
another reader might take for the same is none.
"""

import re
from dataclasses import dataclass
from typing import Final

from tokensvc.core.jsontext import JsonObject, JsonValue
from tokensvc.core.keyset import KeySet, parse_jwks
from tokensvc.errors import Malformed

__all__ = ["SpiffeId", "is_trust_domain", "parse_bundle", "parse_spiffe_id"]

_SCHEME: Final = "spiffe://"
# SPIFFE-ID s2.3: the whole of it, in bytes, which here are characters.
_MAX_LENGTH: Final = 2048
# SPIFFE-ID s2.1: lower case, no port, no user name, no escapes; at most what a host of RFC 3986 may have.
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
# SPIFFE-ID s2.2: no escapes, nothing empty, and neither `.` nor `..`, which a reader of URLs would take out.
_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")
# Bundle s4.2.2: case sensitive, and every other use is passed over.
_JWT_SVID: Final = "jwt-svid"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpiffeId:
    """The name of a workload: `trust_domain`, and a `path` that begins with a slash. Its text is that of the URI."""

    trust_domain: str
    path: str

    @property
    def platform(self) -> str:
        """The SPIFFE ID of the trust domain itself."""
        return f"{_SCHEME}{self.trust_domain}"

    def __str__(self) -> str:
        """The URI."""
        return f"{self.platform}{self.path}"


def is_trust_domain(name: str) -> bool:
    """True for what may be called a trust domain (SPIFFE-ID s2.1): the name alone, without scheme."""
    return _TRUST_DOMAIN.fullmatch(name) is not None


def parse_spiffe_id(text: str) -> SpiffeId:
    """The SPIFFE ID of a workload. One without a path names the trust domain itself, and is none.

    Raises: Malformed.
    """
    if len(text) > _MAX_LENGTH:
        raise Malformed(f"a SPIFFE ID has at most {_MAX_LENGTH} characters")
    trust_domain, slash, path = text.removeprefix(_SCHEME).partition("/")
    path = slash + path
    if not text.startswith(_SCHEME) or not is_trust_domain(trust_domain) or _PATH.fullmatch(path) is None:
        raise Malformed("a SPIFFE ID is spiffe://TRUST-DOMAIN/PATH, in letters, digits, and . - _")
    return SpiffeId(trust_domain=trust_domain, path=path)


def parse_bundle(value: JsonObject) -> KeySet:
    """The keys of a SPIFFE bundle that JWT-SVIDs are signed with: those whose `use` is `jwt-svid`.

    X.509 authorities, and keys without a use, are passed over, as are keys of algorithms that are not in use here. What
    spoils a key set spoils a bundle, see `parse_jwks`. Raises: KeyRefused.
    """
    keys = value.get("keys")
    return parse_jwks({**value, "keys": [_as_jwk(key) for key in keys] if isinstance(keys, list) else keys})


def _as_jwk(key: JsonValue) -> JsonValue:
    if not isinstance(key, dict):
        return key
    # In another key set `sig`, and no `use` at all, say what `jwt-svid` says in a bundle.
    return {**key, "use": "sig" if key.get("use") == _JWT_SVID else "not for JWT-SVIDs"}
