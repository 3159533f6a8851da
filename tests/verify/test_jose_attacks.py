import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulator import ISSUER, Members, Simulator, assemble, b64, ec_key, encode, rsa_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import PublicKey
from tokensvc.errors import Reason, TokenRefused, Unavailable
from tokensvc.verify import KeySet, StaticKeys

SIM = Simulator()
CLAIMS = SIM.claims(SIM.chain("planner", "mailer"))
TOKEN = SIM.token(CLAIMS)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class CountingKeys:
    """A key source that counts its calls: what is refused before any is refused before any cryptography."""

    def __init__(self) -> None:
        self.calls = 0

    def find(self, iss: str, kid: str) -> PublicKey | None:
        self.calls += 1
        return SIM.keys().find(iss, kid)


def calls(token: str) -> int:
    keys = CountingKeys()
    SIM.reason(token, keys=keys)
    return keys.calls


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert SIM.reason(TOKEN) is None
    assert calls(TOKEN) == 1


@pytest.mark.parametrize("key", [ec_key("service"), rsa_key("service")], ids=["ES256", "RS256"])
def test_a_public_key_is_never_taken_for_a_shared_secret(key: SigningKey) -> None:
    sim = Simulator(key=key)
    public = key.public.key.public_key
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(key.public.jwk()).encode(),
        b"",
    ]
    for secret in secrets:
        for alg in ("HS256", str(key.alg)):
            header = sim.header(alg=alg)
            signing_input = f"{b64(encode(header))}.{b64(encode(CLAIMS))}".encode()
            token = assemble(header, CLAIMS, hmac.digest(secret, signing_input, hashlib.sha256))
            assert sim.reason(token) is (Reason.MALFORMED if alg == "HS256" else Reason.BAD_SIGNATURE)
    assert sim.reason(sim.token(CLAIMS)) is None


@pytest.mark.requirement("JWT-BCP-HEADER-KEYS")
def test_a_key_that_the_token_brings_along_is_never_used() -> None:
    attacker = Simulator(key=ec_key("attacker"))
    jwk = attacker.key.public.jwk()
    brought: list[Members] = [{"jwk": jwk}, {"jku": "https://attacker.example"}, {"x5c": ["AA"]}, {"x5u": "file:///x"}]

    for extra in brought:
        assert SIM.reason(attacker.token(CLAIMS, header=SIM.header(**extra))) is Reason.MALFORMED
    assert SIM.reason(attacker.token(CLAIMS, header=SIM.header())) is Reason.BAD_SIGNATURE
    assert SIM.reason(attacker.token(CLAIMS, header=attacker.header())) is Reason.UNKNOWN_KEY


def test_a_token_signed_by_another_key_of_another_algorithm_is_refused() -> None:
    keys = StaticKeys({ISSUER: KeySet([ec_key("service").public, rsa_key("rsa").public])})
    rsa = Simulator(key=rsa_key("rsa"))

    def reason(header: Members, signer: Simulator) -> Reason | None:
        return SIM.reason(signer.token(CLAIMS, header=header), keys=keys)

    assert reason(SIM.header(), SIM) is None
    assert reason(rsa.header(), rsa) is None
    assert reason(SIM.header(kid="rsa"), SIM) is Reason.UNKNOWN_KEY
    assert reason(rsa.header(kid="service"), rsa) is Reason.UNKNOWN_KEY
    assert reason(rsa.header(), SIM) is Reason.BAD_SIGNATURE
    assert reason(SIM.header(), rsa) is Reason.BAD_SIGNATURE


@pytest.mark.requirement("ES256-LENGTH")
def test_malleable_and_psychic_signatures_on_a_token() -> None:
    signing_input, _, signature = TOKEN.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])

    def reason(signature: bytes) -> Reason | None:
        return SIM.reason(f"{signing_input}.{b64(signature)}")

    assert reason(raw) is None
    assert reason(r.to_bytes(32) + (ORDER - s).to_bytes(32)) is None  # the standard allows both
    assert reason(bytes(64)) is Reason.BAD_SIGNATURE
    assert reason(encode_dss_signature(r, s)) is Reason.BAD_SIGNATURE
    assert reason(raw[:-1]) is Reason.BAD_SIGNATURE
    assert reason(raw + b"\0") is Reason.BAD_SIGNATURE
    assert reason(b"") is Reason.MALFORMED


@pytest.mark.requirement("JWT-BCP-FORMAT")
def test_only_the_compact_form_without_any_ornament_is_a_token() -> None:
    header, payload, signature = TOKEN.split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    forms = [json.dumps(flattened), json.dumps(general), f"Bearer {TOKEN}", f'"{TOKEN}"', f" {TOKEN}", f"{TOKEN} "]
    forms += [
        f"{TOKEN}\n",
        f"{TOKEN}=",
        f"{TOKEN}.",
        f".{TOKEN}",
        f"{TOKEN}.{signature}",
        f"{header}.{payload}",
        f"{header}..{signature}",
    ]
    forms += [
        f"{header}=.{payload}.{signature}",
        TOKEN.replace(".", "\n.", 1),
        f"\ufeff{TOKEN}",
        TOKEN + "\u0000",
        f"{TOKEN},{TOKEN}",
    ]
    forms += [
        f"{TOKEN}~",
        f"{header}.{payload}.{signature}.AAAA.AAAA",
        "",
        ".",
        "..",
        TOKEN + "\ud800",
        TOKEN.replace("e", "\u0435"),
    ]

    assert [SIM.reason(form) for form in forms] == [Reason.MALFORMED] * len(forms)


def test_the_letters_of_standard_base64_are_refused() -> None:
    for number in range(100):
        token = SIM.token({**CLAIMS, "x": f"\U0001f600?>{number}"})
        standard = token.replace("-", "+").replace("_", "/")
        if standard != token:
            assert SIM.reason(token) is None
            assert SIM.reason(standard) is Reason.MALFORMED


@pytest.mark.parametrize("token", [None, TOKEN.encode(), bytearray(TOKEN.encode()), 1, [TOKEN], {"token": TOKEN}])
def test_what_is_no_text_is_no_token(token: str) -> None:
    assert SIM.reason(token) is Reason.MALFORMED


@pytest.mark.parametrize("size", [16_385, 200_000, 10_000_000])
def test_a_huge_token_is_refused_before_anything_is_decoded_or_sought(size: int) -> None:
    for token in (
        TOKEN + "A" * (size - len(TOKEN)),
        "." * size,
        "\u00e9" * size,
        TOKEN.replace(".", "." + "A" * size, 1),
    ):
        assert SIM.reason(token) is Reason.TOO_LARGE
        assert calls(token) == 0


def test_a_token_of_exactly_the_largest_size_is_accepted() -> None:
    def reason(max_token_bytes: int) -> Reason | None:
        return SIM.reason(TOKEN, expect=replace(SIM.expect(), max_token_bytes=max_token_bytes))

    assert reason(len(TOKEN)) is None
    assert reason(len(TOKEN) - 1) is Reason.TOO_LARGE


@pytest.mark.parametrize("levels", [41, 1_000, 6_000])
def test_deep_nesting_is_refused_before_any_key_is_sought(levels: int) -> None:
    payload = encode(CLAIMS)[:-1] + b',"x":' + b"[" * levels + b"]" * levels + b"}"
    token = SIM.token(payload) if len(payload) < 12_000 else SIM.token(payload[:12_000])

    assert SIM.reason(token) is Reason.MALFORMED
    assert calls(token) == 0


def test_a_key_source_that_cannot_answer_is_no_refusal_and_no_acceptance() -> None:
    class DownKeys:
        def find(self, iss: str, kid: str) -> PublicKey | None:
            raise Unavailable(f"{iss} {kid}")

    with pytest.raises(Unavailable):
        SIM.verify(TOKEN, keys=DownKeys())


def test_no_refusal_shows_the_token_or_what_it_says() -> None:
    secret = "very-secret-value"
    for token in (
        SIM.token({**CLAIMS, "aud": secret}),
        SIM.token({**CLAIMS, "iss": secret}),
        SIM.token({**CLAIMS, "sub": secret}),
    ):
        with pytest.raises(TokenRefused) as refused:
            SIM.verify(token)
        assert secret not in str(refused.value) + repr(refused.value)
        assert token not in str(refused.value) + repr(refused.value)
