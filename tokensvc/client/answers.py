"""The answers of a token service, read strictly. What does not parse is used for nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from tokensvc.client.asked import Asked
from tokensvc.client.errors import AnswerMalformed, ClientAuthenticationFailed, ExchangeRefused, ServiceUnavailable
from tokensvc.client.held import HeldToken, read_held_token
from tokensvc.client.wire import HttpReply
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.members import parse_integer, parse_text, parse_thumbprint
from tokensvc.core.scope import parse_requested_scope
from tokensvc.core.secure_url import require_secure_url
from tokensvc.errors import Malformed

__all__ = ["OK", "Issued", "Metadata", "parse_agent_key", "parse_issued", "parse_metadata", "raise_refusal"]

OK: Final = 200
_REFUSALS: Final = frozenset({400, 401, 403, 404})
_TOO_MANY: Final = 429
_SERVER_FAULT: Final = 500
_TOKEN_TYPES: Final = {"bearer": "Bearer", "dpop": "DPoP"}
# No set: a member of an answer may be of any JSON type, and arrays cannot be hashed.
_ISSUED_TYPES: Final = ("urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt")
# No token of ours lives longer than 15 minutes; a day is a mistake in any case.
_MAX_EXPIRES_IN_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token that was issued: `kind` is `Bearer` or `DPoP`; it is to be renewed and ends by this agent's clock."""

    held: HeldToken = field(repr=False)
    kind: str
    renew_at: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a token service says of itself (RFC 8414 s2); the endpoints for a certificate are RFC 8705 s5's."""

    token_endpoint: str
    revocation_endpoint: str | None


def parse_metadata(reply: HttpReply, *, issuer: str, by_certificate: bool) -> Metadata:
    """The metadata of `issuer`, which names that very issuer (RFC 8414 s3.3). Raises: AnswerMalformed."""
    body = reply.json()
    if body.get("issuer") != issuer:
        raise AnswerMalformed("the metadata is of another issuer than the one that was asked for")
    aliases = body.get("mtls_endpoint_aliases")
    endpoints = {**body, **aliases} if by_certificate and isinstance(aliases, Mapping) else body
    token_endpoint = _parse_url(endpoints, "token_endpoint")
    if token_endpoint is None:
        raise AnswerMalformed("the metadata names no token_endpoint")
    return Metadata(token_endpoint=token_endpoint, revocation_endpoint=_parse_url(endpoints, "revocation_endpoint"))


def parse_issued(
    reply: HttpReply, asked: Asked, *, iss: str | None, client_id: str, jkt: str | None, now: float
) -> Issued:
    """The token that answers `asked`; `jkt` is the thumbprint of the key that was proven.

    `iss` is the token service's own name, None where that is not known. Raises: AnswerMalformed.
    """
    body = reply.json()
    try:
        held = read_held_token(parse_text(body.get("access_token"), "access_token"))
        kind = _parse_kind(body)
        expires_in = parse_integer(body.get("expires_in"), "expires_in")
        scope = parse_requested_scope(parse_text(body.get("scope"), "scope"))
    except Malformed as exc:
        raise AnswerMalformed(f"the answer of the token endpoint: {exc.description}") from None
    if body.get("issued_token_type") not in _ISSUED_TYPES or not 0 < expires_in <= _MAX_EXPIRES_IN_S:
        raise AnswerMalformed("the answer of the token endpoint: issued_token_type or expires_in cannot be meant")
    if scope != held.claims.scope or asked.scope not in {None, scope}:
        raise AnswerMalformed("the token is for another scope than was asked for")
    if iss is not None and held.claims.iss != iss:
        # What this agent signs below it would be for another token service.
        raise AnswerMalformed("the token is of another issuer than the one that was asked")
    _require_holder(held, asked, kind, client_id=client_id, jkt=jkt)
    is_last = held.claims.exp >= held.leaf.authority.exp
    return Issued(
        held=held,
        kind=kind,
        renew_at=now + (expires_in if is_last else expires_in - _margin_s(expires_in)),
        expires_at=now + expires_in,
    )


def _margin_s(expires_in: int) -> float:
    """How long before its end a token is renewed: a third of its life, at least 30 s, at most half of it."""
    return max(expires_in / 3, min(30, expires_in / 2))


def _parse_kind(body: Mapping[str, JsonValue]) -> str:
    """RFC 6749 s5.1: names of token types have no case."""
    kind = _TOKEN_TYPES.get(parse_text(body.get("token_type"), "token_type").lower())
    if kind is None:
        raise Malformed("token_type is neither Bearer nor DPoP")
    return kind


def _require_holder(held: HeldToken, asked: Asked, kind: str, *, client_id: str, jkt: str | None) -> None:
    """The token is for whom it was asked, and bound to what was proven. Raises: AnswerMalformed."""
    actor = asked.actor or client_id
    if held.leaf.actor != actor or held.claims.client_id != actor:
        raise AnswerMalformed("the token is for another agent than was asked for")
    if actor != client_id and not held.is_exchange_only:
        raise AnswerMalformed("the token for another agent is not exchange-only")
    if jkt is not None and kind != "DPoP":
        # Whoever takes a key and answers with a bearer token wants it to be used as one (RFC 9449 s5).
        raise AnswerMalformed("a holder key was proven, and the token is not bound to it (token_type is not DPoP)")
    if actor != client_id:
        return
    bound_to = held.claims.cnf[1] if held.claims.cnf is not None and held.claims.cnf[0] == "jkt" else None
    if bound_to != jkt:
        raise AnswerMalformed("the token is bound to another key than the one of this agent")
    if (bound_to is None) is (kind == "DPoP"):
        raise AnswerMalformed("token_type and the cnf of the token contradict each other")


def parse_agent_key(reply: HttpReply, agent_id: str) -> str | None:
    """The thumbprint of the holder key that `agent_id` is registered with; None without. Raises: AnswerMalformed."""
    body = reply.json()
    if body.get("id") != agent_id:
        raise AnswerMalformed("the answer is about another agent than was asked for")
    if "cnf" not in body:
        return None
    cnf = body["cnf"]
    try:
        return parse_thumbprint(cnf.get("jkt") if isinstance(cnf, Mapping) else None)
    except Malformed as exc:
        raise AnswerMalformed(f"the cnf of an agent: {exc.description}") from None


def raise_refusal(reply: HttpReply, now: float) -> NoReturn:
    """Raise what an answer other than 200 means."""
    if reply.status >= _SERVER_FAULT or reply.status == _TOO_MANY:
        wait = reply.retry_after_s(now)
        raise ServiceUnavailable(f"the token service cannot answer ({reply.status})", retry_after_s=wait)
    if reply.status not in _REFUSALS:
        raise AnswerMalformed(f"the token service answers {reply.status}")
    body = reply.json()
    error = _text(body, "error")
    if error is None:
        raise AnswerMalformed(f"the token service answers {reply.status} without an error code")
    kind = ClientAuthenticationFailed if error == "invalid_client" else ExchangeRefused
    raise kind(
        error=error,
        reason=_text(body, "reason"),
        description=_text(body, "error_description") or "",
        record=_text(body, "record"),
        status=reply.status,
    )


def _text(body: Mapping[str, JsonValue], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def _parse_url(body: Mapping[str, JsonValue], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        url = parse_text(value, name)
        require_secure_url(url)
    except Malformed as exc:
        raise AnswerMalformed(f"the {name} of the metadata: {exc.description}") from None
    return url
