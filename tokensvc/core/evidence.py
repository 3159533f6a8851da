"""Whose word a signed entry is: the proof that an authority made a root, and that a delegator made a hop.

The user has no key, so the first hop is always plain. A root's key is the authority's, found by its `iss` and `kid`; a
hop's key stands in its header and is believed only because the entry before it names its thumbprint, which is compared
first. Distinct `typ` values keep these artefacts from passing for access tokens and the other way round (RFC 8725
s3.11).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from tokensvc.core.entry import Entry, Hop, HopClaim, Root, RootClaim, Signed
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import encode_base64url, verify_signature
from tokensvc.core.keyset import PublicKey, import_key
from tokensvc.errors import KeyRefused, Reason, TokenRefused

__all__ = [
    "GRANT_TYP",
    "ROOT_TYP",
    "FindKey",
    "require_hop_evidence",
    "require_root_evidence",
    "require_signed_as_stated",
]

ROOT_TYP: Final = "delegation-root+jwt"
GRANT_TYP: Final = "delegation-grant+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class _StatedKey:
    """The key in the header of a grant, and what it claims to be for. Nothing is known of it yet."""

    alg: JsonValue
    jwk: tuple[tuple[str, str], ...]
    thumbprint: str


FindKey = Callable[[str, str], PublicKey | None]
"""The key of that issuer and `kid`, or None."""

_BAD_SIGNATURE: Final = "the signature of a grant does not verify"
# What RFC 7638 hashes for each kind of key that a delegator may sign with, in its order.
_JWK_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def require_root_evidence(
    root: Root, first: Hop, *, iss: str, sub: str, authorities: Mapping[tuple[str, str], str], find: FindKey
) -> None:
    """Prove that `root` stands above a token of `iss` for the user `sub`: plain, or signed by a trusted authority.

    `authorities` maps (token service, authority) to the prefix that turns the authority's users into the service's.
    Raises: TokenRefused (`root_invalid`).
    """
    if root.claim is None:
        if root.iss != iss or root.sub != sub:
            raise _root_invalid("the root is of another issuer or user than the token")
        return
    prefix = authorities.get((iss, root.iss))
    if prefix is None or root.iss == iss:
        raise _root_invalid("the root is signed by no authority that is trusted here")
    if prefix + root.sub != sub:
        raise _root_invalid("the root is of another user than the token")
    _require_root_claim(root, root.claim, first, iss=iss)
    header = root.claim.signed.header
    kid = header.get("kid")
    key = find(root.iss, kid) if isinstance(kid, str) else None
    if key is None or header != {"typ": ROOT_TYP, "alg": key.alg, "kid": kid}:
        raise _root_invalid("no key of the authority fits the header of the root")
    if not _is_signed(root.claim.signed, key):
        raise _root_invalid("the signature of the root does not verify")


def require_hop_evidence(hop: Hop, above: Entry, *, index: int, iss: str, sub: str, lineage: str) -> None:
    """Prove that a signed `hop` was made by the actor of the entry before it, for this place; a plain one passes.

    Raises: TokenRefused (`grant_invalid`), naming the hop.
    """
    if hop.claim is None:
        return
    try:
        _require_claim(hop.claim, above, index=index, iss=iss, sub=sub, lineage=lineage)
    except TokenRefused as exc:
        raise _grant_invalid(f"hop {index}: {exc.description}") from exc


def _require_claim(claim: HopClaim, above: Entry, *, index: int, iss: str, sub: str, lineage: str) -> None:
    if not isinstance(above, Hop):
        raise _grant_invalid("the first hop is signed, and the user has no key")
    if (claim.iss, claim.sub, claim.aud) != (above.actor, sub, iss):
        raise _grant_invalid("the grant is of another delegator, user or token service")
    if claim.root != lineage or claim.index != index:
        raise _grant_invalid("the grant is of another lineage or place")
    key = _delegator_key(claim, jkt=above.jkt)
    if not _is_signed(claim.signed, key):
        raise _grant_invalid(_BAD_SIGNATURE)


def require_signed_as_stated(claim: HopClaim) -> None:
    """Prove that the key in the header of a grant made its signature. Whose key that is, only a chain can tell.

    Raises: TokenRefused (`grant_invalid`).
    """
    stated = _read_stated_key(claim.signed.jws.header)
    if not _is_signed(claim.signed, _delegator_key(claim, jkt=stated.thumbprint)):
        raise _grant_invalid(_BAD_SIGNATURE)


def _require_root_claim(root: Root, claim: RootClaim, first: Hop, *, iss: str) -> None:
    """Without `aud` another service could lift the root from any token; without the key this one could invent hop 1."""
    if claim.aud != iss:
        raise _root_invalid("the root is meant for another token service")
    if (first.actor, first.jkt) != (claim.actor, claim.jkt) or first.parent != root.jti:
        raise _root_invalid("the first hop is not the agent and key that the root names")


def _delegator_key(claim: HopClaim, *, jkt: str | None) -> PublicKey:
    """The key in the header of a grant, once its thumbprint is the one that the entry before names."""
    stated = _read_stated_key(claim.signed.jws.header)
    if jkt is None or stated.thumbprint != jkt:
        raise _grant_invalid("the key of the grant is not the one that its delegator is bound to")
    key = _import_holder_key(stated.jwk)
    # A coordinate with zeros before it is the same key under another thumbprint, which no revocation would name.
    if key is None or key.thumbprint != jkt or stated.alg != key.alg:
        raise _grant_invalid("the key of the grant is not fit for its alg")
    return key


# An agent signs all its grants under one header.
@lru_cache(maxsize=1024)
def _read_stated_key(text: bytes) -> _StatedKey:
    header = parse_json_object(text)
    jwk = header.get("jwk")
    if header.keys() != {"typ", "alg", "jwk"} or header["typ"] != GRANT_TYP or not isinstance(jwk, dict):
        raise _grant_invalid("the header of a grant is exactly typ, alg and jwk")
    members = _JWK_MEMBERS.get(str(jwk.get("kty")), ())
    values = tuple(jwk.get(name) for name in members)
    if jwk.keys() != set(members) or not all(isinstance(value, str) for value in values):
        raise _grant_invalid("the jwk of a grant is not exactly the members of its thumbprint")
    return _StatedKey(
        alg=header["alg"],
        jwk=tuple(zip(members, map(str, values), strict=True)),
        thumbprint=_thumbprint(members, values),
    )


def _thumbprint(members: tuple[str, ...], values: tuple[JsonValue, ...]) -> str:
    text = json.dumps(dict(zip(members, values, strict=True)), ensure_ascii=False, separators=(",", ":"))
    return encode_base64url(sha256(text.encode("utf-8", "surrogatepass")).digest()).decode("ascii")


# An agent signs many grants with one key, and to import one costs as much as to verify with it.
@lru_cache(maxsize=1024)
def _import_holder_key(jwk: tuple[tuple[str, str], ...]) -> PublicKey | None:
    try:
        key, algorithm = import_key(dict(jwk))
    except KeyRefused:
        return None
    return PublicKey.of(key, kid="", alg=algorithm)


# A prefix of a chain comes back in every token below it. What is kept is that these very bytes verified with this very
# key.
@lru_cache(maxsize=512)
def _is_signed(signed: Signed, key: PublicKey) -> bool:
    return verify_signature(signed.jws, key)


def _root_invalid(description: str) -> TokenRefused:
    return TokenRefused(Reason.ROOT_INVALID, description)


def _grant_invalid(description: str) -> TokenRefused:
    return TokenRefused(Reason.GRANT_INVALID, description)
