"""How what a token says is shown: as JSON, or as a tree in a terminal."""

import json
import sys
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from tokensvc.core.authority import Authority
    from tokensvc.core.chain import GrantChain
    from tokensvc.core.jsontext import JsonValue

__all__ = ["ANY_WIDTH", "render_authority", "render_chain", "say_ascii_json", "tree_console"]

# Wider than any line: a token is 16 KiB at most, and an escape six times what it stands for.
ANY_WIDTH: Final = 100_000


def say_ascii_json(value: "JsonValue") -> None:
    """Print `value`, everything outside ASCII escaped: names come from tokens, and a terminal obeys some characters."""
    typer.echo(json.dumps(value, indent=2))


def tree_console() -> "Console":
    """The terminal; or a file or a pipe, which gets no colour and has no width at which to break a scope in two."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else ANY_WIDTH)


def render_authority(authority: "Authority") -> "dict[str, JsonValue]":
    """What an entry grants, by the names of the profile."""
    from tokensvc.core.details import render_details

    return {
        "scope": " ".join(sorted(authority.scope)),
        "authorization_details": render_details(authority.details),
        "resources": sorted(authority.resources),
        "max_depth": authority.max_depth,
        "iat": authority.iat,
        "exp": authority.exp,
    }


def render_chain(chain: "GrantChain") -> "list[JsonValue]":
    """The root, then every hop with what it lost against the entry before it."""
    from tokensvc.demo.chain_view import loss
    from tokensvc.verify import Evidence

    root = chain.root
    rendered: list[JsonValue] = [
        {
            "iss": root.iss,
            "sub": root.sub,
            "jti": root.jti,
            "evidence": Evidence.ISSUER if root.claim is None else Evidence.AUTHORITY,
            **render_authority(root.authority),
        }
    ]
    above = root.authority
    for hop in chain.hops:
        lost = loss(above, hop.authority)
        described: dict[str, JsonValue] = {
            "scope": " ".join(sorted(lost.scope)),
            "resources": sorted(lost.resources),
            "lifetime_s": lost.lifetime_s,
            "depth": lost.depth,
        }
        evidence = Evidence.ISSUER if hop.claim is None else Evidence.DELEGATOR
        names: dict[str, JsonValue] = {"actor": hop.actor, "jti": hop.jti, "parent": hop.parent, "jkt": hop.jkt}
        rendered.append({**names, "evidence": evidence, **render_authority(hop.authority), "lost": described})
        above = hop.authority
    return rendered
