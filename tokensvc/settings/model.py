"""The settings as frozen values. Each value is checked alone here, and against the others in `conflicts`.

The names of the fields are the keys of `tokensvc.toml`; only the lists of tables are singular there (`[[agent]]`).
The text below a field is its row in docs/configuration.md (`make docs`), and the first paragraph of a class is what
stands above its rows. Where the type does not tell how a key is written, a last paragraph `Written: ...` does. The
same holds for `parties` and `sources`, where the lists of tables are.
"""

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StrictBool, StrictInt
from pydantic.dataclasses import dataclass

from tokensvc.core.authority import Attenuation
from tokensvc.core.details import OtherDetail, ToolDetail, render_details
from tokensvc.core.jsontext import JsonValue, render_json
from tokensvc.core.keyset import Algorithm
from tokensvc.core.scope import ScopeGrammar
from tokensvc.settings.certificate_values import HeaderName
from tokensvc.settings.parties import Agent, HopEvidence, Operator, Resource
from tokensvc.settings.redis_url import REDIS_SCHEMES, RedisUrl, parse_redis_url
from tokensvc.settings.sources import DEFAULT_DEPTH, Authority, IdentityProvider, KubernetesCluster, SpiffeTrustDomain
from tokensvc.settings.table import TABLE
from tokensvc.settings.values import (
    MAX_ITEMS,
    MAX_ROOT_LIFETIME_S,
    SQLITE,
    Depth,
    FilePath,
    IssuerUrl,
    Lifetime,
    Name,
    Networks,
    StoreUrl,
    entries,
)

__all__ = ["KeySettings", "Limits", "ServerSettings", "Settings", "StoreSettings"]

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
# Each is fetched from in the background, and a token is held against one of them only.
MAX_PROVIDERS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class KeySettings:
    """The service's signing keys."""

    dir: FilePath = Path("keys")
    """The folder of the private keys, one file each. No other user may write to it, nor read a file in it."""
    algorithm: Algorithm = Algorithm.ES256
    """Of the key that signs: the newest in the folder that has it. Every key there is published."""


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
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
