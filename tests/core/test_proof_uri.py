"""Which URIs are one (RFC 9449 s4.3, RFC 3986 s6.2.2 and s6.2.3): laws, told by a model that shares no code."""

import re
import string
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proofs import judge, proof
from tests.simulator import Members
from tokensvc.errors import TokenRefused

UNRESERVED: Final = string.ascii_letters + string.digits + "-._~"
SEGMENT: Final = st.text(UNRESERVED + "!$&'()*+,;=:@", max_size=6)
ESCAPED: Final = st.sampled_from(["%2F", "%3f", "%20", "%C3%A9", "%25", "%00", "%2541"])
HOSTS: Final = ("crm.example", "a-b.example", "127.0.0.1", "[::1]", "[2001:db8::a]")
PARTS: Final = st.fixed_dictionaries(
    {
        "scheme": st.sampled_from(["http", "https"]),
        "host": st.sampled_from(HOSTS),
        "port": st.sampled_from([None, 80, 443, 8443]),
        "path": st.lists(st.tuples(SEGMENT, st.none() | ESCAPED), max_size=4).map(
            lambda parts: "".join(f"/{plain}{escaped or ''}" for plain, escaped in parts)
        ),
    }
)


def written(parts: Members) -> str:
    port = "" if parts["port"] is None else f":{parts['port']}"
    return f"{parts['scheme']}://{parts['host']}{port}{parts['path']}"


def meaning(parts: Members) -> tuple[object, ...]:
    """What a URI names: the port that stands for none is the scheme's, and unreserved characters need no escape."""
    port = parts["port"] or {"http": 80, "https": 443}[parts["scheme"]]
    path = re.sub(
        "%(..)",
        lambda found: chr(int(found[1], 16)) if chr(int(found[1], 16)) in UNRESERVED else found[0].upper(),
        parts["path"] or "/",
    )
    return parts["scheme"], parts["host"].lower(), port, path


def is_accepted(htu: str, request: str) -> bool:
    try:
        judge(proof(htu=htu), htu=request)
    except TokenRefused:
        return False
    return True


@settings(max_examples=300)
@given(PARTS, st.data())
@pytest.mark.requirement("DPOP-HTU")
def test_a_uri_is_the_same_however_it_may_be_spelt(parts: Members, data: st.DataObject) -> None:
    draw = data.draw
    scheme = "".join(draw(st.sampled_from([letter, letter.upper()])) for letter in parts["scheme"])
    host = "".join(draw(st.sampled_from([letter, letter.upper()])) for letter in parts["host"])
    default = {"http": 80, "https": 443}[parts["scheme"]]
    port = draw(st.sampled_from([None, default])) if parts["port"] in {None, default} else parts["port"]
    # Not within an escape, which would be another one.
    spelt = re.sub(
        r"%..|[A-Za-z0-9\-._~]",
        lambda found: (
            found[0]
            if found[0].startswith("%")
            else draw(st.sampled_from([found[0], f"%{ord(found[0]):02x}", f"%{ord(found[0]):02X}"]))
        ),
        parts["path"],
    )
    tail = draw(st.sampled_from(["", "?", "?a=b", "?a=/../b#c", "#", "#x", "?%zz"]))
    respelt = written({"scheme": scheme, "host": host, "port": port, "path": spelt}) + tail
    assert is_accepted(respelt, written(parts))
    assert is_accepted(written(parts), respelt)


@settings(max_examples=300)
@given(PARTS, PARTS)
@pytest.mark.requirement("DPOP-HTU")
def test_two_uris_are_one_exactly_when_they_name_the_same(one: Members, other: Members) -> None:
    assert is_accepted(written(one), written(other)) == (meaning(one) == meaning(other))
    assert is_accepted(written(one), written(one))


@settings(max_examples=300)
@given(PARTS, st.data())
def test_a_uri_that_differs_in_more_is_another(parts: Members, data: st.DataObject) -> None:
    changes = {
        "scheme": "https" if parts["scheme"] == "http" else "http",
        "host": f"x.{parts['host'].strip('[]').replace(':', '-')}",
        "port": 8080,
        # After a host without a path some of these are part of its name.
        "path": parts["path"] + data.draw(st.sampled_from(["/x", "%2F", "x", "/..", "/.", ";", "%2e%2Fx"])),
    }
    name = data.draw(st.sampled_from(sorted(changes)))
    changed = {**parts, name: changes[name]}
    assert not is_accepted(written(changed), written(parts))
    assert not is_accepted(written(parts), written(changed))


@pytest.mark.parametrize(
    ("htu", "request_uri"),
    [
        ("https://crm.example", "https://crm.example/"),
        ("https://crm.example:/", "https://crm.example/"),
        ("https://crm.example?x", "https://crm.example/"),
        ("https://crm.example/%7euser", "https://crm.example/~user"),
        ("https://crm.example/a%2fb", "https://crm.example/a%2Fb"),
    ],
)
def test_spellings_of_one_uri(htu: str, request_uri: str) -> None:
    assert is_accepted(htu, request_uri)


@pytest.mark.parametrize(
    ("htu", "request_uri"),
    [
        ("https://crm.example//", "https://crm.example/"),
        ("https://crm.example/a%2Fb", "https://crm.example/a/b"),
        ("https://crm.example/%2561", "https://crm.example/%61"),
        ("https://crm.example/a%20b", "https://crm.example/a+b"),
        ("https://crm.example./", "https://crm.example/"),
        ("https://[::1]/", "https://[0:0:0:0:0:0:0:1]/"),
        ("https://crm.example/a/../b", "https://crm.example/b"),
        ("https://crm.example/%2e/", "https://crm.example/"),
        ("https://crm.example/%zz", "https://crm.example/%ZZ"),
        ("https://crm.ex%61mple/", "https://crm.example/"),
    ],
)
def test_uris_that_only_look_like_one(htu: str, request_uri: str) -> None:
    assert not is_accepted(htu, request_uri)
    assert is_accepted(htu, htu)
    assert is_accepted(request_uri, request_uri)


@pytest.mark.parametrize(
    "htu",
    [
        "https://[::1]thief.example/",
        "https://[::1]%2F",
        "https://thief.example[::1]/",
        "https://[::1/",
        "https://::1]/",
        "https://[thief.example]/",
        "https://[]/",
        "https://[::1]@thief.example/",
        "https://user@[::1]/",
        "https://:443/",
        "https://[::1]:443x/",
        "https://[::1]:+443/",
        "https://[::1]:-1/",
        "https://[::1]:" + "4" * 5000 + "/",
        "https://[::1]\\/",
        "https:\\\\[::1]/",
    ],
)
def test_what_is_no_host_is_never_taken_for_one(htu: str) -> None:
    """Python's own parser passes over what follows the bracket of an address."""
    assert not is_accepted(htu, "https://[::1]/")
    assert not is_accepted(htu, htu)
    assert is_accepted("https://[::1]:443", "https://[::1]/")


@pytest.mark.parametrize(
    "htu", ["http\u017f://crm.example/", "HTTP\u017f://crm.example:443/", "https://\u212arm.example/"]
)
def test_letters_beyond_ascii_are_no_other_case_of_a_letter(htu: str) -> None:
    """Where case is ignored, Python takes a long s for an s, and a Kelvin sign for a k."""
    assert not is_accepted(htu, "https://crm.example/")
    assert not is_accepted(htu, htu)
    assert is_accepted("HTTPS://CRM.example:443/", "https://crm.example/")
