"""What a newcomer reads: who exists, the walk, the chain in the last token, every attack, and how it ended."""

import shlex
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tokensvc.core.authority import Authority
from tokensvc.core.scope import render_scope
from tokensvc.demo.api import MAX_LIFETIME_S
from tokensvc.demo.attacks import Finding
from tokensvc.demo.attacks.attempt import Group as AttackGroup
from tokensvc.demo.cast import FETCHER_SCOPES, PLANNER_SCOPES
from tokensvc.demo.chain_view import loss, visible
from tokensvc.demo.play import Report, Walked
from tokensvc.demo.world import World
from tokensvc.errors import Reason
from tokensvc.verify.expectation import DEFAULT_LEEWAY_S

__all__ = ["instructions", "show_instructions", "show_report", "show_world"]

_INDENT: Final = (0, 0, 0, 2)
_ANSWER_WIDTH: Final = len(f"400 {Reason.DELEGATEE_NOT_ALLOWED}")


def show_world(console: Console, world: World) -> None:
    """Who exists, and where."""
    console.print(Text("alice lets planner work for her. It delegates to researcher, that to fetcher."))
    table = _table()
    addresses = world.addresses
    table.add_row("token service", addresses.issuer, "real HTTP, keys in files, SQLite")
    table.add_row("identity provider", addresses.idp, "a stand-in; alice logs in here")
    table.add_row("customer API", addresses.crm, "checks every token offline")
    console.print(Padding(table, _INDENT, expand=False))


def show_report(console: Console, report: Report) -> None:
    """The walk, the attacks, the verdict."""
    if report.walked is not None:
        _head(console, "With every delegation there is less that can be done")
        console.print(Padding(_journey(report.walked), _INDENT, expand=False))
        console.print(Text("  All this stands in fetcher's token, and its verifier checks it hop by hop.", "dim"))
    if report.findings:
        _head(console, "Everything else is refused (at the right: the same call without the fault)")
        console.print(Padding(Group(*_findings(report.findings)), _INDENT, expand=False))
        # Its own leeway comes on top.
        latest_s = MAX_LIFETIME_S + DEFAULT_LEEWAY_S
        late = f"  Offline, the API takes a revoked token until that ends: {latest_s} s at most."
        console.print(Text(late, "dim"))
    console.print()
    for failure in report.failures:
        console.print(Text.assemble(("FAILED  ", "bold red"), failure))
    console.print(_verdict(report))


def show_instructions(console: Console, world: World, *, command: str) -> None:
    """How to drive the running demo by hand; `command` is tokensvc's. Secrets are read from world.json, never shown."""
    _head(console, "Drive it by hand (curl and jq)")
    for line in instructions(world, command=command):
        # A terminal may wrap what it shows; Rich would break a command in two.
        console.print(Text(line), soft_wrap=True)
    console.print()


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _table() -> Table:
    return Table.grid(padding=(0, 2))


def _journey(walked: Walked) -> Tree:
    """The chain of the last token, each hop with what it lost and what the API said to its token."""
    root = walked.last.chain.root
    label = Text.assemble((visible(root.sub), "bold"), "  logs in through chat-ui")
    label.append(f"\nmay   {render_scope(root.authority.scope)}")
    tree = Tree(label)
    branch, above = tree, root.authority
    for hop, stop in zip(walked.last.chain.hops, walked.stations, strict=True):
        style = "green" if stop.api.is_yes else "bold red"
        label = Text.assemble((visible(hop.actor), "bold"), f"  {stop.story}; API ", (str(stop.api.status), style))
        label.append(f"\nmay   {render_scope(hop.authority.scope)}")
        label.append(f"\nlost  {_lost(above, hop.authority)}", "yellow")
        branch, above = branch.add(label), hop.authority
    return tree


def _lost(above: Authority, below: Authority) -> str:
    lost = loss(above, below)
    parts = [render_scope(lost.scope), *sorted(lost.resources)]
    return "; ".join([*parts, f"{lost.lifetime_s} s of its life"] if lost.lifetime_s else parts)


def _findings(findings: tuple[Finding, ...]) -> Iterator[RenderableType]:
    width = max(len(found.attack.title) for found in findings)
    for group, members in groupby(findings, key=lambda found: found.attack.group):
        yield Text(group, "dim")
        table = _table()
        table.add_column(min_width=width)
        # Wide enough for the longest code, so that the last column stands in one line.
        table.add_column(min_width=_ANSWER_WIDTH)
        for found in members:
            table.add_row(*_finding(found))
            if group is AttackGroup.TURNED and found.tried is not None:
                # It is the verifier's word that names the hop.
                table.add_row(Text(f"  {found.tried.attack.description}", "dim"))
        yield Padding(table, _INDENT, expand=False)


def _finding(found: Finding) -> Iterator[Text]:
    yield Text(found.attack.title)
    if found.tried is None:
        yield Text("could not be tried", "bold red")
        return
    attack, control = found.tried.attack, found.tried.control
    yield Text(f"{attack.status} {attack.reason or 'accepted'}", "green" if found.ok else "bold red")
    yield Text(str(control.status), "green" if control.is_yes else "bold red")


def _verdict(report: Report) -> Text:
    refused = sum(found.ok for found in report.findings)
    text = f"{refused} of {len(report.findings)} attacks were refused for the stated reason"
    if report.ok:
        return Text(f"{text}, and no honest call was.", "bold green")
    return Text(f"{text}. Expectations that did not hold: {len(report.failures)}.", "bold red")


def instructions(world: World, *, command: str) -> tuple[str, ...]:
    """The lines of a shell script (curl, jq) that starts, calls the API, delegates and verifies."""
    return (
        f"world={shlex.quote(str(world.file))}",
        """w() { jq -r "$1" "$world"; }""",
        """exchange() { curl -s -u "$(w '.clients[0]|.client_id+":"+.client_secret')" "$(w .token_endpoint)" \\""",
        """  -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\""",
        """  -d subject_token_type=urn:ietf:params:oauth:token-type:access_token "$@"; }""",
        "",
        "# planner exchanges alice's token for one with four of her scopes, and calls the API with it",
        f"""token=$(exchange -d "subject_token=$(w .subject_token)" -d 'scope={" ".join(PLANNER_SCOPES)}' \\""",
        """  | jq -r .access_token)""",
        """curl -s -H "Authorization: Bearer $token" "$(w .api_url)" | jq""",
        "",
        "# planner exchanges that for researcher: two scopes less. Try four, or crm.admin",
        """exchange -d "subject_token=$token" -d requested_actor=researcher \\""",
        f"""  -d 'scope={" ".join(FETCHER_SCOPES)}' | jq""",
        "",
        "# what anybody can prove of planner's token, offline",
        """curl -s "$(w .jwks_uri)" > jwks.json""",
        f"""echo "$token" | {shlex.quote(command)} verify \\""",
        """  --issuer "$(w .issuer)" --audience "$(w '.resources[0].id')" \\""",
        """  --jwks jwks.json""",
    )
