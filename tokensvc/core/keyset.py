"""Public keys by `kid`, one algorithm to a key (RFC 7517, RFC 7638, RFC 8037, RFC 8725 s3.1).

A key is checked against its algorithm once, when it is imported; after that it is used with that algorithm only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tokensvc.core.jsontext import JsonObject, JsonValue
from tokensvc.errors import KeyRefused

__all__ = [
    "PRIVATE_MEMBERS",
    "Algorithm",
    "AsymmetricKey",
    "KeySet",
    "PublicKey",
    "find_algorithm",
    "import_key",
    "parse_jwks",
    "render_jwks",
    "wrap_key",
]

AsymmetricKey = ECKey | OKPKey | RSAKey

# An identity provider publishes a handful of keys; a set larger than this is a mistake or an attack.
MAX_KEYS: Final = 100
# NIST SP 800-131A: shorter RSA moduli are not acceptable. Longer ones than 8192 bits only cost time.
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
# A `kid` is looked up in a table and written into a record; nothing needs more than this.
MAX_KID_LENGTH: Final = 256

# FIPS 186-5 A.1.1: 2^16 < e. Small exponents have a long history of padding attacks.
_MIN_RSA_EXPONENT: Final = 65537
# What OpenSSL verifies with under a large modulus; others take even less. A longer one only makes verifying slow.
_MAX_RSA_EXPONENT_BITS: Final = 64
# ROCA (CVE-2017-15361): the primes of these keys are powers of 65537 modulo each small prime, and so is the modulus.
# It can be factored from the public key alone. Of other moduli about one in 2^27 looks the same by chance.
_ROCA_RESIDUES: Final = {
    prime: frozenset(pow(65537, power, prime) for power in range(prime))
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
}

# edwards25519 (RFC 8032 s5.1): -x^2 + y^2 = 1 + d x^2 y^2 over the field of p elements.
_ED25519_P: Final = 2**255 - 19
_ED25519_D: Final = -121665 * pow(121666, -1, _ED25519_P) % _ED25519_P

PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""The members of a JWK that nobody but its holder may see (RFC 7518 s6)."""
_MATERIAL: Final = frozenset({"kty", "crv", "x", "y", "n", "e"}) | PRIVATE_MEMBERS


class Algorithm(StrEnum):
    """The signature algorithms in use, by their fully specified names (RFC 7518 s3.1, RFC 9864 s2.2)."""

    ES256 = "ES256"
    ED25519 = "Ed25519"
    RS256 = "RS256"


# The name of Ed25519 and Ed448 together (RFC 8037 s3.1), which RFC 9864 deprecates and many still write. We never do.
_EDDSA: Final = "EdDSA"
_ALGORITHM_BY_NAME: Final = {**{str(algorithm): algorithm for algorithm in Algorithm}, _EDDSA: Algorithm.ED25519}
_ALGORITHM_BY_KTY: Final = {"EC": Algorithm.ES256, "OKP": Algorithm.ED25519, "RSA": Algorithm.RS256}
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
_KEY_TYPES: Final[Mapping[Algorithm, type[ECKey] | type[OKPKey] | type[RSAKey]]] = {
    Algorithm.ES256: ECKey,
    Algorithm.ED25519: OKPKey,
    Algorithm.RS256: RSAKey,
}
_THUMBPRINT_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


def find_algorithm(name: object) -> Algorithm | None:
    """The algorithm that an `alg` of others names, `EdDSA` being Ed25519; None for every other value."""
    return _ALGORITHM_BY_NAME.get(name) if isinstance(name, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A verification key fit for `alg`. `thumbprint` is that of RFC 7638 (SHA-256, base64url)."""

    kid: str
    alg: Algorithm
    thumbprint: str
    key: AsymmetricKey = field(repr=False, compare=False, hash=False)

    @classmethod
    def of(cls, key: AsymmetricKey, *, kid: str, alg: Algorithm) -> "PublicKey":
        """The public half of `key`. It is rebuilt from its numbers: one key has one spelling and one thumbprint."""
        public = _public_half(key)
        return cls(kid=kid, alg=alg, thumbprint=public.thumbprint(), key=public)

    def jwk(self) -> dict[str, str]:
        """The key as a public JWK with `kid`, `alg` and `use` (RFC 7517)."""
        members = self.key.as_dict(private=False)
        kty = str(members["kty"])
        public = {name: str(members[name]) for name in _THUMBPRINT_MEMBERS[kty]}
        return {"kty": kty, "kid": self.kid, "alg": self.alg, "use": "sig", **public}


class KeySet:
    """An issuer's public keys, each `kid` once."""

    __slots__ = ("_by_kid",)

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        """Raises: KeyRefused when a `kid` or a key stands twice."""
        self._by_kid: dict[str, PublicKey] = {}
        thumbprints: set[str] = set()
        for key in keys:
            if key.kid in self._by_kid:
                raise KeyRefused("a kid stands twice in the key set")
            if key.thumbprint in thumbprints:
                raise KeyRefused("a key stands twice in the key set")
            self._by_kid[key.kid] = key
            thumbprints.add(key.thumbprint)

    def find(self, kid: str) -> PublicKey | None:
        """The key of that exact `kid`, or None."""
        return self._by_kid.get(kid)

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self._by_kid.values())

    def __len__(self) -> int:
        return len(self._by_kid)

    def __repr__(self) -> str:
        return f"KeySet({sorted(self._by_kid)})"


def parse_jwks(value: JsonObject) -> KeySet:
    """The signature keys of a JWK Set (RFC 7517 s5).

    Keys for encryption, and keys of kinds or algorithms that are not in use here, are passed over as RFC 7517 s5 says.
    A secret, private, weak or contradictory key spoils the whole set: whoever published it does not guard its keys.
    Raises: KeyRefused.
    """
    jwks = value.get("keys")
    if not isinstance(jwks, list):
        raise KeyRefused("a key set is an object with an array named keys")
    if len(jwks) > MAX_KEYS:
        raise KeyRefused(f"a key set with more than {MAX_KEYS} keys")
    parsed = [_parse_public_key(jwk) for jwk in jwks]
    return KeySet(key for key in parsed if key is not None)


def render_jwks(keys: KeySet) -> dict[str, list[dict[str, str]]]:
    """The JWK Set with the public members of every key."""
    return {"keys": [key.jwk() for key in keys]}


def import_key(jwk: Mapping[str, JsonValue]) -> tuple[AsymmetricKey, Algorithm]:
    """A JWK, private or public, as a key object, and the one algorithm it may be used with.

    Raises: KeyRefused when the key does not parse, is weak, or is no key for its algorithm.
    """
    algorithm = _ALGORITHM_BY_KTY.get(str(jwk.get("kty")))
    if algorithm is None:
        raise KeyRefused("only EC, OKP and RSA keys are in use")
    if "alg" in jwk and find_algorithm(jwk["alg"]) is not algorithm:
        raise KeyRefused("the key is not of the kind that its alg needs")
    material = {name: member for name, member in jwk.items() if name in _MATERIAL and isinstance(member, str)}
    if len(material) != len(_MATERIAL.intersection(jwk)):
        raise KeyRefused("a member of the key is not a string")
    try:
        native = _KEY_TYPES[algorithm].binding.import_from_dict({**material})
    except (JoseError, ValueError, TypeError, KeyError) as exc:
        raise KeyRefused("the key does not parse") from exc
    key = wrap_key(native, alg=algorithm)
    if isinstance(key, OKPKey):
        _require_as_written(key, material)
    return key, algorithm


def wrap_key(native: object, *, alg: Algorithm) -> AsymmetricKey:
    """A key of the package cryptography as a key object, once it is known to be fit for `alg`.

    Checked before it is wrapped: joserfc only warns of a short modulus. Raises: KeyRefused.
    """
    match alg:
        case Algorithm.ES256:
            # That it is a point of its curve was checked when it was read.
            if not isinstance(native, EllipticCurvePrivateKey | EllipticCurvePublicKey):
                raise KeyRefused("ES256 needs an EC key")
            if not isinstance(native.curve, SECP256R1):
                raise KeyRefused("ES256 needs a key on the curve P-256")
            return ECKey.import_key(native)
        case Algorithm.ED25519:
            if not isinstance(native, Ed25519PrivateKey | Ed25519PublicKey):
                raise KeyRefused("Ed25519 needs a key on the curve Ed25519")
            _require_sound_point(native if isinstance(native, Ed25519PublicKey) else native.public_key())
            return OKPKey.import_key(native)
        case Algorithm.RS256:
            if not isinstance(native, RSAPrivateKey | RSAPublicKey):
                raise KeyRefused("RS256 needs an RSA key")
            _require_strong_rsa(native if isinstance(native, RSAPublicKey) else native.public_key())
            return RSAKey.import_key(native)
        case _:
            assert_never(alg)


def _public_half(key: AsymmetricKey) -> AsymmetricKey:
    match key:
        case ECKey():
            return ECKey.import_key(key.public_key)
        case OKPKey():
            return OKPKey.import_key(key.public_key)
        case RSAKey():
            return RSAKey.import_key(key.public_key)
        case _:
            assert_never(key)


def _require_as_written(key: OKPKey, material: Mapping[str, str]) -> None:
    """An OKP key says again what it was read from.

    joserfc does not compare `x` with the private `d` beside it: what is published would not be what signs. It reads
    the base64 of both leniently, too.
    """
    if any(material.get(name) != member for name, member in key.as_dict(private=key.is_private).items()):
        raise KeyRefused("x and d of the key are not one key in canonical base64url")


def _require_sound_point(key: Ed25519PublicKey) -> None:
    """The public key is a point of the curve, in its one encoding (RFC 8032 s5.1.3), and of large order.

    The package cryptography takes any 32 bytes. Under a key of small order one fixed signature fits every message, or
    one in eight of them, and nobody needs a private key to make it.
    """
    # The sign of x stands in the top bit.
    y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
    if y >= _ED25519_P:
        raise KeyRefused("the Ed25519 key is not in canonical encoding")
    y2 = y * y
    # By the doubling formula: y = 0 has order 4, y = 1 and -1 have orders 1 and 2, and the last factor is zero for
    # the points of order 8, whose double has y = 0.
    if y * (y2 - 1) * (_ED25519_D * y2 * y2 + 2 * y2 - 1) % _ED25519_P == 0:
        raise KeyRefused("the Ed25519 key is a point of small order")
    # x^2 = (y^2 - 1) / (d y^2 + 1) must be a square: by Euler's criterion, applied to the product.
    if pow((y2 - 1) * (_ED25519_D * y2 + 1), (_ED25519_P - 1) // 2, _ED25519_P) != 1:
        raise KeyRefused("the Ed25519 key is no point of the curve")


def _require_strong_rsa(key: RSAPublicKey) -> None:
    numbers = key.public_numbers()
    if not MIN_RSA_BITS <= numbers.n.bit_length() <= MAX_RSA_BITS:
        raise KeyRefused(f"RS256 needs a modulus of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    if numbers.e < _MIN_RSA_EXPONENT:  # an even one does not parse
        raise KeyRefused("RS256 needs a public exponent of at least 65537")
    if numbers.e.bit_length() > _MAX_RSA_EXPONENT_BITS:
        raise KeyRefused(f"RS256 needs a public exponent of at most {_MAX_RSA_EXPONENT_BITS} bits")
    if numbers.n % 2 == 0:
        raise KeyRefused("an even RSA modulus is no product of two large primes")
    if all(numbers.n % prime in residues for prime, residues in _ROCA_RESIDUES.items()):
        raise KeyRefused("the RSA modulus was made by a generator whose keys can be factored (ROCA)")


def _parse_public_key(jwk: JsonValue) -> PublicKey | None:
    """The key, or None for one that is not meant for us. Raises: KeyRefused."""
    if not isinstance(jwk, dict):
        raise KeyRefused("a key in the set is not an object")
    if jwk.get("kty") == "oct" or not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise KeyRefused("a secret or private key stands in a public key set")
    if not _is_for_us(jwk):
        return None
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH:
        raise KeyRefused("a key in the set has no kid, or one that is no short string")
    key, algorithm = import_key(jwk)
    return PublicKey.of(key, kid=kid, alg=algorithm)


def _is_for_us(jwk: Mapping[str, JsonValue]) -> bool:
    # Lists, not sets and tables: a member may be of any JSON type, and arrays cannot be hashed.
    if jwk.get("kty") not in list(_ALGORITHM_BY_KTY) or jwk.get("use", "sig") != "sig":
        return False
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    curve = jwk.get("crv")
    if "alg" in jwk:
        # EdDSA names two curves. With Ed448 it is a good key, and none for us; with any other it contradicts itself.
        is_ed448 = jwk["alg"] == _EDDSA and curve == "Ed448"
        return find_algorithm(jwk["alg"]) is not None and not is_ed448
    return jwk["kty"] == "RSA" or curve == _CURVES[str(jwk["kty"])]
