"""The exchange request as a value (RFC 8693 s2.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tokensvc.core.chain import HARD_MAX_DEPTH
from tokensvc.errors import OAuthError, OAuthRefused, Reason

__all__ = [
    "ACCESS_TOKEN_TYPE",
    "GRANT_TYPE",
    "ID_TOKEN_TYPE",
    "JWT_TYPE",
    "ExchangeRequest",
    "Form",
    "parse_exchange_request",
    "require_single",
]

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:id_token"

Form = Mapping[str, tuple[str, ...]]
"""A form's parameters in order of arrival, those with an empty value left out (RFC 6749 s3.2)."""

_REPEATABLE: Final = frozenset({"resource", "audience"})
_TOKEN_TYPES: Final = frozenset({ACCESS_TOKEN_TYPE, JWT_TYPE})
_DEPTHS: Final = frozenset(map(str, range(1, HARD_MAX_DEPTH + 1)))
# Seconds in decimal, no sign, no leading zero; the longest delegation is far below a million seconds.
_LIFETIME: Final = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """What an authenticated client asks for. `resource` and `audience` in order of arrival; lifetime in seconds.

    `requested_max_depth` is the highest hop index that may ever stand below the new hop. `delegation_grant` is that hop
    as its delegator signed it, a compact JWS.

    `scope` and `authorization_details` are texts as they came: what is wrong with them is told with what they ask for.
    """

    subject_token: str = field(repr=False)
    subject_token_type: str
    issued_token_type: str
    resource: tuple[str, ...]
    audience: tuple[str, ...]
    actor_token: str | None = field(repr=False)
    scope: str | None
    authorization_details: str | None
    requested_actor: str | None
    requested_lifetime_s: int | None
    requested_max_depth: int | None
    delegation_grant: str | None = field(default=None, repr=False)


def require_single(form: Form, *, repeatable: frozenset[str] = _REPEATABLE) -> None:
    """Refuse a form that gives a parameter twice (RFC 6749 s3.2). Raises: OAuthRefused (`parameter_repeated`)."""
    for name, values in form.items():
        if len(values) > 1 and name not in repeatable:
            raise _invalid(Reason.PARAMETER_REPEATED, f"the parameter {name} stands more than once")


def parse_exchange_request(form: Form) -> ExchangeRequest:
    """The request that `form` says. Unknown parameters are ignored (RFC 6749 s3.2).

    Raises: OAuthRefused (`unsupported_grant_type`, `invalid_request`).
    """
    grant_type = _required(form, "grant_type")
    if grant_type != GRANT_TYPE:
        raise OAuthRefused(OAuthError.UNSUPPORTED_GRANT_TYPE, None, f"the only grant_type here is {GRANT_TYPE}")
    subject_token = _required(form, "subject_token")
    subject_token_type = _required(form, "subject_token_type")
    # A user's token of an identity provider may be an ID token.
    if subject_token_type != ID_TOKEN_TYPE:
        _require_token_type(subject_token_type, "subject_token_type")
    issued_token_type = _optional(form, "requested_token_type") or ACCESS_TOKEN_TYPE
    _require_token_type(issued_token_type, "requested_token_type")
    return ExchangeRequest(
        subject_token=subject_token,
        subject_token_type=subject_token_type,
        issued_token_type=issued_token_type,
        resource=form.get("resource", ()),
        audience=form.get("audience", ()),
        actor_token=_parse_actor_token(form),
        scope=_optional(form, "scope"),
        authorization_details=_optional(form, "authorization_details"),
        requested_actor=_optional(form, "requested_actor"),
        requested_lifetime_s=_parse_lifetime(_optional(form, "requested_lifetime_s")),
        requested_max_depth=_parse_depth(_optional(form, "requested_max_depth")),
        delegation_grant=_optional(form, "delegation_grant"),
    )


def _optional(form: Form, name: str) -> str | None:
    values = form.get(name)
    return values[0] if values else None


def _required(form: Form, name: str) -> str:
    value = _optional(form, name)
    if value is None:
        raise _invalid(Reason.PARAMETER_MISSING, f"the parameter {name} is required")
    return value


def _require_token_type(value: str, name: str) -> None:
    if value not in _TOKEN_TYPES:
        raise _invalid(
            Reason.PARAMETER_UNSUPPORTED, f"{name} is {ACCESS_TOKEN_TYPE} or {JWT_TYPE}; no other type is supported"
        )


def _parse_actor_token(form: Form) -> str | None:
    """Both of its parameters or none (RFC 8693 s2.1); what an agent says of itself is a JWT and no access token."""
    actor_token, kind = _optional(form, "actor_token"), _optional(form, "actor_token_type")
    if (actor_token is None) != (kind is None):
        missing = "actor_token" if actor_token is None else "actor_token_type"
        raise _invalid(Reason.PARAMETER_MISSING, f"the parameter {missing} is required beside the other")
    if kind not in {None, JWT_TYPE}:
        raise _invalid(Reason.PARAMETER_UNSUPPORTED, f"actor_token_type is {JWT_TYPE}; no other type is supported")
    return actor_token


def _parse_lifetime(text: str | None) -> int | None:
    if text is None:
        return None
    if _LIFETIME.fullmatch(text) is None:
        raise _invalid(Reason.PARAMETER_INVALID, "requested_lifetime_s is a whole number of seconds from 1 on")
    return int(text)


def _parse_depth(text: str | None) -> int | None:
    if text is None:
        return None
    if text not in _DEPTHS:
        raise _invalid(Reason.PARAMETER_INVALID, f"requested_max_depth is a whole number from 1 to {HARD_MAX_DEPTH}")
    return int(text)


def _invalid(reason: Reason, description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_REQUEST, reason, description)
