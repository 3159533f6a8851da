"""The claims of an access token: what RFC 9068 and RFC 8693 require, as frozen values, and back to JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokensvc.core.chain import (
    PROFILE,
    GrantChain,
    parse_act,
    parse_grant_chain,
    render_act,
    render_grant_chain,
)
from tokensvc.core.construct import constructor_of
from tokensvc.core.details import NO_DETAILS, Details, parse_stated_details, render_details
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.members import parse_integer, parse_jti, parse_text, parse_thumbprint
from tokensvc.core.scope import ScopeSet, parse_scope, render_scope
from tokensvc.errors import Malformed, Reason, TokenRefused

__all__ = ["AccessTokenClaims", "Delegation", "parse_claims", "parse_cnf", "parse_delegation", "render_access_token"]

_DETAILS: Final = "authorization_details"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenClaims:
    """The claims that a resource server which knows only RFC 9068 would read.

    `iat`, `exp`, `nbf` are epoch seconds. `cnf` is the confirmation as (member, value), `jkt` or `x5t#S256`.
    `details` is what `authorization_details` grants (RFC 9396), none where the claim is absent.
    """

    iss: str
    sub: str
    aud: str
    client_id: str
    scope: ScopeSet
    iat: int
    exp: int
    nbf: int | None
    jti: str
    cnf: tuple[str, str] | None
    details: Details = NO_DETAILS


_access_token_claims: Final = constructor_of(AccessTokenClaims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """How the authority came about: `act`, current actor first, and the grant chain, oldest first."""

    act: tuple[str, ...]
    chain: GrantChain


def parse_claims(payload: Mapping[str, JsonValue]) -> AccessTokenClaims:
    """The required claims by exact types; claims that the profile does not name are ignored.

    Raises: Malformed. Source: RFC 9068 s2.2.
    """
    return _access_token_claims(
        iss=parse_text(payload.get("iss"), "iss"),
        sub=parse_text(payload.get("sub"), "sub"),
        aud=parse_text(payload.get("aud"), "aud"),
        client_id=parse_text(payload.get("client_id"), "client_id"),
        scope=parse_scope(parse_text(payload.get("scope"), "scope")),
        iat=parse_integer(payload.get("iat"), "iat"),
        exp=parse_integer(payload.get("exp"), "exp"),
        nbf=parse_integer(payload["nbf"], "nbf") if "nbf" in payload else None,
        jti=parse_jti(payload.get("jti")),
        cnf=parse_cnf(payload["cnf"]) if "cnf" in payload else None,
        details=parse_stated_details(payload[_DETAILS]) if _DETAILS in payload else NO_DETAILS,
    )


def parse_delegation(payload: Mapping[str, JsonValue]) -> Delegation:
    """`act` and the grant chain.

    Raises: TokenRefused (`chain_missing`), Malformed.
    """
    if "grant_chain" not in payload:
        raise TokenRefused(Reason.CHAIN_MISSING, "the token carries no grant_chain")
    profile = payload.get("grant_profile")
    if type(profile) is not int or profile != PROFILE:
        raise Malformed(f"grant_profile is {PROFILE}")
    return Delegation(act=parse_act(payload.get("act")), chain=parse_grant_chain(payload["grant_chain"]))


def render_access_token(claims: AccessTokenClaims, chain: GrantChain) -> dict[str, JsonValue]:
    """The claims set of a token: `claims`, the chain, and the `act` that follows from it."""
    times: dict[str, JsonValue] = {"iat": claims.iat, "exp": claims.exp}
    if claims.nbf is not None:
        times["nbf"] = claims.nbf
    return {
        "iss": claims.iss,
        "sub": claims.sub,
        "aud": claims.aud,
        "client_id": claims.client_id,
        "scope": render_scope(claims.scope),
        **({_DETAILS: render_details(claims.details)} if claims.details else {}),
        **times,
        "jti": claims.jti,
        **({} if claims.cnf is None else {"cnf": dict([claims.cnf])}),
        "act": render_act(chain.actors),
        "grant_profile": PROFILE,
        "grant_chain": render_grant_chain(chain),
    }


def parse_cnf(value: JsonValue) -> tuple[str, str]:
    """The one confirmation method (RFC 7800 s3.1): two that disagree would leave the choice to whoever reads."""
    if isinstance(value, dict) and len(value) == 1:
        for member in ("jkt", "x5t#S256"):
            if member in value:
                return member, parse_thumbprint(value[member])
    raise Malformed("cnf is exactly one of jkt and x5t#S256")
