"""The keys of all whose tokens are taken (`Publisher`): pinned in files, or fetched and kept fresh.

One key speaks for one issuer only. An issuer goes by its `iss` here, a trust domain by `spiffe://DOMAIN`.
Authorities are issuers here too, by names of their own: the keys of their roots are not those of any login.

A key that this service signs with is no issuer's. One that two of them publish belongs to the one whose
keys are in a file, else to the one that had it first: an issuer that copies the key set of another one, which is
public, must not be able to put that one out of service. Nor must an agent: a key of an issuer is not the agent's.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import printable
from tokensvc.exchange.parties import AuthorityKeys
from tokensvc.verify.jwks_refresh import RefreshedKeys

__all__ = ["UpstreamKeys"]

_log: Final = logging.getLogger(__name__)


class UpstreamKeys:
    """Public keys by issuer and `kid`.

    `pinned` are key sets by `iss`. `fetched` keeps those of the other issuers, and may go on while this is made anew.
    `own` tells the keys that this service signs with, now.
    """

    __slots__ = ("_fetched", "_own", "_pinned", "_told")

    def __init__(
        self,
        *,
        pinned: Mapping[str, KeySet],
        fetched: RefreshedKeys | None = None,
        own: Callable[[], Iterable[PublicKey]],
    ) -> None:
        self._pinned = dict(pinned)
        self._fetched = fetched
        self._own = own
        self._told: set[tuple[str, str]] = set()

    def of(self, iss: str) -> AuthorityKeys:
        """The keys of that issuer."""
        return _KeysOf(self, iss)

    def of_agent(self, agent_id: str, keys: KeySet) -> Iterable[PublicKey]:
        """Those of an agent's `keys` that are no identity provider's, each time that they are gone through.

        What is fetched shows late that a key is a provider's. It stays that: the provider, and not the agent, has to
        have published it.
        """
        return _KeysOfAgent(self, agent_id, keys)

    def is_agents(self, agent_id: str, key: PublicKey) -> bool:
        """True unless the agent's `key` stands in a set of an identity provider."""
        pinned = (iss for iss, keys in self._pinned.items() if _has(keys, key.thumbprint))
        fetched = None if self._fetched is None else self._fetched.holder_of(key.thumbprint)
        holder = next(pinned, fetched)
        if holder is not None:
            self._tell(logging.ERROR, f"the agent {agent_id}", key, holder)
        return holder is None

    async def find(self, iss: str, kid: str) -> PublicKey | None:
        """The key of that issuer and `kid`, or None, also for one that is another's.

        A set that is missing, or lacks `kid`, is waited for within the bounds of `RefreshedKeys`. Raises: Unavailable.
        """
        if iss in self._pinned:
            key = self._pinned[iss].find(kid)
        elif self._fetched is not None:
            key = await self._fetched.look_up(iss, kid)
        else:
            key = None
        return self._own_of(iss, key)

    def known(self, iss: str, kid: str) -> PublicKey | None:
        """As `find`, of what is at hand; it never waits. Raises: Unavailable."""
        if iss in self._pinned:
            return self._own_of(iss, self._pinned[iss].find(kid))
        return None if self._fetched is None else self._own_of(iss, self._fetched.find(iss, kid))

    def _own_of(self, iss: str, key: PublicKey | None) -> PublicKey | None:
        """`key`, unless it is another's."""
        holder = None if key is None else self._other_holder(iss, key.thumbprint)
        if key is None or holder is None:
            return key
        self._tell(logging.WARNING, iss, key, holder)
        return None

    def _other_holder(self, iss: str, thumbprint: str) -> str | None:
        """Whose key it is, when it is not that issuer's."""
        if _has(self._own(), thumbprint):
            return "this token service"
        for other, keys in self._pinned.items():
            if other != iss and _has(keys, thumbprint):
                return other
        if iss in self._pinned or self._fetched is None:
            return None
        holder = self._fetched.holder_of(thumbprint)
        return None if holder == iss else holder

    def _tell(self, level: int, whose: str, key: PublicKey, holder: str) -> None:
        # Once for each key: every token signed with it comes by here.
        if (whose, key.thumbprint) not in self._told:
            self._told.add((whose, key.thumbprint))
            names = printable(key.kid), printable(whose), printable(holder)
            _log.log(level, "key %s of %s not used: it is a key of %s", *names)


@dataclass(frozen=True, slots=True)
class _KeysOf:
    """Implements `parties.AuthorityKeys`."""

    keys: UpstreamKeys
    iss: str

    async def find(self, kid: str) -> PublicKey | None:
        return await self.keys.find(self.iss, kid)

    def known(self, kid: str) -> PublicKey | None:
        return self.keys.known(self.iss, kid)


@dataclass(frozen=True, slots=True, eq=False)
class _KeysOfAgent:
    """Implements `parties.Agent.keys`."""

    keys: UpstreamKeys
    agent_id: str
    registered: KeySet

    def __iter__(self) -> Iterator[PublicKey]:
        return (key for key in self.registered if self.keys.is_agents(self.agent_id, key))


def _has(keys: Iterable[PublicKey], thumbprint: str) -> bool:
    return any(key.thumbprint == thumbprint for key in keys)
