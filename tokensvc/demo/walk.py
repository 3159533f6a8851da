"""The honest way: alice -> planner -> researcher -> fetcher, each with something less than the one before."""

from dataclasses import dataclass, field
from typing import Final

from tokensvc.client import Lease
from tokensvc.demo.api import MAX_LIFETIME_S
from tokensvc.demo.cast import FETCHER_SCOPES, PLANNER_SCOPES, RESEARCHER_SCOPES, Client
from tokensvc.demo.wire import Answer
from tokensvc.demo.world import World
from tokensvc.verify import LifetimeOnly, StaticKeys, VerifiedToken, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream
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


def delegate(
    world: World, lease: Lease, *, delegatee: Client, scope: tuple[str, ...], lifetime_s: int, may_delegate: bool
) -> tuple[Lease, Delegation]:
    """What the holder of `lease` hands over to `delegatee`, and the lease that this one picks up with it."""
    handed = lease.delegate(to=delegatee.client_id, scope=scope, lifetime_s=lifetime_s, may_delegate=may_delegate)
    received = world.agent(delegatee).receive(handed)
    return received, Delegation(exchange_only=handed, token=received.token())


def walk(world: World) -> Lineage:
    """The whole way down, once, with the client library. Raises: TokensvcError when a step is refused."""
    planner, researcher, fetcher = world.cast.agents
    first = world.agent(planner).start(world.subject_token, scope=PLANNER_SCOPES, resource=world.addresses.crm)
    second, to_researcher = delegate(
        world, first, delegatee=researcher, scope=RESEARCHER_SCOPES, lifetime_s=_RESEARCHER_S, may_delegate=True
    )
    _, to_fetcher = delegate(
        world, second, delegatee=fetcher, scope=FETCHER_SCOPES, lifetime_s=_FETCHER_S, may_delegate=False
    )
    return Lineage(planner=first.token(), researcher=to_researcher, fetcher=to_fetcher)


def visit(world: World, lineage: Lineage) -> tuple[Station, ...]:
    """Every agent of `lineage`, each with a real call of the API."""
    return tuple(
        Station(
            holder=client.client_id,
            story=story,
            api=world.wire.read_customers(token, proven_by=client.holder_key),
        )
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
        expect=world.expect,
        now=system_clock(),
        revocations=LifetimeOnly(max_s=MAX_LIFETIME_S),
        # The API saw the proof; here it is the chain that is looked at.
        proof=UnsafeHolderProvenUpstream(),
    )
