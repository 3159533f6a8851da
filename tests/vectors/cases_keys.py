"""Key sets: which keys of a JWK Set count, and what spoils the whole set."""

from typing import Any, Final

from tests.vectors.parties import AS_KEY, Members, b64, ec_key, ed_key, rsa_key

__all__ = ["key_sets"]

EC: Final = ec_key("service").public
ED: Final = ed_key("service-ed").public
RSA: Final = rsa_key("service-rsa").public
MODULUS: Final = 2**2047


def _ed(y: int) -> Members:
    return {**ED, "x": b64(y.to_bytes(32, "little"))}


def _rsa(n: int, e: int = 65537) -> Members:
    return {**RSA, "n": b64(n.to_bytes((n.bit_length() + 7) // 8)), "e": b64(e.to_bytes((e.bit_length() + 7) // 8))}


def _roca() -> int:
    """The least modulus above 2^2047 that is 1 modulo each of the primes: odd, and of no use."""
    product = 2
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157):
        product *= prime
    return (MODULUS // product + 1) * product + 1


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
        ("kid-number", "A kid that is no string", [{**EC, "kid": 1}]),
        ("alg-of-other-kind", "An alg of another kind of key", [{**EC, "alg": "RS256"}]),
        ("curve-contradicts-alg", "A curve that contradicts alg", [{**EC, "crv": "P-384"}]),
        ("not-an-object", "An entry that is no object", [EC, "x"]),
        ("point-off-curve", "A point that is not on P-256", [{**EC, "y": EC["x"]}]),
        ("no-y", "A coordinate missing", [_without(EC, "y")]),
        ("x-number", "A coordinate that is no string", [{**ED, "x": 1}]),
        ("ed-short", "31 bytes", [{**ED, "x": b64(bytes([9]) + bytes(30))}]),
        ("ed-padded", "Padded base64", [{**ED, "x": ED["x"] + "="}]),
        ("ed-not-canonical", "y = p + 3: not in canonical encoding", [_ed(p + 3)]),
        ("ed-off-curve", "y = 2: no point of the curve", [_ed(2)]),
        ("ed-order-1", "The neutral point", [_ed(1)]),
        ("ed-order-2", "A point of order 2", [_ed(p - 1)]),
        ("ed-order-4", "A point of order 4", [_ed(0)]),
        ("ed-order-8", "A point of order 8",
        [{**ED, "x": b64(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))}]),
        ("rsa-short", "2047 bits", [_rsa(2**2047 - 1)]),
        ("rsa-long", "8193 bits", [_rsa(2**8192 + 1)]),
        ("rsa-exponent", "The exponent 3", [_rsa(n, 3)]),
        ("rsa-even", "An even modulus", [_rsa(n + 1)]),
        ("rsa-roca", "A modulus that looks like those of ROCA", [_rsa(_roca())]),
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
    return cases
