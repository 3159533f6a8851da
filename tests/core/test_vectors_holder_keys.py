"""Project Wycheproof's keys as holder keys: in a DPoP proof, and as the delegator's key of a grant.

Of most of them nobody here has the private half: then a proof or a grant with one of the signatures beside it, which is
over other bytes, must be refused, for whichever reason the signature was put there to be accepted.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.proofs import proof
from tests.shared_vectors import read_vectors
from tests.simulator import NOW, Members, Simulator, b64, encode, jwk
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, PublicKey, import_key, parse_jwks
from tokensvc.core.proof import verify_proof
from tokensvc.errors import KeyRefused, Reason, TokenRefused
from tokensvc.verify import Evidence, Expectation, LifetimeOnly, VerifiedToken, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

URI: Final = "https://api.example/customers"
PROOF: Final = {"jti": "one", "htm": "GET", "htu": URI, "iat": NOW}
FILES: Final = {"ES256": "ecdsa_secp256r1_sha256_p1363_test.json", "Ed25519": "ed25519_test.json"}
SIM: Final = Simulator()


def public_keys(alg: str) -> Iterator[tuple[Members, list[str]]]:
    """Each key as a JWK of exactly the RFC 7638 members, with the signatures that are tried under it, in hex."""
    for group in read_vectors("wycheproof", FILES[alg])["testGroups"]:
        key = group["publicKey"]
        if alg == "ES256":
            coordinates = {to: b64(int(key[name], 16).to_bytes(32)) for to, name in (("x", "wx"), ("y", "wy"))}
            members = {"kty": "EC", "crv": "P-256", **coordinates}
        else:
            members = {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes.fromhex(key["pk"]))}
        yield members, [case["sig"] for case in group["tests"]]


def forged(header: Members, payload: Members, signature: str) -> str:
    return f"{b64(encode(header))}.{b64(encode(payload))}.{b64(bytes.fromhex(signature)) or 'AA'}"


def judged(text: str) -> Reason | None:
    try:
        verify_proof(text, htm="GET", htu=URI, now=NOW, leeway_s=30)
    except TokenRefused as refused:
        return refused.reason
    return None


def delegated(header: Members, holder_jkt: str, signature: str) -> VerifiedToken:
    """A token of a chain whose second hop is signed so, below a first one that names the key."""
    chain = SIM.chain("planner", "mailer")
    chain[1]["cnf"] = {"jkt": holder_jkt}
    chain[2]["cnf"] = {"jkt": holder_jkt}
    grant = forged(header, SIM.signed_hop(chain, 2), signature)
    claims = SIM.claims(chain, cnf={"jkt": holder_jkt})
    claims["grant_chain"] = [chain[0], chain[1], {"jws": grant}]
    expect = Expectation.bearer(issuers=[SIM.iss], audiences=[claims["aud"]])
    return verify_token(
        SIM.token(claims),
        keys=SIM.keys(),
        expect=expect,
        now=NOW,
        revocations=LifetimeOnly(max_s=900),
        proof=UnsafeHolderProvenUpstream(),
    )


@pytest.mark.parametrize("alg", list(FILES))
def test_no_signature_that_was_made_for_something_else_makes_a_proof(alg: str) -> None:
    header = {"typ": "dpop+jwt", "alg": alg}
    tried = [
        judged(forged({**header, "jwk": key}, PROOF, signature))
        for key, signatures in public_keys(alg)
        for signature in signatures
    ]

    assert len(tried) > 150
    assert set(tried) == {Reason.PROOF_INVALID}


@pytest.mark.parametrize("alg", list(FILES))
def test_no_signature_that_was_made_for_something_else_makes_a_grant(alg: str) -> None:
    header = {"typ": "delegation-grant+jwt", "alg": alg}
    reasons = set()
    for key, signatures in public_keys(alg):
        thumbprint = PublicKey.of(import_key(key)[0], kid="", alg=Algorithm(alg)).thumbprint
        for signature in signatures:
            with pytest.raises(TokenRefused) as refused:
                delegated({**header, "jwk": key}, thumbprint, signature)
            reasons.add(refused.value.reason)

    # Not every one is text that a JWS may have as a signature, but each gets so far as the key allows.
    assert reasons <= {Reason.GRANT_INVALID, Reason.MALFORMED}
    assert Reason.GRANT_INVALID in reasons


@pytest.mark.parametrize("alg", list(FILES))
def test_the_keys_can_be_registered_as_holder_keys(alg: str) -> None:
    keys = [key for key, _ in public_keys(alg)]

    for key in keys:
        (registered,) = parse_jwks({"keys": [{**key, "kid": "holder"}]})
        assert registered.alg is Algorithm(alg)


def private_keys() -> Iterator[tuple[str, SigningKey]]:
    for group in read_vectors("wycheproof", "json_web_signature_test.json")["testGroups"]:
        whole: Members = group["private"]
        if whole.get("alg") in set(Algorithm) and whole["kty"] != "oct":
            yield whole["alg"], SigningKey.from_jwk({**whole, "kid": "holder"})


def test_with_its_private_keys_proofs_are_made_and_accepted() -> None:
    keys = list(private_keys())

    assert {alg for alg, _ in keys} >= {"ES256", "RS256"}
    for _, key in keys:
        assert judged(proof(key=key, htu=URI, iat=NOW)) is None
        # The control of all that is refused above: one bit of the signature.
        spoilt = proof(key=key, htu=URI, iat=NOW)
        assert judged(spoilt[:-6] + ("A" if spoilt[-6] != "A" else "B") + spoilt[-5:]) is Reason.PROOF_INVALID


def test_keys_that_are_weak_hold_nothing() -> None:
    refused: list[Any] = []
    for group in read_vectors("wycheproof", "json_web_key_test.json")["testGroups"]:
        published = group.get("public", group["private"])
        for key in published.get("keys", [published]):
            if group["tests"][0]["result"] != "invalid" or key.get("kty") != "RSA":
                continue
            bare = {name: member for name, member in key.items() if name not in {"kid", "use", "alg"}}
            header = {"typ": "dpop+jwt", "alg": "RS256", "jwk": bare}
            try:
                import_key(bare)
            except KeyRefused:
                refused.append(judged(forged(header, PROOF, "00" * 256)))

    assert len(refused) >= 3
    assert set(refused) == {Reason.PROOF_INVALID}


def test_a_grant_by_a_key_of_wycheproof_is_its_delegators_word() -> None:
    key = next(key for alg, key in private_keys() if alg == "ES256")
    jkt = key.public.thumbprint
    header = {"typ": "delegation-grant+jwt", "alg": "ES256", "jwk": jwk(key)}
    chain = SIM.chain("planner", "mailer")
    chain[1]["cnf"] = chain[2]["cnf"] = {"jkt": jkt}
    signing_input = f"{b64(encode(header))}.{b64(encode(SIM.signed_hop(chain, 2)))}"

    token = delegated(header, jkt, key.sign(signing_input.encode()).hex())

    assert token.hop_evidence == (Evidence.ISSUER, Evidence.DELEGATOR)
