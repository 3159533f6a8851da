"""What can go wrong for an agent. No text here holds a token, a secret or a key."""

from tokensvc.errors import TokensvcError, printable

__all__ = [
    "AnswerMalformed",
    "ClientAuthenticationFailed",
    "ExchangeRefused",
    "HolderKeyUnknown",
    "ServiceUnavailable",
    "TokenWithheld",
]


class ExchangeRefused(TokensvcError):
    """The token service said no (RFC 6749 s5.2), and will again: do not repeat the request as it is.

    `error` is the OAuth code, `reason` the stable code to match on (docs/errors.md) or None, `record` what the operator
    looks the decision up by, `status` that of HTTP.
    """

    def __init__(
        self, *, error: str, reason: str | None, description: str, record: str | None = None, status: int = 400
    ) -> None:
        super().__init__(description)
        self.error = printable(error)
        self.reason = None if reason is None else printable(reason)
        self.record = None if record is None else printable(record)
        self.status = status

    def __str__(self) -> str:
        """The codes and the safe text."""
        code = self.error if self.reason is None else f"{self.error} ({self.reason})"
        return f"{code}: {self.description}"


class ClientAuthenticationFailed(ExchangeRefused):
    """The token service does not take the agent's own credentials (`invalid_client`)."""


class ServiceUnavailable(TokensvcError):
    """No decision: 503, an error of the server, no answer in time, no connection. Nothing that you saw was issued.

    `retry_after_s` is what the service asked to wait, None where it said nothing.
    """

    def __init__(self, description: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(description)
        self.retry_after_s = retry_after_s


class AnswerMalformed(TokensvcError):
    """An answer that is not one of a token endpoint, or not to what was asked. Nothing in it is used."""


class HolderKeyUnknown(TokensvcError):
    """The agent that is to get a signed grant has no holder key, or none that this agent is told of."""


class TokenWithheld(TokensvcError):
    """A request to another origin than those of the lease's resource: the token was not sent, nor the request."""
