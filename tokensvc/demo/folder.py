"""The folder of a demo: a temporary one that goes with it, or one that was named and stays.

Nobody's files are overwritten. A named folder is new, empty, or what an earlier demo left, file by file and with its
`tokensvc.toml` as that demo wrote it: the last line of that file is a hash of the others. Those are then cleared.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tokensvc.demo.cast import IDP_JWKS_FILE
from tokensvc.errors import ConfigurationError

__all__ = ["CONFIG_FILE", "KEYS_FOLDER", "LOG_FILE", "WORLD_FILE", "demo_folder", "write_config", "write_private"]

CONFIG_FILE: Final = "tokensvc.toml"
KEYS_FOLDER: Final = "keys"
LOG_FILE: Final = "tokensvc.log"
WORLD_FILE: Final = "world.json"

_UNFINISHED: Final = ".tmp"
_DATABASE: Final = "tokensvc.db"
_FILES: Final = frozenset(
    {IDP_JWKS_FILE, LOG_FILE, WORLD_FILE, WORLD_FILE + _UNFINISHED}
    | {_DATABASE + suffix for suffix in ("", "-wal", "-shm", "-journal")}
)
_SEAL: Final = "# This file is as the demo wrote it: sha256 "
_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700


@contextmanager
def demo_folder(directory: Path | None) -> Iterator[Path]:
    """An empty folder, for one demo at a time.

    Raises: ConfigurationError when `directory` is in use, cannot be written, or holds what no demo wrote.
    """
    if directory is None:
        with TemporaryDirectory(prefix="tokensvc-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    descriptor = _lock(directory)
    try:
        with _explained(directory):
            _clear(directory)
        yield directory
    finally:
        os.close(descriptor)


def write_config(folder: Path, text: str) -> Path:
    """`text` as the configuration file, sealed, so that the next demo knows that nobody has touched it."""
    path = folder / CONFIG_FILE
    write_private(path, f"{text}\n{_seal(text)}\n")
    return path


def write_private(path: Path, text: str) -> None:
    """A file at `path` with mode 0600, in one step: who sees it sees all of it. Raises: OSError."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    # O_EXCL follows no link that somebody laid there, and the mode holds from the first byte on.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.rename(path)


def _lock(directory: Path) -> int:
    """A descriptor that keeps other demos out until it is closed, however this process ends."""
    with _explained(directory):
        directory.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _refused(directory, "another demo is running in this folder") from None
    return descriptor


def _clear(directory: Path) -> None:
    """Remove what an earlier demo left; first look at everything, so that a refusal removes nothing."""
    found = sorted(directory.iterdir())
    if not found:
        return
    config, keys = directory / CONFIG_FILE, directory / KEYS_FOLDER
    if not _is_sealed(config):
        raise _refused(directory, "the folder is not empty, and not as a demo left it")
    key_files = sorted(keys.iterdir()) if keys.is_dir() and not keys.is_symlink() else []
    ours = {config, keys, *(directory / name for name in _FILES)}
    # A demo makes one key.
    foreign = [path for path in found if path not in ours] or key_files[1:]
    if foreign:
        raise _refused(directory, f"the folder holds {foreign[0].name}, which no demo put there")
    # world.json first: nobody must take the old one for the new. The sealed file last: until then this can be repeated.
    for path in (directory / WORLD_FILE, *(path for path in found if path not in {config, keys}), *key_files):
        path.unlink(missing_ok=True)
    if keys in found:
        keys.rmdir()
    config.unlink()


def _is_sealed(config: Path) -> bool:
    if config.is_symlink() or not config.is_file():
        return False
    text, separator, seal = config.read_text(encoding="utf-8", errors="replace").rstrip("\n").rpartition("\n")
    return separator == "\n" and seal == _seal(text)


def _seal(text: str) -> str:
    return _SEAL + sha256(text.encode("utf-8")).hexdigest()


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turns what the system refuses into a problem with a remedy."""
    try:
        yield
    except OSError as exc:
        raise _refused(directory, f"the folder cannot be used ({exc.strerror})") from exc


def _refused(directory: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(problem, file=str(directory), key="--dir", remedy="Name a folder that is new or empty.")
