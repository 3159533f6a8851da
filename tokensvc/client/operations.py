"""The operations of agents and leases over what their code passes, without I/O: what both shells drive."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tokensvc.client.asked import (
    Asked,
    Names,
    Tools,
    parse_asked_details,
    parse_asked_resources,
    parse_asked_scope,
)
from tokensvc.client.errors import AnswerMalformed
from tokensvc.client.held import read_grant, read_held_token
from tokensvc.client.leased import Leased
from tokensvc.client.service import TokenService
from tokensvc.client.wire import Steps
from tokensvc.core.details import NO_DETAILS
from tokensvc.errors import Malformed

__all__ = ["Entries", "asked_of", "delegation", "narrowing", "pick_up", "start"]

Entries = Iterable[Mapping[str, object]]
"""Authorization details as RFC 9396 has them."""


def asked_of(
    *,
    scope: Names,
    resource: Names | None,
    tools: Tools | None = None,
    authorization_details: Entries | None = None,
    lifetime_s: int | None = None,
) -> Asked:
    """What an agent's code asks for. Raises: Malformed."""
    return Asked(
        scope=parse_asked_scope(scope),
        resources=parse_asked_resources(resource),
        details=parse_asked_details(tools, authorization_details),
        lifetime_s=lifetime_s,
    )


def start(
    service: TokenService, token: str, asked: Asked, *, may_delegate: bool, subject_token_type: str
) -> Steps[Leased]:
    """A lease from a user's token, or from one that was presented to this server."""
    asked = asked if may_delegate else replace(asked, max_depth=_next_index(token))
    issued = yield from service.exchange(token, asked, subject_token_type=subject_token_type)
    return Leased.of(service, issued)


def _next_index(token: str) -> int:
    """The index of the hop below `token`: 1 below a user's, which has no chain."""
    try:
        return read_held_token(token).index + 1
    except Malformed:
        return 1


def pick_up(
    service: TokenService, token: str, *, scope: Names | None, resource: Names | None, grant: str | None
) -> Steps[Leased]:
    """A lease from what another agent handed over: a token made for this agent, or a token of theirs and a grant."""
    if grant is not None:
        return (yield from _accept(service, token, grant, resource=resource))
    handed = read_held_token(token)
    authority = handed.leaf.authority
    resources = parse_asked_resources(resource)
    if not resources:
        # For several the exchange-only token is renewed first: that proves that it is this agent's to use.
        resources = authority.resources if len(authority.resources) == 1 else frozenset({handed.claims.iss})
    asked = Asked(
        scope=authority.scope if scope is None else parse_asked_scope(scope),
        resources=resources,
        details=authority.details if authority.details != NO_DETAILS else None,
        actor=service.client_id,
    )
    issued = yield from service.exchange(token, asked)
    return Leased.of(service, issued, picked_up=handed if handed.is_exchange_only else None)


def _accept(service: TokenService, token: str, grant: str, *, resource: Names | None) -> Steps[Leased]:
    granted = read_grant(grant).authority.resources
    named = parse_asked_resources(resource) or (granted if len(granted) == 1 else frozenset())
    asked = Asked(scope=None, resources=named, actor=service.client_id, grant=grant)
    issued = yield from service.exchange(token, asked)
    if issued.held.leaf != read_grant(grant):
        raise AnswerMalformed("the token is not of the grant that was presented")
    return Leased.of(service, issued)


def delegation(leased: Leased, asked: Asked) -> Asked:
    """`asked`, for the lease's only resource where none is named. Raises: ValueError for one that has several."""
    return asked if asked.resources else replace(asked, resources=frozenset({leased.resource_of(None)}))


def narrowing(leased: Leased, asked: Asked) -> Steps[Leased]:
    """A lease for less, of the same agent; details that are not named are dropped."""
    service, held = leased.service, leased.subject
    asked = delegation(leased, asked)
    if asked.details is None and leased.hop.authority.details:
        asked = replace(asked, details=NO_DETAILS)
    if service.sign_grants:
        issued = yield from service.delegate(held, asked, to=service.client_id, may_delegate=True, holder_jkt=None)
    else:
        issued = yield from service.exchange(held.text, replace(asked, actor=service.client_id))
    return Leased.of(service, issued)
