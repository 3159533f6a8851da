"""Everybody who is registered, found by name, and what of a chain still holds by what is registered now."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.core.scope import ScopeSet
from tokensvc.exchange.parties import Agent, Authority, Operator, Party, Platform, Resource, UpstreamIssuer
from tokensvc.settings import WorkloadName
from tokensvc.verify import Evidence, VerifiedToken

__all__ = ["Registry"]


class Registry:
    """Everybody who is registered, by the names they are known under."""

    __slots__ = (
        "_by_client_id",
        "_by_name",
        "_by_workload",
        "agents",
        "authorities",
        "issuers",
        "platforms",
        "resources",
    )

    def __init__(
        self,
        *,
        agents: Iterable[Agent],
        resources: Iterable[Resource],
        issuers: Iterable[UpstreamIssuer],
        operators: Iterable[Operator] = (),
        platforms: Iterable[Platform] = (),
        authorities: Iterable[Authority] = (),
    ) -> None:
        self.agents: Final = {agent.id: agent for agent in agents}
        self.resources: Final = {resource.id: resource for resource in resources}
        self.issuers: Final = {issuer.iss: issuer for issuer in issuers}
        self.platforms: Final = {platform.name: platform for platform in platforms}
        self.authorities: Final = {authority.iss: authority for authority in authorities}
        everybody: list[Party] = [*self.resources.values(), *operators, *self.agents.values()]
        self._by_client_id: Final = {party.client_id: party for party in everybody}
        self._by_workload: Final = {agent.workload: agent for agent in self.agents.values() if agent.workload}
        self._by_name: Final = {name: resource for resource in self.resources.values() for name in resource.names}

    def party(self, client_id: str) -> Party | None:
        """The agent, resource or operator of that `client_id`: one namespace, compared byte for byte."""
        return self._by_client_id.get(client_id)

    def resource_named(self, name: str) -> Resource | None:
        """The resource that the `audience` parameter may call by that name (RFC 8693 s2.1)."""
        return self._by_name.get(name)

    def enabled_agent(self, agent_id: str) -> Agent | None:
        """The agent of that id, unless it is disabled."""
        agent = self.agents.get(agent_id)
        return agent if agent is not None and agent.enabled else None

    def agent_of_workload(self, platform: Platform, sub: object) -> Agent | None:
        """The agent that `platform` calls `sub`, byte for byte, and that proves itself so; None if it is disabled."""
        agent = self._by_workload.get(WorkloadName(platform=platform.name, sub=sub)) if isinstance(sub, str) else None
        return agent if agent is not None and agent.enabled and agent.auth is platform.auth else None

    def may_delegate(self, delegator: str, delegatee: str) -> bool:
        """True when both are enabled and the delegator's list names the delegatee."""
        agent = self.enabled_agent(delegator)
        return agent is not None and self.enabled_agent(delegatee) is not None and delegatee in agent.may_delegate_to

    def still_allows(self, actors: Sequence[str]) -> bool:
        """True when every agent of a chain is enabled and each delegation in it allowed now. `actors` as in `act`."""
        delegations = [(delegator, actor) for actor, delegator in pairwise(actors) if actor != delegator]
        return all(self.enabled_agent(actor) is not None for actor in actors) and all(
            self.may_delegate(delegator, delegatee) for delegator, delegatee in delegations
        )

    def is_user(self, sub: str) -> bool:
        """True when an identity provider may vouch for `sub`, and no client is called so.

        RFC 9068 s5: a user who is called like an agent would be taken for it.
        """
        return self.party(sub) is None and self.provider_of(sub) is not None

    def knows_user_of(self, token: VerifiedToken) -> bool:
        """True when somebody registered vouches for the user of `token`, and no client is called so."""
        return self.party(token.sub) is None and self.source_of(token) is not None

    def source_of(self, token: VerifiedToken) -> UpstreamIssuer | Authority | None:
        """Who vouches for the user of `token`: the authority that signed its root, or the user's identity provider."""
        root = token.chain.root
        return self.provider_of(token.sub) if root.claim is None else self.authorities.get(root.iss)

    def provider_of(self, sub: str) -> UpstreamIssuer | None:
        """The identity provider whose `subject_prefix` the name of a user has. No prefix is one of another."""
        return next((issuer for issuer in self.issuers.values() if sub.startswith(issuer.subject_prefix)), None)

    def revocables_of(self, token: VerifiedToken) -> tuple[Revocable, ...]:
        """Everything whose revocation kills `token`: what it says itself, and who vouches for its user."""
        source = self.source_of(token)
        if source is None:
            return token.revocables()
        root_iat = token.chain.root.authority.iat
        return (*token.revocables(), Revocable(kind=RevocationKind.ISSUER, id=source.iss, iat=root_iat))

    def scopes_at(self, resources: Iterable[str]) -> ScopeSet:
        """The scopes that have meaning at one of `resources` at least."""
        known = (self.resources.get(resource) for resource in resources)
        return frozenset(scope for resource in known if resource is not None for scope in resource.scopes)

    def enforce_details(self, resources: Iterable[str]) -> bool:
        """True when each of `resources` is registered as looking at authorization details."""
        known = [self.resources.get(resource) for resource in resources]
        return all(resource is not None and resource.enforces_details for resource in known)

    def wants_signed_hop(self, delegator: str, resources: Iterable[str]) -> bool:
        """True when the agent `delegator` has to sign its hops, or a hop that lists one of `resources` has to be."""
        wanted = [self.agents[delegator].evidence, *(self.resources[resource].evidence for resource in resources)]
        return Evidence.DELEGATOR in wanted

    def detail_types(self) -> frozenset[str]:
        """The types of authorization details that some user may hold (RFC 9396 s10)."""
        sources: list[UpstreamIssuer | Authority] = [*self.issuers.values(), *self.authorities.values()]
        return frozenset(detail.type for source in sources for detail in source.ceiling_details)
