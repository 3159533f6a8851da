"""`/token`: what the endpoint adds to the exchange."""

import httpx2
import pytest

from tests.server.world import API, World, basic, exchange_form
from tokensvc.ports import Outcome


@pytest.mark.parametrize(
    ("changed", "error", "reason"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type", None),
        ({"grant_type": None}, "invalid_request", "parameter_missing"),
        ({"subject_token": ""}, "invalid_request", "parameter_missing"),
        ({"subject_token_type": None}, "invalid_request", "parameter_missing"),
        ({"subject_token": "foo"}, "invalid_request", "subject_token_invalid"),
        ({"scope": None}, "invalid_scope", "scope_missing"),
        ({"scope": ""}, "invalid_scope", "scope_missing"),
        ({"scope": ["crm.read", "crm.write"]}, "invalid_request", "parameter_repeated"),
        ({"scope": "crm.delete"}, "invalid_scope", "ceiling_exceeded"),
        ({"resource": "https://other.example"}, "invalid_target", "target_not_allowed"),
        ({"audience": "nothing"}, "invalid_target", "target_not_allowed"),
        ({"delegation_grant": "x"}, "invalid_request", "grant_invalid"),
        ({"actor_token": "x"}, "invalid_request", "parameter_missing"),
        (
            {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"},
            "invalid_request",
            "parameter_unsupported",
        ),
    ],
)
@pytest.mark.requirement("OAUTH-EMPTY", "OAUTH-ONCE", "OAUTH-ERROR", "TE-HTTP-INVALID-REQUEST", "TE-SUBJECT-TOKEN")
async def test_a_refusal_is_a_400_that_names_its_reason_and_its_record(
    world: World, client: httpx2.AsyncClient, changed: dict[str, object], error: str, reason: str | None
) -> None:
    answer = await client.post("/token", data=_present({**world.start(), **changed}), headers=basic("planner"))
    control = await client.post("/token", data=world.start(), headers=basic("planner"))

    body = answer.json()
    assert (answer.status_code, body["error"], body.get("reason")) == (400, error, reason)
    assert ("reason" in body) == (reason is not None)
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    record = await world.store.find(body["record"])
    assert record is not None
    assert (record.outcome, record.client_id, record.reason) == (Outcome.REFUSED, "planner", reason)
    assert control.status_code == 200


def _present(form: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in form.items() if value is not None}


@pytest.mark.parametrize(
    "parameters", [{"resource": [API, API]}, {"audience": "crm"}, {"resource": API, "audience": "crm"}]
)
@pytest.mark.requirement("TE-HTTP-TARGETS")
async def test_targets_may_repeat_and_be_mixed(
    world: World, client: httpx2.AsyncClient, parameters: dict[str, object]
) -> None:
    answer = await client.post("/token", data=world.start(**parameters), headers=basic("planner"))

    assert answer.status_code == 200


@pytest.mark.requirement("OAUTH-UNKNOWN")
async def test_unknown_parameters_are_ignored(world: World, client: httpx2.AsyncClient) -> None:
    answer = await client.post("/token", data=world.start(anything="x", id_token_hint="y"), headers=basic("planner"))

    assert answer.status_code == 200


@pytest.mark.requirement("OAUTH-UNAUTHORIZED-CLIENT")
async def test_a_resource_server_may_not_use_the_endpoint(world: World, client: httpx2.AsyncClient) -> None:
    answer = await client.post("/token", data=world.start(), headers=basic("crm-api"))

    body = answer.json()
    assert (answer.status_code, body["error"], "reason" in body) == (400, "unauthorized_client", False)
    assert await world.store.find(body["record"]) is not None


@pytest.mark.parametrize("proof", ["e30.e30.AA", ""])
async def test_a_dpop_header_that_is_no_proof_is_refused_and_recorded(
    world: World, client: httpx2.AsyncClient, proof: str
) -> None:
    answer = await client.post("/token", data=world.start(), headers={**basic("planner"), "dPoP": proof})
    stranger = await client.post("/token", data=world.start(), headers={"DPoP": proof})
    control = await client.post("/token", data=world.start(), headers=basic("planner"))

    body = answer.json()
    assert (answer.status_code, body["error"], body["reason"]) == (400, "invalid_dpop_proof", "proof_invalid")
    assert "DPoP" in body["error_description"]
    record = await world.store.find(body["record"])
    assert record is not None
    assert "request" in record.inputs
    assert (stranger.status_code, control.status_code) == (401, 200)


async def test_nothing_that_was_sent_comes_back_unprintable(world: World, client: httpx2.AsyncClient) -> None:
    answer = await client.post("/token", data=world.start(**{'ü"\\\n': ["1", "2"]}), headers=basic("planner"))

    description = answer.json()["error_description"]
    assert answer.json()["reason"] == "parameter_repeated"
    assert description.isascii()
    assert not set(description) & {'"', "\\", "\n"}


async def test_a_subject_token_as_large_as_a_form_is_refused_and_leaves_no_trace(
    world: World, client: httpx2.AsyncClient
) -> None:
    answer = await client.post("/token", data=exchange_form("x" * 60_000, scope="crm.read"), headers=basic("planner"))

    assert (answer.status_code, answer.json()["reason"]) == (400, "subject_token_invalid")
    assert all(event["event"] == "started" for event in world.events())
