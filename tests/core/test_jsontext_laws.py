import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.jsontext import JsonValue, parse_json, render_json
from tokensvc.errors import Malformed

safe_text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.integers(-(10**9), 10**9).map(lambda number: number / 1000)
    | safe_text
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(safe_text, inner, max_size=4), max_leaves=20
)


@given(values)
def test_what_was_rendered_is_read_back(value: JsonValue) -> None:
    assert parse_json(render_json(value)) == value


def accepted(text: bytes) -> bool:
    try:
        value = parse_json(text)
    except Malformed:
        return False
    assert value == json.loads(text)
    assert render_json(value).decode()
    return True


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_malformed(text: bytes) -> None:
    accepted(text)


fragments = st.sampled_from(
    [*list('[]{}",:\\ \n'), "true", "null", "1", "-0.5e1", '"a"', "\\u0061", "\\ud800", "NaN", "é"]
)


@given(st.lists(fragments, max_size=30).map("".join))
def test_json_like_text_is_refused_or_read_as_the_standard_library_reads_it(text: str) -> None:
    accepted(text.encode())


@given(values, st.data())
def test_damaged_json_is_refused_or_read_as_the_standard_library_reads_it(
    value: JsonValue, data: st.DataObject
) -> None:
    text = bytearray(render_json(value))
    position = data.draw(st.integers(0, len(text) - 1))
    text[position] = data.draw(st.integers(0, 255))
    accepted(bytes(text))


@given(st.text())
def test_text_with_surrogates_is_never_accepted_from_its_escaped_form(text: str) -> None:
    has_lone = any(0xD800 <= ord(character) <= 0xDFFF for character in json.loads(json.dumps(text)))

    assert accepted(json.dumps(text).encode()) is not has_lone
