"""The public keys of the agents that authenticate by `private_key_jwt`, read from the files that the settings name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokensvc.core.keyset import KeySet
from tokensvc.settings.key_set_file import read_key_set, unusable_key_set
from tokensvc.settings.model import Settings

__all__ = ["load_agent_keys"]

# Two keys while one is replaced; anything larger is another file.
_MAX_BYTES: Final = 100_000


def load_agent_keys(settings: Settings) -> Mapping[str, KeySet]:
    """The key set of each agent that has one, by its id. Raises: ConfigurationError, naming the file at fault.

    A key that two parties hold makes each of them the other: an agent's key is its own.
    """
    keys: dict[str, KeySet] = {}
    seen: set[str] = set()
    for agent in settings.agents:
        if agent.jwks_file is None:
            continue
        key_set = _read_key_set(agent.jwks_file, agent.id)
        if any(key.thumbprint in seen for key in key_set):
            remedy = "Give every agent a key of its own: whoever holds it is whoever it stands for."
            raise unusable_key_set(agent.jwks_file, "the key set holds a key of another agent", remedy)
        seen |= {key.thumbprint for key in key_set}
        keys[agent.id] = key_set
    return keys


def _read_key_set(path: Path, agent_id: str) -> KeySet:
    remedy = f"Save the public keys of {agent_id} there, as a JWK set."
    keys = read_key_set(path, of="an agent", max_bytes=_MAX_BYTES, when_unread=remedy, when_unusable=remedy)
    if not len(keys):
        raise unusable_key_set(path, "the key set holds no signature key", remedy)
    return keys
