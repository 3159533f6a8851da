"""What pydantic found, said in our words: where, what, and what to do. What was written is never repeated."""

from collections.abc import Mapping
from typing import Final, assert_never

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tokensvc.errors import ConfigurationError, printable
from tokensvc.settings.environment import ENVIRONMENT
from tokensvc.settings.known import LISTS, KeyPath, nearest_remedy, render_table
from tokensvc.settings.values import UNUSABLE

__all__ = ["explain", "render_key"]

# Long enough for every key that there is; a longer one is somebody's slip of the paste.
_MAX_KEY_LENGTH: Final = 100


def explain(error: ValidationError, *, file: str, variables: Mapping[KeyPath, str]) -> tuple[ConfigurationError, ...]:
    """One error for each fault, in the order of the file. `variables` names what came from the environment."""
    found = error.errors(include_url=False, include_input=False)
    return tuple(_explain_one(fault, file=file, variables=variables) for fault in found)


def render_key(location: tuple[str | int, ...]) -> str:
    """`agent[1].scopes`."""
    text = ""
    for step in location:
        match step:
            case int():
                text += f"[{step}]"
            case str():
                text += f".{step}" if text else step
            case _:
                assert_never(step)
    return printable(text, max_length=_MAX_KEY_LENGTH)


def _explain_one(fault: ErrorDetails, *, file: str, variables: Mapping[KeyPath, str]) -> ConfigurationError:
    location = fault["loc"]
    path = tuple(step for step in location if isinstance(step, str))
    problem, remedy = _describe(fault, path)
    if path in variables:
        return ConfigurationError(problem, file=ENVIRONMENT, key=variables[path], remedy=remedy)
    return ConfigurationError(problem, file=file, key=render_key(location), remedy=remedy)


def _describe(fault: ErrorDetails, path: KeyPath) -> tuple[str, str]:
    """Problem and remedy."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case str(kind) if kind == UNUSABLE:
            return str(context["problem"]), str(context["remedy"])
        case "missing":
            heading = f"[[{path[-1]}]]" if path in LISTS else path[-1]
            return "is missing", f"Add {heading} to {render_table(path[:-1])}; tokensvc init writes an example."
        case "unexpected_keyword_argument":
            return "is no known setting", nearest_remedy(path)
        case "dataclass_type":
            return "is not a table", f"Write {render_table(path)} above its keys."
        case "tuple_type" if path in LISTS:
            return "is not a list of tables", f"Write {render_table(path)} above its keys."
        case kind:
            problem, remedy = _WORDS.get(kind, ("cannot be read", "Write it as tokensvc init does."))
            return problem, remedy.format(**context)


_WORDS: Final = {
    "tuple_type": ("is not a list", 'Write a list: ["a", "b"].'),
    "frozen_set_type": ("is not a list", 'Write a list: ["a", "b"].'),
    "int_type": ("is not a whole number", "Write digits without quotes or fraction."),
    "bool_type": ("is neither true nor false", "Write true or false, without quotes."),
    "string_type": ("is not text", "Write text in quotes."),
    "path_type": ("is not text", "Write text in quotes."),
    "enum": ("is not one of the known values", "Write {expected}."),
    "greater_than_equal": ("is too small", "Write {ge} or more."),
    "less_than_equal": ("is too large", "Write {le} or less."),
}
