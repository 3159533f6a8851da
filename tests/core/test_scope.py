import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.scope import MAX_SCOPES, is_scope_token, parse_requested_scope, parse_scope, render_scope
from tokensvc.errors import Malformed

ALLOWED = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\']
scope_tokens = st.text(st.sampled_from(ALLOWED), min_size=1, max_size=12)


@given(st.sets(scope_tokens, min_size=1, max_size=30))
def test_a_rendered_scope_is_read_back(scope: set[str]) -> None:
    assert parse_scope(render_scope(scope)) == scope
    assert parse_requested_scope(render_scope(scope)) == scope
    assert render_scope(scope) == " ".join(sorted(scope))


@pytest.mark.requirement("SCOPE-SYNTAX")
def test_exactly_the_characters_of_rfc_6749_stand_in_a_scope_token() -> None:
    accepted = [chr(code) for code in range(0x3000) if is_scope_token(chr(code))]

    assert accepted == ALLOWED
    assert is_scope_token("".join(ALLOWED))
    assert not is_scope_token("")


BAD = ["", " ", "a ", " a", "a  b", "a\tb", "a\nb", "a\n", 'a"b', "a\\b", "é", "a\0b", "a\u00a0b", "a\u2028b", "\ud800"]


@pytest.mark.requirement("SCOPE-SYNTAX")
@pytest.mark.parametrize("text", [*BAD, "a\x7f", "a\rb", "a\x0bb", " " * 1000])
def test_text_that_is_no_scope_is_refused(text: str) -> None:
    for parse in (parse_scope, parse_requested_scope):
        with pytest.raises(Malformed):
            parse(text)
        assert parse("a b") == {"a", "b"}
    assert not is_scope_token(text)


def test_a_repeat_is_one_in_a_request_and_a_fault_in_a_token() -> None:
    assert parse_requested_scope("read read admin read") == {"read", "admin"}
    with pytest.raises(Malformed):
        parse_scope("read read admin read")
    assert parse_scope("read admin") == {"read", "admin"}


@pytest.mark.requirement("SCOPE-CASE-SENSITIVE")
def test_scopes_of_different_spelling_are_different() -> None:
    spellings = ["read", "Read", "READ", "%72ead", "read%20", "read+admin", "read*", "read:x", "rea", "reads"]

    assert len(parse_scope(" ".join(spellings))) == len(spellings)


def test_more_scopes_than_the_limit_are_refused() -> None:
    names = [f"s{number}" for number in range(MAX_SCOPES + 1)]

    assert len(parse_scope(" ".join(names[:-1]))) == MAX_SCOPES
    for parse in (parse_scope, parse_requested_scope):
        with pytest.raises(Malformed):
            parse(" ".join(names))


@pytest.mark.parametrize(
    "text", ["a " * 50_000, "a" * 1_000_000 + '"', "a " * 50_000 + "é"], ids=["many", "long", "bad"]
)
def test_a_huge_text_is_refused_in_linear_time(text: str) -> None:
    with pytest.raises(Malformed):
        parse_requested_scope(text)


@given(
    st.text(max_size=40) | st.lists(st.sampled_from(['"', " ", "a", "b", "\\", "\n", "é"]), max_size=20).map("".join)
)
def test_no_text_raises_anything_but_malformed(text: str) -> None:
    try:
        scope = parse_scope(text)
    except Malformed:
        return
    assert sorted(text.split(" ")) == sorted(scope)
    assert all(map(is_scope_token, scope))
