"""A running service whose authority publishes the keys of its roots, beside those of its logins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.exchange.holders import proof
from tests.jwks_server import Behaviour, FakeClock, JwksServer, answers, publishes
from tests.server.world import API, IDP, ISSUER, World, basic, exchange_form, make_world, values
from tests.settings_file import valid_values, write_settings
from tests.simulator import NOW, ec_key, jti, seal
from tokensvc.core.jws import SigningKey
from tokensvc.exchange.request import JWT_TYPE
from tokensvc.settings import load_settings
from tokensvc.wiring.providers import places_of

COOLDOWN_S = 30
HOLDER = ec_key("planner holder")


@dataclass(frozen=True, slots=True)
class Running:
    world: World
    client: httpx2.AsyncClient
    server: JwksServer
    clock: FakeClock

    async def start(self, key: SigningKey, **claims: object) -> httpx2.Response:
        """The answer to a start with a root that `key` signed."""
        plain = {"iss": IDP, "sub": "user-1", "aud": ISSUER, "actor": "planner", "resources": [API], "max_depth": 3}
        times = {"iat": NOW - 10, "exp": NOW + 600, "jti": jti("over http")}
        more = {"scope": "crm.delete crm.read crm.write", "cnf": {"jkt": HOLDER.public.thumbprint}}
        header = {"typ": "delegation-root+jwt", "alg": "ES256", "kid": key.kid}
        root = seal(header, {**plain, **times, **more, **claims}, key)
        form = exchange_form(root, subject_token_type=JWT_TYPE, scope="crm.read crm.write")
        return await self.post(form)

    async def post(self, form: dict[str, object]) -> httpx2.Response:
        headers = {**basic("planner"), "DPoP": proof(HOLDER, NOW)}
        return await self.client.post("/token", data=form, headers=headers)


def configured(url: str, **members: object) -> dict[str, Any]:
    authority = {"iss": IDP, "jwks_url": url, "private_networks": ["127.0.0.0/8"], "ceiling": {"resources": [API]}}
    return {**values(), "authority": [{**authority, **members}]}


@asynccontextmanager
async def running(folder: Path, behave: Behaviour) -> AsyncIterator[Running]:
    clock = FakeClock()
    async with JwksServer(behave) as server:
        world = make_world(folder, configured(server.url), key_clock=clock)
        async with world.running() as client:
            yield Running(world, client, server, clock)


async def test_a_root_under_a_published_key_starts_and_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, publishes(ec_key("roots"))) as service:
        started = await service.start(ec_key("roots"))
        assert started.status_code == 200
        token = started.json()["access_token"]
        onward = exchange_form(token, requested_actor="planner", scope="crm.read crm.write")
        assert (await service.post(onward)).status_code == 200
        asked = await service.client.post("/introspect", data={"token": token}, headers=basic("crm-api"))
        assert (asked.json()["active"], asked.json()["sub"]) == (True, "user-1")
        revoked = await service.client.post("/revoke", data={"token": token}, headers=basic("planner"))
        assert revoked.status_code == 200
        assert (await service.post(onward)).json()["reason"] == "revoked"


async def test_a_key_of_logins_that_is_published_for_roots_signs_none(tmp_path: Path) -> None:
    async with running(tmp_path, publishes(ec_key("idp"), ec_key("roots"))) as service:
        assert (await service.start(ec_key("idp"))).json()["reason"] == "subject_token_invalid"
        assert (await service.start(ec_key("roots"))).status_code == 200


async def test_while_the_keys_cannot_be_had_only_roots_wait(tmp_path: Path) -> None:
    async with running(tmp_path, answers(b"", status="500 Down")) as service:
        assert (await service.start(ec_key("roots"))).status_code == 503
        user = await service.client.post("/token", data=service.world.start(), headers=basic("planner"))
        assert user.status_code == 200
        service.server.behave = publishes(ec_key("roots"))
        service.clock.now += COOLDOWN_S
        assert (await service.start(ec_key("roots"))).status_code == 200


def test_where_keys_are_fetched_from_tells_whether_they_are_fetched_anew(tmp_path: Path) -> None:
    def places(**members: object) -> list[tuple[object, ...]]:
        ours = configured("https://idp.example/roots", **members)
        path = write_settings(tmp_path, {**ours, "identity_provider": valid_values()["identity_provider"]})
        return places_of(load_settings(path, {}))

    assert places() == places(ceiling={"resources": [API], "max_depth": 2})
    assert places() != places(jwks_url="https://idp.example/others")
    assert places() != places(private_networks=[])
    assert places(enabled=False) == []
