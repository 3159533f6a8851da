"""The settings as frozen values. Each value is checked alone here, and against the others in `conflicts`.

The names of the fields are the keys of `tokensvc.toml`; only the lists of tables are singular there (`[[agent]]`).
The text below a field is its row in docs/configuration.md (`make docs`), and the first paragraph of a class is what
stands above its rows. Where the type does not tell how a key is written, a last paragraph `Written: ...` does.
"""

import hashlib
from dataclasses import fields, is_dataclass
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field, StrictBool, StrictInt
from pydantic.dataclasses import dataclass

from tokensvc.core.authority import Attenuation
from tokensvc.core.certificate_subject import SubjectKind
from tokensvc.core.details import NO_DETAILS, OtherDetail, ToolDetail, render_details
from tokensvc.core.jsontext import JsonValue, render_json
from tokensvc.core.jwks_url import UnsafeReach
from tokensvc.core.keyset import Algorithm
from tokensvc.core.scope import ScopeGrammar
from tokensvc.settings.certificate_values import DnsName, HeaderName, SanEmail, SanIp, SanUri, SubjectDn
from tokensvc.settings.redis_url import REDIS_SCHEMES, RedisUrl, parse_redis_url
from tokensvc.settings.values import (
    MAX_ITEMS,
    MAX_ROOT_LIFETIME_S,
    SQLITE,
    AuthorizationDetails,
    ClaimRules,
    ClientIds,
    Depth,
    FilePath,
    IssuerUrl,
    Lifetime,
    Name,
    Names,
    Networks,
    ResourceNames,
    Resources,
    ResourceUri,
    ScopeMap,
    Scopes,
    SecretHashes,
    ServiceAccount,
    SomeAlgorithms,
    SomeClaim,
    SomeNames,
    SomeResources,
    SomeScopes,
    SpiffeIdText,
    StoreUrl,
    SubjectPrefix,
    TrustDomain,
    entries,
)

__all__ = [
    "NO_TYP",
    "Agent",
    "AuthMethod",
    "Authority",
    "Ceiling",
    "HopEvidence",
    "IdentityProvider",
    "KeySettings",
    "KubernetesCluster",
    "Limits",
    "Operator",
    "Resource",
    "ServerSettings",
    "Settings",
    "SpiffeTrustDomain",
    "StoreSettings",
]

# Five hops with 20 scopes are measured at 6.5 KB.
DEFAULT_DEPTH: Final = 5
# An access token lives about as long as one call; what lasts longer renews it.
DEFAULT_TOKEN_LIFETIME_S: Final = 300
# An offline verifier learns of a revocation late at worst by this.
MAX_TOKEN_LIFETIME_S: Final = 900
# Machines with NTP agree within a second; a minute of difference is a broken clock.
DEFAULT_LEEWAY_S: Final = 30
MAX_LEEWAY_S: Final = 60
# nginx takes header lines of 8 KiB, and `Authorization: Bearer ` stands on the same one.
DEFAULT_TOKEN_BYTES: Final = 8000
# What our own verifier accepts; a smaller token than the lower bound has no room for a chain.
MAX_TOKEN_BYTES: Final = 16384
MIN_TOKEN_BYTES: Final = 1024
# At about a thousand exchanges a second the last of these waits an eighth of a second.
DEFAULT_MAX_REQUESTS: Final = 128
# As many as there may be connections: no bound of its own.
MAX_REQUESTS: Final = 1000
# An assertion is made for one request (RFC 7523 s3 leaves the length to us). Authlib makes them for an hour.
DEFAULT_ASSERTION_LIFETIME_S: Final = 300
MAX_ASSERTION_LIFETIME_S: Final = 3600
# SPIRE makes JWT-SVIDs for minutes to an hour.
DEFAULT_SVID_LIFETIME_S: Final = 3600
# What a projected volume asks for unless told otherwise; the kubelet makes none for less than 600 s.
DEFAULT_SERVICE_ACCOUNT_LIFETIME_S: Final = 3600
# Nothing claims these tokens, so each is a password for as long as it lives. The kubelet replaces them after a day.
MAX_WORKLOAD_LIFETIME_S: Final = 24 * 3600
# Each is fetched from in the background, and a token is held against one of them only.
MAX_PROVIDERS: Final = 100
NO_TYP: Final = "none"
"""Stands in `typ` for tokens that have none."""

_CONFIG: Final = ConfigDict(extra="forbid", hide_input_in_errors=True, validate_by_name=True)


class AuthMethod(StrEnum):
    """How a client proves itself (RFC 6749 s2.3.1; names of RFC 7591 s2 and RFC 8705 s2).

    The last two are by a token of the platform that the agent runs on: the name of the draft
    draft-ietf-oauth-spiffe-client-auth, and one of our own.
    """

    CLIENT_SECRET_BASIC = "client_secret_basic"
    CLIENT_SECRET_POST = "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt"
    TLS_CLIENT_AUTH = "tls_client_auth"
    SELF_SIGNED_TLS_CLIENT_AUTH = "self_signed_tls_client_auth"
    SPIFFE_JWT = "spiffe_jwt"
    KUBERNETES_JWT = "kubernetes_jwt"

    @property
    def by_certificate(self) -> bool:
        """True for those that prove a client by the certificate of its connection."""
        return self in {AuthMethod.TLS_CLIENT_AUTH, AuthMethod.SELF_SIGNED_TLS_CLIENT_AUTH}


class HopEvidence(StrEnum):
    """Whose word a hop needs, from the second one on."""

    ISSUER = "issuer"
    DELEGATOR = "delegator"


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class StoreSettings:
    """Where state is kept.

    `shown` is the URL without a password, for every eye; `url` itself goes to nobody.
    """

    url: StoreUrl = Field(default="sqlite:///tokensvc.db", repr=False)
    """`sqlite:///FILE`, `sqlite:////ABSOLUTE/FILE`, `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, `rediss` for the
    same with TLS, or `memory:`, which forgets when the process ends."""
    password_file: FilePath | None = None
    """The password of a Redis server whose URL has none."""

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, or None for another kind of store."""
        return Path(self.url.removeprefix(SQLITE)) if self.url.startswith(SQLITE) else None

    @property
    def redis_url(self) -> RedisUrl | None:
        """The Redis server, or None for another kind of store."""
        return parse_redis_url(self.url) if self.url.startswith(REDIS_SCHEMES) else None

    @property
    def shown(self) -> str:
        """The URL without a password."""
        redis_url = self.redis_url
        return self.url if redis_url is None else str(redis_url)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ServerSettings:
    """Where the service listens."""

    host: Name = "127.0.0.1"
    """The address to listen on. With an http issuer only a loopback address: nothing encrypts then."""
    port: Annotated[StrictInt, Field(ge=0, le=65535)] = 8700
    """The port to listen on; with 0 the system chooses one."""
    max_requests: Annotated[StrictInt, Field(ge=1, le=MAX_REQUESTS)] = DEFAULT_MAX_REQUESTS
    """Requests that a process works on at once; what comes on top is answered 503 at once. GET is not counted,
    but where a client proves itself."""
    dpop_nonces: StrictBool = False
    """DPoP proofs have to carry a nonce that the service gave within the last minutes (RFC 9449 s8), so that nobody can
    make them beforehand. Costs a client that comes for the first time one more request."""
    tls_certificate_file: FilePath | None = None
    """The certificate of the service and those above it, as PEM: it then speaks https itself. Without it a proxy in
    front does."""
    tls_key_file: FilePath | None = None
    """The private key of that certificate: PEM without a password, which not everybody may read."""
    client_ca_file: FilePath | None = None
    """The authorities, as PEM, that may say who a client is (`tls_client_auth`). Each is trusted by itself, so those
    between a root and the clients stand here as well."""
    trusted_proxies: Networks = ()
    """Where the proxy that ends TLS connects from. Nobody else is believed about a client's certificate.

    Written: list of networks in CIDR notation
    """
    client_certificate_header: HeaderName | None = None
    """The header in which that proxy hands over the certificate of the client: as `Client-Cert` of RFC 9440, or as
    URL-encoded PEM (`$ssl_client_escaped_cert` of nginx)."""

    @property
    def speaks_tls(self) -> bool:
        """True where no proxy needs to encrypt."""
        return self.tls_certificate_file is not None

    @property
    def sees_certificates(self) -> bool:
        """True where a request may come with a client's certificate, by our own TLS or by a proxy."""
        return self.speaks_tls or self.client_certificate_header is not None


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class KeySettings:
    """The service's signing keys."""

    dir: FilePath = Path("keys")
    """The folder of the private keys, one file each. No other user may write to it, nor read a file in it."""
    algorithm: Algorithm = Algorithm.ES256
    """Of the key that signs: the newest in the folder that has it. Every key there is published."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Limits:
    """Bounds on everything issued."""

    depth: Depth = DEFAULT_DEPTH
    """Delegations in a row."""
    token_lifetime_s: Annotated[StrictInt, Field(ge=1, le=MAX_TOKEN_LIFETIME_S)] = DEFAULT_TOKEN_LIFETIME_S
    """Of one token. Offline verifiers hear of a revocation this late at worst; agents renew."""
    root_lifetime_s: Lifetime = MAX_ROOT_LIFETIME_S
    """Of all that follows from one user's token, counted from its first exchange."""
    leeway_s: Annotated[StrictInt, Field(ge=0, le=MAX_LEEWAY_S)] = DEFAULT_LEEWAY_S
    """What the clocks of others may differ by."""
    token_bytes: Annotated[StrictInt, Field(ge=MIN_TOKEN_BYTES, le=MAX_TOKEN_BYTES)] = DEFAULT_TOKEN_BYTES
    """The size of an issued token. Proxies take header lines of about 8 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Agent:
    """An agent: a client of the token endpoint and an actor in chains."""

    id: Name
    """Its `client_id`, and its name in chains."""
    auth: AuthMethod
    """How it proves itself at every endpoint, and no other way."""
    secret_sha256: SecretHashes = Field(default=(), repr=False)
    """SHA-256 of its secret, of at least 128 random bits. Two may live at once, to replace one without an outage.

    Written: list (1 to 2) of strings of 64 hexadecimal digits, lowercase
    """
    jwks_file: FilePath | None = None
    """Its public keys, for `private_key_jwt`: a JWK set. No two parties may hold one key."""
    holder_jwks_file: FilePath | None = None
    """The public keys that its tokens are bound to, and that it proves by DPoP: a JWK set. May be its `jwks_file`. A
    delegation to it is bound to the first; keep an old one behind the new one until the last hop ends."""
    tls_client_auth_subject_dn: SubjectDn | None = None
    """For `tls_client_auth`, one of five: the subject of its certificate as RFC 4514 writes it, `CN=planner,O=Example`.
    Compared attribute by attribute, in this order."""
    tls_client_auth_san_dns: DnsName | None = None
    """A DNS name in the certificate. No wildcards, on either side."""
    tls_client_auth_san_uri: SanUri | None = None
    """A URI in the certificate, letter by letter."""
    tls_client_auth_san_ip: SanIp | None = None
    """An IP address in the certificate."""
    tls_client_auth_san_email: SanEmail | None = None
    """An email address in the certificate, letter by letter."""
    certificate_file: FilePath | None = None
    """Its certificate, for `self_signed_tls_client_auth`, as PEM. Two may live at once, to replace one without an
    outage. No two parties may hold one key."""
    tls_client_certificate_bound_access_tokens: StrictBool = False
    """Its tokens are bound to the certificate of the connection on which it asks, and useless without it (RFC 8705
    s3). Without a certificate it gets none."""
    spiffe_id: SpiffeIdText | None = None
    """For `spiffe_jwt`: its SPIFFE ID, letter by letter, in a registered trust domain."""
    service_account: ServiceAccount | None = None
    """For `kubernetes_jwt`: the service account that it runs as.

    Written: string `NAMESPACE:NAME`
    """
    cluster: Name | None = None
    """The `iss` of the cluster that its `service_account` is in, where several are registered."""
    accept_token_endpoint_audience: StrictBool = False
    """Its assertions may name the URL of the token endpoint instead of the issuer, as Authlib and Spring do."""
    max_assertion_lifetime_s: Annotated[StrictInt, Field(ge=1, le=MAX_ASSERTION_LIFETIME_S)] = (
        DEFAULT_ASSERTION_LIFETIME_S
    )
    """Of its assertions. Authlib makes them for an hour."""
    scopes: SomeScopes
    """What it may ever be given."""
    resources: SomeResources
    """Where it may ever get a token for."""
    may_delegate_to: Names = frozenset()
    """The agents that it may hand work to. Looked at again at every exchange, for every hop of a chain."""
    fronts: Names = frozenset()
    """The clients of the identity provider, such as a chat UI, that obtain users' tokens for this agent alone."""
    upstream_client_ids: ClientIds = ()
    """What the agent itself is called at an identity provider; elsewhere it is called by its `id`.

    Written: table of the `iss` of identity providers, each with a client id
    """
    serves: Resources = frozenset()
    """The resources that it is the server of: what is presented there it may exchange, to call further."""
    downstream_resources: Resources = frozenset()
    """Where it calls further with what is presented to it, while that lives. Some of its `resources`."""
    default_resource: ResourceUri | None = None
    """What a token is for when a request does not say. One of its `resources`."""
    max_lifetime_s: Lifetime | None = None
    """Of a delegation to this agent."""
    max_depth: Depth | None = None
    """The highest hop that may ever stand below one of this agent, counted from the first (1)."""
    evidence: HopEvidence = HopEvidence.ISSUER
    """With `delegator` it signs every hop that it makes, for others and for itself, as a `delegation_grant`."""
    enabled: StrictBool = True
    """`false` bars it, and with it every chain that it is in."""

    @property
    def subject_rules(self) -> tuple[tuple[SubjectKind, str], ...]:
        """What its certificate has to bear, for `tls_client_auth`."""
        found = ((kind, getattr(self, kind)) for kind in SubjectKind)
        return tuple((kind, name) for kind, name in found if name is not None)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Resource:
    """A resource server: what tokens are for. It may ask about tokens; it never gets one."""

    id: ResourceUri
    """The `aud` of its tokens: an absolute URI without a fragment. Compared letter by letter."""
    client_id: Name
    """Its name for asking about tokens (introspection)."""
    names: ResourceNames = frozenset()
    """What the parameter `audience` may call it. No URIs."""
    scopes: SomeScopes
    """The scopes that mean something there."""
    secret_sha256: SecretHashes = Field(repr=False)
    """SHA-256 of its secret, as for an agent.

    Written: list (1 to 2) of strings of 64 hexadecimal digits, lowercase
    """
    auth: AuthMethod = AuthMethod.CLIENT_SECRET_BASIC
    """How it proves itself when it asks."""
    enforces_details: StrictBool = False
    """It checks the details of every call, so that under `attenuation = "authority"` less tools are less authority."""
    evidence: HopEvidence = HopEvidence.ISSUER
    """With `delegator` every hop that lists it, from the second on, is signed by its delegator. Its verifier can then
    demand as much (`hop_floor`)."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Operator:
    """Somebody who may revoke anything, by a secret of its own. It gets no tokens and introspects none."""

    id: Name
    """Its name, as `client_id` and in records."""
    secret_sha256: SecretHashes = Field(repr=False)
    """SHA-256 of its secret, as for an agent.

    Written: list (1 to 2) of strings of 64 hexadecimal digits, lowercase
    """
    auth: AuthMethod = AuthMethod.CLIENT_SECRET_BASIC
    """How it proves itself."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Settings:
    """The service itself, and how authority is compared.

    `load_settings` makes it, with paths resolved; nothing changes it.
    `version` names this configuration in records: the first 12 hexadecimal digits of the SHA-256 of every effective
    setting, defaults, overrides and resolved paths included.
    """

    issuer: IssuerUrl
    """The URL of this service, the `iss` of its tokens; every endpoint stands below it. https, or http on a loopback
    address; no slash at the end."""
    attenuation: Attenuation = Attenuation.SCOPE
    """What a delegation leaves out: a scope; or a scope, resource, detail or tool. Verifiers are told the same."""
    proper_from: Annotated[StrictInt, Field(ge=1, le=2)] = 1
    """The first hop that has to leave something out; 2 lets the first agent hold all that the user's token carries.
    Verifiers are told the same."""
    scope_grammar: ScopeGrammar = ScopeGrammar.EXACT
    """Plain names, or names in which `crm.*` covers `crm.read`. Verifiers are told the same."""
    evidence: HopEvidence = HopEvidence.ISSUER
    """Whose word each hop needs from the second on: this service's, or its delegator's, by a `delegation_grant`. With
    `delegator` no unsigned one is made, and none by a server for itself (`serves`)."""
    store: StoreSettings = Field(default_factory=StoreSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    keys: KeySettings = Field(default_factory=KeySettings)
    limits: Limits = Field(default_factory=Limits)
    identity_providers: Annotated[tuple[IdentityProvider, ...], entries(at_least=1, at_most=MAX_PROVIDERS)] = Field(
        validation_alias="identity_provider"
    )
    authorities: Annotated[tuple[Authority, ...], entries(at_most=MAX_PROVIDERS)] = Field(
        default=(), validation_alias="authority"
    )
    spiffe_trust_domains: Annotated[tuple[SpiffeTrustDomain, ...], entries(at_most=MAX_PROVIDERS)] = Field(
        default=(), validation_alias="spiffe_trust_domain"
    )
    kubernetes_clusters: Annotated[tuple[KubernetesCluster, ...], entries(at_most=MAX_PROVIDERS)] = Field(
        default=(), validation_alias="kubernetes_cluster"
    )
    agents: Annotated[tuple[Agent, ...], entries(at_most=MAX_ITEMS)] = Field(default=(), validation_alias="agent")
    resources: Annotated[tuple[Resource, ...], entries(at_least=1, at_most=MAX_ITEMS)] = Field(
        validation_alias="resource"
    )
    operators: Annotated[tuple[Operator, ...], entries(at_most=MAX_ITEMS)] = Field(
        default=(), validation_alias="operator"
    )

    version: str = Field(init=False, default="")

    @property
    def user_sources(self) -> tuple[IdentityProvider | Authority, ...]:
        """Everybody whose word starts a delegation; an authority may have the `iss` of an identity provider."""
        return (*self.identity_providers, *self.authorities)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", hashlib.sha256(render_json(_plain(self))).hexdigest()[:12])


def _reach_of(private_networks: Networks) -> UnsafeReach | None:
    if not private_networks:
        return None
    loopback = all(ip_network(network).is_loopback for network in private_networks)
    return UnsafeReach(networks=private_networks, plain_http=loopback)


def _plain(value: object) -> JsonValue:
    """`value` as JSON, sets sorted: the same settings give the same text in every process."""
    match value:
        case None | bool() | int():
            return value
        case ToolDetail() | OtherDetail():
            return render_details((value,))[0]
        case StoreSettings():
            # Not the password: a short hash that stands in records would tell when it was guessed.
            return {"url": value.shown, "password_file": _plain(value.password_file)}
        case frozenset():
            return sorted(str(item) for item in value)
        case tuple():
            return [_plain(item) for item in value]
        case _ if is_dataclass(value):
            return {member.name: _plain(getattr(value, member.name)) for member in fields(value) if member.init}
        case _:
            return str(value)
