"""A root that an authority signed, presented as the subject token of a start (step 5).

The authority says itself what its user lets the first agent do, so that the token service cannot make it up. The root
stands in the chain byte for byte: it is within the authority's ceiling as it is, or refused.

Every fault before its signature is known is the same `subject_token_invalid`, as of a user's token; so are the wrong
`aud` and `actor`: whoever is not the agent that it names learns nothing of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tokensvc.core.details import details_cover, render_details
from tokensvc.core.entry import Root, RootClaim, parse_root
from tokensvc.core.evidence import ROOT_TYP
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import split_compact, verify_signature
from tokensvc.core.members import parse_text
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.core.scope import render_scope, require_grammar, usable_scope
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.parties import Agent, Authority, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import JWT_TYPE
from tokensvc.exchange.subject import subject_token_invalid
from tokensvc.verify.expectation import MAX_TOKEN_BYTES

__all__ = ["SignedRoot", "is_signed_root", "require_within_authority", "verify_signed_root"]

_HEADER: Final = frozenset({"typ", "alg", "kid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRoot:
    """A root whose signature, place and time are proven; `sub` is its user by the name that the user has here.

    `claim` is that of the root. `sha256` names what was signed, whatever the signature.
    """

    authority: Authority
    root: Root
    claim: RootClaim
    sub: str
    sha256: str

    @property
    def cnf(self) -> tuple[str, str]:
        """The key of the first agent, as (member, value)."""
        return ("jkt", self.claim.jkt)

    def revocables(self) -> tuple[Revocable, ...]:
        """What bars a start from it, whatever else the chain depends on."""
        ids = {
            RevocationKind.ENTRY: self.root.jti,
            RevocationKind.USER: self.sub,
            RevocationKind.ISSUER: self.authority.iss,
            RevocationKind.KEY: self.claim.jkt,
            RevocationKind.SUBJECT_TOKEN: self.sha256,
        }
        iat = self.root.authority.iat
        return tuple(Revocable(kind=kind, id=name, iat=iat) for kind, name in ids.items())

    def describe(self) -> dict[str, JsonValue]:
        """What the record says of it."""
        return {
            "iss": self.authority.iss,
            "sub": self.sub,
            "scope": render_scope(self.root.authority.scope),
            "authorization_details": render_details(self.root.authority.details),
            "sha256": self.sha256,
        }


def is_signed_root(token: str) -> bool:
    """True when the unverified `token` says that it is a root: a hint which check applies, nothing more."""
    try:
        return parse_json_object(split_compact(token, max_bytes=MAX_TOKEN_BYTES).header).get("typ") == ROOT_TYP
    except Malformed:
        return False


async def verify_signed_root(
    token: str, *, token_type: str, authority: Authority, client: Agent, registry: Registry, terms: Terms, now: int
) -> SignedRoot:
    """The proof that `token` is a current root of `authority`, for this service, whose first agent is `client`.

    Neither the agent's key nor the ceiling has been looked at. Waits for nothing but the authority's keys. Raises:
    Unavailable when they cannot be had; OAuthRefused (`subject_token_invalid`), the exact fault in `detail`.
    """
    try:
        _require_stated_as_jwt(token_type)
        signing_input = await _require_signed(token, authority)
        root = parse_root({"jws": token})
        claim = _require_meant_for(root, authority, client, terms)
        _require_current(root, leeway_s=terms.leeway_s, now=now)
        require_grammar(root.authority.scope, terms.order.grammar)
    except Malformed as exc:
        raise subject_token_invalid(exc.description) from exc
    sub = authority.subject_prefix + root.sub
    if registry.party(sub) is not None:
        raise subject_token_invalid("the user has the id of a registered client")
    digest = sha256(signing_input).hexdigest()
    return SignedRoot(authority=authority, root=root, claim=claim, sub=sub, sha256=digest)


def _require_stated_as_jwt(token_type: str) -> None:
    """A root is neither an access token nor an ID token."""
    if token_type != JWT_TYPE:
        raise Malformed(f"a root is presented as {JWT_TYPE}")


async def _require_signed(token: str, authority: Authority) -> bytes:
    """What was signed, by a key of the authority that fits the header. Before that nothing of it is kept."""
    jws = split_compact(token, max_bytes=MAX_TOKEN_BYTES)
    header = parse_json_object(jws.header)
    if header.keys() != _HEADER or header["typ"] != ROOT_TYP:
        raise Malformed("the header of a root is exactly typ, alg and kid")
    key = await authority.keys.find(parse_text(header["kid"], "kid"))
    # By its very name, as in `core.evidence`: a verifier would refuse what is accepted here.
    if key is None or header["alg"] != key.alg:
        raise Malformed("no key of the authority fits kid and alg")
    if not verify_signature(jws, key):
        raise Malformed("the signature does not verify")
    return jws.signing_input


def _require_meant_for(root: Root, authority: Authority, client: Agent, terms: Terms) -> RootClaim:
    claim = root.claim
    if claim is None or root.iss != authority.iss or claim.aud != terms.issuer:
        raise Malformed("the root is for another token service")
    if claim.actor != client.id:
        raise Malformed("the root names another agent")
    return claim


def _require_current(root: Root, *, leeway_s: int, now: int) -> None:
    granted = root.authority
    if granted.exp <= now:
        # No leeway: a hop below it would have ended before it began.
        raise Malformed("expired")
    if granted.iat > now + leeway_s:
        raise Malformed("not valid yet")
    if granted.exp <= granted.iat or granted.max_depth < 1:
        raise Malformed("nothing can stand below the root")


def require_within_authority(signed: SignedRoot, *, registry: Registry, terms: Terms, now: int) -> None:
    """Return when the root grants nothing beyond the ceiling of its authority, nor lasts longer than roots here.

    Its scopes have meaning at its resources. Raises: OAuthRefused (`root_exceeded`), naming what is too much.
    """
    for what, is_within in _bounds(signed, registry, terms, now).items():
        if not is_within:
            problem = f"subject_token: the {what} of the root is more than its authority may grant here"
            raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.ROOT_EXCEEDED, problem)


def _bounds(signed: SignedRoot, registry: Registry, terms: Terms, now: int) -> Mapping[str, bool]:
    granted, authority = signed.root.authority, signed.authority
    usable = usable_scope(registry.scopes_at(granted.resources), granted.scope, terms.order.grammar)
    # From its own iat on as well: a root that was revoked before it was used must be gone before that is forgotten.
    lifetime_s = granted.exp - min(granted.iat, now)
    return {
        "resources": granted.resources <= authority.ceiling_resources,
        "scope": usable == granted.scope,
        "authorization_details": _details_within(signed),
        "max_depth": granted.max_depth <= min(authority.ceiling_max_depth, terms.max_depth),
        "lifetime": lifetime_s <= terms.root_lifetime_s,
    }


def _details_within(signed: SignedRoot) -> bool:
    try:
        return details_cover(signed.authority.ceiling_details, signed.root.authority.details)
    except Malformed:
        # To compare them costs more than its bound.
        return False
