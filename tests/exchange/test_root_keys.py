"""Keys of roots that are fetched: waited for where a root or a token below one needs them, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.exchange.parties import IDP, root_key
from tests.exchange.roots import by, make_root_world, root_claims, sign, starting
from tests.exchange.test_upstream_keys import COOLDOWN_S, Published
from tests.exchange.world import World
from tests.jwks_server import TIMEOUT_S, FakeClock
from tests.simulator import ec_key
from tokensvc.errors import OAuthError, Reason, Unavailable
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.verify.jwks_refresh import RefreshedKeys

HOLDER = f"authority {IDP}"
INVALID = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
GONE = (OAuthError.INVALID_REQUEST, Reason.ROOT_INVALID)


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the service, with the keys that it fetched itself."""

    world: World
    logins: Published
    roots: Published
    clock: FakeClock
    keys: UpstreamKeys
    fetched: RefreshedKeys

    async def start(self) -> str:
        request = starting(sign(root_claims(self.world)))
        return (await self.world.exchange("planner", request, by(self.world))).access_token

    async def verdict(self, token: str) -> object:
        """What becomes of a delegation from `token`."""
        return await self.world.verdict("planner", self.world.delegation(token), by(self.world))


@asynccontextmanager
async def process(*, like: World | None = None, is_down: bool = False) -> AsyncIterator[Process]:
    """Keeps the keys of `IDP`, for logins and for roots, which may not be had at first; with the store of `like`."""
    logins, roots, clock = Published(ec_key("idp")), Published(root_key(IDP)), FakeClock()
    roots.is_down = is_down
    never = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await never.wait()

    fetched = RefreshedKeys(
        {IDP: logins, HOLDER: roots},
        timeout_s=TIMEOUT_S,
        cooldown_s=COOLDOWN_S,
        max_fresh_s=900,
        max_stale_s=3600,
        clock=clock,
        sleep=sleep,
    )
    keys = UpstreamKeys(pinned={}, fetched=fetched, own=lambda: [ec_key("service").public])
    world = await make_root_world(keys=keys.of(HOLDER))
    async with fetched:
        yield Process(
            world=world if like is None else like.but(registry=world.registry),
            logins=logins,
            roots=roots,
            clock=clock,
            keys=keys,
            fetched=fetched,
        )


async def test_a_start_waits_for_the_key_and_what_follows_has_it() -> None:
    async with process() as one:
        token = await one.start()
        fetches = one.roots.fetches
        assert await one.verdict(token) is None
        assert await one.world.is_active(token)
        assert one.roots.fetches == fetches == 1


async def test_another_process_fetches_what_it_lacks_for_a_token_of_ours() -> None:
    async with process() as one, process(like=one.world) as other:
        token = await one.start()
        assert await other.verdict(token) is None
        # A new key, which only the first process has met.
        new = ec_key("new roots")
        for published in (one.roots, other.roots):
            published.keys = (*published.keys, new)
        one.clock.now += COOLDOWN_S
        other.clock.now += COOLDOWN_S
        request = starting(sign(root_claims(one.world), key=new))
        fresh = (await one.world.exchange("planner", request, by(one.world))).access_token

        assert other.keys.known(HOLDER, new.kid) is None
        assert await other.world.introspect(fresh, "planner") != {"active": False}
        assert other.keys.known(HOLDER, new.kid) == new.public


async def test_revocation_fetches_what_it_lacks() -> None:
    async with process() as one, process(like=one.world) as other:
        token = await one.start()
        await other.world.revoke(token, "planner")
        assert not await one.world.is_active(token)


async def test_nothing_is_said_of_a_token_while_the_keys_of_its_root_cannot_be_had() -> None:
    async with process() as one, process(like=one.world, is_down=True) as other:
        token = await one.start()
        request = one.world.delegation(token)
        with pytest.raises(Unavailable):
            await other.world.exchange("planner", request, by(one.world))
        with pytest.raises(Unavailable):
            await other.world.introspect(token, "planner")
        with pytest.raises(Unavailable):
            await other.world.revoke(token, "planner")
        with pytest.raises(Unavailable):
            await other.start()
        other.roots.is_down = False
        other.clock.now += COOLDOWN_S
        assert await other.verdict(token) is None


async def test_a_key_that_is_withdrawn_ends_what_it_signed() -> None:
    async with process() as one:
        token = await one.start()
        one.roots.keys = (ec_key("new roots"),)
        await one.fetched.refresh()
        assert await one.verdict(token) == GONE
        one.roots.keys = (root_key(IDP),)
        await one.fetched.refresh()
        assert await one.verdict(token) is None


async def test_no_stranger_causes_a_fetch() -> None:
    async with process() as one:
        token = await one.start()
        one.clock.now += COOLDOWN_S
        head, payload, _ = token.split(".")
        forged = f"{head}.{payload}.{'A' * 86}"
        fetches = one.roots.fetches
        assert await one.verdict(forged) == INVALID
        assert one.roots.fetches == fetches
        assert await one.verdict(token) is None


async def test_a_key_for_logins_is_never_one_for_roots() -> None:
    async with process() as one:
        one.roots.keys = (root_key(IDP), ec_key("idp"))
        one.logins.keys = (ec_key("idp"), ec_key("late"))
        await one.fetched.refresh()
        claims = root_claims(one.world)
        forged = starting(sign(claims, key=ec_key("idp")))
        assert await one.world.verdict("planner", forged, by(one.world)) == INVALID
        assert one.keys.known(HOLDER, "idp") is None
        assert await one.world.verdict("planner", starting(sign(claims)), by(one.world)) is None


async def test_keys_at_hand_are_those_of_the_issuer_that_is_asked_for() -> None:
    async with process() as one:
        await one.fetched.ensure()
        assert one.keys.known(IDP, "idp") == ec_key("idp").public
        assert one.keys.known(HOLDER, root_key(IDP).kid) == root_key(IDP).public
        for holder, kid in ((IDP, root_key(IDP).kid), (HOLDER, "idp"), ("authority x", "idp")):
            assert one.keys.known(holder, kid) is None
    assert UpstreamKeys(pinned={}, own=list).known(IDP, "idp") is None
