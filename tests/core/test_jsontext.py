import pytest

from tokensvc.core.jsontext import MAX_NESTING, JsonValue, parse_json, parse_json_object, render_json
from tokensvc.errors import Malformed, Reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1, -2.5, "x", true, false, null, {}]}', {"a": [1, -2.5, "x", True, False, None, {}]}),
        (b' \t\r\n"x" ', "x"),
        (b'"\\u00e9\\ud83d\\ude00\\n"', "é😀\n"),
        ('"é😀\u2028"'.encode(), "é😀\u2028"),
        (b"null", None),
    ],
)
def test_json_is_read(text: bytes, value: JsonValue) -> None:
    assert parse_json(text) == value


@pytest.mark.requirement("JSON-UTF8")
@pytest.mark.parametrize(
    "text",
    [
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-16-be"),
        '{"a":1}'.encode("utf-32"),
        b'\xef\xbb\xbf{"a":1}',
        b'{"\xff":1}',
        b'{"\xc0\xaf":1}',
        b'{"\xed\xa0\x80":1}',
        b'{"\xf4\x90\x80\x80":1}',
        b'{"\xc3',
    ],
)
def test_text_that_is_not_plain_utf8_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)
    assert parse_json(b'{"a":1}') == {"a": 1}


@pytest.mark.requirement("JWS-UNIQUE-MEMBERS")
@pytest.mark.parametrize(
    ("text", "control"),
    [
        (b'{"a":1,"a":1}', b'{"a":1,"b":1}'),
        (b'{"a":1,"\\u0061":2}', b'{"a":1,"\\u0062":2}'),
        (b'{"x":{"a":1,"b":2,"a":3}}', b'{"x":{"a":1,"b":2,"c":3}}'),
        (b'[{"":1,"":2}]', b'[{"":1," ":2}]'),
    ],
)
def test_a_member_named_twice_is_refused_at_any_level(text: bytes, control: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)
    parse_json(control)


@pytest.mark.requirement("JWT-BCP-ENCODING")
@pytest.mark.parametrize("lone", ["\\ud800", "\\udfff", "\\ude00\\ud83d", "x\\ud800x", "\\ud800\\u0041", "\\uD834"])
@pytest.mark.parametrize("frame", ['"%s"', '{"%s":1}', '[["%s"]]', '{"a":{"b":["%s"]}}', '{"\\u0061":1,"b":"%s"}'])
def test_a_lone_surrogate_is_refused_wherever_it_stands(frame: str, lone: str) -> None:
    with pytest.raises(Malformed):
        parse_json((frame % lone).encode())
    parse_json((frame % "\\ud83d\\ude00").encode())


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b'{"a":NaN}', b"[1,Infinity]"])
def test_numbers_that_are_none_are_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)
    # Beside many digits another parser reads, and has to refuse the same.
    with pytest.raises(Malformed):
        parse_json(b"[%s,1000000000000000]" % text)
    assert parse_json(b"[0,1000000000000000]") == [0, 10**15]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1}x',
        b'{"a":1}\x00',
        b"{}{}",
        b"[1,]",
        b"{'a':1}",
        b"/**/1",
        b'"\x01"',
        b'"\n"',
        b'"\\x41"',
        b'"\\u12"',
        b'"\\u 123"',
        b"t",
        b"\xc2\xa01",
        b'{"a"}',
        b"{1:2}",
        b'"a',
        b"\\",
        b'"\\',
        b"][",
    ],
)
def test_text_that_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)


@pytest.mark.parametrize("value", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_only_an_object_passes_for_an_object(value: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json_object(value)
    assert parse_json_object(b'{"a":' + value + b"}").keys() == {"a"}


def nested(levels: int, opening: str, closing: str) -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('{"a":[', "]}")])
def test_nesting_is_allowed_up_to_the_limit_and_not_beyond(opening: str, closing: str) -> None:
    levels = MAX_NESTING // (opening.count("[") + opening.count("{"))

    parse_json(nested(levels, opening, closing))

    with pytest.raises(Malformed):
        parse_json(nested(levels + 1, opening, closing))


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b""), (b'{"a":', b""), (b"[", b"]"), (b"[{", b"")])
def test_nesting_without_end_is_refused_and_never_recurses(opening: bytes, closing: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(opening * 300_000 + closing * 300_000)


@pytest.mark.parametrize("payment", [b"]]]]]]", b'"]]]]]]]', b'{"]]]]":1}', b'["]]]"],', b'"\\"]]]]"'])
def test_closing_brackets_cannot_pay_for_opening_ones(payment: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(payment + b"[" * 50_000)


def test_brackets_in_strings_and_brackets_side_by_side_are_no_nesting() -> None:
    many: list[JsonValue] = [[]] * 500

    assert parse_json(render_json("[" * 500)) == "[" * 500
    assert parse_json(render_json(['"[{\\' * 100])) == ['"[{\\' * 100]
    assert parse_json(render_json(many)) == many


@pytest.mark.parametrize("unit", [b'"', b'"\\', b'"\\"', b"\\", b'\\"', b'",'])
def test_quotes_and_backslashes_without_end_are_refused_in_linear_time(unit: bytes) -> None:
    # Quadratic time would be hours here.
    with pytest.raises(Malformed):
        parse_json(b"[" * 41 + unit * 300_000)


def test_malformed_json_is_reported_as_malformed_and_never_quoted() -> None:
    with pytest.raises(Malformed) as refused:
        parse_json(b'{"secret-value": t')
    assert refused.value.reason is Reason.MALFORMED
    assert "secret" not in str(refused.value)


def test_rendered_json_is_compact_utf8_in_the_order_given() -> None:
    assert render_json({"b": "é", "a": [1, None]}) == '{"b":"é","a":[1,null]}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_has_not_are_not_rendered(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_json([value])
