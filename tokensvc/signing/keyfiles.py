"""Signing keys in files: one file per key, `<kid>.key.json`, readable by the service's user alone.

A file holds a JSON object: `created` (epoch seconds) and `key` (a private JWK, RFC 7517), and where they are known
`not_before`, from when on the key may sign, and `retire_after`, when the last that was signed with it has ended (both
epoch seconds). Another member is refused, so that no version of this program passes over a rule about the key that it
does not know. Nothing in an error or a repr shows key material.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokensvc.core.jsontext import JsonValue, parse_json_object, render_json
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed
from tokensvc.newkey import make_key
from tokensvc.private_files import PRIVATE_FOLDER, explained, locked, read_private_file, write_file

__all__ = [
    "KeyFile",
    "add_key",
    "generate_key",
    "list_keys",
    "make_key",
    "parse_key_file",
    "read_key_folder",
    "write_key_file",
]

_SUFFIX: Final = ".key.json"
# The end of the year 9999 (epoch seconds): what a calendar can show.
_MAX_TIME: Final = 253_402_300_799
_MEMBERS: Final = frozenset({"created", "key", "not_before", "retire_after"})
# An RSA key of 8192 bits takes 7 KB as a JWK.
_MAX_BYTES: Final = 64 * 1024
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A signing key, where it is kept, and its times (epoch seconds).

    It signs from `not_before` on, until a newer one does. Nothing that it signed lives at `retire_after` or later; None
    while it has no successor.
    """

    path: Path
    created: int
    not_before: int
    retire_after: int | None
    key: SigningKey

    def is_live(self, now: int) -> bool:
        """True while something that this key signed may be alive."""
        return self.retire_after is None or now < self.retire_after


def generate_key(directory: Path, algorithm: Algorithm, *, now: int) -> KeyFile:
    """A new key that signs at once, kept in `directory`, which is made when it is not there.

    For the first key of an algorithm: verifiers must see a later one before it signs (see `rotation`).
    Raises: ConfigurationError.
    """
    with explained(directory):
        directory.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with locked(directory):
            return add_key(directory, list_keys(directory), algorithm, now=now, not_before=now)


def add_key(directory: Path, present: Iterable[KeyFile], algorithm: Algorithm, *, now: int, not_before: int) -> KeyFile:
    """A new key beside those that are `present`. When this returns, it is complete and survives a power cut.

    `created` is `now`, or later where the folder holds a later key: the new one is the newest, whatever the clock says.
    Raises: ConfigurationError, OSError.
    """
    created = max(now, *(file.created + 1 for file in present), 0)
    if max(created, not_before) > _MAX_TIME:
        remedy = "Set the clock, or take the key with that date out of the folder."
        raise ConfigurationError("no key can be newer than the year 9999", file=str(directory), key="", remedy=remedy)
    _require_unshared_folder(directory)
    key = make_key(algorithm)
    path = directory / f"{key.kid}{_SUFFIX}"
    made = KeyFile(path=path, created=created, not_before=not_before, retire_after=None, key=key)
    write_key_file(made)
    return made


def write_key_file(file: KeyFile) -> None:
    """Write `file`, whole and durable, over what stands at its path. Raises: OSError."""
    members: dict[str, JsonValue] = {
        "created": file.created,
        "not_before": file.not_before,
        "key": {**file.key.unsafe_private_jwk()},
    }
    if file.retire_after is not None:
        members["retire_after"] = file.retire_after
    write_file(file.path, render_json(members) + b"\n")


def list_keys(directory: Path) -> tuple[KeyFile, ...]:
    """Every key kept in `directory`, the newest first; none when there is no such folder.

    One file that cannot be used spoils the folder: a key passed over in silence is one that verifiers miss.
    Raises: ConfigurationError.
    """
    files = [parse_key_file(path, content) for path, content in read_key_folder(directory)]
    return tuple(sorted(files, key=lambda file: (file.created, file.key.kid), reverse=True))


def read_key_folder(directory: Path) -> tuple[tuple[Path, bytes], ...]:
    """The path and the content of every key file, by path; nothing of it is judged but its modes.

    Raises: ConfigurationError.
    """
    if not os.path.lexists(directory):
        return ()
    with explained(directory):
        _require_unshared_folder(directory)
        paths = sorted(path for path in directory.iterdir() if path.name.endswith(_SUFFIX))
    return tuple((path, _read(path)) for path in paths)


def parse_key_file(path: Path, content: bytes) -> KeyFile:
    """The key that `content` holds. Raises: ConfigurationError."""
    try:
        file = _parse(path, content)
    except (Malformed, KeyRefused) as exc:
        # `from None`: what lies below may hold parts of the file.
        raise _unusable(path, exc.description) from None
    if path.name != f"{file.key.kid}{_SUFFIX}":
        problem = "the file is not named for the kid of its key"
        remedy = f"Name it {file.key.kid}{_SUFFIX}, or remove it."
        raise ConfigurationError(problem, file=str(path), key="", remedy=remedy)
    return file


def _read(path: Path) -> bytes:
    try:
        return read_private_file(path, max_bytes=_MAX_BYTES)
    except Malformed as exc:
        raise _unusable(path, exc.description) from None


def _parse(path: Path, content: bytes) -> KeyFile:
    """Raises: Malformed, KeyRefused."""
    members = parse_json_object(content)
    jwk = members.get("key")
    if not {"created", "key"} <= members.keys() <= _MEMBERS or not isinstance(jwk, dict):
        raise Malformed("not the members created and key (a JWK), with or without not_before and retire_after")
    created = _time(members, "created")
    return KeyFile(
        path=path,
        created=created,
        not_before=_time(members, "not_before") if "not_before" in members else created,
        retire_after=_time(members, "retire_after") if "retire_after" in members else None,
        key=SigningKey.from_jwk(jwk),
    )


def _time(members: dict[str, JsonValue], name: str) -> int:
    value = members[name]
    if type(value) is not int or not 0 <= value <= _MAX_TIME:
        raise Malformed(f"{name} is not a whole number from 0 to {_MAX_TIME} (epoch seconds)")
    return value


def _require_unshared_folder(directory: Path) -> None:
    """Who may write here may replace a key with their own."""
    if directory.stat().st_mode & _OTHERS_WRITE:
        raise ConfigurationError(
            "other users may write to the folder of the signing keys",
            file=str(directory),
            key="",
            remedy=f"Run: chmod 700 {directory}",
        )


def _unusable(path: Path, problem: str) -> ConfigurationError:
    remedy = "Restore this file from a backup, or move it out of the folder and run tokensvc keys generate."
    return ConfigurationError(problem, file=str(path), key="", remedy=remedy)
