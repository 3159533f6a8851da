"""Who is registered: agents, resources, upstream issuers; and the service's own terms. Values, made once at start."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tokensvc.core.authority import Order
from tokensvc.core.details import Details
from tokensvc.core.keyset import KeySet
from tokensvc.core.scope import ScopeSet
from tokensvc.settings import AuthMethod
from tokensvc.verify import Evidence, Expectation

__all__ = ["Agent", "AuthMethod", "Party", "Registry", "Resource", "Terms", "UpstreamIssuer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A client that may use the token endpoint: what it may hold, and to whom it may delegate.

    `serves` are the resources that it is the server of: what was presented there it may exchange for itself, to go on
    at its `downstream_resources`.
    `secret_sha256` are lower-case hex digests, more than one while a secret is replaced. `max_lifetime_s` bounds the
    hops it is given, `max_depth` is the highest hop that may stand below one of them; None sets no bound of its own.
    """

    id: str
    auth: AuthMethod
    secret_sha256: tuple[str, ...] = field(repr=False)
    scopes: ScopeSet
    resources: frozenset[str]
    may_delegate_to: frozenset[str]
    fronts: frozenset[str]
    serves: frozenset[str]
    downstream_resources: frozenset[str]
    default_resource: str | None
    max_lifetime_s: int | None
    max_depth: int | None
    enabled: bool

    @property
    def client_id(self) -> str:
        """The agent's id, as `client_id` and in `act`."""
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A service that receives tokens: its identifier (RFC 8707), its scopes, and its credentials for introspection.

    `enforces_details`: it looks at the authorization details of every call, so that a tool that is gone is really gone.
    """

    id: str
    client_id: str
    names: frozenset[str]
    scopes: ScopeSet
    auth: AuthMethod
    secret_sha256: tuple[str, ...] = field(repr=False)
    enforces_details: bool


Party = Agent | Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamIssuer:
    """An identity provider whose users may delegate, the tokens taken from it, and the ceiling of what they start."""

    iss: str
    keys: KeySet
    audience: frozenset[str]
    typ: frozenset[str]
    algorithms: frozenset[str]
    subject_prefix: str
    session_lifetime_s: int
    ceiling_resources: frozenset[str]
    ceiling_details: Details
    ceiling_max_depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The service's own identifier, limits, and the order by which it compares authority.

    `configuration` names the version of the settings in records.
    """

    issuer: str
    order: Order
    max_depth: int
    token_lifetime_s: int
    root_lifetime_s: int
    leeway_s: int
    max_issued_bytes: int
    configuration: str

    def expect(self, audiences: frozenset[str], *, max_depth: int | None = None) -> Expectation:
        """What the service expects of its own tokens. `max_depth` replaces its own, where old chains may be read."""
        return Expectation(
            issuers=frozenset({self.issuer}),
            audiences=audiences,
            root_floor=Evidence.ISSUER,
            hop_floor=Evidence.ISSUER,
            order=self.order,
            leeway_s=self.leeway_s,
            max_depth=self.max_depth if max_depth is None else max_depth,
        )


class Registry:
    """Everybody who is registered, by the names they are known under."""

    __slots__ = ("_by_client_id", "_by_name", "_subject_prefixes", "agents", "issuers", "resources")

    def __init__(
        self, *, agents: Iterable[Agent], resources: Iterable[Resource], issuers: Iterable[UpstreamIssuer]
    ) -> None:
        self.agents: Final = {agent.id: agent for agent in agents}
        self.resources: Final = {resource.id: resource for resource in resources}
        self.issuers: Final = {issuer.iss: issuer for issuer in issuers}
        servers: dict[str, Party] = {resource.client_id: resource for resource in self.resources.values()}
        self._by_client_id: Final[dict[str, Party]] = {**servers, **self.agents}
        self._by_name: Final = {name: resource for resource in self.resources.values() for name in resource.names}
        self._subject_prefixes: Final = {issuer.subject_prefix for issuer in self.issuers.values()}

    def party(self, client_id: str) -> Party | None:
        """The agent or resource of that `client_id`: one namespace, compared byte for byte."""
        return self._by_client_id.get(client_id)

    def resource_named(self, name: str) -> Resource | None:
        """The resource that the `audience` parameter may call by that name (RFC 8693 s2.1)."""
        return self._by_name.get(name)

    def enabled_agent(self, agent_id: str) -> Agent | None:
        """The agent of that id, unless it is disabled."""
        agent = self.agents.get(agent_id)
        return agent if agent is not None and agent.enabled else None

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
        """True when a registered issuer may vouch for `sub`, and no client is called so.

        RFC 9068 s5: a user who is called like an agent would be taken for it.
        """
        return self.party(sub) is None and any(map(sub.startswith, self._subject_prefixes))

    def scopes_at(self, resources: Iterable[str]) -> ScopeSet:
        """The scopes that have meaning at one of `resources` at least."""
        known = (self.resources.get(resource) for resource in resources)
        return frozenset(scope for resource in known if resource is not None for scope in resource.scopes)

    def enforce_details(self, resources: Iterable[str]) -> bool:
        """True when each of `resources` is registered as looking at authorization details."""
        known = [self.resources.get(resource) for resource in resources]
        return all(resource is not None and resource.enforces_details for resource in known)

    def detail_types(self) -> frozenset[str]:
        """The types of authorization details that some user may hold (RFC 9396 s10)."""
        ceilings = (issuer.ceiling_details for issuer in self.issuers.values())
        return frozenset(detail.type for ceiling in ceilings for detail in ceiling)
