"""Public keys out of files: a JWK Set, or one PEM text. Read once, at start; small, regular files only."""

import re
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.keyset import MAX_KID_LENGTH, Algorithm, KeySet, PublicKey, parse_jwks, wrap_key
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed
from tokensvc.smallfile import read_small_file

__all__ = ["read_jwks", "read_pem"]

# The hundred keys that a set may have, RSA with 8192 bits, take 150 KB.
_MAX_BYTES: Final = 256 * 1024
_LABELS: Final = re.compile(rb"-----BEGIN ([^\r\n]{0,64}?)-----")


def read_jwks(path: Path) -> KeySet:
    """The keys of the JWK Set in a file (RFC 7517 s5), one at least. Raises: ConfigurationError."""
    remedy = 'Save the JWK Set of the issuer there: {"keys": [...]}.'
    try:
        keys = parse_jwks(parse_json_object(_read(path)))
    except (Malformed, KeyRefused) as exc:
        raise _unusable(path, exc.description, remedy) from exc
    if len(keys) == 0:
        raise _unusable(path, "the key set holds no key that can be used here", remedy)
    return keys


def read_pem(path: Path, *, alg: Algorithm, kid: str | None = None) -> KeySet:
    """The one public key of a PEM file (RFC 7468 s13), for `alg` and nothing else.

    `kid` is what tokens call it; None: its RFC 7638 thumbprint. Raises: ConfigurationError; ValueError for a `kid` that
    none can have.
    """
    if kid is not None and not 0 < len(kid) <= MAX_KID_LENGTH:
        raise ValueError(f"a kid has 1 to {MAX_KID_LENGTH} characters")
    try:
        key = _parse_pem(_read(path), kid=kid, alg=alg)
    except (Malformed, KeyRefused) as exc:
        remedy = "Save one public key there, as written by: openssl pkey -pubout"
        raise _unusable(path, exc.description, remedy) from exc
    return KeySet([key])


def _parse_pem(text: bytes, *, kid: str | None, alg: Algorithm) -> PublicKey:
    """Raises: Malformed, KeyRefused."""
    labels: list[bytes] = _LABELS.findall(text)
    if any(b"PRIVATE" in label for label in labels):
        raise KeyRefused("a private key stands where a public one is due")
    # Of several, one library takes the first and another the last. A certificate has dates that nobody checks here.
    if labels != [b"PUBLIC KEY"]:
        raise Malformed("not exactly one PEM text with the label PUBLIC KEY")
    try:
        native = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise KeyRefused("the PEM text holds no public key that can be read") from exc
    key = wrap_key(native, alg=alg)
    return PublicKey.of(key, kid=PublicKey.of(key, kid="", alg=alg).thumbprint if kid is None else kid, alg=alg)


def _read(path: Path) -> bytes:
    """The content of a small regular file. Raises: Malformed, ConfigurationError."""

    def require_trustworthy(mode: int) -> None:
        # Whoever may write here decides which tokens are genuine. A group may: many systems give each user one.
        if mode & stat.S_IWOTH:
            raise _unusable(path, "every user of this machine may write to the public keys", f"Run: chmod o-w {path}")

    try:
        return read_small_file(path, max_bytes=_MAX_BYTES, require=require_trustworthy)
    except OSError as exc:
        problem = f"the public keys cannot be read ({exc.strerror})"
        raise _unusable(path, problem, "Name a file that the user of this program may read.") from exc


def _unusable(path: Path, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, file=str(path), key="", remedy=remedy)
