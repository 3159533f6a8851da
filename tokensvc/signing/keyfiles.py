"""Signing keys in files: one file per key, `<kid>.key.json`, readable by the service's user alone.

A file holds a JSON object with exactly `created` (epoch seconds) and `key` (a private JWK, RFC 7517). Another member is
refused, so that no version of this program passes over a rule about the key that it does not know.
Nothing in an error or a repr shows key material.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tokensvc.core.jsontext import parse_json_object, render_json
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed
from tokensvc.smallfile import read_small_file

__all__ = ["KeyFile", "generate_key", "list_keys", "make_key"]

_SUFFIX: Final = ".key.json"
# The end of the year 9999 (epoch seconds): what a calendar can show.
_MAX_CREATED: Final = 253_402_300_799
_MEMBERS: Final = frozenset({"created", "key"})
# An RSA key of 8192 bits takes 7 KB as a JWK.
_MAX_BYTES: Final = 64 * 1024
# 128 bits of strength; 2048 bits are acceptable until 2030 only (NIST SP 800-57 part 1, table 4).
_RSA_BITS: Final = 3072
# FIPS 186-5 A.1.1; every library's choice.
_RSA_EXPONENT: Final = 65537
_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A signing key, where it is kept, and when it was made (epoch seconds)."""

    path: Path
    created: int
    key: SigningKey


def make_key(algorithm: Algorithm) -> SigningKey:
    """A new private key; its `kid` is its RFC 7638 thumbprint."""
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    match algorithm:
        case Algorithm.ES256:
            private = ec.generate_private_key(ec.SECP256R1())
        case Algorithm.ED25519:
            private = ed25519.Ed25519PrivateKey.generate()
        case Algorithm.RS256:
            private = rsa.generate_private_key(public_exponent=_RSA_EXPONENT, key_size=_RSA_BITS)
        case _:
            assert_never(algorithm)
    return SigningKey.from_pem(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), alg=algorithm)


def generate_key(directory: Path, algorithm: Algorithm, *, now: int) -> KeyFile:
    """A new key, kept in `directory`, which is made when it is not there.

    `created` is `now`, or later where the folder holds a later key: the new one is the newest, whatever the clock says.
    When this returns, the file is complete and survives a power cut. Raises: ConfigurationError.
    """
    newest = max((file.created for file in list_keys(directory)), default=0)
    created = max(now, newest + 1)
    if created > _MAX_CREATED:
        remedy = "Set the clock, or take the key with that date out of the folder."
        raise ConfigurationError("no key can be newer than the year 9999", file=str(directory), key="", remedy=remedy)
    key = make_key(algorithm)
    path = directory / f"{key.kid}{_SUFFIX}"
    with _explained(directory):
        directory.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        _require_unshared_folder(directory)
        _write_private_file(path, render_json({"created": created, "key": key.unsafe_private_jwk()}) + b"\n")
    return KeyFile(path=path, created=created, key=key)


def list_keys(directory: Path) -> tuple[KeyFile, ...]:
    """Every key kept in `directory`, the newest first; none when there is no such folder.

    One file that cannot be used spoils the folder: a key passed over in silence is one that verifiers miss.
    Raises: ConfigurationError.
    """
    if not os.path.lexists(directory):
        return ()
    with _explained(directory):
        _require_unshared_folder(directory)
        paths = sorted(path for path in directory.iterdir() if path.name.endswith(_SUFFIX))
    files = [_read_key_file(path) for path in paths]
    return tuple(sorted(files, key=lambda file: (file.created, file.key.kid), reverse=True))


def _write_private_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step, mode 0600, and on the disk. Raises: OSError.

    A reader sees the whole file or none. What stands at `path` is replaced: the caller knows that nothing does.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        # O_EXCL follows no link that somebody laid there, and the mode holds from the first byte on.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    _fsync_folder(path.parent)


def _fsync_folder(directory: Path) -> None:
    """The new name itself must survive a power cut, not only the bytes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_unshared_folder(directory: Path) -> None:
    """Who may write here may replace a key with their own."""
    if directory.stat().st_mode & _OTHERS_WRITE:
        raise ConfigurationError(
            "other users may write to the folder of the signing keys",
            file=str(directory),
            key="",
            remedy=f"Run: chmod 700 {directory}",
        )


def _read_key_file(path: Path) -> KeyFile:
    remedy = "Restore this file from a backup, or move it out of the folder and run tokensvc keys generate."
    try:
        created, key = _parse_key_file(_read_private_file(path))
    except (Malformed, KeyRefused) as exc:
        # `from None`: what lies below may hold parts of the file.
        raise ConfigurationError(exc.description, file=str(path), key="", remedy=remedy) from None
    if path.name != f"{key.kid}{_SUFFIX}":
        problem = "the file is not named for the kid of its key"
        raise ConfigurationError(problem, file=str(path), key="", remedy=f"Name it {key.kid}{_SUFFIX}, or remove it.")
    return KeyFile(path=path, created=created, key=key)


def _parse_key_file(text: bytes) -> tuple[int, SigningKey]:
    """`created` and `key`. Raises: Malformed, KeyRefused."""
    members = parse_json_object(text)
    created, jwk = members.get("created"), members.get("key")
    if members.keys() != _MEMBERS or type(created) is not int or not isinstance(jwk, dict):
        raise Malformed("not exactly the members created (a whole number) and key (a JWK)")
    if not 0 <= created <= _MAX_CREATED:
        raise Malformed(f"created is not from 0 to {_MAX_CREATED} (epoch seconds)")
    return created, SigningKey.from_jwk(jwk)


def _read_private_file(path: Path) -> bytes:
    """The content of a file that nobody else may read. Raises: ConfigurationError, Malformed."""

    def require_private(mode: int) -> None:
        if mode & _OTHERS:
            raise ConfigurationError(
                "other users may read this signing key",
                file=str(path),
                key="",
                remedy=f"Run: chmod 600 {path} and replace the key if somebody may have read it.",
            )

    with _explained(path):
        return read_small_file(path, max_bytes=_MAX_BYTES, require=require_private)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the system refuses into a problem with a remedy."""
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"the signing keys cannot be read or written ({exc.strerror})",
            file=str(path),
            key="",
            remedy="Give the user that tokensvc runs as the folder and the files in it (modes 700 and 600).",
        ) from exc
