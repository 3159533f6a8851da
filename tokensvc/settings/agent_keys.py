"""The public keys of the agents, read from the files that the settings name: what they authenticate with, and hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokensvc.core.keyset import KeySet
from tokensvc.settings.key_set_file import read_key_set, unusable_key_set
from tokensvc.settings.model import Settings

__all__ = ["AgentKeys", "load_agent_keys"]

# Two keys while one is replaced; anything larger is another file.
_MAX_BYTES: Final = 100_000
_NONE: Final = KeySet([])


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKeys:
    """The keys of one agent: `assertion` sign what it says of itself, to `holder` its tokens are bound."""

    assertion: KeySet = _NONE
    holder: KeySet = _NONE

    @property
    def thumbprints(self) -> frozenset[str]:
        """Of all of them."""
        return frozenset(key.thumbprint for keys in (self.assertion, self.holder) for key in keys)


def load_agent_keys(settings: Settings) -> Mapping[str, AgentKeys]:
    """The keys of each agent that has some, by its id. Raises: ConfigurationError, naming the file at fault.

    A key that two parties hold makes each of them the other: an agent's key is its own. For what it uses its own is its
    affair.
    """
    found: dict[str, AgentKeys] = {}
    seen: set[str] = set()
    for agent in settings.agents:
        files = [path for path in (agent.jwks_file, agent.holder_jwks_file) if path is not None]
        if not files:
            continue
        read = {path: _read_key_set(path, agent.id) for path in files}
        keys = AgentKeys(
            assertion=_NONE if agent.jwks_file is None else read[agent.jwks_file],
            holder=_NONE if agent.holder_jwks_file is None else read[agent.holder_jwks_file],
        )
        for path, key_set in read.items():
            if any(key.thumbprint in seen for key in key_set):
                remedy = "Give every agent a key of its own: whoever holds it is whoever it stands for."
                raise unusable_key_set(path, "the key set holds a key of another agent", remedy)
        seen |= keys.thumbprints
        found[agent.id] = keys
    return found


def _read_key_set(path: Path, agent_id: str) -> KeySet:
    remedy = f"Save the public keys of {agent_id} there, as a JWK set."
    keys = read_key_set(path, of="an agent", max_bytes=_MAX_BYTES, when_unread=remedy, when_unusable=remedy)
    if not len(keys):
        raise unusable_key_set(path, "the key set holds no signature key", remedy)
    return keys
