"""Tokens to measure with: chains of both kinds of evidence, every one with ids of its own.

Written from plain dicts and signed with plain keys, so that neither what is measured nor its yardstick is made by the
code under measurement; the verifier then proves that they are what the profile asks for.
"""

import base64
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.verify import (
    Evidence,
    Expectation,
    HolderFloor,
    KeySet,
    LifetimeOnly,
    RevocationList,
    StaticKeys,
    VerifiedToken,
    parse_jwks,
    verify_token,
)
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

__all__ = [
    "ISSUER",
    "LIFETIME_S",
    "NOW",
    "RESOURCE",
    "SERVICE",
    "USER",
    "Chain",
    "Key",
    "RawSignature",
    "Terms",
    "agent_keys",
    "delegated",
    "issued",
    "least_scopes",
    "own_signature",
    "raw_signature",
    "scopes",
    "signatures",
]

Members = dict[str, Any]

ISSUER: Final = "https://tokens.example"
AUTHORITY: Final = "https://login.example"
USER: Final = "alice"
RESOURCE: Final = "https://api.example"
NOW: Final = int(time.time())
"""The true time: other libraries look at the clock."""
# Outlives the run of any script.
LIFETIME_S: Final = 900
# More than a busy service has in force at one time; a look-up must not depend on it.
REVOKED: Final = 10_000
MAX_DEPTH: Final = 10
ECDSA_SHA256: Final = ECDSA(SHA256())
_COORDINATE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class RawSignature:
    """A signature as a cryptography library verifies it, all decoding done: the yardstick."""

    key: EllipticCurvePublicKey
    der: bytes
    data: bytes

    def verify(self) -> None:
        """One raw ES256 verification. Raises: InvalidSignature."""
        self.key.verify(self.der, self.data, ECDSA_SHA256)


@dataclass(frozen=True, slots=True)
class Key:
    """A P-256 key with its public JWK (the members that RFC 7638 hashes) and thumbprint."""

    private: EllipticCurvePrivateKey
    public: EllipticCurvePublicKey
    jwk: Members
    thumbprint: str

    @classmethod
    def new(cls) -> "Key":
        """A fresh key."""
        return cls.of(generate_private_key(SECP256R1()))

    @classmethod
    def of(cls, private: EllipticCurvePrivateKey) -> "Key":
        """The key that `private` is."""
        point = private.public_key().public_numbers()
        x, y = (b64(number.to_bytes(_COORDINATE_BYTES)) for number in (point.x, point.y))
        jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        return cls(private, private.public_key(), jwk, b64(sha256(encode(jwk)).digest()))

    def seal(self, header: Members, payload: Members) -> str:
        """A compact JWS."""
        signing_input = f"{b64(encode(header))}.{b64(encode(payload))}"
        r, s = decode_dss_signature(self.private.sign(signing_input.encode(), ECDSA_SHA256))
        return f"{signing_input}.{b64(r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES))}"


def b64(data: bytes) -> str:
    """`data` as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(value: Members) -> bytes:
    """`value` as compact JSON text."""
    return json.dumps(value, separators=(",", ":")).encode()


def jti() -> str:
    """128 random bits."""
    return b64(os.urandom(16))


SERVICE: Final = Key.new()
"""The key of the token service."""
AUTHORITY_KEY: Final = Key.new()
"""The key that the identity provider signs roots with."""


@cache
def agent_key(_index: int) -> Key:
    """The key that this agent keeps."""
    return Key.new()


def agent(index: int) -> str:
    """The id of the agent at hop `index`."""
    return f"agent-{index}"


def scopes(count: int) -> list[str]:
    """So many scopes, always the same."""
    return [f"crm.records.read{number}" for number in range(count)]


@dataclass(frozen=True, slots=True)
class Chain:
    """A grant chain as it grows.

    `plain` says what the entries say, `entries` is how they stand in a token, `keys` are those of the hops' agents.
    """

    plain: tuple[Members, ...]
    entries: tuple[Members, ...]
    keys: tuple[Key | None, ...] = ()

    @classmethod
    def start(cls, root_scopes: int, now: int = NOW) -> "Chain":
        """A root on the token service's word, made at `now`, as is what follows from it."""
        root: Members = {"iss": ISSUER, "sub": USER, "scope": " ".join(scopes(root_scopes)), "resources": [RESOURCE]}
        root |= {"max_depth": MAX_DEPTH, "iat": now, "exp": now + LIFETIME_S, "jti": jti()}
        return cls((root,), (root,))

    def signed_root(self, first: Key) -> "Chain":
        """The same root, signed by the authority for the first agent and its key."""
        add = {"iss": AUTHORITY, "aud": ISSUER, "actor": agent(1), "cnf": {"jkt": first.thumbprint}}
        header = {"typ": "delegation-root+jwt", "alg": "ES256", "kid": AUTHORITY_KEY.thumbprint}
        return Chain(self.plain, ({"jws": AUTHORITY_KEY.seal(header, self.plain[0] | add)},))

    def issue(self, key: Key | None) -> "Chain":
        """With one hop more on the token service's word."""
        hop = self._hop(key)
        return Chain((*self.plain, hop), (*self.entries, hop), (*self.keys, key))

    def delegate(self, key: Key) -> "Chain":
        """With one hop more, signed by the agent of the last one. Raises: ValueError when that has no key."""
        delegator = self.keys[-1]
        if delegator is None:
            raise ValueError("an agent without a key delegates nothing")
        hop = self._hop(key)
        place = {"iss": self.plain[-1]["actor"], "sub": USER, "aud": ISSUER, "root": self.plain[0]["jti"]}
        header = {"typ": "delegation-grant+jwt", "alg": "ES256", "jwk": delegator.jwk}
        jws = delegator.seal(header, {**hop, **place, "index": len(self.plain)})
        return Chain((*self.plain, hop), (*self.entries, {"jws": jws}), (*self.keys, key))

    def token(self, key: Key = SERVICE) -> str:
        """A token for the last agent, signed with `key`."""
        leaf = self.plain[-1]
        act: Members = {}
        for hop in self.plain[1:]:
            act = {"sub": hop["actor"], "act": act} if act else {"sub": hop["actor"]}
        claims: Members = {
            "iss": ISSUER,
            "sub": USER,
            "aud": RESOURCE,
            "client_id": leaf["actor"],
            "scope": leaf["scope"],
        }
        claims |= {"iat": leaf["iat"], "exp": leaf["exp"], "jti": jti(), "act": act, "grant_profile": 1}
        claims |= {"grant_chain": list(self.entries)} | ({"cnf": leaf["cnf"]} if "cnf" in leaf else {})
        return key.seal({"typ": "at+jwt", "alg": "ES256", "kid": key.thumbprint}, claims)

    def _hop(self, key: Key | None) -> Members:
        above = self.plain[-1]
        # One scope less than the entry before.
        hop: Members = {
            "actor": agent(len(self.plain)),
            "scope": above["scope"].rpartition(" ")[0],
            "resources": [RESOURCE],
        }
        hop |= {"max_depth": MAX_DEPTH, "iat": above["iat"], "exp": above["exp"], "jti": jti(), "parent": above["jti"]}
        return hop if key is None else hop | {"cnf": {"jkt": key.thumbprint}}


def issued(depth: int, root_scopes: int, keys: Sequence[Key] = (), now: int = NOW) -> Chain:
    """A chain of `depth` hops on the token service's word, bound to `keys` when there are any."""
    chain = Chain.start(root_scopes, now)
    for index in range(depth):
        chain = chain.issue(keys[index] if keys else None)
    return chain


def delegated(root_scopes: int, keys: Sequence[Key], *, root_is_signed: bool = False) -> Chain:
    """A chain with a hop for each of `keys`, from the second on signed by the agent above."""
    chain = Chain.start(root_scopes)
    if root_is_signed:
        chain = chain.signed_root(keys[0])
    chain = chain.issue(keys[0])
    for key in keys[1:]:
        chain = chain.delegate(key)
    return chain


def agent_keys(depth: int) -> list[Key]:
    """The keys that the agents of the first `depth` hops keep."""
    return [agent_key(index) for index in range(1, depth + 1)]


def least_scopes(depth: int) -> int:
    """How many scopes a root has that leaves the leaf one, and is not smaller than roots are."""
    return max(3, depth + 1)


def own_signature(token: str) -> RawSignature:
    """The token service's signature of `token`, ready for the yardstick."""
    return raw_signature(token, SERVICE.public)


def signatures(chain: Chain, token: str) -> list[RawSignature]:
    """All signatures of a token of `chain`: its own and those of its delegators, each over its own bytes."""
    signed = [(entry["jws"], key) for entry, key in zip(chain.entries[2:], chain.keys, strict=False) if "jws" in entry]
    return [own_signature(token), *(raw_signature(jws, key.public) for jws, key in signed if key is not None)]


def raw_signature(jws: str, key: EllipticCurvePublicKey) -> RawSignature:
    """The signature of a compact JWS that is signed with `key`, ready for the yardstick."""
    signing_input, _, signature = jws.rpartition(".")
    data = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(data[:_COORDINATE_BYTES]), int.from_bytes(data[_COORDINATE_BYTES:])
    return RawSignature(key, encode_dss_signature(r, s), signing_input.encode())


def revocation_list() -> RevocationList:
    """A view of many revocations, none of which hits."""
    revoked = (Revocation(kind=RevocationKind.ENTRY, id=jti(), not_before=None, until=None) for _ in range(REVOKED))
    return RevocationList(tuple(revoked), as_of=NOW, max_staleness_s=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a resource server sets up once. `verify` is then one call of the public verifier, with all checks on.

    `verify_token` takes what the function of that name takes: a verifier that remembers can stand in for it.
    """

    expect: Expectation
    revocations: RevocationList | LifetimeOnly = field(default_factory=revocation_list)
    keys: StaticKeys = field(default_factory=lambda: StaticKeys(_key_sets()))
    verify_token: Callable[..., VerifiedToken] = verify_token

    @classmethod
    def issuer(cls) -> "Terms":
        """The token service's word is enough."""
        return cls(expect=_expect(hop_floor=Evidence.ISSUER))

    @classmethod
    def lifetime_only(cls) -> "Terms":
        """The same, and no revocations are looked at."""
        return cls(expect=_expect(hop_floor=Evidence.ISSUER), revocations=LifetimeOnly(max_s=LIFETIME_S))

    @classmethod
    def delegator(cls, first_keys: Iterable[Key | None]) -> "Terms":
        """Every hop from the second on has its delegator's signature. `first_keys` are pinned for the first agent."""
        pins = {(ISSUER, agent(1)): frozenset(key.thumbprint for key in first_keys if key is not None)}
        return cls(expect=_expect(hop_floor=Evidence.DELEGATOR, agent_keys=pins))

    def verify(self, token: str) -> VerifiedToken:
        """What the public verifier makes of `token`. Whoever holds its key was proven elsewhere."""
        return self.verify_token(
            token, keys=self.keys, expect=self.expect, now=NOW, revocations=self.revocations, proof=_PROVEN
        )


_PROVEN: Final = UnsafeHolderProvenUpstream()


def _key_sets() -> dict[str, KeySet]:
    named = {ISSUER: SERVICE, AUTHORITY: AUTHORITY_KEY}
    return {
        iss: parse_jwks({"keys": [{**key.jwk, "alg": "ES256", "use": "sig", "kid": key.thumbprint}]})
        for iss, key in named.items()
    }


def _expect(hop_floor: Evidence, agent_keys: Mapping[tuple[str, str], frozenset[str]] | None = None) -> Expectation:
    return Expectation(
        issuers=frozenset({ISSUER}),
        audiences=frozenset({RESOURCE}),
        root_floor=Evidence.ISSUER,
        hop_floor=hop_floor,
        holder=HolderFloor.BEARER,
        authorities={(ISSUER, AUTHORITY): ""},
        agent_keys={} if agent_keys is None else agent_keys,
        max_depth=MAX_DEPTH,
    )
