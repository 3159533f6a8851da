"""`/revoke` (RFC 7009)."""

import httpx2
import pytest

from tests.server.world import API, World, basic, exchange_form, post_credentials


@pytest.fixture
async def tokens(world: World, client: httpx2.AsyncClient) -> dict[str, str]:
    """planner's own token, and the one that researcher picked up below it."""
    mine = (await client.post("/token", data=world.start(), headers=basic("planner"))).json()["access_token"]
    form = exchange_form(mine, scope="crm.read crm.write", requested_actor="researcher")
    pushed = (await client.post("/token", data=form, headers=basic("planner"))).json()["access_token"]
    form = exchange_form(pushed, scope="crm.read crm.write", requested_actor="researcher", resource=API)
    theirs = (await client.post("/token", data={**form, **post_credentials("researcher")})).json()["access_token"]
    return {"planner": mine, "researcher": theirs}


async def is_active(client: httpx2.AsyncClient, token: str) -> bool:
    answer = await client.post("/introspect", data={"token": token}, headers=basic("crm-api"))
    return bool(answer.json()["active"])


@pytest.mark.requirement("REVOKE-DONE")
async def test_the_delegator_revokes_what_it_handed_on(client: httpx2.AsyncClient, tokens: dict[str, str]) -> None:
    answer = await client.post("/revoke", data={"token": tokens["researcher"]}, headers=basic("planner"))

    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert not await is_active(client, tokens["researcher"])
    assert await is_active(client, tokens["planner"])


async def test_a_named_hop_is_revoked_with_everything_below(client: httpx2.AsyncClient, tokens: dict[str, str]) -> None:
    seen = await client.post("/introspect", data={"token": tokens["researcher"]}, headers=basic("crm-api"))
    first_hop = seen.json()["grant_chain"][1]["jti"]

    form = {"token": tokens["researcher"], "hop": first_hop}
    answer = await client.post("/revoke", data=form, headers=basic("planner"))

    assert answer.status_code == 200
    assert not await is_active(client, tokens["researcher"])
    assert not await is_active(client, tokens["planner"])


@pytest.mark.requirement("REVOKE-OWN")
async def test_an_agent_below_may_not_revoke_what_stands_above(
    client: httpx2.AsyncClient, tokens: dict[str, str]
) -> None:
    form = {"token": tokens["planner"], **post_credentials("researcher")}

    answer = await client.post("/revoke", data=form)

    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    assert await is_active(client, tokens["planner"])


async def test_an_unknown_hop_is_refused(client: httpx2.AsyncClient, tokens: dict[str, str]) -> None:
    form = {"token": tokens["planner"], "hop": "A" * 22}

    answer = await client.post("/revoke", data=form, headers=basic("planner"))

    assert (answer.status_code, answer.json()["reason"]) == (400, "parameter_invalid")


@pytest.mark.parametrize("token", ["x", "a.b.c", "ü"])
@pytest.mark.requirement("REVOKE-UNKNOWN")
async def test_a_token_that_is_none_of_ours_is_answered_like_success(client: httpx2.AsyncClient, token: str) -> None:
    answer = await client.post("/revoke", data={"token": token, "token_type_hint": "what"}, headers=basic("planner"))

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({}, "parameter_missing"),
        ({"token": ["x", "x"]}, "parameter_repeated"),
        ({"token": "x", "hop": ["a", "b"]}, "parameter_repeated"),
        ({"token": "x", "audience": ["a", "b"]}, "parameter_repeated"),
    ],
)
@pytest.mark.requirement("OAUTH-ONCE", "REVOKE-TOKEN")
async def test_a_form_without_one_token_is_refused(
    client: httpx2.AsyncClient, form: dict[str, object], reason: str
) -> None:
    answer = await client.post("/revoke", data={"x": "y", **form}, headers=basic("planner"))

    assert (answer.status_code, answer.json()["reason"]) == (400, reason)


@pytest.mark.requirement("REVOKE-AUTH")
async def test_an_unauthenticated_caller_revokes_nothing(client: httpx2.AsyncClient, tokens: dict[str, str]) -> None:
    answer = await client.post("/revoke", data={"token": tokens["planner"]})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert await is_active(client, tokens["planner"])
