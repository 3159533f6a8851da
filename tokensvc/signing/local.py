"""The signer that has its keys in files, and follows what becomes of them while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet
from tokensvc.errors import ConfigurationError, KeyRefused, Unavailable
from tokensvc.ports import Clock
from tokensvc.signing.keyfiles import KeyFile, parse_key_file, read_key_folder
from tokensvc.signing.rotation import no_signing_key, signing_at
from tokensvc.telemetry import Telemetry

__all__ = ["LocalSigner"]

# Some dozen files are read in less than a millisecond, so the loop may wait for them; once a second is no load.
_LOOK_EVERY_S: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usable:
    """What holds from `since` on, and before `until` (epoch seconds; None: until the files change)."""

    since: int
    until: int | None
    signing: SigningKey | None
    public: KeySet

    @property
    def kids(self) -> tuple[str | None, list[str]]:
        """The key that signs, and those that are published."""
        return None if self.signing is None else self.signing.kid, sorted(key.kid for key in self.public)


class LocalSigner:
    """Signs with the newest key of one algorithm whose time has come, and publishes every live key (port `Signer`).

    The folder is looked at when a key is asked for, at most once a second of `clock`; `rotation` has the rules. What
    cannot be used (a bad file, a folder that is gone) is told to `telemetry`, and the last good state goes on.
    """

    __slots__ = (
        "_algorithm",
        "_clock",
        "_directory",
        "_files",
        "_looked_at",
        "_problem",
        "_seen",
        "_telemetry",
        "_use",
    )

    def __init__(
        self, directory: Path, algorithm: Algorithm, *, clock: Clock, telemetry: Telemetry | None = None
    ) -> None:
        """Raises: ConfigurationError when a file cannot be used, or no key is of that algorithm."""
        self._directory = directory
        self._algorithm = algorithm
        self._clock = clock
        self._telemetry = telemetry
        self._problem: str | None = None
        self._seen: dict[tuple[str, bytes], KeyFile] = {}
        self._looked_at = now = clock()
        self._files = self._read(now)
        self._use = _usable_at(self._files, algorithm, now)

    def __repr__(self) -> str:
        return f"LocalSigner(kid={self._use.kids[0]!r})"

    def signing_key(self) -> SigningKey:
        """The key that signs now. Raises: Unavailable when the time of all of them is over."""
        key = self._now().signing
        if key is None:
            raise Unavailable("no signing key is left that has not retired")
        return key

    def public_keys(self) -> KeySet:
        """Every key that something alive may be signed with or soon will be, whatever its algorithm."""
        return self._now().public

    def _now(self) -> _Usable:
        now = self._clock()
        # A clock that was set back counts as well.
        if not 0 <= now - self._looked_at < _LOOK_EVERY_S:
            self._looked_at = now
            self._look(now)
        use = self._use
        if now < use.since or (use.until is not None and now >= use.until):
            self._switch(_usable_at(self._files, self._algorithm, now))
        return self._use

    def _look(self, now: int) -> None:
        try:
            files = self._read(now)
        except ConfigurationError as exc:
            if self._telemetry is not None and str(exc) != self._problem:
                self._telemetry.keys_unusable(exc)
            self._problem = str(exc)
            return
        if self._problem is not None and self._telemetry is not None:
            self._telemetry.keys_usable()
        self._problem = None
        if files != self._files:
            self._files = files
            self._switch(_usable_at(files, self._algorithm, now))

    def _switch(self, use: _Usable) -> None:
        before, self._use = self._use, use
        if self._telemetry is not None and use.kids != before.kids:
            signing_kid, published = use.kids
            self._telemetry.keys_changed(signing_kid=signing_kid, published=published)

    def _read(self, now: int) -> tuple[KeyFile, ...]:
        """Every key file; those that are as they were are not parsed again. Raises: ConfigurationError."""
        # By content, not by time of change: two changes within one tick of the file system look like one.
        folder = read_key_folder(self._directory)
        found = {(path.name, sha256(content).digest()): (path, content) for path, content in folder}
        seen = {name: self._seen.get(name) or parse_key_file(*file) for name, file in found.items()}
        files = tuple(seen.values())
        if signing_at(files, self._algorithm, now) is None:
            raise no_signing_key(self._directory, self._algorithm)
        try:
            KeySet(file.key.public for file in files)
        except KeyRefused as exc:
            remedy = "Remove one of the two files."
            raise ConfigurationError(exc.description, file=str(self._directory), key="", remedy=remedy) from exc
        self._seen = seen
        return files


def _usable_at(files: Sequence[KeyFile], algorithm: Algorithm, now: int) -> _Usable:
    times = [time for file in files for time in (file.not_before, file.retire_after) if time is not None]
    signing = signing_at(files, algorithm, now)
    return _Usable(
        since=max((time for time in times if time <= now), default=0),
        until=min((time for time in times if time > now), default=None),
        signing=None if signing is None else signing.key,
        public=KeySet(file.key.public for file in files if file.is_live(now)),
    )
