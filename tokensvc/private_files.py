"""Files that hold private keys: written whole or not at all, on the disk, readable by one user alone."""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tokensvc.errors import ConfigurationError
from tokensvc.smallfile import read_small_file

__all__ = ["PRIVATE_FOLDER", "explained", "locked", "read_private_file", "remove_file", "write_file"]

PRIVATE_FOLDER: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_private_file(path: Path, *, max_bytes: int) -> bytes:
    """The content of a file that nobody else may read. Raises: ConfigurationError, Malformed."""

    def require_private(mode: int) -> None:
        if mode & _OTHERS:
            raise ConfigurationError(
                "other users may read this private key",
                file=str(path),
                key="",
                remedy=f"Run: chmod 600 {path} and replace the key if somebody may have read it.",
            )

    with explained(path):
        return read_small_file(path, max_bytes=max_bytes, require=require_private)


def write_file(path: Path, content: bytes, *, mode: int = _PRIVATE_FILE) -> None:
    """Put `content` at `path` in one step, with `mode`, and on the disk. Raises: OSError.

    A reader sees the whole file or what stood there before.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        # O_EXCL follows no link that somebody laid there, and the mode holds from the first byte on.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
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


def remove_file(path: Path) -> None:
    """Remove `path`, so that a power cut does not bring it back. Raises: OSError."""
    path.unlink()
    _fsync_folder(path.parent)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One writer at a time: who read, decided and writes back must not undo what another did meanwhile.

    A key that was ended because it leaked would come back. Readers need no lock. Raises: OSError.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what the system refuses into a problem with a remedy."""
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"the keys cannot be read or written ({exc.strerror})",
            file=str(path),
            key="",
            remedy="Give the user that tokensvc runs as the folder and the files in it (modes 700 and 600).",
        ) from exc


def _fsync_folder(directory: Path) -> None:
    """The name itself must survive a power cut, not only the bytes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
