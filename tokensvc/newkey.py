"""New private keys, for whoever signs: the token service, its clients, and agents that prove that they hold one."""

from typing import Final, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm

__all__ = ["make_key"]

# 128 bits of strength; 2048 bits are acceptable until 2030 only (NIST SP 800-57 part 1, table 4).
_RSA_BITS: Final = 3072
# FIPS 186-5 A.1.1; every library's choice.
_RSA_EXPONENT: Final = 65537


def make_key(algorithm: Algorithm) -> SigningKey:
    """A new private key; its `kid` is its RFC 7638 thumbprint."""
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    match algorithm:
        case Algorithm.ES256:
            private = ec.generate_private_key(ec.SECP256R1())
        case Algorithm.ED25519:
            private = ed25519.Ed25519PrivateKey.generate()
        case Algorithm.RS256:
            private = rsa.generate_private_key(public_exponent=_RSA_EXPONENT, key_size=_RSA_BITS)
        case _:
            assert_never(algorithm)
    return SigningKey.from_pem(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), alg=algorithm)
