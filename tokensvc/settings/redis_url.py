"""The URL of a Redis server: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, `rediss://` for TLS."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

__all__ = ["REDIS_SCHEMES", "RedisUrl", "parse_redis_url"]

REDIS_SCHEMES: Final = ("redis://", "rediss://")

_DEFAULT_PORT: Final = 6379
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
# As many databases as anybody configures; Redis has 16 unless told otherwise.
_DB: Final = re.compile(r"/?|/(?:0|[1-9][0-9]{0,4})")
# Percent signs are those of escapes; the characters that end the part or the URL must be escaped (RFC 3986 s3.2.1).
_PART: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """Where a Redis server is, and as whom to talk to it. `str()` of it has no password."""

    host: str
    port: int
    db: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool

    def __str__(self) -> str:
        """The URL with `***` for a password."""
        user = self.username or ""
        secret = "" if self.password is None else ":***"
        host = f"[{self.host}]" if ":" in self.host else self.host
        at = "@" if user or secret else ""
        return f"redis{'s' if self.tls else ''}://{user}{secret}{at}{host}:{self.port}/{self.db}"


def parse_redis_url(text: str) -> RedisUrl:
    """The parts of the URL, user and password unescaped. Raises: ValueError that repeats nothing of it."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("it is no URL") from None
    host = url.hostname or ""
    if _HOST.fullmatch(host) is None or port == 0 or not (text.isascii() and text.isprintable()):
        raise ValueError("it has no host and port")
    if _DB.fullmatch(url.path) is None or "?" in text or "#" in text:
        raise ValueError("what follows the port is not the number of a database")
    return RedisUrl(
        host=host,
        port=_DEFAULT_PORT if port is None else port,
        db=int(url.path[1:] or 0),
        username=_unescape(url.username or None),
        password=_unescape(url.password or None),
        tls=url.scheme == "rediss",
    )


def _unescape(part: str | None) -> str | None:
    if part is None:
        return None
    if _PART.fullmatch(part) is None:
        raise ValueError("user or password holds a character that has to be escaped")
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("user or password is not UTF-8") from None
    if not text.isprintable():
        raise ValueError("user or password holds a character that is not printable")
    return text
