import pytest

from tests.faults.audit import CHECKED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was checked: a green line says little about that."""
    if CHECKED:
        terminalreporter.section("faults", sep="-")
        for what, count in CHECKED.items():
            terminalreporter.line(f"{count:8} {what}")
