"""What clients asked and what they were told, in the order of one clock: nothing else counts as acknowledged."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from tests.exchange.world import claims_of

__all__ = ["Attempt", "Journal", "Kind", "Token"]

TIMEOUT_S = 60


class Kind(StrEnum):
    """What was asked for."""

    START = "start"
    DELEGATE = "delegate"
    PICK_UP = "pick up"
    RENEW = "renew"
    NARROW = "narrow"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was answered, or asked with."""

    text: str = field(repr=False)

    @property
    def claims(self) -> Mapping[str, Any]:
        """Its claims, unverified."""
        return claims_of(self.text)

    @property
    def entries(self) -> list[str]:
        """The `jti` of each entry of its chain, the root first; none for a user's token."""
        return [entry["jti"] for entry in self.claims.get("grant_chain", ())]

    @property
    def sha256(self) -> str:
        """As the service names a user's token: without its signature."""
        return sha256(self.text.rpartition(".")[0].encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request. `sent` and `answered` are moments of the journal's clock.

    `status` is None where the connection was cut. Then, and with a 503, nobody knows what became of it. `revokes` is
    the entry that a revocation names; `assertion` what the client authenticated with, where it did so by its key.
    """

    kind: Kind
    client: str
    family: int
    subject: Token
    sent: int
    answered: int
    status: int | None
    body: Mapping[str, Any] = field(repr=False)
    revokes: str | None = None
    assertion: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        outcome = "cut" if self.status is None else f"{self.status} {self.reason or ''}".strip()
        below = f" below {self.subject.entries}" if self.subject.entries else ""
        ends = f" of {self.revokes}" if self.revokes else ""
        return f"{self.kind.value}{ends} by {self.client}{below}: {outcome}, from {self.sent} to {self.answered}"

    @property
    def is_granted(self) -> bool:
        return self.status == 200

    @property
    def is_unknown(self) -> bool:
        return self.status in {None, 503}

    @property
    def reason(self) -> str | None:
        reason: str | None = self.body.get("reason")
        return reason

    @property
    def token(self) -> Token:
        """What was issued."""
        return Token(self.body["access_token"])


class Journal:
    """All attempts, in the order in which their answers came."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self._now = 0
        self._acknowledged = 0
        self._changed = asyncio.Event()

    @property
    def acknowledged(self) -> int:
        """How many answers told what became of the request."""
        return self._acknowledged

    def tick(self) -> int:
        """The next moment."""
        self._now += 1
        return self._now

    def note(self, attempt: Attempt) -> Attempt:
        self.attempts.append(attempt)
        if not attempt.is_unknown:
            self._acknowledged += 1
        self._changed.set()
        return attempt

    @property
    def unknown(self) -> int:
        """How many did not: 503, or cut."""
        return len(self.attempts) - self._acknowledged

    async def reaches(self, *, acknowledged: int = 0, unknown: int = 0) -> None:
        """Return when there are so many of each; fail when that takes too long."""
        async with asyncio.timeout(TIMEOUT_S):
            while self.acknowledged < acknowledged or self.unknown < unknown:
                self._changed.clear()
                await self._changed.wait()

    def summary(self) -> str:
        """How many of each kind came to what."""
        counted = Counter((attempt.kind.value, attempt.status, attempt.reason) for attempt in self.attempts)
        return "\n".join(f"  {kind}: {status} {reason or ''} x {n}" for (kind, status, reason), n in counted.items())
