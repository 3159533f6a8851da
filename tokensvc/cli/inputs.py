"""What a command reads beside its options: a file, a pipe such as `<(pass show x)`, or standard input."""

import errno
import sys
from typing import Final, TextIO, cast

import typer

__all__ = ["STDIN", "read_small", "read_stdin"]

STDIN: Final = "-"


def read_small(option: str, name: str, *, max_bytes: int) -> bytes:
    """The content of the file `name`, or of standard input for `-`; `option` is where the name was given.

    Raises: typer.BadParameter for what cannot be read, or is larger than `max_bytes`; OSError for closed stdin.
    """
    if name == STDIN:
        content = read_stdin(max_bytes + 1)
    else:
        try:
            # Not read_small_file: a pipe of the shell is no regular file.
            with open(name, "rb") as stream:  # noqa: PTH123 - "" is no name here, and a folder to Path
                content = stream.read(max_bytes + 1)
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "no name of a file"
            # Without the name: it may be the token or the secret itself, put where the name of its file should be.
            raise typer.BadParameter(f"{option}: cannot read the file: {why}") from None
    if len(content) > max_bytes:
        raise typer.BadParameter(f"{option}: larger than {max_bytes} bytes")
    return content


def read_stdin(max_bytes: int) -> bytes:
    """As much of standard input. Raises: OSError when it is closed."""
    # Closed, it is None, which the types of `sys` do not say.
    if cast("TextIO | None", sys.stdin) is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return typer.get_binary_stream("stdin").read(max_bytes)
