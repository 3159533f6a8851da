"""Project Wycheproof: JWS, JWK, raw ECDSA and Ed25519 signatures, through the doors that tokens go through."""

from typing import Any

import pytest

from tests.shared_vectors import read_vectors
from tests.simulator import b64
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import CompactJws, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, KeySet, PublicKey, parse_jwks
from tokensvc.errors import KeyRefused, Malformed

Case = tuple[dict[str, Any], dict[str, Any]]


def cases(name: str) -> list[Case]:
    return [(group, case) for group in read_vectors("wycheproof", name)["testGroups"] for case in group["tests"]]


def accepts(keys: KeySet, jws: str) -> bool:
    """True when a key of the set, with its own algorithm, made the signature: as a verifier of tokens decides."""
    try:
        compact = split_compact(jws, max_bytes=100_000)
        header = parse_json_object(compact.header)
    except Malformed:
        return False
    if not header.keys() <= {"alg", "kid", "typ"}:
        return False
    kid, alg = header.get("kid"), header.get("alg")
    candidates = [keys.find(kid)] if isinstance(kid, str) else list(keys) if kid is None else []
    return any(key is not None and key.alg == alg and verify_signature(compact, key) for key in candidates)


def verifies(case: dict[str, Any], key: PublicKey) -> bool:
    """What `verify_signature` says of the raw signature of a case."""
    signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
    return verify_signature(CompactJws(header=b"", payload=b"", signature=signature, signing_input=message), key)


def is_accepted(group: dict[str, Any], case: dict[str, Any]) -> bool:
    published = group.get("public", group["private"])
    jwks: dict[str, Any] = published if "keys" in published else {"keys": [{"kid": "none", **published}]}
    try:
        return accepts(parse_jwks(jwks), case["jws"])
    except KeyRefused:
        return False


def test_every_invalid_jws_is_refused_and_the_valid_ones_of_our_algorithms_are_accepted() -> None:
    judged = [
        (case["result"], group, case, is_accepted(group, case)) for group, case in cases("json_web_signature_test.json")
    ]

    assert [case["tcId"] for result, _, case, accepted in judged if result == "invalid" and accepted] == []
    assert sum(result == "invalid" for result, *_ in judged) == 355
    valid = [(group, accepted) for result, group, _, accepted in judged if result == "valid"]
    ours = [accepted for group, accepted in valid if group.get("public", {}).get("alg") in set(Algorithm)]
    others = [accepted for group, accepted in valid if group.get("public", {}).get("alg") not in set(Algorithm)]
    assert ours == [True] * 10
    assert others == [False] * 36


def test_every_invalid_key_set_is_refused_and_of_the_valid_ones_the_rsa_set_is_accepted() -> None:
    judged = [
        (group["comment"], case["result"], is_accepted(group, case)) for group, case in cases("json_web_key_test.json")
    ]

    assert [comment for comment, result, accepted in judged if result == "invalid" and accepted] == []
    assert sum(result == "invalid" for _, result, _ in judged) == 21
    assert [comment for comment, result, accepted in judged if result == "valid" and accepted] == ["rs256"]
    assert sum(result == "valid" for _, result, _ in judged) == 5


def test_keys_that_wycheproof_calls_weak_are_refused_when_they_are_read() -> None:
    refused = set()
    for group, _ in cases("json_web_key_test.json"):
        try:
            parse_jwks(group["public"] if "public" in group else group["private"])
        except KeyRefused:
            refused.add(group["comment"])
    assert {
        "jws_rsa_roca_key",
        "keysize_too_small",
        "exponentOne",
        "invalid_point",
        "wrong_curve",
        "wrong_kty",
    } <= refused


def test_every_raw_ecdsa_signature_is_judged_as_wycheproof_does() -> None:
    wrong = []
    judged = cases("ecdsa_secp256r1_sha256_p1363_test.json")
    for group, case in judged:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        jwk = {"kty": "EC", "crv": "P-256", "kid": "k", "x": b64(point[1:33]), "y": b64(point[33:])}
        (key,) = parse_jwks({"keys": [jwk]})
        if verifies(case, key) != (case["result"] == "valid"):
            wrong.append(case["tcId"])
    assert wrong == []
    assert len(judged) == 262


@pytest.mark.requirement("ED25519-SIGNATURE")
def test_every_raw_ed25519_signature_is_judged_as_wycheproof_does() -> None:
    wrong = []
    judged = cases("ed25519_test.json")
    for group, case in judged:
        raw = bytes.fromhex(group["publicKey"]["pk"])
        jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(raw)}
        (key,) = parse_jwks({"keys": [jwk]})
        assert key.jwk()["x"] == group["publicKeyJwk"]["x"]
        if verifies(case, key) != (case["result"] == "valid"):
            wrong.append(case["tcId"])
    assert wrong == []
    assert [sum(case["result"] == result for _, case in judged) for result in ("valid", "invalid")] == [88, 63]
