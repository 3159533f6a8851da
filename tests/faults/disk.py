"""A disk of a few megabytes that a test fills and empties."""

import errno
import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["SmallDisk", "mounted"]

_CHUNK = b"\0" * 4096


class SmallDisk:
    """A file system of its own at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave nothing. Whoever frees a page meanwhile may still use that one."""
        with self._filler.open("ab", buffering=0) as filler:
            while _is_written(filler):
                pass

    def free(self) -> None:
        """Give it all back."""
        self._filler.unlink()


def _is_written(filler: io.FileIO) -> bool:
    try:
        filler.write(_CHUNK)
    except OSError as exc:
        if exc.errno != errno.ENOSPC:
            raise
        return False
    return True


@contextmanager
def mounted(folder: Path, *, size: str) -> Iterator[SmallDisk]:
    """The disk, in `folder`, which is made.

    Skips where this user cannot mount anything; fails where root cannot and `TOKENSVC_REQUIRE_ALL=1`.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"needs to mount a small disk, which takes root: {done.stderr.strip()}"
        if os.environ.get("TOKENSVC_REQUIRE_ALL") == "1" and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: what still has files open there is killed, and may not have ended yet.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
