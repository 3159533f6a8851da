"""Scope sets and the two grammars that say what a scope covers (RFC 6749 s3.3).

*exact*: a scope covers itself, byte for byte, and nothing else. *segments*: segments of `[A-Za-z0-9_-]+` joined by one
kind of separator, `.` or `:`, throughout; a last segment `*` covers one or more segments: `crm.*` covers `crm.read`,
`crm.x.y`, `crm.x.*` and itself, not `crm`, not `crmx.read`. A scope of any other shape covers itself only; a `*`
anywhere else is malformed.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final

from tokensvc.errors import Malformed

__all__ = [
    "MAX_SCOPES",
    "ScopeGrammar",
    "ScopeSet",
    "is_scope_token",
    "parse_requested_scope",
    "parse_scope",
    "render_scope",
    "require_grammar",
    "scope_covers",
    "uncovered",
    "usable_scope",
]

ScopeSet = frozenset[str]

# An agent with more rights than this wants a wider name for them; it also bounds what one comparison can cost.
MAX_SCOPES: Final = 256
# Twenty scopes of ordinary names. Longer texts are parsed each time: whoever signs could fill the memory with them.
_MAX_KNOWN_LENGTH: Final = 512
_SEGMENTED: Final = re.compile(r"[A-Za-z0-9_-]+(?:(?:\.[A-Za-z0-9_-]+)*(?:\.\*)?|(?::[A-Za-z0-9_-]+)*(?::\*)?)")
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


class ScopeGrammar(StrEnum):
    """What a scope covers. Service and verifier state the same one."""

    EXACT = "exact"
    SEGMENTS = "segments"


# Until Python 3.12 a member of an enum costs ten times a global name, and these stand in the innermost loops.
_EXACT: Final = ScopeGrammar.EXACT


def is_scope_token(text: str) -> bool:
    """True for a single scope-token of RFC 6749 s3.3."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def parse_requested_scope(text: str) -> ScopeSet:
    """The set that a client asks for: repeats are one, as RFC 6749 s3.3 gives order and number no meaning.

    Raises: Malformed.
    """
    return frozenset(_tokens(text))


def parse_scope(text: str) -> ScopeSet:
    """The set that a token or a setting states, where a repeat is a fault. Raises: Malformed."""
    return _known_scope(text) if len(text) <= _MAX_KNOWN_LENGTH else _parse_stated(text)


# The same few scope strings stand in every token; the results are immutable.
@lru_cache(maxsize=4096)
def _known_scope(text: str) -> ScopeSet:
    return _parse_stated(text)


def _parse_stated(text: str) -> ScopeSet:
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


def require_grammar(scope: ScopeSet, grammar: ScopeGrammar) -> None:
    """Return when every scope is well-formed in `grammar`. Raises: Malformed for a `*` that is no last segment."""
    if grammar is not _EXACT and any("*" in token and not _SEGMENTED.fullmatch(token) for token in scope):
        raise Malformed("a scope has a wildcard that is not its last segment")


def scope_covers(parent: ScopeSet, child: ScopeSet, grammar: ScopeGrammar) -> bool:
    """True when every scope of `child` is covered by one of `parent`. Reflexive and transitive."""
    if child <= parent:
        return True
    return grammar is not _EXACT and not uncovered(parent, child, grammar)


def uncovered(parent: ScopeSet, child: ScopeSet, grammar: ScopeGrammar) -> ScopeSet:
    """The scopes of `child` that none of `parent` covers."""
    beyond = child - parent
    if grammar is _EXACT or not beyond:
        return beyond
    # `crm.` of `crm.*`: what begins with it and is segmented has at least one more segment, by the same separator.
    wildcards = tuple(token[:-1] for token in parent if token.endswith("*") and _SEGMENTED.fullmatch(token))
    return frozenset(token for token in beyond if not (token.startswith(wildcards) and _SEGMENTED.fullmatch(token)))


def usable_scope(registered: ScopeSet, scope: ScopeSet, grammar: ScopeGrammar) -> ScopeSet:
    """The scopes of `scope` that mean something where `registered` is all that does.

    A wildcard only when it is registered itself; a name also below a registered wildcard.
    """
    names = frozenset(token for token in scope if not token.endswith("*"))
    return (scope & registered) | (names - uncovered(registered, names, grammar))
