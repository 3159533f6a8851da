"""Using what belongs to somebody else, or what is meant for another place."""

from collections.abc import Callable
from typing import Final

from tokensvc.demo.asking import ask
from tokensvc.demo.attacks.attempt import Attack, Group, Place, Scene, Tried
from tokensvc.demo.cast import FETCHER_SCOPES, MAIL, MAIL_SCOPE, PLANNER_SCOPES, READ, RESEARCHER_SCOPES, Client
from tokensvc.demo.wire import Answer
from tokensvc.errors import Reason

__all__ = ["MISUSE", "MISUSE_OF_BOUND"]


def _pick_up(scene: Scene, client: Client, token: str, scope: tuple[str, ...]) -> Answer:
    """`client` presents `token` and names itself."""
    world = scene.world
    return ask(world, client, token, scope=scope, resource=world.addresses.crm, requested_actor=client.client_id)


def second_agent(scene: Scene) -> Tried:
    """Alice's token was obtained for planner; researcher got hold of it and starts a delegation of its own."""
    world = scene.world

    def start_as(client: Client) -> Answer:
        return ask(world, client, world.subject_token, scope=RESEARCHER_SCOPES, resource=world.addresses.crm)

    return Tried(attack=start_as(world.cast.researcher), control=start_as(world.cast.planner))


def stolen_token(scene: Scene) -> Tried:
    """Scraper stole fetcher's token and exchanges it; fetcher itself renews it."""
    cast, token = scene.world.cast, scene.lineage.fetcher.token
    return Tried(
        attack=_pick_up(scene, cast.scraper, token, (READ,)),
        control=_pick_up(scene, cast.fetcher, token, FETCHER_SCOPES),
    )


def delegator_picks_up(scene: Scene) -> Tried:
    """Planner keeps what it received for researcher, and exchanges it itself."""
    cast, exchange_only = scene.world.cast, scene.lineage.researcher.exchange_only
    return Tried(
        attack=_pick_up(scene, cast.planner, exchange_only, RESEARCHER_SCOPES),
        control=_pick_up(scene, cast.researcher, exchange_only, RESEARCHER_SCOPES),
    )


def delegator_calls(scene: Scene) -> Tried:
    """Planner takes what it received for researcher to the API; researcher takes what it made of it."""
    wire, cast, researcher = scene.world.wire, scene.world.cast, scene.lineage.researcher
    return Tried(
        attack=wire.read_customers(researcher.exchange_only, proven_by=cast.planner.holder_key),
        control=wire.read_customers(researcher.token, proven_by=cast.researcher.holder_key),
    )


def wrong_audience(scene: Scene) -> Tried:
    """Planner's token for the mail service is taken to the customer API."""
    world = scene.world

    def call_with_token_for(resource: str, scope: tuple[str, ...]) -> Answer:
        planner = world.cast.planner
        issued = ask(world, planner, world.subject_token, scope=scope, resource=resource)
        return world.wire.read_customers(issued.token(), proven_by=planner.holder_key)

    return Tried(
        attack=call_with_token_for(MAIL, (MAIL_SCOPE,)),
        control=call_with_token_for(world.addresses.crm, PLANNER_SCOPES),
    )


def insufficient_scope(scene: Scene) -> Tried:
    """Fetcher deletes a customer; planner may."""
    wire, cast, lineage = scene.world.wire, scene.world.cast, scene.lineage
    return Tried(
        attack=wire.delete_customer(lineage.fetcher.token, proven_by=cast.fetcher.holder_key),
        control=wire.delete_customer(lineage.planner, proven_by=cast.planner.holder_key),
    )


def _attack(title: str, place: Place, expected: Reason, perform: Callable[[Scene], Tried]) -> Attack:
    return Attack(group=Group.MISUSE, title=title, place=place, expected=expected, perform=perform)


def _misuse(*, of_another: Reason) -> tuple[Attack, ...]:
    """`of_another` is why an agent cannot exchange what is another one's."""
    return (
        _attack("researcher starts with alice's token", Place.TOKEN, Reason.SUBJECT_TOKEN_INVALID, second_agent),
        _attack("a stranger exchanges a stolen token", Place.TOKEN, of_another, stolen_token),
        _attack("planner exchanges what it got for researcher", Place.TOKEN, of_another, delegator_picks_up),
        _attack("planner calls the API with the same", Place.API, Reason.WRONG_AUDIENCE, delegator_calls),
        _attack("planner calls it with a token for mail", Place.API, Reason.WRONG_AUDIENCE, wrong_audience),
        _attack("fetcher deletes a customer at the API", Place.API, Reason.INSUFFICIENT_SCOPE, insufficient_scope),
    )


MISUSE: Final = _misuse(of_another=Reason.NOT_CURRENT_ACTOR)
MISUSE_OF_BOUND: Final = _misuse(of_another=Reason.HOLDER_UNPROVEN)
"""The same where tokens are bound to keys: that is looked at first."""
