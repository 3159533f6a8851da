"""The public keys of the agents, read from the files that the settings name: what they authenticate with, and hold.

A certificate is a public key as well, in another dress.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokensvc.core.certificate import Certificate
from tokensvc.core.keyset import KeySet
from tokensvc.settings.certificate_files import read_certificates, unusable_file
from tokensvc.settings.key_set_file import read_key_set, unusable_key_set
from tokensvc.settings.model import Settings

__all__ = ["AgentKeys", "load_agent_keys"]

# Two keys while one is replaced; anything larger is another file.
_MAX_BYTES: Final = 100_000
_NONE: Final = KeySet([])
# Two certificates while one is replaced.
_MAX_CERTIFICATES: Final = 2
_OWN_KEY: Final = "Give every agent a key of its own: whoever holds it is whoever it stands for."


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKeys:
    """The keys of one agent: `assertion` sign what it says of itself, to `holder` its tokens are bound.

    With its `certificates` it authenticates, and no authority has to say whose they are.
    """

    assertion: KeySet = _NONE
    holder: KeySet = _NONE
    certificates: tuple[Certificate, ...] = ()

    @property
    def thumbprints(self) -> frozenset[str]:
        """Of all of them."""
        in_sets = frozenset(key.thumbprint for keys in (self.assertion, self.holder) for key in keys)
        return in_sets | self.certificate_keys

    @property
    def certificate_keys(self) -> frozenset[str]:
        """Thumbprints of the keys in the certificates."""
        return frozenset[str]().union(*(certificate.key_thumbprints for certificate in self.certificates))


def load_agent_keys(settings: Settings) -> Mapping[str, AgentKeys]:
    """The keys of each agent that has some, by its id. Raises: ConfigurationError, naming the file at fault.

    A key that two parties hold makes each of them the other: an agent's key is its own. For what it uses its own is its
    affair.
    """
    found: dict[str, AgentKeys] = {}
    seen: set[str] = set()
    for agent in settings.agents:
        files = [path for path in (agent.jwks_file, agent.holder_jwks_file) if path is not None]
        if not files and agent.certificate_file is None:
            continue
        read = {path: _read_key_set(path, agent.id) for path in files}
        keys = AgentKeys(
            assertion=_NONE if agent.jwks_file is None else read[agent.jwks_file],
            holder=_NONE if agent.holder_jwks_file is None else read[agent.holder_jwks_file],
            certificates=() if agent.certificate_file is None else _read_certificates(agent.certificate_file, agent.id),
        )
        if agent.certificate_file is not None and keys.certificate_keys & seen:
            raise unusable_file(agent.certificate_file, "a certificate is for a key of another agent", _OWN_KEY)
        for path, key_set in read.items():
            if any(key.thumbprint in seen for key in key_set):
                raise unusable_key_set(path, "the key set holds a key of another agent", _OWN_KEY)
        seen |= keys.thumbprints
        found[agent.id] = keys
    return found


def _read_key_set(path: Path, agent_id: str) -> KeySet:
    remedy = f"Save the public keys of {agent_id} there, as a JWK set."
    keys = read_key_set(path, of="an agent", max_bytes=_MAX_BYTES, when_unread=remedy, when_unusable=remedy)
    if not len(keys):
        raise unusable_key_set(path, "the key set holds no signature key", remedy)
    return keys


def _read_certificates(path: Path, agent_id: str) -> tuple[Certificate, ...]:
    remedy = f"Save the certificate of {agent_id} there, as PEM, and beside it the one that replaces it."
    certificates = read_certificates(path, remedy)
    if len(certificates) > _MAX_CERTIFICATES:
        raise unusable_file(path, f"there are more than {_MAX_CERTIFICATES} certificates", remedy)
    return certificates
