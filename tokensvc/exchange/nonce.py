"""Nonces for DPoP proofs (RFC 9449 s8): the service says when it was asked, and nobody can make a proof beforehand.

A nonce is a statement of the time, signed with the service's own key: every process knows it again, and nothing is
stored. It has a type of its own, so it is no other token.
"""

from functools import lru_cache
from typing import Final

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import SigningKey, seal_compact, split_compact, verify_signature
from tokensvc.core.keyset import PublicKey
from tokensvc.core.members import parse_integer
from tokensvc.errors import Malformed
from tokensvc.ports import Signer

__all__ = ["make_nonce", "require_nonce"]

NONCE_TYP: Final = "dpop-nonce+jwt"
# A client asks again when its nonce is refused; until then it may prepare proofs for two or three minutes.
NONCE_AGE_S: Final = 120
# One signature serves all answers of a minute.
_STEP_S: Final = 60
_MAX_BYTES: Final = 1024


def make_nonce(signer: Signer, *, iss: str, now: int) -> str:
    """The nonce of this minute (`now` in epoch seconds)."""
    return _seal(signer.signing_key(), iss, now - now % _STEP_S)


def require_nonce(nonce: str | None, signer: Signer, *, iss: str, now: int, leeway_s: int) -> None:
    """Return when `nonce` was given by this service not long ago. Raises: Malformed."""
    if nonce is None:
        raise Malformed("the proof has no nonce")
    jws = split_compact(nonce, max_bytes=_MAX_BYTES)
    header = parse_json_object(jws.header)
    kid = header.get("kid")
    key = signer.public_keys().find(kid) if isinstance(kid, str) else None
    if key is None or header != {"typ": NONCE_TYP, "alg": key.alg, "kid": kid} or not _is_signed(nonce, key):
        raise Malformed("the nonce is none of this service")
    payload = parse_json_object(jws.payload)
    iat = parse_integer(payload.get("iat"), "iat")
    if payload.get("iss") != iss or not -leeway_s <= now - iat <= NONCE_AGE_S + leeway_s:
        raise Malformed("the nonce is too old")


# ECDSA makes another signature each time; a minute has one nonce in each process.
@lru_cache(maxsize=16)
def _seal(key: SigningKey, iss: str, iat: int) -> str:
    return seal_compact({"iss": iss, "iat": iat}, typ=NONCE_TYP, key=key)


# Every client sends the nonce of this minute, of each process.
@lru_cache(maxsize=256)
def _is_signed(nonce: str, key: PublicKey) -> bool:
    return verify_signature(split_compact(nonce, max_bytes=_MAX_BYTES), key)
