"""Which key signs and which are published at a moment, and how one key follows another.

    made                    published, and does not sign yet: verifiers learn of it
    not_before              signs, unless a newer one does
    its successor signs     published: what it signed is verified, renewed and revoked
    retire_after            nothing that it signed is alive: no longer published, and its file goes at the next rotation

Every step is safe to be cut off: a new key without its predecessor's `retire_after` leaves that one published for
longer, no more.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tokensvc.core.keyset import Algorithm
from tokensvc.errors import ConfigurationError
from tokensvc.private_files import explained, locked, remove_file
from tokensvc.settings.model import MAX_LEEWAY_S
from tokensvc.settings.values import MAX_ROOT_LIFETIME_S
from tokensvc.signing.keyfiles import KeyFile, add_key, list_keys, write_key_file

__all__ = ["DEFAULT_DELAY_S", "RETENTION_S", "Rotated", "no_signing_key", "retire_key", "rotate_key", "signing_at"]

# Twice as long as the key set may be cached (300 s): one verifier may come just before, and fail once.
DEFAULT_DELAY_S: Final = 600
# How late the last process may switch, and how far clocks may be apart.
_MARGIN_S: Final = 60
# No chain that a key signed lives longer than a root can. Whatever is configured now, it may have been more before.
RETENTION_S: Final = MAX_ROOT_LIFETIME_S + MAX_LEEWAY_S + _MARGIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What a rotation did: the new key, the keys that it follows (with their `retire_after`), the `kid`s that went."""

    made: KeyFile
    retiring: tuple[KeyFile, ...]
    removed: tuple[str, ...]


def no_signing_key(directory: Path, algorithm: Algorithm) -> ConfigurationError:
    """The error where no file in `directory` has a key of `algorithm` that signs."""
    remedy = "Restore the folder from a back-up; on a first start, or without one, run: tokensvc keys generate"
    return ConfigurationError(f"no signing key for {algorithm}", file=str(directory), key="", remedy=remedy)


def signing_at(files: Iterable[KeyFile], algorithm: Algorithm, now: int) -> KeyFile | None:
    """The key of `algorithm` that signs: the newest whose time has come; None where there is none that lives.

    Where no time has come yet, the first to come signs: better than nothing, and it is published as well.
    """
    live = [file for file in files if file.key.alg is algorithm and file.is_live(now)]
    begun = [file for file in live if file.not_before <= now]
    if begun:
        return max(begun, key=_age)
    return min(live, key=lambda file: (file.not_before, _age(file)), default=None)


def rotate_key(directory: Path, algorithm: Algorithm, *, now: int, delay_s: int) -> Rotated:
    """A new key that signs from `delay_s` on, and the end of those before it. Raises: ConfigurationError.

    Keys of other algorithms are left alone, but for those whose time is over: the files of these are removed.
    """
    with _one_writer(directory):
        files = list_keys(directory)
        present = [file for file in files if file.is_live(now)]
        signing = signing_at(present, algorithm, now)
        if signing is None:
            raise no_signing_key(directory, algorithm)
        made = add_key(directory, files, algorithm, now=now, not_before=now + delay_s)
        before = [file for file in present if file.key.alg is algorithm]
        retiring = tuple(_ended(file, signing, made.not_before + RETENTION_S) for file in before)
        for file in retiring:
            write_key_file(file)
        gone = [file for file in files if not file.is_live(now)]
        for file in gone:
            remove_file(file.path)
    return Rotated(made=made, retiring=retiring, removed=tuple(file.key.kid for file in gone))


def retire_key(directory: Path, kid: str, algorithm: Algorithm, *, now: int) -> KeyFile:
    """The key of that `kid`, whose file is removed now, whatever lives under it. Raises: ConfigurationError.

    Refused for what leaves no key of `algorithm`, or only keys that are to retire, to sign with.
    """
    with _one_writer(directory):
        files = list_keys(directory)
        wanted = next((file for file in files if file.key.kid == kid), None)
        if wanted is None:
            remedy = "Name one of those that tokensvc keys list shows."
            raise ConfigurationError("no key has that kid", file=str(directory), key="", remedy=remedy)
        left = [file for file in files if file is not wanted]
        if wanted.key.alg is algorithm and wanted.is_live(now):
            _require_successor(directory, left, algorithm, now)
        remove_file(wanted.path)
    return wanted


@contextmanager
def _one_writer(directory: Path) -> Iterator[None]:
    if not directory.is_dir():
        remedy = "Run: tokensvc keys generate, or correct keys.dir."
        raise ConfigurationError("there is no folder of signing keys", file=str(directory), key="", remedy=remedy)
    with explained(directory), locked(directory):
        yield


def _ended(file: KeyFile, signing: KeyFile, retire_after: int) -> KeyFile:
    """`file` with its end. One that has a successor already keeps the end it has; others may sign until the new one."""
    if file.retire_after is not None and _age(file) < _age(signing):
        return file
    return replace(file, retire_after=max(retire_after, file.retire_after or 0))


def _require_successor(directory: Path, left: Sequence[KeyFile], algorithm: Algorithm, now: int) -> None:
    signing = signing_at(left, algorithm, now)
    if signing is None or signing.retire_after is not None:
        raise ConfigurationError(
            "without this key there is none that can go on signing",
            file=str(directory),
            key="",
            remedy="Make its successor first: tokensvc keys rotate --now",
        )


def _age(file: KeyFile) -> tuple[int, str]:
    return file.created, file.key.kid
