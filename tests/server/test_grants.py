"""Signed delegations over HTTP: what an agent needs to know, to send and to take back."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.exchange.holders import holder, proof
from tests.exchange.world import claims_of
from tests.server.world import API, ISSUER, World, basic, exchange_form, make_world, post_credentials, values
from tests.simulator import Members, jwk, seal
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.exchange.service import new_id

NAMES = ("planner", "researcher")


def make(folder: Path, **settings: Any) -> World:  # noqa: ANN401 - any setting
    """planner and researcher hold keys. `settings` replaces settings."""
    configured = {**values(), **settings}
    for name in NAMES:
        (folder / f"{name}.json").write_text(json.dumps(render_jwks(KeySet([holder(name).public]))))
    configured["agent"] = [
        {**agent, "holder_jwks_file": f"{agent['id']}.json"} if agent["id"] in NAMES else agent
        for agent in configured["agent"]
    ]
    return make_world(folder, configured)


async def started(world: World, client: httpx2.AsyncClient) -> str:
    """planner's token, bound to its key."""
    dpop = {"DPoP": proof(holder("planner"), world.clock.now)}
    answer = await client.post("/token", data=world.start(), headers={**basic("planner"), **dpop})
    assert answer.json()["token_type"] == "DPoP"
    token: str = answer.json()["access_token"]
    return token


async def grant_below(world: World, client: httpx2.AsyncClient, token: str, **members: object) -> str:
    """planner's grant for researcher, from what the service tells."""
    claims = claims_of(token)
    root, *_, leaf = claims["grant_chain"]
    known = (await client.get("/agents/researcher", headers=basic("planner"))).json()
    payload: Members = {
        "iss": "planner",
        "sub": claims["sub"],
        "aud": claims["iss"],
        "root": root["jti"],
        "index": len(claims["grant_chain"]),
        "actor": known["id"],
        "cnf": known["cnf"],
        "scope": "crm.read",
        "resources": [API],
        "max_depth": leaf["max_depth"],
        "iat": max(world.clock.now, leaf["iat"]),
        "exp": leaf["exp"],
        "jti": new_id(),
        "parent": leaf["jti"],
    }
    key = holder("planner")
    return seal({"typ": "delegation-grant+jwt", "alg": "ES256", "jwk": jwk(key)}, {**payload, **members}, key)


async def redeemed(world: World, client: httpx2.AsyncClient, token: str, grant: str) -> httpx2.Response:
    """What researcher is answered."""
    dpop = {"DPoP": proof(holder("researcher"), world.clock.now)}
    form = {**exchange_form(token, delegation_grant=grant, resource=API), **post_credentials("researcher")}
    return await client.post("/token", data=form, headers=dpop)


async def test_a_grant_is_redeemed_by_its_delegatee(tmp_path: Path) -> None:
    # An exchange-only token: planner's start is for one resource, so planner delegates to nobody before.
    world = make(tmp_path)
    async with world.running() as client:
        token = await started(world, client)
        grant = await grant_below(world, client, token)
        delegated = await client.post(
            "/token", data=exchange_form(token, delegation_grant=grant), headers=basic("planner")
        )
        assert (delegated.status_code, delegated.json()["token_type"]) == (200, "DPoP")
        at_resource = await redeemed(world, client, token, grant)
        assert at_resource.json()["reason"] == "not_current_actor"
        picked_up = exchange_form(
            delegated.json()["access_token"], requested_actor="researcher", scope="crm.read", resource=API
        )
        dpop = {"DPoP": proof(holder("researcher"), world.clock.now)}
        answer = await client.post("/token", data={**picked_up, **post_credentials("researcher")}, headers=dpop)
    claims = claims_of(answer.json()["access_token"])
    assert claims["grant_chain"][2] == {"jws": grant}
    assert (claims["aud"], claims["cnf"]) == (API, {"jkt": holder("researcher").public.thumbprint})


async def test_a_grant_is_revoked_by_its_signer(tmp_path: Path) -> None:
    world = make(tmp_path)
    async with world.running() as client:
        token = await started(world, client)
        grant = await grant_below(world, client, token)
        form = exchange_form(token, delegation_grant=grant)
        other = await client.post("/revoke", data={"token": grant, **post_credentials("researcher")})
        before = await client.post("/token", data=form, headers=basic("planner"))
        revoked = await client.post("/revoke", data={"token": grant}, headers=basic("planner"))
        after = await client.post("/token", data=form, headers=basic("planner"))

    assert (other.status_code, other.json()["error"]) == (400, "unauthorized_client")
    assert before.status_code == 200
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert (after.status_code, after.json()["reason"]) == (400, "revoked")


PLACES: dict[str, Any] = {
    "top": {"evidence": "delegator"},
    "agent": {"agent": [{**values()["agent"][0], "evidence": "delegator"}, *values()["agent"][1:]]},
    "resource": {"resource": [{**values()["resource"][0], "evidence": "delegator"}]},
}


@pytest.mark.parametrize("place", [*PLACES, "nowhere"])
async def test_where_signed_hops_are_wanted_others_are_refused(tmp_path: Path, place: str) -> None:
    world = make(tmp_path, **PLACES.get(place, {}))
    async with world.running() as client:
        token = await started(world, client)
        form = exchange_form(token, requested_actor="researcher", scope="crm.read", resource=API)
        dpop = {"DPoP": proof(holder("planner"), world.clock.now)}
        plain = await client.post("/token", data=form, headers={**basic("planner"), **dpop})
        grant = await grant_below(world, client, token)
        signed = await client.post("/token", data={**form, "delegation_grant": grant}, headers=basic("planner"))
        metadata = (await client.get("/.well-known/oauth-authorization-server")).json()

    is_wanted = place != "nowhere"
    assert plain.json().get("reason") == ("evidence_insufficient" if is_wanted else None)
    assert signed.status_code == 200
    assert metadata.get("evidence") == ("delegator" if place == "top" else None)
    assert metadata["issuer"] == ISSUER


async def test_a_grant_stands_in_no_log(tmp_path: Path) -> None:
    world = make(tmp_path)
    async with world.running() as client:
        token = await started(world, client)
        grant = await grant_below(world, client, token, index=3)
        refused = await client.post(
            "/token", data=exchange_form(token, delegation_grant=grant), headers=basic("planner")
        )
    assert refused.json()["reason"] == "grant_invalid"
    for part in grant.split("."):
        assert part not in world.log.getvalue()
        assert part not in refused.text
