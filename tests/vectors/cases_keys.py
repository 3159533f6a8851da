"""Key sets: which keys of a JWK Set count, and what spoils the whole set."""

import hashlib
import json
from math import prod
from typing import Any, Final

from tests.vectors.parties import AS_KEY, ORDER_8, Members, b64, ec_key, ed_key, rsa_key

__all__ = ["key_sets"]

EC: Final = ec_key("service").public
ED: Final = ed_key("service-ed").public
RSA: Final = rsa_key("service-rsa").public
MODULUS: Final = 2**2047
ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def _ed(y: int) -> Members:
    return {**ED, "x": b64(y.to_bytes(32, "little"))}


def _rsa(n: int, e: int = 65537) -> Members:
    return {**RSA, "n": b64(n.to_bytes((n.bit_length() + 7) // 8)), "e": b64(e.to_bytes((e.bit_length() + 7) // 8))}


def _roca(power: int = 0, *, but: int | None = None) -> int:
    """The least modulus above 2^2047 that is that power of 65537 modulo each prime: odd, and of no use.

    Modulo the prime `but` it is the least number from 1 on that is no power of 65537.
    """
    modulus, step = pow(65537, power, prod(ROCA_PRIMES)) + MODULUS, prod(ROCA_PRIMES)
    modulus -= MODULUS % step
    if but is not None:
        wanted = min(_no_powers(but))
        modulus += step // but * ((wanted - modulus) * pow(step // but, -1, but) % but)
    while modulus < MODULUS or modulus % 2 == 0:
        modulus += step
    return modulus


def _no_powers(prime: int) -> set[int]:
    return set(range(1, prime)) - {pow(65537, power, prime) for power in range(prime)}


def _counting(jwk: Members, alg: str) -> tuple[str, str, str]:
    names = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in names}, separators=(",", ":"))
    return jwk["kid"], alg, b64(hashlib.sha256(text.encode()).digest())


def _without(jwk: Members, *names: str) -> Members:
    return {name: value for name, value in jwk.items() if name not in names}


def key_sets() -> list[Members]:
    """Cases: a JWK Set, and the keys that count, or that it is refused."""
    n = int(rsa_key("service-rsa").private.private_numbers().public_numbers.n)
    used: list[tuple[str, str, list[Any], list[tuple[str, str, str]]]] = []

    def use(name: str, comment: str, keys: list[Any], *counting: tuple[str, str, str]) -> None:
        used.append((name, comment, keys, list(counting)))

    ec = ("service", "ES256", AS_KEY.thumbprint)
    ed = ("service-ed", "Ed25519", ed_key("service-ed").thumbprint)
    rs = ("service-rsa", "RS256", rsa_key("service-rsa").thumbprint)
    use("three", "One of each kind", [EC, ED, RSA], ec, ed, rs)
    use("empty", "No keys", [])
    use(
        "no-alg",
        "Without alg the kind of key says it",
        [_without(EC, "alg"), _without(ED, "alg"), _without(RSA, "alg")],
        ec,
        ed,
        rs,
    )
    use("no-use", "use may be left out", [_without(EC, "use")], ec)
    use("eddsa", "The old name of Ed25519", [{**ED, "alg": "EdDSA"}], ed)
    use("key-ops", "key_ops with verify", [{**EC, "key_ops": ["verify"]}], ec)
    use("unknown-members", "Members of other purpose are ignored", [{**EC, "x5c": ["x"], "x5t": "x", "nbf": 1}], ec)
    use("100-keys", "100 keys", [*[{"kty": "AKP"}] * 99, EC], ec)
    for what, letter in (("", "k"), ("-astral", "\U0001f511")):
        kid = letter * 256
        use(f"kid-256{what}", "A kid of 256 characters", [{**EC, "kid": kid}], (kid, *ec[1:]))
    for name, comment, jwk in (
        ("rsa-2048", "The least modulus of 2048 bits that is odd", _rsa(MODULUS + 1)),
        ("rsa-8192", "A modulus of 8192 bits", _rsa(2**8192 - 1)),
        ("rsa-exponent-64", "An exponent of 64 bits", _rsa(n, 2**64 - 1)),
    ):
        use(name, comment, [jwk], _counting(jwk, "RS256"))
    nearly = [{**_rsa(_roca(12_345, but=prime)), "kid": f"not-{prime}"} for prime in ROCA_PRIMES if _no_powers(prime)]
    use("rsa-roca-nearly", "A power modulo all primes but the one in the kid", nearly,
        *[_counting(jwk, "RS256") for jwk in nearly])  # fmt: skip
    use("rsa-crv", "A member of another kind of key, a string, is ignored", [{**RSA, "crv": "P-256"}], rs)
    use("rsa-crv-no-alg", "The same without alg", [{**_without(RSA, "alg"), "crv": "P-256"}], rs)
    use("ec-n-e", "The same", [{**EC, "n": "AQ", "e": "x"}], ec)
    for name, jwk in (
        ("use-enc", {**ED, "use": "enc"}),
        ("use-null", {**ED, "use": None}),
        ("key-ops-sign", {**ED, "key_ops": ["sign"]}),
        ("key-ops-text", {**ED, "key_ops": "verify"}),
        ("alg-es384", {**ED, "alg": "ES384"}),
        ("alg-ps256", {**RSA, "alg": "PS256"}),
        ("alg-null", {**ED, "alg": None}),
        ("kty-unknown", {**ED, "kty": "AKP"}),
        ("kty-absent", _without(ED, "kty")),
        ("curve-p-384", {**_without(EC, "alg"), "crv": "P-384"}),
        ("no-alg-no-crv", _without(ED, "alg", "crv")),
        ("curve-x25519", {**_without(ED, "alg"), "crv": "X25519"}),
        ("ed448", {**ED, "alg": "EdDSA", "crv": "Ed448"}),
        ("no-kid-but-enc", {**_without(ED, "kid"), "use": "enc"}),
    ):
        use(
            f"passed-over-{name}",
            "A key that is not for signatures here is passed over, the others count",
            [jwk, EC],
            ec,
        )
    cases: list[Members] = [
        {"id": name, "comment": comment, "jwks": {"keys": keys}, "result": {"ok": [dict(zip(("kid", "alg",
            "thumbprint"), key, strict=True)) for key in counting]}}
        for name, comment, keys, counting in used
    ]  # fmt: skip
    p = 2**255 - 19
    spoilt: list[tuple[str, str, list[Any]]] = [
        ("secret", "A secret key", [EC, {"kty": "oct", "k": "AAAA", "kid": "x"}]),
        ("secret-elsewhere", "A secret member in a key of any kind", [EC, {**ED, "k": "AAAA"}]),
        ("private", "A private key", [EC, {**ED, "d": b64(bytes(32))}]),
        ("private-enc", "A private key, even one for encryption", [EC, {**ED, "use": "enc", "d": b64(bytes(32))}]),
        ("kid-twice", "A kid twice", [EC, {**ED, "kid": EC["kid"]}]),
        ("key-twice", "A key twice under two kids", [EC, {**EC, "kid": "x"}]),
        ("no-kid", "A key without kid", [_without(EC, "kid")]),
        ("kid-empty", "An empty kid", [{**EC, "kid": ""}]),
        ("kid-long", "A kid of 257 characters", [{**EC, "kid": "k" * 257}]),
        ("kid-long-astral", "A kid of 257 characters", [{**EC, "kid": "\U0001f511" * 257}]),
        ("kid-number", "A kid that is no string", [{**EC, "kid": 1}]),
        ("alg-of-other-kind", "An alg of another kind of key", [{**EC, "alg": "RS256"}]),
        ("curve-contradicts-alg", "A curve that contradicts alg", [{**EC, "crv": "P-384"}]),
        ("curve-x25519-contradicts-alg", "A curve that contradicts alg", [{**ED, "alg": "EdDSA", "crv": "X25519"}]),
        ("curve-ed448-contradicts-alg", "A curve that contradicts alg", [{**ED, "crv": "Ed448"}]),
        ("curve-absent-ec", "alg without crv", [_without(EC, "crv")]),
        ("curve-absent-okp", "alg without crv", [_without(ED, "crv")]),
        ("curve-null", "A curve that is no string", [{**EC, "crv": None}]),
        ("curve-null-rsa", "A member of another kind of key, no string", [{**RSA, "crv": None}]),
        ("curve-number-rsa-no-alg", "A member of another kind of key, no string", [{**_without(RSA, "alg"), "crv": 1}]),
        ("n-number-ec", "A member of another kind of key, no string", [{**EC, "n": 1}]),
        ("not-an-object", "An entry that is no object", [EC, "x"]),
        ("point-off-curve", "A point that is not on P-256", [{**EC, "y": EC["x"]}]),
        ("no-y", "A coordinate missing", [_without(EC, "y")]),
        ("x-number", "A coordinate that is no string", [{**ED, "x": 1}]),
        ("ed-short", "31 bytes", [{**ED, "x": b64(bytes([9]) + bytes(30))}]),
        ("ed-padded", "Padded base64", [{**ED, "x": ED["x"] + "="}]),
        ("ed-not-canonical", "y = p + 3: not in canonical encoding", [_ed(p + 3)]),
        ("ed-p", "y = p: 0 in other than canonical encoding", [_ed(p)]),
        ("ed-off-curve", "y = 2: no point of the curve", [_ed(2)]),
        ("ed-order-1", "The neutral point", [_ed(1)]),
        ("ed-order-2", "A point of order 2", [_ed(p - 1)]),
        ("ed-order-4", "A point of order 4", [_ed(0)]),
        ("ed-order-8", "A point of order 8",
        [{**ED, "x": b64(ORDER_8)}]),
        ("rsa-short", "2047 bits", [_rsa(2**2047 - 1)]),
        ("rsa-long", "8193 bits", [_rsa(2**8192 + 1)]),
        ("rsa-exponent", "The exponent 3", [_rsa(n, 3)]),
        ("rsa-exponent-even", "An even exponent", [_rsa(n, 65538)]),
        ("rsa-exponent-65", "An exponent of 65 bits", [_rsa(n, 2**64 + 1)]),
        ("rsa-exponent-2000", "An exponent of 2000 bits", [_rsa(n, 2**1999 + 1)]),
        *(
            (f"rsa-{member}-{name}", f"A number {change}", [{**_without(RSA, member), **change}])
            for member in ("n", "e")
            for name, change in (("absent", {}), ("number", {member: 65537}), ("null", {member: None}),
                                 ("empty", {member: ""}), ("list", {member: ["AQAB"]}))
        ),
        ("rsa-even", "An even modulus", [_rsa(n + 1)]),
        *(
            (f"rsa-roca{name}", f"A modulus that looks like those of ROCA: the power {power}", [_rsa(_roca(power))])
            for name, power in (("", 0), ("-1", 1), ("-12345", 12_345), ("-2-to-64", 2**64))
        ),
        ("101-keys", "More than 100 keys", [{"kty": "AKP"}] * 101),
    ]  # fmt: skip
    cases += [
        {"id": f"spoilt-{name}", "comment": comment, "jwks": {"keys": keys}, "result": "refused"}
        for name, comment, keys in spoilt
    ]
    wrong: list[tuple[str, Members]] = [("no-keys", {}), ("keys-object", {"keys": {}}), ("keys-null", {"keys": None})]
    for name, value in wrong:
        cases.append(
            {
                "id": f"spoilt-{name}",
                "comment": "A set is an object with an array keys",
                "jwks": value,
                "result": "refused",
            }
        )
    good = json.dumps({"keys": [EC]})
    cases.append({"id": "text", "comment": "A set as its text", "jwks_text": good,
        "result": {"ok": [dict(zip(("kid", "alg", "thumbprint"), ec, strict=True))]}})  # fmt: skip
    for name, comment, text in (
        ("keys-twice", "A member twice", f'{good[:-1]},"keys":[]}}'),
        ("kid-twice-in-key", "A member of a key twice", good.replace('"kid"', '"kid":"x","kid"')),
        ("trailing", "Something behind the object", good + "{}"),
        ("number", "A number that a double cannot say, where nobody reads", f'{good[:-1]},"x":1e400}}'),
        ("surrogate", "A lone surrogate in a kid", good.replace('"service"', '"\\ud800"')),
        ("array", "No object", f"[{good}]"),
        ("empty-text", "No JSON", ""),
    ):
        cases.append({"id": f"spoilt-text-{name}", "comment": comment, "jwks_text": text, "result": "refused"})
    return cases
