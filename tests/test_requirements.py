import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.requirements import REQUIREMENTS

ROOT = Path(__file__).resolve().parents[1]


def marked_tests() -> Iterator[tuple[str, str]]:
    """Every (test, requirement id) by the marker `requirement`, read from the sources and not from what pytest ran."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        module = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.requirement":
                    assert mark.args, f"{module}::{node.name} names no requirement"
                    for argument in mark.args:
                        yield f"{module}::{node.name}", ast.literal_eval(argument)


def test_every_row_names_tests_that_exist_and_every_marked_test_has_its_row() -> None:
    rows = {(test, requirement.id) for requirement in REQUIREMENTS for test in requirement.tests}
    marks = set(marked_tests())

    assert rows - marks == set(), "rows whose test is missing or lacks the marker"
    assert marks - rows == set(), "marked tests that no row names"
    assert len(marks) > 50


def test_every_requirement_stands_once_with_its_section_its_text_and_a_test() -> None:
    assert [name for name, count in Counter(row.id for row in REQUIREMENTS).items() if count > 1] == []
    for row in REQUIREMENTS:
        assert row.section.startswith(("RFC ", "OpenID Connect "))
        assert row.text.endswith(".")
        assert row.tests


def test_a_marked_test_is_one_that_pytest_collects() -> None:
    for test, _ in marked_tests():
        path, _, name = test.partition("::")
        assert Path(path).name.startswith("test_") or "conformance" in path, test
        assert name.startswith("test_"), test
