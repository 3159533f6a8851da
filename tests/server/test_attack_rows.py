"""Attacks on token endpoints that are seen elsewhere, over HTTP, as far as no other test is about that very one."""

import json
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.server.world import (
    API,
    FORM,
    ISSUER,
    World,
    basic,
    exchange_form,
    make_world,
    post_credentials,
    secret_of,
    values,
)
from tests.settings_file import sha256
from tests.simulator import Simulator, ec_key, seal
from tokensvc.core.keyset import KeySet, render_jwks

TYPE = "urn:ietf:params:oauth:token-type:"
ENDPOINTS = ["/token", "/introspect", "/revoke", "/operator/revocations"]


async def issued(client: httpx2.AsyncClient, form: dict[str, object]) -> str:
    answer = await client.post("/token", data=form, headers=basic("planner"))
    assert answer.status_code == 200
    token: str = answer.json()["access_token"]
    return token


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("crm.read+crm.write", None),
        ("crm.read%20crm.write", None),
        ("%63rm.read+%63rm.write", None),
        ("crm.read%2520crm.write", "root_exceeded"),
        ("%2563rm.read", "root_exceeded"),
        ("crm.read%2Bcrm.write", "root_exceeded"),
        ("crm.read%00crm.write", "malformed"),
        ("crm.read%0Acrm.write", "malformed"),
        ("crm.read%E2%80%83crm.write", "malformed"),
        ("crm.read%00", "malformed"),
    ],
)
async def test_a_scope_is_decoded_once(world: World, client: httpx2.AsyncClient, raw: str, reason: str | None) -> None:
    form = {name: value for name, value in world.start().items() if name != "scope"}
    body = "&".join([*(f"{name}={quote(str(value), safe='')}" for name, value in form.items()), f"scope={raw}"])
    answer = await client.post("/token", content=body.encode(), headers={**FORM, **basic("planner")})

    assert (answer.status_code, answer.json().get("reason")) == (200 if reason is None else 400, reason)
    if reason is None:
        assert answer.json()["scope"] == "crm.read crm.write"
    else:
        assert answer.json()["error"] == "invalid_scope"


@pytest.mark.parametrize(
    ("scope", "error", "reason"),
    [
        (" ".join(f"s{number}" for number in range(10_000)), "invalid_scope", "malformed"),
        ("s" * 40_000, "invalid_scope", "root_exceeded"),
        ("s" * 100_000, "invalid_request", "too_large"),
    ],
    ids=["10000 scopes", "40 KB", "100 KB"],
)
async def test_a_scope_of_any_size_gets_its_answer(
    world: World, client: httpx2.AsyncClient, scope: str, error: str, reason: str
) -> None:
    answer = await client.post("/token", data={**world.start(), "scope": scope}, headers=basic("planner"))

    assert (answer.status_code, answer.json()["error"], answer.json()["reason"]) == (400, error, reason)
    assert len(answer.content) < 10_000
    assert await issued(client, world.start())


@pytest.mark.parametrize(
    "grant",
    [
        "client_credentials",
        "authorization_code",
        "password",
        "refresh_token",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange ",
        "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
    ],
)
@pytest.mark.requirement("OAUTH-GRANT-TYPE")
async def test_no_parameter_makes_one_grant_of_another(world: World, client: httpx2.AsyncClient, grant: str) -> None:
    user_token = world.user_token()
    carriers = {"assertion": user_token, "refresh_token": user_token, "code": "x", "username": "u", "password": "p"}
    forms: list[dict[str, object]] = [
        {**world.start(), **carriers},
        {**carriers, "scope": "crm.read"},
        {**world.start(), "subject_token": ""},
    ]

    for form in forms:
        answer = await client.post("/token", data={**form, "grant_type": grant}, headers=basic("planner"))
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    assert await issued(client, {**world.start(), **carriers})


@pytest.mark.parametrize(
    ("size", "reason"), [(5_000, None), (12_000, None), (17_000, "subject_token_invalid"), (70_000, "too_large")]
)
async def test_a_long_subject_token_is_used_or_refused_and_never_overlooked(
    world: World, client: httpx2.AsyncClient, size: int, reason: str | None
) -> None:
    form = {**world.start(), "subject_token": world.user_token(more="x" * (size * 3 // 4 - 400))}
    answer = await client.post("/token", data=form, headers=basic("planner"))

    assert len(str(form["subject_token"])) > 4_000
    assert (answer.status_code, answer.json().get("reason")) == (200 if reason is None else 400, reason)


@pytest.fixture
def operated(tmp_path: Path) -> World:
    """A service with an operator."""
    operator = {"id": "ops", "secret_sha256": [sha256(secret_of("ops"))]}
    return make_world(tmp_path, {**values(), "operator": [operator]})


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_token_that_is_issued_here_opens_no_endpoint_of_the_service(operated: World, path: str) -> None:
    async with operated.running() as client:
        token = await issued(client, operated.start())
        pushed = await issued(client, {**exchange_form(token, scope="crm.read"), "requested_actor": "researcher"})
        form = {"token": token, "kind": "user", "id": "user-1", **operated.start()}
        for bearer in (token, pushed, operated.user_token()):
            by_assertion = {
                "client_assertion": bearer,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            }
            attempts: list[tuple[dict[str, str], dict[str, str]]] = [
                ({"Authorization": f"Bearer {bearer}"}, {}),
                ({"Authorization": f"DPoP {bearer}"}, {}),
                ({}, {"access_token": bearer}),
                (basic("planner", bearer), {}),
                ({}, {"client_id": "researcher", "client_secret": bearer}),
                ({}, by_assertion),
                ({}, {"client_id": "planner", **by_assertion}),
            ]
            for headers, parameters in attempts:
                answer = await client.post(path, data={**form, **parameters}, headers=headers)
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        alive = await client.post("/introspect", data={"token": token}, headers=basic("planner"))
        owner = "ops" if path.startswith("/operator") else "planner"
        control = await client.post(path, data=form, headers=basic(owner))

    assert (alive.json()["active"], control.status_code) == (True, 200)


async def test_a_stranger_learns_nothing_of_a_token_that_is_not_its_own(
    world: World, client: httpx2.AsyncClient
) -> None:
    """Forged, expired, revoked, of somebody else and never issued: one answer at each endpoint."""
    alive = await issued(client, world.start())
    revoked = await issued(client, world.start())
    await client.post("/revoke", data={"token": revoked}, headers=basic("planner"))
    forged = alive[:-8] + "AAAAAAAA"
    by_idp = Simulator(iss=ISSUER, key=ec_key("idp")).token({"iss": ISSUER, "sub": "user-1"})
    expired = world.user_token(exp=world.clock.now - 60)
    stranger = post_credentials("researcher")

    async def answers(path: str, tokens: list[str], **more: object) -> set[str]:
        said = set()
        for token in tokens:
            form = {"token": token} if path != "/token" else exchange_form(token, scope="crm.read", **more)
            answer = await client.post(path, data={**form, **stranger})
            body = answer.text and {name: text for name, text in answer.json().items() if name != "record"}
            said.add(f"{answer.status_code} {body}")
        return said

    everything = [alive, revoked, forged, by_idp, expired, world.user_token(), "unknown"]
    assert await answers("/introspect", everything) == {"200 {'active': False}"}
    # Of a token that is truly signed by us: that it is another's, and nothing else.
    assert len(await answers("/token", [alive, revoked])) == 1
    assert len(await answers("/token", [forged, by_idp, expired, world.user_token(), "unknown"])) == 1
    # A delegatee that is unknown, disabled or not allowed to it; a scope that is unknown or not held.
    for wishes in (
        [{"requested_actor": name} for name in ("nobody", "retired", "planner")],
        [{"requested_actor": "researcher", "resource": name} for name in ("https://unknown.example", "urn:x")],
    ):
        for token in (alive, forged):
            assert len({text for wish in wishes for text in await answers("/token", [token], **wish)}) == 1
    assert (await client.post("/introspect", data={"token": alive}, headers=basic("planner"))).json()["active"] is True


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", "no such type", " "])
@pytest.mark.requirement("REVOKE-HINT")
async def test_a_hint_keeps_no_token_from_being_revoked(world: World, client: httpx2.AsyncClient, hint: str) -> None:
    token = await issued(client, world.start())
    before = await client.post("/introspect", data={"token": token}, headers=basic("planner"))
    answer = await client.post("/revoke", data={"token": token, "token_type_hint": hint}, headers=basic("planner"))
    after = await client.post("/introspect", data={"token": token}, headers=basic("planner"))

    assert (before.json()["active"], answer.status_code, after.json()) == (True, 200, {"active": False})


@pytest.mark.parametrize(
    "changed",
    [
        {"subject_token_type": TYPE + "refresh_token"},
        {"subject_token_type": TYPE + "saml2"},
        {"subject_token_type": TYPE + "id-jag"},
        {"subject_token_type": TYPE + "txn_token"},
        {"subject_token_type": (TYPE + "access_token").upper()},
        {"requested_token_type": TYPE + "refresh_token"},
        {"requested_token_type": TYPE + "id-jag"},
        {"requested_token_type": TYPE + "saml1"},
        {"actor_token_type": TYPE + "jwt"},
        {"actor_token": "x"},
        {"actor_token": "x", "actor_token_type": TYPE + "access_token"},
        {"actor_token": "x", "actor_token_type": TYPE + "jwt"},
    ],
)
@pytest.mark.requirement("TE-TOKEN-TYPES", "TE-ACTOR-TOKEN-TYPE")
async def test_types_that_are_not_taken_are_invalid_requests(
    world: World, client: httpx2.AsyncClient, changed: dict[str, str]
) -> None:
    answer = await client.post("/token", data={**world.start(), **changed}, headers=basic("planner"))
    control = await client.post(
        "/token", data={**world.start(), "requested_token_type": TYPE + "jwt"}, headers=basic("planner")
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (control.status_code, control.json()["issued_token_type"]) == (200, TYPE + "jwt")


@pytest.mark.requirement("TE-TARGETS-ALL")
async def test_an_answer_for_several_targets_is_for_all_of_them_or_for_none(
    world: World, client: httpx2.AsyncClient
) -> None:
    for resources in ([API, "https://unknown.example"], ["https://unknown.example", API], [API, API + "/"]):
        answer = await client.post("/token", data=world.start(resource=resources), headers=basic("planner"))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")
    assert await issued(client, world.start(resource=[API, API]))


ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({}, 200, None),
        ({"client_id": "signer"}, 200, None),
        ({"client_assertion_type": ""}, 400, "invalid_request"),
        ({"client_assertion_type": "jwt-bearer"}, 401, "invalid_client"),
        ({"client_assertion_type": ASSERTION_TYPE.replace("jwt", "saml2")}, 401, "invalid_client"),
        ({"client_assertion_type": [ASSERTION_TYPE] * 2}, 400, "invalid_request"),
        ({"client_assertion": ["{}", "{}"]}, 400, "invalid_request"),
        ({"client_assertion": "{} {}"}, 401, "invalid_client"),
        ({"client_assertion": "{}.{}"}, 401, "invalid_client"),
        ({"client_id": "planner"}, 401, "invalid_client"),
        ({"client_id": ["signer", "signer"]}, 400, "invalid_request"),
        ({"client_secret": "x"}, 400, "invalid_request"),
    ],
)
@pytest.mark.requirement("ASSERTION-SINGLE", "ASSERTION-CLIENT-ID", "ASSERTION-INVALID-CLIENT")
async def test_a_request_has_one_assertion_of_the_one_type_by_the_client_that_it_names(
    tmp_path: Path, changed: dict[str, str | list[str]], status: int, error: str | None
) -> None:
    configured = values()
    signer = {"id": "signer", "auth": "private_key_jwt", "jwks_file": "signer.jwks.json", "scopes": ["crm.read"]}
    configured["agent"].append({**signer, "resources": [API]})
    (tmp_path / "signer.jwks.json").write_text(json.dumps(render_jwks(KeySet([ec_key("signer").public]))))
    world = make_world(tmp_path, configured)
    who = {"iss": "signer", "sub": "signer", "aud": ISSUER}
    claims = {**who, "iat": world.clock.now, "exp": world.clock.now + 60, "jti": "1"}
    assertion = seal({"typ": "JWT", "alg": "ES256", "kid": "signer"}, claims, ec_key("signer"))

    def filled(text: str | list[str]) -> str | list[str]:
        return (
            [one.replace("{}", assertion) for one in text] if isinstance(text, list) else text.replace("{}", assertion)
        )

    good: dict[str, str | list[str]] = {"client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}
    form = {"token": "x", **good, **{name: filled(text) for name, text in changed.items()}}
    async with world.running() as client:
        answer = await client.post("/introspect", data=form)

    assert (answer.status_code, answer.json().get("error")) == (status, error)
