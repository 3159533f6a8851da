from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.server.world import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the running service of `world`."""
    async with world.running() as client:
        yield client
