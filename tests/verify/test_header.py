import json

import pytest

from tests.simulator import ABSENT, NOW, Members, Simulator, assemble, ec_key, ed_key
from tokensvc.errors import Reason

SIM = Simulator()
CLAIMS = SIM.claims(SIM.chain("planner", "mailer"))


def reason(**header: object) -> Reason | None:
    return SIM.reason(SIM.token(CLAIMS, header=SIM.header(**header)))


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert reason() is None


@pytest.mark.requirement("RFC9068-TYP", "JWT-BCP-TYP")
@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "jwt",
        "",
        "at",
        "at+jwt ",
        "at+jwt;v=1",
        "application/jwt",
        "text/at+jwt",
        "id+jwt",
        "dpop+jwt",
        "logout+jwt",
        "delegation-root+jwt",
        "delegation-grant+jwt",
        "statuslist+jwt",
        "revocations+jwt",
        "token-introspection+jwt",
        "oauth-id-jag+jwt",
        "client-authentication+jwt",
        "actor+jwt",
        "secevent+jwt",
        "application/application/at+jwt",
        ABSENT,
        None,
        1,
        True,
        ["at+jwt"],
        {"at+jwt": 1},
        "at+\u212awt",
        "\uff41t+jwt",
    ],
)
def test_a_token_of_another_kind_is_refused_by_its_type(typ: object) -> None:
    assert reason(typ=typ) is Reason.WRONG_TYPE


@pytest.mark.requirement("JWS-CRIT", "JWT-BCP-HEADER-KEYS", "JWS-B64")
@pytest.mark.parametrize(
    "extra",
    [
        {"crit": []},
        {"crit": ["alg"]},
        {"crit": ["x"], "x": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"jwk": ec_key("attacker").public.jwk()},
        {"jku": "https://attacker.example/jwks"},
        {"x5u": "file:///etc/passwd"},
        {"x5c": ["AA"]},
        {"x5t": "AA"},
        {"x5t#S256": "AA"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A128GCM"},
        {"iss": "https://as.example"},
        {"": ""},
        {"ALG": "none"},
    ],
)
def test_a_header_with_any_other_member_is_refused(extra: Members) -> None:
    assert reason(**extra) is Reason.MALFORMED


@pytest.mark.parametrize("missing", ["alg", "kid"])
def test_a_header_with_a_member_missing_is_refused(missing: str) -> None:
    assert reason(**{missing: ABSENT}) is Reason.MALFORMED


@pytest.mark.requirement("JWT-BCP-ALG-LIST", "JWS-NONE")
@pytest.mark.parametrize(
    "alg",
    [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "ES384",
        "ES512",
        "ES256K",
        "Ed448",
        "ed25519",
        "EDDSA",
        "Ed25519ph",
        "PS256",
        "RS384",
        "RS512",
        "es256",
        "ES256 ",
        "Es256",
        "RS1",
        "RSA1_5",
        None,
        1,
        True,
        ["ES256"],
        {"ES256": 1},
    ],
)
def test_an_algorithm_that_is_not_on_the_list_is_refused(alg: object) -> None:
    assert reason(alg=alg) is Reason.MALFORMED


@pytest.mark.requirement("JWT-BCP-ONE-ALG")
def test_a_listed_algorithm_that_is_not_the_one_of_the_key_is_refused() -> None:
    for alg in ("RS256", "Ed25519", "EdDSA"):
        assert reason(alg=alg) is Reason.UNKNOWN_KEY


def test_under_an_ed25519_key_the_old_name_of_the_algorithm_is_the_same_and_any_other_is_refused() -> None:
    sim = Simulator(key=ed_key("service"))

    def verdict(alg: str) -> Reason | None:
        return sim.reason(sim.token(CLAIMS, header=sim.header(alg=alg)))

    assert (verdict("Ed25519"), verdict("EdDSA")) == (None, None)
    assert {verdict(alg) for alg in ("ES256", "RS256")} == {Reason.UNKNOWN_KEY}
    assert {verdict(alg) for alg in ("Ed448", "eddsa", "none")} == {Reason.MALFORMED}


@pytest.mark.requirement("JWT-BCP-KID")
@pytest.mark.parametrize(
    "kid",
    [
        "other",
        "Service",
        "service ",
        " service",
        "service\x00",
        "servic",
        "../../../dev/null",
        "file:///dev/null",
        "*",
        "%",
        "' OR '1'='1",
        "http://169.254.169.254/",
        "service\r\n",
        "0",
        "__class__",
        "k" * 5000,
        "��",
        "séřvice",
    ],
)
def test_a_kid_that_names_no_key_of_the_issuer_is_refused(kid: str) -> None:
    assert reason(kid=kid) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("kid", ["", None, 0, 1.5, True, ["service"], {"service": 1}])
def test_a_kid_that_is_no_text_is_refused(kid: object) -> None:
    assert reason(kid=kid) is Reason.MALFORMED


@pytest.mark.requirement("JWS-UNIQUE-MEMBERS")
@pytest.mark.parametrize(
    "header",
    [
        b'{"typ":"at+jwt","alg":"ES256","kid":"service","alg":"ES256"}',
        b'{"typ":"JWT","typ":"at+jwt","alg":"ES256","kid":"service"}',
        b'{"typ":"at+jwt","\\u0061lg":"none","alg":"ES256","kid":"service"}',
        b'\xef\xbb\xbf{"typ":"at+jwt","alg":"ES256","kid":"service"}',
        '{"typ":"at+jwt","alg":"ES256","kid":"service"}'.encode("utf-16"),
        b'{"typ":"at+jwt","alg":"ES256","kid":"service"} x',
        b'{"typ":"at+jwt","alg":"ES256","kid":"service","x":NaN}',
        b'{"typ":"at+jwt","alg":"ES256","kid":"\\ud800"}',
        b'[{"typ":"at+jwt","alg":"ES256","kid":"service"}]',
        b'"at+jwt"',
        b"null",
        b"x",
        b'{"typ":"at+jwt","alg":"ES256","kid":' + b"[" * 9_000,
    ],
    ids=range(13),
)
def test_a_header_that_is_no_strict_json_object_is_refused(header: bytes) -> None:
    assert SIM.reason(SIM.token(CLAIMS, header=header)) is Reason.MALFORMED


def test_a_header_spelt_in_another_way_but_saying_the_same_is_accepted() -> None:
    spelt = json.dumps(SIM.header(), indent=1).replace("alg", "\\u0061lg").encode()

    assert SIM.reason(SIM.token(CLAIMS, header=spelt)) is None


def test_a_token_without_a_signature_is_refused() -> None:
    header = SIM.header(alg="none")

    assert SIM.reason(assemble(header, CLAIMS, b"")) is Reason.MALFORMED
    assert SIM.reason(assemble(header, CLAIMS, b"\0")) is Reason.MALFORMED
    assert SIM.reason(assemble(SIM.header(), CLAIMS, b"")) is Reason.MALFORMED
    assert SIM.reason(SIM.token(CLAIMS), now=NOW) is None
