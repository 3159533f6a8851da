"""One new hop: the authority asked for, within everything that bounds it (steps 11 to 13).

Pure: what is asked, the entry above and the registry in, a `Hop` out, or a refusal that names what is at fault.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tokensvc.core.authority import Authority
from tokensvc.core.chain import Hop
from tokensvc.core.details import NO_DETAILS
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.authority import (
    Wanted,
    parse_wanted,
    require_attenuated,
    require_meaning,
    require_usable,
    require_within_ceiling,
)
from tokensvc.exchange.holder import NOTHING_PROVEN, Proven
from tokensvc.exchange.parties import Agent, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ExchangeRequest
from tokensvc.exchange.target import Target, resolve_target

__all__ = ["Asker", "invalid_request", "new_hop", "require_signed_hop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A request with everything that judging it needs. `new_id` makes a fresh `jti`; `now` in epoch seconds.

    `proven` are the keys that its sender proved to hold.
    """

    request: ExchangeRequest
    client: Agent
    registry: Registry
    terms: Terms
    now: int
    new_id: Callable[[], str]
    proven: Proven = NOTHING_PROVEN

    def target(self) -> Target:
        """What the token is asked for. Raises: OAuthRefused (`invalid_target`)."""
        return resolve_target(self.request, self.client, registry=self.registry, terms=self.terms)

    def wanted(self) -> Wanted:
        """Scope and details as asked for. Raises: OAuthRefused."""
        return parse_wanted(self.request, self.terms.order.grammar)


def new_hop(
    asker: Asker,
    target: Target,
    wanted: Wanted,
    *,
    above: Authority,
    until: int,
    parent: str,
    actor: Agent,
    index: int,
    jkt: str | None,
) -> Hop:
    """Steps 11 to 13 for the hop at `index`, of `actor` and bound to `jkt`, below an entry with authority `above`."""
    authority = Authority(
        scope=wanted.scope,
        # Left out, none are asked for.
        details=wanted.details or NO_DETAILS,
        resources=target.resources,
        # The parent's iat may lie ahead of this clock by the leeway between two servers.
        iat=max(asker.now, above.iat),
        exp=_latest_exp(asker, until, actor),
        max_depth=_most_depth(above, actor),
        bound=jkt is not None,
    )
    _require_lawful(asker, authority, above=above, actor=actor, index=index)
    authority = replace(
        authority,
        exp=_asked_exp(asker, latest=authority.exp),
        max_depth=_asked_max_depth(asker, most=authority.max_depth),
    )
    return Hop(actor=actor.id, jti=asker.new_id(), parent=parent, jkt=jkt, authority=authority)


def require_signed_hop(asker: Asker, authority: Authority, *, above: Authority, actor: Agent, index: int) -> None:
    """Steps 11 to 13 for a hop that its delegator signed: every bound of `new_hop`, and nothing is cut to fit one.

    Raises: OAuthRefused, with the reason that an unsigned request for as much would get.
    """
    if authority.exp <= max(asker.now, authority.iat):
        raise invalid_request(Reason.EXPIRED, "what was delegated has ended")
    if authority.iat > asker.now + asker.terms.leeway_s:
        raise invalid_request(Reason.NOT_YET_VALID, "delegation_grant: iat lies ahead of the clock here")
    if authority.iat < above.iat:
        raise invalid_request(Reason.NOT_NARROWER, "delegation_grant: iat lies before the iat of the hop above")
    lifetime_s = authority.exp - authority.iat
    if authority.exp > above.exp or (actor.max_lifetime_s is not None and lifetime_s > actor.max_lifetime_s):
        problem = "delegation_grant: exp is later than what was delegated, or than an agent's hops may last"
        raise invalid_request(Reason.LIFETIME_EXCEEDED, problem)
    most = _most_depth(above, actor)
    if authority.max_depth > most:
        raise invalid_request(Reason.DEPTH_EXCEEDED, f"delegation_grant: max_depth may be at most {most} here")
    require_usable(authority.scope, asker.terms.order.grammar)
    _require_lawful(asker, authority, above=above, actor=actor, index=index)


def _require_lawful(asker: Asker, authority: Authority, *, above: Authority, actor: Agent, index: int) -> None:
    """Step 11, the same for every hop, whoever made it."""
    registry, terms = asker.registry, asker.terms
    if above.bound and not authority.bound:
        # A bearer credential below a bound one would be usable by whoever finds it.
        problem = f"what was delegated is bound to a key, and {actor.id} has none: register one in holder_jwks_file"
        raise invalid_request(Reason.NOT_NARROWER, problem)
    require_attenuated(above, authority, index=index, registry=registry, terms=terms)
    require_within_ceiling(authority.scope, actor, terms.order.grammar)
    require_meaning(authority.scope, authority.resources, registry=registry, grammar=terms.order.grammar)


def _most_depth(above: Authority, actor: Agent) -> int:
    return above.max_depth if actor.max_depth is None else min(above.max_depth, actor.max_depth)


def _latest_exp(asker: Asker, until: int, actor: Agent) -> int:
    """The least of the bounds on the end of a hop."""
    latest = until if actor.max_lifetime_s is None else min(until, asker.now + actor.max_lifetime_s)
    if latest <= asker.now:
        raise invalid_request(Reason.EXPIRED, "what was delegated has ended")
    return latest


def _asked_exp(asker: Asker, *, latest: int) -> int:
    """The end of a hop: as asked, when that is within every bound, else the least of the bounds."""
    asked = asker.request.requested_lifetime_s
    if asked is None:
        return latest
    if asker.now + asked > latest:
        raise invalid_request(
            Reason.LIFETIME_EXCEEDED, f"requested_lifetime_s may be at most {latest - asker.now} here"
        )
    return asker.now + asked


def _asked_max_depth(asker: Asker, *, most: int) -> int:
    """How deep the chain may go below a hop: as asked, when that is within every bound, else the least of them."""
    asked = asker.request.requested_max_depth
    if asked is None:
        return most
    if asked > most:
        raise invalid_request(Reason.DEPTH_EXCEEDED, f"requested_max_depth may be at most {most} here")
    return asked


def invalid_request(reason: Reason, description: str) -> OAuthRefused:
    """The refusal for everything that has no error code of its own (RFC 8693 s2.2.2)."""
    return OAuthRefused(OAuthError.INVALID_REQUEST, reason, description)
