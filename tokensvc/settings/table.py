"""How the tables of the file become frozen values: unknown keys are refused, and what was written is never repeated."""

from typing import Final

from pydantic import ConfigDict

__all__ = ["TABLE"]

TABLE: Final = ConfigDict(extra="forbid", hide_input_in_errors=True, validate_by_name=True)
"""The configuration of every table's dataclass."""
