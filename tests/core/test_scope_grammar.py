"""The two scope grammars (TOKEN.md section 3)."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.scope import (
    ScopeGrammar,
    parse_scope,
    require_grammar,
    scope_covers,
    uncovered,
    usable_scope,
)
from tokensvc.errors import Malformed

EXACT, SEGMENTS = ScopeGrammar.EXACT, ScopeGrammar.SEGMENTS


def covers(parent: str, child: str, grammar: ScopeGrammar = SEGMENTS) -> bool:
    return scope_covers(parse_scope(parent), parse_scope(child), grammar)


COVERED = [
    ("crm.*", "crm.read"),
    ("crm.*", "crm.x.y"),
    ("crm.*", "crm.x.*"),
    ("crm.*", "crm.*"),
    ("crm.x.*", "crm.x.y.z.*"),
    ("crm:*", "crm:read"),
    ("crm:*", "crm:x:y"),
    ("crm:*", "crm:x:*"),
    ("a_b-9.*", "a_b-9.Z"),
    ("crm.* mail.send", "crm.read mail.send crm.x.*"),
    ("crm", "crm"),
    ("https://x/y", "https://x/y"),
    ("crm.x:y", "crm.x:y"),
    ("crm..read", "crm..read"),
    ("-.*", "-._"),
]
UNCOVERED = [
    ("crm.*", "crm"),
    ("crm.*", "crmx.read"),
    ("crm.*", "cr.read"),
    ("crm.*", "CRM.read"),
    ("crm.*", "crm:read"),
    ("crm:*", "crm.read"),
    ("crm:*", "crm.*"),
    ("crm.*", "crm.x:y"),
    ("crm:*", "crm.x:y"),
    ("crm.x.*", "crm.read"),
    ("crm.x.*", "crm.*"),
    ("crm.x.*", "crm.x"),
    ("crm.read", "crm.*"),
    ("crm.read", "crm.read.x"),
    ("crm.*", "crm."),
    ("crm.*", "crm..read"),
    ("crm.*", ".crm.read"),
    ("crm.*", "crm.read."),
    ("crm.*", "crm.re/ad"),
    ("crm.*", "crm.re%61d"),
    ("crm.*", "crm.read+x"),
    ("https.*", "https://x"),
    ("https:*", "https://x/y"),
    ("crm.* mail.*", "crm.read mail"),
    ("crm.read crm.write", "crm.*"),
]


@pytest.mark.parametrize(("parent", "child"), COVERED)
def test_a_wildcard_covers_one_or_more_segments_of_its_own_separator(parent: str, child: str) -> None:
    assert covers(parent, child)
    assert covers(parent, child, EXACT) == (set(child.split()) <= set(parent.split()))


@pytest.mark.parametrize(("parent", "child"), UNCOVERED)
def test_nothing_else_is_covered(parent: str, child: str) -> None:
    assert not covers(parent, child)
    assert not covers(parent, child, EXACT)
    assert covers(f"{parent} {child}", child)


MALFORMED = [
    "*",
    "**",
    "crm*",
    "crm.**",
    "crm.*.read",
    "*.read",
    "crm.*.*",
    "crm.re*",
    "crm.*x",
    ".*",
    ":*",
    "crm..*",
    "crm.x:*",
    "crm:x.*",
    "crm.:*",
    "https://x/*",
    "crm/*",
    "crm.é*".replace("é", "%"),
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_wildcard_anywhere_but_as_the_last_segment_is_malformed(text: str) -> None:
    for scope in (text, f"crm.* {text}", f"{text} x"):
        with pytest.raises(Malformed):
            require_grammar(parse_scope(scope), SEGMENTS)
        require_grammar(parse_scope(scope), EXACT)
    require_grammar(parse_scope("crm.* mail:x:* x.y:z https://x //.. a..b x"), SEGMENTS)


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_wildcard_covers_nothing_but_its_own_spelling(text: str) -> None:
    for other in ("crm.read", "crm", "x", "crm.x.y", "a:b"):
        assert not covers(text, other)
        assert covers(text, text)


def test_the_scopes_that_are_not_covered_are_named() -> None:
    parent, child = parse_scope("crm.* mail"), parse_scope("crm.read crm mail x.y")

    assert uncovered(parent, child, SEGMENTS) == {"crm", "x.y"}
    assert uncovered(parent, child, EXACT) == {"crm", "x.y", "crm.read"}
    assert uncovered(parent, frozenset({"mail", "crm.*"}), SEGMENTS) == frozenset()


@pytest.mark.parametrize(
    ("scope", "grammar", "usable"),
    [
        ("crm.read", SEGMENTS, "crm.read"),
        ("crm.x.y mail.send crm", SEGMENTS, "crm.x.y mail.send"),
        ("mail.read", SEGMENTS, ""),
        ("crm.*", SEGMENTS, "crm.*"),
        ("crm.x.*", SEGMENTS, ""),
        ("mail.*", SEGMENTS, ""),
        ("crm.* mail.send", EXACT, "crm.* mail.send"),
        ("crm.read mail.read", EXACT, ""),
    ],
)
def test_a_scope_means_something_where_it_is_registered_or_a_name_below_a_registered_wildcard(
    scope: str, grammar: ScopeGrammar, usable: str
) -> None:
    registered = parse_scope("crm.* mail.send")
    assert usable_scope(registered, parse_scope(scope), grammar) == frozenset(usable.split())


def meaning(scope: str, universe: list[str]) -> set[str]:
    """The names of `universe` that a well-formed scope stands for, by the words of the grammar."""
    if scope.endswith((".*", ":*")):
        return {name for name in universe if name.startswith(scope[:-1])}
    return {name for name in universe if name == scope}


PARTS = ["a", "b", "ab"]
UNIVERSE = [s.join(parts) for s in ".:" for length in (1, 2, 3, 4) for parts in product(PARTS, repeat=length)]
WELL_FORMED = [name for name in UNIVERSE if len(name) <= 5] + [f"{name}{s}*" for name in PARTS for s in ".:"]
WELL_FORMED += ["a.b.*", "a.a.*", "a:b:*", "a.b:a", "a..b", "/a"]
scopes = st.frozensets(st.sampled_from(WELL_FORMED), min_size=1, max_size=4)


@given(scopes)
def test_covering_is_reflexive(a: frozenset[str]) -> None:
    for grammar in ScopeGrammar:
        require_grammar(a, grammar)
        assert scope_covers(a, a, grammar)


@given(scopes, scopes, scopes)
def test_covering_is_transitive(a: frozenset[str], b: frozenset[str], c: frozenset[str]) -> None:
    for grammar in ScopeGrammar:
        if scope_covers(a, b, grammar) and scope_covers(b, c, grammar):
            assert scope_covers(a, c, grammar)


@given(scopes, st.data())
def test_covering_is_transitive_along_a_chain(a: frozenset[str], data: st.DataObject) -> None:
    def below(parent: frozenset[str]) -> frozenset[str]:
        covered = [name for name in WELL_FORMED if scope_covers(parent, frozenset({name}), SEGMENTS)]
        return frozenset(data.draw(st.sets(st.sampled_from(covered), min_size=1, max_size=4)))

    b = below(a)
    c = below(b)
    assert scope_covers(a, b, SEGMENTS)
    assert scope_covers(a, c, SEGMENTS)


@given(scopes, scopes)
def test_what_is_covered_means_no_more(a: frozenset[str], b: frozenset[str]) -> None:
    if scope_covers(a, b, SEGMENTS):
        extra = [*UNIVERSE, "a.b:a", "a..b", "/a"]
        assert {name for s in b for name in meaning(s, extra)} <= {name for s in a for name in meaning(s, extra)}


def test_a_scope_of_thousands_of_segments_is_compared_like_any_other() -> None:
    # Its prefixes, all written out, would be megabytes.
    long = ".".join(["a"] * 5000)

    assert scope_covers(frozenset({"a.*"}), frozenset({long}), ScopeGrammar.SEGMENTS)
    assert scope_covers(frozenset({f"{long}.*"}), frozenset({f"{long}.b"}), ScopeGrammar.SEGMENTS)
    assert uncovered(frozenset({f"{long}.*", "b.*"}), frozenset({long}), ScopeGrammar.SEGMENTS) == {long}
