"""What goes wrong on our side, and requests that go nowhere."""

import asyncio
import logging
from pathlib import Path

import httpx2
import pytest

from tests.server.world import FixedSigner, World, basic, call, make_world, values
from tests.simulator import ec_key
from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import Unavailable
from tokensvc.ports import Record
from tokensvc.server.errors import FaultGuard
from tokensvc.server.health import readiness_endpoint
from tokensvc.storage.memory import MemoryStore

UNAVAILABLE = {
    "error": "temporarily_unavailable",
    "error_description": "the service cannot answer now; try again later",
    "reason": "temporarily_unavailable",
}


class BrokenStore(MemoryStore):
    """Answers as long as `trouble` is None."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: BaseException | None = None

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        if self.trouble is not None:
            raise self.trouble
        return await super().is_revoked(revocables)

    async def revoke(self, *, revocations: tuple[Revocation, ...], record: Record) -> None:
        if self.trouble is not None:
            raise self.trouble
        await super().revoke(revocations=revocations, record=record)

    async def ping(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class SilentStore(MemoryStore):
    async def ping(self) -> None:
        await asyncio.Event().wait()


def require_unavailable(answer: httpx2.Response) -> None:
    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert answer.headers["retry-after"] == "5"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


@pytest.mark.parametrize(
    ("trouble", "event"),
    [
        (Unavailable("disk full"), "unavailable"),
        (KeyError("eyJhbGciOi.a.token"), "fault"),
        (RecursionError("eyJhbGciOi.a.token"), "fault"),
    ],
)
@pytest.mark.requirement("REVOKE-503")
async def test_trouble_of_ours_is_503_everywhere_issues_nothing_and_is_logged_without_values(
    tmp_path: Path, trouble: Exception, event: str
) -> None:
    store = BrokenStore()
    world = make_world(tmp_path, store=store)

    async with world.running() as client:
        control = await client.post("/token", data=world.start(), headers=basic("planner"))
        token = control.json()["access_token"]
        store.trouble = trouble
        require_unavailable(await client.post("/token", data=world.start(), headers=basic("planner")))
        require_unavailable(await client.post("/introspect", data={"token": token}, headers=basic("crm-api")))
        require_unavailable(await client.post("/revoke", data={"token": token}, headers=basic("planner")))
        require_unavailable(await client.get("/readyz"))
        store.trouble = None
        revoked = await client.post("/revoke", data={"token": token}, headers=basic("planner"))

    assert revoked.status_code == 200
    assert control.status_code == 200
    logged = [entry for entry in world.events() if entry["event"] not in {"started", "stopped"}]
    assert [entry["event"] for entry in logged] == [event] * 4
    assert "eyJ" not in world.log.getvalue()
    if event == "fault":
        assert {entry["type"] for entry in logged} == {type(trouble).__name__}
        assert logged[0]["place"].startswith("tokensvc.exchange.judge:")


async def test_a_missing_signing_key_is_503_and_not_ready(tmp_path: Path) -> None:
    signer = FixedSigner(ec_key("service"))
    world = make_world(tmp_path, signer=signer)

    async with world.running() as client:
        ready = await client.get("/readyz")
        signer.keys.clear()
        require_unavailable(await client.get("/readyz"))
        require_unavailable(await client.post("/token", data=world.start(), headers=basic("planner")))

    assert ready.status_code == 200


async def test_a_store_that_does_not_answer_is_not_ready() -> None:
    endpoint = readiness_endpoint(SilentStore(), FixedSigner(ec_key("service")), patience_s=0.01)

    with pytest.raises(Unavailable):
        await endpoint(None)  # type: ignore[arg-type]


async def test_an_answer_half_sent_is_ended_by_the_server(world: World) -> None:
    async def app(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        raise RuntimeError("eyJ")

    with pytest.raises(RuntimeError):
        await call(FaultGuard(app, world.telemetry), "GET", "/")

    assert [event["event"] for event in world.events()] == ["fault"]


@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_request_cut_off_by_the_stop_of_the_server_is_answered_503(world: World, *, has_begun: bool) -> None:
    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    async def app(_scope: object, _receive: object, send: object) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await asyncio.Event().wait()

    guard = FaultGuard(app, world.telemetry)
    task = asyncio.ensure_future(guard({"type": "http"}, call, send))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert [message["status"] for message in sent if "status" in message] == [200 if has_begun else 503]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
@pytest.mark.requirement("OAUTH-POST", "HTTP-ALLOW")
async def test_only_post_is_allowed_at_the_endpoints(client: httpx2.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, headers=basic("planner"))

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    if method != "HEAD":
        assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/healthz"])
@pytest.mark.requirement("HTTP-ALLOW")
async def test_documents_are_only_read(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.post(path, data={"a": "1"})
    head = await client.head(path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "*",
        "/nothing",
        "/token/",
        "/TOKEN",
        "//token",
        "/x/../token",
        "/token\n",
        "/token\0",
        "/t\u00f6ken",
        "/\ufffd",
    ],
)
@pytest.mark.parametrize("query", [b"", b"a=%zz&" + b"x" * 100_000])
async def test_an_unknown_path_is_404_in_json_and_never_a_redirect(world: World, path: str, query: bytes) -> None:
    answer = await call(world.app, "POST", path, query=query)

    assert (answer.status, answer.json()["error"]) == (404, "not_found")
    assert (answer.header("cache-control"), answer.header("location")) == ("no-store", None)


async def test_start_and_stop_are_logged(tmp_path: Path) -> None:
    world = make_world(tmp_path, values("https://tokens.example/a"))

    async with world.running():
        pass

    started, stopped = world.events()
    assert (started["event"], started["issuer"], started["signing_kid"]) == (
        "started",
        "https://tokens.example/a",
        "service",
    )
    assert started["configuration"] == world.settings.version
    assert (stopped["event"], stopped["client_failures"]) == ("stopped", 0)


def test_faults_of_the_server_itself_are_logged_without_their_text(world: World) -> None:
    logger = logging.getLogger("tests.server.borrowed")
    world.telemetry.take_over(logger)

    try:
        int("eyJhbGciOi")
    except ValueError:
        logger.exception("Exception in ASGI application\n")
    logger.error("Traceback (most recent call last):\n  ...\nValueError: 'eyJhbGciOi'")
    logger.warning("Invalid HTTP request received.")
    logger.info("not shown")

    fault, trace, warning = world.events()
    assert (fault["event"], fault["type"], fault["level"]) == ("Exception in ASGI application", "ValueError", "error")
    assert trace["event"] == "Traceback (most recent call last):"
    assert (warning["event"], warning["level"]) == ("Invalid HTTP request received.", "warning")
    assert "eyJ" not in world.log.getvalue()
