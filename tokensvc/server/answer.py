"""Answers in JSON: those that nobody may keep, and the public documents."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tokensvc.core.jsontext import JsonValue, render_json

__all__ = ["UNCACHED", "headers_of", "public_json", "uncached_json"]

UNCACHED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""RFC 6749 s5.1, on every answer of the endpoints and on every error."""

_JSON: Final = "application/json"
# How late a new signing key may be seen: the five minutes that a token lives.
_PUBLIC: Final = {"Cache-Control": "public, max-age=300"}


def headers_of(request: Request) -> Mapping[str, str]:
    """What the endpoint put down for whichever answer `request` gets."""
    headers: Mapping[str, str] = getattr(request.state, "headers", {})
    return headers


def uncached_json(body: JsonValue, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` for the asker alone."""
    return Response(render_json(body), status, {**UNCACHED, **(headers or {})}, media_type=_JSON)


def public_json(body: JsonValue) -> Response:
    """`body` for everybody."""
    return Response(render_json(body), 200, _PUBLIC, media_type=_JSON)
