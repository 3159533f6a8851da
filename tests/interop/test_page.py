"""docs/clients.md shows the code that the tests run, and the versions that they ran it with."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from tests.interop.libraries import NODE_FOLDER

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text("utf-8")
SCRIPTS: Final = {
    "python": sorted((Path(__file__).parent / "clients").glob("*.py")),
    "js": sorted((NODE_FOLDER / "clients").glob("*.mjs")),
}
TESTED: Final = dict(re.findall(r"^\| \[([\w-]+)\]\([^)]*\)[^|]*\| ([0-9.]+) \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("language", SCRIPTS)
def test_the_page_shows_every_client_as_it_is_run_and_no_other(language: str) -> None:
    shown = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    assert sorted(shown) == sorted(path.read_text("utf-8") for path in SCRIPTS[language])
    assert len(shown) > 3


def test_the_page_names_the_versions_that_are_tested() -> None:
    packages = json.loads((NODE_FOLDER / "package.json").read_text("utf-8"))["dependencies"]

    assert len(TESTED) == 8
    for name, tested in TESTED.items():
        assert tested == (packages[name] if name in packages else version(name)), name
