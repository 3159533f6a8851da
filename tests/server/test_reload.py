"""Another configuration while requests are in flight: each is answered by the one that counted when it came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.server.world import World, basic, make_world, values
from tests.settings_file import write_settings
from tokensvc.core.revocation import Revocable
from tokensvc.server.app import Configured, Current
from tokensvc.storage.memory import MemoryStore
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import Service


class Gate(MemoryStore):
    """Asks may be held up at the question whether something is revoked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.open_again = asyncio.Event(), asyncio.Event()
        self.open_again.set()

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        self.asked.set()
        await self.open_again.wait()
        return await super().is_revoked(revocables)


def without_planner(world_values: dict[str, Any]) -> dict[str, Any]:
    agents = [{**agent, "enabled": agent["id"] != "planner"} for agent in world_values["agent"]]
    return {**world_values, "agent": agents}


def service_of(world: World) -> Service:
    return Service(
        world.settings, clock=world.clock, store=world.store, signer=world.signer, telemetry=Telemetry(world.log)
    )


def rewrite(folder: Path, configured: dict[str, Any]) -> Path:
    """The configuration file anew; the key set beside it stays."""
    jwks = folder / "idp.jwks.json"
    kept = jwks.read_text()
    path = write_settings(folder, configured)
    jwks.write_text(kept)
    return path


async def test_a_request_in_flight_is_finished_under_the_configuration_it_began_with(tmp_path: Path) -> None:
    store = Gate()
    world = make_world(tmp_path, store=store)
    service = service_of(world)
    world = replace(world, app=service.app)
    path = rewrite(tmp_path, without_planner(values()))
    async with world.running() as client:
        store.open_again.clear()
        store.asked.clear()
        waiting = asyncio.create_task(client.post("/token", data=world.start(), headers=basic("planner")))
        await store.asked.wait()

        assert await service.reload(path, {})
        refused = await client.post("/token", data=world.start(), headers=basic("planner"))
        store.open_again.set()
        finished = await waiting

    assert (refused.status_code, finished.status_code) == (401, 200)


async def test_records_and_metadata_are_those_of_the_configuration_that_answered(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    service = service_of(world)
    world = replace(world, app=service.app)
    async with world.running() as client:
        versions, grammars = [], []
        for grammar in ("exact", "segments"):
            path = rewrite(tmp_path, {**values(), "scope_grammar": grammar})
            assert await service.reload(path, {})
            refused = await client.post("/token", data=world.start(audience="nobody"), headers=basic("planner"))
            record = await world.store.find(refused.json()["record"])
            assert record is not None
            versions.append(record.inputs["configuration"])
            grammars.append((await client.get("/.well-known/oauth-authorization-server")).json()["scope_grammar"])

    reloaded = [event for event in world.events() if event["event"] == "configuration_reloaded"]
    assert grammars == ["exact", "segments"]
    assert versions == [event["configuration"] for event in reloaded]
    assert versions[0] == world.settings.version != versions[1]


@pytest.mark.parametrize("bad", [{"colour": "red"}, {"issuer": "https://other.example"}])
async def test_a_bad_file_changes_nothing(tmp_path: Path, bad: dict[str, Any]) -> None:
    world = make_world(tmp_path)
    service = service_of(world)
    world = replace(world, app=service.app)
    path = rewrite(tmp_path, {**without_planner(values()), **bad})
    async with world.running() as client:
        assert not await service.reload(path, {})
        answer = await client.post("/token", data=world.start(), headers=basic("planner"))
        assert await service.reload(rewrite(tmp_path, without_planner(values())), {})
        control = await client.post("/token", data=world.start(), headers=basic("planner"))

    assert (answer.status_code, control.status_code) == (200, 401)
    assert [event["key"] for event in world.events() if event["event"] == "configuration_refused"] == [*bad]


async def test_what_runs_beside_a_configuration_begins_before_it_counts_and_ends_after() -> None:
    said: list[str] = []

    def configured(name: str) -> Configured:
        @asynccontextmanager
        async def run() -> AsyncIterator[None]:
            said.append(f"{name} begins under {current.value.token}")
            yield
            said.append(f"{name} ends under {current.value.token}")

        endpoint: Any = name
        return Configured(
            terms=endpoint,
            token=endpoint,
            introspect=endpoint,
            revoke=endpoint,
            metadata=endpoint,
            while_running=run(),
        )

    current = Current(configured("a"))
    await current.replace(configured("b"))
    assert said == []
    async with current.running():
        await current.replace(configured("c"))
    assert said == ["b begins under b", "c begins under b", "b ends under c", "c ends under c"]
