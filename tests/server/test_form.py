"""The form: what is read, and everything that is refused before anybody is asked who they are."""

import pytest

from tests.server.world import FORM, World, basic, call
from tokensvc.errors import OAuthRefused, Reason
from tokensvc.server.form import MAX_BODY_BYTES, MAX_PARAMETERS, parse_form

FORM_TYPE = (b"content-type", b"application/x-www-form-urlencoded")
ENDPOINTS = ["/token", "/introspect", "/revoke"]


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": ("1",), "b": ("2",)}),
        (b"a=1&b=2&a=3", {"a": ("1", "3"), "b": ("2",)}),
        (b"scope=&a=1&b", {"a": ("1",)}),
        (b"scope=&scope=x", {"scope": ("x",)}),
        (b"&&a=1&", {"a": ("1",)}),
        (b"a=b=c", {"a": ("b=c",)}),
        (b"a=%20+%2B%26%3D", {"a": ("  +&=",)}),
        (b"a;b=1", {"a;b": ("1",)}),
        ("ü=é".encode(), {"ü": ("é",)}),
        (b"%C3%BC=%c3%a9", {"ü": ("é",)}),
        (b"=1", {"": ("1",)}),
    ],
)
@pytest.mark.requirement("OAUTH-FORM", "OAUTH-EMPTY")
def test_a_form_is_decoded(body: bytes, form: dict[str, tuple[str, ...]]) -> None:
    assert parse_form(body) == form


@pytest.mark.parametrize(
    ("body", "control"),
    [
        (b"a=%zz", b"a=%2a"),
        (b"a=%", b"a=%25"),
        (b"a=%2", b"a=%22"),
        (b"a=%u0041", b"a=%41"),
        (b"%G1=1", b"%61=1"),
        (b"a=\xff", b"a=\xc3\xa9"),
        (b"a=%FF", b"a=%C3%A9"),
        (b"a=%C3", b"a=%C3%A9"),
        (b"a=%ED%A0%80", b"a=%ED%9F%BF"),
        (b"\xff=1", b"x=1"),
    ],
)
def test_what_two_decoders_could_read_differently_is_refused(body: bytes, control: bytes) -> None:
    with pytest.raises(OAuthRefused) as refused:
        parse_form(body)

    assert refused.value.reason is Reason.MALFORMED
    assert parse_form(control)


def test_parameters_are_counted() -> None:
    def body(count: int) -> bytes:
        return b"&".join([b"resource=x"] * count)

    with pytest.raises(OAuthRefused) as refused:
        parse_form(body(MAX_PARAMETERS + 1))

    assert refused.value.reason is Reason.TOO_LARGE
    assert len(parse_form(body(MAX_PARAMETERS))["resource"]) == MAX_PARAMETERS


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencodedx",
        "",
        "application/x-www-form-urlencoded, application/json",
    ],
)
@pytest.mark.requirement("OAUTH-FORM")
async def test_another_media_type_is_refused_before_the_client_is_asked(
    world: World, path: str, content_type: str | None
) -> None:
    headers = [] if content_type is None else [(b"content-type", content_type.encode())]

    answer = await call(world.app, "POST", path, headers=headers, chunks=[b"a=1"])

    assert (answer.status, answer.json()["error"], answer.json()["reason"]) == (400, "invalid_request", "malformed")
    assert "record" not in answer.json()
    assert (answer.header("cache-control"), answer.header("pragma")) == ("no-store", "no-cache")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded;charset=UTF-8",
        "application/x-www-form-urlencoded ; charset=iso-8859-1",
    ],
)
async def test_the_media_type_is_read_in_any_case_and_with_any_charset(world: World, content_type: str) -> None:
    async with world.running() as client:
        answer = await client.post("/token", content=b"a=1", headers={"Content-Type": content_type, **basic("planner")})

    assert answer.json()["reason"] == "parameter_missing"


async def test_two_content_types_are_refused(world: World) -> None:
    answer = await call(world.app, "POST", "/token", headers=[FORM_TYPE, FORM_TYPE], chunks=[b"a=1"])
    control = await call(world.app, "POST", "/token", headers=[FORM_TYPE], chunks=[b"a=1"])

    assert (answer.status, control.status) == (400, 401)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.requirement("OAUTH-NO-QUERY")
async def test_anything_in_the_query_is_refused(world: World, path: str) -> None:
    answer = await call(world.app, "POST", path, headers=[FORM_TYPE], query=b"scope=x", chunks=[b"a=1"])
    control = await call(world.app, "POST", path, headers=[FORM_TYPE], chunks=[b"a=1"])

    assert (answer.status, answer.json()["reason"]) == (400, "parameter_invalid")
    assert control.status == 401


def _padded(size: int) -> bytes:
    return b"a=" + b"x" * (size - 2)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_is_counted_whatever_its_length_header_says(world: World, *, announced: bool) -> None:
    async def post(size: int) -> int | None:
        length = [(b"content-length", str(size).encode())] if announced else []
        body = _padded(size)
        chunks = [body[start : start + 5000] for start in range(0, len(body), 5000)]
        answer = await call(world.app, "POST", "/token", headers=[FORM_TYPE, *length], chunks=chunks)
        assert answer.status == 401 or answer.json()["reason"] == "too_large"
        return answer.status

    assert await post(MAX_BODY_BYTES) == 401
    assert await post(MAX_BODY_BYTES + 1) == 400


async def test_a_body_announced_too_large_is_refused_unread(world: World) -> None:
    read = []
    length = (b"content-length", str(MAX_BODY_BYTES + 1).encode())

    answer = await call(
        world.app, "POST", "/token", headers=[FORM_TYPE, length], ends=False, on_receive=lambda: read.append(1)
    )

    assert (answer.status, answer.json()["reason"], read) == (400, "too_large", [])


async def test_a_body_without_end_is_refused_when_it_is_too_large(world: World) -> None:
    answer = await call(world.app, "POST", "/token", headers=[FORM_TYPE], chunks=[b"x" * 9000] * 8, ends=False)

    assert (answer.status, answer.json()["reason"]) == (400, "too_large")


async def test_a_client_that_goes_away_is_no_fault_and_nothing_is_processed(world: World) -> None:
    answer = await call(world.app, "POST", "/token", headers=[FORM_TYPE], chunks=[b"a=1"], ends=False)

    assert (answer.status, answer.json()["reason"]) == (400, "malformed")
    assert world.events() == []


async def test_form_headers_of_ordinary_clients_are_accepted(world: World) -> None:
    async with world.running() as client:
        answer = await client.post("/token", data=world.start(), headers={**FORM, **basic("planner")})

    assert answer.status_code == 200
