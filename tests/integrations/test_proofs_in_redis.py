"""The store over Redis that the page of the verifier shows, on a real server, between two workers."""

import asyncio
import re
from pathlib import Path
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.integrations.asgi_calls import BOUND, Api, present, protect
from tests.proofs import proof
from tests.simulator import jti
from tests.storage.redis_server import RedisServer
from tokensvc.integrations.proof_memory import ProofStore

PAGE: Final = Path(__file__).parents[2] / "docs" / "verifier.md"


def shown_store(client: object) -> ProofStore:
    """The class in the page, on this client of Redis."""
    (block,) = re.findall(r"```python\n(class RedisProofs:.*?)\n\n\napp\.", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"redis": client}
    exec(block, names)  # noqa: S102 - our own page
    store: ProofStore = names["RedisProofs"]()
    return store


async def test_a_proof_is_good_once_at_all_workers_together_and_not_at_all_without_the_store(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--save", "") as server:
        client = redis.asyncio.Redis(port=server.port, retry=Retry(NoBackoff(), 0), socket_timeout=5)
        workers = [protect(Api(), proofs=shown_store(client)) for _ in range(2)]
        async with client:
            for number in range(5):
                text = proof(BOUND, jti=jti(str(number)))
                asked = [present(workers[index % 2], BOUND, text) for index in range(8)]
                statuses = [response.status_code for response in await asyncio.gather(*asked)]
                assert sorted(statuses) == [200, *[401] * 7]
            assert 170 < server.command("TTL", server.command("KEYS", "proof *")[0]) <= 180
            server.stop()
            assert (await present(workers[0], BOUND, proof(BOUND, jti=jti("late")))).status_code == 503
