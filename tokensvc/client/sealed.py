"""JWS whose header carries the key that signed: the DPoP proof (RFC 9449 s4.2), and what is common with a grant."""

import secrets
from typing import Final

from tokensvc.core.jsontext import JsonObject, JsonValue, render_json
from tokensvc.core.jws import SigningKey, encode_base64url
from tokensvc.core.proof import DPOP_TYP, token_hash

__all__ = ["make_proof", "new_jti", "seal_with_jwk"]

_NOT_MATERIAL: Final = frozenset({"kid", "alg", "use"})


def new_jti() -> str:
    """128 random bits in base64url."""
    return secrets.token_urlsafe(16)


def seal_with_jwk(claims: JsonObject, *, typ: str, key: SigningKey) -> str:
    """`claims` as a compact JWS whose header is exactly `typ`, `alg` and `jwk`, with the members of RFC 7638."""
    jwk: dict[str, JsonValue] = {name: member for name, member in key.public.jwk().items() if name not in _NOT_MATERIAL}
    header = encode_base64url(render_json({"typ": typ, "alg": key.alg, "jwk": jwk}))
    signing_input = header + b"." + encode_base64url(render_json(claims))
    return (signing_input + b"." + encode_base64url(key.sign(signing_input))).decode("ascii")


def make_proof(
    key: SigningKey, *, method: str, url: str, now: float, token: str | None = None, nonce: str | None = None
) -> str:
    """A new DPoP proof for one request: `htu` is `url` without query and fragment, `ath` the hash of `token`."""
    claims: dict[str, JsonValue] = {
        "jti": new_jti(),
        "htm": method,
        "htu": url.partition("#")[0].partition("?")[0],
        "iat": int(now),
    }
    if token is not None:
        claims["ath"] = token_hash(token)
    if nonce is not None:
        claims["nonce"] = nonce
    return seal_with_jwk(claims, typ=DPOP_TYP, key=key)
