"""What verification proves, as a value. It says who and what; it never says that a call is allowed."""

from dataclasses import dataclass
from enum import StrEnum

from tokensvc.core.chain import GrantChain
from tokensvc.core.scope import ScopeSet, parse_scope, render_scope
from tokensvc.errors import AccessDenied, Malformed, Reason
from tokensvc.verify.expectation import Evidence

__all__ = ["UncheckedStep", "VerifiedToken"]


class UncheckedStep(StrEnum):
    """A check that was not made, by the caller's explicit choice."""

    REVOCATION = "revocation"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """A token whose every check passed, those in `not_performed` excepted.

    `sub` is the originating user, `actors` the agents with the current one first (the same as `client_id`). `audience`
    is the one resource the token is for, or the issuer for an exchange-only token. Times in epoch seconds.
    """

    iss: str
    sub: str
    actors: tuple[str, ...]
    audience: str
    scope: ScopeSet
    iat: int
    exp: int
    jti: str
    chain: GrantChain
    root_evidence: Evidence
    hop_evidence: tuple[Evidence, ...]
    not_performed: frozenset[UncheckedStep]

    @property
    def actor(self) -> str:
        """The current actor: the agent the token was issued to."""
        return self.actors[0]

    @property
    def lineage(self) -> str:
        """The root's `jti`: what everything below one start has in common."""
        return self.chain.root.jti

    @property
    def depth(self) -> int:
        """How many hops the chain has; 1 for the first agent."""
        return len(self.chain.hops)

    @property
    def is_exchange_only(self) -> bool:
        """True for a token that is good for nothing but the token endpoint."""
        return self.audience == self.iss

    def require(self, *, scope: str) -> None:
        """Return when the token carries every scope of `scope` (separated by single spaces).

        Raises: AccessDenied (`insufficient_scope`), also for any exchange-only token and for a `scope` that is none.
        """
        try:
            needed = parse_scope(scope)
        except Malformed as exc:
            raise AccessDenied(Reason.INSUFFICIENT_SCOPE, "the required scope does not parse") from exc
        if self.is_exchange_only:
            raise AccessDenied(Reason.INSUFFICIENT_SCOPE, "an exchange-only token allows no call")
        if not needed <= self.scope:
            raise AccessDenied(
                Reason.INSUFFICIENT_SCOPE, "the token does not carry the required scope", scope=render_scope(needed)
            )
