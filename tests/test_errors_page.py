"""docs/errors.md says what the code says: it is generated, and where the texts name steps and codes, these are real."""

import ast
import importlib.util
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tokensvc.errors import OAuthError, Reason

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
TOKEN_SERVICE_PLACES: Final = {"request", "exchange", "revoke"}


@pytest.fixture(scope="module")
def generator() -> Iterator[Any]:
    """docs/generate.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_page_is_what_the_code_says(generator: Any) -> None:  # noqa: ANN401 - a module
    assert (DOCS / "errors.md").read_text("utf-8") == generator.render_errors(), "run `make docs`"


def test_every_reason_and_every_oauth_error_has_one_row(generator: Any) -> None:  # noqa: ANN401
    rows = [line.split(" | ")[0] for line in generator.render_errors().splitlines() if line.startswith("| `")]
    names = [row.removeprefix("| `").removesuffix("`") for row in rows if "(" not in row]

    assert [name for name in names if name not in {"reason", "error"}] == [*map(str, Reason), *map(str, OAuthError)]
    assert all("|" not in meaning.means + meaning.then for meaning in generator.meanings())


def test_a_text_that_does_not_say_all_is_refused(generator: Any) -> None:  # noqa: ANN401
    good = "It is so.\n\nWhere: verifier 6: invalid_token\nThen: stop."
    assert generator.parse_meaning(Reason.EXPIRED, good).then == "stop."

    for text in (
        "",
        "It is so.",
        good.replace("Then", "So"),
        good.replace("Where", "There"),
        good.replace("verifier", "moon"),
        good.replace("invalid_token", "invalid_tokens"),
        good.replace(" 6:", " six:"),
        good.replace("6: invalid_token", "6"),
    ):
        with pytest.raises(ValueError, match="EXPIRED"):
            generator.parse_meaning(Reason.EXPIRED, text)


def test_the_steps_of_the_verifier_are_those_of_its_page(generator: Any) -> None:  # noqa: ANN401
    table = re.findall(r"^\| (\d+) [^|]+\| ((?:`\w+` ?)+)\|$", (DOCS / "verifier.md").read_text("utf-8"), re.MULTILINE)
    steps = {(int(step), reason) for step, reasons in table for reason in re.findall(r"\w+", reasons)}

    assert len(table) == 14
    said = {
        (step, str(meaning.reason))
        for meaning in generator.meanings()
        for place in meaning.places
        if place.name == "verifier"
        for step in place.steps
    }
    assert said == steps


def refusals(path: Path) -> Iterator[tuple[str, str]]:
    """Every (OAuth error, reason) that a module names together: in one call, or through a function that adds one."""
    module = ast.parse(path.read_text("utf-8"))
    helpers: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "OAuthRefused":
            helpers.update((node.name, error) for inner in ast.walk(node) if (error := constant(inner, "OAuthError")))
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        named = [constant(argument, "OAuthError") for argument in node.args]
        errors = [error for error in named if error] or [helpers.get(node.func.id, "")]
        reasons = [constant(argument, "Reason") for argument in node.args]
        for error in errors:
            yield from ((error, reason) for reason in reasons if error and reason)


def constant(node: ast.AST, enum: str) -> str | None:
    """The value of `enum.NAME`, or None for any other expression."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enum:
        return str({"OAuthError": OAuthError, "Reason": Reason}[enum][node.attr])
    return None


def test_every_oauth_error_that_the_code_gives_with_a_reason_is_said(generator: Any) -> None:  # noqa: ANN401
    said: defaultdict[str, set[str]] = defaultdict(set)
    for meaning in generator.meanings():
        for place in meaning.places:
            said[str(meaning.reason)] |= set(place.errors) if place.name in TOKEN_SERVICE_PLACES else set()

    paths = [path for part in ("exchange", "server") for path in (ROOT / "tokensvc" / part).rglob("*.py")]
    given = {pair for path in paths for pair in refusals(path)}
    assert {(error, reason) for error, reason in given if error not in said[reason]} == set()
    assert len(given) > 20


def test_a_reason_is_met_in_the_verifier_exactly_when_the_code_of_the_verifier_gives_it(generator: Any) -> None:  # noqa: ANN401
    sources = [
        path.read_text("utf-8") for part in ("core", "verify") for path in (ROOT / "tokensvc" / part).glob("*.py")
    ]
    given = {Reason[name] for text in sources for name in re.findall(r"\bReason\.([A-Z_]+)", text)}
    # The default of every Malformed.
    given.add(Reason.MALFORMED)
    # Proofs are judged before the token, by whoever has the request.
    given.remove(Reason.PROOF_INVALID)

    said = {meaning.reason: {place.name for place in meaning.places} for meaning in generator.meanings()}
    assert {reason for reason, places in said.items() if places & {"verifier", "call"}} == given


@pytest.mark.parametrize("page", ["verifier.md", "token-service.md"])
def test_the_pages_that_name_reasons_link_to_it(page: str) -> None:
    assert "(errors.md)" in (DOCS / page).read_text("utf-8")
