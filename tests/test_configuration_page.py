"""docs/configuration.md says what the settings are: it is generated, and a key without a text is refused."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tokensvc.settings.environment import VARIABLES
from tokensvc.settings.known import KNOWN

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "configuration.md"
MODEL: Final = ROOT / "tokensvc" / "settings" / "parties.py"


@pytest.fixture(scope="module")
def generator() -> Iterator[Any]:
    """docs/generate_configuration.py, which is a script and in no package."""
    name = "docs_generate_configuration"
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "generate_configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_the_page_is_what_the_code_says(generator: Any) -> None:  # noqa: ANN401 - a module
    assert PAGE.read_text("utf-8") == generator.render_configuration(), "run `make docs`"


def test_every_key_and_every_variable_has_one_row(generator: Any) -> None:  # noqa: ANN401
    tables = generator.tables()
    sections = {path[:-1] for path in KNOWN}

    assert len(tables) == len(sections)
    assert sorted(key.name for table in tables for key in table.keys) == sorted(
        path[-1] for path in KNOWN if path not in sections
    )
    assert {key.variable for table in tables for key in table.keys} - {None} == set(VARIABLES)


def test_every_row_of_the_page_has_as_many_cells_as_its_head(generator: Any) -> None:  # noqa: ANN401
    blocks = re.findall(r"(?:^\|.*\n)+", generator.render_configuration(), re.MULTILINE)

    assert len(blocks) == len(generator.tables())
    for block in blocks:
        assert len({row.count("|") for row in block.splitlines()}) == 1


def test_types_bounds_and_defaults_are_those_of_the_model(generator: Any) -> None:  # noqa: ANN401
    keys = {(table.heading, key.name): key for table in generator.tables() for key in table.keys}

    port = keys["`[server]`", "port"]
    assert (port.written, port.default, port.variable) == ("integer, 0 to 65535", "`8700`", "TOKENSVC_SERVER__PORT")
    scopes = keys["`[[agent]]`", "scopes"]
    assert (scopes.written, scopes.default, scopes.variable) == ("list (1 to 256) of strings", None, None)
    assert keys["`[[agent]]`", "max_depth"].default == "-"
    assert keys["`ceiling = { ... }` in `[[identity_provider]]`", "max_depth"].default == "`5`"


@pytest.mark.parametrize("text", ["", "one | two"])
def test_a_key_without_a_text_that_fits_a_row_is_refused(generator: Any, text: str) -> None:  # noqa: ANN401
    assert generator.parse_text("agent.id", "Its name.\nAnd more.\n\nWritten: a string") == (
        "Its name. And more",
        "a string",
    )

    with pytest.raises(ValueError, match=r"agent\.id"):
        generator.parse_text("agent.id", text)


def test_a_field_of_the_model_that_loses_its_text_is_missed(generator: Any) -> None:  # noqa: ANN401
    source = MODEL.read_text("utf-8")
    cut = re.sub(r'(default_resource: .*\n) +""".*?"""\n', r"\1", source)

    assert ("Agent", "default_resource") in generator.texts_of(source)
    assert set(generator.texts_of(source)) - set(generator.texts_of(cut)) == {("Agent", "default_resource")}


def test_a_type_that_is_not_known_needs_its_text_to_say_how_it_is_written(generator: Any) -> None:  # noqa: ANN401
    class Strange:
        pass

    assert generator.written_as(int, "agent.id") == "integer"
    with pytest.raises(ValueError, match="Written"):
        generator.written_as(Strange, "agent.id")
