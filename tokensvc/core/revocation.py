"""What can be revoked, and when a revocation hits a chain. One rule for the service's store and for offline verifiers.

Every entry of a grant chain carries its own `jti`, so cascade needs no graph: an entry revoked is every descendant
revoked. `user`, `actor` and `issuer` are revoked up to a moment, so that they may start afresh afterwards.
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Revocable", "Revocation", "RevocationKind"]


class RevocationKind(StrEnum):
    """What a revocation names."""

    ENTRY = "entry"
    """A root (the whole lineage) or a hop, by its `jti`. Has no time."""
    KEY = "key"
    """A holder key, by its RFC 7638 thumbprint. Has no time."""
    USER = "user"
    ACTOR = "actor"
    ISSUER = "issuer"
    SUBJECT_TOKEN = "subject_token"
    """A user's token, by its SHA-256: it starts no delegation any more. Has no time, and is never in a chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocable:
    """One thing a chain depends on. `iat` (epoch seconds) is what a revocation's not-before is compared with."""

    kind: RevocationKind
    id: str
    iat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A revocation in force. `not_before` is None for the kinds without a time; `until` says when it may be forgotten.

    Both are epoch seconds; `until` None means never.
    """

    kind: RevocationKind
    id: str
    not_before: int | None
    until: int | None

    def hits(self, revocable: Revocable) -> bool:
        """True when `revocable` is dead by this: same kind and id, and issued at or before the not-before."""
        if (self.kind, self.id) != (revocable.kind, revocable.id):
            return False
        return self.not_before is None or revocable.iat <= self.not_before
