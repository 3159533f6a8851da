"""Programs of the system that some tests run."""

import os
import shutil

import pytest

__all__ = ["require_programs"]


def require_programs(*names: str) -> None:
    """Skip the test where a program is missing; fail it where `TOKENSVC_REQUIRE_ALL=1` says that all must be there."""
    missing = [name for name in names if shutil.which(name) is None]
    if not missing:
        return
    if os.environ.get("TOKENSVC_REQUIRE_ALL") == "1":
        pytest.fail(f"{missing} missing, and TOKENSVC_REQUIRE_ALL=1 demands them")
    pytest.skip(f"needs {missing}")
