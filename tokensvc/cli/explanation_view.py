"""An explanation for the terminal: the steps, then the chain with what every hop did to authority.

Names come from the token: what could steer a terminal is escaped, and nothing in them is read as Rich markup.
"""

import json
from collections.abc import Iterator
from typing import Final, assert_never

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from tokensvc.core.authority import Authority, Dimension
from tokensvc.core.claims import AccessTokenClaims
from tokensvc.core.details import render_details
from tokensvc.core.scope import render_scope
from tokensvc.demo.chain_view import add_line, entry_label, show_time, visible
from tokensvc.verify import Change, Explanation, VerifiedToken
from tokensvc.verify.explain import Comparison, ExplainedHop, Failure, State

__all__ = ["show_explanation"]

_STATES: Final = {
    State.PASSED: ("passed", "green"),
    State.FAILED: ("FAILED", "bold red"),
    State.NOT_REACHED: ("not reached", "dim"),
    State.NOT_PERFORMED: ("not performed", "yellow"),
}
_STATE_WIDTH: Final = len("not performed  ")
_CHANGES: Final = {
    Change.KEPT: "dim",
    Change.NARROWED: "green",
    Change.WIDENED: "bold red",
    Change.UNJUDGED: "yellow",
}
_CHANGE_WIDTH: Final = len("narrowed  ")
_HIDDEN: Final = "signed, and the signature was not proven: nothing of it is shown"


def show_explanation(console: Console, explanation: Explanation) -> None:
    """Print the verdict, the steps, and what may be shown of the token."""
    failure = explanation.failure
    if failure is None:
        console.print(Text("verified", "bold green"))
    else:
        console.print(Text(f"refused: {failure.reason}: {failure.description}", "bold red"))
    console.print()
    for step in explanation.steps:
        word, style = _STATES[step.state]
        where = f" (hop {failure.hop})" if failure is not None and failure.step == step.number and failure.hop else ""
        console.print(Text.assemble((f"{word:<{_STATE_WIDTH}}", style), f"{step.number:>2}  {step.name}{where}"))
    console.print()
    if explanation.claims is None:
        console.print(Text("Nothing of the token is shown: it was refused before its claims were proven and read."))
    else:
        console.print(_tree(explanation, explanation.claims))


def _tree(explanation: Explanation, claims: AccessTokenClaims) -> Tree:
    """The root, below it each hop, below the last the token itself; without a chain, the token alone."""
    leaf = _token_label(claims, explanation.actors, explanation.verified)
    if explanation.root is None:
        return Tree(leaf)
    root = explanation.root.root
    if root is None:
        tree = Tree(Text.assemble(("the root", "bold"), f"  ({_HIDDEN})"))
    else:
        tree = Tree(entry_label(root.sub, f"user, on the word of {visible(root.iss)}", root.authority, None))
    branch = tree
    for hop in explanation.hops:
        branch = branch.add(_hop_label(hop, explanation.failure))
    branch.add(leaf)
    return tree


def _hop_label(explained: ExplainedHop, failure: Failure | None) -> Text:
    word, style = _STATES[explained.state]
    if failure is not None and explained.state is State.FAILED:
        word = f"{word}: {failure.reason}"
    hop, comparison = explained.hop, explained.comparison
    if hop is None:
        return Text.assemble((f"hop {explained.index}", "bold"), "  (", (word, style), f"; {_HIDDEN})")
    if comparison is None:
        role = f"hop {explained.index}, {word}, evidence {explained.evidence}; not compared"
        return entry_label(hop.actor, role, hop.authority, None)
    label = Text.assemble((visible(hop.actor), "bold"), f"  (hop {explained.index}, ", (word, style))
    label.append(f", evidence {explained.evidence})")
    for dimension, change in comparison.changes.items():
        _add_change(label, dimension, change, hop.authority)
        for what, value in _differences(comparison, dimension):
            add_line(label, "", f"{what:<{_CHANGE_WIDTH}}{value}", style="yellow" if what == "gone" else "bold red")
    add_line(label, "proper", "yes" if comparison.is_proper else "no: it has everything that counts of the one above")
    return label


def _add_change(label: Text, dimension: Dimension, change: Change, authority: Authority) -> None:
    name = "details" if dimension is Dimension.DETAILS else str(dimension)
    add_line(label, name, f"{change:<{_CHANGE_WIDTH}}", style=_CHANGES[change])
    label.append(_value(authority, dimension))


def _value(authority: Authority, dimension: Dimension) -> str:
    match dimension:
        case Dimension.SCOPE:
            return render_scope(authority.scope)
        case Dimension.DETAILS:
            # As it stands in the token, in ASCII: names of tools and their values are text of others.
            return json.dumps(render_details(authority.details)) if authority.details else "none"
        case Dimension.RESOURCES:
            return " ".join(sorted(authority.resources))
        case Dimension.LIFETIME:
            return f"{show_time(authority.iat)} to {show_time(authority.exp)}"
        case Dimension.DEPTH:
            return f"{authority.max_depth} at most"
        case Dimension.HOLDER:
            return "bound to a key" if authority.bound else "not bound to a key"
        case _:
            assert_never(dimension)


def _differences(comparison: Comparison, dimension: Dimension) -> Iterator[tuple[str, str]]:
    """What is gone and what is new, in words, each where there is any."""
    match dimension:
        case Dimension.SCOPE:
            yield from _names(comparison.scope_gone, comparison.scope_new)
        case Dimension.RESOURCES:
            yield from _names(comparison.resources_gone, comparison.resources_new)
        case Dimension.LIFETIME:
            yield from _amount(comparison.starts_later_s, "s at its start")
            yield from _amount(comparison.ends_earlier_s, "s at its end")
        case Dimension.DEPTH:
            yield from _amount(comparison.depth_gone, "of depth")
        case Dimension.DETAILS | Dimension.HOLDER:
            # Their change says it all, or needs both texts to be read.
            return
        case _:
            assert_never(dimension)


def _names(gone: frozenset[str], new: frozenset[str]) -> Iterator[tuple[str, str]]:
    for what, names in (("gone", gone), ("new", new)):
        if names:
            yield what, " ".join(sorted(names))


def _amount(gone: int, unit: str) -> Iterator[tuple[str, str]]:
    if gone:
        yield "gone" if gone > 0 else "new", f"{abs(gone)} {unit}"


def _token_label(claims: AccessTokenClaims, actors: tuple[str, ...], verified: VerifiedToken | None) -> Text:
    label = Text.assemble(("token", "bold"), "  (exchange-only)" if claims.aud == claims.iss else "")
    add_line(label, "user", visible(claims.sub))
    add_line(label, "actors", " for ".join(map(visible, actors or (claims.client_id,))))
    add_line(label, "issuer", visible(claims.iss))
    add_line(label, "audience", visible(claims.aud))
    add_line(label, "scope", render_scope(claims.scope))
    if claims.details:
        add_line(label, "details", json.dumps(render_details(claims.details)))
    add_line(label, "lifetime", f"{show_time(claims.iat)} to {show_time(claims.exp)}")
    add_line(label, "holder", "bound to a key" if claims.cnf else "not bound to a key")
    if verified is not None:
        add_line(label, "not checked", " ".join(sorted(verified.not_performed)) or "nothing was left out")
    return label
