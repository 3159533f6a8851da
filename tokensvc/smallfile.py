"""Small files of the operator's: configuration and keys. Reading one never waits and never fills the memory."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from tokensvc.errors import Malformed, Reason

__all__ = ["read_small_file"]


def read_small_file(path: Path, *, max_bytes: int, require: Callable[[int], None] | None = None) -> bytes:
    """The content of a regular file of `max_bytes` at most. `require` may refuse it by its mode, before it is read.

    Links are followed, as mounted files are links; what is judged is the file that was opened.
    Raises: OSError, Malformed, and what `require` raises.
    """
    # O_NONBLOCK: a pipe that somebody put there must not hang the program.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise Malformed("not a regular file")
        if require is not None:
            require(mode)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise Malformed(f"larger than {max_bytes} bytes", reason=Reason.TOO_LARGE)
    return content
