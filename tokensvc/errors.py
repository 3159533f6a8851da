"""Every exception of tokensvc, and the stable codes that callers and tests match on.

    TokensvcError
    |-- Malformed            bytes or values that break a grammar (JSON, JWS, scope, URI, claims)
    |-- TokenRefused         a token that did not pass verification
    |-- AccessDenied         a verified token that does not allow the call in question
    |-- KeyRefused           key material that must not be used
    |-- OAuthRefused         a request that is answered with an OAuth error
    |-- Unavailable          a store or key set that cannot answer: no token and no access
    `-- ConfigurationError   a setting that cannot be used; names file, key and remedy

`description` is safe for a stranger: ASCII, no token, no secret, no oracle. `detail` is for the operator's record only.
"""

import re
from enum import StrEnum
from typing import Final

__all__ = [
    "AccessDenied",
    "ConfigurationError",
    "KeyRefused",
    "Malformed",
    "OAuthError",
    "OAuthRefused",
    "Reason",
    "TokenRefused",
    "TokensvcError",
    "Unavailable",
    "printable",
]


class Reason(StrEnum):
    """Why something was refused. The values are part of the public interface and never change."""

    # Verification of a token, in the order of the steps.
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    UNTRUSTED_ISSUER = "untrusted_issuer"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_EXCEEDED = "lifetime_exceeded"
    WRONG_AUDIENCE = "wrong_audience"
    HOLDER_UNPROVEN = "holder_unproven"
    CHAIN_MISSING = "chain_missing"
    CHAIN_MISALIGNED = "chain_misaligned"
    ROOT_INVALID = "root_invalid"
    GRANT_INVALID = "grant_invalid"
    EVIDENCE_INSUFFICIENT = "evidence_insufficient"
    NOT_NARROWER = "not_narrower"
    NOT_PROPER = "not_proper"
    DEPTH_EXCEEDED = "depth_exceeded"
    TOKEN_EXCEEDS_GRANT = "token_exceeds_grant"
    REVOKED = "revoked"
    REVOCATION_STALE = "revocation_stale"
    # What a verified token allows.
    INSUFFICIENT_SCOPE = "insufficient_scope"
    ARGUMENT_DENIED = "argument_denied"
    # The exchange.
    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_INVALID = "parameter_invalid"
    PARAMETER_REPEATED = "parameter_repeated"
    PARAMETER_UNSUPPORTED = "parameter_unsupported"
    SUBJECT_TOKEN_INVALID = "subject_token_invalid"
    ACTOR_TOKEN_INVALID = "actor_token_invalid"
    ACTOR_REQUIRED = "actor_required"
    NOT_CURRENT_ACTOR = "not_current_actor"
    DELEGATEE_NOT_ALLOWED = "delegatee_not_allowed"
    LOOP = "loop"
    TARGET_NOT_ALLOWED = "target_not_allowed"
    SCOPE_MISSING = "scope_missing"
    ROOT_EXCEEDED = "root_exceeded"
    CEILING_EXCEEDED = "ceiling_exceeded"
    REPLAYED = "replayed"
    # Ours to mend: the answer is 503.
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


class OAuthError(StrEnum):
    """`error` values of RFC 6749 s5.2, RFC 8693 s2.2.2, RFC 9396 s5 and RFC 7009 s2.2.1."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


# What RFC 6749 s5.2 leaves to an error_description: printable ASCII without the quotation mark and the backslash.
_UNPRINTABLE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def printable(text: str, *, max_length: int = 300) -> str:
    """`text` cut to the characters that an `error_description` may hold (RFC 6749 s5.2), anything else as `?`."""
    shown = _UNPRINTABLE.sub("?", text[: max_length + 1])
    return shown if len(shown) <= max_length else shown[:max_length] + "..."


class TokensvcError(Exception):
    """The root of the tree. `description` may be shown to anybody."""

    def __init__(self, description: str) -> None:
        """Keep a copy of `description` that is safe to put into a header or a log line."""
        self.description = printable(description)
        super().__init__(self.description)


class _Reasoned(TokensvcError):
    """An error with a stable `reason` and a `detail` for the operator."""

    def __init__(self, reason: Reason, description: str, *, detail: str = "") -> None:
        super().__init__(description)
        self.reason = reason
        self.detail = printable(detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.description}"


class Malformed(TokensvcError):
    """Input that breaks a grammar. `reason` is `malformed`, or `too_large` where a size was the fault."""

    def __init__(self, description: str, *, reason: Reason = Reason.MALFORMED) -> None:
        """`description` names the rule that was broken, not the input."""
        super().__init__(description)
        self.reason = reason


class TokenRefused(_Reasoned):
    """A token that did not pass verification; `reason` is the first check that failed."""


class AccessDenied(_Reasoned):
    """A verified token that does not allow the call in question (RFC 6750 s3.1, insufficient_scope).

    `scope` is what the call needs, for the challenge that asks the client to come back with more; None: nothing helps.
    """

    def __init__(self, reason: Reason, description: str, *, detail: str = "", scope: str | None = None) -> None:
        super().__init__(reason, description, detail=detail)
        self.scope = scope


class KeyRefused(TokensvcError):
    """Key material that must not be used: weak, of another kind than its algorithm, private where public is due."""


class OAuthRefused(TokensvcError):
    """A request answered with an OAuth error. `reason` is absent where it would tell a stranger too much.

    `detail` goes to the operator's record and never into the answer; `record` is the id of that record, once there is.
    """

    def __init__(
        self, error: OAuthError, reason: Reason | None, description: str, *, detail: str = "", record: str | None = None
    ) -> None:
        super().__init__(description)
        self.error = error
        self.reason = reason
        self.detail = printable(detail)
        self.record = record

    def __str__(self) -> str:
        """The codes and the safe text."""
        return f"{self.error} ({self.reason}): {self.description}"

    def recorded_as(self, record: str) -> "OAuthRefused":
        """The same refusal, naming its record."""
        return OAuthRefused(self.error, self.reason, self.description, detail=self.detail, record=record)


class Unavailable(TokensvcError):
    """A store or key set that cannot answer. The answer is 503 and nothing is issued."""


class ConfigurationError(TokensvcError):
    """A setting that cannot be used."""

    def __init__(self, problem: str, *, file: str, key: str, remedy: str) -> None:
        """`file` and `key` say where, `remedy` says what to do."""
        super().__init__(problem)
        self.file = file
        self.key = key
        self.remedy = remedy

    def __str__(self) -> str:
        """One line for the terminal: where, what, and the remedy."""
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.description}. {self.remedy}"
