"""The honest way: alice -> planner -> researcher -> fetcher, each with something less than the one before."""

from dataclasses import dataclass, field
from typing import Final

from tokensvc.demo.api import MAX_LIFETIME_S
from tokensvc.demo.cast import FETCHER_SCOPES, PLANNER_SCOPES, RESEARCHER_SCOPES, Client
from tokensvc.demo.wire import Answer
from tokensvc.demo.world import World
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, VerifiedToken, verify_token
from tokensvc.wiring import system_clock

__all__ = ["Delegation", "Lineage", "Station", "verify_offline", "visit", "walk"]

# How long the delegations may last: the errand is shorter than the task it is part of.
_RESEARCHER_S: Final = 3600
_FETCHER_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What a delegator got for its delegatee (`exchange_only`), and the `token` that the delegatee renewed it into."""

    exchange_only: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The tokens of one walk, all below one root."""

    planner: str = field(repr=False)
    researcher: Delegation
    fetcher: Delegation


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A stop of the walk: who holds a token now, how it came about, and what the API said to it."""

    holder: str
    story: str
    api: Answer


def start(world: World) -> str:
    """Planner's token, from alice's. Raises: Unavailable when it is refused, as all here."""
    return world.wire.exchange(
        world.cast.planner, world.subject_token, scope=PLANNER_SCOPES, resource=world.addresses.crm
    ).token()


def delegate(
    world: World, token: str, *, delegator: Client, delegatee: Client, scope: tuple[str, ...], lifetime_s: int
) -> Delegation:
    """`delegator` exchanges its `token` for an exchange-only one, which `delegatee` renews into a token for the API."""
    crm, name = world.addresses.crm, delegatee.client_id
    exchange_only = world.wire.exchange(
        delegator, token, scope=scope, resource=crm, requested_actor=name, requested_lifetime_s=lifetime_s
    ).token()
    picked_up = world.wire.exchange(delegatee, exchange_only, scope=scope, resource=crm, requested_actor=name).token()
    return Delegation(exchange_only=exchange_only, token=picked_up)


def walk(world: World) -> Lineage:
    """The whole way down, once."""
    planner, researcher, fetcher = world.cast.agents
    first = start(world)
    second = delegate(
        world, first, delegator=planner, delegatee=researcher, scope=RESEARCHER_SCOPES, lifetime_s=_RESEARCHER_S
    )
    third = delegate(
        world, second.token, delegator=researcher, delegatee=fetcher, scope=FETCHER_SCOPES, lifetime_s=_FETCHER_S
    )
    return Lineage(planner=first, researcher=second, fetcher=third)


def visit(world: World, lineage: Lineage) -> tuple[Station, ...]:
    """Every agent of `lineage`, each with a real call of the API."""
    return tuple(
        Station(holder=client.client_id, story=story, api=world.wire.read_customers(token))
        for client, story, token in zip(
            world.cast.agents,
            (
                "exchanges alice's token for its own",
                "picks up what planner exchanged for it",
                "picks up what researcher exchanged for it",
            ),
            (lineage.planner, lineage.researcher.token, lineage.fetcher.token),
            strict=True,
        )
    )


def verify_offline(world: World, token: str) -> VerifiedToken:
    """What anybody can prove of `token` with the service's public keys. Raises: TokenRefused."""
    return verify_token(
        token,
        keys=StaticKeys({world.addresses.issuer: world.keys}),
        expect=Expectation.bearer(issuers=[world.addresses.issuer], audiences=[world.addresses.crm]),
        now=system_clock(),
        revocations=LifetimeOnly(max_s=MAX_LIFETIME_S),
    )
