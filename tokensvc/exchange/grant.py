"""What a token of ours is exchanged for: *delegate*, *accept*, *renew* and *narrow* (steps 7 and 9 to 13).

Pure: a request, the proven subject and the registry in, a `Proposal` out, or a refusal that names what is at fault.
Nothing is ever trimmed to fit. The order on authority itself stands in `core.authority`.
"""

from tokensvc.core.authority import Authority
from tokensvc.core.chain import GrantChain, Hop
from tokensvc.core.details import NO_DETAILS
from tokensvc.core.entry import Evidence
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.authority import Wanted, require_within_ceiling
from tokensvc.exchange.hop import Asker, invalid_request, new_hop
from tokensvc.exchange.parties import Agent
from tokensvc.exchange.proposal import NewEntry, Proposal, Shape
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.target import Target, require_target_allowed
from tokensvc.verify import VerifiedToken

__all__ = [
    "at_hand",
    "is_server",
    "propose_from_token",
    "refuse_delegatee",
    "require_actor",
    "require_depth",
    "require_still_allowed",
]


def require_actor(asker: Asker, subject: VerifiedToken) -> Agent:
    """Step 7 for a token of ours: the agent that the answer is for, once the client may ask for it.

    Before revocation is looked at: whoever stole a token does not learn that the theft was noticed.
    Raises: OAuthRefused (`not_current_actor`, `actor_required`, `delegatee_not_allowed`).
    """
    client, requested_actor = asker.client, asker.request.requested_actor
    if subject.actor != client.id:
        return _require_server(asker, subject)
    if requested_actor is None:
        raise invalid_request(Reason.ACTOR_REQUIRED, "name the agent that the token is for in requested_actor")
    if requested_actor == client.id:
        return client
    # An agent that is unknown, disabled or not allowed gets one answer: nobody learns who exists.
    actor = asker.registry.enabled_agent(requested_actor)
    if actor is None or not asker.registry.may_delegate(client.id, requested_actor):
        raise refuse_delegatee("the client may not delegate to the requested_actor")
    return actor


def is_server(client: Agent, subject: VerifiedToken) -> bool:
    """True when `client` is the server of the token's `aud`, to which another agent presented it."""
    return subject.actor != client.id and subject.audience in client.serves


def _require_server(asker: Asker, subject: VerifiedToken) -> Agent:
    """The client as the server of the token's `aud`, to which the token was presented by its actor."""
    client = asker.client
    if not is_server(client, subject) or asker.request.requested_actor not in {None, client.id}:
        # Whoever else holds this token saw it or stole it.
        raise invalid_request(Reason.NOT_CURRENT_ACTOR, "the client is not the current actor of the subject_token")
    if not asker.registry.may_delegate(subject.actor, client.id):
        raise refuse_delegatee("the current actor may not delegate to the client")
    return client


def propose_from_token(asker: Asker, subject: VerifiedToken, actor: Agent) -> Proposal:
    """The hop of `actor` below what was presented, or a renewal. `actor` is what `require_actor` returned.

    Raises: OAuthRefused.
    """
    require_still_allowed(asker, subject)  # step 8
    if actor.id == subject.actor:
        return _propose_for_itself(asker, subject)
    if actor.id in subject.actors:  # step 9
        raise invalid_request(Reason.LOOP, "the actor is in the chain already")
    require_depth(asker, subject)
    target = asker.target()
    if actor.id == asker.client.id:
        return _propose_accept(asker, subject, target)
    _require_target_within(subject, target, actor, asker.registry)
    return _propose_hop(asker, subject, target, asker.wanted(), actor=actor, shape=Shape.DELEGATE)


def _propose_accept(asker: Asker, subject: VerifiedToken, target: Target) -> Proposal:
    """A server reaches what it may reach at all, that the delegator named as well, while that one token lives."""
    reachable = at_hand(subject, asker.registry) & asker.client.downstream_resources
    require_target_allowed(target, parent=reachable, actor=asker.client, registry=asker.registry)
    return _propose_hop(asker, subject, target, asker.wanted(), actor=asker.client, shape=Shape.ACCEPT)


def _propose_for_itself(asker: Asker, subject: VerifiedToken) -> Proposal:
    # Only target and authority tell a renewal, which adds no hop, from a narrowing: depth has to wait for them.
    target, wanted = asker.target(), asker.wanted()
    granted = subject.chain.leaf.authority
    if wanted.details is None and granted.details:
        raise OAuthRefused(
            OAuthError.INVALID_AUTHORIZATION_DETAILS,
            Reason.PARAMETER_MISSING,
            "state the authorization_details to keep; [] drops them",
        )
    if _is_renewal(granted, wanted, target):
        return _propose_renewal(asker, subject, target)
    require_depth(asker, subject)
    _require_target_within(subject, target, asker.client, asker.registry)
    return _propose_hop(asker, subject, target, wanted, actor=asker.client, shape=Shape.NARROW)


def _propose_hop(
    asker: Asker, subject: VerifiedToken, target: Target, wanted: Wanted, *, actor: Agent, shape: Shape
) -> Proposal:
    leaf = subject.chain.leaf
    above = leaf.authority
    _require_issuer_evidence_enough(asker, subject, target)
    # A presented token lends what it grants, and no longer than it lives itself.
    until = subject.exp if shape is Shape.ACCEPT else above.exp
    hop = new_hop(
        asker,
        target,
        wanted,
        above=above,
        until=until,
        parent=leaf.jti,
        actor=actor,
        index=subject.depth + 1,
        jkt=_key_of_hop(asker, leaf, actor=actor, shape=shape),
    )
    # What was taken from the delegator since it got its hop is not its to hand on.
    require_within_ceiling(wanted.scope, asker.registry.agents[subject.actor], asker.terms.order.grammar)
    # What an agent gets for another is exchange-only: the asker can never act as the other.
    for_another = shape is Shape.DELEGATE
    return Proposal(
        shape=shape,
        chain=GrantChain(root=subject.chain.root, hops=(*subject.chain.hops, hop)),
        audience=asker.terms.issuer if for_another else target.audience(asker.terms.issuer),
        cnf=_cnf_of(hop.jkt) if for_another else asker.proven.cnf_of_token(actor, hop.jkt),
        new_entries=(NewEntry(entry=hop),),
    )


def _require_issuer_evidence_enough(asker: Asker, subject: VerifiedToken, target: Target) -> None:
    """Where hops have to be signed by their delegator, the word of this service is not enough."""
    if asker.terms.evidence is Evidence.DELEGATOR or asker.registry.wants_signed_hop(subject.actor, target.resources):
        problem = "such a hop has to be signed by its delegator: send it as delegation_grant"
        raise invalid_request(Reason.EVIDENCE_INSUFFICIENT, problem)


def _key_of_hop(asker: Asker, leaf: Hop, *, actor: Agent, shape: Shape) -> str | None:
    """The key of a new hop: a key once bound stays; another agent's is the one that it registered."""
    match shape:
        case Shape.DELEGATE:
            return actor.holder_jkt
        case Shape.NARROW if leaf.jkt is not None:
            return leaf.jkt
        case _:
            return asker.proven.key_of_hop(actor)


def _cnf_of(jkt: str | None) -> tuple[str, str] | None:
    return None if jkt is None else ("jkt", jkt)


def _require_target_within(subject: VerifiedToken, target: Target, actor: Agent, registry: Registry) -> None:
    """Step 10."""
    require_target_allowed(target, parent=at_hand(subject, registry), actor=actor, registry=registry)


def at_hand(subject: VerifiedToken, registry: Registry) -> frozenset[str]:
    """The resources of a presented hop that its holder, and its user, may still have by now."""
    source = registry.source_of(subject)
    resources = subject.chain.leaf.authority.resources & registry.agents[subject.actor].resources
    return resources if source is None else resources & source.ceiling_resources


def _is_renewal(granted: Authority, wanted: Wanted, target: Target) -> bool:
    # The order in which entries stand says nothing about what they grant; the hop keeps its own.
    same_details = frozenset(wanted.details or NO_DETAILS) == frozenset(granted.details)
    return wanted.scope == granted.scope and same_details and target.resources <= granted.resources


def _propose_renewal(asker: Asker, subject: VerifiedToken, target: Target) -> Proposal:
    for name in ("requested_lifetime_s", "requested_max_depth"):
        if getattr(asker.request, name) is not None:
            raise invalid_request(Reason.PARAMETER_UNSUPPORTED, f"a renewal takes no {name}: its hop is fixed")
    granted = subject.chain.leaf.authority
    if not target.names_issuer:
        _require_target_within(subject, target, asker.client, asker.registry)
    require_within_ceiling(granted.scope, asker.client, asker.terms.order.grammar)
    return Proposal(
        shape=Shape.RENEW,
        chain=subject.chain,
        audience=target.audience(asker.terms.issuer),
        cnf=asker.proven.cnf_of_token(asker.client, subject.chain.leaf.jkt),
        new_entries=(),
    )


def require_depth(asker: Asker, subject: VerifiedToken) -> None:
    """Return when a hop may stand below `subject` (step 9). Raises: OAuthRefused (`depth_exceeded`)."""
    index = subject.depth + 1
    if index > min(subject.chain.leaf.authority.max_depth, asker.terms.max_depth):
        raise invalid_request(Reason.DEPTH_EXCEEDED, f"hop {index} would be deeper than allowed")


def require_still_allowed(asker: Asker, subject: VerifiedToken) -> None:
    """The user's issuer, the agents and the delegations of the chain: what was taken back since counts now (step 8).

    Raises: OAuthRefused (`root_invalid`, `delegatee_not_allowed`).
    """
    if not asker.registry.knows_user_of(subject):
        raise invalid_request(Reason.ROOT_INVALID, "subject_token: the user is of no identity provider registered here")
    if not asker.registry.still_allows(subject.chain.actors):
        raise refuse_delegatee("an agent or a delegation in the chain is not allowed any more")


def refuse_delegatee(description: str) -> OAuthRefused:
    """One refusal for an agent that is unknown, disabled or not one to delegate to."""
    return invalid_request(Reason.DELEGATEE_NOT_ALLOWED, description)
