from dataclasses import replace
from typing import Any

import pytest

from tests.simulator import API, ISSUER, Simulator
from tokensvc.errors import Reason
from tokensvc.verify import Evidence, Expectation, KeySet, StaticKeys

SIM = Simulator()
TOKEN = SIM.token(SIM.claims(SIM.chain("planner", "mailer")))


@pytest.mark.parametrize("terms", [{"root_floor": Evidence.AUTHORITY}, {"hop_floor": Evidence.DELEGATOR}])
def test_a_chain_on_the_word_of_the_issuer_is_refused_where_more_is_asked_for(terms: dict[str, Any]) -> None:
    assert SIM.reason(TOKEN, expect=replace(SIM.expect(), **terms)) is Reason.EVIDENCE_INSUFFICIENT
    assert SIM.reason(TOKEN, expect=SIM.expect()) is None


@pytest.mark.parametrize(
    "terms",
    [
        {"issuers": frozenset()},
        {"issuers": ISSUER},
        {"issuers": [ISSUER]},
        {"issuers": {ISSUER}},
        {"issuers": frozenset({""})},
        {"issuers": frozenset({ISSUER, ""})},
        {"issuers": frozenset({None})},
        {"issuers": frozenset({b"x"})},
        {"issuers": None},
        {"audiences": frozenset()},
        {"audiences": API},
        {"audiences": frozenset({API, ""})},
        {"audiences": frozenset({API, 1})},
        {"root_floor": Evidence.DELEGATOR},
        {"root_floor": None},
        {"root_floor": "none"},
        {"hop_floor": Evidence.AUTHORITY},
        {"hop_floor": ""},
        {"leeway_s": -1},
        {"leeway_s": 61},
        {"leeway_s": 1.5},
        {"leeway_s": True},
        {"leeway_s": float("nan")},
        {"max_depth": 0},
        {"max_depth": 11},
        {"max_depth": None},
        {"max_token_bytes": 0},
        {"max_token_bytes": 16_385},
        {"max_token_bytes": "16384"},
    ],
)
def test_terms_that_accept_nothing_or_too_much_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is"):
        replace(SIM.expect(), **terms)


@pytest.mark.parametrize(
    "terms", [{"leeway_s": 0}, {"leeway_s": 60}, {"max_depth": 2}, {"max_depth": 10}, {"max_token_bytes": 16_384}]
)
def test_terms_at_their_bounds_are_taken(terms: dict[str, Any]) -> None:
    assert SIM.reason(TOKEN, expect=replace(SIM.expect(), **terms)) is None


@pytest.mark.parametrize("terms", [{"issuers": ISSUER}, {"audiences": API}])
def test_one_string_where_several_are_meant_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Expectation.bearer(**{"issuers": [ISSUER], "audiences": [API], **terms})
    assert Expectation.bearer(issuers=[ISSUER], audiences=(API,)) == SIM.expect()


def test_keys_of_an_issuer_that_is_not_expected_do_not_make_it_trusted() -> None:
    expect = Expectation.bearer(issuers=["https://another.example"], audiences=[API])

    assert SIM.reason(TOKEN, expect=expect) is Reason.UNTRUSTED_ISSUER


def test_a_trusted_issuer_without_keys_has_no_valid_tokens() -> None:
    assert SIM.reason(TOKEN, keys=StaticKeys({})) is Reason.UNKNOWN_KEY
    assert SIM.reason(TOKEN, keys=SIM.keys()) is None


def test_keys_given_once_do_not_change_afterwards() -> None:
    given = {ISSUER: KeySet([SIM.key.public])}
    keys = StaticKeys(given)
    given.clear()

    assert keys.find(ISSUER, SIM.key.kid) == SIM.key.public
