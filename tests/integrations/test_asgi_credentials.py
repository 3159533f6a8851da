"""Which header counts as credentials. Each refusal stands beside the call that it must not refuse."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integrations.asgi_calls import ALSO_DPOP, TOKEN, URL, Api, call, drive, http_scope, protect

BARE: Final = f'Bearer resource_metadata="{URL}"{ALSO_DPOP}'


@pytest.mark.parametrize(
    "authorization",
    [
        [],
        [b""],
        [b"   "],
        [b"Basic dXNlcjpwYXNz"],
        [f"DPoPx {TOKEN}".encode()],
        [f"Bearer\t{TOKEN}".encode()],
        [f"Bearer,{TOKEN}".encode()],
        [f"Bearerx {TOKEN}".encode()],
        [TOKEN.encode()],
        [b"\xff\xfe\x00"],
    ],
    ids=["none", "empty", "blank", "basic", "dpopx", "tab", "comma", "longer", "no-scheme", "bytes"],
)
async def test_a_call_without_credentials_is_told_where_to_look_and_nothing_else(
    authorization: list[bytes],
) -> None:
    api = Api()
    response = await call(protect(api), *authorization)
    assert (response.status_code, response.json(), api.seen) == (401, {}, [])
    assert response.headers["www-authenticate"] == BARE
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "authorization",
    [
        b"Bearer",
        b"Bearer ",
        f"Bearer {TOKEN} {TOKEN}".encode(),
        f"Bearer {TOKEN}, Bearer {TOKEN}".encode(),
        f"Bearer {TOKEN}\xe9".encode("latin-1"),
        f"Bearer {TOKEN}\x85".encode("latin-1"),
        f'Bearer "{TOKEN}"'.encode(),
        f"Bearer ={TOKEN}".encode(),
        f"Bearer {TOKEN}=".encode(),
    ],
    ids=["bare", "blank", "two", "list", "latin", "control", "quoted", "padding-first", "padding-last"],
)
async def test_bearer_credentials_that_are_no_token_are_refused(authorization: bytes) -> None:
    api = Api()
    response = await call(protect(api), authorization)
    assert (response.status_code, response.json()["reason"], api.seen) == (401, "malformed", [])
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')


async def test_a_header_of_a_megabyte_is_refused_as_too_large() -> None:
    response = await call(protect(Api()), b"Bearer " + b"a" * 1_000_000)
    assert (response.status_code, response.json()["reason"]) == (401, "too_large")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
        (f"Bearer {TOKEN}", "Basic dXNlcjpwYXNz"),
        ("", f"Bearer {TOKEN}"),
        ("", ""),
    ],
)
async def test_two_authorization_headers_are_an_invalid_request(first: str, second: str) -> None:
    api = Api()
    response = await call(protect(api), first, second)
    assert response.status_code == 400
    assert (response.json()["error"], response.json()["reason"]) == ("invalid_request", "parameter_repeated")
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_request", ')
    assert api.seen == []


async def test_a_token_in_the_query_or_the_body_is_never_looked_at() -> None:
    api = Api()
    query = await call(protect(api), path=f"/customers?access_token={TOKEN}")
    body = await call(protect(api), method="POST", data={"access_token": TOKEN})
    assert [query.headers["www-authenticate"], body.headers["www-authenticate"]] == [BARE, BARE]
    assert api.seen == []


@given(st.binary(max_size=60), st.booleans())
async def test_no_header_whatsoever_gets_to_the_app_or_into_the_answer_unescaped(value: bytes, scheme: bool) -> None:
    api = Api()
    sent = await drive(protect(api), http_scope(b"Bearer " + value if scheme else value))
    challenge = dict(sent[0]["headers"])[b"www-authenticate"].decode("ascii")
    assert (sent[0]["status"], api.seen) == (401, [])
    assert challenge.isprintable()
    assert "\\" not in challenge
