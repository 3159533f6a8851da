import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator import Simulator, assemble, b64, ec_key, ed_key, rsa_key
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import seal_compact, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import Malformed, Reason

LIMIT = 16_384


@pytest.mark.requirement("JWS-COMPACT", "JWS-SIGNING-INPUT")
@pytest.mark.parametrize("alg", list(Algorithm))
def test_what_was_sealed_is_opened_and_verifies(alg: Algorithm) -> None:
    key = {Algorithm.ES256: ec_key, Algorithm.ED25519: ed_key, Algorithm.RS256: rsa_key}[alg]("k")

    jws = split_compact(seal_compact({"a": "é"}, typ="at+jwt", key=key), max_bytes=LIMIT)

    assert parse_json_object(jws.header) == {"typ": "at+jwt", "alg": alg, "kid": "k"}
    assert parse_json_object(jws.payload) == {"a": "é"}
    assert verify_signature(jws, key.public)
    assert not verify_signature(jws, ec_key("other").public)
    assert not verify_signature(jws, rsa_key("other").public)


@pytest.mark.requirement("JWT-BCP-FORMAT")
@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "AAAA.AAAA",
        "AAAA.AAAA.AAAA.AAAA",
        "AAAA.AAAA.AAAA.AAAA.AAAA",
        ".AAAA.AAAA",
        "AAAA.AAAA.",
        " AAAA.AAAA.AAAA",
        "AAAA.AAAA.AAAA\n",
        "AAAA.AAAA.AAAA=",
        "AAAA .AAAA.AAAA",
        "é.AAAA.AAAA",
        "AAAA.AAAA.\uff21AAA",
        "AAAA.AAAA.�",
        "{}",
        '{"payload":"","signatures":[]}',
        "AA\x00A.AAAA.AAAA",
    ],
)
def test_text_that_is_no_compact_jws_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        split_compact(text, max_bytes=LIMIT)
    assert refused.value.reason is Reason.MALFORMED
    split_compact("AAAA.AAAA.AAAA", max_bytes=LIMIT)


def test_the_size_is_judged_before_anything_else() -> None:
    # Not even ASCII, yet refused for its size: nothing was encoded, split or decoded.
    with pytest.raises(Malformed) as refused:
        split_compact("é" * 101, max_bytes=100)
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_text_of_exactly_the_largest_size_is_taken_apart() -> None:
    text = assemble("h", "p", b"s")

    split_compact(text, max_bytes=len(text))

    with pytest.raises(Malformed):
        split_compact(text, max_bytes=len(text) - 1)


def test_a_million_dots_are_not_a_million_parts() -> None:
    with pytest.raises(Malformed):
        split_compact("." * 1_000_000, max_bytes=1_000_000)


@given(st.text(max_size=100) | st.lists(st.sampled_from("AQgw-_.=+ é"), max_size=60).map("".join))
def test_no_text_raises_anything_but_malformed(text: str) -> None:
    try:
        jws = split_compact(text, max_bytes=80)
    except Malformed:
        return
    assert f"{b64(jws.header)}.{b64(jws.payload)}.{b64(jws.signature)}" == text
    assert jws.signing_input == text.rpartition(".")[0].encode()


def test_a_compact_jws_shown_in_a_trace_is_no_credential() -> None:
    token = seal_compact({"a": 1}, typ="at+jwt", key=ec_key("k"))
    jws = split_compact(token, max_bytes=LIMIT)

    assert repr(jws.signature) not in repr(jws)
    assert token.rpartition(".")[2] not in repr(jws)


def test_a_jws_about_nothing_is_taken_apart_but_is_no_token() -> None:
    assert split_compact("AAAA..AAAA", max_bytes=100).payload == b""
    sim = Simulator()
    token = sim.token(b"")
    assert token.count("..") == 1
    assert sim.reason(token) is Reason.MALFORMED
    assert sim.reason(sim.token(sim.claims(sim.chain("planner")))) is None
