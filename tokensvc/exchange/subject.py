"""The subject token: whose it is, and that it is good (step 5).

One of ours goes through the public verifier. One of a trusted identity provider is checked by what was configured for
that issuer. Everything else, and every fault in a token that is not ours, is the same `subject_token_invalid`:
a stranger must not learn whether a token was forged, expired or never existed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tokensvc.core.details import Details, parse_details
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, find_algorithm
from tokensvc.core.members import parse_integer, parse_text
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.core.scope import ScopeSet, parse_requested_scope
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason, TokenRefused
from tokensvc.exchange.authority import covered_details
from tokensvc.exchange.parties import Agent, Registry, Terms, UpstreamIssuer
from tokensvc.verify import KeySource, VerifiedToken
from tokensvc.verify.expectation import MAX_TOKEN_BYTES
from tokensvc.verify.revocations import UnsafeRevocationElsewhere
from tokensvc.verify.verifier import unsafe_verify_token_of_any_age

__all__ = ["UserToken", "audience_of", "issuer_of", "verify_own_token", "verify_user_token"]

# Before the signature is known to be ours, a reason would tell a forger how far the forgery got.
_BEFORE_SIGNATURE: Final = frozenset(
    {
        Reason.TOO_LARGE,
        Reason.MALFORMED,
        Reason.WRONG_TYPE,
        Reason.UNTRUSTED_ISSUER,
        Reason.UNKNOWN_KEY,
        Reason.BAD_SIGNATURE,
    }
)
# Headers that identity providers really send. `crit`, `b64`, `zip`, `jwk`, `jku`, `x5u`, `x5c` change how a token would
# have to be read, or try to bring their own key (RFC 8725 s3.10).
_UPSTREAM_HEADER: Final = frozenset({"typ", "alg", "kid", "x5t", "x5t#S256"})
# A token with one of these was made by a token service: to start from it would drop the actors before.
_DELEGATED: Final = ("act", "grant_chain", "grant_profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserToken:
    """A user's token from a trusted identity provider, verified, and allowed to this client.

    `sub` carries the issuer's prefix. `scope` is what the token carries, registered here or not; `details` are within
    the issuer's ceiling. `sha256` names the token in records.
    """

    issuer: UpstreamIssuer
    sub: str
    scope: ScopeSet
    details: Details
    iat: int
    exp: int
    sha256: str

    def revocables(self) -> tuple[Revocable, ...]:
        """What bars a start from this token: its user or its issuer revoked at or after its `iat`."""
        return (
            Revocable(kind=RevocationKind.USER, id=self.sub, iat=self.iat),
            Revocable(kind=RevocationKind.ISSUER, id=self.issuer.iss, iat=self.iat),
        )


def issuer_of(token: str) -> str | None:
    """The `iss` that an unverified token claims: a hint which check applies, nothing more."""
    return _claimed(token, "iss")


def audience_of(token: str) -> str | None:
    """The `aud` that an unverified token claims. Worth something only once the token verified."""
    return _claimed(token, "aud")


def _claimed(token: str, name: str) -> str | None:
    try:
        claim = parse_json_object(split_compact(token, max_bytes=MAX_TOKEN_BYTES).payload).get(name)
    except Malformed:
        return None
    return claim if isinstance(claim, str) and claim else None


def verify_own_token(
    token: str, *, keys: KeySource, terms: Terms, audiences: frozenset[str], max_depth: int, now: int
) -> VerifiedToken:
    """The proof that `token` is one of ours, whatever its age. Revocation is the store's answer and comes later.

    Raises: OAuthRefused (`invalid_request`), with the verifier's reason once the signature verified.
    """
    expect = terms.expect(audiences, max_depth=max_depth)
    try:
        return unsafe_verify_token_of_any_age(
            token, keys=keys, expect=expect, now=now, revocations=UnsafeRevocationElsewhere()
        )
    except TokenRefused as exc:
        if exc.reason in _BEFORE_SIGNATURE:
            raise _subject_token_invalid(str(exc)) from exc
        raise OAuthRefused(OAuthError.INVALID_REQUEST, exc.reason, f"subject_token: {exc.description}") from exc


def verify_user_token(
    token: str, *, issuer: UpstreamIssuer, client: Agent, registry: Registry, leeway_s: int, now: int
) -> UserToken:
    """The proof that `token` is a current access token of a user of `issuer`, for this service, held by `client`.

    Raises: OAuthRefused (`invalid_request`): `subject_token_invalid`, the exact fault in `detail`; `holder_unproven`
    for one that is bound to a key.
    """
    try:
        payload = _open(token, issuer)
        user = _parse_user(token, payload, issuer)
        _require_current(payload, user, leeway_s=leeway_s, now=now)
        _require_meant_for(client, payload, issuer)
    except Malformed as exc:
        raise _subject_token_invalid(exc.description) from exc
    if not registry.is_user(user.sub):
        raise _subject_token_invalid("the user has the id of a registered client")
    if "cnf" in payload:
        # Step 6: whoever found a token that is bound to a key must not get an unbound one for it (RFC 9449 s1).
        raise OAuthRefused(
            OAuthError.INVALID_REQUEST,
            Reason.HOLDER_UNPROVEN,
            "subject_token: the token is bound to a key, and no proof can be checked here",
        )
    return user


def _open(token: str, issuer: UpstreamIssuer) -> Mapping[str, JsonValue]:
    """The claims set, signed by `issuer`, which `issuer_of` chose by the `iss` in these same bytes."""
    jws = split_compact(token, max_bytes=MAX_TOKEN_BYTES)
    header = parse_json_object(jws.header)
    if not header.keys() <= _UPSTREAM_HEADER:
        raise Malformed("the header has a member that is not allowed")
    if parse_text(header.get("typ"), "typ").lower().removeprefix("application/") not in issuer.typ:
        raise Malformed("typ is none that this issuer is configured with")
    algorithm = find_algorithm(header.get("alg"))
    key = issuer.keys.find(parse_text(header.get("kid"), "kid"))
    if key is None or key.alg != algorithm or algorithm not in issuer.algorithms & set(Algorithm):
        raise Malformed("no key of the issuer fits kid and alg")
    if not verify_signature(jws, key):
        raise Malformed("the signature does not verify")
    return parse_json_object(jws.payload)


def _parse_user(token: str, payload: Mapping[str, JsonValue], issuer: UpstreamIssuer) -> UserToken:
    if not payload.keys().isdisjoint(_DELEGATED):
        raise Malformed("a token that carries a delegation is no user's token")
    return UserToken(
        issuer=issuer,
        sub=issuer.subject_prefix + parse_text(payload.get("sub"), "sub"),
        scope=parse_requested_scope(parse_text(payload.get("scope"), "scope")),
        details=_parse_details(payload, issuer),
        iat=parse_integer(payload.get("iat"), "iat"),
        exp=parse_integer(payload.get("exp"), "exp"),
        sha256=sha256(token.encode("ascii")).hexdigest(),
    )


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


def _require_meant_for(client: Agent, payload: Mapping[str, JsonValue], issuer: UpstreamIssuer) -> None:
    """`aud` names this service, and the client obtained the token: itself, by its front, or as `may_act` says."""
    aud = payload.get("aud")
    audiences = aud if isinstance(aud, list) else [aud]
    if not any(isinstance(audience, str) and audience in issuer.audience for audience in audiences):
        raise Malformed("aud does not name this service")
    if "may_act" in payload:
        if payload["may_act"] != {"sub": client.id}:
            raise Malformed("may_act names another actor")
        return
    # Where both are present both count: a token that two clients could claim belongs to neither.
    allowed = {client.id, *client.fronts}
    obtained_by = [payload[name] for name in ("azp", "client_id") if name in payload]
    if not obtained_by or not all(isinstance(party, str) and party in allowed for party in obtained_by):
        raise Malformed("the token was obtained by another client")


def _subject_token_invalid(detail: str) -> OAuthRefused:
    return OAuthRefused(
        OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID, "the subject_token is not acceptable", detail=detail
    )
