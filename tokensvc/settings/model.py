"""The settings as frozen values. Each value is checked alone here, and against the others in `conflicts`.

The names of the fields are the keys of `tokensvc.toml`; only the lists of tables are singular there (`[[agent]]`).
"""

import hashlib
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field, StrictBool, StrictInt
from pydantic.dataclasses import dataclass

from tokensvc.core.authority import Attenuation
from tokensvc.core.details import NO_DETAILS, OtherDetail, ToolDetail, render_details
from tokensvc.core.jsontext import JsonValue, render_json
from tokensvc.core.keyset import Algorithm
from tokensvc.core.scope import ScopeGrammar
from tokensvc.settings.redis_url import REDIS_SCHEMES, RedisUrl, parse_redis_url
from tokensvc.settings.values import (
    MAX_ITEMS,
    MAX_ROOT_LIFETIME_S,
    SQLITE,
    AuthorizationDetails,
    Depth,
    FilePath,
    IssuerUrl,
    Lifetime,
    Name,
    Names,
    ResourceNames,
    Resources,
    ResourceUri,
    SecretHashes,
    SomeAlgorithms,
    SomeNames,
    SomeResources,
    SomeScopes,
    StoreUrl,
    SubjectPrefix,
    entries,
)

__all__ = [
    "Agent",
    "AuthMethod",
    "Ceiling",
    "IdentityProvider",
    "KeySettings",
    "Limits",
    "Operator",
    "Resource",
    "ServerSettings",
    "Settings",
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
# An assertion is made for one request (RFC 7523 s3 leaves the length to us). Authlib makes them for an hour.
DEFAULT_ASSERTION_LIFETIME_S: Final = 300
MAX_ASSERTION_LIFETIME_S: Final = 3600
_CONFIG: Final = ConfigDict(extra="forbid", hide_input_in_errors=True, validate_by_name=True)


class AuthMethod(StrEnum):
    """How a client proves itself (RFC 6749 s2.3.1; names of RFC 7591 s2)."""

    CLIENT_SECRET_BASIC = "client_secret_basic"
    CLIENT_SECRET_POST = "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt"


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class StoreSettings:
    """Where state is kept: `sqlite:///FILE`, `redis://HOST` or `memory:` (which forgets when the process ends).

    `password_file` holds the password of a Redis server whose URL has none. `shown` is the URL without a password, for
    every eye; `url` itself goes to nobody.
    """

    url: StoreUrl = Field(default="sqlite:///tokensvc.db", repr=False)
    password_file: FilePath | None = None

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
    """Where the service listens. Port 0 lets the system choose one."""

    host: Name = "127.0.0.1"
    port: Annotated[StrictInt, Field(ge=0, le=65535)] = 8700


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class KeySettings:
    """The service's signing keys: the folder that holds them and the algorithm of the one that signs."""

    dir: FilePath = Path("keys")
    algorithm: Algorithm = Algorithm.ES256


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Limits:
    """Bounds on everything issued. `token_bytes` is the size of an issued token."""

    depth: Depth = DEFAULT_DEPTH
    token_lifetime_s: Annotated[StrictInt, Field(ge=1, le=MAX_TOKEN_LIFETIME_S)] = DEFAULT_TOKEN_LIFETIME_S
    root_lifetime_s: Lifetime = MAX_ROOT_LIFETIME_S
    leeway_s: Annotated[StrictInt, Field(ge=0, le=MAX_LEEWAY_S)] = DEFAULT_LEEWAY_S
    token_bytes: Annotated[StrictInt, Field(ge=MIN_TOKEN_BYTES, le=MAX_TOKEN_BYTES)] = DEFAULT_TOKEN_BYTES


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Ceiling:
    """What the users of one identity provider can authorise at most."""

    resources: SomeResources
    authorization_details: AuthorizationDetails = NO_DETAILS
    max_depth: Depth = DEFAULT_DEPTH


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class IdentityProvider:
    """An issuer of user tokens that may start a delegation.

    `audience`: the values of `aud` that name this service in its tokens; `typ`: the JWS types that it gives them.
    `session_lifetime_s`: how long a delegation lasts at most; 0 means that it ends with the user's token.
    """

    iss: Name
    jwks_file: FilePath
    audience: SomeNames
    typ: SomeNames = frozenset({"at+jwt"})
    algorithms: SomeAlgorithms = frozenset({Algorithm.RS256})
    subject_prefix: SubjectPrefix = ""
    session_lifetime_s: Annotated[StrictInt, Field(ge=0, le=MAX_ROOT_LIFETIME_S)] = 0
    ceiling: Ceiling


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Agent:
    """An agent: a client of the token endpoint and an actor in chains.

    It proves itself by one of the secrets of `secret_sha256`, or with `private_key_jwt` by a key of `jwks_file`.
    `accept_token_endpoint_audience`: its assertions may name the token endpoint's URL instead of the issuer.
    `fronts` are the upstream clients that obtain users' tokens for this agent alone. `serves`: the resources that it is
    the server of; what is presented there it may exchange, to go on at its `downstream_resources`. `enabled = false`
    bars it.
    """

    id: Name
    auth: AuthMethod
    secret_sha256: SecretHashes = Field(default=(), repr=False)
    jwks_file: FilePath | None = None
    accept_token_endpoint_audience: StrictBool = False
    max_assertion_lifetime_s: Annotated[StrictInt, Field(ge=1, le=MAX_ASSERTION_LIFETIME_S)] = (
        DEFAULT_ASSERTION_LIFETIME_S
    )
    scopes: SomeScopes
    resources: SomeResources
    may_delegate_to: Names = frozenset()
    fronts: Names = frozenset()
    serves: Resources = frozenset()
    downstream_resources: Resources = frozenset()
    default_resource: ResourceUri | None = None
    max_lifetime_s: Lifetime | None = None
    max_depth: Depth | None = None
    enabled: StrictBool = True


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Resource:
    """A resource server: what tokens are for. As `client_id` it may ask about tokens; it never gets one.

    `names` are what the parameter `audience` may call it by. `enforces_details`: it checks the authorization details of
    every call, so that a delegation without a tool, under attenuation "authority", really is less.
    """

    id: ResourceUri
    client_id: Name
    names: ResourceNames = frozenset()
    scopes: SomeScopes
    secret_sha256: SecretHashes = Field(repr=False)
    auth: AuthMethod = AuthMethod.CLIENT_SECRET_BASIC
    enforces_details: StrictBool = False


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Operator:
    """Somebody who may revoke anything, by a secret of its own. It gets no tokens and introspects none."""

    id: Name
    secret_sha256: SecretHashes = Field(repr=False)
    auth: AuthMethod = AuthMethod.CLIENT_SECRET_BASIC


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Settings:
    """Everything that was configured. `load_settings` makes it, with paths resolved; nothing changes it.

    `attenuation`: what a delegation leaves out: "scope" a scope, "authority" a scope, resource, detail or tool.
    `proper_from`: the first hop that has to; 2 lets the first agent hold all that the user's token carries.
    `scope_grammar`: "exact" names, or "segments", in which crm.* covers crm.read. Verifiers are told the same three.
    `version` names this configuration in records: the first 12 hexadecimal digits of the SHA-256 of every effective
    setting, defaults, overrides and resolved paths included.
    """

    issuer: IssuerUrl
    attenuation: Attenuation = Attenuation.SCOPE
    proper_from: Annotated[StrictInt, Field(ge=1, le=2)] = 1
    scope_grammar: ScopeGrammar = ScopeGrammar.EXACT
    store: StoreSettings = Field(default_factory=StoreSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    keys: KeySettings = Field(default_factory=KeySettings)
    limits: Limits = Field(default_factory=Limits)
    identity_providers: Annotated[tuple[IdentityProvider, ...], entries(at_least=1, at_most=1)] = Field(
        validation_alias="identity_provider"
    )
    agents: Annotated[tuple[Agent, ...], entries(at_most=MAX_ITEMS)] = Field(default=(), validation_alias="agent")
    resources: Annotated[tuple[Resource, ...], entries(at_least=1, at_most=MAX_ITEMS)] = Field(
        validation_alias="resource"
    )
    operators: Annotated[tuple[Operator, ...], entries(at_most=MAX_ITEMS)] = Field(
        default=(), validation_alias="operator"
    )

    version: str = Field(init=False, default="")

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
