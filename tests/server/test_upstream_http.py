"""A running service whose identity provider publishes its keys: slow, down, hostile, back again, or switched off."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.jwks_server import TIMEOUT_S, Behaviour, FakeClock, JwksServer, answers, publishes, sends
from tests.server.world import API, IDP, World, basic, exchange_form, make_world, values
from tests.simulator import NOW, Simulator, ec_key
from tokensvc.storage.memory import MemoryStore

OTHER: Final = "https://partner.example"
COOLDOWN_S: Final = 30
STALE_S: Final = 3600
SCOPE: Final = "crm.export crm.read crm.write"


@dataclass(frozen=True, slots=True)
class Running:
    """The service, its client, the provider's server, and the clock by which keys are fetched and get old."""

    world: World
    client: httpx2.AsyncClient
    server: JwksServer
    clock: FakeClock

    async def start(self, *, iss: str = OTHER, key: str = "partner", kid: str | None = None) -> httpx2.Response:
        """The answer to a start with a token of `iss`, a user of either provider."""
        simulator = Simulator(iss=iss, key=ec_key(key))
        claims = {"iss": iss, "sub": "user-1", "aud": "tokensvc", "azp": "planner", "scope": f"{SCOPE} crm.delete"}
        header = simulator.header(**({} if kid is None else {"kid": kid}))
        token = simulator.token({**claims, "iat": NOW - 10, "exp": NOW + 3600}, header=header)
        return await self.exchange(token)

    async def exchange(self, token: str, **parameters: object) -> httpx2.Response:
        form = exchange_form(token, scope=SCOPE, **parameters)
        return await self.client.post("/token", data=form, headers=basic("planner"))

    async def statuses(self, *requests: Any) -> list[int]:  # noqa: ANN401 - coroutines of responses
        return [answer.status_code for answer in await asyncio.wait_for(asyncio.gather(*requests), TIMEOUT_S)]


def configured(url: str, **members: object) -> dict[str, Any]:
    """The usual provider, whose keys are in a file, and a partner's, which publishes them at `url`."""
    plain = values()
    plain["identity_provider"][0]["subject_prefix"] = "corp:"
    partner = {"iss": OTHER, "jwks_url": url, "private_networks": ["127.0.0.0/8"], "audience": ["tokensvc"]}
    more = {"algorithms": ["ES256"], "subject_prefix": "partner:", "ceiling": {"resources": [API]}}
    plain["identity_provider"].append({**partner, **more, **members})
    return plain


@asynccontextmanager
async def running(folder: Path, behave: Behaviour) -> AsyncIterator[Running]:
    clock = FakeClock()
    async with JwksServer(behave) as server:
        world = make_world(folder, configured(server.url), key_clock=clock)
        async with world.running() as client:
            yield Running(world, client, server, clock)


class Stalled:
    """A server that takes requests and says nothing; `reached` tells of the first one."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def __call__(self, _writer: asyncio.StreamWriter) -> None:
        self.reached.set()
        await asyncio.Event().wait()


async def test_keys_that_are_published_verify_tokens(tmp_path: Path) -> None:
    async with running(tmp_path, publishes(ec_key("partner"))) as service:
        assert (await service.start()).status_code == 200
        assert (await service.start(key="stranger")).status_code == 400
        assert (await service.start(iss=IDP, key="idp")).status_code == 200


@pytest.mark.parametrize(
    "behave",
    [
        answers(b"", status="500 Down"),
        answers(b'{"keys": []}'),
        answers(b"", status="302 Found", location="http://169.254.169.254/"),
        answers(b"x" * 1_000_000),
        answers(b"[" * 200_000),
        sends(b"HTTP/1.1 200 OK\r\n" * 100),
        sends(b""),
    ],
)
async def test_without_keys_the_service_runs_and_only_that_providers_tokens_wait(
    tmp_path: Path, behave: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with running(tmp_path, behave) as service:
            assert (await service.client.get("/readyz")).status_code == 200
            refused = await service.start()
            assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
            assert "retry-after" in refused.headers
            assert (await service.start(iss=IDP, key="idp")).status_code == 200
            assert (await service.start(iss="https://unheard.example")).status_code == 400
            assert (await service.client.get("/readyz")).status_code == 200
            service.server.behave = publishes(ec_key("partner"))
            # Whatever it answers now, it is asked again after a while and no sooner.
            assert (await service.start()).status_code == 503
            service.clock.now += COOLDOWN_S
            assert (await service.start()).status_code == 200
            assert len(service.server.requests) == 2
    assert f"key set of {OTHER} not refreshed" in caplog.text


async def test_a_provider_that_never_answers_holds_up_its_own_users_alone(tmp_path: Path) -> None:
    stalled = Stalled()
    async with running(tmp_path, stalled) as service:
        waiting = [asyncio.create_task(service.start()) for _ in range(20)]
        await asyncio.wait_for(stalled.reached.wait(), TIMEOUT_S)
        assert await service.statuses(*(service.start(iss=IDP, key="idp") for _ in range(20))) == [200] * 20
        await abandon(waiting)
        assert len(service.server.requests) == 1


async def test_when_keys_are_there_a_slow_provider_holds_up_only_what_it_has_not_signed(tmp_path: Path) -> None:
    stalled = Stalled()
    async with running(tmp_path, publishes(ec_key("partner"))) as service:
        assert (await service.start()).status_code == 200
        service.server.behave = stalled
        service.clock.now += COOLDOWN_S
        storm = [asyncio.create_task(service.start(key="stranger", kid=f"k{n}")) for n in range(20)]
        await asyncio.wait_for(stalled.reached.wait(), TIMEOUT_S)
        assert await service.statuses(*(service.start() for _ in range(20))) == [200] * 20
        await abandon(storm)
        assert len(service.server.requests) == 2


async def abandon(tasks: list[asyncio.Task[httpx2.Response]]) -> None:
    """Clients that do not wait any longer."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_storm_of_unknown_key_ids_is_one_request_for_each_interval(tmp_path: Path) -> None:
    async with running(tmp_path, publishes(ec_key("partner"))) as service:
        assert (await service.start()).status_code == 200
        for interval in range(3):
            service.clock.now += COOLDOWN_S
            storm = (service.start(key="stranger", kid=f"k{n}") for n in range(30))
            statuses = await service.statuses(*storm)
            # Those who may wait for the one fetch learn that it brought no such key; the others are not held up.
            assert set(statuses) == {400, 503}
            assert 8 <= statuses.count(400) < 30
            assert len(service.server.requests) == 2 + interval
        assert (await service.start()).status_code == 200


async def test_a_provider_that_goes_down_is_believed_for_an_hour(tmp_path: Path) -> None:
    async with running(tmp_path, publishes(ec_key("partner"))) as service:
        assert (await service.start()).status_code == 200
        service.server.behave = answers(b"", status="500 Down")
        service.clock.now += STALE_S - 1
        assert (await service.start()).status_code == 200
        service.clock.now += 1
        assert (await service.start()).status_code == 503


async def test_a_provider_that_publishes_our_key_gains_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, publishes(ec_key("partner"), ec_key("service"), ec_key("idp"))) as service:
        for key in ("service", "idp"):
            refused = await service.start(key=key)
            assert (refused.status_code, refused.json()["reason"]) == (400, "subject_token_invalid")
        assert (await service.start()).status_code == 200
        assert (await service.start(iss=IDP, key="idp")).status_code == 200


async def test_a_provider_that_is_switched_off_starts_nothing_and_ends_what_it_started(tmp_path: Path) -> None:
    """A new process over the same store, as a reload of the settings would make it."""
    store, clock = MemoryStore(), FakeClock()
    async with JwksServer(publishes(ec_key("partner"))) as server:

        async def served(*, enabled: bool) -> World:
            return make_world(tmp_path, configured(server.url, enabled=enabled), store=store, key_clock=clock)

        async def renewed(world: World, token: str, scope: str) -> httpx2.Response:
            form = exchange_form(token, scope=scope, requested_actor="planner")
            async with world.client() as client:
                return await client.post("/token", data=form, headers=basic("planner"))

        on, off = await served(enabled=True), await served(enabled=False)
        async with on.running() as client:
            begun = await Running(on, client, server, clock).start()
            token = begun.json()["access_token"]
            assert (await renewed(on, token, SCOPE)).status_code == 200
            asked = len(server.requests)
            running_off = Running(off, off.client(), server, clock)
            # Not its lifespan: the store is open.
            assert (await running_off.start()).json()["reason"] == "subject_token_invalid"
            assert (await renewed(off, token, SCOPE)).json()["reason"] == "root_invalid"
            assert (await running_off.start(iss=IDP, key="idp")).status_code == 200
            assert (await renewed(on, token, SCOPE)).status_code == 200
            assert len(server.requests) == asked
