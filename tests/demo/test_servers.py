"""Servers in the background: what does not start is said, and whatever ends the block frees the ports."""

import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tokensvc.demo import world as world_module
from tokensvc.demo.servers import Servers
from tokensvc.demo.world import open_world
from tokensvc.errors import Unavailable
from tokensvc.server.listen import TAKEN_OVER
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import bind


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Where uvicorn's log goes in this test, and only in it."""
    loggers = [logging.getLogger(name) for name in TAKEN_OVER]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield Telemetry(StringIO())
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.level, logger.propagate = handlers, level, propagate


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_a_server_answers_until_the_block_is_left_even_by_an_interrupt(telemetry: Telemetry) -> None:
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("here"))])
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]

    def interrupted() -> None:
        with Servers() as servers:
            servers.start(app, listener, name="a test", telemetry=telemetry)
            assert httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).text == "here"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert is_free(port)
    assert not threads_of("a test")


def test_a_server_whose_application_fails_to_start_is_unavailable(telemetry: Telemetry) -> None:
    @asynccontextmanager
    async def fail(_app: Starlette) -> AsyncIterator[None]:
        raise Unavailable("no store")
        yield

    with bind("127.0.0.1", 0) as listener, Servers() as servers:
        with pytest.raises(Unavailable, match="a test did not start"):
            servers.start(Starlette(lifespan=fail), listener, name="a test", telemetry=telemetry)
        assert not threads_of("a test")


def test_a_world_that_cannot_be_built_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry
) -> None:
    del telemetry
    # A file that cannot be written: its folder is not there.
    monkeypatch.setattr(world_module, "IDP_JWKS_FILE", "no/such/folder")
    before = set(threading.enumerate())
    with pytest.raises(Unavailable, match="cannot be set up here"), open_world(tmp_path / "demo"):
        raise AssertionError
    assert set(threading.enumerate()) == before
    monkeypatch.undo()
    with open_world(tmp_path / "demo") as world:
        assert world.file.exists()
