"""The keys of identity providers: each one's own, ours never, and nobody loses keys because another one copies them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from tests.exchange.parties import IDP, identity_provider, make_registry
from tests.exchange.world import World, make_world
from tests.jwks_server import TIMEOUT_S, FakeClock
from tests.simulator import Members, Simulator, ec_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, Reason, Unavailable
from tokensvc.exchange.parties import UpstreamIssuer
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.verify.jwks_refresh import FetchedKeys, RefreshedKeys

REFUSED = (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID)
COOLDOWN_S = 30


class Published:
    """A `Fetch` of what an identity provider publishes now."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = keys
        self.is_down = False
        self.fetches = 0

    async def __call__(self) -> FetchedKeys:
        self.fetches += 1
        if self.is_down:
            raise OSError("down")
        return FetchedKeys(keys=KeySet(key.public for key in self.keys), max_age_s=None)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Two providers that publish, and one whose keys are pinned."""

    first: Published
    second: Published
    clock: FakeClock
    keys: UpstreamKeys
    fetched: RefreshedKeys

    async def refresh(self) -> None:
        await self.fetched.refresh()


FIRST, SECOND, PINNED = "https://first.example", "https://second.example", "https://pinned.example"


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    first, second, clock = Published(ec_key("first")), Published(ec_key("second")), FakeClock()
    never = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await never.wait()

    fetched = RefreshedKeys(
        {FIRST: first, SECOND: second},
        timeout_s=TIMEOUT_S,
        cooldown_s=COOLDOWN_S,
        max_fresh_s=900,
        max_stale_s=3600,
        clock=clock,
        sleep=sleep,
    )
    keys = UpstreamKeys(
        pinned={PINNED: KeySet([ec_key("pinned").public])},
        fetched=fetched,
        own=lambda: [ec_key("service").public, ec_key("retired").public],
    )
    async with fetched:
        await fetched.ensure()
        yield Upstream(first=first, second=second, clock=clock, keys=keys, fetched=fetched)


async def test_keys_are_their_issuers() -> None:
    async with upstream() as up:
        for iss, name in ((FIRST, "first"), (SECOND, "second"), (PINNED, "pinned")):
            assert await up.keys.find(iss, name) == ec_key(name).public
            assert await up.keys.of(iss).find(name) == ec_key(name).public
        for iss, name in ((FIRST, "second"), (SECOND, "pinned"), (PINNED, "first"), ("https://x.example", "first")):
            assert await up.keys.find(iss, name) is None


async def test_two_issuers_may_use_one_key_id_and_none_has_keys_that_are_not_configured() -> None:
    first, second = (replace(ec_key(name).public, kid="1") for name in ("first", "second"))
    keys = UpstreamKeys(pinned={FIRST: KeySet([first]), SECOND: KeySet([second])}, own=lambda: KeySet([]))

    assert await keys.find(FIRST, "1") == first
    assert await keys.find(SECOND, "1") == second
    assert await keys.find("https://third.example", "1") is None


@pytest.mark.parametrize("name", ["service", "retired"])
async def test_a_key_of_ours_is_never_an_identity_providers(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with upstream() as up:
        up.second.keys = (ec_key("second"), ec_key(name))
        await up.refresh()
        with caplog.at_level(logging.WARNING):
            assert await up.keys.find(SECOND, name) is None
            assert await up.keys.find(SECOND, name) is None
        assert await up.keys.find(SECOND, "second") == ec_key("second").public
        (line,) = [record.getMessage() for record in caplog.records]
        assert line == f"key {name} of {SECOND} not used: it is a key of this token service"


async def test_a_key_that_two_issuers_had_from_the_start_is_the_first_ones_and_a_pinned_one_its_files() -> None:
    async with upstream() as up:
        up.second.keys = (ec_key("second"), ec_key("first"), ec_key("pinned"))
        up.first.keys = (ec_key("first"), ec_key("pinned"))
        await up.refresh()
        # Who copies the key sets of others, which are public, harms nobody else by it.
        assert await up.keys.find(FIRST, "first") == ec_key("first").public
        assert await up.keys.find(PINNED, "pinned") == ec_key("pinned").public
        assert await up.keys.find(SECOND, "second") == ec_key("second").public
        for iss, name in ((SECOND, "first"), (SECOND, "pinned"), (FIRST, "pinned")):
            assert await up.keys.find(iss, name) is None
        up.first.keys = (ec_key("other"),)
        await up.refresh()
        assert await up.keys.find(SECOND, "first") == ec_key("first").public


async def test_who_copies_a_key_does_not_have_it_wherever_it_stands_in_the_configuration() -> None:
    async with upstream() as up:
        for copier, owner, iss, other in (
            (up.first, up.second, FIRST, SECOND),
            (up.second, up.first, SECOND, FIRST),
        ):
            (stolen,) = owner.keys
            kept = copier.keys
            copier.keys = (*kept, stolen)
            up.clock.now += COOLDOWN_S
            await up.refresh()
            assert await up.keys.find(other, stolen.kid) == stolen.public
            assert await up.keys.find(iss, stolen.kid) is None
            assert await up.keys.find(iss, kept[0].kid) == kept[0].public
            copier.keys = kept
            up.clock.now += COOLDOWN_S
            await up.refresh()


@pytest.mark.parametrize("is_pinned", [False, True])
async def test_a_key_of_an_identity_provider_is_no_agents_and_stays_the_providers(
    is_pinned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    iss, name = (PINNED, "pinned") if is_pinned else (SECOND, "second")
    async with upstream() as up:
        usable = up.keys.of_agent("planner", KeySet([ec_key("planner").public, ec_key(name).public]))
        with caplog.at_level(logging.WARNING):
            assert [key.kid for key in usable] == [key.kid for key in usable] == ["planner"]
            assert await up.keys.find(iss, name) == ec_key(name).public
        (line,) = caplog.records
        assert line.levelno == logging.ERROR
        assert line.getMessage() == f"key {name} of the agent planner not used: it is a key of {iss}"
        if not is_pinned:
            up.second.keys = (ec_key("other"),)
            await up.refresh()
            assert [key.kid for key in usable] == ["planner", name]


async def test_a_provider_that_is_down_is_unavailable_and_the_others_are_not() -> None:
    async with upstream() as up:
        up.first.is_down = True
        up.clock.now += 3600
        with pytest.raises(Unavailable):
            await up.keys.find(FIRST, "first")
        assert await up.keys.find(PINNED, "pinned") == ec_key("pinned").public
        assert await up.keys.find(SECOND, "second") == ec_key("second").public


# Through the exchange.


def token_of(world: World, iss: str, key: SigningKey, *, header: Members | None = None, **claims: object) -> str:
    simulator = Simulator(iss=iss, key=key)
    times = {"iat": world.clock.now, "exp": world.clock.now + 600}
    plain = {"iss": iss, "sub": "user-1", "aud": "tokensvc", "azp": "planner", "scope": "crm.read crm.write"}
    return simulator.token({**plain, **times, **claims}, header=simulator.header(**(header or {})))


@asynccontextmanager
async def running() -> AsyncIterator[tuple[World, Upstream]]:
    async with upstream() as up:
        provider = identity_provider(iss=FIRST)
        registry = make_registry(provider=_with_keys(provider, up))
        yield await make_world(registry=registry), up


def _with_keys(provider: UpstreamIssuer, up: Upstream) -> UpstreamIssuer:
    return replace(provider, keys=up.keys.of(provider.iss))


async def verdict(world: World, token: str) -> object:
    return await world.verdict("planner", world.starting(token, scope="crm.read", audience="crm"))


async def test_a_rotated_key_is_taken_up_by_the_first_token_that_names_it() -> None:
    async with running() as (world, up):
        assert await verdict(world, token_of(world, FIRST, ec_key("first"))) is None
        up.first.keys = (ec_key("first-new"),)
        up.clock.now += COOLDOWN_S
        assert await verdict(world, token_of(world, FIRST, ec_key("first-new"))) is None
        # The old one is gone from the set, and with it from here.
        assert await verdict(world, token_of(world, FIRST, ec_key("first"))) == REFUSED


async def test_a_storm_of_unknown_key_ids_is_one_fetch_and_refuses_nobody_else() -> None:
    async with running() as (world, up):
        up.clock.now += COOLDOWN_S
        before = up.first.fetches
        storm = [token_of(world, FIRST, ec_key("stranger"), header={"kid": f"k{n}"}) for n in range(50)]
        verdicts = await asyncio.gather(*(verdict(world, token) for token in storm), return_exceptions=True)
        # Those that had to wait behind others for the fetch are told that nobody can tell yet.
        refused = [one for one in verdicts if one == REFUSED]
        assert refused
        assert all(one == REFUSED or isinstance(one, Unavailable) for one in verdicts)
        assert up.first.fetches == before + 1
        assert await verdict(world, token_of(world, FIRST, ec_key("first"))) is None


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"alg": "RS256"}, {"alg": "none"}, {"kid": 1}, {"jku": "https://evil.example"}]
)
async def test_a_header_that_is_not_in_order_asks_for_no_key(header: Members) -> None:
    async with running() as (world, up):
        up.clock.now += COOLDOWN_S
        before = up.first.fetches
        token = token_of(world, FIRST, ec_key("stranger"), header={"kid": "unknown", **header})
        assert await verdict(world, token) == REFUSED
        assert up.first.fetches == before
        assert await verdict(world, token_of(world, FIRST, ec_key("stranger"), header={"kid": "unknown"})) == REFUSED
        assert up.first.fetches == before + 1


async def test_while_keys_cannot_be_had_the_answer_is_that_nobody_can_tell() -> None:
    async with running() as (world, up):
        up.first.is_down = True
        up.clock.now += 3600
        with pytest.raises(Unavailable):
            await world.exchange("planner", world.starting(token_of(world, FIRST, ec_key("first"))))
        assert world.store.records == []
        # Tokens of nobody are refused as ever.
        assert await verdict(world, token_of(world, IDP, ec_key("idp"))) == REFUSED
        up.first.is_down = False
        up.clock.now += COOLDOWN_S
        assert await verdict(world, token_of(world, FIRST, ec_key("first"))) is None


async def test_a_token_signed_with_our_own_key_starts_nothing_even_if_the_provider_publishes_it() -> None:
    async with running() as (world, up):
        up.first.keys = (ec_key("first"), ec_key("service"))
        await up.refresh()
        assert await verdict(world, token_of(world, FIRST, ec_key("service"))) == REFUSED
        assert await verdict(world, token_of(world, FIRST, ec_key("first"))) is None
