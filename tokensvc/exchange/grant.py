"""What a request would grant: the shapes *start*, *delegate*, *renew* and *narrow* (steps 7 and 9 to 13).

Pure: a request, the proven subject and the registry in, a `Proposal` out, or a refusal that names what is at fault.
Nothing is ever trimmed to fit. The order on authority itself stands in `core.authority`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from tokensvc.core.authority import Authority
from tokensvc.core.chain import GrantChain, Hop, Root
from tokensvc.core.details import NO_DETAILS
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import usable_scope
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.authority import (
    Wanted,
    parse_wanted,
    require_attenuated,
    require_meaning,
    require_within_ceiling,
)
from tokensvc.exchange.parties import Agent, Registry, Terms
from tokensvc.exchange.request import ExchangeRequest
from tokensvc.exchange.target import Target, require_target_allowed, resolve_target
from tokensvc.exchange.user_token import UserToken
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
    hop = _new_hop(asker, target, _wanted(asker), above=root.authority, parent=root.jti, actor=asker.client, index=1)
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
    target = _resolve_target(asker)
    _require_target_within(subject, target, actor, asker.registry)
    return _propose_hop(asker, subject, target, _wanted(asker), actor=actor, shape=Shape.DELEGATE)


def _propose_for_itself(asker: Asker, subject: VerifiedToken) -> Proposal:
    # Only target and authority tell a renewal, which adds no hop, from a narrowing: depth has to wait for them.
    target, wanted = _resolve_target(asker), _wanted(asker)
    granted = subject.chain.leaf.authority
    if wanted.details is None and granted.details:
        raise OAuthRefused(
            OAuthError.INVALID_AUTHORIZATION_DETAILS,
            Reason.PARAMETER_MISSING,
            "state the authorization_details to keep; [] drops them",
        )
    if _is_renewal(granted, wanted, target):
        return _propose_renewal(asker, subject, target)
    _require_depth(asker, subject)
    _require_target_within(subject, target, asker.client, asker.registry)
    return _propose_hop(asker, subject, target, wanted, actor=asker.client, shape=Shape.NARROW)


def _propose_hop(
    asker: Asker, subject: VerifiedToken, target: Target, wanted: Wanted, *, actor: Agent, shape: Shape
) -> Proposal:
    leaf = subject.chain.leaf
    hop = _new_hop(asker, target, wanted, above=leaf.authority, parent=leaf.jti, actor=actor, index=subject.depth + 1)
    # What an agent gets for another is exchange-only: the asker can never act as the other.
    for_another = shape is Shape.DELEGATE
    return Proposal(
        shape=shape,
        chain=GrantChain(root=subject.chain.root, hops=(*subject.chain.hops, hop)),
        audience=asker.terms.issuer if for_another else target.audience(asker.terms.issuer),
        new_entries=((hop.jti, hop.authority.exp),),
    )


def _require_target_within(subject: VerifiedToken, target: Target, actor: Agent, registry: Registry) -> None:
    """Step 10."""
    require_target_allowed(target, parent=subject.chain.leaf.authority.resources, actor=actor, registry=registry)


def _is_renewal(granted: Authority, wanted: Wanted, target: Target) -> bool:
    # The order in which entries stand says nothing about what they grant; the hop keeps its own.
    same_details = frozenset(wanted.details or NO_DETAILS) == frozenset(granted.details)
    return wanted.scope == granted.scope and same_details and target.resources <= granted.resources


def _propose_renewal(asker: Asker, subject: VerifiedToken, target: Target) -> Proposal:
    if asker.request.requested_lifetime_s is not None:
        raise _invalid(Reason.PARAMETER_UNSUPPORTED, "a renewal takes no requested_lifetime_s: its hop is fixed")
    granted = subject.chain.leaf.authority
    if not target.names_issuer:
        _require_target_within(subject, target, asker.client, asker.registry)
    require_within_ceiling(granted.scope, asker.client, asker.terms.order.grammar)
    return Proposal(
        shape=Shape.RENEW, chain=subject.chain, audience=target.audience(asker.terms.issuer), new_entries=()
    )


def _root(asker: Asker, user: UserToken) -> Root:
    """The user's ceiling: what the token carries and the resources of the ceiling know, and nothing else."""
    issuer, terms = user.issuer, asker.terms
    scope = usable_scope(asker.registry.scopes_at(issuer.ceiling_resources), user.scope, terms.order.grammar)
    if not scope:
        raise OAuthRefused(
            OAuthError.INVALID_SCOPE, Reason.ROOT_EXCEEDED, "the subject_token carries no scope that is registered here"
        )
    ends_with_session = asker.now + issuer.session_lifetime_s if issuer.session_lifetime_s else user.exp
    authority = Authority(
        scope=scope,
        details=user.details,
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
    asker: Asker, target: Target, wanted: Wanted, *, above: Authority, parent: str, actor: Agent, index: int
) -> Hop:
    """Steps 11 to 13 for the hop at `index`, of `actor`, below an entry with the authority `above`."""
    registry, terms = asker.registry, asker.terms
    max_depth = above.max_depth if actor.max_depth is None else min(above.max_depth, actor.max_depth)
    authority = Authority(
        scope=wanted.scope,
        # Left out, none are asked for.
        details=wanted.details or NO_DETAILS,
        resources=target.resources,
        # The parent's iat may lie ahead of this clock by the leeway between two servers.
        iat=max(asker.now, above.iat),
        exp=_latest_exp(asker, above, actor),
        max_depth=max_depth,
        bound=above.bound,
    )
    require_attenuated(above, authority, index=index, registry=registry, terms=terms)
    require_within_ceiling(wanted.scope, actor, terms.order.grammar)
    require_meaning(wanted.scope, target.resources, registry=registry, grammar=terms.order.grammar)
    authority = replace(authority, exp=_asked_exp(asker, latest=authority.exp))
    return Hop(actor=actor.id, jti=asker.new_id(), parent=parent, jkt=None, authority=authority)


def _wanted(asker: Asker) -> Wanted:
    return parse_wanted(asker.request, asker.terms.order.grammar)


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
