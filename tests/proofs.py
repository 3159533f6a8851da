"""DPoP proofs of a test's own making: right by default, forged wherever a test says so."""

import base64
import hashlib
from typing import Any, Final

from tests.simulator import ABSENT, NOW, Members, ec_key, jti, jwk, seal
from tokensvc.core.jws import SigningKey
from tokensvc.core.proof import VerifiedProof, verify_proof

__all__ = ["HOLDER", "HTM", "HTU", "ath", "judge", "proof", "proof_claims", "proof_header"]

HOLDER: Final = ec_key("holder")
HTM: Final = "GET"
HTU: Final = "https://crm.example/customers"
LEEWAY_S: Final = 30


def ath(token: str) -> str:
    """The hash of an access token, by the standard library."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def proof_header(key: SigningKey = HOLDER, **members: object) -> Members:
    """The header of a proof by `key`; `ABSENT` leaves a member out."""
    header = {"typ": "dpop+jwt", "alg": str(key.alg), "jwk": jwk(key), **members}
    return {name: member for name, member in header.items() if member is not ABSENT}


def proof_claims(token: str | None = None, **members: object) -> Members:
    """The claims of a proof for a request that carries `token`."""
    named = {} if token is None else {"ath": ath(token)}
    claims = {"jti": jti("proof"), "htm": HTM, "htu": HTU, "iat": NOW, **named, **members}
    return {name: member for name, member in claims.items() if member is not ABSENT}


def proof(token: str | None = None, *, key: SigningKey = HOLDER, header: object = None, **members: object) -> str:
    """A proof, truly signed with `key`; `members` are claims to replace, add, or leave out."""
    return seal(proof_header(key) if header is None else header, proof_claims(token, **members), key)


def judge(text: str, **terms: Any) -> VerifiedProof:  # noqa: ANN401 - any term, even a bad one
    """What `verify_proof` says of `text` for that request, at `NOW`."""
    return verify_proof(text, **{"htm": HTM, "htu": HTU, "now": NOW, "leeway_s": LEEWAY_S, **terms})
