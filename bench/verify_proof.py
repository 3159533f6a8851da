"""What a DPoP proof costs a resource server, in raw ES256 verifications.

`key never seen`: every proof shows another key, which has to be imported first. `known key`: an agent proves one key
all day. `token seen again`: the whole of a request with a bound token that was verified before, the proof a new one
each time. The yardstick is one call of `cryptography` over the same proof's bytes, all decoding done.

Run: .venv/bin/python -m bench.verify_proof [--json] [--quick]
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final

from bench._measure import Plan, Row, Side, detail, interleave, progress, ratio, run_script
from bench._tokens import (
    NOW,
    RESOURCE,
    Key,
    Terms,
    b64,
    issued,
    jti,
    least_scopes,
    raw_signature,
)
from tokensvc.verify import CachedVerifier, VerifiedProof, VerifiedToken, verify_proof

GROUP: Final = "DPoP proof"
_METHOD: Final = "GET"
_URI: Final = f"{RESOURCE}/customers/4711"
_DEPTH: Final = 3
_LEEWAY_S: Final = 30


def measure(plan: Plan) -> Iterator[Row]:
    """Three rows, all for information."""
    key = Key.new()
    strangers = [Key.new() for _ in range(plan.inputs)]
    yield _row(plan, "key never seen", strangers, [_proof(stranger) for stranger in strangers], _judge)
    yield _row(plan, "known key", [key] * plan.inputs, [_proof(key) for _ in range(plan.inputs)], _judge)
    token = issued(_DEPTH, least_scopes(_DEPTH), [key] * _DEPTH).token()
    verify = _Again(token).verify
    bound = [_proof(key, token) for _ in range(plan.inputs)]
    verify(_proof(key, token))
    yield _row(plan, f"with a bound token seen again, depth {_DEPTH}", [key] * plan.inputs, bound, verify)


def _row(plan: Plan, name: str, keys: Sequence[Key], proofs: Sequence[str], work: Callable[[str], object]) -> Row:
    progress(f"{GROUP}: {name}")
    raw = [raw_signature(proof, key.public) for proof, key in zip(proofs, keys, strict=True)]
    taken = interleave(
        plan,
        {
            "raw": Side(work=lambda signature: signature.verify(), inputs=raw),
            "verify": Side(work=work, inputs=list(proofs)),
        },
    )
    figure = ratio(taken["verify"], taken["raw"])
    return Row(
        group=GROUP,
        name=f"{GROUP}, {name}",
        figure=figure,
        unit="x raw",
        goal=None,
        detail=detail("verify", "raw", taken) | {"proof_bytes": len(proofs[0])},
    )


def _proof(key: Key, token: str | None = None) -> str:
    claims = {"jti": jti(), "htm": _METHOD, "htu": _URI, "iat": NOW}
    if token is not None:
        claims["ath"] = b64(sha256(token.encode()).digest())
    return key.seal({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk}, claims)


def _judge(proof: str) -> VerifiedProof:
    return verify_proof(proof, htm=_METHOD, htu=_URI, now=NOW, leeway_s=_LEEWAY_S)


class _Again:
    """A resource server that has seen the token, and sees it with a new proof each time."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._terms = Terms.issuer()
        self._verifier = CachedVerifier()

    def verify(self, proof: str) -> VerifiedToken:
        """Everything but the look whether the proof was used before."""
        terms = self._terms
        return self._verifier.verify_token(
            self._token,
            keys=terms.keys,
            expect=terms.expect,
            now=NOW,
            revocations=terms.revocations,
            proof=_judge(proof),
        )


if __name__ == "__main__":
    run_script(measure, "DPoP proofs.")
