"""An attack, its control, and what is found when both are tried.

The control is the same call with the one fault undone. It must be accepted: a service that refuses everything would
otherwise pass for a safe one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tokensvc.demo.walk import Lineage
from tokensvc.demo.wire import Answer
from tokensvc.demo.world import World
from tokensvc.errors import TokensvcError

__all__ = ["Attack", "Finding", "Group", "Place", "Scene", "Tried", "try_attack"]


class Group(StrEnum):
    """What kind of wrong it is."""

    GREED = "asking for more, at /token"
    MISUSE = "using what belongs to somebody else"
    FORGING = "forging with the service's own private key, shown to the API"
    HOLDING = "using fetcher's token, which is bound to fetcher's key"
    TURNED = "a token service that turned bad, signing with its own key"
    REVOCATION = "going on after planner revoked what it had delegated"


class Place(StrEnum):
    """Where it is tried."""

    TOKEN = "/token"
    INTROSPECT = "/introspect"
    API = "API"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an attack finds: the world, and the tokens of the honest walk."""

    world: World
    lineage: Lineage


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The answers to an attack and to its control."""

    attack: Answer
    control: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """`perform` tries it; `expected` is the reason code it must be refused for."""

    group: Group
    title: str
    place: Place
    expected: str
    perform: Callable[[Scene], Tried]

    @property
    def name(self) -> str:
        """A stable name, for a machine."""
        return self.perform.__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of an attack. `problem` is empty when it was refused as expected and its control was accepted."""

    attack: Attack
    tried: Tried | None
    problem: str

    @property
    def ok(self) -> bool:
        """True when everything was as it must be."""
        return not self.problem


def try_attack(attack: Attack, scene: Scene) -> Finding:
    """Perform `attack` and its control, and compare with what is expected. Nothing that goes wrong is raised."""
    try:
        tried = attack.perform(scene)
    except TokensvcError as exc:
        return Finding(attack=attack, tried=None, problem=f"could not be tried: {exc.description}")
    return Finding(attack=attack, tried=tried, problem=_problem(attack, tried))


def _problem(attack: Attack, tried: Tried) -> str:
    if tried.attack.is_yes:
        return f"was accepted, and not refused as {attack.expected}"
    if tried.attack.reason != attack.expected:
        return f"was refused as {tried.attack.reason or tried.attack.status}, and not as {attack.expected}"
    if not tried.control.is_yes:
        return f"is refused even without the fault: {tried.control.reason or tried.control.status}"
    return ""
