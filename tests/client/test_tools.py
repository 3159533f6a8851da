"""Tools and their arguments, from the ceiling of an identity provider down two hops, at the real service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.world import API, ISSUER, World, make_world, secret_of, values
from tokensvc.client import AsyncAgent, AsyncLease, ClientSecret, ExchangeRefused
from tokensvc.client.held import read_held_token
from tokensvc.core.details import render_details

REGION = {"region": {"constraint_type": "one_of", "values": ["eu", "us"]}}
EU = {"region": {"constraint_type": "exact", "value": "eu"}}
ANY = {"*": {"constraint_type": "wildcard"}}


def tools_of(lease: AsyncLease) -> list[Any]:
    """The authorization details of a lease."""
    return list(render_details(lease.leased.hop.authority.details))


def entry(tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "attenuating_agent_token", "tools": tools}


@asynccontextmanager
async def at_work(folder: Path) -> AsyncIterator[tuple[AsyncAgent, AsyncAgent, World]]:
    """Planner and researcher at a service whose users may authorise two tools."""
    configured = values()
    ceiling = {"resources": [API], "authorization_details": [entry({"chat": REGION, "read": ANY})]}
    configured["identity_provider"][0]["ceiling"] = ceiling
    world = make_world(folder, configured)
    async with world.running() as http:
        planner, researcher = (
            AsyncAgent(
                issuer=ISSUER,
                client_id=name,
                auth=ClientSecret(secret_of(name), in_body=name == "researcher"),
                http=http,
                clock=lambda: float(world.clock.now),
            )
            for name in ("planner", "researcher")
        )
        yield planner, researcher, world


async def test_tools_are_handed_down_kept_in_renewals_and_dropped_when_not_named(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (planner, researcher, world):
        lease = await planner.start(
            world.user_token(), scope="crm.export crm.read crm.write", tools={"chat": REGION, "read": {}}
        )
        assert tools_of(lease) == [entry({"chat": REGION, "read": ANY})]

        handed = await lease.delegate(
            to="researcher", scope="crm.read crm.write", tools={"chat": EU}, may_delegate=True
        )
        received = await researcher.receive(handed)
        await received.renew()
        assert tools_of(received) == [entry({"chat": EU})]
        assert render_details(read_held_token(await received.token()).claims.details) == [entry({"chat": EU})]

        assert tools_of(await received.narrow(scope="crm.read")) == []
        assert tools_of(await received.narrow(scope="crm.read", tools={"chat": EU})) == [entry({"chat": EU})]
        named = await researcher.receive(await lease.delegate(to="researcher", scope="crm.read", tools=["read"]))
        assert tools_of(named) == [entry({"read": ANY})]
        none = await researcher.receive(await lease.delegate(to="researcher", scope="crm.read"))
        assert tools_of(none) == []


async def test_more_tools_than_there_are_is_refused(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (planner, _, world):
        lease = await planner.start(world.user_token(), scope="crm.export crm.read crm.write", tools={"chat": EU})
        with pytest.raises(ExchangeRefused) as caught:
            await lease.delegate(to="researcher", scope="crm.read", tools={"chat": REGION})
        assert (caught.value.error, caught.value.reason) == ("invalid_authorization_details", "not_narrower")
        assert await lease.delegate(to="researcher", scope="crm.read", tools={"chat": EU})


async def test_without_a_resource_the_service_takes_the_clients_own(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (planner, _, world):
        lease = await planner.start(world.user_token(), scope="crm.read")
        assert lease.resources == {API}
