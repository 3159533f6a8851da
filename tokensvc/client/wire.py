"""Requests and answers as values. Operations are generators over them that do no I/O: `transport` drives them."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

from tokensvc.client.errors import AnswerMalformed
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.errors import Malformed, printable

__all__ = ["MAX_BYTES", "HttpReply", "HttpRequest", "Steps", "host_of"]

# A token is 16 KiB at most; metadata that lists a thousand scopes is less than this.
MAX_BYTES: Final = 256 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What to send, `after_s` seconds from now. `form` is the body, form-encoded; None: there is none."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str | list[str]] | None = field(default=None, repr=False)
    after_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    def json(self) -> Mapping[str, JsonValue]:
        """The JSON object in the body. Raises: AnswerMalformed."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise AnswerMalformed(f"the answer ({self.status}) is not application/json")
        try:
            return parse_json_object(self.body)
        except Malformed as exc:
            # `from None`: what does not parse may still hold a token.
            raise AnswerMalformed(f"the answer ({self.status}) is no JSON object: {exc.description}") from None

    def retry_after_s(self, now: float) -> float | None:
        """What Retry-After says (RFC 9110 s10.2.3), in seconds from `now`; None where it says nothing."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            # The second for a time zone of so many digits.
            return None
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


Steps = Generator[HttpRequest, HttpReply, _T]
"""An operation: it yields requests, is sent the answers, and returns what they came to."""


def host_of(url: str) -> str:
    """Scheme, host and port, for a message."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc}")
