"""The URI of a request behind a real server: what a client writes into a proof is what the middleware makes of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn

from tests.integrations.asgi_calls import BOUND, Api, protect
from tests.proofs import proof
from tests.simulator import jti

HOST = "127.0.0.1"


@asynccontextmanager
async def serving(base_url: str | None, root_path: str, http: str) -> AsyncIterator[int]:
    """The port of a uvicorn with a protected app; it listens before it serves, so that nobody has to wait for it."""
    with socket.create_server((HOST, 0)) as listening:
        config = uvicorn.Config(
            protect(Api(), base_url=base_url), root_path=root_path, http=http, lifespan="off", log_level="error"
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def status(port: int, path: str, htu: str, number: int) -> int:
    text = proof(BOUND, htu=htu, jti=jti(f"proof {number}"))
    headers = {"Authorization": f"DPoP {BOUND}", "DPoP": text, "Host": "thief.example"}
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://{HOST}:{port}{path}", headers=headers)).status_code


PATHS = ("/", "/customers", "/customers?a=b", "/a%2Fb", "/a%20b", "/%7Euser", "/a;b,c=d", "/a//b", "/%C3%A9t%C3%A9")


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize(
    ("base_url", "root_path", "prefix"),
    [
        (None, "", "https://crm.example"),
        ("https://gateway.example/crm", "", "https://gateway.example/crm"),
        # A server that knows of the prefix that a proxy removed puts it back itself.
        ("https://gateway.example", "/crm", "https://gateway.example/crm"),
    ],
)
async def test_a_proof_for_the_uri_that_was_asked_for_passes_and_for_another_does_not(
    base_url: str | None, root_path: str, prefix: str, http: str
) -> None:
    async with serving(base_url, root_path, http) as port:
        for number, path in enumerate(PATHS):
            assert await status(port, path, prefix + path, number) == 200
            assert await status(port, path, f"{prefix}{path.partition('?')[0]}x", number) == 401
            assert await status(port, path, f"http://thief.example{path}", number) == 401
