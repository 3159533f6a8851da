"""Scope sets in the exact grammar (RFC 6749 s3.3): a scope covers itself, byte for byte, and nothing else."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tokensvc.errors import Malformed

__all__ = ["MAX_SCOPES", "ScopeSet", "is_scope_token", "parse_requested_scope", "parse_scope", "render_scope"]

ScopeSet = frozenset[str]

# An agent with more rights than this wants a wider name for them; it also bounds what one comparison can cost.
MAX_SCOPES: Final = 256
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


def is_scope_token(text: str) -> bool:
    """True for a single scope-token of RFC 6749 s3.3."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def parse_requested_scope(text: str) -> ScopeSet:
    """The set that a client asks for: repeats are one, as RFC 6749 s3.3 gives order and number no meaning.

    Raises: Malformed.
    """
    return frozenset(_tokens(text))


# The same few scope strings stand in every token; the texts are at most a token long and the results immutable.
@lru_cache(maxsize=4096)
def parse_scope(text: str) -> ScopeSet:
    """The set that a token or a setting states, where a repeat is a fault. Raises: Malformed."""
    tokens = _tokens(text)
    scope = frozenset(tokens)
    if len(scope) != len(tokens):
        raise Malformed("a scope stands twice")
    return scope


def render_scope(scope: Iterable[str]) -> str:
    """The one spelling of a set that we write: sorted, separated by single spaces."""
    return " ".join(sorted(scope))


def _tokens(text: str) -> list[str]:
    if _SCOPE.fullmatch(text) is None:
        raise Malformed("the scope is not a list of scope-tokens separated by single spaces")
    tokens = text.split(" ")
    if len(tokens) > MAX_SCOPES:
        raise Malformed(f"more than {MAX_SCOPES} scopes")
    return tokens
