"""The `delegation_grant`: a hop that its delegator signed, on its own, before it stands in a chain. Pure.

A grant is the hop, byte for byte. It may be refused; it is never cut to fit, and nothing that a request says beside it
changes it: a parameter that says something else is a mistake, and refused. What the signature is worth follows from the
chain alone: the key is the one that the hop above is bound to, and user, lineage and place are written down, so that
the grant is good nowhere else.
"""

from hashlib import sha256
from typing import Final

from tokensvc.core.chain import GrantChain
from tokensvc.core.details import NO_DETAILS
from tokensvc.core.entry import Hop, HopClaim, parse_signed_hop
from tokensvc.core.evidence import GRANT_TYP, require_hop_evidence, require_signed_as_stated
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import split_compact
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason, TokenRefused
from tokensvc.exchange.authority import parse_requested_details, parse_scope_of_request
from tokensvc.exchange.parties import REMEMBER_S
from tokensvc.exchange.request import ExchangeRequest
from tokensvc.ports import OneTimeValue
from tokensvc.verify import VerifiedToken
from tokensvc.verify.expectation import MAX_TOKEN_BYTES

__all__ = [
    "GRANT_NOTE",
    "claim_of",
    "is_grant",
    "note_of",
    "once_of_grant",
    "open_grant",
    "open_lone_grant",
    "refuse_grant",
    "require_no_other_word",
]

GRANT_NOTE: Final = "delegation-grant:"
"""Begins the note of a claim (`OneTimeValue`) that a grant made; the SHA-256 of its payload in hex follows."""

# typ, alg and a P-256 key are some 230 bytes. A stranger's key does not fill the caches of `core.evidence`.
_MAX_HEADER_BYTES: Final = 512


def is_grant(text: str) -> bool:
    """True when the header says that `text` is a grant. Nothing is proven by that."""
    try:
        return parse_json_object(split_compact(text, max_bytes=MAX_TOKEN_BYTES).header).get("typ") == GRANT_TYP
    except Malformed:
        return False


def open_grant(text: str, subject: VerifiedToken) -> Hop:
    """The hop that `text` says, when the current actor of `subject` signed it as the next one of this very chain.

    Its key is the one that the actor is bound to, so that it proves that key as well. What it grants is not judged.
    Raises: OAuthRefused (`grant_invalid`).
    """
    hop = _parse(text)
    chain = subject.chain
    try:
        require_hop_evidence(
            hop, chain.leaf, index=subject.depth + 1, iss=subject.iss, sub=subject.sub, lineage=subject.lineage
        )
    except TokenRefused as exc:
        raise refuse_grant(exc.description) from exc
    _require_place(hop, chain)
    return hop


def open_lone_grant(text: str, *, issuer: str) -> Hop:
    """The hop that `text` says for this token service (`issuer`), signed by the key that it names itself.

    Whose key that is, nobody knows: it shows that whoever made the grant made all of it. Raises: OAuthRefused
    (`grant_invalid`).
    """
    hop = _parse(text)
    claim = claim_of(hop)
    try:
        require_signed_as_stated(claim)
    except TokenRefused as exc:
        raise refuse_grant(exc.description) from exc
    if claim.aud != issuer:
        raise refuse_grant("a grant is of another token service")
    return hop


def claim_of(hop: Hop) -> HopClaim:
    """What the signature adds. Raises: OAuthRefused for a hop without one, which is no grant."""
    if hop.claim is None:
        raise refuse_grant("a grant is signed")
    return hop.claim


def note_of(hop: Hop) -> str | None:
    """What a claim of the grant's `jti` is for: the hash of its payload. None for a hop that nobody signed."""
    return None if hop.claim is None else GRANT_NOTE + sha256(hop.claim.signed.jws.payload).hexdigest()


def once_of_grant(hop: Hop) -> OneTimeValue:
    """What is claimed when a grant is used or revoked: its `jti`, for this payload. The same again is a retry."""
    authority = hop.authority
    return OneTimeValue(
        value=hop.jti, until=authority.exp + REMEMBER_S, made=authority.iat, note=note_of(hop), repeatable=True
    )


def require_no_other_word(request: ExchangeRequest, hop: Hop, grammar: ScopeGrammar) -> None:
    """Return when every parameter that says what the hop is says what the grant says, or is left out.

    Which resources are meant, `resource` and `audience`, is judged where they are looked up. Raises: OAuthRefused
    (`grant_invalid`, naming the parameter; what `parse_wanted` raises for one that does not parse).
    """
    authority = hop.authority
    scope = None if request.scope is None else parse_scope_of_request(request.scope, grammar)
    details = parse_requested_details(request.authorization_details)
    said: tuple[tuple[str, object, object], ...] = (
        ("requested_actor", request.requested_actor, hop.actor),
        ("scope", scope, authority.scope),
        # The order in which entries stand says nothing.
        (
            "authorization_details",
            None if details is None else frozenset(details),
            frozenset(authority.details or NO_DETAILS),
        ),
        ("requested_lifetime_s", request.requested_lifetime_s, authority.exp - authority.iat),
        ("requested_max_depth", request.requested_max_depth, authority.max_depth),
    )
    for name, value, granted in said:
        if value is not None and value != granted:
            raise refuse_grant(f"{name} is not what the grant says: leave it out")


def _parse(text: str) -> Hop:
    try:
        header = split_compact(text, max_bytes=MAX_TOKEN_BYTES).header
        hop = parse_signed_hop(text) if len(header) <= _MAX_HEADER_BYTES else None
    except Malformed as exc:
        raise refuse_grant(exc.description) from exc
    if hop is None:
        raise refuse_grant("the header of a grant is exactly typ, alg and jwk")
    return hop


def _require_place(hop: Hop, chain: GrantChain) -> None:
    """What `core.chain.require_aligned` wants of the token that is to come."""
    if hop.parent != chain.leaf.jti:
        raise refuse_grant("a grant is of another hop above")
    if hop.jti in chain.entry_ids:
        raise refuse_grant("a jti stands twice")


def refuse_grant(description: str) -> OAuthRefused:
    """The refusal for a grant that is not its delegator's word for this place, or for who says something else."""
    return OAuthRefused(OAuthError.INVALID_REQUEST, Reason.GRANT_INVALID, f"delegation_grant: {description}")
