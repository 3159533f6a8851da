"""Other libraries read our tokens and keys as we do: PyJWT, and joserfc by its own high-level door."""

import json
from typing import Any

import jwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from jwt.algorithms import OKPAlgorithm
from jwt.types import Options

from tests.simulator import API, FILES, ISSUER, NOW, Members, Simulator, ec_key, ed_key, rsa_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.errors import Reason

KEYS = pytest.mark.parametrize("key", [ec_key("service"), rsa_key("service")], ids=["ES256", "RS256"])
ED = ed_key("service")
EVERY_KEY = pytest.mark.parametrize(
    "key", [ec_key("service"), ED, rsa_key("service")], ids=["ES256", "Ed25519", "RS256"]
)
NO_CLOCK: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


def of(key: SigningKey) -> tuple[Simulator, Members, str]:
    sim = Simulator(key=key)
    claims = sim.claims(sim.chain("planner", "mailer"))
    return sim, claims, sim.token(claims)


def published(key: SigningKey) -> dict[str, Any]:
    return dict(render_jwks(KeySet([key.public, ec_key("another").public])))


def pyjwt_decode(token: str, key: SigningKey, **terms: Any) -> Members:  # noqa: ANN401 - terms of another library
    kid = jwt.get_unverified_header(token)["kid"]
    found = jwt.PyJWKSet.from_dict(published(key))[kid]
    terms = {"audience": API, "issuer": ISSUER, **terms}
    decoded: Members = jwt.decode(token, found.key, algorithms=[str(key.alg)], options=NO_CLOCK, **terms)
    return decoded


@KEYS
def test_pyjwt_accepts_what_we_accept_with_the_keys_that_we_publish(key: SigningKey) -> None:
    sim, claims, token = of(key)

    assert sim.reason(token) is None
    assert pyjwt_decode(token, key) == claims


@KEYS
def test_pyjwt_refuses_what_we_refuse(key: SigningKey) -> None:
    sim, claims, token = of(key)
    forged = Simulator(key=ec_key("thief") if key.alg == "ES256" else rsa_key("thief")).token(
        claims, header=sim.header()
    )

    assert sim.reason(forged) is Reason.BAD_SIGNATURE
    with pytest.raises(jwt.InvalidSignatureError):
        pyjwt_decode(forged, key)
    with pytest.raises(jwt.InvalidAudienceError):
        pyjwt_decode(token, key, audience=FILES)
    with pytest.raises(jwt.InvalidIssuerError):
        pyjwt_decode(token, key, issuer=ISSUER + "/")


@KEYS
def test_pyjwt_made_tokens_are_verified_like_our_own(key: SigningKey) -> None:
    sim, claims, _ = of(key)
    private = jwt.PyJWK(key.unsafe_private_jwk())

    token = jwt.encode(claims, private.key, algorithm=str(key.alg), headers=sim.header())

    assert sim.reason(token) is None
    assert sim.verify(token).jti == claims["jti"]


def eddsa() -> jwt.PyJWS:
    """PyJWT 2.15 knows the old name alone; its own algorithm object is registered under the new one."""
    pyjws = jwt.PyJWS()
    pyjws.register_algorithm("Ed25519", OKPAlgorithm())
    return pyjws


def test_pyjwt_and_we_agree_on_ed25519_under_either_name_of_the_algorithm() -> None:
    sim, claims, token = of(ED)
    private = jwt.PyJWK({**ED.unsafe_private_jwk(), "alg": "EdDSA"}).key
    public = jwt.PyJWK({**ED.public.jwk(), "alg": "EdDSA"}).key
    old = jwt.encode(claims, private, algorithm="EdDSA", headers={"typ": "at+jwt", "kid": ED.kid})
    forged = Simulator(key=ed_key("thief")).token(claims, header=sim.header())

    assert jwt.get_unverified_header(token)["alg"] == "Ed25519"
    assert jwt.get_unverified_header(old)["alg"] == "EdDSA"
    assert json.loads(eddsa().decode(token, public, algorithms=["Ed25519"])) == claims
    assert (sim.reason(token), sim.reason(old)) == (None, None)
    assert sim.reason(forged) is Reason.BAD_SIGNATURE
    with pytest.raises(jwt.InvalidSignatureError):
        eddsa().decode(forged, public, algorithms=["Ed25519"])


def test_pyjwt_and_we_agree_on_every_changed_ed25519_signature() -> None:
    sim, _, token = of(ED)
    public = jwt.PyJWK({**ED.public.jwk(), "alg": "EdDSA"}).key

    def pyjwt_accepts(text: str) -> bool:
        try:
            eddsa().decode(text, public, algorithms=["Ed25519"])
        except jwt.InvalidTokenError:
            return False
        return True

    assert pyjwt_accepts(token)
    start = token.rindex(".") + 1
    # The last letter carries unused bits, which PyJWT does not look at.
    for position in range(start, len(token) - 1):
        changed = token[:position] + ("B" if token[position] == "A" else "A") + token[position + 1 :]
        assert pyjwt_accepts(changed) == (sim.reason(changed) is None) == (changed == token)


@EVERY_KEY
def test_joserfc_agrees_on_every_signature(key: SigningKey) -> None:
    sim, claims, token = of(key)
    keys = joserfc_jwk.KeySet.import_key_set(published(key))  # type: ignore[arg-type]

    def joserfc_accepts(text: str) -> bool:
        try:
            return joserfc_jwt.decode(text, keys, algorithms=[str(key.alg)]).claims == claims
        except (JoseError, ValueError):
            return False

    assert joserfc_accepts(token)
    assert sim.reason(token) is None
    start = token.rindex(".") + 1
    for position in range(start, len(token)):
        for letter in "A_":
            changed = token[:position] + letter + token[position + 1 :]
            assert joserfc_accepts(changed) == (sim.reason(changed) is None) == (changed == token)


def test_the_plain_claims_are_enough_for_a_resource_that_knows_rfc_9068_only() -> None:
    _, _, token = of(ec_key("service"))

    decoded = pyjwt_decode(token, ec_key("service"))

    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert (decoded["sub"], decoded["client_id"], decoded["scope"]) == (
        "user-1",
        "mailer",
        "crm.write files.read mail.send",
    )
    assert decoded["exp"] - decoded["iat"] <= 900
    assert decoded["iat"] <= NOW
