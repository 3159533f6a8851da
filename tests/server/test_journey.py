"""The whole life of a delegation over HTTP, and the tokens seen by verifiers that are not the service."""

import json

import httpx2
import jwt
import pytest

from tests.server.world import API, ISSUER, USER, World, basic, exchange_form, post_credentials
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, parse_json_object, parse_jwks, verify_token


async def exchange(client: httpx2.AsyncClient, agent: str, form: dict[str, object]) -> httpx2.Response:
    if agent == "planner":
        return await client.post("/token", data=form, headers=basic("planner"))
    return await client.post("/token", data={**form, **post_credentials(agent)})


@pytest.mark.requirement("INTROSPECT-CHECKS")
async def test_a_delegation_is_started_handed_on_picked_up_narrowed_looked_at_and_revoked(
    world: World, client: httpx2.AsyncClient
) -> None:
    started = (await exchange(client, "planner", world.start())).json()
    handed_on = (
        await exchange(
            client,
            "planner",
            exchange_form(started["access_token"], scope="crm.read crm.write", requested_actor="researcher"),
        )
    ).json()
    own = {"requested_actor": "researcher", "resource": API}
    picked_up = (
        await exchange(
            client, "researcher", exchange_form(handed_on["access_token"], scope="crm.read crm.write", **own)
        )
    ).json()
    narrowed = (
        await exchange(client, "researcher", exchange_form(picked_up["access_token"], scope="crm.read", **own))
    ).json()

    async def introspect(token: str) -> dict[str, object]:
        answer = await client.post("/introspect", data={"token": token}, headers=basic("crm-api"))
        body: dict[str, object] = answer.json()
        return body

    seen = await introspect(narrowed["access_token"])
    assert (seen["active"], seen["sub"], seen["scope"], seen["aud"]) == (True, USER, "crm.read", API)
    assert seen["act"] == {"sub": "researcher", "act": {"sub": "researcher", "act": {"sub": "planner"}}}

    revoked = await client.post("/revoke", data={"token": handed_on["access_token"]}, headers=basic("planner"))
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert await introspect(picked_up["access_token"]) == {"active": False}
    assert await introspect(narrowed["access_token"]) == {"active": False}
    assert (await introspect(started["access_token"]))["active"] is True
    again = await exchange(
        client, "researcher", exchange_form(handed_on["access_token"], scope="crm.read crm.write", **own)
    )
    assert (again.status_code, again.json()["reason"]) == (400, "revoked")


@pytest.mark.requirement("OAUTH-NO-STORE", "TE-HTTP-RESPONSE")
async def test_the_answer_has_every_member_of_rfc_8693_and_no_refresh_token(
    world: World, client: httpx2.AsyncClient
) -> None:
    answer = await exchange(client, "planner", world.start())

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    body = answer.json()
    assert body.pop("access_token").count(".") == 2
    assert body == {
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "crm.export crm.read crm.write",
    }


@pytest.mark.requirement("RFC9068-ISSUED", "META-KEYS")
async def test_a_token_is_verified_with_the_published_keys_by_our_verifier_and_by_pyjwt(
    world: World, client: httpx2.AsyncClient
) -> None:
    token = (await exchange(client, "planner", world.start())).json()["access_token"]
    published = (await client.get("/.well-known/jwks.json")).content

    ours = verify_token(
        token,
        keys=StaticKeys({ISSUER: parse_jwks(parse_json_object(published))}),
        expect=Expectation.bearer(issuers=[ISSUER], audiences=[API]),
        now=world.clock.now,
        revocations=LifetimeOnly(max_s=900),
    )
    assert (ours.sub, ours.actors) == (USER, ("planner",))

    key = jwt.PyJWKSet.from_dict(json.loads(published))[jwt.get_unverified_header(token)["kid"]]
    theirs = jwt.decode(token, key, algorithms=["ES256"], audience=API, issuer=ISSUER, options={"verify_iat": False})
    assert theirs["act"] == {"sub": "planner"}
