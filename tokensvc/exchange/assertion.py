"""JWTs by which an agent speaks for itself: the client assertion (RFC 7523 s3) and the actor token (RFC 8693 s2.1).

Pure: the text and what is registered in, an `Assertion` or a refusal out. Both are signed with the agent's own key,
name it as `iss` and `sub` and this service as the only `aud`, live for minutes and are used once. They differ in `typ`:
neither passes for the other, nor for any other token.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import split_compact, verify_signature
from tokensvc.core.keyset import PublicKey, find_algorithm
from tokensvc.core.members import parse_integer, parse_text
from tokensvc.errors import Malformed
from tokensvc.exchange.jwt_header import parse_header, parse_typ
from tokensvc.exchange.parties import REMEMBER_S
from tokensvc.ports import OneTimeValue

__all__ = [
    "ACTOR_TOKEN",
    "CLIENT_ASSERTION",
    "MAX_ACTOR_TOKEN_LIFETIME_S",
    "Assertion",
    "AssertionKind",
    "open_assertion",
    "require_assertion",
    "require_current",
]

# Most clients say JWT or nothing (draft-ietf-oauth-rfc7523bis lets a server take both). A key that signs assertions
# only keeps other tokens away.
_UNTYPED: Final = frozenset({"", "jwt"})
# A page of text: an assertion says who, to whom and until when.
_MAX_BYTES: Final = 8_192
# It is remembered for minutes; nobody needs more than a UUID with a name before it.
_MAX_JTI_LENGTH: Final = 256
# An actor token accompanies one request.
MAX_ACTOR_TOKEN_LIFETIME_S: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionKind:
    """What tells one kind from the others: its `typ`s in lower case, and claims that it never has."""

    name: str
    typ: frozenset[str]
    refused: frozenset[str]


CLIENT_ASSERTION: Final = AssertionKind(
    name="client_assertion",
    typ=_UNTYPED | {"client-authentication+jwt"},
    # An ID token or access token obtained by the agent, should its key ever sign one.
    refused=frozenset({"azp", "act", "scope", "grant_chain"}),
)
ACTOR_TOKEN: Final = AssertionKind(
    name="actor_token",
    typ=frozenset({"actor+jwt"}),
    # Nobody stands behind the agent: actors of the past are in the subject token.
    refused=frozenset({"act", "may_act", "scope", "grant_chain"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """An agent's word, current and signed by it. `once` is what has to be claimed; `exp` in epoch seconds."""

    exp: int
    once: OneTimeValue


def open_assertion(text: str, kind: AssertionKind, keys: Iterable[PublicKey]) -> Mapping[str, JsonValue]:
    """The claims of `text`, which one of the agent's `keys` signed. Raises: Malformed; not for a stranger to see."""
    jws = split_compact(text, max_bytes=_MAX_BYTES)
    header = parse_header(jws.header)
    if parse_typ(header) not in kind.typ:
        raise Malformed(f"typ is none of a {kind.name}")
    key = _find_key(header, keys)
    if key is None or not verify_signature(jws, key):
        raise Malformed("no key of the agent made the signature")
    return parse_json_object(jws.payload)


def _find_key(header: Mapping[str, JsonValue], keys: Iterable[PublicKey]) -> PublicKey | None:
    """By `kid`; without one (Authlib sends none) the only key of the algorithm."""
    algorithm = find_algorithm(header.get("alg"))
    fitting = [key for key in keys if key.alg == algorithm]
    if "kid" in header:
        return next((key for key in fitting if key.kid == header["kid"]), None)
    return fitting[0] if len(fitting) == 1 else None


def require_assertion(
    payload: Mapping[str, JsonValue],
    kind: AssertionKind,
    *,
    iss: str,
    sub: str,
    audiences: frozenset[str],
    max_lifetime_s: int,
    leeway_s: int,
    now: int,
) -> Assertion:
    """What the claims of an opened assertion say, when they are for us and for now.

    `iss` and `sub` are who has to say it, and of whom; `audiences` the values of `aud` that name us. Raises: Malformed,
    whose description the agent may see.
    """
    if not payload.keys().isdisjoint(kind.refused):
        raise Malformed(f"the {kind.name} has a claim that belongs to another kind of token")
    if (payload.get("iss"), payload.get("sub")) != (iss, sub):
        whose = "the client_id" if iss == sub else "an issuer of such tokens and the agent's name there"
        raise Malformed(f"iss and sub of the {kind.name} are {whose}")
    aud = payload.get("aud")
    if not isinstance(aud, str) or aud not in audiences:
        # A list could name another server as well, which might present the assertion here.
        raise Malformed(f"aud of the {kind.name} is this service's issuer alone, as a string")
    jti = parse_text(payload.get("jti"), "jti")
    if len(jti) > _MAX_JTI_LENGTH:
        raise Malformed(f"jti has more than {_MAX_JTI_LENGTH} characters")
    exp, iat = require_current(payload, kind.name, max_lifetime_s=max_lifetime_s, leeway_s=leeway_s, now=now)
    # Neither an id nor an issuer has a space in it, so nobody else can make the same value.
    value = f"{kind.name} {iss} {jti}"
    return Assertion(exp=exp, once=OneTimeValue(value=value, until=exp + leeway_s + REMEMBER_S, made=iat))


def require_current(
    payload: Mapping[str, JsonValue], name: str, *, max_lifetime_s: int, leeway_s: int, now: int
) -> tuple[int, int]:
    """`exp` and `iat` of what is current and does not live too long. `name` is what it is called when it is refused.

    Without an `iat` it could be as old as may be. Raises: Malformed, whose description its owner may see.
    """
    exp = parse_integer(payload.get("exp"), "exp")
    iat = parse_integer(payload["iat"], "iat") if "iat" in payload else exp - max_lifetime_s
    not_before = parse_integer(payload["nbf"], "nbf") if "nbf" in payload else iat
    if now >= exp + leeway_s:
        raise Malformed(f"the {name} has expired")
    if max(iat, not_before) > now + leeway_s:
        raise Malformed(f"the {name} is not valid yet")
    if exp - iat > max_lifetime_s or exp - now > max_lifetime_s + leeway_s:
        raise Malformed(f"the {name} lives longer than {max_lifetime_s} s")
    return exp, iat
