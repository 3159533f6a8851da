"""What a full verification costs, in raw ES256 verifications of the same bytes.

Medians of interleaved rounds, so that a machine that slows down slows both sides. Run: .venv/bin/python bench/verify.py
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tokensvc.core.authority import Authority
from tokensvc.core.chain import GrantChain, Hop, Root
from tokensvc.core.claims import AccessTokenClaims, render_access_token
from tokensvc.core.jws import SigningKey, seal_compact, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm
from tokensvc.verify import Evidence, Expectation, KeySet, LifetimeOnly, StaticKeys, verify_token

ISSUER = "https://tokens.example"
RESOURCE = "https://api.example"
NOW = 1_800_000_000
ROUNDS = 9
CALLS = 400


def chain_of(depth: int) -> GrantChain:
    """A chain of `depth` hops, each with one scope less than the entry before."""
    scopes = [f"crm.records.read{n}" for n in range(depth + 1)]

    def authority(index: int) -> Authority:
        return Authority(
            scope=frozenset(scopes[: depth + 1 - index]),
            resources=frozenset({RESOURCE}),
            iat=NOW,
            exp=NOW + 3600,
            max_depth=10,
            bound=False,
        )

    def jti(index: int) -> str:
        return f"{index:021d}A"

    hops = tuple(
        Hop(actor=f"agent-{n}", jti=jti(n), parent=jti(n - 1), jkt=None, authority=authority(n))
        for n in range(1, depth + 1)
    )
    return GrantChain(root=Root(iss=ISSUER, sub="alice", jti=jti(0), authority=authority(0)), hops=hops)


def token_of(chain: GrantChain, key: SigningKey) -> str:
    """A signed token for the leaf of `chain`."""
    leaf = chain.leaf
    claims = AccessTokenClaims(
        iss=ISSUER,
        sub="alice",
        aud=RESOURCE,
        client_id=leaf.actor,
        scope=leaf.authority.scope,
        iat=NOW,
        exp=NOW + 300,
        nbf=None,
        jti="z" * 21 + "A",
        cnf=None,
    )
    return seal_compact(render_access_token(claims, chain), typ="at+jwt", key=key)


def microseconds(work: Callable[[], object]) -> float:
    """The time of one call of `work`, over CALLS calls."""
    started = time.perf_counter()
    for _ in range(CALLS):
        work()
    return (time.perf_counter() - started) / CALLS * 1e6


def measure(depth: int, key: SigningKey) -> dict[str, float]:
    """Ratio of a cold verification to one raw ES256 verification, at one depth."""
    token = token_of(chain_of(depth), key)
    keys = StaticKeys({ISSUER: KeySet([key.public])})
    expect = Expectation(
        issuers=frozenset({ISSUER}),
        audiences=frozenset({RESOURCE}),
        root_floor=Evidence.ISSUER,
        hop_floor=Evidence.ISSUER,
        max_depth=10,
    )
    jws = split_compact(token, max_bytes=16_384)
    raw, full = [], []
    for _ in range(ROUNDS):
        raw.append(microseconds(lambda: verify_signature(jws, key.public)))
        full.append(
            microseconds(
                lambda: verify_token(token, keys=keys, expect=expect, now=NOW, revocations=LifetimeOnly(max_s=900))
            )
        )
    return {
        "depth": depth,
        "bytes": len(token),
        "raw_us": round(statistics.median(raw), 1),
        "verify_us": round(statistics.median(full), 1),
        "ratio": round(statistics.median(f / r for f, r in zip(full, raw, strict=True)), 2),
    }


def main() -> None:
    """Print a table, and JSON with --json."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = SigningKey.from_pem(pem, alg=Algorithm.ES256)
    rows = [measure(depth, key) for depth in (1, 3, 5, 8)]
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    print(f"{'depth':>5} {'bytes':>6} {'raw us':>8} {'verify us':>10} {'ratio':>6}")
    for row in rows:
        print(f"{row['depth']:>5} {row['bytes']:>6} {row['raw_us']:>8} {row['verify_us']:>10} {row['ratio']:>6}")


if __name__ == "__main__":
    main()
