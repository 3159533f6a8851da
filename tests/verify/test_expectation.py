from dataclasses import replace
from typing import Any, Final

import pytest

from tests.proofs import judge, proof
from tests.simulator import API, AUTHORITY, ISSUER, PREFIX, Members, Simulator, thumbprint
from tests.verify.signed import KEYS, Draft, holder
from tokensvc.errors import Reason
from tokensvc.verify import Evidence, Expectation, HolderFloor, KeySet, Order, ScopeGrammar, StaticKeys

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
        {"holder": "proof"},
        {"holder": None},
        {"holder": True},
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


# Presets


PIN: Final = {(ISSUER, "planner"): frozenset({thumbprint("planner")})}


def test_each_preset_is_the_terms_that_its_name_says() -> None:
    terms: Members = {"issuers": [ISSUER], "audiences": [API]}
    bearer, proof = Expectation.bearer(**terms), Expectation.proof_required(**terms)
    signed = Expectation.delegator_signed(**terms, agent_keys=PIN)

    def floors(expect: Expectation) -> tuple[object, ...]:
        return expect.root_floor, expect.hop_floor, expect.holder

    assert floors(bearer) == (Evidence.ISSUER, Evidence.ISSUER, HolderFloor.BEARER)
    assert floors(proof) == (Evidence.ISSUER, Evidence.ISSUER, HolderFloor.PROOF)
    assert floors(signed) == (Evidence.ISSUER, Evidence.DELEGATOR, HolderFloor.PROOF)
    assert replace(bearer, holder=HolderFloor.PROOF) == proof
    assert replace(proof, hop_floor=Evidence.DELEGATOR, agent_keys=PIN) == signed


OPTIONAL: Final[Members] = {
    "root_floor": Evidence.AUTHORITY,
    "order": Order(grammar=ScopeGrammar.SEGMENTS),
    "authorities": {(ISSUER, AUTHORITY): PREFIX},
    "leeway_s": 10,
    "max_depth": 3,
    "max_token_bytes": 8000,
}


@pytest.mark.parametrize("preset", ["bearer", "proof_required", "delegator_signed"])
def test_each_preset_takes_the_optional_terms(preset: str) -> None:
    make = getattr(Expectation, preset)
    expect = make(issuers=[ISSUER], audiences=[API], agent_keys=PIN, **OPTIONAL)

    assert {name: getattr(expect, name) for name in OPTIONAL} == OPTIONAL
    assert expect.agent_keys == PIN
    assert (
        make(issuers=[ISSUER], audiences=[API], agent_keys={(ISSUER, "planner"): [thumbprint("planner")]}).agent_keys
        == PIN
    )
    for name in ("holder", "hop_floor", "unknown"):
        with pytest.raises(TypeError):
            make(issuers=[ISSUER], audiences=[API], agent_keys=PIN, **{name: HolderFloor.BEARER})
    with pytest.raises(TypeError, match="several"):
        make(issuers=[ISSUER], audiences=[API], agent_keys={(ISSUER, "planner"): thumbprint("planner")})


def test_signed_hops_need_a_first_key_that_is_known_from_somewhere() -> None:
    terms: Members = {"issuers": [ISSUER], "audiences": [API]}
    with pytest.raises(ValueError, match="agent_keys or authorities"):
        Expectation.delegator_signed(**terms, agent_keys={})
    by_root = Expectation.delegator_signed(**terms, agent_keys={}, authorities={(ISSUER, AUTHORITY): PREFIX})
    assert by_root.hop_floor is Evidence.DELEGATOR


def test_a_chain_of_signed_hops_meets_the_strictest_preset_and_a_plain_one_does_not() -> None:
    expect = Expectation.delegator_signed(
        issuers=[ISSUER],
        audiences=[API],
        agent_keys={(ISSUER, "planner"): [holder("planner").public.thumbprint]},
        authorities={(ISSUER, AUTHORITY): PREFIX},
    )
    for draft, reason in ((Draft.of(), None), (Draft.of().plain(2), Reason.EVIDENCE_INSUFFICIENT)):
        text = draft.token()
        proven = judge(proof(text, key=holder("printer")))
        assert SIM.reason(text, keys=KEYS, expect=expect, proof=proven) is reason
        assert SIM.reason(text, keys=KEYS, expect=expect) is Reason.HOLDER_UNPROVEN
