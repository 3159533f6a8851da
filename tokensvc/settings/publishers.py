"""Those whose tokens are taken, and where each has its public keys: in a file, at a URL, or where its metadata says.

Identity providers vouch for users, authorities for what users let agents do, trust domains and clusters for agents. Of
their keys the same holds: each speaks for one of them only, is read once or fetched again and again, and is nobody
else's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokensvc.core.jwks_url import UnsafeReach, discovery_url
from tokensvc.core.keyset import Algorithm
from tokensvc.settings.model import Settings
from tokensvc.settings.sources import Authority, IdentityProvider, KubernetesCluster, SpiffeTrustDomain

__all__ = ["Publisher", "publishers_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Somebody whose tokens are taken, from `iss`: for a trust domain `spiffe://DOMAIN`.

    `name` is what its keys are held under: `iss`, or for an authority its `key_holder`. `key` is its table in the file,
    `title` what such a thing is called; `iss_key`, `file_key` and `url_key` are keys in the table. `discovery` is None
    where the table has no such key. `is_bundle`: the keys come as a SPIFFE bundle.
    """

    key: str
    title: str
    name: str
    iss: str
    iss_key: str
    enabled: bool
    file: Path | None
    file_key: str
    url: str | None
    url_key: str
    discovery: bool | None
    reach: UnsafeReach | None
    has_networks: bool
    algorithms: frozenset[Algorithm]
    is_bundle: bool

    @property
    def keys_url(self) -> str | None:
        """What is fetched for its keys; None where they are in a file.

        Raises: ValueError for an `iss` that has no metadata.
        """
        return discovery_url(self.iss) if self.discovery else self.url

    @property
    def place(self) -> str:
        """The key of the setting that says where its keys are fetched from."""
        return f"{self.key}.{'discovery' if self.discovery else self.url_key}"


def publishers_of(settings: Settings) -> Iterator[Publisher]:
    """Everybody, in the order in which a key that two of them publish is given to one; see `UpstreamKeys`."""
    for index, provider in enumerate(settings.identity_providers):
        key = f"identity_provider[{index}]"
        yield _with_iss(provider, key=key, title="identity provider", algorithms=provider.algorithms)
    for index, authority in enumerate(settings.authorities):
        # After the providers: a key for logins that an authority has as well signs no roots.
        yield _with_iss(authority, key=f"authority[{index}]", title="authority", algorithms=frozenset(Algorithm))
    for index, domain in enumerate(settings.spiffe_trust_domains):
        yield _trust_domain(domain, key=f"spiffe_trust_domain[{index}]")
    for index, cluster in enumerate(settings.kubernetes_clusters):
        key = f"kubernetes_cluster[{index}]"
        yield _with_iss(cluster, key=key, title="Kubernetes cluster", algorithms=frozenset(Algorithm))


def _with_iss(
    table: IdentityProvider | Authority | KubernetesCluster, *, key: str, title: str, algorithms: frozenset[Algorithm]
) -> Publisher:
    return Publisher(
        key=key,
        title=title,
        name=table.key_holder if isinstance(table, Authority) else table.iss,
        iss=table.iss,
        iss_key="iss",
        enabled=True if isinstance(table, KubernetesCluster) else table.enabled,
        file=table.jwks_file,
        file_key="jwks_file",
        url=table.jwks_url,
        url_key="jwks_url",
        discovery=None if isinstance(table, Authority) else table.discovery,
        reach=table.reach,
        has_networks=bool(table.private_networks),
        algorithms=algorithms,
        is_bundle=False,
    )


def _trust_domain(table: SpiffeTrustDomain, *, key: str) -> Publisher:
    return Publisher(
        key=key,
        title="trust domain",
        name=table.name,
        iss=table.name,
        iss_key="trust_domain",
        enabled=True,
        file=table.bundle_file,
        file_key="bundle_file",
        url=table.bundle_url,
        url_key="bundle_url",
        discovery=None,
        reach=table.reach,
        has_networks=bool(table.private_networks),
        algorithms=frozenset(Algorithm),
        is_bundle=True,
    )
