"""`POST /operator/revocations`: for operators alone, and durable when it is answered."""

from pathlib import Path

import httpx2
import pytest

from tests.server.world import World, basic, make_world, secret_of, values
from tests.settings_file import sha256
from tokensvc.ports import Outcome

PATH = "/operator/revocations"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, {**values(), "operator": [{"id": "ops", "secret_sha256": [sha256(secret_of("ops"))]}]})


async def start(world: World, client: httpx2.AsyncClient) -> str:
    answer = await client.post("/token", data=world.start(), headers=basic("planner"))
    token: str = answer.json()["access_token"]
    return token


async def is_active(client: httpx2.AsyncClient, token: str) -> bool:
    answer = await client.post("/introspect", data={"token": token}, headers=basic("crm-api"))
    active: bool = answer.json()["active"]
    return active


async def test_an_operator_ends_every_chain_of_a_user(world: World) -> None:
    async with world.running() as client:
        token = await start(world, client)
        assert await is_active(client, token)
        answer = await client.post(PATH, data={"kind": "user", "id": "user-1"}, headers=basic("ops"))

        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        body = answer.json()
        assert body == {
            "kind": "user",
            "id": "user-1",
            "not_before": world.clock.now + 30,
            "record": body["record"],
        }
        assert not await is_active(client, token)
        record = await world.store.find(body["record"])
        assert record is not None
        assert record.client_id == "ops"


@pytest.mark.parametrize("client_id", ["planner", "crm-api"])
async def test_nobody_else_may(world: World, client_id: str) -> None:
    async with world.running() as client:
        token = await start(world, client)
        answer = await client.post(PATH, data={"kind": "user", "id": "user-1"}, headers=basic(client_id))

        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
        assert await is_active(client, token)
        record = await world.store.find(answer.json()["record"])
        assert record is not None
        assert (record.outcome, record.client_id) == (Outcome.REFUSED, client_id)


async def test_an_operator_has_no_other_rights(world: World) -> None:
    async with world.running() as client:
        token = await start(world, client)
        exchange = await client.post("/token", data=world.start(), headers=basic("ops"))
        introspection = await client.post("/introspect", data={"token": token}, headers=basic("ops"))
        revocation = await client.post("/revoke", data={"token": token}, headers=basic("ops"))

    assert exchange.json()["error"] == revocation.json()["error"] == "unauthorized_client"
    assert introspection.json() == {"active": False}


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({}, "parameter_missing"),
        ({"kind": "user"}, "parameter_missing"),
        ({"id": "user-1"}, "parameter_missing"),
        ({"kind": "everything", "id": "user-1"}, "parameter_invalid"),
        ({"kind": ["user", "actor"], "id": "user-1"}, "parameter_repeated"),
        ({"kind": "entry", "id": "user-1"}, "parameter_invalid"),
    ],
)
async def test_a_form_that_does_not_say_what_is_refused(world: World, form: dict[str, object], reason: str) -> None:
    async with world.running() as client:
        answer = await client.post(PATH, data={"a": "b", **form}, headers=basic("ops"))
        control = await client.post(PATH, data={"kind": "actor", "id": "planner"}, headers=basic("ops"))

    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert control.status_code == 200


@pytest.mark.parametrize("path", ["/operator%2frevocations", "/%6fperator/revocations", "/operator/revocation%73"])
async def test_the_path_is_written_in_one_way_only(world: World, path: str) -> None:
    form = {"kind": "actor", "id": "planner"}
    async with world.running() as client:
        other = await client.post(path, data=form, headers=basic("ops"))
        control = await client.post(PATH, data=form, headers=basic("ops"))

    assert (other.status_code, control.status_code) == (404, 200)
