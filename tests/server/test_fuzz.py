"""Whatever arrives, the answer is one of ours: a known status, JSON with an `error`, and nothing of the inside."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.world import Answer, World, basic, call, make_world, secret_of
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE

PATHS = [
    "/token",
    "/introspect",
    "/revoke",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/healthz",
    "/readyz",
]
NAMES = [
    *("grant_type", "subject_token", "subject_token_type", "requested_token_type", "scope", "resource", "audience"),
    *("requested_actor", "requested_lifetime_s", "actor_token", "client_id", "client_secret", "client_assertion"),
    *("token", "token_type_hint", "hop", "authorization_details"),
]
VALUES = [
    *(GRANT_TYPE, ACCESS_TOKEN_TYPE, "planner", "researcher", "crm.read", "crm", "https://api.example", "1", "0"),
    *("", "a.b.c", "e30.e30.AA", "\x00", "\ud7ff", "\U0001f600", "999999999999", secret_of("researcher")),
]
FORM_TYPE = b"application/x-www-form-urlencoded"

texts = st.one_of(st.sampled_from(VALUES), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
forms = st.lists(st.tuples(st.sampled_from(NAMES) | texts, texts), max_size=12).map(
    lambda form: urlencode(form).encode()
)
bodies = st.one_of(forms, st.binary(max_size=200), st.just(b"&" * 100), st.just(b"x" * 70_000))
planner = basic("planner")["Authorization"].encode()
headers = st.lists(
    st.one_of(
        st.just((b"content-type", FORM_TYPE)),
        st.just((b"authorization", planner)),
        st.tuples(st.just(b"authorization"), st.binary(max_size=40).map(lambda value: b"Basic " + value)),
        st.tuples(
            st.sampled_from([b"content-type", b"content-length", b"dpop", b"host", b"cookie", b"x-forwarded-proto"]),
            st.binary(max_size=40),
        ),
        st.tuples(st.binary(min_size=1, max_size=20).map(bytes.lower), st.binary(max_size=20)),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, asyncio.Runner]]:
    world = make_world(tmp_path_factory.mktemp("world"))
    with asyncio.Runner() as runner:
        runner.run(world.store.open())
        yield world, runner


def require_ours(answer: Answer, *, is_head: bool) -> None:
    assert answer.status in {200, 400, 401, 404, 405}
    assert b"Traceback" not in answer.body
    if answer.status == 200:
        return
    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "no-store"
    if not is_head:
        body = answer.json()
        assert body.keys() <= {"error", "error_description", "reason", "record"}
        assert all(isinstance(value, str) and value.isascii() for value in body.values())


@settings(max_examples=400)
@given(
    method=st.sampled_from(["POST"] * 6 + ["GET", "HEAD", "OPTIONS", "PUT", "BREW", ""]),
    path=st.sampled_from(PATHS) | st.text(max_size=30).map(lambda text: "/" + text),
    headers=headers,
    body=bodies,
    query=st.just(b"") | st.binary(max_size=30),
    ends=st.sampled_from([True] * 4 + [False]),
)
def test_any_request_gets_an_answer_of_ours(
    running: tuple[World, asyncio.Runner],
    method: str,
    path: str,
    *,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    query: bytes,
    ends: bool,
) -> None:
    world, runner = running

    answer = runner.run(call(world.app, method, path, headers=headers, chunks=[body], query=query, ends=ends))

    require_ours(answer, is_head=method == "HEAD")


@settings(max_examples=400)
@given(path=st.sampled_from(PATHS[:3]), form=forms)
def test_any_form_of_an_authenticated_client_gets_an_answer_of_ours(
    running: tuple[World, asyncio.Runner], path: str, form: bytes
) -> None:
    world, runner = running
    sent = [(b"content-type", FORM_TYPE), (b"authorization", planner)]

    answer = runner.run(call(world.app, "POST", path, headers=sent, chunks=[form]))

    require_ours(answer, is_head=False)


def test_the_fuzzed_service_still_works(running: tuple[World, asyncio.Runner]) -> None:
    world, runner = running
    sent = [(b"content-type", FORM_TYPE), (b"authorization", planner)]

    answer = runner.run(call(world.app, "POST", "/token", headers=sent, chunks=[urlencode(world.start()).encode()]))

    assert answer.status == 200
    assert not [event for event in world.events() if event["event"] in {"fault", "unavailable"}]
