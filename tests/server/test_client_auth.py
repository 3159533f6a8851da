"""Client authentication over HTTP: every way in, and that all failures look alike."""

from base64 import b64encode
from urllib.parse import quote_plus

import httpx2
import pytest

from tests.server.world import World, basic, call, make_world, post_credentials, secret_of, values
from tests.settings_file import sha256

INVALID_CLIENT = {"error": "invalid_client", "error_description": "client authentication failed"}
ASSERTION = {
    "client_assertion": "e30.e30.AA",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
}


def authorization(value: bytes | str) -> dict[str, str]:
    encoded = b64encode(value if isinstance(value, bytes) else value.encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        ({}, {}),
        (basic("planner", "wrong"), {}),
        (basic("nobody"), {}),
        (basic("retired"), {}),
        (basic("researcher"), {}),  # registered for client_secret_post
        ({}, {"client_id": "planner", "client_secret": secret_of("planner")}),  # registered for client_secret_basic
        ({}, {"client_id": "researcher", "client_secret": "wrong"}),
        ({}, {"client_id": "researcher"}),
        ({}, {"client_secret": secret_of("researcher")}),
        ({}, ASSERTION),
        ({}, {"client_id": "planner", **ASSERTION}),
        (basic("planner"), {"client_id": "researcher"}),
        ({"Authorization": "Bearer " + secret_of("planner")}, {}),
        ({"Authorization": "Basic"}, {}),
        ({"Authorization": ""}, {}),
        ({"Authorization": "Basic !!!!"}, {}),
        ({"Authorization": "Basic cGxhbm5lcg"}, {}),  # padding cut off
        (authorization("planner"), {}),  # no colon
        (authorization(f":{secret_of('planner')}"), {}),
        (authorization("planner:"), {}),
        (authorization(b"\xff\xfe:x"), {}),
        (authorization(f"planner:{secret_of('planner')}\n"), {}),
    ],
)
@pytest.mark.requirement("OAUTH-CLIENT-AUTH", "OAUTH-INVALID-CLIENT", "HTTP-CHALLENGE")
async def test_every_failed_authentication_gets_the_same_answer(
    client: httpx2.AsyncClient, path: str, headers: dict[str, str], parameters: dict[str, str]
) -> None:
    answer = await client.post(path, data={"token": "x", **parameters}, headers=headers)

    assert answer.status_code == 401
    assert answer.json() == INVALID_CLIENT
    assert answer.headers["www-authenticate"] == 'Basic realm="tokensvc"'
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        (basic("planner"), {}),
        (basic("planner"), {"client_id": "planner"}),
        ({"Authorization": basic("planner")["Authorization"].replace("Basic ", "bAsIC   ")}, {}),
        ({}, post_credentials("researcher")),
        (basic("crm-api"), {}),
    ],
)
@pytest.mark.requirement("OAUTH-CLIENT-AUTH")
async def test_registered_clients_authenticate_the_way_they_are_registered(
    client: httpx2.AsyncClient, headers: dict[str, str], parameters: dict[str, str]
) -> None:
    answer = await client.post("/introspect", data={"token": "x", **parameters}, headers=headers)

    assert (answer.status_code, answer.json()) == (200, {"active": False})


@pytest.mark.parametrize(
    ("headers", "parameters", "reason"),
    [
        (basic("planner"), {"client_secret": secret_of("planner")}, "parameter_invalid"),
        (basic("planner"), ASSERTION, "parameter_invalid"),
        ({}, {**post_credentials("researcher"), **ASSERTION}, "parameter_invalid"),
        ({}, {"client_id": ["researcher"] * 2, "client_secret": secret_of("researcher")}, "parameter_repeated"),
        ({}, {"client_id": "researcher", "client_secret": [secret_of("researcher")] * 2}, "parameter_repeated"),
        ({}, {"client_assertion": ["a", "b"]}, "parameter_repeated"),
    ],
)
@pytest.mark.requirement("OAUTH-ONE-METHOD")
async def test_two_ways_at_once_are_refused(
    client: httpx2.AsyncClient, headers: dict[str, str], parameters: dict[str, object], reason: str
) -> None:
    answer = await client.post("/introspect", data={"token": "x", **parameters}, headers=headers)

    assert (answer.status_code, answer.json()["error"], answer.json()["reason"]) == (400, "invalid_request", reason)


@pytest.mark.requirement("OAUTH-ONE-METHOD")
async def test_two_authorization_headers_are_refused(world: World) -> None:
    header = (b"authorization", basic("planner")["Authorization"].encode())
    form = (b"content-type", b"application/x-www-form-urlencoded")

    async with world.running():
        answer = await call(world.app, "POST", "/introspect", headers=[form, header, header], chunks=[b"token=x"])
        control = await call(world.app, "POST", "/introspect", headers=[form, header], chunks=[b"token=x"])

    assert (answer.status, answer.json()["reason"]) == (400, "parameter_repeated")
    assert control.status == 200


@pytest.mark.parametrize("secret", ["plain", "with%2Bescape", "plus+plus", "a b:c/ü", "100%"])
@pytest.mark.parametrize("is_encoded", [True, False])
@pytest.mark.requirement("OAUTH-BASIC")
async def test_basic_is_understood_form_encoded_and_raw(
    tmp_path_factory: pytest.TempPathFactory, secret: str, *, is_encoded: bool
) -> None:
    configured = values()
    configured["agent"][0]["secret_sha256"] = [sha256(secret)]
    world = make_world(tmp_path_factory.mktemp("world"), configured)
    sent = f"planner:{quote_plus(secret) if is_encoded else secret}"

    async with world.running() as client:
        answer = await client.post("/introspect", data={"token": "x"}, headers=authorization(sent))
        wrong = await client.post("/introspect", data={"token": "x"}, headers=authorization(sent + "x"))

    assert (answer.status_code, wrong.status_code) == (200, 401)


async def test_failures_are_counted_and_logged_without_secrets_and_not_recorded(
    world: World, client: httpx2.AsyncClient
) -> None:
    swapped = secret_of("planner")

    await client.post("/token", data={"a": "1"}, headers=basic("planner", "wrong-secret"))
    await client.post("/token", data={"client_id": swapped, "client_secret": "planner"})
    await client.post("/token", data={"client_id": "researcher"})
    await client.post("/token", data={"a": "1"})

    failures = [event for event in world.events() if event["event"] == "client_authentication_failed"]
    assert [event["failures"] for event in failures] == [1, 2, 3, 4]
    assert [event.get("client_id") for event in failures] == ["planner", None, "researcher", None]
    assert [event.get("client_id_sha256") for event in failures] == [None, sha256(swapped)[:12], None, None]
    assert world.telemetry.client_failures == 4
    assert "secret" not in world.log.getvalue()
