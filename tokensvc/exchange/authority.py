"""The authority that a request asks for: read, and held against the delegator, the actor and the resources (step 11).

Nothing is ever trimmed to fit: what is too much refuses the request and is named. The order itself is in
`core.authority`, and `Terms.order` says how it compares.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tokensvc.core.authority import Attenuation, Authority, Dimension, Order, is_proper, widened
from tokensvc.core.constraint import Budget
from tokensvc.core.details import NO_DETAILS, Detail, Details, details_cover, parse_details
from tokensvc.core.jsontext import parse_json
from tokensvc.core.scope import (
    ScopeGrammar,
    ScopeSet,
    parse_requested_scope,
    render_scope,
    require_grammar,
    scope_covers,
    uncovered,
    usable_scope,
)
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.parties import Agent, Terms
from tokensvc.exchange.record import without_secrets
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ExchangeRequest

__all__ = [
    "Wanted",
    "covered_details",
    "parse_requested_details",
    "parse_scope_of_request",
    "parse_wanted",
    "require_attenuated",
    "require_meaning",
    "require_usable",
    "require_within_ceiling",
]

# They stand in the hop and once more in the token, which has 8,000 bytes in all: what is larger cannot be granted.
MAX_REQUESTED_DETAILS_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class Wanted:
    """Scope and details as asked for; `details` is None where the request does not speak of them."""

    scope: ScopeSet
    details: Details | None


def parse_wanted(request: ExchangeRequest, grammar: ScopeGrammar) -> Wanted:
    """What the parameters `scope` and `authorization_details` (RFC 9396 s2, s6.1) say.

    Raises: OAuthRefused (`invalid_scope`, `invalid_authorization_details`).
    """
    if request.scope is None:
        raise OAuthRefused(
            OAuthError.INVALID_SCOPE, Reason.SCOPE_MISSING, "scope is required: leaving it out never means everything"
        )
    return Wanted(
        parse_scope_of_request(request.scope, grammar), parse_requested_details(request.authorization_details)
    )


def parse_scope_of_request(text: str, grammar: ScopeGrammar) -> ScopeSet:
    """What the parameter `scope` says. Raises: OAuthRefused (`invalid_scope`)."""
    try:
        scope = parse_requested_scope(text)
    except Malformed as exc:
        raise _refuse_scope(exc) from exc
    require_usable(scope, grammar)
    return scope


def require_usable(scope: ScopeSet, grammar: ScopeGrammar) -> None:
    """Return when every scope is well-formed in `grammar`. Raises: OAuthRefused (`invalid_scope`)."""
    try:
        require_grammar(scope, grammar)
    except Malformed as exc:
        raise _refuse_scope(exc) from exc


def parse_requested_details(text: str | None) -> Details | None:
    """What the parameter `authorization_details` says; None where it is absent.

    Raises: OAuthRefused (`invalid_authorization_details`).
    """
    if text is None:
        return None
    encoded = text.encode("utf-8")
    if len(encoded) > MAX_REQUESTED_DETAILS_BYTES:
        problem = f"authorization_details has {len(encoded)} bytes of {MAX_REQUESTED_DETAILS_BYTES} allowed"
        raise _refuse_details(Reason.TOO_LARGE, problem)
    try:
        return parse_details(parse_json(encoded))
    except Malformed as exc:
        raise _refuse_details(exc.reason, f"authorization_details: {exc.description}") from exc


def covered_details(ceiling: Details, details: Details) -> Details:
    """The entries of `details` that `ceiling` covers. Raises: Malformed (`too_large`)."""
    budget = Budget()

    def is_covered(detail: Detail) -> bool:
        return details_cover(ceiling, (detail,), budget)

    return tuple(filter(is_covered, details))


def require_attenuated(above: Authority, authority: Authority, *, index: int, registry: Registry, terms: Terms) -> None:
    """Return when `authority`, of the hop at `index`, is within `above` and, where the order asks for it, less.

    Raises: OAuthRefused (`root_exceeded` at the first hop, `not_narrower`, `not_proper`, `too_large`).
    """
    # At the first hop this tells the user's own limit from a delegator's.
    excess, whom = (Reason.ROOT_EXCEEDED, "user") if index == 1 else (Reason.NOT_NARROWER, "delegator")
    try:
        dimension = widened(above, authority, terms.order)
    except Malformed as exc:
        raise _refuse_details(exc.reason, f"authorization_details: {exc.description}") from exc
    match dimension:
        case None:
            pass
        case Dimension.SCOPE:
            names = _shown(uncovered(above.scope, authority.scope, terms.order.grammar))
            raise OAuthRefused(OAuthError.INVALID_SCOPE, excess, f"not held by the {whom}: {names}")
        case Dimension.DETAILS:
            place = next(i for i, entry in enumerate(authority.details) if not details_cover(above.details, (entry,)))
            problem = f"authorization_details[{place}] is within no entry that the {whom} holds"
            raise _refuse_details(excess, problem)
        case _:  # pragma: no cover - target, lifetime and depth were bounded before; the law has the last word
            problem = f"wider than what was delegated: {dimension}"
            raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.NOT_NARROWER, problem)
    if index >= terms.order.proper_from and not _is_proper(above, authority, registry=registry, terms=terms):
        raise OAuthRefused(OAuthError.INVALID_SCOPE, Reason.NOT_PROPER, _what_to_leave_out(above, terms.order))


def _what_to_leave_out(above: Authority, order: Order) -> str:
    advice = "a delegation holds less than the delegator: leave out at least one of " + render_scope(above.scope)
    if order.attenuation is Attenuation.SCOPE:
        return advice
    return advice + "; or a resource; or, where the resources enforce authorization details, a tool or an entry"


def _is_proper(above: Authority, authority: Authority, *, registry: Registry, terms: Terms) -> bool:
    """By the order; but details that a resource of the hop does not look at take nothing away, and do not count."""
    if not registry.enforce_details(authority.resources):
        above, authority = (replace(side, details=NO_DETAILS) for side in (above, authority))
    return is_proper(above, authority, terms.order)


def require_within_ceiling(scope: ScopeSet, actor: Agent, grammar: ScopeGrammar) -> None:
    """Return when the actor is registered for all of `scope`. Raises: OAuthRefused (`ceiling_exceeded`)."""
    if not scope_covers(actor.scopes, scope, grammar):
        excess = _shown(uncovered(actor.scopes, scope, grammar))
        problem = f"not registered for {actor.id}: {excess}"
        raise OAuthRefused(OAuthError.INVALID_SCOPE, Reason.CEILING_EXCEEDED, problem)


def require_meaning(scope: ScopeSet, resources: Iterable[str], *, registry: Registry, grammar: ScopeGrammar) -> None:
    """Return when each scope has meaning at one of `resources`. Raises: OAuthRefused (`target_not_allowed`)."""
    meaningless = scope - usable_scope(registry.scopes_at(resources), scope, grammar)
    if meaningless:
        raise OAuthRefused(
            OAuthError.INVALID_SCOPE,
            Reason.TARGET_NOT_ALLOWED,
            f"leave out what has no meaning at the resources asked for: {_shown(meaningless)}",
        )


def _shown(scope: ScopeSet) -> str:
    # A token or secret that was put into the wrong parameter does not come back in an answer, nor into a record.
    return without_secrets(render_scope(scope))


def _refuse_scope(exc: Malformed) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_SCOPE, exc.reason, exc.description)


def _refuse_details(reason: Reason, description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_AUTHORIZATION_DETAILS, reason, description)
