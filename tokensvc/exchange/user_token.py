"""The token of a user from a trusted identity provider: whose it is, and that it is good (step 5).

It is checked by what was configured for its issuer. Every fault is the same `subject_token_invalid`: a stranger must
not learn whether a token was forged, expired or never existed.

Two kinds, by the `subject_token_type` that the asker states, and never one for the other:

              access token                                  ID token
    typ       one of the configured                         JWT, or none
    aud       one of the configured, which no client is     a client of this agent's, alone
    client    named, and this agent's; or `may_act`         this agent's where it is named
    scope     must be there                                 from the claim and from the configuration

Where an identity provider gives both the same `typ`, `aud` still tells them apart: the settings let no name be a client
and an audience. What a token says about its own kind (`at_hash`, Keycloak's `typ`, Cognito's `token_use`) only refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tokensvc.core.claims import parse_cnf
from tokensvc.core.details import Details, parse_details
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import CompactJws, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, PublicKey, find_algorithm
from tokensvc.core.members import parse_integer, parse_text
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.core.scope import ScopeSet
from tokensvc.errors import Malformed
from tokensvc.exchange.authority import covered_details
from tokensvc.exchange.jwt_header import parse_header, parse_typ
from tokensvc.exchange.parties import Agent, UpstreamIssuer
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ID_TOKEN_TYPE
from tokensvc.exchange.subject import subject_token_invalid
from tokensvc.exchange.user_claims import parse_user_scope, require_claims
from tokensvc.verify.expectation import MAX_TOKEN_BYTES

__all__ = ["UserToken", "verify_user_token"]

# "" for none (RFC 7519 s5.1). RFC 9068 s2.1 gives access tokens a type of their own so that ID tokens have another.
_ID_TOKEN_TYP: Final = frozenset({"", "jwt"})
# What only ID tokens have (OpenID Connect Core s3.3.2.11, FAPI), and logout and security event tokens (RFC 8417 s2.2).
_NO_ACCESS_TOKEN: Final = ("at_hash", "c_hash", "s_hash", "events")
_NO_ID_TOKEN: Final = ("events",)
# What Keycloak and Cognito say in a claim of their own, in lower case.
_KIND_CLAIMS: Final = ("typ", "token_use")
_SAYS_ACCESS_TOKEN: Final = frozenset({"bearer", "dpop", "access", "jwt", "at+jwt"})
_SAYS_ID_TOKEN: Final = frozenset({"id", "jwt"})
# What Auth0 and Entra ID say of a token that a client got for itself.
_SAYS_NO_USER: Final = {"gty": "client-credentials", "idtyp": "app"}
# A token with one of these was made by a token service: to start from it would drop the actors before.
_DELEGATED: Final = ("act", "grant_chain", "grant_profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserToken:
    """A user's token from a trusted identity provider, verified, and allowed to this client.

    `sub` carries the issuer's prefix. `scope` is what the token carries, in our names, registered here or not; the
    `details` are within the issuer's ceiling. `cnf` is the key it is bound to, as (member, value), if it is. `sha256`
    names the token, whatever its signature.
    """

    issuer: UpstreamIssuer
    sub: str
    scope: ScopeSet
    details: Details
    iat: int
    exp: int
    cnf: tuple[str, str] | None
    sha256: str

    def revocables(self) -> tuple[Revocable, ...]:
        """What bars a start from it: its user or issuer revoked at or after its `iat`, or a root that it started."""
        return (
            Revocable(kind=RevocationKind.USER, id=self.sub, iat=self.iat),
            Revocable(kind=RevocationKind.ISSUER, id=self.issuer.iss, iat=self.iat),
            Revocable(kind=RevocationKind.SUBJECT_TOKEN, id=self.sha256, iat=self.iat),
        )


async def verify_user_token(
    token: str,
    *,
    token_type: str,
    issuer: UpstreamIssuer,
    client: Agent,
    registry: Registry,
    leeway_s: int,
    now: int,
) -> UserToken:
    """The proof that `token` is a current token of a user of `issuer`, of the stated type, held by `client`.

    Waits for nothing but the issuer's keys. Raises: Unavailable when they cannot be had; OAuthRefused
    (`invalid_request`): `subject_token_invalid`, the exact fault in `detail`.
    """
    is_id_token = token_type == ID_TOKEN_TYPE
    try:
        jws = split_compact(token, max_bytes=MAX_TOKEN_BYTES)
        kid, algorithm = _parse_header(jws, issuer, is_id_token=is_id_token)
        key = await issuer.keys.find(kid)
        payload = _open(jws, key, algorithm)
        user = _parse_user(jws, payload, issuer, is_id_token=is_id_token)
        _require_current(payload, user, leeway_s=leeway_s, now=now)
        _require_meant_for(client, payload, issuer, is_id_token=is_id_token)
    except Malformed as exc:
        raise subject_token_invalid(exc.description) from exc
    if not registry.is_user(user.sub):
        raise subject_token_invalid("the user has the id of a registered client")
    return user


def _parse_header(jws: CompactJws, issuer: UpstreamIssuer, *, is_id_token: bool) -> tuple[str, Algorithm]:
    """`kid` and algorithm, once the header is one that this issuer's tokens have. Before any key is asked for."""
    header = parse_header(jws.header)
    if is_id_token and not issuer.id_tokens:
        raise Malformed("ID tokens of this issuer are not accepted")
    if parse_typ(header) not in (_ID_TOKEN_TYP if is_id_token else issuer.typ):
        raise Malformed("typ is none that this issuer is configured with")
    algorithm = find_algorithm(header.get("alg"))
    if algorithm is None or algorithm not in issuer.algorithms:
        raise Malformed("alg is none that this issuer is configured with")
    return parse_text(header.get("kid"), "kid"), algorithm


def _open(jws: CompactJws, key: PublicKey | None, algorithm: Algorithm) -> Mapping[str, JsonValue]:
    """The claims set, signed by the issuer, which was chosen by the `iss` in these same bytes."""
    if key is None or key.alg is not algorithm:
        raise Malformed("no key of the issuer fits kid and alg")
    if not verify_signature(jws, key):
        raise Malformed("the signature does not verify")
    return parse_json_object(jws.payload)


def _parse_user(
    jws: CompactJws, payload: Mapping[str, JsonValue], issuer: UpstreamIssuer, *, is_id_token: bool
) -> UserToken:
    if not payload.keys().isdisjoint(_DELEGATED):
        raise Malformed("a token that carries a delegation is no user's token")
    _require_kind(payload, is_id_token=is_id_token)
    require_claims(payload, issuer)
    sub = parse_text(payload.get("sub"), "sub")
    # RFC 9068 s2.2: a client that asked for itself is its own subject.
    if any(payload.get(name) == sub for name in issuer.client_claims) or any(
        payload.get(name) == kind for name, kind in _SAYS_NO_USER.items()
    ):
        raise Malformed("the token is a client's own: it has no user")
    return UserToken(
        issuer=issuer,
        sub=issuer.subject_prefix + sub,
        scope=_parse_scope(payload, issuer, is_id_token=is_id_token),
        details=_parse_details(payload, issuer),
        iat=parse_integer(payload.get("iat"), "iat"),
        exp=parse_integer(payload.get("exp"), "exp"),
        cnf=parse_cnf(payload["cnf"]) if "cnf" in payload else None,
        # Not of the signature: from one of ECDSA everybody can make a second, and start again with it.
        sha256=sha256(jws.signing_input).hexdigest(),
    )


def _require_kind(payload: Mapping[str, JsonValue], *, is_id_token: bool) -> None:
    """Return unless the token says that it is of another kind."""
    kinds, foreign = (_SAYS_ID_TOKEN, _NO_ID_TOKEN) if is_id_token else (_SAYS_ACCESS_TOKEN, _NO_ACCESS_TOKEN)
    if any(name in payload for name in foreign):
        raise Malformed("the token has a claim that only tokens of another kind have")
    for name in _KIND_CLAIMS:
        if name in payload and parse_text(payload[name], name).lower() not in kinds:
            raise Malformed(f"the claim {name} names another kind of token")


def _parse_scope(payload: Mapping[str, JsonValue], issuer: UpstreamIssuer, *, is_id_token: bool) -> ScopeSet:
    scope = parse_user_scope(payload, issuer)
    if not is_id_token:
        if scope is None:
            raise Malformed("the scope claim is missing")
        return scope
    if scope is None and not issuer.id_token_scope:
        raise Malformed("the ID token has no scope claim, and no scope is configured for those without")
    return issuer.id_token_scope | (scope or frozenset())


def _parse_details(payload: Mapping[str, JsonValue], issuer: UpstreamIssuer) -> Details:
    """What the token says, as far as the ceiling goes; the ceiling, where the token does not speak of them.

    An entry that the ceiling does not cover is for another service, or more than this one gives: it grants nothing.
    """
    if "authorization_details" not in payload:
        return issuer.ceiling_details
    return covered_details(issuer.ceiling_details, parse_details(payload["authorization_details"]))


def _require_current(payload: Mapping[str, JsonValue], user: UserToken, *, leeway_s: int, now: int) -> None:
    if now >= user.exp + leeway_s:
        raise Malformed("expired")
    not_before = parse_integer(payload["nbf"], "nbf") if "nbf" in payload else 0
    if max(user.iat, not_before) > now + leeway_s:
        raise Malformed("not valid yet")
    longest_s = user.issuer.max_token_lifetime_s
    if longest_s is not None and user.exp - user.iat > longest_s:
        raise Malformed("the token lives longer than this issuer's may")


def _require_meant_for(
    client: Agent, payload: Mapping[str, JsonValue], issuer: UpstreamIssuer, *, is_id_token: bool
) -> None:
    """`aud` names this service, and the client obtained the token: itself, by its front, or as `may_act` says.

    An ID token is for the client that obtained it, and names nobody else.
    """
    allowed = client.client_ids_at(issuer.iss)
    aud = payload.get("aud")
    audiences = aud if isinstance(aud, list) else [aud]
    if is_id_token and not (len(audiences) == 1 and _names_any(audiences, allowed)):
        raise Malformed("aud does not name the client alone")
    if not is_id_token and not _names_any(audiences, issuer.audience):
        raise Malformed("aud does not name this service")
    if "may_act" in payload:
        if payload["may_act"] != {"sub": client.id}:
            raise Malformed("may_act names another actor")
        if not is_id_token:
            return
    # Where several are present all count: a token that two clients could claim belongs to neither.
    obtained_by = [payload[name] for name in issuer.client_claims if name in payload]
    is_named = bool(obtained_by) or is_id_token
    if not is_named or not all(isinstance(party, str) and party in allowed for party in obtained_by):
        raise Malformed("the token was obtained by another client")


def _names_any(audiences: list[JsonValue], names: frozenset[str]) -> bool:
    return any(isinstance(audience, str) and audience in names for audience in audiences)
