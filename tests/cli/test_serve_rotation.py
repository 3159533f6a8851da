"""Keys that rotate under a service at work: nothing issued before, during or after fails verification."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import jwt
from typer.testing import CliRunner

from tests.cli.running import ISSUER, TIMEOUT_S, configured, serving, user_token
from tests.server.world import API, basic, exchange_form, post_credentials
from tokensvc.cli import make_app
from tokensvc.signing.keyfiles import list_keys
from tokensvc.verify import Expectation, LifetimeOnly, verify_token
from tokensvc.verify.jwks_http import RefreshedKeys, UnsafeReach, https_keys

# As 300 s of caching are to 600 s of delay, with room for a machine that is slow.
FRESH_S, DELAY_S = 1, 4
WORKERS = 2
EXPECT = Expectation.bearer(issuers=[ISSUER], audiences=[API, ISSUER])


@dataclass(slots=True)
class Work:
    """Exchanges against a running service, each verified at once by somebody with keys of their own."""

    client: httpx2.AsyncClient
    keys: RefreshedKeys
    issued: dict[str, list[str]] = field(default_factory=dict)

    def accept(self, answer: httpx2.Response) -> str:
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        self.verify(token)
        self.issued.setdefault(jwt.get_unverified_header(token)["kid"], []).append(token)
        return token

    def verify(self, token: str) -> None:
        verify_token(token, keys=self.keys, expect=EXPECT, now=int(time.time()), revocations=LifetimeOnly(max_s=900))

    async def start(self) -> str:
        form = exchange_form(user_token(), scope="crm.export crm.read crm.write")
        return self.accept(await self.client.post("/token", data=form, headers=basic("planner")))

    async def hand_on(self, token: str) -> str:
        form = exchange_form(token, scope="crm.read crm.write", requested_actor="researcher")
        return self.accept(await self.client.post("/token", data=form, headers=basic("planner")))

    async def pick_up(self, token: str) -> str:
        form = exchange_form(token, scope="crm.read crm.write", requested_actor="researcher", resource=API)
        return self.accept(await self.client.post("/token", data={**form, **post_credentials("researcher")}))


async def test_nothing_fails_verification_while_keys_rotate(tmp_path: Path) -> None:
    config = configured(tmp_path)
    with serving(config, "--workers", str(WORKERS)) as running:
        running.announced()
        jwks = {ISSUER: f"{running.address}/.well-known/jwks.json"}
        reach = UnsafeReach(networks=("127.0.0.0/8",), plain_http=True)
        keys = https_keys(jwks, reach=reach, cooldown_s=FRESH_S / 4, max_fresh_s=FRESH_S)
        limits = httpx2.Limits(max_keepalive_connections=0)
        async with (
            httpx2.AsyncClient(base_url=running.address, timeout=TIMEOUT_S, trust_env=False, limits=limits) as client,
            asyncio.timeout(TIMEOUT_S),
            keys,
        ):
            await keys.ensure()
            work = Work(client, keys)
            before = await work.hand_on(await work.start())
            rotate = ["keys", "rotate", "--delay", str(DELAY_S), "--config", str(config)]
            assert (await asyncio.to_thread(CliRunner().invoke, make_app(), rotate)).exit_code == 0
            new, old = (file.key.kid for file in list_keys(tmp_path / "keys"))
            while len(work.issued.get(new, ())) < 20:
                await work.pick_up(await work.hand_on(await work.start()))
            # What was begun under the old key goes on under the new one.
            await work.pick_up(before)
            # Every worker has seen it, once it was asked for anything.
            while not running.has_logged("signing_keys_changed", count=WORKERS, signing_kid=new):
                await work.start()
            everything = [token for tokens in work.issued.values() for token in tokens]
            for token in everything:
                work.verify(token)

    assert work.issued.keys() == {old, new}
    assert len(work.issued[old]) > 2
