"""What verification proves, as a value. It says who and what; it never says that a call is allowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tokensvc.core.chain import GrantChain
from tokensvc.core.details import Details, admits_call
from tokensvc.core.entry import Evidence
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import ScopeGrammar, ScopeSet, parse_scope, render_scope, scope_covers
from tokensvc.errors import AccessDenied, Malformed, Reason

__all__ = ["UncheckedStep", "VerifiedToken"]


class UncheckedStep(StrEnum):
    """A check that was not made, by the caller's explicit choice."""

    REVOCATION = "revocation"
    EXPIRY = "expiry"
    HOLDER = "holder"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """A token whose every check passed, those in `not_performed` excepted.

    `sub` is the originating user, `actors` the agents with the current one first (the same as `client_id`). `audience`
    is the one resource the token is for, or the issuer for an exchange-only token. `details` are the tools and
    arguments it grants. `cnf` is the key it is bound to, as (member, value), if it is. Times in epoch seconds.
    """

    iss: str
    sub: str
    actors: tuple[str, ...]
    audience: str
    scope: ScopeSet
    grammar: ScopeGrammar
    details: Details
    iat: int
    exp: int
    jti: str
    cnf: tuple[str, str] | None
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

    def revocables(self) -> tuple[Revocable, ...]:
        """Everything whose revocation kills this token."""
        return self.chain.revocables(iss=self.iss, sub=self.sub, key=None if self.cnf is None else self.cnf[1])

    def require(
        self, *, scope: str | None = None, tool: str | None = None, arguments: Mapping[str, JsonValue] | None = None
    ) -> None:
        """Return when the token carries every scope of `scope`, and one of its details admits the call of `tool`.

        `scope` is separated by single spaces; `arguments` are those of the call of `tool`, none by default. Of the
        details only those count that have no `locations` or name the audience, and one has to admit the whole call.
        Raises: AccessDenied (`insufficient_scope`, `argument_denied`), also for any exchange-only token and for what
        does not parse; TypeError when nothing is asked.
        """
        if scope is None and tool is None:
            raise TypeError("say what the call needs: scope, tool, or both")
        if tool is None and arguments is not None:
            raise TypeError("arguments are those of a tool")
        if self.is_exchange_only:
            raise AccessDenied(Reason.INSUFFICIENT_SCOPE, "an exchange-only token allows no call")
        if scope is not None:
            self._require_scope(scope)
        if tool is not None:
            self._require_tool(tool, {} if arguments is None else arguments)

    def _require_scope(self, scope: str) -> None:
        try:
            needed = parse_scope(scope)
        except Malformed as exc:
            raise AccessDenied(Reason.INSUFFICIENT_SCOPE, "the required scope does not parse") from exc
        if not scope_covers(self.scope, needed, self.grammar):
            raise AccessDenied(
                Reason.INSUFFICIENT_SCOPE, "the token does not carry the required scope", scope=render_scope(needed)
            )

    def _require_tool(self, tool: str, arguments: Mapping[str, JsonValue]) -> None:
        try:
            is_admitted = admits_call(self.details, tool=tool, arguments=arguments, audience=self.audience)
        except Malformed as exc:
            raise AccessDenied(Reason.ARGUMENT_DENIED, "the call cannot be judged: " + exc.description) from exc
        if not is_admitted:
            raise AccessDenied(Reason.ARGUMENT_DENIED, "the token does not grant this tool with these arguments")
