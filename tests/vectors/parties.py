"""Who stands in the golden tokens, and tokens of theirs: right by default, forged wherever a table says so.

WORTHLESS KEYS: every private key here follows from its name, for everybody to see. They are for tests and nothing else.
Nothing of `tokensvc` is used: what is written here is written from docs/token-profile.md.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = [
    "AGENTS",
    "API",
    "AS",
    "AS_KEY",
    "DROP",
    "FILES",
    "FOREIGN_IDP",
    "FOREIGN_KEY",
    "IDP",
    "IDP_KEY",
    "NOW",
    "ORDER_8",
    "OTHER_AS",
    "OTHER_AS_KEY",
    "P256_ORDER",
    "PREFIX",
    "SCOPE",
    "USER",
    "Draft",
    "Key",
    "Members",
    "act",
    "assemble",
    "b64",
    "ec_key",
    "ed_key",
    "encode",
    "holder",
    "jti",
    "mixed_order_key",
    "rsa_key",
    "seal",
    "secp256k1_key",
]

Members = dict[str, Any]

DROP: Final = object()
"""As the value of a member: leave it out."""

NOW: Final = 1_900_000_000
AS: Final = "https://as.example"
OTHER_AS: Final = "https://as2.example"
IDP: Final = "https://idp.example"
FOREIGN_IDP: Final = "https://idp2.example"
"""The authority of `OTHER_AS`."""
PREFIX: Final = "idp:"
USER: Final = "user-1"
API: Final = "https://crm.example/api"
FILES: Final = "https://files.example"
SCOPE: Final = "crm.delete crm.read crm.write files.read mail.send"
AGENTS: Final = ("planner", "mailer", "printer")
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# edwards25519 (RFC 8032 s5.1), and a point of order 8 (RFC 8032 s5.1.2).
_ED_P: Final = 2**255 - 19
_ED_D: Final = -121665 * pow(121666, -1, _ED_P) % _ED_P
_ED_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
ORDER_8: Final = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")

# Two primes of 1024 bits, each so far above a number that follows from a name.
_PRIME_OFFSETS: Final = {"p": 970, "q": 318}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A private key of a known name, its algorithm, and the public JWK without `kid`, `alg` and `use`."""

    kid: str
    alg: str
    jwk: Members
    private: Any = field(repr=False)

    @property
    def thumbprint(self) -> str:
        """RFC 7638: the members in their order, without white space."""
        return b64(hashlib.sha256(json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()).digest())

    @property
    def public(self) -> Members:
        """The key as it stands in a JWK Set."""
        return {"kid": self.kid, "alg": self.alg, "use": "sig", **self.jwk}

    def sign(self, data: bytes) -> bytes:
        """The same signature in every run: ES256 by RFC 6979."""
        if self.alg == "ES256":
            made = self.private.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
            return b"".join(number.to_bytes(32) for number in decode_dss_signature(made))
        if self.alg == "RS256":
            return bytes(self.private.sign(data, padding.PKCS1v15(), SHA256()))
        return bytes(self.private.sign(data))


def _seed(name: str) -> bytes:
    return hashlib.sha256(b"worthless test key, " + name.encode()).digest()


@cache
def ec_key(name: str) -> Key:
    """The P-256 key of that name."""
    private = ec.derive_private_key(int.from_bytes(_seed(name)) % (P256_ORDER - 1) + 1, ec.SECP256R1())
    point = private.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}
    return Key(kid=name, alg="ES256", jwk=jwk, private=private)


@cache
def ed_key(name: str) -> Key:
    """The Ed25519 key of that name."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(_seed(name))
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(private.public_key().public_bytes_raw())}
    return Key(kid=name, alg="Ed25519", jwk=jwk, private=private)


@cache
def secp256k1_key(name: str) -> Key:
    """The key of that name on another curve of the same size."""
    private = ec.derive_private_key(int.from_bytes(_seed(name)) // 2, ec.SECP256K1())
    point = private.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "secp256k1", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}
    return Key(kid=name, alg="ES256", jwk=jwk, private=private)


def _ed_point(encoded: bytes) -> tuple[int, int]:
    """RFC 8032 s5.1.3."""
    y = int.from_bytes(encoded, "little") % 2**255
    x2 = (y * y - 1) * pow(_ED_D * y * y + 1, -1, _ED_P) % _ED_P
    x = pow(x2, (_ED_P + 3) // 8, _ED_P)
    if (x * x - x2) % _ED_P:
        x = x * pow(2, (_ED_P - 1) // 4, _ED_P) % _ED_P
    return (x if x % 2 == encoded[-1] >> 7 else _ED_P - x), y


def _ed_sum(one: bytes, other: bytes) -> bytes:
    (x1, y1), (x2, y2) = _ed_point(one), _ed_point(other)
    product = _ED_D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, _ED_P) % _ED_P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, _ED_P) % _ED_P
    return (y | (x % 2) << 255).to_bytes(32, "little")


def _ed_public(seed: bytes) -> bytes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _ed_scalar(seed: bytes) -> int:
    return int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & (2**254 - 8) | 2**254


@dataclass(frozen=True, slots=True)
class _MixedOrder:
    """An Ed25519 key plus the point of order 8. Where `vanishes`, that point falls out of the equation, else not."""

    seed: bytes
    public: bytes
    vanishes: bool

    def sign(self, data: bytes) -> bytes:
        for attempt in range(1000):
            nonce = hashlib.sha256(self.seed + attempt.to_bytes(2) + data).digest()
            commitment = _ed_public(nonce)
            digest = hashlib.sha512(commitment + self.public + data).digest()
            challenge = int.from_bytes(digest, "little") % _ED_ORDER
            if (challenge % 8 == 0) == self.vanishes:
                response = (_ed_scalar(nonce) + challenge * _ed_scalar(self.seed)) % _ED_ORDER
                return commitment + response.to_bytes(32, "little")
        raise ValueError(self.vanishes)


def mixed_order_key(name: str, *, vanishes: bool) -> Key:
    """An Ed25519 key that is no multiple of the base point; its signatures verify without the cofactor or only with."""
    public = _ed_sum(_ed_public(_seed(name)), ORDER_8)
    private = _MixedOrder(_seed(name), public, vanishes)
    return Key(kid=name, alg="Ed25519", jwk={"kty": "OKP", "crv": "Ed25519", "x": b64(public)}, private=private)


@cache
def rsa_key(name: str) -> Key:
    """The one RSA key, of 2048 bits."""
    p, q = (_prime(which) for which in _PRIME_OFFSETS)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    jwk = {"kty": "RSA", "n": b64((p * q).to_bytes(256)), "e": "AQAB"}
    return Key(kid=name, alg="RS256", jwk=jwk, private=numbers.private_key())


def _prime(which: str) -> int:
    halves = (hashlib.sha512(f"worthless test key, rsa {which} {half}".encode()).digest() for half in range(2))
    return (int.from_bytes(b"".join(halves)) | 3 << 1022 | 1) + _PRIME_OFFSETS[which]


def b64(data: bytes) -> str:
    """`data` as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def jti(name: str) -> str:
    """The 128 bits of that name."""
    return b64(hashlib.sha256(name.encode()).digest()[:16])


def encode(value: object) -> bytes:
    """`value` as JSON text; bytes are text already."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def assemble(header: object, payload: object, signature: bytes) -> str:
    """A compact JWS of these parts, whatever they are."""
    return ".".join([b64(encode(header)), b64(encode(payload)), b64(signature)])


def seal(header: object, payload: object, key: Key) -> str:
    """A compact JWS of these parts, whatever they are, truly signed with `key`."""
    signing_input = f"{b64(encode(header))}.{b64(encode(payload))}"
    return f"{signing_input}.{b64(key.sign(signing_input.encode()))}"


AS_KEY: Final = ec_key("service")
IDP_KEY: Final = ec_key("root-signer")
OTHER_AS_KEY: Final = ec_key("other-service")
FOREIGN_KEY: Final = ec_key("foreign-root-signer")


def holder(agent: str) -> Key:
    """The agent's own key: Ed25519 for the mailer, P-256 for everybody else."""
    return ed_key(agent) if agent == "mailer" else ec_key(agent)


def act(*actors: str) -> Members:
    """Nested `act` objects, current actor first."""
    current, *prior = actors
    return {"sub": current, "act": act(*prior)} if prior else {"sub": current}


def _changed(members: Members, change: Mapping[str, Any]) -> Members:
    merged = {**members, **change}
    return {name: value for name, value in merged.items() if value is not DROP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A token about to be made: a root, and a hop for each of `actors`, without the first scope of the one above.

    `entries` changes members of an entry, which those below inherit; `spoil` those of one entry alone, as the last
    thing before it is signed or set into the chain. Entries named in `signed` are signed: 0 by the authority, others by
    the actor above. `extra` is JSON text put behind the last claim.
    """

    actors: tuple[str, ...] = AGENTS
    entries: Mapping[int, Members] = field(default_factory=dict)
    spoil: Mapping[int, Any] = field(default_factory=dict)
    claims: Members = field(default_factory=dict)
    header: Members = field(default_factory=dict)
    key: Key = AS_KEY
    iss: str = AS
    bound: bool = False
    signed: tuple[int, ...] = ()
    headers: Mapping[int, Members] = field(default_factory=dict)
    signers: Mapping[int, Key] = field(default_factory=dict)
    texts: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    extra: str = ""
    header_extra: str = ""
    tail: bytes = b""

    def plain_entries(self) -> list[Members]:
        """The root and the hops as plain objects, lawful but for `entries`."""
        root: Members = {"iss": self.iss, "sub": USER, "scope": SCOPE, "resources": [API, FILES], "max_depth": 5}
        times = {"iat": NOW - 60, "exp": NOW + 3600}
        chain = [_changed({**root, **times, "jti": jti("root")}, self.entries.get(0, {}))]
        for index, actor in enumerate(self.actors, start=1):
            above = chain[-1]
            kept = ("resources", "authorization_details", "max_depth", "iat", "exp")
            hop: Members = {"actor": actor, "scope": " ".join(above["scope"].split(" ")[1:])}
            hop |= {name: above[name] for name in kept if name in above}
            if self.bound:
                hop["cnf"] = {"jkt": holder(actor).thumbprint}
            hop |= {"jti": jti(f"hop {index}"), "parent": above["jti"]}
            chain.append(_changed(hop, self.entries.get(index, {})))
        return chain

    def payload(self) -> Members:
        """The claims, the chain among them as it is to stand there."""
        chain = self.plain_entries()
        leaf = chain[-1]
        sub = PREFIX + chain[0]["sub"] if 0 in self.signed else chain[0]["sub"]
        claims: Members = {"iss": self.iss, "sub": sub, "aud": leaf["resources"][0], "client_id": leaf["actor"]}
        claims |= {"scope": leaf["scope"]}
        claims |= {name: leaf[name] for name in ("authorization_details", "cnf") if name in leaf}
        claims |= {"iat": max(NOW - 10, leaf["iat"]), "exp": min(NOW + 300, leaf["exp"]), "jti": jti("token")}
        claims |= {"act": act(*(hop["actor"] for hop in reversed(chain[1:]))), "grant_profile": 1}
        claims["grant_chain"] = [self._entry(chain, index, sub) for index in range(len(chain))]
        return _changed(claims, self.claims)

    def header_members(self) -> Members:
        """The header of the token."""
        return _changed({"typ": "at+jwt", "alg": self.key.alg, "kid": self.key.kid}, self.header)

    def token(self) -> str:
        """The compact JWS."""
        header = _with_extra(encode(self.header_members()), self.header_extra)
        return seal(header, _with_extra(encode(self.payload()), self.extra) + self.tail, self.key)

    def facts(self) -> Members:
        """What a verifier that accepts it knows of it (README.md)."""
        claims, leaf = self.payload(), self.plain_entries()[-1]
        evidence = ["delegator" if index in self.signed else "issuer" for index in range(1, len(self.actors) + 1)]
        return {
            "iss": claims["iss"],
            "sub": claims["sub"],
            "actors": list(reversed(self.actors)),
            "audience": claims["aud"],
            "exchange_only": claims["aud"] == claims["iss"],
            "scope": sorted(leaf["scope"].split(" ")),
            "authorization_details": deepcopy(leaf.get("authorization_details", [])),
            "cnf": claims.get("cnf"),
            "iat": claims["iat"],
            "exp": claims["exp"],
            "jti": claims["jti"],
            "lineage": self.plain_entries()[0]["jti"],
            "root_evidence": "authority" if 0 in self.signed else "issuer",
            "hop_evidence": evidence,
        }

    def _entry(self, chain: list[Members], index: int, sub: str) -> Any:  # noqa: ANN401 - spoilt ones may be anything
        spoil = self.spoil.get(index, {})
        if not isinstance(spoil, dict):
            return spoil
        if index not in self.signed:
            return _changed(chain[index], spoil)
        if index == 0:
            key = self.signers.get(0, IDP_KEY)
            header: Members = {"typ": "delegation-root+jwt", "alg": key.alg, "kid": key.kid}
            first = {"actor": chain[1]["actor"], "cnf": chain[1].get("cnf")}
            members = {**chain[0], "iss": IDP, "aud": self.iss, **first}
        else:
            delegator = chain[index - 1].get("actor", "")
            key = self.signers.get(index, holder(delegator))
            header = {"typ": "delegation-grant+jwt", "alg": key.alg, "jwk": key.jwk}
            place = {"iss": delegator, "sub": sub, "aud": self.iss, "root": chain[0]["jti"], "index": index}
            members = {**chain[index], **place}
        old, new = self.texts.get(index, ("", ""))
        payload = encode(_changed(members, spoil)).decode().replace(old, new, 1).encode()
        return {"jws": seal(_changed(header, self.headers.get(index, {})), payload, key)}


def _with_extra(text: bytes, extra: str) -> bytes:
    return text[:-1] + b"," + extra.encode("utf-8", "surrogatepass") + b"}" if extra else text
