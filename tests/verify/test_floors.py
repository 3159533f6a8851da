"""The floors, pinned keys, and what is reported of the evidence (TOKEN.md section 2, Evidence)."""

from dataclasses import replace
from typing import Any

import pytest

from tests.simulator import API, AUTHORITY, ISSUER, PREFIX, USER, Members, ec_key, jwk, thumbprint
from tests.verify.signed import FLOORS, SIGNED, SIM, Draft, holder
from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import Reason
from tokensvc.verify import Evidence, Expectation

OTHER_SERVICE = "https://as.other.example"
DELEGATOR = replace(SIGNED, hop_floor=Evidence.DELEGATOR)
AUTHORITY_ROOT = replace(SIGNED, root_floor=Evidence.AUTHORITY)
THIEF = frozenset({ec_key("thief").public.thumbprint})


def key_of(agent: str) -> frozenset[str]:
    return frozenset({holder(agent).public.thumbprint})


def pinned(expect: Expectation, **agents: frozenset[str]) -> Expectation:
    return replace(expect, agent_keys={(ISSUER, agent): keys for agent, keys in agents.items()})


def with_plain_root(*actors: str) -> Draft:
    return Draft.of(*actors, sub=USER).plain(0)


@pytest.mark.parametrize("plain", [(), (0,), (2,), (3,), (2, 3), (0, 2, 3)])
def test_the_evidence_of_every_entry_is_reported(plain: tuple[int, ...]) -> None:
    draft = Draft.of(sub=USER) if 0 in plain else Draft.of()

    verified = draft.plain(*plain).verify(expect=SIGNED)

    assert verified.root_evidence is (Evidence.ISSUER if 0 in plain else Evidence.AUTHORITY)
    hops = [Evidence.ISSUER if index in (1, *plain) else Evidence.DELEGATOR for index in (1, 2, 3)]
    assert verified.hop_evidence == tuple(hops)


@pytest.mark.parametrize("plain", [(2,), (3,), (2, 3)])
def test_with_the_floor_delegator_every_hop_from_the_second_on_is_signed(plain: tuple[int, ...]) -> None:
    assert Draft.of().plain(*plain).reason(expect=DELEGATOR) is Reason.EVIDENCE_INSUFFICIENT
    assert Draft.of().plain(*plain).reason(expect=AUTHORITY_ROOT) is None
    assert Draft.of().reason(expect=DELEGATOR) is None


def test_with_the_floor_authority_the_root_is_signed() -> None:
    assert with_plain_root().reason(expect=AUTHORITY_ROOT) is Reason.EVIDENCE_INSUFFICIENT
    both = pinned(FLOORS, planner=key_of("planner"))
    assert with_plain_root().reason(expect=both) is Reason.EVIDENCE_INSUFFICIENT
    assert with_plain_root().reason(expect=SIGNED) is None
    assert Draft.of().reason(expect=both) is None


@pytest.mark.parametrize("actors", [("planner",), ("planner", "mailer"), ("planner", "mailer", "printer")])
def test_the_first_key_is_in_an_authority_root_or_pinned(actors: tuple[str, ...]) -> None:
    assert with_plain_root(*actors).reason(expect=DELEGATOR) is Reason.EVIDENCE_INSUFFICIENT
    later = pinned(DELEGATOR, mailer=key_of("mailer"))
    assert with_plain_root(*actors).reason(expect=later) is Reason.EVIDENCE_INSUFFICIENT
    first = pinned(DELEGATOR, planner=key_of("planner"))
    assert with_plain_root(*actors).reason(expect=first) is None
    assert Draft.of(*actors).reason(expect=DELEGATOR) is None


@pytest.mark.parametrize("agent", ["planner", "mailer", "printer"])
@pytest.mark.parametrize("expect", [SIGNED, AUTHORITY_ROOT, DELEGATOR, FLOORS])
def test_a_pin_binds_at_every_index_whatever_the_root_says(agent: str, expect: Expectation) -> None:
    assert Draft.of().reason(expect=pinned(expect, **{agent: THIEF})) is Reason.EVIDENCE_INSUFFICIENT
    assert Draft.of().reason(expect=pinned(expect, **{agent: THIEF | key_of(agent)})) is None
    assert Draft.of().reason(expect=pinned(expect, other=THIEF)) is None


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_pinned_agent_without_a_key_is_refused(index: int) -> None:
    chain = SIM.chain("planner", "mailer", "printer")
    token = SIM.token(SIM.claims(chain))
    expect = pinned(SIM.expect(), **{chain[index]["actor"]: THIEF})

    assert SIM.reason(token, expect=expect) is Reason.EVIDENCE_INSUFFICIENT
    assert SIM.reason(token, expect=pinned(SIM.expect(), other=THIEF)) is None


def test_a_pin_is_for_one_token_service() -> None:
    issuers = frozenset({ISSUER, OTHER_SERVICE})
    elsewhere = replace(SIGNED, issuers=issuers, agent_keys={(OTHER_SERVICE, "planner"): THIEF})
    here = replace(SIGNED, issuers=issuers, agent_keys={(ISSUER, "planner"): THIEF})

    assert Draft.of().reason(expect=elsewhere) is None
    assert Draft.of().reason(expect=here) is Reason.EVIDENCE_INSUFFICIENT
    floor = replace(elsewhere, hop_floor=Evidence.DELEGATOR)
    assert with_plain_root().reason(expect=floor) is Reason.EVIDENCE_INSUFFICIENT


def test_a_delegator_that_was_lied_to_about_a_key_is_found_out_by_a_pin_of_the_delegatee_alone() -> None:
    """The planner signs for the mailer, with the key that the token service said was the mailer's."""
    draft, thief = Draft.of("planner", "mailer", "printer", sub=USER).plain(0), ec_key("thief")
    draft.parts[2].payload["cnf"] = {"jkt": thief.public.thumbprint}
    draft.parts[3].key = thief
    draft.parts[3].header |= {"alg": "ES256", "jwk": jwk(thief)}

    first = pinned(DELEGATOR, planner=key_of("planner"))
    assert draft.reason(expect=first) is None
    assert draft.reason(expect=pinned(first, planner=key_of("planner"), mailer=key_of("mailer"))) is (
        Reason.EVIDENCE_INSUFFICIENT
    )


def test_a_self_narrowed_hop_is_signed_by_the_agent_itself() -> None:
    actors = ("planner", "planner", "mailer", "mailer")
    draft = Draft.of(*actors)

    assert draft.parts[2].header["jwk"] == jwk(holder("planner"))
    assert draft.verify().hop_evidence == (Evidence.ISSUER, *[Evidence.DELEGATOR] * 3)
    for index in (2, 4):
        assert Draft.of(*actors).plain(index).reason() is Reason.EVIDENCE_INSUFFICIENT
    assert Draft.of(*actors).reason(expect=pinned(FLOORS, mailer=key_of("mailer"))) is None


def test_a_signed_hop_below_a_plain_one_is_taken_only_where_the_word_of_the_service_is_enough() -> None:
    assert Draft.of().plain(2).verify(expect=SIGNED).hop_evidence[2] is Evidence.DELEGATOR
    assert Draft.of().plain(2).reason() is Reason.EVIDENCE_INSUFFICIENT


def test_the_signature_of_a_hop_is_judged_before_the_floors() -> None:
    draft = Draft.of()
    draft.parts[2].payload["aud"] = OTHER_SERVICE

    assert draft.reason(expect=pinned(FLOORS, mailer=THIEF)) is Reason.GRANT_INVALID
    draft.parts[2].payload["aud"] = ISSUER
    assert draft.reason(expect=pinned(FLOORS, mailer=THIEF)) is Reason.EVIDENCE_INSUFFICIENT


@pytest.mark.parametrize(
    "terms",
    [
        # Text equals the enum and is not it: as a floor it would be stated and never hold.
        {"root_floor": "authority"},
        {"root_floor": "issuer"},
        {"hop_floor": "delegator"},
        {"hop_floor": "issuer"},
        {"order": None},
        {"order": "scope"},
        {"authorities": {(OTHER_SERVICE, AUTHORITY): ""}},
        {"authorities": {(ISSUER, ISSUER): ""}},
        {"authorities": {(ISSUER, ""): ""}},
        {"authorities": {(ISSUER, None): ""}},
        {"authorities": {(ISSUER, 5): ""}},
        {"authorities": {(ISSUER, AUTHORITY): None}},
        {"authorities": {(ISSUER, AUTHORITY): b""}},
        {"authorities": {(ISSUER, AUTHORITY): "", (ISSUER, "https://b"): "b:"}},
        {"authorities": {(ISSUER, AUTHORITY): "b:c:", (ISSUER, "https://b"): "b:"}},
        {"authorities": {(ISSUER, AUTHORITY): "b:", (ISSUER, "https://b"): "b:"}},
        {"agent_keys": {(OTHER_SERVICE, "planner"): THIEF}},
        {"agent_keys": {(ISSUER, "planner"): frozenset()}},
        {"agent_keys": {(ISSUER, "planner"): set(THIEF)}},
        {"agent_keys": {(ISSUER, "planner"): next(iter(THIEF))}},
        {"agent_keys": {(ISSUER, "planner"): frozenset({None})}},
        {"agent_keys": {(ISSUER, "planner"): frozenset({"x"})}},
        {"agent_keys": {(ISSUER, "planner"): frozenset({*THIEF, thumbprint("x") + "="})}},
    ],
)
def test_terms_that_would_not_hold_what_they_say_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is"):
        replace(SIM.expect(), **terms)


@pytest.mark.parametrize(
    "terms",
    [
        {"authorities": {(ISSUER, AUTHORITY): "a:", (ISSUER, "https://b"): "b:"}},
        {"issuers": frozenset({ISSUER, "u:x"}), "authorities": {(ISSUER, AUTHORITY): "", ("u:x", AUTHORITY): "a:"}},
        {"agent_keys": {(ISSUER, "planner"): THIEF | key_of("planner")}},
    ],
)
def test_terms_that_hold_are_taken(terms: Members) -> None:
    assert replace(SIM.expect(), **terms).audiences == {API}


@pytest.mark.parametrize(
    "terms",
    [
        # As text neither would be compared as what it says; the exact grammar would be taken for the wider one.
        {"grammar": "exact"},
        {"grammar": "segments"},
        {"attenuation": "scope"},
        {"attenuation": "authority"},
        {"grammar": None},
        {"proper_from": 0},
        {"proper_from": 3},
        {"proper_from": True},
        {"proper_from": 1.0},
        {"proper_from": None},
        {"proper_from": "2"},
    ],
)
def test_an_order_that_is_none_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is"):
        Order(**terms)
    assert Order(grammar=ScopeGrammar.SEGMENTS, attenuation=Attenuation.AUTHORITY, proper_from=2).proper_from == 2


def test_terms_do_not_change_after_they_were_judged() -> None:
    authorities, agent_keys = {(ISSUER, AUTHORITY): PREFIX}, {(ISSUER, "planner"): key_of("planner")}
    expect = replace(FLOORS, authorities=authorities, agent_keys=agent_keys)
    authorities[ISSUER, "https://evil.example"] = ""
    agent_keys[ISSUER, "planner"] = THIEF

    assert expect.authorities == {(ISSUER, AUTHORITY): PREFIX}
    assert Draft.of().reason(expect=expect) is None
