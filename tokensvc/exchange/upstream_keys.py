"""The keys of all identity providers: pinned in files, or fetched and kept fresh. One key speaks for one issuer only.

A key that this service or an agent signs with is no identity provider's. One that two providers publish belongs to the
one whose keys are in a file, else to the one that stands first in the configuration: a provider that copies the key set
of another one, which is public, must not be able to put that one out of service.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import printable
from tokensvc.exchange.parties import IssuerKeys
from tokensvc.verify.jwks_refresh import RefreshedKeys

__all__ = ["UpstreamKeys"]

_log: Final = logging.getLogger(__name__)


class UpstreamKeys:
    """Public keys by issuer and `kid`.

    `pinned` are key sets by `iss`. `fetched` keeps those of the other issuers in `order`, and may go on while this is
    made anew; of two, the one that stands first keeps a key. `own` tells the keys that this service signs with, now;
    `agents` are those of its agents.
    """

    __slots__ = ("_agents", "_fetched", "_order", "_own", "_pinned", "_told")

    def __init__(
        self,
        *,
        pinned: Mapping[str, KeySet],
        fetched: RefreshedKeys | None = None,
        order: Sequence[str] = (),
        own: Callable[[], Iterable[PublicKey]],
        agents: Iterable[PublicKey] = (),
    ) -> None:
        self._pinned = dict(pinned)
        self._fetched = fetched
        self._order = tuple(order)
        self._own = own
        self._agents = frozenset(key.thumbprint for key in agents)
        self._told: set[tuple[str, str]] = set()

    def of(self, iss: str) -> IssuerKeys:
        """The keys of that issuer."""
        return _KeysOf(self, iss)

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
        holder = None if key is None else self._other_holder(iss, key.thumbprint)
        if key is None or holder is None:
            return key
        self._tell(iss, key, holder)
        return None

    def _other_holder(self, iss: str, thumbprint: str) -> str | None:
        """Whose key it is, when it is not that issuer's."""
        if _has(self._own(), thumbprint):
            return "this token service"
        if thumbprint in self._agents:
            return "an agent"
        for other, keys in self._pinned.items():
            if other != iss and _has(keys, thumbprint):
                return other
        if iss in self._pinned or self._fetched is None:
            return None
        before = self._order[: self._order.index(iss)]
        return next((other for other in before if self._fetched.holds(other, thumbprint)), None)

    def _tell(self, iss: str, key: PublicKey, holder: str) -> None:
        # Once for each key: every token signed with it comes by here.
        if (iss, key.thumbprint) not in self._told:
            self._told.add((iss, key.thumbprint))
            _log.warning(
                "key %s of %s not used: it is a key of %s", printable(key.kid), printable(iss), printable(holder)
            )


@dataclass(frozen=True, slots=True)
class _KeysOf:
    """Implements `parties.IssuerKeys`."""

    keys: UpstreamKeys
    iss: str

    async def find(self, kid: str) -> PublicKey | None:
        return await self.keys.find(self.iss, kid)


def _has(keys: Iterable[PublicKey], thumbprint: str) -> bool:
    return any(key.thumbprint == thumbprint for key in keys)
