"""`verify_token`: the whole procedure, in numbered steps. Pure and synchronous; the first failure decides.

     1 size and alphabet             6 time, lifetime cap              11 the root
     2 header                        7 audience                        12 every hop against the entry before it
     3 payload, issuer               8 holder                          13 the token against the last hop
     4 key and signature             9 act and grant chain             14 revocation
     5 required claims              10 alignment                       15 the answer

A valid signature is only step 4: a token that the token service itself signed is refused when any hop was not
attenuated. What cannot be checked (a signed entry, the proof that `cnf` demands) is refused, never skipped.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from tokensvc.core.chain import parse_text, require_aligned, require_attenuated
from tokensvc.core.claims import AccessTokenClaims, Delegation, parse_claims, parse_delegation
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, find_algorithm
from tokensvc.errors import Malformed, Reason, TokenRefused
from tokensvc.verify.expectation import Evidence, Expectation
from tokensvc.verify.keysource import KeySource
from tokensvc.verify.revocations import LifetimeOnly, RevocationView, UnsafeRevocationElsewhere
from tokensvc.verify.verified import UncheckedStep, VerifiedToken

__all__ = ["Revocations", "unsafe_verify_token_of_any_age", "verify_token"]

Revocations = RevocationView | LifetimeOnly | UnsafeRevocationElsewhere

_HEADER_MEMBERS: Final = frozenset({"typ", "alg", "kid"})
_TYP: Final = frozenset({"at+jwt", "application/at+jwt"})


def verify_token(
    token: str,
    *,
    keys: KeySource,
    expect: Expectation,
    now: int,
    revocations: Revocations,
) -> VerifiedToken:
    """The proof that `token` is genuine, current, meant for us, and attenuated at every hop.

    `now` is whole epoch seconds. Raises: TokenRefused with the `reason` of the first check that failed; Unavailable
    when `keys` or `revocations` cannot answer; TypeError when `now` is no integer.
    """
    return _verify(token, keys=keys, expect=expect, now=now, revocations=revocations, check_expiry=True)


def unsafe_verify_token_of_any_age(
    token: str, *, keys: KeySource, expect: Expectation, now: int, revocations: Revocations
) -> VerifiedToken:
    """As `verify_token`, but a token past its `exp` passes, and says so in `not_performed`.

    For who must read an old token and judges its age by another rule: a revocation, a pick-up while the hop lives.
    """
    return _verify(token, keys=keys, expect=expect, now=now, revocations=revocations, check_expiry=False)


def _verify(
    token: str,
    *,
    keys: KeySource,
    expect: Expectation,
    now: int,
    revocations: Revocations,
    check_expiry: bool,
) -> VerifiedToken:
    if type(now) is not int:
        # A float could be NaN, and no token is ever older than that.
        raise TypeError("now is whole epoch seconds")
    try:
        payload = _open(token, keys=keys, expect=expect)  # steps 1 to 4
        claims = parse_claims(payload)  # step 5
        _require_current(claims, expect, now, check_expiry=check_expiry)  # step 6
        _require_lifetime(claims, revocations)
        if claims.aud not in expect.audiences:  # step 7
            raise TokenRefused(Reason.WRONG_AUDIENCE, "the token is meant for another audience")
        if claims.cnf is not None:  # step 8
            raise TokenRefused(Reason.HOLDER_UNPROVEN, "the token is bound to a key, and no proof can be checked here")
        delegation = parse_delegation(payload)  # step 9
    except Malformed as exc:
        raise TokenRefused(exc.reason, exc.description) from exc
    chain = delegation.chain
    require_aligned(chain, act=delegation.act, token_jti=claims.jti)  # step 10
    if chain.root.iss != claims.iss or chain.root.sub != claims.sub:  # step 11
        raise TokenRefused(Reason.ROOT_INVALID, "the root is of another issuer or user than the token")
    _require_evidence(expect)  # step 12
    require_attenuated(chain, max_depth=expect.max_depth)
    _require_within_leaf(claims, delegation)  # step 13
    _require_not_revoked(delegation, revocations, expect, now)  # step 14
    return _verified(claims, delegation, revocations, check_expiry=check_expiry)  # step 15


def _open(token: str, *, keys: KeySource, expect: Expectation) -> Mapping[str, JsonValue]:
    """Steps 1 to 4: the claims set, after its signature verified with a key of a trusted issuer."""
    if type(token) is not str:
        raise Malformed("not a compact JWS")
    jws = split_compact(token, max_bytes=expect.max_token_bytes)  # step 1
    algorithm, kid = _parse_header(jws.header)  # step 2
    payload = parse_json_object(jws.payload)  # step 3
    iss = parse_text(payload.get("iss"), "iss")
    if iss not in expect.issuers:
        raise TokenRefused(Reason.UNTRUSTED_ISSUER, "the issuer is not trusted here")
    key = keys.find(iss, kid)  # step 4
    if key is None or key.alg != algorithm:
        raise TokenRefused(Reason.UNKNOWN_KEY, "no key of the issuer fits kid and alg")
    if not verify_signature(jws, key):
        raise TokenRefused(Reason.BAD_SIGNATURE, "the signature does not verify")
    return payload


# All tokens of one key have one header.
@lru_cache(maxsize=256)
def _parse_header(header: bytes) -> tuple[Algorithm, str]:
    """Step 2: algorithm and `kid` of a header that is exactly `typ`, `alg`, `kid` (RFC 9068 s2.1, RFC 8725 s3.11)."""
    members = parse_json_object(header)
    typ = members.get("typ")
    if not isinstance(typ, str) or typ.lower() not in _TYP:
        raise TokenRefused(Reason.WRONG_TYPE, "the token is not typed as an access token")
    if members.keys() != _HEADER_MEMBERS:
        raise Malformed("the header has exactly typ, alg and kid")
    alg, kid = members["alg"], members["kid"]
    algorithm = find_algorithm(alg)
    if algorithm is None:
        raise Malformed("the algorithm is not on the list")
    return algorithm, parse_text(kid, "kid")


def _require_current(claims: AccessTokenClaims, expect: Expectation, now: int, *, check_expiry: bool) -> None:
    """Step 6, against `now` only."""
    if check_expiry and now >= claims.exp + expect.leeway_s:
        raise TokenRefused(Reason.EXPIRED, "the token has expired")
    if max(claims.iat, claims.nbf or 0) > now + expect.leeway_s:
        raise TokenRefused(Reason.NOT_YET_VALID, "the token is not valid yet")


def _require_lifetime(claims: AccessTokenClaims, revocations: Revocations) -> None:
    """The lifetime cap of step 6, where lifetime is all that ends a token."""
    if isinstance(revocations, LifetimeOnly) and claims.exp - claims.iat > revocations.max_s:
        raise TokenRefused(Reason.LIFETIME_EXCEEDED, f"the token lives longer than {revocations.max_s} s")


def _require_evidence(expect: Expectation) -> None:
    """The floors of step 12. Every entry read here is plain, so it has the issuer's evidence."""
    if (expect.root_floor, expect.hop_floor) != (Evidence.ISSUER, Evidence.ISSUER):
        raise TokenRefused(Reason.EVIDENCE_INSUFFICIENT, "the entries have the word of the issuer only")


def _require_within_leaf(claims: AccessTokenClaims, delegation: Delegation) -> None:
    """Step 13: the token says what its last hop says, to the agent that the hop names."""
    leaf = delegation.chain.leaf
    granted = leaf.authority
    within = (
        claims.scope == granted.scope
        and not claims.has_details
        and claims.exp <= granted.exp
        and claims.iat >= granted.iat
        and (claims.aud in granted.resources or claims.aud == claims.iss)
        and claims.client_id == leaf.actor
        # A bound hop needs a bound token; tokens with cnf were refused in step 8.
        and leaf.jkt is None
    )
    if not within:
        raise TokenRefused(Reason.TOKEN_EXCEEDS_GRANT, "the token is more than, or other than, its last hop grants")


def _require_not_revoked(
    delegation: Delegation,
    revocations: Revocations,
    expect: Expectation,
    now: int,
) -> None:
    """Step 14. A view that is too old, or from a clock ahead of ours, cannot clear a token."""
    if isinstance(revocations, LifetimeOnly | UnsafeRevocationElsewhere):
        return
    if not -expect.leeway_s <= now - revocations.as_of <= revocations.max_staleness_s:
        raise TokenRefused(Reason.REVOCATION_STALE, "the view of revocations is too old")
    if revocations.is_revoked(delegation.chain.revocables()):
        raise TokenRefused(Reason.REVOKED, "the token or something above it was revoked")


def _verified(
    claims: AccessTokenClaims,
    delegation: Delegation,
    revocations: Revocations,
    *,
    check_expiry: bool,
) -> VerifiedToken:
    not_performed = set()
    if isinstance(revocations, LifetimeOnly | UnsafeRevocationElsewhere):
        not_performed.add(UncheckedStep.REVOCATION)
    if not check_expiry:
        not_performed.add(UncheckedStep.EXPIRY)
    return VerifiedToken(
        iss=claims.iss,
        sub=claims.sub,
        actors=delegation.act,
        audience=claims.aud,
        scope=claims.scope,
        iat=claims.iat,
        exp=claims.exp,
        jti=claims.jti,
        chain=delegation.chain,
        root_evidence=Evidence.ISSUER,
        hop_evidence=(Evidence.ISSUER,) * len(delegation.chain.hops),
        not_performed=frozenset(not_performed),
    )
