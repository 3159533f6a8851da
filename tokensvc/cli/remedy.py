"""What to do about a refusal: the words that stand below each reason in tokensvc/errors.py."""

import ast
import inspect
import re
from functools import cache
from typing import Final

from tokensvc import errors
from tokensvc.errors import OAuthError, Reason

__all__ = ["exchange_remedy", "remedy_of"]

_THEN: Final = re.compile(r"^Then: (.+)", re.DOTALL | re.MULTILINE)

# What an option of `tokensvc exchange` does about it, by the reason or the OAuth error.
_OPTIONS: Final[dict[str, str]] = {
    Reason.HOLDER_UNPROVEN: (
        "prove the key that the token is bound to, or that the agent is registered with: --holder-key FILE"
    ),
    Reason.GRANT_INVALID: (
        "sign with --sign-grant and the key that the token is bound to; a --holder-jkt is the thumbprint of a key "
        "that the agent after --for is registered with"
    ),
    Reason.EVIDENCE_INSUFFICIENT: (
        "sign the delegation: --sign-grant --holder-key FILE, below a token that is bound to that key"
    ),
    OAuthError.USE_DPOP_NONCE: (
        "prove a key, which fetches the nonce as well: --holder-key FILE; where one was given, type the command again"
    ),
}


def exchange_remedy(error: str | None, reason: str | None) -> str | None:
    """What whoever typed `tokensvc exchange` does about a refusal; None for one that this version does not know."""
    return _OPTIONS.get(error or "") or _OPTIONS.get(reason or "") or remedy_of(reason)


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
