"""Where a verifier gets public keys from. Nothing that a token names is ever fetched."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from tokensvc.core.keyset import KeySet, PublicKey

__all__ = ["KeySource", "StaticKeys"]


class KeySource(Protocol):
    """Public keys by issuer and `kid`, both: two issuers may use one `kid`."""

    def find(self, iss: str, kid: str) -> PublicKey | None:
        """The key of that issuer, or None. Raises: Unavailable when it cannot be told."""
        ...


class StaticKeys:
    """Key sets that are given once, one for each issuer."""

    __slots__ = ("_by_issuer",)

    def __init__(self, by_issuer: Mapping[str, KeySet]) -> None:
        self._by_issuer = MappingProxyType(dict(by_issuer))

    def find(self, iss: str, kid: str) -> PublicKey | None:
        """The key of that issuer and `kid`, or None."""
        keys = self._by_issuer.get(iss)
        return None if keys is None else keys.find(kid)
