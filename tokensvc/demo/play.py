"""The whole demo against a running world: the walk, then every attack. What it found is a value."""

from collections.abc import Iterable
from dataclasses import dataclass

from tokensvc.core.jsontext import JsonValue
from tokensvc.core.scope import render_scope
from tokensvc.demo.attacks import Attack, Finding, Scene, try_attack
from tokensvc.demo.chain_view import loss
from tokensvc.demo.walk import Lineage, Station, verify_offline, visit, walk
from tokensvc.demo.world import World
from tokensvc.errors import TokensvcError
from tokensvc.verify import VerifiedToken

__all__ = ["Report", "Walked", "play", "render_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """The walk: its stops, and what an offline verifier proves of the last token. One hop, one stop."""

    stations: tuple[Station, ...]
    last: VerifiedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened, and every expectation that did not hold, each in a sentence."""

    walked: Walked | None
    findings: tuple[Finding, ...]
    failures: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True when every expectation held."""
        return not self.failures


def play(world: World, attacks: Iterable[Attack]) -> Report:
    """Walk, then try every one of `attacks`. Without a walk there is nothing to attack."""
    try:
        lineage = walk(world)
        walked = _look_at(world, lineage)
    except TokensvcError as exc:
        return Report(walked=None, findings=(), failures=(f"the walk did not come to its end: {exc}",))
    scene = Scene(world=world, lineage=lineage)
    findings = tuple(try_attack(attack, scene) for attack in attacks)
    failures = [
        f"the API answered {stop.holder} with {stop.api.status} {stop.api.reason}"
        for stop in walked.stations
        if not stop.api.is_yes
    ]
    failures += [f"{found.attack.name} {found.problem}" for found in findings if not found.ok]
    return Report(walked=walked, findings=findings, failures=tuple(failures))


def _look_at(world: World, lineage: Lineage) -> Walked:
    return Walked(stations=visit(world, lineage), last=verify_offline(world, lineage.fetcher.token))


def render_report(report: Report) -> dict[str, JsonValue]:
    """`report` as JSON."""
    return {
        "ok": report.ok,
        "failures": report.failures,
        "walk": [] if report.walked is None else _render_walk(report.walked),
        "attacks": [_render_finding(found) for found in report.findings],
    }


def _render_walk(walked: Walked) -> list[JsonValue]:
    chain = walked.last.chain
    rendered: list[JsonValue] = [{"holder": chain.root.sub, "scope": render_scope(chain.root.authority.scope)}]
    above = chain.root.authority
    for hop, stop in zip(chain.hops, walked.stations, strict=True):
        lost = loss(above, hop.authority)
        rendered.append(
            {
                "holder": hop.actor,
                "scope": render_scope(hop.authority.scope),
                "lost_scope": render_scope(lost.scope),
                "lost_resources": sorted(lost.resources),
                "lost_lifetime_s": lost.lifetime_s,
                "api_status": stop.api.status,
            }
        )
        above = hop.authority
    return rendered


def _render_finding(found: Finding) -> dict[str, JsonValue]:
    attack, tried = found.attack, found.tried
    return {
        "name": attack.name,
        "group": attack.group,
        "title": attack.title,
        "place": attack.place,
        "expected": attack.expected,
        "reason": None if tried is None else tried.attack.reason,
        "description": None if tried is None else tried.attack.description,
        "status": None if tried is None else tried.attack.status,
        "control_status": None if tried is None else tried.control.status,
        "ok": found.ok,
        "problem": found.problem,
    }
