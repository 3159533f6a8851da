"""Going on after a revocation. planner revokes what it delegated to researcher; fetcher, below, is not named.

Each has a walk of its own, so that nothing else in the demo dies with it. The control is the same call before.
"""

from collections.abc import Callable
from typing import Final

from tokensvc.demo.asking import ask
from tokensvc.demo.attacks.attempt import Attack, Group, Place, Scene, Tried
from tokensvc.demo.cast import FETCHER_SCOPES
from tokensvc.demo.walk import Lineage, walk
from tokensvc.demo.wire import Answer
from tokensvc.errors import Reason

__all__ = ["REVOCATION"]


def _before_and_after(scene: Scene, call: Callable[[Lineage], Answer]) -> Tried:
    """`call` before and after planner revokes researcher's hop."""
    world = scene.world
    lineage = walk(world)
    before = call(lineage)
    world.wire.revoke(world.cast.planner, lineage.researcher.exchange_only)
    return Tried(attack=call(lineage), control=before)


def renew_below_a_revoked_hop(scene: Scene) -> Tried:
    """Fetcher renews its token."""
    world = scene.world

    def renew(lineage: Lineage) -> Answer:
        return ask(
            world,
            world.cast.fetcher,
            lineage.fetcher.token,
            scope=FETCHER_SCOPES,
            resource=world.addresses.crm,
            requested_actor=world.cast.fetcher.client_id,
        )

    return _before_and_after(scene, renew)


def introspect_below_a_revoked_hop(scene: Scene) -> Tried:
    """The API asks the token service about fetcher's token."""
    world = scene.world
    return _before_and_after(scene, lambda lineage: world.wire.introspect(world.cast.crm, lineage.fetcher.token))


REVOCATION: Final = (
    Attack(
        group=Group.REVOCATION,
        title="fetcher renews its token at /token",
        place=Place.TOKEN,
        expected=Reason.REVOKED,
        perform=renew_below_a_revoked_hop,
    ),
    Attack(
        group=Group.REVOCATION,
        title="the API asks /introspect about fetcher's",
        place=Place.INTROSPECT,
        expected="inactive",
        perform=introspect_below_a_revoked_hop,
    ),
)
