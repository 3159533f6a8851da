"""Who is registered: planner, researcher, fetcher and others, two resources, one identity provider."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from tests.simulator import ec_key
from tokensvc.core.authority import Order
from tokensvc.core.details import NO_DETAILS
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.exchange.parties import Agent, AuthMethod, Authority, Platform, Resource, Terms, UpstreamIssuer
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.upstream_keys import UpstreamKeys

ISSUER: Final = "https://tokens.example"
IDP: Final = "https://idp.example"
CRM: Final = "https://crm.example/api"
FILES: Final = "https://files.example"
USER_SCOPE: Final = "crm.delete crm.export crm.read crm.write files.read files.write openid"
START_SCOPE: Final = "crm.export crm.read crm.write files.read files.write"


def secret_of(client_id: str) -> str:
    """The secret of a client: as long as those that `tokensvc init` makes."""
    return f"{client_id}-" + "s3cr3t_" * 7


def agent(name: str, scopes: str, *delegatees: str, **members: Any) -> Agent:  # noqa: ANN401 - any field of Agent
    """An agent that may use both resources."""
    plain = Agent(
        id=name,
        auth=AuthMethod.CLIENT_SECRET_BASIC,
        secret_sha256=(sha256(secret_of(name).encode()).hexdigest(),),
        keys=KeySet([]),
        accept_token_endpoint_audience=False,
        max_assertion_lifetime_s=300,
        scopes=frozenset(scopes.split()),
        resources=frozenset({CRM, FILES}),
        may_delegate_to=frozenset(delegatees),
        fronts=frozenset(),
        serves=frozenset(),
        downstream_resources=frozenset(),
        default_resource=None,
        max_lifetime_s=None,
        max_depth=None,
        enabled=True,
    )
    return replace(plain, **members)


def resource(uri: str, client_id: str, name: str, scopes: str) -> Resource:
    """A resource server."""
    return Resource(
        id=uri,
        client_id=client_id,
        names=frozenset({name}),
        scopes=frozenset(scopes.split()),
        auth=AuthMethod.CLIENT_SECRET_BASIC,
        secret_sha256=(sha256(secret_of(client_id).encode()).hexdigest(),),
        enforces_details=False,
    )


def identity_provider(
    *,
    keys: KeySet | None = None,
    **members: Any,  # noqa: ANN401 - any field of UpstreamIssuer
) -> UpstreamIssuer:
    """The identity provider as it is registered, its keys pinned."""
    pinned = KeySet([ec_key("idp").public]) if keys is None else keys
    iss = members.get("iss", IDP)
    plain = UpstreamIssuer(
        iss=IDP,
        keys=UpstreamKeys(pinned={iss: pinned}, own=lambda: KeySet([ec_key("service").public])).of(iss),
        audience=frozenset({"tokensvc"}),
        typ=frozenset({"at+jwt"}),
        algorithms=frozenset({"ES256"}),
        client_claims=frozenset({"azp", "client_id"}),
        max_token_lifetime_s=None,
        scope_claim=("scope",),
        scope_map={},
        required_claims=(),
        id_tokens=False,
        actor_tokens=False,
        id_token_scope=frozenset(),
        subject_prefix="",
        session_lifetime_s=0,
        ceiling_resources=frozenset({CRM, FILES}),
        ceiling_details=NO_DETAILS,
        ceiling_max_depth=5,
    )
    return replace(plain, **members)


_AGENTS: Final = (
    agent("planner", START_SCOPE, "researcher", "retired", default_resource=CRM, fronts=frozenset({"web"})),
    agent("researcher", "crm.export crm.read crm.write files.read", "fetcher", "planner"),
    agent("fetcher", "crm.read files.read", "planner", "researcher", "mailer"),
    agent("mailer", "crm.read"),
    agent("retired", START_SCOPE, enabled=False),
)
_RESOURCES: Final = (
    resource(CRM, "crm-api", "crm", "crm.delete crm.export crm.read crm.write"),
    resource(FILES, "files-api", "files", "files.read files.write"),
)
TERMS: Final = Terms(
    issuer=ISSUER,
    order=Order(),
    max_depth=5,
    token_lifetime_s=300,
    root_lifetime_s=8 * 3600,
    leeway_s=30,
    max_issued_bytes=8000,
    configuration="c0ffee",
)


def root_key(iss: str) -> SigningKey:
    """The key with which an authority signs roots."""
    return ec_key(f"roots of {iss}")


def authority(iss: str, prefix: str, **members: Any) -> Authority:  # noqa: ANN401 - any field of Authority
    """Who signs roots, as it is registered, its keys pinned."""
    holder = f"authority {iss}"
    pinned = {holder: KeySet([root_key(iss).public]), IDP: KeySet([ec_key("idp").public])}
    plain = Authority(
        iss=iss,
        keys=UpstreamKeys(pinned=pinned, own=lambda: KeySet([ec_key("service").public])).of(holder),
        subject_prefix=prefix,
        ceiling_resources=frozenset({CRM, FILES}),
        ceiling_details=NO_DETAILS,
        ceiling_max_depth=4,
    )
    return replace(plain, **members)


def make_registry(
    *,
    provider: UpstreamIssuer | None = None,
    drop: str = "",
    platforms: Iterable[Platform] = (),
    authorities: Iterable[Authority] = (),
    **agents: Mapping[str, Any],
) -> Registry:
    """Everybody, with the members of `agents` replaced (`researcher={"enabled": False}`) and one of them left out."""
    return Registry(
        agents=[replace(known, **agents.get(known.id, {})) for known in _AGENTS if known.id != drop],
        resources=[known for known in _RESOURCES if known.id != drop],
        issuers=[identity_provider() if provider is None else provider],
        platforms=platforms,
        authorities=authorities,
    )
