"""Proofs that who sent a request holds a key: a DPoP proof (RFC 9449 s4), or the certificate of a TLS connection.

A DPoP proof belongs to one request and one key. Pure: its text and the request it came with in, a `VerifiedProof` out.
Two things are left to the caller, who knows more: whether the key is the one that a token is bound to (`verify_token`),
and that the proof is used once, which takes a memory. Nothing that the proof says is looked at before its signature
verified, and its key is nobody's until it is compared.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final, final

from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import encode_base64url, split_compact, verify_signature
from tokensvc.core.keyset import PRIVATE_MEMBERS, PublicKey, find_algorithm, import_key
from tokensvc.core.members import parse_integer, parse_text
from tokensvc.errors import KeyRefused, Malformed, Reason, TokenRefused

__all__ = ["DPOP_TYP", "PROOF_AGE_S", "ClientCertificate", "VerifiedProof", "token_hash", "verify_proof"]

DPOP_TYP: Final = "dpop+jwt"
# A proof is made for the request that carries it. A minute is long for that, and short for who has to remember it.
PROOF_AGE_S: Final = 60
# An RSA key of 8192 bits has 1.4 KB in base64url, its signature as much again, and an nonce of ours some 300 bytes.
_MAX_BYTES: Final = 8_192
# What a client repeats with every proof is its header; larger ones are parsed each time.
_MAX_KNOWN_BYTES: Final = 2_048
# A UUID with a name before it; it is remembered for a minute or two.
_MAX_JTI_LENGTH: Final = 256

# `kid` says nothing here; every other member would change how the proof is read (RFC 8725 s3.10).
_HEADER: Final = frozenset({"typ", "alg", "jwk", "kid"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# RFC 3986 s3, for http and https, without userinfo. Not `urlsplit`: it drops tabs, and what follows an IPv6 address.
# ASCII, or a long s would be an s in another case.
_URI: Final = re.compile(
    r"(?P<scheme>(?i:https?))://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)"
    r"(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>/[\x21\x22\x24-\x3e\x40-\x7e]*)?"
    r"(?:[?#][\x21-\x7e]*)?",
    re.ASCII,
)
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedProof:
    """A proof that fits the request it came with. `jkt` is the RFC 7638 thumbprint of the key, `iat` in epoch seconds.

    `ath` is the hash of the access token that it was made for, `nonce` what the server gave; None where not said.
    """

    jkt: str
    jti: str
    iat: int
    ath: str | None
    nonce: str | None

    @property
    def once(self) -> str:
        """What may be used once: the proof's `jti`, which is unique for its key (RFC 9449 s11.1)."""
        return f"dpop {self.jkt} {self.jti}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """The certificate that the client of a TLS connection proved to hold the key of, by its `thumbprint`.

    That is its SHA-256 in base64url, `x5t#S256` (RFC 8705 s3.1). Who issued it, and until when, says nothing here.
    """

    thumbprint: str

    @classmethod
    def of(cls, der: bytes) -> "ClientCertificate":
        """The certificate with this DER encoding."""
        return cls(thumbprint=_hash(der))


def verify_proof(text: str, *, htm: str, htu: str, now: int, leeway_s: int) -> VerifiedProof:
    """The proof that a key was held for a request with method `htm` to the URI `htu` (RFC 9449 s4.3).

    `htu` may have a query and a fragment; they do not count. `now` is whole epoch seconds.
    Raises: TokenRefused (`proof_invalid`); TypeError when `now` is no integer.
    """
    if type(now) is not int or type(leeway_s) is not int:
        # A float could be NaN, and no proof is ever older than that.
        raise TypeError("now and leeway_s are whole seconds")
    try:
        key, payload = _open(text)
        return _parse_claims(payload, key, htm=htm, htu=htu, now=now, leeway_s=leeway_s)
    except Malformed as exc:
        raise TokenRefused(Reason.PROOF_INVALID, f"DPoP: {exc.description}") from exc


def token_hash(token: str) -> str:
    """What `ath` says of the access token `token` (RFC 9449 s4.2): the SHA-256 of its ASCII text, in base64url."""
    return _hash(token.encode("ascii"))


def _hash(data: bytes) -> str:
    return encode_base64url(sha256(data).digest()).decode("ascii")


def _open(text: str) -> tuple[PublicKey, Mapping[str, JsonValue]]:
    jws = split_compact(text, max_bytes=_MAX_BYTES)
    key = _known_key(jws.header) if len(jws.header) <= _MAX_KNOWN_BYTES else _parse_key(jws.header)
    if not verify_signature(jws, key):
        raise Malformed("the signature does not verify")
    return key, parse_json_object(jws.payload)


def _parse_key(text: bytes) -> PublicKey:
    """The key in the header, fit for the algorithm beside it."""
    header = parse_json_object(text)
    if header.get("typ") != DPOP_TYP:
        raise Malformed(f"typ is {DPOP_TYP}")
    if not header.keys() <= _HEADER:
        raise Malformed("the header has typ, alg and jwk, and nothing that changes its meaning")
    jwk = header.get("jwk")
    if not isinstance(jwk, dict) or not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise Malformed("jwk is a public key")
    algorithm = find_algorithm(header.get("alg"))
    try:
        key, fitting = import_key(jwk)
    except KeyRefused as exc:
        raise Malformed(exc.description) from exc
    if algorithm is not fitting:
        raise Malformed("alg is none of those in use, or not the one of its key")
    return PublicKey.of(key, kid="", alg=fitting)


# To import a key costs as much as to verify with it, and an agent proves one key all day.
_known_key: Final = lru_cache(maxsize=1024)(_parse_key)


def _parse_claims(
    payload: Mapping[str, JsonValue], key: PublicKey, *, htm: str, htu: str, now: int, leeway_s: int
) -> VerifiedProof:
    jti = parse_text(payload.get("jti"), "jti")
    if len(jti) > _MAX_JTI_LENGTH:
        raise Malformed(f"jti has more than {_MAX_JTI_LENGTH} characters")
    if parse_text(payload.get("htm"), "htm") != htm:
        raise Malformed("htm is not the method of this request")
    if _normalised(parse_text(payload.get("htu"), "htu")) != _normalised(htu):
        raise Malformed("htu is not the URI of this request")
    iat = parse_integer(payload.get("iat"), "iat")
    if iat > now + leeway_s:
        raise Malformed("iat lies ahead of this clock")
    if now - iat > PROOF_AGE_S + leeway_s:
        raise Malformed(f"the proof is older than {PROOF_AGE_S} s; make one for each request")
    return VerifiedProof(
        jkt=key.thumbprint,
        jti=jti,
        iat=iat,
        ath=parse_text(payload["ath"], "ath") if "ath" in payload else None,
        nonce=parse_text(payload["nonce"], "nonce") if "nonce" in payload else None,
    )


# A server has few URIs, and a path that names a customer is soon forgotten again.
@lru_cache(maxsize=256)
def _normalised(uri: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path, compared by syntax and scheme (RFC 9449 s4.3, RFC 3986 s6.2.2, s6.2.3)."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise Malformed("htu is no absolute http or https URI")
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    return scheme, match["host"].lower(), port, _ESCAPE.sub(_normalised_escape, match["path"] or "/")


def _normalised_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
