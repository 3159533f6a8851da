"""`tokensvc explain`: which check refuses this token, and what became of authority at every hop."""

from typing import TYPE_CHECKING

import typer

from tokensvc.cli.console import ExitCode
from tokensvc.cli.judging import Terms, add_command
from tokensvc.cli.token_view import render_authority, say_ascii_json, tree_console

if TYPE_CHECKING:
    from tokensvc.core.claims import AccessTokenClaims
    from tokensvc.core.entry import Hop, Root
    from tokensvc.core.jsontext import JsonValue
    from tokensvc.verify import Explanation
    from tokensvc.verify.explain import Comparison, ExplainedHop, ExplainedRoot

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `explain` to `app`."""
    add_command(app, "explain", _explain)


def _explain(token: str, terms: Terms, *, as_json: bool) -> None:
    """Show how far a token comes in `tokensvc verify`, the first check that fails, and what each hop kept or narrowed.

    Each hop is compared with the entry before it in scope, details, resources, lifetime, depth and holder: kept,
    narrowed or widened, with what is gone and what is new. Nothing is shown that no verified signature vouches for.

    Exit codes: 0 verified, 1 refused, 2 the command line is wrong or the file of keys cannot be read, 3 its keys
    cannot be used, 4 standard input or output cannot be used. Revocation is not checked, and the answer says so.

    The token comes from standard input:

        tokensvc explain --issuer https://tokens.example --audience https://api.example --jwks jwks.json < token.txt

    Or with the terms in a file, as docs/verifier.md shows it:

        tokensvc explain --expect terms.toml < token.txt

    """
    from tokensvc.cli.explanation_view import show_explanation
    from tokensvc.verify import explain_token

    explanation = explain_token(token, **terms)
    if as_json:
        say_ascii_json(_render(explanation))
    else:
        show_explanation(tree_console(), explanation)
    if explanation.verified is None:
        raise typer.Exit(ExitCode.REFUSED)


def _render(explanation: "Explanation") -> "dict[str, JsonValue]":
    failure, verified = explanation.failure, explanation.verified
    steps: list[JsonValue] = [
        {"step": step.number, "name": step.name, "state": step.state} for step in explanation.steps
    ]
    hops: list[JsonValue] = [_render_hop(hop) for hop in explanation.hops]
    return {
        "verified": verified is not None,
        "reason": None if failure is None else failure.reason,
        "description": None if failure is None else failure.description,
        "step": None if failure is None else failure.step,
        "hop": None if failure is None else failure.hop,
        "steps": steps,
        "token": None if explanation.claims is None else _render_claims(explanation.claims),
        "actors": list(explanation.actors),
        "root": None if explanation.root is None else _render_root(explanation.root),
        "hops": hops,
        "not_performed": [] if verified is None else sorted(verified.not_performed),
    }


def _render_claims(claims: "AccessTokenClaims") -> "dict[str, JsonValue]":
    from tokensvc.core.details import render_details

    return {
        "issuer": claims.iss,
        "user": claims.sub,
        "client_id": claims.client_id,
        "audience": claims.aud,
        "exchange_only": claims.aud == claims.iss,
        "scope": " ".join(sorted(claims.scope)),
        "authorization_details": render_details(claims.details),
        "iat": claims.iat,
        "exp": claims.exp,
        "nbf": claims.nbf,
        "jti": claims.jti,
        "cnf": None if claims.cnf is None else dict([claims.cnf]),
    }


def _render_root(explained: "ExplainedRoot") -> "dict[str, JsonValue]":
    root: Root | None = explained.root
    entry: dict[str, JsonValue] | None = None
    if root is not None:
        entry = {"iss": root.iss, "sub": root.sub, "jti": root.jti, **render_authority(root.authority)}
    return {"evidence": explained.evidence, "entry": entry}


def _render_hop(explained: "ExplainedHop") -> "dict[str, JsonValue]":
    hop: Hop | None = explained.hop
    entry: dict[str, JsonValue] | None = None
    if hop is not None:
        names: dict[str, JsonValue] = {"actor": hop.actor, "jti": hop.jti, "parent": hop.parent, "jkt": hop.jkt}
        entry = {**names, **render_authority(hop.authority)}
    return {
        "index": explained.index,
        "state": explained.state,
        "evidence": explained.evidence,
        "entry": entry,
        "comparison": None if explained.comparison is None else _render_comparison(explained.comparison),
    }


def _render_comparison(comparison: "Comparison") -> "dict[str, JsonValue]":
    return {
        "changes": {str(dimension): change for dimension, change in comparison.changes.items()},
        "scope_gone": " ".join(sorted(comparison.scope_gone)),
        "scope_new": " ".join(sorted(comparison.scope_new)),
        "resources_gone": sorted(comparison.resources_gone),
        "resources_new": sorted(comparison.resources_new),
        "ends_earlier_s": comparison.ends_earlier_s,
        "starts_later_s": comparison.starts_later_s,
        "depth_gone": comparison.depth_gone,
        "proper": comparison.is_proper,
    }
