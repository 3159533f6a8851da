"""Where the endpoints are. The issuer may have a path: every endpoint is the issuer and what follows it.

A proxy in front passes paths on as they are. `/healthz` and `/readyz` belong to the process, not to the issuer: they
stand at the top whatever the issuer's path.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

__all__ = [
    "AGENTS",
    "INTROSPECT",
    "JWKS",
    "OPERATOR_REVOCATIONS",
    "REVOKE",
    "TOKEN",
    "Endpoint",
    "issuer_path",
    "metadata_paths",
]

Endpoint = Callable[[Request], Awaitable[Response]]

TOKEN = "/token"
INTROSPECT = "/introspect"
REVOKE = "/revoke"
OPERATOR_REVOCATIONS = "/operator/revocations"
AGENTS = "/agents/"
JWKS = "/.well-known/jwks.json"

_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"


def issuer_path(issuer: str) -> str:
    """The path of the issuer; empty where it has none."""
    return urlsplit(issuer).path


def metadata_paths(issuer: str) -> tuple[str, ...]:
    """Every path at which clients look for the metadata, each once.

    Inserted before the issuer's path (RFC 8414 s3.1) or appended to it (OpenID Connect Discovery s4), for both names.
    """
    path = issuer_path(issuer)
    candidates = (f"{_OAUTH}{path}", f"{path}{_OAUTH}", f"{_OPENID}{path}", f"{path}{_OPENID}")
    return tuple(dict.fromkeys(candidates))
