"""The keys that the service's own tokens are verified with: its own, and for their roots those of the authorities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import OAuthRefused, TokenRefused, Unavailable
from tokensvc.exchange.parties import Authority
from tokensvc.verify import KeySource

__all__ = ["ChainKeys", "judge_with"]

_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class ChainKeys:
    """Implements `KeySource`, for one verification: never waits, and remembers which key of an authority it lacked."""

    issuer: str
    own: KeySet
    authorities: Mapping[str, Authority]
    _lacked: tuple[Authority, str] | None = field(default=None, init=False)

    def find(self, iss: str, kid: str) -> PublicKey | None:
        """The key of this service or of an authority, as far as it is at hand."""
        if iss == self.issuer:
            return self.own.find(kid)
        authority = self.authorities.get(iss)
        if authority is None:
            return None
        try:
            key = authority.keys.known(kid)
        except Unavailable:
            key = None
        if key is None:
            self._lacked = authority, kid
        return key

    async def obtain(self) -> bool:
        """Wait for the key that was lacked; True when it is at hand now. Raises: Unavailable when it cannot be told."""
        if self._lacked is None:
            return False
        authority, kid = self._lacked
        return await authority.keys.find(kid) is not None


async def judge_with(keys: ChainKeys, judge: Callable[[KeySource], _T]) -> _T:
    """What `judge` says by `keys`; once more where it refused for want of an authority's key that could be fetched.

    Only below the service's own signature is an authority's key asked for: no stranger causes a fetch.
    Raises: what `judge` raises; Unavailable.
    """
    try:
        return judge(keys)
    except (TokenRefused, OAuthRefused):
        if not await keys.obtain():
            raise
    return judge(keys)
