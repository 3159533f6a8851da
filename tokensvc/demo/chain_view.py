"""The chain of a verified token as a tree for the terminal: who got what from whom, and what was lost on the way."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.text import Text
from rich.tree import Tree

from tokensvc.core.authority import Authority
from tokensvc.core.chain import GrantChain
from tokensvc.core.details import render_details
from tokensvc.core.scope import ScopeSet, render_scope
from tokensvc.verify import Evidence, VerifiedToken

__all__ = [
    "Loss",
    "add_line",
    "chain_tree",
    "entries_tree",
    "entry_label",
    "loss",
    "show_time",
    "token_label",
    "visible",
]

# The last second of the year 9999, beyond which datetime does not go; a claim may.
_LAST_DATE: Final = 253_402_300_799
_INDENT: Final = len("not checked  ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What an entry may not do that the entry before it may. `lifetime_s` is the difference of their ends."""

    scope: ScopeSet
    resources: frozenset[str]
    lifetime_s: int
    depth: int


def loss(above: Authority, below: Authority) -> Loss:
    """What `below` lacks of `above`."""
    return Loss(
        scope=above.scope - below.scope,
        resources=above.resources - below.resources,
        lifetime_s=above.exp - below.exp,
        depth=above.max_depth - below.max_depth,
    )


def chain_tree(token: VerifiedToken) -> Tree:
    """The user, below it each hop in its order, below the last the token itself and the checks not performed.

    Names come from the token: what could steer a terminal is escaped, and nothing in them is read as Rich markup.
    Print it on a console without `soft_wrap`: with it, Rich cuts a tree at the width of the console.
    """
    return entries_tree(token.chain, _leaf(token))


def entries_tree(chain: GrantChain, leaf: Text | None) -> Tree:
    """The same of a chain alone, whether or not anything of it was verified, with `leaf` below its last hop."""
    root = chain.root
    label = entry_label(root.sub, f"user, on the word of {visible(root.iss)}", root.authority, None)
    add_line(label, "evidence", Evidence.ISSUER if root.claim is None else Evidence.AUTHORITY)
    tree = Tree(label)
    branch, above = tree, root.authority
    for index, hop in enumerate(chain.hops, start=1):
        role = "current actor" if hop is chain.leaf else "actor"
        lost = loss(above, hop.authority)
        label = entry_label(hop.actor, f"hop {index}, {role}", hop.authority, lost)
        add_line(label, "evidence", Evidence.ISSUER if hop.claim is None else Evidence.DELEGATOR)
        add_line(label, "holder", _holder(None if hop.jkt is None else ("jkt", hop.jkt)))
        branch = branch.add(label)
        above = hop.authority
    if leaf is not None:
        branch.add(leaf)
    return tree


def show_time(seconds: int) -> str:
    """Epoch seconds as date and time in UTC, or as they are where no calendar goes that far."""
    if seconds > _LAST_DATE:
        return f"epoch second {seconds}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def visible(text: str) -> str:
    r"""`text` in printable ASCII without spaces, anything else escaped: ESC is `\x1b`, a Cyrillic a is `\u0430`.

    So no name steers the terminal, breaks the layout, or looks like another one.
    """
    return text.encode("unicode_escape").decode("ascii").replace(" ", r"\x20")


def entry_label(name: str, role: str, authority: Authority, lost: Loss | None) -> Text:
    """An entry of the chain: whose it is, what it grants and, where that is known, what it lost."""
    label = Text.assemble((visible(name), "bold"), f"  ({role})")
    add_line(label, "scope", render_scope(authority.scope))
    if authority.details:
        # As it stands in the token, in ASCII: names of tools and their values are text of others.
        add_line(label, "details", json.dumps(render_details(authority.details)))
    add_line(label, "resources", " ".join(sorted(authority.resources)))
    add_line(label, "expires", show_time(authority.exp))
    add_line(label, "max depth", str(authority.max_depth))
    if lost is not None:
        add_line(label, "lost", "; ".join(_describe(lost)), style="yellow")
    return label


def _describe(lost: Loss) -> list[str]:
    described = [f"scope {render_scope(lost.scope)}"] if lost.scope else []
    if lost.resources:
        described.append(f"resources {' '.join(sorted(lost.resources))}")
    if lost.lifetime_s:
        described.append(f"{lost.lifetime_s} s")
    if lost.depth:
        described.append(f"depth {lost.depth}")
    return described


def _leaf(token: VerifiedToken) -> Text:
    unchecked = " ".join(sorted(token.not_performed)) or "nothing was left out"
    return token_label(
        token.audience, token.exp, token.cnf, is_exchange_only=token.is_exchange_only, unchecked=unchecked
    )


def token_label(
    audience: str, exp: int, cnf: tuple[str, str] | None, *, is_exchange_only: bool, unchecked: str
) -> Text:
    """The token itself. `exp` in epoch seconds; `unchecked` says in safe text what was not checked."""
    label = Text.assemble(("token", "bold"), "  (exchange-only)" if is_exchange_only else "")
    add_line(label, "audience", visible(audience))
    add_line(label, "expires", show_time(exp))
    add_line(label, "holder", _holder(cnf))
    add_line(label, "not checked", unchecked)
    return label


def _holder(cnf: tuple[str, str] | None) -> str:
    """By what the holder proves itself: DPoP (RFC 9449) or the certificate of a connection (RFC 8705)."""
    if cnf is None:
        return "not bound to a key"
    return "bound to a key (DPoP)" if cnf[0] == "jkt" else "bound to a certificate"


def add_line(label: Text, name: str, value: str, *, style: str = "") -> None:
    """Add to `label` a line of its own that says `value` under `name`; both are safe for a terminal already."""
    label.append(f"\n{name:<{_INDENT}}", "dim")
    label.append(value, style)
