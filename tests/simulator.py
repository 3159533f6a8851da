"""An issuer simulator: keys, chains and tokens from plain dicts, right by default and forged wherever a test says so.

    sim = Simulator()
    chain = sim.chain("planner", "mailer")              # root and two hops, each properly less than the one before
    chain[2]["scope"] = "crm.read crm.write mail.send"  # any member can be changed, dropped, added
    token = sim.token(sim.claims(chain))                # signed with the service's own key

Everything but RSA keys is the same in every run. Nothing here checks anything: that is the verifier's work.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet
from tokensvc.errors import Reason, TokenRefused
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, VerifiedToken, verify_token

__all__ = [
    "ABSENT",
    "API",
    "AUTHORITY",
    "FILES",
    "ISSUER",
    "NOW",
    "PREFIX",
    "SCOPE",
    "USER",
    "Members",
    "Simulator",
    "act",
    "assemble",
    "b64",
    "ec_key",
    "ed_key",
    "encode",
    "jti",
    "jwk",
    "rsa_key",
    "seal",
    "thumbprint",
]

Members = dict[str, Any]


class _Absent:
    """Says the same of itself in every process: the names of tests are made of it."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final[object] = _Absent()
"""As the value of a member: leave it out."""

NOW: Final = 1_900_000_000
ISSUER: Final = "https://as.example"
USER: Final = "user-1"
API: Final = "https://crm.example/api"
FILES: Final = "https://files.example"
AUTHORITY: Final = "https://idp.example"
PREFIX: Final = "idp:"
"""What turns a user of `AUTHORITY` into one of `ISSUER`."""
SCOPE: Final = "crm.delete crm.read crm.write files.read mail.send"


@cache
def ec_key(name: str) -> SigningKey:
    """The ES256 key of that name, always the same one; its `kid` is `name`."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    secret = int.from_bytes(hashlib.sha256(name.encode()).digest()) % (order - 1) + 1
    return _named(ec.derive_private_key(secret, ec.SECP256R1()), name, Algorithm.ES256)


@cache
def ed_key(name: str) -> SigningKey:
    """The Ed25519 key of that name, always the same one; its `kid` is `name`."""
    secret = hashlib.sha256(name.encode()).digest()
    return _named(ed25519.Ed25519PrivateKey.from_private_bytes(secret), name, Algorithm.ED25519)


@cache
def rsa_key(name: str) -> SigningKey:
    """An RS256 key, the same one within a run; its `kid` is `name`."""
    return _named(rsa.generate_private_key(public_exponent=65537, key_size=2048), name, Algorithm.RS256)


def _named(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, name: str, alg: Algorithm
) -> SigningKey:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    jwk = SigningKey.from_pem(pem, alg=alg).unsafe_private_jwk()
    return SigningKey.from_jwk({**jwk, "kid": name})


def b64(data: bytes) -> str:
    """`data` as base64url without padding, by the standard library."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def jti(name: str) -> str:
    """The 128 bits of that name, always the same."""
    return b64(hashlib.sha256(name.encode()).digest()[:16])


def thumbprint(name: str) -> str:
    """A well-formed SHA-256 thumbprint of that name."""
    return b64(hashlib.sha256(name.encode()).digest())


def encode(value: object) -> bytes:
    """`value` as JSON text, by the standard library: NaN, surrogates and all. Bytes are text already."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def assemble(header: object, payload: object, signature: bytes) -> str:
    """A compact JWS of these parts, whatever they are."""
    return ".".join([b64(encode(header)), b64(encode(payload)), b64(signature)])


def seal(header: object, payload: object, key: SigningKey) -> str:
    """A compact JWS of these parts, whatever they are, truly signed with `key`."""
    signing_input = f"{b64(encode(header))}.{b64(encode(payload))}"
    return f"{signing_input}.{b64(key.sign(signing_input.encode()))}"


def jwk(key: SigningKey) -> Members:
    """The public key with exactly the members that RFC 7638 hashes."""
    return {name: member for name, member in key.public.jwk().items() if name not in {"kid", "alg", "use"}}


def act(*actors: str) -> Members:
    """Nested `act` objects, current actor first."""
    current, *prior = actors
    return {"sub": current, "act": act(*prior)} if prior else {"sub": current}


def _present(members: Members) -> Members:
    return {name: member for name, member in members.items() if member is not ABSENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """A token service that does whatever it is told. Keyword arguments replace, add or (`ABSENT`) drop members."""

    iss: str = ISSUER
    key: SigningKey = field(default_factory=lambda: ec_key("service"))

    def root(self, **members: object) -> Members:
        """What the user could authorise."""
        root = {"iss": self.iss, "sub": USER, "scope": SCOPE, "resources": [API, FILES], "max_depth": 5}
        return _present({**root, "iat": NOW - 60, "exp": NOW + 3600, "jti": jti("root"), **members})

    def hop(self, above: Members, actor: str, **members: object) -> Members:
        """A hop below the entry `above`, with its first scope gone and everything else kept."""
        inherited: Members = {
            name: above[name] for name in ("resources", "max_depth", "iat", "exp", "cnf") if name in above
        }
        scope = " ".join(above["scope"].split(" ")[1:])
        links = {"jti": jti(f"{above['jti']} {actor}"), "parent": above["jti"]}
        return _present({"actor": actor, "scope": scope, **inherited, **links, **members})

    def chain(self, *actors: str, root: Members | None = None) -> list[Members]:
        """A root and a hop for each of `actors`, oldest first."""
        entries = [self.root() if root is None else root]
        for actor in actors:
            entries.append(self.hop(entries[-1], actor))
        return entries

    def claims(self, chain: list[Members], **members: object) -> Members:
        """The claims of a token for the last hop of `chain`."""
        root, leaf = chain[0], chain[-1]
        claims = {"iss": self.iss, "sub": root["sub"], "aud": leaf["resources"][0], "client_id": leaf["actor"]}
        times = {"iat": max(NOW - 10, leaf["iat"]), "exp": min(NOW + 300, leaf["exp"])}
        grants = {"scope": leaf["scope"], "act": act(*(hop["actor"] for hop in reversed(chain[1:])))}
        profile = {"jti": jti("token"), "grant_profile": 1, "grant_chain": chain}
        return _present({**claims, **times, **grants, **profile, **members})

    def header(self, **members: object) -> Members:
        """The header of an access token under this service's key."""
        return _present({"typ": "at+jwt", "alg": str(self.key.alg), "kid": self.key.kid, **members})

    def token(self, claims: object, *, header: object = None) -> str:
        """`claims` and `header` (values or JSON text), truly signed with this service's key."""
        return seal(self.header() if header is None else header, claims, self.key)

    def signed_root(self, root: Members, actor: str, holder: SigningKey) -> Members:
        """What `AUTHORITY` signs so that `root` is this service's to use, for `actor` with the key `holder` first."""
        user = root["sub"].removeprefix(PREFIX)
        first = {"actor": actor, "cnf": {"jkt": holder.public.thumbprint}}
        return {**root, "iss": AUTHORITY, "sub": user, "aud": self.iss, **first}

    def signed_hop(self, chain: list[Members], index: int) -> Members:
        """What the delegator signs so that hop `index` of the plain `chain` is its word."""
        place = {"iss": chain[index - 1]["actor"], "sub": chain[0]["sub"], "aud": self.iss}
        return {**chain[index], **place, "root": chain[0]["jti"], "index": index}

    def keys(self) -> StaticKeys:
        """What a verifier knows of this service."""
        return StaticKeys({self.iss: KeySet([self.key.public])})

    def expect(self) -> Expectation:
        """The terms of the resource `API`."""
        return Expectation.bearer(issuers=[self.iss], audiences=[API])

    def verify(self, token: str, **terms: Any) -> VerifiedToken:  # noqa: ANN401 - any term of verify_token, even a bad one
        """`token` verified by the public verifier at `NOW`, each of its terms replaceable."""
        defaults = {"keys": self.keys(), "expect": self.expect(), "now": NOW, "revocations": LifetimeOnly(max_s=900)}
        return verify_token(token, **{**defaults, **terms})

    def reason(self, token: str, **terms: Any) -> Reason | None:  # noqa: ANN401 - as for verify
        """Why the public verifier refuses `token`; None when it accepts it. Any other exception is a bug and passes."""
        try:
            self.verify(token, **terms)
        except TokenRefused as refused:
            return refused.reason
        return None
