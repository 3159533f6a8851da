"""`verify_token`: the whole procedure, in numbered steps. Pure and synchronous; the first failure decides.

     1 size and alphabet             6 time, lifetime cap              11 the root
     2 header                        7 audience                        12 every hop against the entry before it
     3 payload, issuer               8 holder                          13 the token against the last hop
     4 key and signature             9 act and grant chain             14 revocation
     5 required claims              10 alignment                       15 the answer

A valid signature is only step 4: a token that the token service itself signed is refused when any hop was not
attenuated. A token that is bound to a key (`cnf`) is refused without the proof of that key, and a proof beside a token
that is bound to none is refused as well: whoever sent it believes the token to be something else than it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

from tokensvc.core.chain import require_aligned, require_hop_attenuated
from tokensvc.core.claims import AccessTokenClaims, Delegation, parse_claims, parse_delegation
from tokensvc.core.construct import constructor_of
from tokensvc.core.entry import Entry, Evidence
from tokensvc.core.evidence import require_hop_evidence, require_root_evidence
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, find_algorithm
from tokensvc.core.members import parse_text
from tokensvc.core.proof import ClientCertificate, VerifiedProof, token_hash
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import require_grammar
from tokensvc.errors import Malformed, Reason, TokenRefused
from tokensvc.verify.expectation import Expectation, HolderFloor
from tokensvc.verify.floors import require_floors
from tokensvc.verify.keysource import KeySource
from tokensvc.verify.revocations import LifetimeOnly, RevocationView, UnsafeRevocationElsewhere
from tokensvc.verify.verified import UncheckedStep, VerifiedToken

__all__ = [
    "HolderProof",
    "Revocations",
    "UnsafeHolderProvenUpstream",
    "unsafe_verify_token_of_any_age",
    "verify_token",
]

Revocations = RevocationView | LifetimeOnly | UnsafeRevocationElsewhere
# Nothing to look anything up in.
_NO_VIEW: Final = (LifetimeOnly, UnsafeRevocationElsewhere)

_HEADER_MEMBERS: Final = frozenset({"typ", "alg", "kid"})
_TYP: Final = frozenset({"at+jwt", "application/at+jwt"})
# Until Python 3.12 a member of an enum costs ten times a global name, and these are needed for every hop or token.
_ISSUER: Final = Evidence.ISSUER
_DELEGATOR: Final = Evidence.DELEGATOR
_REVOCATION: Final = UncheckedStep.REVOCATION
_HOLDER: Final = UncheckedStep.HOLDER
_PROOF_REQUIRED: Final = HolderFloor.PROOF
_verified_token: Final = constructor_of(VerifiedToken)


@final
@dataclass(frozen=True, slots=True)
class UnsafeHolderProvenUpstream:
    """No proof is looked at, because something in front of the caller checked that the sender holds the token's key."""


HolderProof = VerifiedProof | ClientCertificate | UnsafeHolderProvenUpstream
"""What came with a token to show that its sender holds the key it is bound to."""
_PROOFS: Final = (VerifiedProof, ClientCertificate, UnsafeHolderProvenUpstream)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """Everything that a token is judged by."""

    keys: KeySource
    expect: Expectation
    now: int
    revocations: Revocations
    proof: HolderProof | None
    check_expiry: bool
    # What `token_hash` says of the token, where the caller knows it already.
    ath: str | None = None


_terms: Final = constructor_of(_Terms)


@dataclass(slots=True)
class Trace:
    """How far a verification came: the step and hop being judged, and what had been read by then.

    `claims` and `delegation` are of a token whose signature verified.
    """

    step: int = 0
    hop: int = 0
    claims: AccessTokenClaims | None = None
    delegation: Delegation | None = None


def verify_token(
    token: str,
    *,
    keys: KeySource,
    expect: Expectation,
    now: int,
    revocations: Revocations,
    proof: HolderProof | None = None,
) -> VerifiedToken:
    """The proof that `token` is genuine, current, meant for us, and attenuated at every hop.

    `now` is whole epoch seconds. A token with `cnf` needs a `proof`: what `verify_proof` returns for the DPoP proof of
    this request, or the certificate of its connection. That a DPoP proof is used once is for the caller to see to.
    Raises: TokenRefused with the `reason` of the first check that failed; Unavailable when `keys` or `revocations`
    cannot answer; TypeError when `now` is no integer or `proof` is of another type.
    """
    terms = _terms(keys=keys, expect=expect, now=now, revocations=revocations, proof=proof, check_expiry=True, ath=None)
    return _verify(token, terms, Trace())


def unsafe_verify_token_of_any_age(
    token: str, *, keys: KeySource, expect: Expectation, now: int, revocations: Revocations
) -> VerifiedToken:
    """As `verify_token`, but a token past its `exp` passes, and no proof is looked at; `not_performed` says so.

    For who must read an old token and judges its age and holder by another rule: a revocation, a pick-up while the hop
    lives.
    """
    proof = UnsafeHolderProvenUpstream()
    terms = _Terms(keys=keys, expect=expect, now=now, revocations=revocations, proof=proof, check_expiry=False)
    return _verify(token, terms, Trace())


def _verify(token: str, terms: _Terms, trace: Trace) -> VerifiedToken:
    """The steps. `trace` is told how far they came and what was proven by then."""
    require_sound(terms)
    try:
        return _verify_steps(token, terms, trace)
    except Malformed as exc:
        raise TokenRefused(exc.reason, exc.description) from exc


def require_sound(terms: _Terms) -> None:
    """Refuse terms of a type that would switch a check off. Raises: TypeError."""
    if type(terms.now) is not int:
        # A float could be NaN, and no token is ever older than that.
        raise TypeError("now is whole epoch seconds")
    if terms.proof is not None and type(terms.proof) not in _PROOFS:
        # The text of a proof, which looks as if it were checked, must not count as one.
        raise TypeError("proof is None, a VerifiedProof, a ClientCertificate or UnsafeHolderProvenUpstream()")


def _verify_steps(token: str, terms: _Terms, trace: Trace) -> VerifiedToken:
    expect = terms.expect
    payload = _open(token, terms, trace)  # steps 1 to 4
    trace.step = 5
    claims = trace.claims = parse_claims(payload)
    require_grammar(claims.scope, expect.order.grammar)
    trace.step = 6
    require_current(claims, terms)
    trace.step = 7
    if claims.aud not in expect.audiences:
        raise TokenRefused(Reason.WRONG_AUDIENCE, "the token is meant for another audience")
    trace.step = 8
    require_holder(claims, terms, lambda: token_hash(token) if terms.ath is None else terms.ath)
    trace.step = 9
    delegation = trace.delegation = parse_delegation(payload)
    chain = delegation.chain
    entries: tuple[Entry, ...] = (chain.root, *chain.hops)
    for entry in entries:
        require_grammar(entry.authority.scope, expect.order.grammar)
    trace.step = 10
    require_aligned(chain, act=delegation.act, token_jti=claims.jti)
    trace.step = 11
    require_root_evidence(
        chain.root,
        chain.hops[0],
        iss=claims.iss,
        sub=claims.sub,
        authorities=expect.authorities,
        find=terms.keys.find,
    )
    trace.step = 12
    _require_hops(claims, delegation, expect, trace)
    trace.step = 13
    _require_within_leaf(claims, delegation)
    trace.step = 14
    verified = _verified(claims, delegation, terms)
    require_not_revoked(verified.revocables, terms)
    trace.step = 15
    return verified


def _open(token: str, terms: _Terms, trace: Trace) -> Mapping[str, JsonValue]:
    """Steps 1 to 4: the claims set, after its signature verified with a key of a trusted issuer."""
    trace.step = 1
    if type(token) is not str:
        raise Malformed("not a compact JWS")
    jws = split_compact(token, max_bytes=terms.expect.max_token_bytes)
    trace.step = 2
    algorithm, kid = _parse_header(jws.header)
    trace.step = 3
    payload = parse_json_object(jws.payload)
    iss = parse_text(payload.get("iss"), "iss")
    if iss not in terms.expect.issuers:
        raise TokenRefused(Reason.UNTRUSTED_ISSUER, "the issuer is not trusted here")
    trace.step = 4
    key = terms.keys.find(iss, kid)
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


def require_current(claims: AccessTokenClaims, terms: _Terms) -> None:
    """Step 6, against `now` only; and the lifetime cap, where lifetime is all that ends a token."""
    leeway_s = terms.expect.leeway_s
    if terms.check_expiry and terms.now >= claims.exp + leeway_s:
        raise TokenRefused(Reason.EXPIRED, "the token has expired")
    if claims.iat > terms.now + leeway_s or (claims.nbf is not None and claims.nbf > terms.now + leeway_s):
        raise TokenRefused(Reason.NOT_YET_VALID, "the token is not valid yet")
    revocations = terms.revocations
    if isinstance(revocations, LifetimeOnly) and claims.exp - claims.iat > revocations.max_s:
        raise TokenRefused(Reason.LIFETIME_EXCEEDED, f"the token lives longer than {revocations.max_s} s")


def require_holder(claims: AccessTokenClaims, terms: _Terms, ath: Callable[[], str]) -> None:
    """Step 8: the sender holds the key of `cnf` (RFC 9449 s7.1, RFC 8705 s3), or the token needs nobody to hold one.

    `ath` gives the hash of the token; it is asked for only where a DPoP proof has to name it.
    """
    proof = terms.proof
    if claims.cnf is None:
        if type(proof) is VerifiedProof:
            raise _unproven("the token is bound to no key, so no proof goes with it")
        if terms.expect.holder is _PROOF_REQUIRED:
            raise _unproven("the token is bound to no key, and only bound ones are taken here")
        return
    if proof is None:
        raise _unproven("the token is bound to a key, and no proof of it was given")
    if type(proof) is UnsafeHolderProvenUpstream:
        return
    if type(proof) is VerifiedProof:
        if claims.cnf != ("jkt", proof.jkt):
            raise _unproven("the proof is of another key than the one that the token is bound to")
        if proof.ath != ath():
            # Else a proof that was made to fetch something without a token would do for any token of its key.
            raise _unproven("the proof does not name this token in ath")
    elif claims.cnf != ("x5t#S256", proof.thumbprint):
        raise _unproven("the token is bound to another key than that of the client certificate")


def _unproven(description: str) -> TokenRefused:
    return TokenRefused(Reason.HOLDER_UNPROVEN, description)


def _require_hops(claims: AccessTokenClaims, delegation: Delegation, expect: Expectation, trace: Trace) -> None:
    """Step 12, oldest hop first: whose word it is, whether that is enough, and whether it shrank."""
    chain = delegation.chain
    above: Entry = chain.root
    for index, hop in enumerate(chain.hops, start=1):
        trace.hop = index
        require_hop_evidence(hop, above, index=index, iss=claims.iss, sub=claims.sub, lineage=chain.root.jti)
        require_floors(chain, index=index, iss=claims.iss, expect=expect)
        require_hop_attenuated(hop, above, index=index, order=expect.order, max_depth=expect.max_depth)
        above = hop


def _require_within_leaf(claims: AccessTokenClaims, delegation: Delegation) -> None:
    """Step 13: the token says what its last hop says, to the agent and bound to the key that the hop names."""
    leaf = delegation.chain.leaf
    granted = leaf.authority
    within = (
        claims.scope == granted.scope
        and claims.details == granted.details
        and claims.exp <= granted.exp
        and claims.iat >= granted.iat
        and (claims.aud in granted.resources or claims.aud == claims.iss)
        and claims.client_id == leaf.actor
        # A hop without a key leaves it to the token to add one.
        and (leaf.jkt is None or claims.cnf == ("jkt", leaf.jkt))
    )
    if not within:
        raise TokenRefused(Reason.TOKEN_EXCEEDS_GRANT, "the token is more than, or other than, its last hop grants")


def require_not_revoked(revocables: Callable[[], tuple[Revocable, ...]], terms: _Terms) -> None:
    """Step 14. A view that is too old, or from a clock ahead of ours, cannot clear a token.

    `revocables` are asked for only where there is a view to look them up in.
    """
    revocations = terms.revocations
    if isinstance(revocations, _NO_VIEW):
        return
    if not -terms.expect.leeway_s <= terms.now - revocations.as_of <= revocations.max_staleness_s:
        raise TokenRefused(Reason.REVOCATION_STALE, "the view of revocations is too old")
    if revocations.is_revoked(revocables()):
        raise TokenRefused(Reason.REVOKED, "the token or something above it was revoked")


def _verified(claims: AccessTokenClaims, delegation: Delegation, terms: _Terms) -> VerifiedToken:
    chain = delegation.chain
    return _verified_token(
        iss=claims.iss,
        sub=claims.sub,
        actors=delegation.act,
        audience=claims.aud,
        scope=claims.scope,
        grammar=terms.expect.order.grammar,
        details=claims.details,
        iat=claims.iat,
        exp=claims.exp,
        jti=claims.jti,
        cnf=claims.cnf,
        chain=chain,
        root_evidence=_ISSUER if chain.root.claim is None else Evidence.AUTHORITY,
        hop_evidence=tuple([_ISSUER if hop.claim is None else _DELEGATOR for hop in chain.hops]),
        not_performed=not_performed(claims, terms),
    )


def not_performed(claims: AccessTokenClaims, terms: _Terms) -> frozenset[UncheckedStep]:
    """What was not checked of a token with `claims`, because `terms` say so."""
    steps = []
    if isinstance(terms.revocations, _NO_VIEW):
        steps.append(_REVOCATION)
    if not terms.check_expiry:
        steps.append(UncheckedStep.EXPIRY)
    if claims.cnf is not None and type(terms.proof) is UnsafeHolderProvenUpstream:
        steps.append(_HOLDER)
    return frozenset(steps)
