"""`/introspect` (RFC 7662)."""

import httpx2
import pytest

from tests.server.world import API, ISSUER, World, basic, post_credentials

INACTIVE = {"active": False}


@pytest.fixture
async def token(world: World, client: httpx2.AsyncClient) -> str:
    """A token of planner for `API`."""
    answer = await client.post("/token", data=world.start(), headers=basic("planner"))
    return str(answer.json()["access_token"])


@pytest.mark.requirement("INTROSPECT-ACTIVE")
async def test_the_resource_and_the_current_actor_learn_everything(
    world: World, client: httpx2.AsyncClient, token: str
) -> None:
    for caller in ("crm-api", "planner"):
        answer = await client.post("/introspect", data={"token": token}, headers=basic(caller))

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        body = answer.json()
        assert (body["active"], body["iss"], body["aud"], body["client_id"]) == (True, ISSUER, API, "planner")
        assert (body["exp"], body["token_type"]) == (world.clock.now + 300, "Bearer")


@pytest.mark.requirement("INTROSPECT-INACTIVE", "INTROSPECT-CHECKS")
async def test_everybody_else_and_every_other_token_gets_exactly_inactive(
    world: World, client: httpx2.AsyncClient, token: str
) -> None:
    other = await client.post("/introspect", data={"token": token, **post_credentials("researcher")})
    assert (other.status_code, other.json()) == (200, INACTIVE)
    for bad in ("x", token[:-2], world.user_token(), "ü", "." * 60_000):
        answer = await client.post("/introspect", data={"token": bad}, headers=basic("crm-api"))
        assert (answer.status_code, answer.json()) == (200, INACTIVE)


@pytest.mark.requirement("INTROSPECT-CHECKS")
async def test_an_expired_token_is_inactive(world: World, client: httpx2.AsyncClient, token: str) -> None:
    world.clock.now += 300 + 30

    answer = await client.post("/introspect", data={"token": token}, headers=basic("crm-api"))

    assert answer.json() == INACTIVE


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
@pytest.mark.requirement("INTROSPECT-HINT")
async def test_a_hint_changes_nothing(client: httpx2.AsyncClient, token: str, hint: str) -> None:
    answer = await client.post("/introspect", data={"token": token, "token_type_hint": hint}, headers=basic("crm-api"))

    assert answer.json()["active"] is True


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({}, "parameter_missing"),
        ({"token": ""}, "parameter_missing"),
        ({"token": ["x", "x"]}, "parameter_repeated"),
        ({"token": "x", "token_type_hint": ["a", "b"]}, "parameter_repeated"),
        ({"token": "x", "resource": ["a", "b"]}, "parameter_repeated"),
    ],
)
@pytest.mark.requirement("OAUTH-ONCE", "INTROSPECT-TOKEN")
async def test_a_form_without_one_token_is_refused(
    client: httpx2.AsyncClient, form: dict[str, object], reason: str
) -> None:
    answer = await client.post("/introspect", data={"x": "y", **form}, headers=basic("crm-api"))

    assert (answer.status_code, answer.json()["error"], answer.json()["reason"]) == (400, "invalid_request", reason)


@pytest.mark.requirement("INTROSPECT-AUTH")
async def test_an_unauthenticated_caller_gets_401_whatever_the_token(client: httpx2.AsyncClient, token: str) -> None:
    for presented in (token, "x"):
        answer = await client.post("/introspect", data={"token": presented})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
