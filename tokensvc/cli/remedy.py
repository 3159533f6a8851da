"""What to do about a refusal: the words that stand below each reason in tokensvc/errors.py."""

import ast
import inspect
import re
from functools import cache
from typing import Final

from tokensvc import errors
from tokensvc.errors import Reason

__all__ = ["remedy_of"]

_THEN: Final = re.compile(r"^Then: (.+)", re.DOTALL | re.MULTILINE)


def remedy_of(reason: str | None) -> str | None:
    """What the caller does about `reason`; None for one that this version does not know."""
    return None if reason is None else _remedies().get(reason)


@cache
def _remedies() -> dict[str, str]:
    """By reason. At run time the texts are in the source alone: without it there are none."""
    try:
        module = ast.parse(inspect.getsource(errors))
    except OSError:  # pragma: no cover - installed without its source
        return {}
    remedies: dict[str, str] = {}
    (enum,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == Reason.__name__)
    for member, below in zip(enum.body, enum.body[1:], strict=False):
        match member, below:
            case ast.Assign(value=ast.Constant(value=str(reason))), ast.Expr(value=ast.Constant(value=str(text))):
                if then := _THEN.search(inspect.cleandoc(text)):
                    remedies[reason] = " ".join(then[1].split()).removesuffix(".")
            case _:
                pass
    return remedies
