"""Who exists in the demo, what each may hold, and the same as the `tokensvc.toml` of the service.

alice may do six things. Of them planner may hold five, researcher three and fetcher two, and each delegates to
the next only. scraper is a registered agent that nobody delegates to.

With `Evidence.DELEGATOR` the three of the walk hold keys: their tokens are bound to them, and each signs what it
delegates.
"""

import json
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm
from tokensvc.settings import AuthMethod
from tokensvc.signing.keyfiles import make_key
from tokensvc.verify import Evidence

__all__ = [
    "CRM_SCOPES",
    "FETCHER_SCOPES",
    "FRONT",
    "IDP_ALGORITHM",
    "IDP_JWKS_FILE",
    "MAIL",
    "MAIL_SCOPE",
    "PLANNER_SCOPES",
    "READ",
    "RESEARCHER_SCOPES",
    "SIGNING_ALGORITHM",
    "SUBJECT_SCOPES",
    "USER",
    "Addresses",
    "Cast",
    "Client",
    "ResourceServer",
    "make_cast",
    "render_config",
]

USER: Final = "alice"
FRONT: Final = "chat-ui"
"""The client of the identity provider at which alice logs in; it obtains her token for planner alone."""

READ: Final = "crm.read"
DELETE: Final = "crm.delete"
CRM_SCOPES: Final = (READ, "crm.comment", "crm.update", DELETE, "crm.admin")
MAIL: Final = "https://mail.example"
"""A second resource that planner may get tokens for. Nothing answers there."""
MAIL_SCOPE: Final = "mail.send"
SUBJECT_SCOPES: Final = (*CRM_SCOPES, MAIL_SCOPE)

# What each gets in the walk: always something less than the one before.
PLANNER_SCOPES: Final = CRM_SCOPES[:4]
RESEARCHER_SCOPES: Final = CRM_SCOPES[:3]
FETCHER_SCOPES: Final = CRM_SCOPES[:2]

IDP_JWKS_FILE: Final = "idp.jwks.json"
# Different algorithms, so that nothing in the demo works because both sides happen to use the same one.
IDP_ALGORITHM: Final = Algorithm.RS256
SIGNING_ALGORITHM: Final = Algorithm.ES256
_HOLDER_ALGORITHM: Final = Algorithm.ED25519
# 256 bits, as `tokensvc init` makes them.
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The base URLs that the demo's three servers answer at. `crm` is also the id of that resource (RFC 8707)."""

    issuer: str
    idp: str
    crm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An agent of the demo: what it is registered with, and the secret that only it knows."""

    client_id: str
    auth_method: AuthMethod
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    may_delegate_to: tuple[str, ...] = ()
    fronts: tuple[str, ...] = ()
    client_secret: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(_SECRET_BYTES))
    holder_key: SigningKey | None = None

    @property
    def holder_jwks_file(self) -> str:
        """Where the public half of its holder key is."""
        return f"{self.client_id}.holder.jwks.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceServer:
    """A resource and the credentials it asks about tokens with."""

    client_id: str
    resource: str
    scopes: tuple[str, ...]
    auth_method: AuthMethod = AuthMethod.CLIENT_SECRET_BASIC
    client_secret: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(_SECRET_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Every registered party. `agents` are in the order in which they delegate; `evidence` is what their hops need."""

    evidence: Evidence
    planner: Client
    researcher: Client
    fetcher: Client
    scraper: Client
    crm: ResourceServer
    mail: ResourceServer

    @property
    def agents(self) -> tuple[Client, ...]:
        """The agents of the walk, in delegation order."""
        return (self.planner, self.researcher, self.fetcher)


def make_cast(addresses: Addresses, evidence: Evidence) -> Cast:
    """The parties, each with a new secret, and the agents of the walk with a new key where they are to sign."""

    def key() -> SigningKey | None:
        return make_key(_HOLDER_ALGORITHM) if evidence is Evidence.DELEGATOR else None

    return Cast(
        evidence=evidence,
        planner=Client(
            client_id="planner",
            auth_method=AuthMethod.CLIENT_SECRET_BASIC,
            scopes=(*PLANNER_SCOPES, MAIL_SCOPE),
            resources=(addresses.crm, MAIL),
            may_delegate_to=("researcher",),
            fronts=(FRONT,),
            holder_key=key(),
        ),
        researcher=Client(
            client_id="researcher",
            auth_method=AuthMethod.CLIENT_SECRET_POST,
            scopes=RESEARCHER_SCOPES,
            resources=(addresses.crm,),
            may_delegate_to=("fetcher",),
            holder_key=key(),
        ),
        fetcher=Client(
            client_id="fetcher",
            auth_method=AuthMethod.CLIENT_SECRET_BASIC,
            scopes=FETCHER_SCOPES,
            resources=(addresses.crm,),
            holder_key=key(),
        ),
        scraper=Client(
            client_id="scraper",
            auth_method=AuthMethod.CLIENT_SECRET_POST,
            scopes=(READ,),
            resources=(addresses.crm,),
        ),
        crm=ResourceServer(client_id="crm-api", resource=addresses.crm, scopes=CRM_SCOPES),
        mail=ResourceServer(client_id="mail-api", resource=MAIL, scopes=(MAIL_SCOPE,)),
    )


def render_config(cast: Cast, addresses: Addresses, *, store: str) -> str:
    """`tokensvc.toml` for this cast, with state kept at the URL `store`. Of each secret it holds the hash."""
    port = int(addresses.issuer.rpartition(":")[2])
    tables = [
        "# Written by `tokensvc demo`: ports and secrets are of one run. To start one of your own: tokensvc init",
        f"issuer = {_toml(addresses.issuer)}\nevidence = {_toml(cast.evidence)}\n",
        f"[store]\nurl = {_toml(store)}\n",
        f'[server]\nhost = "127.0.0.1"\nport = {port}\n',
        f'[keys]\ndir = "keys"\nalgorithm = {_toml(SIGNING_ALGORITHM)}\n',
        _table(
            "identity_provider",
            iss=addresses.idp,
            jwks_file=IDP_JWKS_FILE,
            audience=[addresses.issuer],
            typ=["at+jwt"],
            algorithms=[IDP_ALGORITHM],
        )
        + f"ceiling = {{ resources = {_toml([addresses.crm, MAIL])}, max_depth = 5 }}\n",
        *(_agent(client) for client in (*cast.agents, cast.scraper)),
        *(_resource(server) for server in (cast.crm, cast.mail)),
    ]
    return "\n".join(tables)


def _agent(client: Client) -> str:
    return _table(
        "agent",
        id=client.client_id,
        auth=client.auth_method,
        secret_sha256=[_hash(client.client_secret)],
        scopes=client.scopes,
        resources=client.resources,
        default_resource=client.resources[0],
        may_delegate_to=client.may_delegate_to,
        fronts=client.fronts,
        **({} if client.holder_key is None else {"holder_jwks_file": client.holder_jwks_file}),
    )


def _resource(server: ResourceServer) -> str:
    return _table(
        "resource",
        id=server.resource,
        client_id=server.client_id,
        scopes=server.scopes,
        auth=server.auth_method,
        secret_sha256=[_hash(server.client_secret)],
    )


def _table(name: str, **values: object) -> str:
    return f"[[{name}]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: object) -> str:
    # Strings of ASCII, and arrays of them, are spelt alike in JSON and TOML.
    return json.dumps(value)


def _hash(secret: str) -> str:
    return sha256(secret.encode("ascii")).hexdigest()
