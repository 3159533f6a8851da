"""Where test vectors written by others lie: `../shared/vectors` beside the project, which is no part of it."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["read_vectors", "vector_folder"]

_SHARED: Final = Path(__file__).resolve().parents[2] / "shared"


def vector_folder(name: str) -> Path:
    """The folder of that name, or a skipped test.

    Where `../shared` lies beside the project and `TOKENSVC_REQUIRE_ALL=1` is set, its absence is a failure.
    """
    folder = Path(os.environ.get("TOKENSVC_VECTORS", _SHARED / "vectors")) / name
    if not folder.is_dir():
        if os.environ.get("TOKENSVC_REQUIRE_ALL") == "1" and _SHARED.is_dir():
            pytest.fail(f"{folder} is missing, and TOKENSVC_REQUIRE_ALL=1 demands it")
        pytest.skip(f"test vectors of others are not here: {folder}")
    return folder


def read_vectors(folder: str, name: str) -> Any:  # noqa: ANN401 - JSON of others, of many shapes
    """The JSON value of a vector file, read by the standard library."""
    return json.loads((vector_folder(folder) / name).read_text("utf-8"))
