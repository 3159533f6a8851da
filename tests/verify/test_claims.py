from typing import Any

import pytest

from tests.simulator import ABSENT, API, FILES, ISSUER, NOW, Members, Simulator, encode, jti, thumbprint
from tokensvc.errors import Reason

SIM = Simulator()
CHAIN = SIM.chain("planner", "mailer")


def reason(**claims: object) -> Reason | None:
    return SIM.reason(SIM.token(SIM.claims(CHAIN, **claims)))


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert reason() is None


@pytest.mark.requirement("RFC9068-REQUIRED", "RFC9068-AUD")
@pytest.mark.parametrize(
    "claim", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope", "act", "grant_profile"]
)
def test_a_token_without_a_required_claim_is_refused(claim: str) -> None:
    assert reason(**{claim: ABSENT}) is Reason.MALFORMED


NOT_TEXT: list[Any] = ["", None, 0, 1, 1.5, True, False, [], [ISSUER], {}, {"": ISSUER}]


@pytest.mark.requirement("JWT-BCP-ISS")
@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "client_id", "scope", "jti"])
@pytest.mark.parametrize("value", NOT_TEXT)
def test_a_claim_that_must_be_text_and_is_not_is_refused(claim: str, value: object) -> None:
    assert reason(**{claim: value}) is Reason.MALFORMED


@pytest.mark.requirement("JWT-NUMERICDATE")
@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
@pytest.mark.parametrize(
    "value", [None, True, False, -1, 0.0, NOW + 0.5, float(NOW), "", str(NOW), "soon", [NOW], {}, {"value": NOW}]
)
def test_a_time_that_is_no_whole_number_of_seconds_is_refused(claim: str, value: object) -> None:
    assert reason(**{claim: value}) is Reason.MALFORMED


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "1e10", "1.9e9", "1" + "0" * 400, "9007199254740992"]
)
def test_a_time_that_is_no_number_of_ours_is_refused(text: str) -> None:
    claims = encode(SIM.claims(CHAIN))
    exp = f'"exp":{NOW + 300}'.encode()

    assert SIM.reason(SIM.token(claims.replace(exp, b'"exp":' + text.encode(), 1))) is Reason.MALFORMED
    assert SIM.reason(SIM.token(claims)) is None


@pytest.mark.requirement("JWT-BCP-AUD", "RFC9068-AUD")
@pytest.mark.parametrize(
    "aud",
    [
        FILES,
        API + "/",
        API.upper(),
        API.replace("https", "http"),
        API + "?",
        "https://crm.example:443/api",
        "crm",
        "*",
        ISSUER,
        API[:-1],
        API + "x",
        "https://crm.example",
        " " + API,
        API.replace("e", "\u0435"),
        API + "\x00",
    ],
)
def test_a_token_for_another_audience_is_refused(aud: str) -> None:
    assert reason(aud=aud) is Reason.WRONG_AUDIENCE


@pytest.mark.parametrize("aud", [[API], [API, FILES], ["*"], [], {API: 1}])
def test_an_audience_that_is_not_one_string_is_refused(aud: object) -> None:
    assert reason(aud=aud) is Reason.MALFORMED


@pytest.mark.requirement("JWT-BCP-ISS", "RFC9068-ISS")
@pytest.mark.parametrize(
    "iss",
    [
        ISSUER + "/",
        ISSUER.upper(),
        "https://AS.example",
        ISSUER[:-1],
        ISSUER + "x",
        "as.example",
        "https://as.example:443",
        ISSUER.replace("a", "\u0430"),
        " " + ISSUER,
        ISSUER + "\n",
        "https://as.example@evil.example",
        "https://evil.example",
        "x",
    ],
)
def test_a_token_that_names_another_issuer_is_refused_before_any_key_is_sought(iss: str) -> None:
    class NoKeys:
        def find(self, iss: str, kid: str) -> None:
            raise AssertionError((iss, kid))

    assert SIM.reason(SIM.token(SIM.claims(CHAIN, iss=iss)), keys=NoKeys()) is Reason.UNTRUSTED_ISSUER


@pytest.mark.requirement("SCOPE-SYNTAX", "TE-SCOPE-CLAIM")
@pytest.mark.parametrize(
    "scope",
    [
        "crm.write crm.write files.read mail.send",
        "crm.write  mail.send",
        " crm.write",
        "crm.write ",
        "crm.write\tmail.send",
        "crm.write\nmail.send",
        'crm"write',
        "crm\\write",
        "crm.wríte",
        "crm\x00write",
        " ",
        ["crm.write"],
        {"crm.write": 1},
    ],
)
def test_a_scope_that_is_none_is_refused(scope: object) -> None:
    assert reason(scope=scope) is Reason.MALFORMED


def test_more_scopes_than_anybody_needs_are_refused() -> None:
    def with_scopes(number: int) -> Reason | None:
        root = SIM.root(scope=" ".join(f"s{index:03}" for index in range(257)))
        chain = [root, SIM.hop(root, "planner", scope=" ".join(f"s{index:03}" for index in range(number)))]
        root["scope"] = " ".join(root["scope"].split()[:256])
        return SIM.reason(SIM.token(SIM.claims(chain)))

    assert with_scopes(255) is None
    assert with_scopes(257) is Reason.MALFORMED


@pytest.mark.parametrize(
    "bad",
    [jti("x")[:-1], jti("x") + "A", jti("x")[:-1] + "B", "a" * 21 + "=", "A" * 21, "A" * 20 + "+A", "A" * 21 + "\n"],
)
def test_an_identifier_that_is_not_128_bits_is_refused(bad: str) -> None:
    assert reason(jti=bad) is Reason.MALFORMED
    assert reason(jti=jti("x")) is None


@pytest.mark.requirement("CNF-ONE-METHOD")
@pytest.mark.parametrize(
    "cnf",
    [
        {},
        None,
        [],
        "x",
        {"jkt": ""},
        {"jkt": thumbprint("x")[:-1]},
        {"jkt": thumbprint("x") + "A"},
        {"jkt": thumbprint("x")[:-1] + "_"},
        {"jkt": [thumbprint("x")]},
        {"jkt": thumbprint("x"), "x5t#S256": thumbprint("x")},
        {"jkt": thumbprint("x"), "jwk": {}},
        {"jwk": {"kty": "EC"}},
        {"kid": "x"},
        {"x5t": thumbprint("x")},
        {"JKT": thumbprint("x")},
    ],
)
def test_a_confirmation_that_is_not_exactly_one_thumbprint_is_refused(cnf: object) -> None:
    assert reason(cnf=cnf) is Reason.MALFORMED


@pytest.mark.requirement("CNF-PROOF")
@pytest.mark.parametrize("method", ["jkt", "x5t#S256"])
def test_a_bound_token_is_refused_without_a_proof(method: str) -> None:
    assert reason(cnf={method: thumbprint("x")}) is Reason.HOLDER_UNPROVEN
    assert reason() is None


@pytest.mark.parametrize("profile", [None, 0, 2, -1, 1.0, True, "1", [1], {}])
def test_another_version_of_the_profile_is_refused(profile: object) -> None:
    assert reason(grant_profile=profile) is Reason.MALFORMED


def test_a_token_without_a_chain_is_refused() -> None:
    assert reason(grant_chain=ABSENT) is Reason.CHAIN_MISSING
    assert reason(grant_chain=ABSENT, grant_profile=ABSENT, act=ABSENT) is Reason.CHAIN_MISSING
    assert reason(grant_chain=None) is Reason.MALFORMED


def test_a_plain_rfc_9068_token_and_other_kinds_of_jwt_are_refused() -> None:
    plain = SIM.claims(CHAIN, act=ABSENT, grant_chain=ABSENT, grant_profile=ABSENT)
    id_token = {"iss": ISSUER, "sub": "user-1", "aud": API, "iat": NOW, "exp": NOW + 60, "nonce": "n"}
    proof = {"jti": "x", "htm": "POST", "htu": API, "iat": NOW}

    assert SIM.reason(SIM.token(plain)) is Reason.CHAIN_MISSING
    assert SIM.reason(SIM.token(id_token)) is Reason.MALFORMED
    assert SIM.reason(SIM.token(proof)) is Reason.MALFORMED


PAYLOADS: list[Any] = [
    [],
    [SIM.claims(CHAIN)],
    "x",
    None,
    1,
    b"",
    b"x",
    b"{}x",
    encode(SIM.claims(CHAIN)) + b"{}",
    encode(SIM.claims(CHAIN)) + b"\0",
    b"\xef\xbb\xbf" + encode(SIM.claims(CHAIN)),
    encode(SIM.claims(CHAIN)).decode().encode("utf-16"),
    encode(SIM.claims(CHAIN))[:-1] + b',"x":NaN}',
    encode(SIM.claims(CHAIN))[:-1] + b',"x":1e999}',
    encode(SIM.claims(CHAIN))[:-1] + b',"x":9007199254740993}',
    encode(SIM.claims(CHAIN))[:-1] + b',"x":"\\ud800"}',
    encode(SIM.claims(CHAIN))[:-1] + b',"\\udfff":1}',
    encode(SIM.claims(CHAIN))[:-1] + b',"x":"\xff"}',
    encode(SIM.claims(CHAIN))[:-1] + b',"scope":"crm.write files.read mail.send"}',
    encode(SIM.claims(CHAIN))[:-1] + b',"\\u0073cope":"admin"}',
    encode(SIM.claims(CHAIN))[:-1] + b',"x":{"a":1,"a":1}}',
    encode(SIM.claims(CHAIN))[:-1] + b',"x":' + b"[" * 50 + b"]" * 50 + b"}",
    encode(SIM.claims(CHAIN))[:-1] + b',"x":' + b"[" * 9_000,
]


@pytest.mark.requirement("JSON-UTF8", "JWT-BCP-ENCODING")
@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_payload_that_is_no_strict_json_object_is_refused(payload: object) -> None:
    assert SIM.reason(SIM.token(payload)) is Reason.MALFORMED


def test_an_unknown_claim_that_is_strict_json_is_no_fault() -> None:
    extra: Members = {"x": [[[{"a": 1.5, "b": "\U0001f600"}]]]}

    assert reason(**extra) is None
