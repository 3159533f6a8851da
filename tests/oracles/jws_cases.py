"""Valid tokens and several hundred spoilt ones, for every JOSE library that the verifier is compared with.

Each case has a `kind`, and a kind is accepted by us as a whole or refused as a whole. Whatever we accept, the others
accept. Where another library accepts what we refuse, `STRICTER` says why we refuse it: no kind is in there by accident.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulator import (
    API,
    FILES,
    ISSUER,
    NOW,
    Members,
    Simulator,
    act,
    assemble,
    b64,
    ec_key,
    ed_key,
    encode,
    jwk,
    rsa_key,
    seal,
)
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.errors import Reason
from tokensvc.verify import StaticKeys

__all__ = ["ACCEPTED", "LEEWAY_S", "SIGNATURE_REASONS", "STRICTER", "Case", "our_reason", "public_jwks", "token_cases"]

LEEWAY_S: Final = 30
SIGNATURE_REASONS: Final = frozenset(
    {
        Reason.TOO_LARGE,
        Reason.MALFORMED,
        Reason.WRONG_TYPE,
        Reason.UNTRUSTED_ISSUER,
        Reason.UNKNOWN_KEY,
        Reason.BAD_SIGNATURE,
    }
)
"""Why a token is refused before its signature counts, or for what it says without being well-formed."""

ACCEPTED: Final = frozenset(
    {"valid", "typ in another spelling", "old algorithm name", "high S", "JSON in another spelling", "time in leeway"}
)
"""The kinds that we accept."""

STRICTER: Final = {
    "kid absent": "the key is named, never tried out",
    "header member": "a header is exactly typ, alg and kid: nothing in it can steer what is verified, or how",
    "another type": "a token of another kind is none, whoever signed it (RFC 8725 s3.11)",
    "base64 ornament": "one token has one text: no padding, no white space, no letters of the other alphabet",
    "base64 bits": "one token has one text: bits that are not used are zero (RFC 4648 s3.5)",
    "JSON duplicate": "readers differ on which of two members counts",
    "JSON text": "strict JSON in UTF-8, without a byte-order mark, lone surrogates or what only some readers take",
    "JSON number": "only numbers that every reader takes for the same",
    "no object": "a payload that is no object carries no claims",
    "nesting": "bounded nesting: nothing that a reader could choke on",
    "size": "bounded size",
    "claim type": "claims of exact types: a time is an integer, an audience or issuer one string",
    "claim absent": "a claim that decides is required",
    "claim value": "scopes, identifiers and confirmations by their grammar",
    "audience list": "one audience, or a token is good at more places than one",
    "chain": "no signature makes up for a chain that is absent, broken or not attenuated",
    "holder": "a bound token needs its proof",
    "issued in the future": "a token from the future was made under another clock, or was never due",
}
"""Kinds that some other library accepts, and why we do not."""

KEYS: Final = {"ES256": ec_key, "Ed25519": ed_key, "RS256": rsa_key}
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
NOT_A_CHAIN: Final[tuple[object, ...]] = (None, [], {}, "x", 2)
ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One token; `name` tells it from the others of its kind."""

    kind: str
    name: str
    alg: str
    token: str


def service_key(alg: str) -> SigningKey:
    """The key of the token service for `alg`; its `kid` is the name of the algorithm."""
    return KEYS[alg](alg)


def public_jwks() -> Members:
    """What the token service publishes, as any library may read it."""
    published: Members = dict(render_jwks(KeySet(service_key(alg).public for alg in KEYS)))
    for key in published["keys"]:
        if key["kty"] == "OKP":
            # Two names of one algorithm: without one of them in the key, a library may go by the curve.
            del key["alg"]
    return published


def our_reason(token: str) -> Reason | None:
    """Why our verifier refuses `token`, or None."""
    keys = StaticKeys({ISSUER: KeySet(service_key(alg).public for alg in KEYS)})
    return Simulator().reason(token, keys=keys)


@cache
def token_cases() -> tuple[Case, ...]:
    """Every case, for every algorithm. The same list within a run, so that all judges see the same texts."""
    makers = (
        valid,
        headers,
        kids,
        types,
        encodings,
        texts,
        payloads,
        signatures,
        forgeries,
        claims,
        values,
        chains,
        flips,
    )
    return tuple(
        Case(kind=kind, name=f"{maker.__name__} {number}", alg=alg, token=token)
        for alg in KEYS
        for maker in makers
        for number, (kind, token) in enumerate(maker(Forge(alg)))
    )


Made = Iterator[tuple[str, str]]


class Forge:
    """Signs whatever a case says, with the token service's own key."""

    def __init__(self, alg: str) -> None:
        self.alg = alg
        self.key = service_key(alg)
        self.sim = Simulator(key=self.key)
        self.header = self.sim.header()
        self.claims = self.sim.claims(self.sim.chain("planner", "mailer"))

    def token(self, claims: object = None, /, *, header: object = None) -> str:
        """The plain token, with its claims or header replaced."""
        return seal(self.header if header is None else header, self.claims if claims is None else claims, self.key)

    def with_header(self, **members: object) -> str:
        return self.token(header=self.sim.header(**members))

    def with_claims(self, **members: object) -> str:
        return self.token({**self.claims, **members})

    def without(self, name: str) -> str:
        return self.token({other: value for other, value in self.claims.items() if other != name})

    def over_text(self, header: str, payload: str) -> str:
        """These texts as the first two parts, as they are, and a true signature over them."""
        signing_input = f"{header}.{payload}"
        return f"{signing_input}.{b64(self.key.sign(signing_input.encode('utf-8', 'surrogatepass')))}"

    def parts(self) -> list[str]:
        return self.token().split(".")


def valid(forge: Forge) -> Made:
    yield "valid", forge.token()
    yield "valid", forge.with_claims(aud=API, extra={"nested": [1, "two", None, 1.5]}, azp="x")
    yield "valid", forge.with_claims(nbf=NOW - 5)
    yield "valid", forge.token(forge.sim.claims(forge.sim.chain("planner")))
    yield "valid", forge.token(dict(reversed(forge.claims.items())), header=dict(reversed(forge.header.items())))
    for typ in ("AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+JWT"):
        yield "typ in another spelling", forge.with_header(typ=typ)
    if forge.alg == "Ed25519":
        yield "old algorithm name", forge.with_header(alg="EdDSA")
    for indent in (1, 4):
        yield "JSON in another spelling", forge.token(json.dumps(forge.claims, indent=indent).encode())
    yield "JSON in another spelling", forge.token(b" \t\r\n" + encode(forge.claims) + b"\n ")
    yield "JSON in another spelling", forge.token(encode(forge.claims).replace(b'"iss"', b'"\\u0069ss"'))
    yield "JSON in another spelling", forge.token(header=encode(forge.header).replace(b'"typ"', b'"\\u0074yp"'))
    yield "time in leeway", forge.with_claims(exp=NOW - LEEWAY_S + 1)
    yield "time in leeway", forge.with_claims(nbf=NOW + LEEWAY_S)


def headers(forge: Forge) -> Made:
    public = forge.key.public
    names = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS512",
        "ES384",
        "ES512",
        "ES256K",
        "PS256",
        "RS512",
        "Ed448",
    ]
    names += ["ecdsa", "A256KW", "dir", forge.alg.lower(), forge.alg.swapcase(), f"{forge.alg} ", f" {forge.alg}"]
    names += [alg for alg in KEYS if alg != forge.alg]
    odd: list[object] = [None, 1, True, [forge.alg], {"alg": forge.alg}]
    for alg in [*names, *odd]:
        yield "another algorithm", forge.with_header(alg=alg)
    yield "another algorithm", forge.token(header={"typ": "at+jwt", "kid": forge.key.kid})
    members: list[Members] = [{"jwk": jwk(forge.key)}, {"jwk": forge.key.public.jwk()}, {"jku": "https://evil.example"}]
    members += [{"x5u": "file:///etc/passwd"}, {"x5c": ["AAAA"]}, {"x5t": "AAAA"}, {"cty": "JWT"}, {"iss": ISSUER}]
    members += [{"x": None}, {"": ""}, {"ALG": "none"}, {"enc": "A128GCM"}, {"zip": "DEF"}, {"p2c": 1}, {"epk": {}}]
    members += [{"sub": forge.claims["sub"]}, {"jwk": None}, {"nonce": public.kid}, {"b64": True}]
    for extra in members:
        yield "header member", forge.with_header(**extra)
    crits: list[Any] = [[], ["alg"], ["x"], ["b64"], ["exp"], "b64", None, {}, [1], ["b64", "b64"]]
    for crit in crits:
        yield "header member", forge.with_header(crit=crit)
    yield "header member", forge.with_header(crit=["x"], x=1)
    yield "header member", forge.with_header(crit=["b64"], b64=True)
    yield "header member", forge.with_header(b64=False)
    # Truly unencoded (RFC 7797): the signature is over the payload as it stands.
    header = b64(encode(forge.sim.header(b64=False, crit=["b64"])))
    yield "header member", forge.over_text(header, "plain")


def kids(forge: Forge) -> Made:
    yield "kid absent", forge.token(header={"typ": "at+jwt", "alg": forge.alg})
    own = forge.key.kid
    wrong: list[object] = ["", "unknown", own.lower(), f"{own} ", f"{own}\0", "../../etc/passwd", "x' OR 1=1 --"]
    wrong += [
        "https://evil.example/jwks.json",
        "toString",
        "__proto__",
        "constructor",
        None,
        0,
        True,
        [own],
        {"kid": own},
    ]
    wrong += [alg for alg in KEYS if alg != forge.alg]
    for kid in wrong:
        yield "another kid", forge.with_header(kid=kid)


def types(forge: Forge) -> Made:
    odd: list[object] = [None, 1, ["at+jwt"], {}]
    for typ in odd:
        yield "another type", forge.with_header(typ=typ)
    yield "another type", forge.token(header={"alg": forge.alg, "kid": forge.key.kid})
    others = ["JWT", "jwt", "", "at+jwt ", "at jwt", "id+jwt", "dpop+jwt", "logout+jwt", "rt+jwt", "at+jwt;v=1"]
    others += ["delegation-root+jwt", "delegation-grant+jwt", "actor+jwt", "client-authentication+jwt", "JOSE"]
    others += ["statuslist+jwt", "revocations+jwt", "oauth-id-jag+jwt", "token-introspection+jwt", "a\u0074+jw\u0165"]
    others += ["application/jwt", "application/application/at+jwt", "text/at+jwt", "aT+jwt\n"]
    for name in others:
        yield "another type", forge.with_header(typ=name)


def encodings(forge: Forge) -> Made:
    header, payload, signature = forge.parts()
    for ornament in ("=", "==", " ", "\n", "\t", "\r\n", "\0", "%3D"):
        yield "base64 ornament", f"{header}.{payload}.{signature}{ornament}"
        yield "base64 ornament", forge.over_text(header + ornament, payload)
        yield "base64 ornament", forge.over_text(header, payload + ornament)
        yield "base64 ornament", f"{header}.{payload}.{signature[:40]}{ornament}{signature[40:]}"
        yield "base64 ornament", f"{ornament}{forge.token()}"
    for foreign in ("!", "~", "\u00e9", "\ud800", ",", "*"):
        yield "base64 letter", f"{header}.{payload}.{signature[:40]}{foreign}{signature[40:]}"
        yield "base64 letter", f"{header}.{payload}.{signature[:-1]}{foreign}"
        yield "base64 letter", forge.over_text(header, payload[:40] + foreign + payload[41:])
    yield "base64 letter", f"{header}.{payload}.{signature[:-3]}"
    yield "base64 letter", f"{header}.{payload}.A"
    yield from unused_bits(forge)
    yield from standard_letters(forge)
    for form in (
        ".",
        "..",
        "",
        "...",
        f"{header}",
        f"{header}.{payload}",
        f"{header}.{payload}.",
        f".{payload}.{signature}",
    ):
        yield "parts", form
    yield "parts", f"{header}..{signature}"
    yield "parts", f"{forge.token()}.{signature}"
    yield "parts", f"{forge.token()}.AAAA.AAAA"
    yield "parts", f"{header}.{payload}.{signature}."
    yield "parts", f"Bearer {forge.token()}"
    yield "parts", json.dumps({"protected": header, "payload": payload, "signature": signature})
    yield "parts", json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})


def unused_bits(forge: Forge) -> Made:
    """Every other spelling of the last letter of each part that has unused bits."""
    padded = forge.token({**forge.claims, "x": ""}).split(".")
    for length in range(3):
        claims = {**forge.claims, "x": "x" * length}
        header, payload, signature = forge.token(claims).split(".")
        for changed in respelt(payload):
            yield "base64 bits", forge.over_text(header, changed)
        if not length:
            for changed in respelt(signature):
                yield "base64 bits", f"{header}.{payload}.{changed}"
        head = encode(forge.header)[:-1] + b" " * length + b"}"
        for changed in respelt(b64(head)):
            yield "base64 bits", forge.over_text(changed, padded[1])


def respelt(text: str) -> Iterator[str]:
    unused = {2: 4, 3: 2}.get(len(text) % 4, 0)
    last = ALPHABET.index(text[-1])
    for bits in range(1, 1 << unused, 3):
        yield text[:-1] + ALPHABET[last | bits]


def standard_letters(forge: Forge) -> Made:
    claims = {**forge.claims, "x": "\u00bf\u00be\u00ff\u00fe??>>" * 3}
    header, payload, _ = forge.token(json.dumps(claims, ensure_ascii=False).encode()).split(".")
    for old, new in (("-", "+"), ("_", "/")):
        assert old in payload
        yield "base64 ornament", forge.over_text(header, payload.replace(old, new))


def texts(forge: Forge) -> Made:
    """The JSON of header and payload, spelt as no strict reader takes it."""
    payload, header = encode(forge.claims), encode(forge.header)
    for name in ("iss", "exp", "aud", "act", "scope"):
        value = encode(forge.claims[name])
        yield "JSON duplicate", forge.token(payload[:-1] + b',"%s":%s}' % (name.encode(), value))
        yield "JSON duplicate", forge.token(b'{"%s":"x",' % name.encode() + payload[1:])
    for name in ("alg", "kid", "typ"):
        value = encode(forge.header[name])
        yield "JSON duplicate", forge.token(header=header[:-1] + b',"%s":%s}' % (name.encode(), value))
        yield "JSON duplicate", forge.token(header=b'{"%s":"none",' % name.encode() + header[1:])
    for text, place in ((payload, "payload"), (header, "header")):
        spoilt = [b"\xef\xbb\xbf" + text, text + b"x", text + b"\0", text[:-1], text + text, b"/**/" + text]
        spoilt += [text[:-1] + b",}", text.replace(b'"', b"'"), text.decode().encode("utf-16")]
        spoilt += [text.decode().encode("utf-16-le"), text.decode().encode("utf-32"), text[:-1] + b',"x":"\xff"}']
        spoilt += [text[:-1] + b',"x":"\xed\xa0\x80"}', text[:-1] + b',"x":"\\ud800"}', text[:-1] + b',"x":"\t"}']
        spoilt += [text[:-1] + b',"x":"\xc0\xaf"}', b"\x0c" + text, b"\xc2\xa0" + text, text[:-1] + b",x:1}"]
        for other in spoilt:
            yield "JSON text", forge.token(other) if place == "payload" else forge.token(header=other)
    numbers = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b"+1", b".5", b"1.", b"0x1", b"1_000", b"1" * 30)
    for number in (*numbers, b"9007199254740993", b"1" * 5000):
        yield "JSON number", forge.token(payload[:-1] + b',"x":%s}' % number)
    for depth in (60, 1000, 2500):
        yield "nesting", forge.token(payload[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}")
    yield "size", forge.with_claims(x="x" * 13_000)
    yield "size", forge.with_claims(x="x" * 200_000)


def payloads(forge: Forge) -> Made:
    for value in ([], [forge.claims], "text", 1, None, True, json.dumps(forge.claims)):
        yield "no object", forge.token(encode(value))
    yield "no object", forge.token(b"")
    yield "no object", forge.token(b"plain text")
    yield "claim absent", forge.token({})


def signatures(forge: Forge) -> Made:
    header, payload, signature = forge.parts()
    signing_input = f"{header}.{payload}"
    raw = base64.urlsafe_b64decode(signature + "==")
    spoilt = [raw[:-1], raw[1:], raw + b"\0", b"\0" + raw, raw * 2, raw[: len(raw) // 2], bytes(len(raw)), b"\0"]
    spoilt += [b"\xff" * len(raw), raw[::-1], hashlib.sha256(raw).digest()]
    for other in spoilt:
        yield "signature", f"{signing_input}.{b64(other)}"
    if forge.alg == "ES256":
        r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
        yield "high S", f"{signing_input}.{b64(r.to_bytes(32) + (ORDER - s).to_bytes(32))}"
        yield "signature", f"{signing_input}.{b64(encode_dss_signature(r, s))}"
        yield "signature", f"{signing_input}.{b64(encode_dss_signature(r, ORDER - s))}"
        for first, second in (
            (0, 0),
            (0, s),
            (r, 0),
            (1, 1),
            (ORDER, ORDER),
            (s, r),
            (ORDER, s),
            (r, ORDER),
            (ORDER - r, s),
        ):
            yield "signature", f"{signing_input}.{b64(first.to_bytes(32) + second.to_bytes(32))}"
        yield "signature", f"{signing_input}.{b64(r.to_bytes(33) + s.to_bytes(33))}"
        yield "signature", f"{signing_input}.{b64(r.to_bytes(66) + s.to_bytes(66))}"
    elif forge.alg == "Ed25519":
        s = int.from_bytes(raw[32:], "little")
        for multiple in (1, 2, 8):
            yield "signature", f"{signing_input}.{b64(raw[:32] + (s + multiple * ED_ORDER).to_bytes(32, 'little'))}"
        # The neutral element and other small points as R, with S zero: enough under a key of small order.
        for point in (b"\1" + bytes(31), bytes(32), b"\xec" + b"\xff" * 30 + b"\x7f"):
            yield "signature", f"{signing_input}.{b64(point + bytes(32))}"
            yield "signature", f"{signing_input}.{b64(point + raw[32:])}"
    else:
        modulus = forge.key.public.key.public_key.public_numbers().n  # type: ignore[union-attr]
        number = int.from_bytes(raw)
        yield "signature", f"{signing_input}.{b64((modulus - number).to_bytes(256))}"
        yield "signature", f"{signing_input}.{b64((number + modulus).to_bytes(257))}"
        yield "signature", f"{signing_input}.{b64((1).to_bytes(256))}"
        yield "signature", f"{signing_input}.{b64(modulus.to_bytes(256))}"


def forgeries(forge: Forge) -> Made:
    """Signed, but not by the key that the header names."""
    for alg, make in KEYS.items():
        yield "another key", seal(forge.header, forge.claims, make("thief"))
        if alg != forge.alg:
            yield "another key", seal(forge.header, forge.claims, service_key(alg))
            yield "another key", seal(forge.sim.header(kid=alg), forge.claims, forge.key)
            yield "another key", seal(forge.sim.header(alg=alg), forge.claims, service_key(alg))
    thief = KEYS[forge.alg]("thief")
    yield "another key", seal(forge.sim.header(jwk=jwk(thief)), forge.claims, thief)
    yield "another key", seal(forge.sim.header(jku="https://evil.example", kid="thief"), forge.claims, thief)
    public = forge.key.public.key.public_key
    secrets = [public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), b"", b"\n"]
    secrets += [public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), encode(forge.key.public.jwk())]
    for secret in secrets:
        for name in ("HS256", forge.alg):
            header = forge.sim.header(alg=name)
            signing_input = f"{b64(encode(header))}.{b64(encode(forge.claims))}".encode()
            tag = hmac.digest(secret, signing_input, hashlib.sha256)
            yield "another key", assemble(header, forge.claims, tag)
    yield "another key", assemble(forge.sim.header(alg="none"), forge.claims, b"")
    yield "another key", forge.token({**forge.claims, "iat": NOW - 1}).rsplit(".", 1)[0] + "." + forge.parts()[2]


def claims(forge: Forge) -> Made:
    for name in ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"):
        yield "claim absent", forge.without(name)
        odd: list[object] = [None, True, {}, [forge.claims[name]], float("inf")]
        for value in odd:
            if name != "aud" or not isinstance(value, list):
                yield "claim type", forge.with_claims(**{name: value})
    for name in ("exp", "iat", "nbf"):
        for value in (str(NOW), NOW + 0.5, float(NOW), "", [NOW]):
            yield "claim type", forge.with_claims(**{name: value})
    yield "audience list", forge.with_claims(aud=[API])
    yield "audience list", forge.with_claims(aud=[API, FILES])
    for audience in (FILES, f"{API}/", API.upper(), "", "*", f"{API} {FILES}", API[:-1], f"{API}#"):
        yield "another audience", forge.with_claims(aud=audience)
    yield "another audience", forge.with_claims(aud=[])
    for issuer in (f"{ISSUER}/", ISSUER.upper(), "https://as.exampl\u0435", "", ISSUER[:-1], "https://evil.example"):
        yield "another issuer", forge.with_claims(iss=issuer)
    for claim, value in (
        ("exp", NOW - LEEWAY_S),
        ("exp", NOW - 3600),
        ("exp", 0),
        ("exp", -1),
        ("nbf", NOW + LEEWAY_S + 1),
    ):
        yield "time", forge.with_claims(**{claim: value})
    yield "issued in the future", forge.with_claims(iat=NOW + LEEWAY_S + 1)


def values(forge: Forge) -> Made:
    for scope in ("", " ", "a  b", "crm.read crm.read", " crm.read"):
        yield "claim value", forge.with_claims(scope=scope)
    for jti in ("", "x", "A" * 23):
        yield "claim value", forge.with_claims(jti=jti)
    two: Members = {"jkt": "A" * 43, "x5t#S256": "A" * 43}
    confirmations: list[object] = [{}, {"jkt": "x"}, two, {"jwk": jwk(forge.key)}, [], None]
    for cnf in confirmations:
        yield "claim value", forge.with_claims(cnf=cnf)
    yield "holder", forge.with_claims(cnf={"jkt": "A" * 43})


def chains(forge: Forge) -> Made:
    for name in ("act", "grant_chain", "grant_profile"):
        yield "chain", forge.without(name)
        for value in NOT_A_CHAIN:
            yield "chain", forge.with_claims(**{name: value})
    yield "chain", forge.with_claims(act=act("mailer"))
    yield "chain", forge.with_claims(scope=forge.claims["grant_chain"][0]["scope"])
    wider = [*forge.claims["grant_chain"][:2], {**forge.claims["grant_chain"][2], "scope": "admin"}]
    yield "chain", forge.token({**forge.claims, "grant_chain": wider, "scope": "admin"})


def flips(forge: Forge) -> Made:
    """One letter changed, in every part of the text."""
    token = forge.token()
    # The last letters of each part carry unused bits and are looked at by themselves.
    for position in range(0, len(token) - 1, len(token) // 40):
        if token[position] != "." and token[position + 1 : position + 2] != ".":
            other = ALPHABET[ALPHABET.index(token[position]) ^ 1]
            yield "letter", token[:position] + other + token[position + 1 :]
