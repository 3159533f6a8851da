"""Who takes part: agents, resources, upstream issuers; and the service's own terms. Values, made once at start."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from tokensvc.core.authority import Order
from tokensvc.core.certificate_subject import SubjectRule
from tokensvc.core.details import Details
from tokensvc.core.entry import Root
from tokensvc.core.keyset import PublicKey
from tokensvc.core.scope import ScopeSet
from tokensvc.settings import AuthMethod, WorkloadName
from tokensvc.verify import Evidence, Expectation, HolderFloor

__all__ = [
    "REMEMBER_S",
    "Agent",
    "AuthMethod",
    "Authority",
    "AuthorityKeys",
    "IssuerKeys",
    "Operator",
    "Party",
    "Platform",
    "Resource",
    "Terms",
    "UpstreamIssuer",
    "WorkloadName",
]


REMEMBER_S: Final = 60
"""How long past its end what is used once (an entry's id, a proof, an assertion) is remembered.

Clocks a minute apart still agree then that it was used.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A client that may use the token endpoint: what it may hold, and to whom it may delegate.

    `serves` are the resources that it is the server of: what was presented there it may exchange for itself, to go on
    at its `downstream_resources`.
    `keys`, those that may be used at the moment, sign its assertions, which may be for the token endpoint's URL where
    `accept_token_endpoint_audience`.
    `secret_sha256` are lower-case hex digests, more than one while a secret is replaced. `max_lifetime_s` bounds the
    hops it is given, `max_depth` is the highest hop that may stand below one of them; None sets no bound of its own.
    `upstream_client_ids` are its client ids at upstream issuers, by `iss`, where they are not its `id`. `workload` is
    what it is called on the platform that it runs on, where a token of that platform proves it.
    `certificate_thumbprints` are those of its own certificates (`self_signed_tls_client_auth`), `certificate_subject`
    is what one from an authority bears (`tls_client_auth`).
    `holder_keys`, those that may be used at the moment, are what its tokens are bound to, the first where another agent
    delegates to it; `certificate_bound`: they are bound to its certificate (RFC 8705 s3.4). `evidence` is whose word a
    hop needs that this agent makes.
    """

    id: str
    auth: AuthMethod
    secret_sha256: tuple[str, ...] = field(repr=False)
    keys: Iterable[PublicKey]
    accept_token_endpoint_audience: bool
    max_assertion_lifetime_s: int
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
    upstream_client_ids: Mapping[str, str] = field(default_factory=dict, hash=False)
    workload: WorkloadName | None = None
    certificate_thumbprints: frozenset[str] = frozenset()
    certificate_subject: SubjectRule | None = None
    holder_keys: Iterable[PublicKey] = ()
    certificate_bound: bool = False
    evidence: Evidence = Evidence.ISSUER

    @property
    def holder_jkt(self) -> str | None:
        """The thumbprint of the key that a delegation to this agent is bound to; None where it has none."""
        return next((key.thumbprint for key in self.holder_keys), None)

    @property
    def client_id(self) -> str:
        """The agent's id, as `client_id` and in `act`."""
        return self.id

    def client_ids_at(self, iss: str) -> frozenset[str]:
        """What the agent and its fronts are called at the upstream issuer `iss`."""
        return self.fronts | {self.upstream_client_ids.get(iss, self.id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A service that receives tokens: its identifier (RFC 8707), its scopes, and its credentials for introspection.

    `enforces_details`: it looks at the authorization details of every call, so that a tool that is gone is really gone.
    `evidence` is whose word a hop needs, from the second on, that lists this resource.
    """

    id: str
    client_id: str
    names: frozenset[str]
    scopes: ScopeSet
    auth: AuthMethod
    secret_sha256: tuple[str, ...] = field(repr=False)
    enforces_details: bool
    evidence: Evidence = Evidence.ISSUER


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody who runs the service, and may revoke anything."""

    client_id: str
    auth: AuthMethod
    secret_sha256: tuple[str, ...] = field(repr=False)


Party = Agent | Resource | Operator


class IssuerKeys(Protocol):
    """The public keys of one upstream issuer."""

    async def find(self, kid: str) -> PublicKey | None:
        """The key of that `kid`, or None; a fetch may have to be waited for.

        Raises: Unavailable when it cannot be told.
        """
        ...


class AuthorityKeys(IssuerKeys, Protocol):
    """The public keys of an authority: needed again for every token below its roots."""

    def known(self, kid: str) -> PublicKey | None:
        """As `find`, of what is at hand, without waiting. Raises: Unavailable when nothing is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Who signs roots: its keys, which sign nothing else, and the ceiling of what it may grant."""

    iss: str
    keys: AuthorityKeys
    subject_prefix: str
    ceiling_resources: frozenset[str]
    ceiling_details: Details
    ceiling_max_depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamIssuer:
    """An identity provider whose users may delegate, the tokens taken from it, and the ceiling of what they start.

    Access tokens have an `aud` of `audience` and a type of `typ`, in lower case without `application/`, "" for none;
    their client stands in `client_claims`. `id_tokens`: ID tokens are taken too, and carry `id_token_scope`.
    `actor_tokens`: it says who an agent is.
    `scope_claim` and `required_claims` name claims by the members that lead to them. `scope_map`: their names to our
    scopes; unless it is empty, no other name counts. Seconds; `max_token_lifetime_s` None sets no bound.
    """

    iss: str
    keys: IssuerKeys
    audience: frozenset[str]
    typ: frozenset[str]
    algorithms: frozenset[str]
    client_claims: frozenset[str]
    max_token_lifetime_s: int | None
    scope_claim: tuple[str, ...]
    scope_map: Mapping[str, ScopeSet]
    required_claims: tuple[tuple[tuple[str, ...], tuple[str | int | bool, ...]], ...]
    id_tokens: bool
    actor_tokens: bool
    id_token_scope: ScopeSet
    subject_prefix: str
    session_lifetime_s: int
    ceiling_resources: frozenset[str]
    ceiling_details: Details
    ceiling_max_depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What agents run on, and what says which of them is running: a SPIFFE trust domain, a Kubernetes cluster.

    `name` is `spiffe://DOMAIN`, or the `iss` of the cluster; `auth` tells which. Its tokens live for `max_lifetime_s`
    seconds at most.
    """

    name: str
    auth: AuthMethod
    keys: IssuerKeys
    max_lifetime_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The service's own identifier, limits, and the order by which it compares authority.

    `authorities` are those whose roots count, each with the prefix of its users.
    `configuration` names the version of the settings in records. `dpop_nonces`: proofs carry a nonce of ours.
    `evidence` is whose word every hop needs from the second on: ours, or its delegator's.
    """

    issuer: str
    order: Order
    max_depth: int
    token_lifetime_s: int
    root_lifetime_s: int
    leeway_s: int
    max_issued_bytes: int
    configuration: str
    dpop_nonces: bool = False
    authorities: frozenset[tuple[str, str]] = frozenset()
    evidence: Evidence = Evidence.ISSUER

    @property
    def token_endpoint(self) -> str:
        """The URL of the token endpoint: every endpoint stands below the issuer."""
        return self.issuer + "/token"

    def expect(
        self, audiences: frozenset[str], *, max_depth: int | None = None, order: Order | None = None
    ) -> Expectation:
        """What the service expects of its own tokens. `max_depth` and `order` replace its own, to read old chains."""
        return Expectation(
            issuers=frozenset({self.issuer}),
            audiences=audiences,
            root_floor=Evidence.ISSUER,
            hop_floor=Evidence.ISSUER,
            holder=HolderFloor.BEARER,
            authorities={(self.issuer, iss): prefix for iss, prefix in self.authorities},
            order=self.order if order is None else order,
            leeway_s=self.leeway_s,
            max_depth=self.max_depth if max_depth is None else max_depth,
        )

    def user_of(self, root: Root) -> str:
        """The user below `root` by the name that the user has here: an authority has its own."""
        return root.sub if root.claim is None else dict(self.authorities)[root.iss] + root.sub
