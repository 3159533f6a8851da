"""Two platforms, and agents that run on them: planner in a SPIFFE trust domain, researcher in a Kubernetes cluster.

world = await make_platform_world()
svid(world)                         # planner's JWT-SVID, as SPIRE makes it
account_token(world, aud=[CRM])     # researcher's token, as the kubelet hands it out; any claim replaceable
"""

from collections.abc import Callable
from typing import Any, Final

from tests.exchange.parties import ISSUER, identity_provider, make_registry
from tests.exchange.world import World, make_world
from tests.simulator import ABSENT, Members, ec_key, rsa_key, seal
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, OAuthRefused
from tokensvc.exchange.authenticate import ClientAssertion, ClientAuthenticator
from tokensvc.exchange.parties import AuthMethod, Platform, UpstreamIssuer, WorkloadName
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.upstream_keys import UpstreamKeys

DOMAIN: Final = "spiffe://example.org"
OTHER_DOMAIN: Final = "spiffe://other.org"
PLANNER: Final = "spiffe://example.org/ns/agents/sa/planner"
CLUSTER: Final = "https://kubernetes.default.svc.cluster.local"
OTHER_CLUSTER: Final = "https://oidc.other.example/id/1"
RESEARCHER: Final = "system:serviceaccount:agents:researcher"
GENERIC: Final = "client authentication failed"

_KEYS: Final = UpstreamKeys(
    pinned={
        DOMAIN: KeySet([ec_key("spire").public, rsa_key("spire-rsa").public]),
        OTHER_DOMAIN: KeySet([ec_key("other-spire").public]),
        CLUSTER: KeySet([rsa_key("cluster").public, ec_key("cluster-ec").public]),
        OTHER_CLUSTER: KeySet([rsa_key("other-cluster").public]),
    },
    own=lambda: KeySet([ec_key("service").public]),
)


def platforms(*, max_lifetime_s: int = 3600) -> list[Platform]:
    """All of them."""

    def platform(name: str, auth: AuthMethod) -> Platform:
        return Platform(name=name, auth=auth, keys=_KEYS.of(name), max_lifetime_s=max_lifetime_s)

    return [
        platform(DOMAIN, AuthMethod.SPIFFE_JWT),
        platform(OTHER_DOMAIN, AuthMethod.SPIFFE_JWT),
        platform(CLUSTER, AuthMethod.KUBERNETES_JWT),
        platform(OTHER_CLUSTER, AuthMethod.KUBERNETES_JWT),
    ]


def platform_registry(
    *,
    max_lifetime_s: int = 3600,
    provider: UpstreamIssuer | None = None,
    planner: Members | None = None,
    researcher: Members | None = None,
    **agents: Any,  # noqa: ANN401 - members of Agent by agent
) -> Registry:
    """Everybody, and two of them workloads."""
    spiffe = {"auth": AuthMethod.SPIFFE_JWT, "secret_sha256": ()}
    kubernetes = {"auth": AuthMethod.KUBERNETES_JWT, "secret_sha256": ()}
    return make_registry(
        provider=identity_provider() if provider is None else provider,
        platforms=platforms(max_lifetime_s=max_lifetime_s),
        planner={**spiffe, "workload": WorkloadName(platform=DOMAIN, sub=PLANNER), **(planner or {})},
        researcher={**kubernetes, "workload": WorkloadName(platform=CLUSTER, sub=RESEARCHER), **(researcher or {})},
        **agents,
    )


async def make_platform_world(**members: Any) -> World:  # noqa: ANN401 - any argument of platform_registry
    """The usual service, on these platforms."""
    return await make_world(registry=platform_registry(**members))


def svid(world: World, *, key: SigningKey | None = None, header: Members | None = None, **claims: Any) -> str:  # noqa: ANN401 - any claim
    """planner's JWT-SVID (SPIRE: `aud` is an array, `iat` is there, no `jti`). ABSENT leaves a member out."""
    now = world.clock.now
    signer = ec_key("spire") if key is None else key
    plain: Members = {"aud": [ISSUER], "exp": now + 300, "iat": now, "sub": PLANNER}
    return _sealed({"alg": str(signer.alg), "kid": signer.kid, "typ": "JWT"}, plain, signer, header, claims)


def account_token(
    world: World,
    *,
    key: SigningKey | None = None,
    header: Members | None = None,
    **claims: Any,  # noqa: ANN401 - any claim
) -> str:
    """researcher's token from a projected volume, as the TokenRequest API makes it. ABSENT leaves a member out."""
    now = world.clock.now
    signer = rsa_key("cluster") if key is None else key
    pod = {"name": "researcher-7d9c", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"}
    plain: Members = {
        "aud": [ISSUER],
        "exp": now + 3600,
        "iat": now,
        "iss": CLUSTER,
        "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
        "kubernetes.io": {
            "namespace": "agents",
            "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
            "pod": pod,
            "serviceaccount": {"name": "researcher", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
        },
        "nbf": now,
        "sub": RESEARCHER,
    }
    return _sealed({"alg": str(signer.alg), "kid": signer.kid}, plain, signer, header, claims)


def _sealed(plain_header: Members, plain: Members, key: SigningKey, header: Members | None, claims: Members) -> str:
    return seal(_present({**plain_header, **(header or {})}), _present({**plain, **claims}), key)


def _present(members: Members) -> Members:
    return {name: member for name, member in members.items() if member is not ABSENT}


Maker = Callable[..., str]
"""`svid` or `account_token`."""


async def verdict(world: World, jwt: str, *, body_client_id: str | None = None, is_svid: bool = False) -> str:
    """Who the client is, or why it is refused."""
    authenticator = ClientAuthenticator(
        registry=world.registry, terms=world.terms, store=world.store, clock=world.clock
    )
    presented = ClientAssertion(assertion=jwt, body_client_id=body_client_id, is_svid=is_svid)
    try:
        return (await authenticator.authenticate(presented)).client_id
    except OAuthRefused as refusal:
        return refusal.description if refusal.error is OAuthError.INVALID_CLIENT else str(refusal)
