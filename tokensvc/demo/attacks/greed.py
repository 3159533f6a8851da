"""Asking for more at /token. Nothing is ever trimmed to fit: the request is refused, and says why."""

from collections.abc import Callable
from typing import Final

from tokensvc.demo.asking import ask
from tokensvc.demo.attacks.attempt import Attack, Group, Place, Scene, Tried
from tokensvc.demo.cast import DELETE, FETCHER_SCOPES, MAIL, PLANNER_SCOPES, READ, RESEARCHER_SCOPES
from tokensvc.demo.wire import Answer
from tokensvc.errors import Reason

__all__ = ["GREED"]

_A_DAY_S: Final = 86_400
_MINUTES_S: Final = 600


def _delegate(
    scene: Scene,
    *,
    scope: tuple[str, ...] | None = RESEARCHER_SCOPES,
    to: str | None = "researcher",
    lifetime_s: int | None = None,
) -> Answer:
    """Planner delegates to researcher, as in the walk but for what is changed."""
    world = scene.world
    return ask(
        world,
        world.cast.planner,
        scene.lineage.planner,
        scope=scope,
        resource=world.addresses.crm,
        requested_actor=to,
        requested_lifetime_s=lifetime_s,
    )


def _delegate_on(scene: Scene, *, scope: tuple[str, ...] = FETCHER_SCOPES, resource: str | None = None) -> Answer:
    """Researcher delegates to fetcher, as in the walk but for what is changed."""
    world = scene.world
    return ask(
        world,
        world.cast.researcher,
        scene.lineage.researcher.token,
        scope=scope,
        resource=resource or world.addresses.crm,
        requested_actor="fetcher",
    )


def _start(scene: Scene, scope: tuple[str, ...]) -> Answer:
    world = scene.world
    return ask(world, world.cast.planner, world.subject_token, scope=scope, resource=world.addresses.crm)


def more_than_the_user(scene: Scene) -> Tried:
    """Planner starts with a scope that alice's own token does not carry."""
    return Tried(attack=_start(scene, (READ, "crm.drop")), control=_start(scene, PLANNER_SCOPES))


def more_than_registered(scene: Scene) -> Tried:
    """Planner starts with a scope of alice's that planner is not registered for."""
    return Tried(attack=_start(scene, (READ, "crm.admin")), control=_start(scene, PLANNER_SCOPES))


def wider_scope(scene: Scene) -> Tried:
    """Planner delegates a scope that it does not hold, though alice does."""
    return Tried(attack=_delegate(scene, scope=(READ, "crm.admin")), control=_delegate(scene))


def equal_scope(scene: Scene) -> Tried:
    """Planner delegates all that it holds."""
    return Tried(attack=_delegate(scene, scope=PLANNER_SCOPES), control=_delegate(scene))


def omitted_scope(scene: Scene) -> Tried:
    """Planner leaves the scope out, which elsewhere means everything."""
    return Tried(attack=_delegate(scene, scope=None), control=_delegate(scene))


def resurrected_scope(scene: Scene) -> Tried:
    """Researcher asks for what planner held and did not delegate."""
    return Tried(attack=_delegate_on(scene, scope=(READ, DELETE)), control=_delegate_on(scene))


def longer_life(scene: Scene) -> Tried:
    """Planner asks for a delegation that would outlive alice's login."""
    return Tried(attack=_delegate(scene, lifetime_s=_A_DAY_S), control=_delegate(scene, lifetime_s=_MINUTES_S))


def other_resource(scene: Scene) -> Tried:
    """Researcher asks for a resource that it was not given."""
    return Tried(attack=_delegate_on(scene, resource=MAIL), control=_delegate_on(scene))


def unlisted_delegatee(scene: Scene) -> Tried:
    """Planner delegates to an agent that is not on its list."""
    return Tried(attack=_delegate(scene, scope=FETCHER_SCOPES, to="fetcher"), control=_delegate(scene))


def unnamed_delegatee(scene: Scene) -> Tried:
    """Planner names nobody, so that the next agent would not stand in the chain."""
    return Tried(attack=_delegate(scene, to=None), control=_delegate(scene))


def _attack(title: str, expected: Reason, perform: Callable[[Scene], Tried]) -> Attack:
    return Attack(group=Group.GREED, title=title, place=Place.TOKEN, expected=expected, perform=perform)


GREED: Final = (
    _attack("a scope that alice herself does not hold", Reason.ROOT_EXCEEDED, more_than_the_user),
    _attack("alice's scope that planner may not have", Reason.CEILING_EXCEEDED, more_than_registered),
    _attack("wider: a scope that planner does not hold", Reason.NOT_NARROWER, wider_scope),
    _attack("equal: every scope that planner holds", Reason.NOT_PROPER, equal_scope),
    _attack("no scope named, hoping for everything", Reason.SCOPE_MISSING, omitted_scope),
    _attack("resurrected: a scope dropped one hop above", Reason.NOT_NARROWER, resurrected_scope),
    _attack("a longer life than alice's login has", Reason.LIFETIME_EXCEEDED, longer_life),
    _attack("a resource that was not delegated", Reason.TARGET_NOT_ALLOWED, other_resource),
    _attack("an agent that planner may not delegate to", Reason.DELEGATEE_NOT_ALLOWED, unlisted_delegatee),
    _attack("no agent named, to stay out of the chain", Reason.ACTOR_REQUIRED, unnamed_delegatee),
)
