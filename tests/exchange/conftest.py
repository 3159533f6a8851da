import pytest

from tests.exchange.world import World, make_world


@pytest.fixture
async def world() -> World:
    return await make_world()
