"""Against jose (npm) under Node.js: whatever we accept it accepts; where it accepts more, it is said why we do not."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.oracles.jws_cases import (
    ACCEPTED,
    LEEWAY_S,
    SIGNATURE_REASONS,
    STRICTER,
    our_reason,
    public_jwks,
    token_cases,
)
from tests.programs import require_node_package
from tests.simulator import API, ISSUER, NOW

JUDGE: Final = Path(__file__).resolve().parents[1] / "node" / "judge.mjs"
CLAIM_KINDS: Final = frozenset({"another audience", "another issuer", "time"})
"""Refused for their claims, which a bare JWS has none of."""


@pytest.fixture(scope="module")
def verdicts() -> list[dict[str, str | None]]:
    """What jose says of each case: under `signature` of the JWS, under `token` of the JWT; None where it accepts."""
    node = require_node_package("jose")
    terms: dict[str, Any] = {"jwks": public_jwks(), "issuer": ISSUER, "audience": API, "now": NOW, "leeway": LEEWAY_S}
    algorithms = ["ES256", "Ed25519", "EdDSA", "RS256"]
    request = json.dumps({**terms, "algorithms": algorithms, "tokens": [case.token for case in token_cases()]})
    answer = subprocess.run([node, JUDGE], input=request, capture_output=True, text=True, timeout=60, check=True)
    judged: list[dict[str, str | None]] = json.loads(answer.stdout)
    assert len(judged) == len(token_cases()) > 1000
    return judged


def test_jose_accepts_every_token_and_every_signature_that_we_accept(verdicts: list[dict[str, str | None]]) -> None:
    tokens, signatures = [], []
    for case, theirs in zip(token_cases(), verdicts, strict=True):
        reason = our_reason(case.token)
        assert (reason is None) == (case.kind in ACCEPTED), case
        if reason is None:
            tokens.append((case.alg, case.kind, case.name, theirs["token"]))
        if reason not in SIGNATURE_REASONS:
            signatures.append((case.alg, case.kind, case.name, theirs["signature"]))

    assert [refused for refused in tokens if refused[-1] is not None] == []
    assert [refused for refused in signatures if refused[-1] is not None] == []
    assert {kind for _, kind, *_ in tokens} == ACCEPTED
    assert len(signatures) > len(tokens)


def test_where_jose_accepts_more_we_are_stricter_by_design(verdicts: list[dict[str, str | None]]) -> None:
    tokens, signatures = set(), set()
    for case, theirs in zip(token_cases(), verdicts, strict=True):
        reason = our_reason(case.token)
        if reason is not None and theirs["token"] is None:
            tokens.add(case.kind)
        if reason in SIGNATURE_REASONS and theirs["signature"] is None:
            signatures.add(case.kind)

    assert tokens - STRICTER.keys() == set()
    assert signatures - CLAIM_KINDS - STRICTER.keys() == set()
    assert tokens


def test_what_both_refuse_is_most_of_what_was_forged(verdicts: list[dict[str, str | None]]) -> None:
    """No kind about keys, algorithms or signatures is one where jose and we differ."""
    agreed = {"another algorithm", "another kid", "another key", "signature", "letter", "base64 letter", "parts"}

    for case, theirs in zip(token_cases(), verdicts, strict=True):
        if case.kind in agreed:
            assert our_reason(case.token) in SIGNATURE_REASONS, case
            assert theirs["signature"] is not None, case
            assert theirs["token"] is not None, case
    assert sum(case.kind in agreed for case in token_cases()) > 300
