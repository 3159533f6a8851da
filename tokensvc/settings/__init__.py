"""Settings: `tokensvc.toml` and the environment, read once into frozen values.

`load_settings` is what a service calls; `examine_settings` hands over every problem at once, for people.
"""

from tokensvc.settings.agent_keys import AgentKeys, load_agent_keys
from tokensvc.settings.certificate_files import load_client_authorities
from tokensvc.settings.environment import CONFIG_VARIABLE
from tokensvc.settings.load import examine_settings, load_settings
from tokensvc.settings.model import KeySettings, Limits, ServerSettings, Settings, StoreSettings
from tokensvc.settings.parties import Agent, AuthMethod, Operator, Resource
from tokensvc.settings.publishers import Publisher, publishers_of
from tokensvc.settings.sources import NO_TYP, Authority, Ceiling, IdentityProvider, KubernetesCluster, SpiffeTrustDomain
from tokensvc.settings.upstream import load_upstream_keys
from tokensvc.settings.values import MAX_ROOT_LIFETIME_S
from tokensvc.settings.workloads import WorkloadName, workload_of

__all__ = [
    "CONFIG_VARIABLE",
    "MAX_ROOT_LIFETIME_S",
    "NO_TYP",
    "Agent",
    "AgentKeys",
    "AuthMethod",
    "Authority",
    "Ceiling",
    "IdentityProvider",
    "KeySettings",
    "KubernetesCluster",
    "Limits",
    "Operator",
    "Publisher",
    "Resource",
    "ServerSettings",
    "Settings",
    "SpiffeTrustDomain",
    "StoreSettings",
    "WorkloadName",
    "examine_settings",
    "load_agent_keys",
    "load_client_authorities",
    "load_settings",
    "load_upstream_keys",
    "publishers_of",
    "workload_of",
]
