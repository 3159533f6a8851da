"""What a request would grant: the shapes *start*, *delegate*, *renew* and *narrow* (steps 7 and 9 to 13).

Pure: a request, the proven subject and the registry in, a `Proposal` out, or a refusal that names what is at fault.
Nothing is ever trimmed to fit. The order on authority itself stands in `core.authority`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tokensvc.core.authority import Authority, Dimension, Order, is_proper, widened
from tokensvc.core.chain import GrantChain, Hop, Root
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import ScopeSet, parse_requested_scope, render_scope
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.parties import Agent, Registry, Terms
from tokensvc.exchange.record import without_secrets
from tokensvc.exchange.request import ExchangeRequest
from tokensvc.exchange.subject import UserToken
from tokensvc.exchange.target import Target, require_target_allowed, resolve_target
from tokensvc.verify import VerifiedToken

__all__ = [
    "Asker",
    "Proposal",
    "Shape",
    "propose_from_token",
    "propose_start",
    "require_actor",
    "require_actor_of_start",
]


_ORDER: Final = Order()


class Shape(StrEnum):
    """What kind of exchange a request is, told by who asks."""

    START = "start"
    DELEGATE = "delegate"
    RENEW = "renew"
    NARROW = "narrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A request with everything that judging it needs. `new_id` makes a fresh `jti`; `now` in epoch seconds."""

    request: ExchangeRequest
    client: Agent
    registry: Registry
    terms: Terms
    now: int
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The chain and audience of the token to be issued.

    `new_entries` are the ids and ends of the entries that did not exist before; `also_revocable` is what has to be
    clear of revocations besides the chain.
    """

    shape: Shape
    chain: GrantChain
    audience: str
    new_entries: tuple[tuple[str, int], ...]
    also_revocable: tuple[Revocable, ...] = ()


def require_actor_of_start(asker: Asker) -> None:
    """Step 7 for a start: it is for the client itself. Raises: OAuthRefused."""
    if asker.request.requested_actor not in {None, asker.client.id}:
        raise _refuse_delegatee("a start is for the client itself; delegate from the token that it gives")


def require_actor(asker: Asker, subject: VerifiedToken) -> Agent:
    """Step 7 for a token of ours: the agent that the answer is for, once the client may ask for it.

    Before revocation is looked at: whoever stole a token does not learn that the theft was noticed.
    Raises: OAuthRefused (`not_current_actor`, `actor_required`, `delegatee_not_allowed`).
    """
    client, requested_actor = asker.client, asker.request.requested_actor
    if subject.actor != client.id:
        # Whoever else holds this token saw it or stole it.
        raise _invalid(Reason.NOT_CURRENT_ACTOR, "the client is not the current actor of the subject_token")
    if requested_actor is None:
        raise _invalid(Reason.ACTOR_REQUIRED, "name the agent that the token is for in requested_actor")
    if requested_actor == client.id:
        return client
    # An agent that is unknown, disabled or not allowed gets one answer: nobody learns who exists.
    actor = asker.registry.enabled_agent(requested_actor)
    if actor is None or not asker.registry.may_delegate(client.id, requested_actor):
        raise _refuse_delegatee("the client may not delegate to the requested_actor")
    return actor


def propose_start(asker: Asker, user: UserToken) -> Proposal:
    """A root from the user's token, and the client as first actor below it. Raises: OAuthRefused."""
    target = _resolve_target(asker)
    require_target_allowed(  # step 10
        target, parent=user.issuer.ceiling_resources, actor=asker.client, registry=asker.registry
    )
    root = _root(asker, user)
    hop = _new_hop(asker, target, above=root.authority, parent=root.jti, actor=asker.client, is_first=True)
    return Proposal(
        shape=Shape.START,
        chain=GrantChain(root=root, hops=(hop,)),
        audience=target.audience(asker.terms.issuer),
        new_entries=((root.jti, root.authority.exp), (hop.jti, hop.authority.exp)),
        also_revocable=user.revocables(),
    )


def propose_from_token(asker: Asker, subject: VerifiedToken, actor: Agent) -> Proposal:
    """A delegation to `actor`, or a renewal or narrowing where `actor` is the client itself. Raises: OAuthRefused."""
    _require_still_allowed(asker, subject.chain)  # step 8
    if actor.id == asker.client.id:
        return _propose_for_itself(asker, subject)
    if actor.id in subject.actors:  # step 9
        raise _invalid(Reason.LOOP, "the requested_actor is in the chain already")
    _require_depth(asker, subject)
    return _propose_hop(asker, subject, _resolve_target(asker), actor=actor, shape=Shape.DELEGATE)


def _propose_for_itself(asker: Asker, subject: VerifiedToken) -> Proposal:
    # Only target and scope tell a renewal, which adds no hop, from a narrowing: depth has to wait for them.
    target = _resolve_target(asker)
    if _is_renewal(asker, subject, target):
        return _propose_renewal(asker, subject, target)
    _require_depth(asker, subject)
    return _propose_hop(asker, subject, target, actor=asker.client, shape=Shape.NARROW)


def _propose_hop(asker: Asker, subject: VerifiedToken, target: Target, *, actor: Agent, shape: Shape) -> Proposal:
    leaf = subject.chain.leaf
    require_target_allowed(  # step 10
        target, parent=leaf.authority.resources, actor=actor, registry=asker.registry
    )
    hop = _new_hop(asker, target, above=leaf.authority, parent=leaf.jti, actor=actor)
    # What an agent gets for another is exchange-only: the asker can never act as the other.
    for_another = shape is Shape.DELEGATE
    return Proposal(
        shape=shape,
        chain=GrantChain(root=subject.chain.root, hops=(*subject.chain.hops, hop)),
        audience=asker.terms.issuer if for_another else target.audience(asker.terms.issuer),
        new_entries=((hop.jti, hop.authority.exp),),
    )


def _is_renewal(asker: Asker, subject: VerifiedToken, target: Target) -> bool:
    granted = subject.chain.leaf.authority
    return _requested_scope(asker) == granted.scope and target.resources <= granted.resources


def _propose_renewal(asker: Asker, subject: VerifiedToken, target: Target) -> Proposal:
    if asker.request.requested_lifetime_s is not None:
        raise _invalid(Reason.PARAMETER_UNSUPPORTED, "a renewal takes no requested_lifetime_s: its hop is fixed")
    granted = subject.chain.leaf.authority
    if not target.names_issuer:
        require_target_allowed(target, parent=granted.resources, actor=asker.client, registry=asker.registry)
    _require_within_ceiling(granted.scope, asker.client)
    return Proposal(
        shape=Shape.RENEW, chain=subject.chain, audience=target.audience(asker.terms.issuer), new_entries=()
    )


def _root(asker: Asker, user: UserToken) -> Root:
    """The user's ceiling: what the token carries and the resources of the ceiling know, and nothing else."""
    issuer, terms = user.issuer, asker.terms
    scope = user.scope & asker.registry.scopes_at(issuer.ceiling_resources)
    if not scope:
        raise OAuthRefused(
            OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED, "the subject_token carries no scope that is registered here"
        )
    ends_with_session = asker.now + issuer.session_lifetime_s if issuer.session_lifetime_s else user.exp
    authority = Authority(
        scope=scope,
        resources=issuer.ceiling_resources,
        iat=asker.now,
        exp=min(ends_with_session, asker.now + terms.root_lifetime_s),
        max_depth=min(issuer.ceiling_max_depth, terms.max_depth),
        bound=False,
    )
    return Root(iss=terms.issuer, sub=user.sub, jti=asker.new_id(), authority=authority)


def _resolve_target(asker: Asker) -> Target:
    return resolve_target(asker.request, asker.client, registry=asker.registry, terms=asker.terms)


def _require_depth(asker: Asker, subject: VerifiedToken) -> None:
    index = subject.depth + 1
    if index > min(subject.chain.leaf.authority.max_depth, asker.terms.max_depth):
        raise _invalid(Reason.DEPTH_EXCEEDED, f"hop {index} would be deeper than allowed")


def _new_hop(
    asker: Asker, target: Target, *, above: Authority, parent: str, actor: Agent, is_first: bool = False
) -> Hop:
    """Steps 11 to 13 for a hop of `actor` below an entry with the authority `above`."""
    scope = _requested_scope(asker)
    max_depth = above.max_depth if actor.max_depth is None else min(above.max_depth, actor.max_depth)
    authority = Authority(
        scope=scope,
        resources=target.resources,
        # The parent's iat may lie ahead of this clock by the leeway between two servers.
        iat=max(asker.now, above.iat),
        exp=_latest_exp(asker, above, actor),
        max_depth=max_depth,
        bound=above.bound,
    )
    _require_attenuated(above, authority, is_first=is_first)
    _require_within_ceiling(scope, actor)
    _require_meaning(scope, target, asker.registry)
    authority = replace(authority, exp=_asked_exp(asker, latest=authority.exp))
    return Hop(actor=actor.id, jti=asker.new_id(), parent=parent, jkt=None, authority=authority)


def _requested_scope(asker: Asker) -> ScopeSet:
    if asker.request.scope is None:
        raise OAuthRefused(
            OAuthError.INVALID_SCOPE, Reason.SCOPE_MISSING, "scope is required: leaving it out never means everything"
        )
    try:
        return parse_requested_scope(asker.request.scope)
    except Malformed as exc:
        raise OAuthRefused(OAuthError.INVALID_SCOPE, Reason.MALFORMED, exc.description) from exc


def _require_attenuated(above: Authority, authority: Authority, *, is_first: bool) -> None:
    match widened(above, authority, _ORDER):
        case None:
            pass
        case Dimension.SCOPE:
            # At the first hop this tells the user's own limit from a delegator's.
            reason = Reason.ROOT_EXCEEDED if is_first else Reason.NOT_NARROWER
            excess = _shown(authority.scope - above.scope)
            raise OAuthRefused(OAuthError.INVALID_SCOPE, reason, f"not held by the delegator: {excess}")
        case dimension:  # pragma: no cover - target, lifetime and depth were bounded before; the law has the last word
            raise _invalid(Reason.NOT_NARROWER, f"wider than what was delegated: {dimension}")
    if not is_proper(above, authority, _ORDER):
        raise OAuthRefused(
            OAuthError.INVALID_SCOPE,
            Reason.NOT_PROPER,
            "a delegation holds less than the delegator: leave out at least one of " + render_scope(above.scope),
        )


def _require_within_ceiling(scope: ScopeSet, actor: Agent) -> None:
    if not scope <= actor.scopes:
        excess = _shown(scope - actor.scopes)
        raise OAuthRefused(OAuthError.INVALID_SCOPE, Reason.CEILING_EXCEEDED, f"not registered for the actor: {excess}")


def _require_meaning(scope: ScopeSet, target: Target, registry: Registry) -> None:
    meaningless = scope - registry.scopes_at(target.resources)
    if meaningless:
        raise OAuthRefused(
            OAuthError.INVALID_SCOPE,
            Reason.TARGET_NOT_ALLOWED,
            f"leave out what has no meaning at the resources asked for: {_shown(meaningless)}",
        )


def _shown(scope: ScopeSet) -> str:
    # A token or secret that was put into the wrong parameter does not come back in an answer, nor into a record.
    return without_secrets(render_scope(scope))


def _latest_exp(asker: Asker, above: Authority, actor: Agent) -> int:
    """The least of the bounds on the end of a hop."""
    latest = above.exp if actor.max_lifetime_s is None else min(above.exp, asker.now + actor.max_lifetime_s)
    if latest <= asker.now:
        raise _invalid(Reason.EXPIRED, "what was delegated has ended")
    return latest


def _asked_exp(asker: Asker, *, latest: int) -> int:
    """The end of a hop: as asked, when that is within every bound, else the least of the bounds."""
    asked = asker.request.requested_lifetime_s
    if asked is None:
        return latest
    if asker.now + asked > latest:
        raise _invalid(Reason.LIFETIME_EXCEEDED, f"requested_lifetime_s may be at most {latest - asker.now} here")
    return asker.now + asked


def _require_still_allowed(asker: Asker, chain: GrantChain) -> None:
    """The user's issuer, the agents and the delegations of the chain: what was taken back since counts now."""
    if not asker.registry.is_user(chain.root.sub):
        raise _invalid(Reason.ROOT_INVALID, "subject_token: the user is of no identity provider registered here")
    if not asker.registry.still_allows(chain.actors):
        raise _refuse_delegatee("an agent or a delegation in the chain is not allowed any more")


def _refuse_delegatee(description: str) -> OAuthRefused:
    return _invalid(Reason.DELEGATEE_NOT_ALLOWED, description)


def _invalid(reason: Reason, description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_REQUEST, reason, description)
