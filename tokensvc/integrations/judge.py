"""The verdict on the credentials of one call, for every adapter: a verified token, or the answer to give instead."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tokensvc.integrations.bearer import Answer, Headers, parse_bearer, render_refusal
from tokensvc.integrations.resource_metadata import require_http_url
from tokensvc.ports import Clock
from tokensvc.verify import Expectation, KeySource, Revocations, VerifiedToken
from tokensvc.verify.cached import CachedVerifier

__all__ = ["BearerJudge", "system_clock"]


def system_clock() -> int:
    """The time of this machine, in whole epoch seconds."""
    return int(time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerJudge:
    """The terms on which a resource server takes Bearer tokens.

    `revocations` may be a function that gives the current view. `resource_metadata` is the URL that challenges name
    (RFC 9728 s5.1). Raises: ValueError for terms that cannot be meant.
    """

    keys: KeySource
    expect: Expectation
    revocations: Revocations | Callable[[], Revocations]
    resource_metadata: str
    clock: Clock
    # A client sends its token with every call.
    _verifier: CachedVerifier = field(default_factory=CachedVerifier, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what would break a header, or let in tokens that are not for a resource."""
        require_http_url("resource_metadata", self.resource_metadata)
        if self.expect.audiences & self.expect.issuers:
            raise ValueError("an issuer is no audience here: it would let in tokens for the token endpoint")

    def judge(self, headers: Headers, *, scope: str | None) -> VerifiedToken | Answer:
        """The one Bearer token of `headers`, verified and carrying `scope`; else the answer. Raises nothing."""
        try:
            token = parse_bearer(headers)
            if token is None:
                return self.refuse(None, scope=scope)
            revocations = self.revocations() if callable(self.revocations) else self.revocations
            verified = self._verifier.verify_token(
                token, keys=self.keys, expect=self.expect, now=self.clock(), revocations=revocations
            )
            if scope is not None:
                verified.require(scope=scope)
        except Exception as exc:  # noqa: BLE001 - whatever it is, there is no verdict, so there is no call
            return self.refuse(exc, scope=scope)
        return verified

    def refuse(self, exc: Exception | None, *, scope: str | None) -> Answer:
        """The answer for whatever stopped a call (`bearer.render_refusal`)."""
        return render_refusal(exc, resource_metadata=self.resource_metadata, scope=scope)
