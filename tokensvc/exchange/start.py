"""*start*: the first agent below a root, from a user's token or from a root that an authority signed.

Pure, like `grant`. The hop itself is made in `hop`.
"""

from tokensvc.core.authority import Authority
from tokensvc.core.chain import GrantChain, Root
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import usable_scope
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.grant import refuse_delegatee
from tokensvc.exchange.hop import Asker, invalid_request, new_hop
from tokensvc.exchange.proposal import NewEntry, Proposal, Shape
from tokensvc.exchange.root_token import SignedRoot, require_within_authority
from tokensvc.exchange.target import Target, require_target_allowed
from tokensvc.exchange.user_token import UserToken

__all__ = ["propose_start", "propose_start_from_root", "require_actor_of_start"]


def require_actor_of_start(asker: Asker) -> None:
    """Step 7 for a start: it is for the client itself. Raises: OAuthRefused."""
    if asker.request.delegation_grant is not None:
        # The user, who delegates here, has no key.
        raise invalid_request(Reason.GRANT_INVALID, "delegation_grant: the first hop is not signed")
    if asker.request.requested_actor not in {None, asker.client.id}:
        raise refuse_delegatee("a start is for the client itself; delegate from the token that it gives")


def propose_start(asker: Asker, user: UserToken) -> Proposal:
    """A root from the user's token, and the client as first actor below it. Raises: OAuthRefused."""
    target = asker.target()
    require_target_allowed(  # step 10
        target, parent=user.issuer.ceiling_resources, actor=asker.client, registry=asker.registry
    )
    return _propose_start(asker, target, _root(asker, user), made_from=user.sha256, also_revocable=user.revocables())


def propose_start_from_root(asker: Asker, signed: SignedRoot) -> Proposal:
    """What the authority signed, as it is, and the agent that it names below it. Raises: OAuthRefused."""
    require_within_authority(signed, registry=asker.registry, terms=asker.terms, now=asker.now)
    root = signed.root
    target = asker.target()
    require_target_allowed(  # step 10
        target, parent=root.authority.resources, actor=asker.client, registry=asker.registry
    )
    return _propose_start(asker, target, root, made_from=signed.sha256, also_revocable=signed.revocables())


def _propose_start(
    asker: Asker, target: Target, root: Root, *, made_from: str, also_revocable: tuple[Revocable, ...]
) -> Proposal:
    above = root.authority
    hop = new_hop(
        asker,
        target,
        asker.wanted(),
        above=above,
        until=above.exp,
        parent=root.jti,
        actor=asker.client,
        index=1,
        jkt=asker.proven.key_of_hop(asker.client),
    )
    return Proposal(
        shape=Shape.START,
        chain=GrantChain(root=root, hops=(hop,)),
        audience=target.audience(asker.terms.issuer),
        cnf=asker.proven.cnf_of_token(asker.client, hop.jkt),
        new_entries=(NewEntry(entry=root, made_from=made_from), NewEntry(entry=hop)),
        also_revocable=also_revocable,
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
