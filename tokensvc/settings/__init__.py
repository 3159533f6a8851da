"""Settings: `tokensvc.toml` and the environment, read once into frozen values.

`load_settings` is what a service calls; `examine_settings` hands over every problem at once, for people.
"""

from tokensvc.settings.agent_keys import AgentKeys, load_agent_keys
from tokensvc.settings.certificate_files import load_client_authorities
from tokensvc.settings.environment import CONFIG_VARIABLE
from tokensvc.settings.load import examine_settings, load_settings
from tokensvc.settings.model import (
    NO_TYP,
    Agent,
    AuthMethod,
    Authority,
    Ceiling,
    IdentityProvider,
    KeySettings,
    Limits,
    Operator,
    Resource,
    ServerSettings,
    Settings,
    StoreSettings,
)
from tokensvc.settings.upstream import load_upstream_keys
from tokensvc.settings.values import MAX_ROOT_LIFETIME_S

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
    "Limits",
    "Operator",
    "Resource",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "examine_settings",
    "load_agent_keys",
    "load_client_authorities",
    "load_settings",
    "load_upstream_keys",
]
