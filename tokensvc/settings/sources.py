"""Whose word is taken: identity providers, authorities, and the platforms that agents run on. See `model`."""

from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import Field, StrictBool, StrictInt
from pydantic.dataclasses import dataclass

from tokensvc.core.details import NO_DETAILS
from tokensvc.core.jwks_url import UnsafeReach
from tokensvc.core.keyset import Algorithm
from tokensvc.settings.table import TABLE
from tokensvc.settings.values import (
    MAX_ROOT_LIFETIME_S,
    AuthorizationDetails,
    ClaimRules,
    Depth,
    FilePath,
    Name,
    Networks,
    ScopeMap,
    Scopes,
    SomeAlgorithms,
    SomeClaim,
    SomeNames,
    SomeResources,
    SubjectPrefix,
    TrustDomain,
)

__all__ = [
    "DEFAULT_DEPTH",
    "MAX_WORKLOAD_LIFETIME_S",
    "NO_TYP",
    "Authority",
    "Ceiling",
    "IdentityProvider",
    "KubernetesCluster",
    "SpiffeTrustDomain",
]

# Five hops with 20 scopes are measured at 6.5 KB.
DEFAULT_DEPTH: Final = 5
# SPIRE makes JWT-SVIDs for minutes to an hour.
DEFAULT_SVID_LIFETIME_S: Final = 3600
# What a projected volume asks for unless told otherwise; the kubelet makes none for less than 600 s.
DEFAULT_SERVICE_ACCOUNT_LIFETIME_S: Final = 3600
# Nothing claims these tokens, so each is a password for as long as it lives. The kubelet replaces them after a day.
MAX_WORKLOAD_LIFETIME_S: Final = 24 * 3600
NO_TYP: Final = "none"
"""Stands in `typ` for tokens that have none."""


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class Ceiling:
    """What the users of one identity provider or authority can authorise at most."""

    resources: SomeResources
    """The resources. Each is registered as `[[resource]]`; a root gets no scope but theirs."""
    authorization_details: AuthorizationDetails = NO_DETAILS
    """The tools and arguments (RFC 9396). Every token repeats them, so keep it short.

    Written: list of tables, as the request parameter of that name
    """
    max_depth: Depth = DEFAULT_DEPTH
    """Delegations in a row."""


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class IdentityProvider:
    """An issuer of user tokens that may start a delegation. Its keys are in a file, at a URL, or found by discovery."""

    iss: Name
    """The `iss` of its tokens, letter by letter."""
    enabled: StrictBool = True
    """`false` bars it, and with it every chain that its users started."""
    jwks_file: FilePath | None = None
    """Its public keys in a file: a JWK set, as it publishes it. Read at the start. One of three."""
    jwks_url: Name | None = None
    """Its public keys by https: where it publishes its JWK set. Fetched, and again when a key is not known."""
    discovery: StrictBool = False
    """Its public keys where the OpenID metadata below its `iss` says."""
    private_networks: Networks = ()
    """Networks that keys may be fetched from besides the public internet; where all are loopback, over http too.

    Written: list of networks in CIDR notation
    """
    audience: SomeNames = frozenset()
    """What names this service in the `aud` of its access tokens. Without one, access tokens are refused."""
    typ: SomeNames = frozenset({"at+jwt"})
    """The types of its access tokens (`typ` of the JWS header). RFC 9068 says `at+jwt`; some providers write `JWT`."""
    algorithms: SomeAlgorithms = frozenset({Algorithm.RS256})
    """What it signs with. Nothing else is accepted, whatever a token's header says."""
    client_claims: SomeNames = frozenset({"azp", "client_id"})
    """The claims of an access token that name the client it was issued to. Each that is there has to fit."""
    max_token_lifetime_s: Annotated[StrictInt, Field(ge=1)] | None = None
    """From `iat` to `exp` of its tokens; longer ones are refused."""
    scope_claim: SomeClaim = ("scope",)
    """Where the scopes stand: a claim, or a path of members joined by dots; as one text or as a list.

    Written: string
    """
    scope_map: ScopeMap = ()
    """Its names of scopes to ours. When there is one, what it does not name counts for nothing.

    Written: table of its names, each with a list of ours
    """
    required_claims: ClaimRules = ()
    """What its tokens must say: each claim has the value, or one of the values, given here. A tenant, say.

    Written: table of claims, each with a value or a list of values
    """
    id_tokens: StrictBool = False
    """ID tokens are taken as well, of the agent's own client there or of its fronts."""
    id_token_scopes: Scopes = frozenset()
    """What an ID token is good for besides what its `scope_claim` says."""
    actor_tokens: StrictBool = False
    """Its JWTs of type `actor+jwt` are taken as `actor_token`: their `sub` is the agent's name there."""
    subject_prefix: SubjectPrefix = ""
    """Put before the names of its users, so that they are nobody else's. No agent's id may begin with it then."""
    session_lifetime_s: Annotated[StrictInt, Field(ge=0, le=MAX_ROOT_LIFETIME_S)] = 0
    """How long a delegation lasts at most, from its first exchange; 0: it ends with the user's token."""
    ceiling: Ceiling

    @property
    def reach(self) -> UnsafeReach | None:
        """Where keys may be fetched from besides the public internet."""
        return _reach_of(self.private_networks)


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class Authority:
    """Who signs roots: JWTs of what a user lets an agent do. It may be an identity provider too, by another key."""

    iss: Name
    """The `iss` of its roots, letter by letter. May be that of an identity provider, and of no platform."""
    enabled: StrictBool = True
    """`false` bars it, and with it every chain below its roots."""
    jwks_file: FilePath | None = None
    """The public keys of its roots in a file: a JWK set. Read at the start. One of two."""
    jwks_url: Name | None = None
    """The public keys of its roots by https: where it publishes them. No key there may sign anything but roots."""
    private_networks: Networks = ()
    """Networks that keys may be fetched from besides the public internet, as for an identity provider.

    Written: list of networks in CIDR notation
    """
    subject_prefix: SubjectPrefix = ""
    """Put before the names of its users. That of the identity provider with the same `iss`, and nobody else's."""
    ceiling: Ceiling
    """What its roots may grant. One that says more is refused; nothing is cut."""

    @property
    def key_holder(self) -> str:
        """Whose keys they are, in one namespace with the `iss` of identity providers: no `iss` has a space in it."""
        return f"authority {self.iss}"

    @property
    def reach(self) -> UnsafeReach | None:
        """Where keys may be fetched from besides the public internet."""
        return _reach_of(self.private_networks)


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class SpiffeTrustDomain:
    """A SPIFFE trust domain: its JWT-SVIDs say which workload is which agent. Its bundle is in a file or at a URL."""

    trust_domain: TrustDomain
    """Its name, without `spiffe://`. An agent's `spiffe_id` begins with it."""
    bundle_file: FilePath | None = None
    """Its bundle in a file: a JWK set as the trust domain publishes it. Read at the start. One of two."""
    bundle_url: Name | None = None
    """Its bundle by https: the bundle endpoint, with a certificate of the web. Fetched, and again when a key is not
    known."""
    private_networks: Networks = ()
    """Networks that the bundle may be fetched from, as for an identity provider.

    Written: list of networks in CIDR notation
    """
    max_lifetime_s: Annotated[StrictInt, Field(ge=1, le=MAX_WORKLOAD_LIFETIME_S)] = DEFAULT_SVID_LIFETIME_S
    """Of its JWT-SVIDs. Each can be used again and again while it lives."""

    @property
    def name(self) -> str:
        """What it is called among those whose keys are known: the SPIFFE ID of the trust domain itself."""
        return f"spiffe://{self.trust_domain}"

    @property
    def reach(self) -> UnsafeReach | None:
        """Where keys may be fetched from besides the public internet."""
        return _reach_of(self.private_networks)


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class KubernetesCluster:
    """A Kubernetes cluster: its service account tokens say which workload is which agent."""

    iss: Name
    """The `iss` of its service account tokens, letter by letter."""
    jwks_file: FilePath | None = None
    """Its public keys in a file: a JWK set, as it publishes it. Read at the start. One of three."""
    jwks_url: Name | None = None
    """Its public keys by https: where it publishes its JWK set. Fetched, and again when a key is not known."""
    discovery: StrictBool = False
    """Its public keys where the OpenID metadata below its `iss` says."""
    private_networks: Networks = ()
    """Networks that keys may be fetched from, as for an identity provider.

    Written: list of networks in CIDR notation
    """
    max_lifetime_s: Annotated[StrictInt, Field(ge=1, le=MAX_WORKLOAD_LIFETIME_S)] = DEFAULT_SERVICE_ACCOUNT_LIFETIME_S
    """Of its tokens, as the projected volume asks for them. Each can be used again and again while it lives."""

    @property
    def reach(self) -> UnsafeReach | None:
        """Where keys may be fetched from besides the public internet."""
        return _reach_of(self.private_networks)


def _reach_of(private_networks: Networks) -> UnsafeReach | None:
    if not private_networks:
        return None
    loopback = all(ip_network(network).is_loopback for network in private_networks)
    return UnsafeReach(networks=private_networks, plain_http=loopback)
