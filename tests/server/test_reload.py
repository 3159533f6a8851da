"""Another configuration while requests are in flight: each is answered by the one that counted when it came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.server.world import IDP, World, basic, make_world, values
from tests.settings_file import write_settings
from tests.simulator import ec_key
from tokensvc.core.keyset import KeySet
from tokensvc.core.revocation import Revocable
from tokensvc.server.app import Configured, Current
from tokensvc.storage.memory import MemoryStore
from tokensvc.telemetry import Telemetry
from tokensvc.verify.jwks_refresh import FetchedKeys, RefreshedKeys
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


def configured(name: str, said: list[str], *, runs: bool = True) -> Configured:
    """A configuration of that name, which says when what runs beside it begins and ends."""

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        said.append(f"{name} begins")
        yield
        said.append(f"{name} ends")

    stand_in: Any = name
    return Configured(
        terms=stand_in,
        token=stand_in,
        introspect=stand_in,
        revoke=stand_in,
        operate=stand_in,
        agent=stand_in,
        metadata=stand_in,
        while_running=run() if runs else None,
    )


async def test_what_runs_beside_a_configuration_ends_after_its_last_request() -> None:
    said: list[str] = []
    current = Current(configured("a", said))
    async with current.running():
        with current.taken() as taken:
            await current.replace(configured("b", said))
            await current.replace(configured("c", said, runs=False))
            await asyncio.sleep(0)
            said.append(f"{taken.token} answers, {current.value.token} follows")

    assert said.index("a begins") < said.index("b begins") < said.index("a answers, c follows") < said.index("a ends")
    assert sorted(said) == ["a answers, c follows", "a begins", "a ends", "b begins", "b ends"]


async def test_what_both_have_goes_on() -> None:
    said: list[str] = []
    first = configured("a", said)
    current = Current(first)
    async with current.running():
        await current.replace(replace(configured("b", said, runs=False), while_running=first.while_running))
        assert said == ["a begins"]
    assert said == ["a begins", "a ends"]


async def test_before_it_runs_nothing_is_begun_that_is_replaced() -> None:
    said: list[str] = []
    current = Current(configured("a", said))
    await current.replace(configured("b", said))
    async with current.running():
        pass
    assert said == ["b begins", "b ends"]


async def test_keys_that_were_fetched_are_kept_while_they_come_from_the_same_place(tmp_path: Path) -> None:
    fetched: list[str] = []

    async def fetch() -> FetchedKeys:
        fetched.append(IDP)
        return FetchedKeys(keys=KeySet([ec_key("idp").public]), max_age_s=None)

    (provider,) = values()["identity_provider"]
    remote = {**provider, "jwks_url": f"{IDP}/jwks"}
    del remote["jwks_file"]
    world = make_world(tmp_path, {**values(), "identity_provider": [remote]})
    keys = RefreshedKeys({IDP: fetch}, timeout_s=5, cooldown_s=30, max_fresh_s=900, max_stale_s=3600)
    service = Service(
        world.settings,
        clock=world.clock,
        store=world.store,
        signer=world.signer,
        telemetry=Telemetry(world.log),
        fetched_keys=keys,
    )
    world = replace(world, app=service.app)
    async with world.running() as client:
        answers = [await client.post("/token", data=world.start(), headers=basic("planner"))]
        for enabled in (True, False):
            again = {**remote, "session_lifetime_s": 60, "enabled": enabled}
            assert await service.reload(rewrite(tmp_path, {**values(), "identity_provider": [again]}), {})
            answers.append(await client.post("/token", data=world.start(), headers=basic("planner")))

    # A provider that is disabled vouches for nobody from the next request on.
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert fetched == [IDP]
