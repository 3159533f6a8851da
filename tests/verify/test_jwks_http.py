"""Key sets over real HTTP, from a server that does its worst; the control is the same fetch from one that behaves."""

import asyncio
import gzip
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.jwks_server import ISS, TIMEOUT_S, Behaviour, FakeClock, JwksServer, answers, jwks, publishes, sends, serving
from tests.simulator import ISSUER, NOW, Simulator, ec_key, rsa_key
from tokensvc.errors import Reason, TokenRefused, Unavailable
from tokensvc.verify import LifetimeOnly, verify_token
from tokensvc.verify.jwks_http import RefreshedKeys, UnsafeReach, https_keys

LOOPBACK = UnsafeReach(networks=("127.0.0.0/8",), plain_http=True)
TLS = ssl.create_default_context()  # made once: it takes longer than most tests
OLD, NEW = ec_key("old"), ec_key("new")
GOOD = jwks(NEW)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
MAX_BYTES = 256 * 1024
BOMB = gzip.compress(b" " * 20_000_000 + GOOD)

Wait = Callable[..., Coroutine[Any, Any, None]]


def keys_at(*servers: JwksServer, **terms: Any) -> RefreshedKeys:  # noqa: ANN401
    """The first server is the issuer `ISS`; the others are numbered."""
    urls = {ISS if number == 0 else f"{ISS}/{number}": server.url for number, server in enumerate(servers)}
    return https_keys(urls, **{"reach": LOOPBACK, "tls": TLS, "timeout_s": TIMEOUT_S, **terms})


@asynccontextmanager
async def fetched(behave: Behaviour, **terms: Any) -> AsyncIterator[tuple[JwksServer, RefreshedKeys]]:  # noqa: ANN401
    """A server, and a verifier that got the key `old` from it before the server took to `behave`."""
    async with JwksServer(publishes(OLD)) as server, keys_at(server, **terms) as keys:
        await keys.ensure()
        server.behave = behave
        yield server, keys


async def is_taken(behave: Behaviour, **terms: Any) -> bool:  # noqa: ANN401
    """Whether the set is taken, and with it the key `new`; if not, the last good set must still be there, and whole."""
    async with fetched(behave, **terms) as (server, keys):
        taken = await is_refreshed(keys)
        found = keys.find(ISS, "old"), keys.find(ISS, "new")
        assert found == ((None, NEW.public) if taken else (OLD.public, None))
        assert len(server.requests) == 2
    return taken


async def is_refreshed(keys: RefreshedKeys) -> bool:
    try:
        await asyncio.wait_for(keys.refresh(), 2 * TIMEOUT_S)
    except Unavailable:
        return False
    return True


async def test_a_token_verifies_with_a_key_that_was_fetched() -> None:
    sim = Simulator()
    token = sim.token(sim.claims(sim.chain("planner")))

    def verify(keys: RefreshedKeys) -> str:
        verified = verify_token(token, keys=keys, expect=sim.expect(), now=NOW, revocations=LifetimeOnly(max_s=900))
        return verified.iss

    async with JwksServer(publishes(OLD)) as server:
        keys = https_keys({ISSUER: server.url}, reach=LOOPBACK, tls=TLS, timeout_s=TIMEOUT_S)
        with pytest.raises(Unavailable):
            verify(keys)
        async with keys:
            await keys.ensure()
            with pytest.raises(TokenRefused) as refused:
                verify(keys)
            assert refused.value.reason is Reason.UNKNOWN_KEY
            server.behave = publishes(sim.key)
            await keys.refresh()
            assert verify(keys) == ISSUER


async def test_a_request_says_what_it_needs_and_nothing_else() -> None:
    async with fetched(publishes(NEW)) as (server, _):
        (request,) = server.requests
        assert sorted(request.lower().strip().split(b"\r\n")) == [
            b"accept-encoding: identity",
            b"accept: application/json, application/jwk-set+json",
            b"connection: close",
            b"get /jwks http/1.1",
            b"host: 127.0.0.1:%d" % server.port,
            b"user-agent: tokensvc",
        ]


# Answers


@pytest.mark.parametrize(
    "status",
    [
        "201 Created",
        "204 No Content",
        "206 Partial Content",
        "203 Non-Authoritative",
        "304 Not Modified",
        "404 Not Found",
        "500 Down",
        "299 Odd",
    ],
)
async def test_only_200_is_taken(status: str) -> None:
    assert await is_taken(answers(GOOD, status="200 OK"))
    assert not await is_taken(answers(GOOD, status=status))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "https://keys.example/jwks", "/jwks", "//x"],
)
async def test_no_redirect_is_followed(status: str, location: str) -> None:
    assert not await is_taken(answers(GOOD, status=status, location=location))


async def test_no_redirect_is_followed_to_a_server_that_would_answer() -> None:
    async with JwksServer(publishes(NEW)) as other:
        assert not await is_taken(answers(b"", status="302 Found", location=other.url))
        assert other.requests == []


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("application/json", True),
        ("application/jwk-set+json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json ;charset=utf-8", True),
        (None, False),
        ("", False),
        ("text/html", False),
        ("text/plain; application/json", False),
        ("application/jwt", False),
        ("application/json, text/html", False),
        ("application/jsonp", False),
    ],
)
async def test_only_json_media_types_are_taken(kind: str | None, *, taken: bool) -> None:
    assert await is_taken(answers(GOOD, kind=kind)) is taken


async def test_two_media_types_are_none() -> None:
    length = b"content-length: %d\r\n" % len(GOOD)
    assert await is_taken(sends(HEAD + length + b"\r\n" + GOOD))
    assert not await is_taken(sends(HEAD + b"content-type: application/json\r\n" + length + b"\r\n" + GOOD))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "identity, gzip", "gzip, identity", ""])
async def test_a_packed_answer_is_refused(coding: str) -> None:
    assert await is_taken(answers(GOOD, content_encoding="Identity"))
    assert not await is_taken(answers(GOOD, content_encoding=coding))


@pytest.mark.parametrize("headers", [{"content_encoding": "gzip"}, {"content_type": "application/gzip"}, {}])
async def test_a_bomb_is_never_unpacked(headers: dict[str, str]) -> None:
    assert len(BOMB) < MAX_BYTES
    assert not await is_taken(answers(BOMB, **headers))


# Size and time


async def is_given_up(behave: Behaviour, *, timeout_s: float) -> bool:
    """Whether the fetch fails within the time limit, and the same from a server that behaves does not."""
    async with JwksServer(behave) as server:
        async with keys_at(server, timeout_s=timeout_s) as keys:
            given_up = not await is_refreshed(keys)
        server.behave = publishes(NEW)
        async with keys_at(server) as keys:
            return given_up and await is_refreshed(keys)


@pytest.mark.parametrize(("size", "taken"), [(MAX_BYTES, True), (MAX_BYTES + 1, False), (20 * MAX_BYTES, False)])
@pytest.mark.parametrize("announced", ["length", "chunked", "by closing"])
async def test_size_is_bounded_however_it_is_announced(announced: str, size: int, *, taken: bool) -> None:
    body = GOOD.ljust(size)
    pieces = {
        "length": HEAD + b"content-length: %d\r\n\r\n" % size + body,
        "chunked": HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % size + body + b"\r\n0\r\n\r\n",
        "by closing": HEAD + b"\r\n" + body,
    }
    assert await is_taken(sends(pieces[announced])) is taken


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"\r\n", b"x" * 65536),
        (HEAD + b"\r\n", b" "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEAD, b"x-padding: 0123456789\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "blanks", "chunks", "headers", "informational"],
)
async def test_an_answer_without_end_is_given_up(head: bytes, piece: bytes) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head)
        block = piece * (65536 // len(piece))
        while True:
            writer.write(block)
            sent += len(block)
            await writer.drain()

    assert await is_given_up(flood, timeout_s=0.5)
    assert sent < 100_000_000


@pytest.mark.parametrize("ahead", [b"", HEAD, HEAD + b"\r\n", HEAD + b"content-length: 9999\r\n\r\n" + GOOD])
async def test_a_slow_drip_is_given_up(ahead: bytes) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(ahead)
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    began = time.monotonic()
    assert await is_given_up(drip, timeout_s=0.2)
    assert time.monotonic() - began < 5


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async def wait(_writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    assert await is_given_up(wait, timeout_s=0.1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        HEAD,
        HEAD + b"content-length: %d\r\n\r\n" % (len(GOOD) + 1) + GOOD,
        HEAD + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD[:-1],
        HEAD + b"\r\n" + GOOD[:-1],
        HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(GOOD) + GOOD,
        HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(GOOD) + GOOD + b"\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + GOOD,
        HEAD + b"content-length: -1\r\n\r\n" + GOOD,
        HEAD + b"content-length: %d\r\ncontent-length: 1\r\n\r\n" % len(GOOD) + GOOD,
        HEAD + b"x: " + b"y" * 200_000 + b"\r\n\r\n" + GOOD,
        GOOD,
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\x00" * 1000,
    ],
)
async def test_half_answers_and_other_protocols_are_refused(answer: bytes) -> None:
    assert not await is_taken(sends(answer))


async def test_nobody_listens() -> None:
    async with fetched(publishes(NEW)) as (server, keys):
        await server.__aexit__()
        with pytest.raises(Unavailable):
            await keys.refresh()
        assert keys.find(ISS, "old") == OLD.public


# Content


def without(name: str) -> bytes:
    jwk = NEW.public.jwk()
    del jwk[name]
    return json.dumps({"keys": [jwk]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": {}}',
        b'{"keys": [null]}',
        b'{"keys": [], "keys": []}',
        b"<html></html>",
        b"\xef\xbb\xbf" + GOOD,
        GOOD + b"x",
        GOOD.decode().encode("utf-16"),
        b"[" * 100_000,
        jwks(NEW, NEW),
        jwks(*(ec_key(f"key {number}") for number in range(101))),
        without("kid"),
        without("x"),
        json.dumps({"keys": [{**NEW.public.jwk(), "use": "enc"}]}).encode(),
        json.dumps({"keys": [NEW.unsafe_private_jwk()]}).encode(),
        json.dumps({"keys": [{"kty": "oct", "kid": "new", "k": "c2VjcmV0"}]}).encode(),
        json.dumps({"keys": [{**NEW.public.jwk(), "alg": "none"}]}).encode(),
        json.dumps({"keys": [{**rsa_key("new").public.jwk(), "e": "Aw"}]}).encode(),
    ],
)
async def test_hostile_content_is_refused(body: bytes) -> None:
    assert not await is_taken(answers(body))


async def test_a_hundred_keys_are_taken() -> None:
    keys = jwks(NEW, *(ec_key(f"key {number}") for number in range(99)))
    assert await is_taken(answers(keys))


# Time to live


@pytest.mark.parametrize(
    ("headers", "fresh_s"),
    [
        ({}, 300),
        ({"cache_control": "public"}, 300),
        ({"cache_control": "public, MAX-AGE=120, must-revalidate"}, 120),
        ({"cache_control": 'max-age="120"'}, 120),
        ({"cache_control": "max-age=120", "age": "50"}, 70),
        ({"cache_control": "max-age=120", "age": "old"}, 120),
        ({"cache_control": "max-age=120", "age": "200"}, 30),
        ({"cache_control": "max-age=500, max-age=120"}, 120),
        ({"cache_control": "s-maxage=1, max-age=120"}, 120),
        ({"cache_control": "max-age=120, no-store"}, 30),
        ({"cache_control": "no-cache"}, 30),
        ({"cache_control": "max-age=0"}, 30),
        ({"cache_control": "max-age=-1"}, 30),
        ({"cache_control": "max-age=soon"}, 30),
        ({"cache_control": "max-age"}, 30),
        ({"cache_control": "max-age=" + "9" * 18}, 900),
        ({"cache_control": "max-age=" + "9" * 5000}, 30),
        ({"expires": "Thu, 01 Jan 2099 00:00:00 GMT"}, 300),
    ],
)
async def test_max_age_is_read_and_bounded(headers: dict[str, str], fresh_s: int) -> None:
    clock = FakeClock()
    async with JwksServer(publishes(OLD, **headers)) as server, keys_at(server, clock=clock) as keys:
        await keys.ensure()
        clock.now += fresh_s - 1
        await find_and_wait(keys, "old")
        assert len(server.requests) == 1
        clock.now += 1
        await find_and_wait(keys, "old")
        assert len(server.requests) == 2


async def find_and_wait(keys: RefreshedKeys, kid: str) -> bool:
    """Whether the key is found, and the fetch done that this asked for. No other is begun."""
    found = keys.find(ISS, kid) is not None
    others = asyncio.all_tasks()
    await asyncio.sleep(0)
    begun = asyncio.all_tasks() - others
    if begun:
        await asyncio.wait_for(keys.refresh(ISS), TIMEOUT_S)
    return found


# Rotation, storms, other issuers


async def test_rotation_overlap_and_removal() -> None:
    clock = FakeClock()
    async with JwksServer(publishes(OLD)) as server, keys_at(server, clock=clock) as keys:
        await keys.ensure()
        server.behave = publishes(OLD, NEW)
        clock.now += 30
        assert not await find_and_wait(keys, "new")
        assert await find_and_wait(keys, "new")
        assert await find_and_wait(keys, "old")
        server.behave = publishes(NEW)
        clock.now += 300
        assert await find_and_wait(keys, "old")  # stale, and fetched anew
        assert not await find_and_wait(keys, "old")
        assert await find_and_wait(keys, "new")
        assert len(server.requests) == 3


async def test_a_storm_of_unknown_kids_is_one_fetch_in_an_interval_and_evicts_nothing() -> None:
    clock = FakeClock()
    async with JwksServer(publishes(OLD)) as server, keys_at(server, clock=clock) as keys:
        await keys.ensure()
        for interval in (1, 2, 3):
            clock.now += 30
            for attempt in range(1000):
                assert keys.find(ISS, f"unknown {interval} {attempt}") is None
            await find_and_wait(keys, "unknown")
            assert len(server.requests) == 1 + interval
            assert keys.find(ISS, "old") == OLD.public


@pytest.mark.parametrize("kid", ["../../etc/passwd", "https://169.254.169.254/", "' OR 1=1 --", "", "x" * 100_000])
async def test_a_kid_changes_nothing_about_the_request(kid: str) -> None:
    clock = FakeClock()
    async with JwksServer(publishes(OLD)) as server, keys_at(server, clock=clock) as keys:
        await keys.ensure()
        clock.now += 30
        assert not await find_and_wait(keys, kid)
        first, second = server.requests
        assert first == second


async def test_a_flapping_server_never_takes_away_keys() -> None:
    clock = FakeClock()
    async with JwksServer(publishes(OLD)) as server, keys_at(server, clock=clock) as keys:
        await keys.ensure()
        for behave, taken in [
            (answers(b"{}"), False),
            (answers(b"", status="503 Busy"), False),
            (publishes(OLD), True),
            (sends(b""), False),
        ] * 5:
            server.behave = behave
            clock.now += 300
            assert await is_refreshed(keys) is taken
            assert keys.find(ISS, "old") == OLD.public
        assert len(server.requests) == 21


async def test_one_issuers_trouble_is_its_own() -> None:
    clock = FakeClock()
    async with (
        JwksServer(publishes(OLD)) as good,
        JwksServer(publishes(OLD)) as bad,
        keys_at(good, bad, clock=clock) as keys,
    ):
        await keys.ensure()
        bad.behave = answers(b"{}")
        clock.now += 3600
        await keys.refresh(ISS)
        with pytest.raises(Unavailable):
            await keys.refresh(f"{ISS}/1")
        assert keys.find(ISS, "old") == OLD.public
        with pytest.raises(Unavailable):
            keys.find(f"{ISS}/1", "old")


async def test_two_issuers_with_one_kid_never_mix() -> None:
    theirs = answers(json.dumps({"keys": [{**NEW.public.jwk(), "kid": "old"}]}).encode())
    async with JwksServer(publishes(OLD)) as one, JwksServer(theirs) as two, keys_at(one, two) as keys:
        await keys.ensure()
        first, second = keys.find(ISS, "old"), keys.find(f"{ISS}/1", "old")
        assert first is not None
        assert second is not None
        assert (first.thumbprint, second.thumbprint) == (OLD.public.thumbprint, NEW.public.thumbprint)


@pytest.mark.parametrize("wait", [RefreshedKeys.ensure, RefreshedKeys.refresh])
async def test_however_many_wait_there_is_one_request(wait: Wait) -> None:
    async with JwksServer(publishes(OLD)) as server, keys_at(server) as keys:
        await asyncio.wait_for(asyncio.gather(*(wait(keys) for _ in range(200))), TIMEOUT_S)
        assert len(server.requests) == 1


async def test_leaving_ends_the_connection() -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        try:
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            left.set()

    async with JwksServer(drip) as server:
        async with keys_at(server):
            await asyncio.wait_for(arrived.wait(), TIMEOUT_S)
        await asyncio.wait_for(left.wait(), TIMEOUT_S)


def test_a_script_without_a_loop() -> None:
    with serving(publishes(OLD)) as server:
        keys = keys_at(server)
        keys.refresh_sync()
        assert keys.find(ISS, "old") == OLD.public
        server.behave = answers(b"{}")
        with pytest.raises(Unavailable):
            keys.refresh_sync()
        assert keys.find(ISS, "old") == OLD.public
        server.behave = publishes(NEW)
        keys.refresh_sync()
        assert keys.find(ISS, "old") is None


# What the environment and the log have to do with it


async def test_proxies_of_the_environment_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with JwksServer(publishes(NEW)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        async with JwksServer(publishes(OLD)) as server, keys_at(server) as keys:
            await keys.ensure()
            assert keys.find(ISS, "old") == OLD.public
        assert proxy.requests == []


async def test_a_secret_in_the_query_is_sent_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with JwksServer(publishes(OLD)) as server:
        keys = https_keys({ISS: f"{server.url}?key=hush%21"}, reach=LOOPBACK, tls=TLS, timeout_s=TIMEOUT_S)
        async with keys:
            await keys.ensure()
            server.behave = answers(b"", status="404 Not Found")
            with pytest.raises(Unavailable) as refused:
                await keys.refresh()
        assert [b"GET /jwks?key=hush%21 HTTP/1.1" in request for request in server.requests] == [True, True]
    assert "404" in caplog.text
    assert "hush" not in caplog.text + str(refused.value) + repr(keys) + repr(vars(keys))
