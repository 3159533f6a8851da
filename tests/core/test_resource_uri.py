import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.authority import is_resource


@pytest.mark.requirement("URI-ABSOLUTE")
@pytest.mark.parametrize(
    "text",
    [
        "https://crm.example",
        "https://crm.example/",
        "https://crm.example:8443/a/b;c=1/@:x?q=/?&%20",
        "HTTPS://CRM.example/A",
        "https://192.0.2.1/",
        "https://[2001:db8::1]:8443/a",
        "https://[::ffff:192.0.2.1]",
        "https://x%2Dy.example/%c3%a9",
        "https://crm.example//a//../b/.",
        "urn:example:crm",
        "mcp:tools",
        "a+b-c.d:/x",
        "https://crm.example?",
    ],
)
def test_an_absolute_uri_is_a_resource(text: str) -> None:
    assert is_resource(text)


@pytest.mark.requirement("URI-ABSOLUTE", "URI-NO-FRAGMENT")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "crm",
        "/crm",
        "//crm.example/",
        "crm.example/a",
        "https:",
        "https://",
        "https:///a",
        "https://crm.example#",
        "https://crm.example/a#b",
        "urn:a#b",
        "https://crm.example/a b",
        "https://crm.example/a\n",
        "https://crm.example/\u00e9",
        "https://crm.example/%zz",
        "https://crm.example/%4",
        "https://crm.example/%",
        'https://crm.example/"',
        "https://crm.example/<x>",
        "https://crm.example/\\..\\",
        "https://crm.example/{id}",
        "https://crm.example/^`|",
        "https://crm.example:80a/",
        "https://user@crm.example/",
        "https://user:pass@crm.example/",
        "https://[::1",
        "https://[.]/",
        "https://[1:2]/",
        "https://[::1::]/",
        "https://[::1%25eth0]/",
        "https://[12345::]/",
        "https://[::1]x/",
        "1https://crm.example",
        "ht tps://crm.example",
        " https://crm.example",
        "*",
        "https://crm.example/\x00",
        "https://crm.example/[",
    ],
)
def test_text_that_is_no_absolute_uri_without_fragment_is_no_resource(text: str) -> None:
    assert not is_resource(text)


@given(st.text(max_size=60) | st.lists(st.sampled_from("a:/?#[]@%2F.é -"), max_size=30).map("".join))
def test_no_text_raises(text: str) -> None:
    if is_resource(text):
        assert text.isascii()
        assert ":" in text
        assert not set(text) & set('# \n\\"<>')


@pytest.mark.parametrize("unit", ["/", "a", "%41", "a/", "/a?", ":", "%4"])
def test_a_long_text_is_judged_in_linear_time(unit: str) -> None:
    is_resource("https://crm.example/" + unit * 100_000)
    is_resource("a:" + unit * 100_000 + "#")
    is_resource("https://" + unit * 100_000 + " ")
