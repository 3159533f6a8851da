"""Programs of the system that some tests run."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

__all__ = ["require_node_package", "require_programs"]

_NODE_MODULES: Final = Path(__file__).resolve().parent / "node" / "node_modules"


def require_programs(*names: str) -> None:
    """Skip the test where a program is missing; fail it where `TOKENSVC_REQUIRE_ALL=1` says that all must be there."""
    _require([name for name in names if shutil.which(name) is None])


def require_node_package(name: str) -> str:
    """The path of Node.js, where `make node-packages` has installed that package; as `require_programs` without it."""
    node = shutil.which("node")
    installed = (_NODE_MODULES / name / "package.json").is_file()
    _require([*([] if node else ["node"]), *([] if installed else [f"npm package {name} (make node-packages)"])])
    return node or ""


def _require(missing: list[str]) -> None:
    if not missing:
        return
    if os.environ.get("TOKENSVC_REQUIRE_ALL") == "1":
        pytest.fail(f"{missing} missing, and TOKENSVC_REQUIRE_ALL=1 demands them")
    pytest.skip(f"needs {missing}")
