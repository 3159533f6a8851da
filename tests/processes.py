"""Commands of this installation as processes of their own, for tests of what users start."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["TIMEOUT_S", "environment", "read_until", "run", "running"]

TIMEOUT_S: Final = 30
_BIN: Final = Path(sys.executable).parent


def environment(**more: str) -> dict[str, str]:
    """Nothing of ours but `more`, the commands of this installation first, and no proxy in between."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENSVC_", "REDISCLI"))}
    return {**environ, "PATH": f"{_BIN}:{os.environ['PATH']}", "NO_PROXY": "localhost,127.0.0.1", **more}


def run(words: Sequence[str], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The finished command, whatever its exit code."""
    return subprocess.run(
        words, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@contextmanager
def running(words: Sequence[str | Path], cwd: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The command with both outputs in one; asked to stop at the end, and killed if it does not."""
    with subprocess.Popen(
        words, cwd=cwd, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=TIMEOUT_S)
            process.kill()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """The first line that matches: by then the program is as far as that."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := re.search(pattern, line):
            return found[found.re.groups]
    raise AssertionError(f"ended early: {seen}")
