"""`/agents/{id}`: the key that a delegation to an agent is bound to, for those who may delegate to it."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server.test_shed import MOST, Gate
from tests.server.world import ISSUER, World, basic, call, make_world, post_credentials, values
from tests.simulator import ec_key, ed_key
from tokensvc.core.keyset import KeySet, render_jwks

NOT_FOUND = {"error": "not_found", "error_description": "there is no endpoint at this path"}
HELD = (ec_key("researcher holder"), ed_key("researcher holder before"))


def with_keys(folder: Path, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 - any setting
    """The world's settings; researcher holds two keys."""
    (folder / "held.json").write_text(json.dumps(render_jwks(KeySet(key.public for key in HELD))))
    configured = {**values(), **settings}
    configured["agent"] = [
        {**agent, "holder_jwks_file": "held.json"} if agent["id"] == "researcher" else agent
        for agent in configured["agent"]
    ]
    return configured


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, with_keys(tmp_path))


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.running() as client:
        yield client


async def test_a_delegator_learns_the_first_registered_key_of_its_delegatee(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/agents/researcher", headers=basic("planner"))
    assert answer.status_code == 200
    assert answer.json() == {"id": "researcher", "cnf": {"jkt": HELD[0].public.thumbprint}}
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert (await client.head("/agents/researcher", headers=basic("planner"))).status_code == 200


async def test_an_agent_without_a_key_has_no_cnf_and_sees_itself(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/agents/planner", headers=basic("planner"))).json() == {"id": "planner"}
    own = await client.post("/agents/researcher", data=post_credentials("researcher"))
    assert own.json() == {"id": "researcher", "cnf": {"jkt": HELD[0].public.thumbprint}}


async def test_post_is_for_those_who_prove_themselves_in_the_body(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/agents/researcher", headers=basic("planner"), data={"a": "b"})).status_code == 200
    asked = await client.post("/agents/planner", data=post_credentials("researcher"))
    assert (asked.status_code, asked.json()) == (404, NOT_FOUND)


@pytest.mark.parametrize(
    ("client_id", "agent"),
    [("planner", "nobody"), ("planner", "retired"), ("planner", "crm-api"), ("crm-api", "planner"),
     ("crm-api", "researcher"), ("crm-api", "crm-api")],
)  # fmt: skip
async def test_who_may_not_delegate_to_an_agent_does_not_learn_that_it_exists(
    client: httpx2.AsyncClient, client_id: str, agent: str
) -> None:
    answer = await client.get(f"/agents/{agent}", headers=basic(client_id))
    nowhere = await client.get("/agents", headers=basic(client_id))
    assert (answer.status_code, answer.json()) == (nowhere.status_code, nowhere.json()) == (404, NOT_FOUND)
    assert dict(answer.headers) == dict(nowhere.headers)


async def test_only_clients_are_answered(client: httpx2.AsyncClient) -> None:
    wrong: tuple[Mapping[str, str], ...] = (
        {},
        basic("planner", "wrong"),
        basic("nobody"),
        basic("retired"),
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic " + b64encode(b"planner").decode()},
    )
    for headers in wrong:
        for agent in ("researcher", "nobody"):
            for answer in (
                await client.get(f"/agents/{agent}", headers=headers),
                await client.post(f"/agents/{agent}", headers=headers, data={"a": "b"}),
            ):
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
                assert "www-authenticate" in answer.headers
    assert (await client.get("/agents/researcher", headers=basic("planner"))).status_code == 200


async def test_failed_clients_are_logged(world: World, client: httpx2.AsyncClient) -> None:
    await client.get("/agents/researcher", headers=basic("planner", "wrong"))
    assert [event["client_id"] for event in world.events() if event["event"] == "client_authentication_failed"] == [
        "planner"
    ]


RAW = [(name.lower().encode(), value.encode()) for name, value in basic("planner").items()]


@pytest.mark.parametrize(
    "path",
    ["/agents/", "/agents//researcher", "/agents/researcher/", "/agents/researcher\n", "/agents/research%65r",
     "/agents/%72esearcher", "/Agents/researcher", "/agents/researcher;x", "/agents/../agents/researcher",
     "/agents/researcher:", "/agents/r\u00e9", "/agents/researcher@x", "//agents/researcher", "/agents/re searcher"],
)  # fmt: skip
async def test_an_id_is_written_in_one_way_only(world: World, path: str) -> None:
    async with world.running():
        answer = await call(world.app, "GET", path, headers=RAW)
        control = await call(world.app, "GET", "/agents/researcher", headers=RAW)
    assert (answer.status, answer.json()) == (404, NOT_FOUND)
    assert control.status == 200


async def test_nothing_stands_in_the_query(world: World) -> None:
    async with world.running():
        for method in ("GET", "POST"):
            answer = await call(world.app, method, "/agents/researcher", headers=RAW, query=b"client_secret=x")
            assert (answer.status, answer.json()["reason"]) == (400, "parameter_invalid")
        assert (await call(world.app, "GET", "/agents/researcher", headers=RAW)).status == 200


async def test_other_methods_are_told_which_there_are(client: httpx2.AsyncClient) -> None:
    answer = await client.put("/agents/researcher", headers=basic("planner"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_odd_ids_cannot_be_asked_about(tmp_path: Path) -> None:
    configured = values()
    names = ["a.b-c_d~e", "team:agent@example", "spiffe://x/y", "a;b"]
    agents = [{**configured["agent"][1], "id": name, "secret_sha256": [f"{n:064x}"]} for n, name in enumerate(names)]
    planner = {**configured["agent"][0], "may_delegate_to": names}
    world = make_world(tmp_path, {**configured, "agent": [planner, *agents]})
    async with world.running() as client:
        for name, status in zip(names, (200, 200, 404, 404), strict=True):
            assert (await client.get(f"/agents/{name}", headers=basic("planner"))).status_code == status


async def test_below_the_issuer_s_path(tmp_path: Path) -> None:
    world = make_world(tmp_path, with_keys(tmp_path, issuer=f"{ISSUER}/t1"))
    async with world.running() as client:
        assert (await client.get("/t1/agents/researcher", headers=basic("planner"))).status_code == 200
        assert (await client.get("/agents/researcher", headers=basic("planner"))).status_code == 404


async def test_it_is_counted_among_the_requests_that_are_worked_on(tmp_path: Path) -> None:
    store = Gate()
    world = make_world(tmp_path, with_keys(tmp_path, server={"max_requests": MOST}), store=store)
    async with world.running() as client:
        taken = [
            asyncio.create_task(client.post("/token", data=world.start(), headers=basic("planner")))
            for _ in range(MOST)
        ]
        await store.full.wait()
        shed = await client.get("/agents/researcher", headers=basic("planner"))
        healthy = await client.get("/healthz")
        store.opened.set()
        await asyncio.gather(*taken)
        after = await client.get("/agents/researcher", headers=basic("planner"))
    assert (shed.status_code, healthy.status_code, after.status_code) == (503, 200, 200)
