"""Streams, websockets, lifespan, metadata, and a real framework."""

from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from tests.integrations.asgi_calls import (
    DOCUMENT,
    EXPIRED,
    SIM,
    TOKEN,
    URL,
    Api,
    Message,
    call,
    drive,
    http_scope,
    protect,
)
from tests.simulator import NOW
from tokensvc.errors import AccessDenied, Reason
from tokensvc.integrations.asgi import TokenMiddleware, verified_token
from tokensvc.verify import LifetimeOnly


def websocket_scope(*authorization: str, **members: object) -> dict[str, object]:
    headers = [(b"authorization", value.encode()) for value in authorization]
    return {"type": "websocket", "path": "/feed", "headers": headers, **members}


async def test_a_denial_after_the_response_started_is_raised_again() -> None:
    sent: list[Message] = []

    async def app(scope: MutableMapping[str, Any], _receive: object, send: Callable[[Message], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        verified_token(scope).require(scope="crm.delete")

    with pytest.raises(AccessDenied):
        await drive(protect(app), http_scope(f"Bearer {TOKEN}"), on_send=sent.append)
    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_a_stream_passes_chunk_by_chunk() -> None:
    order: list[object] = []

    async def app(_scope: object, _receive: object, send: Callable[[Message], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for chunk in (b"one", b"two"):
            order.append("made")
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    await drive(protect(app), http_scope(f"Bearer {TOKEN}"), on_send=lambda message: order.append(message.get("body")))
    assert order == [None, "made", b"one", "made", b"two"]


# Other kinds of connection


@pytest.mark.parametrize("state", [{}, {"state": {"db": 1}}])
async def test_lifespan_passes_as_it_is(state: dict[str, object]) -> None:
    seen: list[object] = []

    async def app(scope: object, receive: Callable[[], Any], send: Callable[[Message], Any]) -> None:
        seen.append(scope)
        await receive()
        await send({"type": "lifespan.startup.complete"})

    sent = await drive(protect(app), {"type": "lifespan", **state}, {"type": "lifespan.startup"})
    assert (seen, sent) == ([{"type": "lifespan", **state}], [{"type": "lifespan.startup.complete"}])


@pytest.mark.parametrize("kind", ["webtransport", "HTTP", "", None])
async def test_a_kind_of_connection_that_it_cannot_protect_is_refused(kind: object) -> None:
    api = Api()
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    with pytest.raises(ValueError, match="http and websocket"):
        await drive(protect(api), {"type": kind, "method": "GET", "path": "/", "headers": headers})
    assert api.seen == []


async def _feed(scope: MutableMapping[str, Any], receive: Callable[[], Any], send: Callable[[Message], Any]) -> None:
    """A websocket that is for readers, and whose deletions are for those who may delete."""
    token = verified_token(scope)
    token.require(scope=scope["needs"])
    await receive()
    await send({"type": "websocket.accept"})
    token.require(scope=scope["needs_later"])
    await send({"type": "websocket.send", "text": token.sub})


async def test_a_websocket_with_a_valid_token_is_opened() -> None:
    scope = websocket_scope(f"Bearer {TOKEN}", needs="crm.read", needs_later="crm.read")
    sent = await drive(protect(_feed), scope, {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {}}, {"extensions": {"tls": {}}}])
@pytest.mark.parametrize("authorization", [[], [f"Bearer {EXPIRED}"], [f"Bearer {TOKEN}"] * 2])
async def test_a_refused_websocket_is_closed_before_it_is_accepted(
    authorization: list[str], extensions: dict[str, object]
) -> None:
    scope = websocket_scope(*authorization, **extensions)
    sent = await drive(protect(_feed), scope, {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("authorization", "needs", "status"),
    [([], "crm.read", 401), ([f"Bearer {EXPIRED}"], "crm.read", 401), ([f"Bearer {TOKEN}"], "crm.delete", 403)],
)
async def test_a_refused_websocket_gets_the_full_answer_where_the_server_can_give_it(
    authorization: list[str], needs: str, status: int
) -> None:
    extensions: dict[str, object] = {"websocket.http.response": {}}
    scope = websocket_scope(*authorization, extensions=extensions, needs=needs, needs_later="crm.read")
    start, body = await drive(protect(_feed), scope, {"type": "websocket.connect"})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert dict(start["headers"])[b"www-authenticate"].startswith(b"Bearer ")
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert body["type"] == "websocket.http.response.body"


async def test_a_denial_on_an_open_websocket_is_raised_again() -> None:
    scope = websocket_scope(f"Bearer {TOKEN}", needs="crm.read", needs_later="crm.delete")
    with pytest.raises(AccessDenied):
        await drive(protect(_feed), scope, {"type": "websocket.connect"})


# Metadata


async def test_the_metadata_is_answered_to_anybody_and_nothing_else_is() -> None:
    api = Api()
    app = protect(api, metadata=DOCUMENT)
    path = "/.well-known/oauth-protected-resource/api"
    response = await call(app, path=path)
    assert (response.status_code, response.json()) == (200, DOCUMENT)
    assert response.headers["content-type"] == "application/json"
    assert (await call(app, method="HEAD", path=path)).status_code == 200
    for method, other in [("POST", path), ("GET", path + "/"), ("GET", path[:-4]), ("GET", "/api"), ("GET", "/")]:
        assert (await call(app, method=method, path=other)).status_code == 401
    assert api.seen == []


async def test_without_a_document_the_metadata_path_is_protected_like_any_other() -> None:
    assert (await call(protect(Api()), path="/.well-known/oauth-protected-resource/api")).status_code == 401


async def test_a_websocket_to_the_metadata_path_needs_a_token() -> None:
    scope = websocket_scope(path="/.well-known/oauth-protected-resource/api", method="GET")
    sent = await drive(protect(_feed, metadata=DOCUMENT), scope)
    assert sent == [{"type": "websocket.close", "code": 1008}]


# Starlette, as the example in the module has it


async def _read(request: Request) -> PlainTextResponse:
    verified_token(request.scope).require(scope="crm.read")
    return PlainTextResponse("read")


async def _delete(request: Request) -> JSONResponse:
    verified_token(request.scope).require(scope="crm.delete")
    return JSONResponse({"deleted": True})  # pragma: no cover - refused above


async def _stream(request: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for line in ("one\n", "two\n"):
            yield line

    verified_token(request.scope).require(scope="crm.read")
    return StreamingResponse(lines())


@pytest.mark.parametrize(
    ("path", "status", "text"), [("/read", 200, "read"), ("/stream", 200, "one\ntwo\n"), ("/delete", 403, None)]
)
async def test_starlette_handlers_are_protected_by_add_middleware(path: str, status: int, text: str | None) -> None:
    app = Starlette(routes=[Route("/read", _read), Route("/delete", _delete), Route("/stream", _stream)])
    app.add_middleware(
        TokenMiddleware,
        keys=SIM.keys(),
        expect=SIM.expect(),
        revocations=LifetimeOnly(max_s=900),
        resource_metadata=URL,
        clock=lambda: NOW,
    )
    response = await call(app, f"Bearer {TOKEN}", path=path)
    assert response.status_code == status
    assert response.text == text if text else response.json()["reason"] == Reason.INSUFFICIENT_SCOPE
    assert (await call(app, path=path)).status_code == 401
