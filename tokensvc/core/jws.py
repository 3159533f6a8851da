"""Compact JWS, opened and sealed (RFC 7515, RFC 8725). The algorithm comes from the key, never from the token.

Opening has two parts, so that nothing is decoded before its size is known and no claim is used before its signature:
`split_compact` takes the text apart, `verify_signature` proves that a key signed the received bytes.
"""

from binascii import Error as BinasciiError
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from tokensvc.core.construct import constructor_of
from tokensvc.core.jsontext import JsonObject, JsonValue, render_json
from tokensvc.core.keyset import MAX_KID_LENGTH, Algorithm, AsymmetricKey, PublicKey, import_key, wrap_key
from tokensvc.errors import KeyRefused, Malformed, Reason

__all__ = [
    "CompactJws",
    "SigningKey",
    "decode_base64url",
    "encode_base64url",
    "seal_compact",
    "split_compact",
    "verify_signature",
]

_REGISTRY: Final = JWSRegistry(algorithms=[*Algorithm])
_MODELS: Final = {algorithm: _REGISTRY.get_alg(algorithm) for algorithm in Algorithm}

_PARTS: Final = 3
# RFC 4648 s5 in, s4 out: the two letters that differ are swapped, and the letters that only s4 or padding has become
# NUL, which the strict decoder refuses.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")
# The last letter of a group of two carries 4 unused bits, of a group of three 2; canonical text has them zero.
_CANONICAL_LAST: Final = {0: None, 2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactJws:
    """A compact JWS taken apart, nothing proven. `header` and `payload` are the decoded bytes."""

    header: bytes
    payload: bytes
    # Without its signature what is shown in a log or a trace is no credential.
    signature: bytes = field(repr=False)
    signing_input: bytes


_compact_jws: Final = constructor_of(CompactJws)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key and the one algorithm it signs with. `public` is what verifiers get."""

    public: PublicKey
    _private: AsymmetricKey = field(repr=False, compare=False, hash=False)

    @property
    def kid(self) -> str:
        """The key's `kid`."""
        return self.public.kid

    @property
    def alg(self) -> Algorithm:
        """The key's algorithm."""
        return self.public.alg

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, JsonValue]) -> "SigningKey":
        """The signing key of a private JWK; its `kid` is the JWK's, or its thumbprint. Raises: KeyRefused."""
        key, algorithm = import_key(jwk)
        if not key.is_private:
            raise KeyRefused("a public key cannot sign")
        kid = jwk.get("kid", PublicKey.of(key, kid="", alg=algorithm).thumbprint)
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH:
            raise KeyRefused("a kid is a short string that is not empty")
        return cls(public=PublicKey.of(key, kid=kid, alg=algorithm), _private=key)

    @classmethod
    def from_pem(cls, pem: bytes, *, alg: Algorithm) -> "SigningKey":
        """The signing key of a PKCS#8 PEM text; its `kid` is its RFC 7638 thumbprint. Raises: KeyRefused."""
        try:
            native = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise KeyRefused("the PEM text holds no private key that can be read") from exc
        key = wrap_key(native, alg=alg)
        kid = PublicKey.of(key, kid="", alg=alg).thumbprint
        return cls(public=PublicKey.of(key, kid=kid, alg=alg), _private=key)

    def sign(self, signing_input: bytes) -> bytes:
        """The signature over `signing_input` (RFC 7515 s5.1)."""
        return _MODELS[self.alg].sign(signing_input, self._private)

    def unsafe_private_jwk(self) -> dict[str, str]:
        """The key with its private members, for the file that keeps it and for nothing else."""
        members = {name: str(member) for name, member in self._private.as_dict(private=True).items()}
        return {**members, "kid": self.kid, "alg": self.alg, "use": "sig"}


def split_compact(token: str, *, max_bytes: int) -> CompactJws:
    """`token` taken apart into decoded header, payload and signature, size first. Raises: Malformed."""
    if len(token) > max_bytes:
        raise Malformed(f"larger than {max_bytes} bytes", reason=Reason.TOO_LARGE)
    try:
        text = token.encode("ascii")
    except UnicodeEncodeError as exc:
        raise Malformed("not a compact JWS") from exc
    # One more part than there may be, so that a text of a million dots is not a million parts.
    parts = text.split(b".", _PARTS)
    if len(parts) != _PARTS:
        raise Malformed("not a compact JWS of three parts")
    return _compact_jws(
        header=decode_base64url(parts[0]),
        # A JWS may be about nothing at all (RFC 7515 s7.1); what is no claims set is for its reader to refuse.
        payload=decode_base64url(parts[1]) if parts[1] else b"",
        signature=decode_base64url(parts[2]),
        signing_input=text[: len(parts[0]) + 1 + len(parts[1])],
    )


def verify_signature(jws: CompactJws, key: PublicKey) -> bool:
    """True when `key` made the signature over the received bytes, by the key's own algorithm."""
    try:
        return _MODELS[key.alg].verify(jws.signing_input, jws.signature, key.key)
    except (JoseError, ValueError):  # pragma: no cover - the algorithms answer False; a raise must not mean more
        return False


def seal_compact(claims: JsonObject, *, typ: str, key: SigningKey) -> str:
    """`claims` as a compact JWS whose header is exactly `typ`, `alg` and `kid`."""
    header = render_json({"typ": typ, "alg": key.alg, "kid": key.kid})
    signing_input = encode_base64url(header) + b"." + encode_base64url(render_json(claims))
    return (signing_input + b"." + encode_base64url(key.sign(signing_input))).decode("ascii")


def encode_base64url(data: bytes) -> bytes:
    """`data` as base64url without padding (RFC 7515 s2)."""
    return b2a_base64(data, newline=False).translate(_FROM_STANDARD).rstrip(b"=")


_FROM_STANDARD: Final = bytes.maketrans(b"+/", b"-_")


def decode_base64url(text: bytes) -> bytes:
    """The bytes that canonical base64url without padding says (RFC 7515 s2, RFC 4648 s3.5). Raises: Malformed.

    Exactly one text is accepted for each sequence of bytes.
    """
    remainder = len(text) % 4
    if not text or remainder == 1:
        raise Malformed("not base64url")
    last = _CANONICAL_LAST[remainder]
    if last is not None and text[-1] not in last:
        raise Malformed("not canonical base64url")
    try:
        return a2b_base64(text.translate(_TO_STANDARD) + b"=" * (-len(text) % 4), strict_mode=True)
    except BinasciiError as exc:
        raise Malformed("not base64url") from exc
