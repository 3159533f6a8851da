"""What a call can be refused with, for the OpenAPI document of an app."""

from typing import Any, Final

__all__ = ["refusal_responses"]

_MEMBERS: Final = ("error", "error_description", "reason")
_CHALLENGE: Final = {
    "WWW-Authenticate": {"schema": {"type": "string"}, "description": "RFC 6750 s3, RFC 9449 s7.1, RFC 9728 s5.1"}
}
_RETRY: Final = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}


def refusal_responses() -> dict[int | str, dict[str, Any]]:
    """What a call can be refused with, for `responses=` of an app, a router or a route."""
    properties = {name: {"type": "string"} for name in _MEMBERS}
    detail = {"type": "object", "properties": properties}
    schema = {"type": "object", "properties": {"detail": detail}, "required": ["detail"]}
    content = {"application/json": {"schema": schema}}
    described = {
        400: ("More than one Authorization or DPoP header", _CHALLENGE),
        401: ("No token, or one that does not verify, or without the proof of its key", _CHALLENGE),
        403: ("The token does not allow this call", _CHALLENGE),
        503: ("The token cannot be verified at the moment", _RETRY),
    }
    return {
        status: {"description": description, "headers": {**headers}, "content": content}
        for status, (description, headers) in described.items()
    }
