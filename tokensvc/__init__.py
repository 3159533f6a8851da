"""tokensvc: OAuth tokens for agents that prove, hop by hop, that authority only shrank. Here: the verifier."""

from tokensvc.errors import AccessDenied, Reason, TokenRefused, TokensvcError, Unavailable
from tokensvc.verify import (
    Evidence,
    Expectation,
    KeySet,
    KeySource,
    LifetimeOnly,
    RevocationList,
    RevocationView,
    StaticKeys,
    VerifiedToken,
    parse_jwks,
    verify_token,
)

__all__ = [
    "AccessDenied",
    "Evidence",
    "Expectation",
    "KeySet",
    "KeySource",
    "LifetimeOnly",
    "Reason",
    "RevocationList",
    "RevocationView",
    "StaticKeys",
    "TokenRefused",
    "TokensvcError",
    "Unavailable",
    "VerifiedToken",
    "parse_jwks",
    "verify_token",
]
