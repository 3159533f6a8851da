from collections.abc import Iterator

import pytest

from tests.demo.outsider import Outsider
from tokensvc.demo.world import World, open_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One running demo for all tests of this folder. Who revokes something does so in a lineage of its own."""
    with open_world(tmp_path_factory.mktemp("demo")) as world:
        yield world


@pytest.fixture
def outsider(world: World) -> Iterator[Outsider]:
    """Somebody who was told nothing but `world.json`."""
    with Outsider.of(world.file) as outsider:
        yield outsider
