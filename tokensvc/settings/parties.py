"""Who takes part: agents, resource servers and operators, and how each proves who it is. See `model`."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StrictBool, StrictInt
from pydantic.dataclasses import dataclass

from tokensvc.core.certificate_subject import SubjectKind
from tokensvc.settings.certificate_values import DnsName, SanEmail, SanIp, SanUri, SubjectDn
from tokensvc.settings.table import TABLE
from tokensvc.settings.values import (
    ClientIds,
    Depth,
    FilePath,
    Lifetime,
    Name,
    Names,
    ResourceNames,
    Resources,
    ResourceUri,
    SecretHashes,
    ServiceAccount,
    SomeResources,
    SomeScopes,
    SpiffeIdText,
)

__all__ = ["Agent", "AuthMethod", "HopEvidence", "Operator", "Resource"]

# An assertion is made for one request (RFC 7523 s3 leaves the length to us). Authlib makes them for an hour.
DEFAULT_ASSERTION_LIFETIME_S: Final = 300
MAX_ASSERTION_LIFETIME_S: Final = 3600


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


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
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
