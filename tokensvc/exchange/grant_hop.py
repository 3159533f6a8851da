"""What a request with a `delegation_grant` would grant: *delegate*, *accept* and *narrow* with a hop that is signed.

Pure, as `grant` is, whose rules these are: a signature says whose word a hop is, and not that it is allowed. Opening a
grant, which proves the signature, comes before (`delegation_grant`).
"""

from tokensvc.core.chain import GrantChain, Hop
from tokensvc.errors import OAuthRefused, Reason
from tokensvc.exchange.authority import require_within_ceiling
from tokensvc.exchange.delegation_grant import refuse_grant, require_no_other_word
from tokensvc.exchange.grant import (
    at_hand,
    refuse_delegatee,
    require_depth,
    require_still_allowed,
)
from tokensvc.exchange.hop import Asker, invalid_request, require_signed_hop
from tokensvc.exchange.parties import Agent
from tokensvc.exchange.proposal import NewEntry, Proposal, Shape
from tokensvc.exchange.target import Target, named_resources, require_target_allowed
from tokensvc.verify import VerifiedToken

__all__ = ["propose_from_grant", "require_actor_of_grant"]


def require_actor_of_grant(asker: Asker, subject: VerifiedToken, hop: Hop) -> Agent:
    """Step 7: the agent that the grant is for. Its delegator sends it, or that agent itself.

    Raises: OAuthRefused (`not_current_actor`, `delegatee_not_allowed`).
    """
    client = asker.client
    is_delegator = client.id == subject.actor
    if not is_delegator and client.id != hop.actor:
        raise _not_current_actor("the client is neither the current actor of the subject_token nor the grant's actor")
    if not is_delegator and not subject.is_exchange_only:
        # What a resource was shown is no invitation, whoever is named in a grant beside it.
        raise _not_current_actor("a delegation_grant is accepted with an exchange-only token of its delegator")
    if hop.actor == subject.actor:
        return client
    if not asker.registry.may_delegate(subject.actor, hop.actor):
        raise refuse_delegatee("the delegator may not delegate to the actor of the grant")
    return asker.registry.agents[hop.actor]


def propose_from_grant(asker: Asker, subject: VerifiedToken, hop: Hop, actor: Agent) -> Proposal:
    """The chain with `hop` below what was presented. `actor` is what `require_actor_of_grant` returned.

    The grant is taken as it is or refused. Raises: OAuthRefused.
    """
    require_still_allowed(asker, subject)  # step 8
    if actor.id != subject.actor and actor.id in subject.actors:  # step 9
        raise invalid_request(Reason.LOOP, "the actor is in the chain already")
    require_depth(asker, subject)
    grammar = asker.terms.order.grammar
    require_no_other_word(asker.request, hop, grammar)
    granted = Target(resources=hop.authority.resources, names_issuer=False)
    wanted = _wanted_target(asker, granted, is_for_client=actor.id == asker.client.id)
    require_target_allowed(  # step 10
        granted, parent=at_hand(subject, asker.registry), actor=actor, registry=asker.registry
    )
    above = subject.chain.leaf.authority
    require_signed_hop(asker, hop.authority, above=above, actor=actor, index=subject.depth + 1)
    # What was taken from the delegator since it got its hop is not its to hand on.
    require_within_ceiling(hop.authority.scope, asker.registry.agents[subject.actor], grammar)
    shape = _shape(asker, subject, actor)
    _require_key(asker, subject, hop, actor=actor, shape=shape)
    for_another = None if hop.jkt is None else ("jkt", hop.jkt)
    return Proposal(
        shape=shape,
        chain=GrantChain(root=subject.chain.root, hops=(*subject.chain.hops, hop)),
        # What an agent gets for another is exchange-only: the asker can never act as the other.
        audience=asker.terms.issuer if shape is Shape.DELEGATE else wanted.audience(asker.terms.issuer),
        # For the client itself by the rule of every token of its own: who needs a certificate needs it here as well.
        cnf=for_another if shape is Shape.DELEGATE else asker.proven.cnf_of_token(actor, hop.jkt),
        new_entries=(NewEntry(entry=hop),),
    )


def _shape(asker: Asker, subject: VerifiedToken, actor: Agent) -> Shape:
    if actor.id == subject.actor:
        return Shape.NARROW
    return Shape.ACCEPT if actor.id == asker.client.id else Shape.DELEGATE


def _wanted_target(asker: Asker, granted: Target, *, is_for_client: bool) -> Target:
    """What the answer is for: all that the grant lists; for the client itself one of it, where it names one.

    Raises: OAuthRefused (`grant_invalid`, `invalid_target`).
    """
    named = frozenset(named_resources(asker.request, asker.registry))
    if not named or named == granted.resources:
        return granted
    if is_for_client and len(named) == 1 and named <= granted.resources:
        return Target(resources=named, names_issuer=False)
    raise refuse_grant("resource is not what the grant says: leave it out")


def _require_key(asker: Asker, subject: VerifiedToken, hop: Hop, *, actor: Agent, shape: Shape) -> None:
    """The key of the hop is its actor's: registered, or proven by it on this request.

    Whoever gets a token for itself proves the key that it will be bound to: whoever took the client's credentials, and
    found the grant, has nothing. Raises: OAuthRefused (`grant_invalid`, `holder_unproven`).
    """
    match shape:
        case Shape.DELEGATE:
            if hop.jkt not in {key.thumbprint for key in actor.holder_keys}:
                raise refuse_grant("its cnf is no registered holder key of its actor")
            return
        case Shape.NARROW:
            if hop.jkt != subject.chain.leaf.jkt:
                raise refuse_grant("a self-narrowed hop keeps the key of the hop above")
            proven = asker.proven.jkt
        case _:
            proven = asker.proven.key_of_hop(actor)
    if hop.jkt != proven:
        raise invalid_request(Reason.HOLDER_UNPROVEN, "send a DPoP proof of the key that the grant names in cnf")


def _not_current_actor(description: str) -> OAuthRefused:
    return invalid_request(Reason.NOT_CURRENT_ACTOR, description)
