"""Hops signed by their delegators (TOKEN.md sections 2 and 4, step 12)."""

import pytest

from tests.simulator import (
    ABSENT,
    AUTHORITY,
    ISSUER,
    USER,
    Members,
    act,
    ec_key,
    jti,
    jwk,
    seal,
    thumbprint,
)
from tests.verify.signed import FLOORS, KEYS, PROVEN, SIGNED, SIM, Draft, holder
from tokensvc.core.chain import parse_grant_chain, render_grant_chain
from tokensvc.errors import Reason
from tokensvc.verify import Evidence

# The last hop of planner, mailer, printer is signed with Ed25519, the one before it with ES256.
SIGNED_HOPS = [2, 3]


def changed(at: int, /, **payload: object) -> Draft:
    draft = Draft.of()
    part = draft.parts[at]
    part.payload = {name: value for name, value in {**part.payload, **payload}.items() if value is not ABSENT}
    return draft


def with_header(at: int, /, **header: object) -> Draft:
    draft = Draft.of()
    part = draft.parts[at]
    part.header = {name: value for name, value in {**part.header, **header}.items() if value is not ABSENT}
    return draft


def test_the_control_of_every_refusal_here_is_accepted_and_reported() -> None:
    verified = Draft.of().verify()

    assert verified.hop_evidence == (Evidence.ISSUER, Evidence.DELEGATOR, Evidence.DELEGATOR)
    assert [Draft.of().parts[index].header["alg"] for index in SIGNED_HOPS] == ["ES256", "Ed25519"]
    assert changed(2).reason() is with_header(3).reason() is None


@pytest.mark.parametrize("index", SIGNED_HOPS)
@pytest.mark.parametrize(
    "header",
    [
        {"typ": ABSENT},
        {"typ": "at+jwt"},
        {"typ": "delegation-root+jwt"},
        {"typ": "application/delegation-grant+jwt"},
        {"typ": "Delegation-Grant+JWT"},
        {"typ": None},
        {"typ": ["delegation-grant+jwt"]},
        {"alg": ABSENT},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"alg": "EdDSA"},
        {"alg": "ed25519"},
        {"alg": None},
        {"alg": ["ES256", "Ed25519"]},
        {"kid": "planner"},
        {"jwk": ABSENT, "kid": "planner"},
        {"jwk": ABSENT},
        {"jwk": None},
        {"jwk": {}},
        {"jwk": []},
        {"jwk": "x"},
        {"crit": []},
        {"x5c": []},
        {"": 1},
    ],
)
def test_a_header_that_is_not_exactly_typ_alg_and_jwk_is_refused(index: int, header: Members) -> None:
    assert with_header(index, **header).reason() is Reason.GRANT_INVALID


def test_the_alg_is_that_of_the_key() -> None:
    assert with_header(2, alg="Ed25519").reason() is Reason.GRANT_INVALID
    assert with_header(3, alg="ES256").reason() is Reason.GRANT_INVALID


@pytest.mark.parametrize("index", SIGNED_HOPS)
@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "printer"),
        ("iss", ISSUER),
        ("iss", "Planner"),
        ("sub", USER),
        ("sub", "idp:user-2"),
        ("aud", "https://as.other.example"),
        ("aud", AUTHORITY),
        ("aud", ISSUER + "/"),
        ("root", jti("x")),
        ("root", jti("token")),
        ("index", 0),
        ("index", 1),
        ("index", 4),
    ],
)
def test_a_hop_of_another_delegator_user_service_lineage_or_place_is_refused(
    index: int, claim: str, value: object
) -> None:
    assert changed(index, **{claim: value}).reason() is Reason.GRANT_INVALID
    assert changed(index, **{claim: value}).reason(expect=SIGNED) is Reason.GRANT_INVALID


@pytest.mark.parametrize("index", SIGNED_HOPS)
@pytest.mark.parametrize("name", sorted(Draft.of().parts[2].payload))
@pytest.mark.parametrize("value", [ABSENT, None, "", [], {}, True, -1, 1.5])
def test_a_signed_hop_without_a_member_or_with_one_of_another_type_is_malformed(
    index: int, name: str, value: object
) -> None:
    assert changed(index, **{name: value}).reason() is Reason.MALFORMED


@pytest.mark.parametrize("extra", ["nbf", "jws", "azp", "x", "act", "client_id"])
def test_a_signed_hop_with_any_other_member_is_malformed(extra: str) -> None:
    assert changed(2, **{extra: "x"}).reason() is Reason.MALFORMED


def test_a_first_hop_that_is_signed_is_refused_whoever_signed_it() -> None:
    for key in (SIM.key, holder("planner"), ec_key("root signer")):
        draft = Draft.of()
        place = {"iss": draft.claims["sub"], "sub": draft.claims["sub"], "aud": ISSUER, "root": jti("root"), "index": 1}
        signed = {**draft.chain[1], **place}
        header = {"typ": "delegation-grant+jwt", "alg": "ES256", "jwk": jwk(key)}
        draft.parts[1].key, draft.parts[1].payload, draft.parts[1].header = key, signed, header
        assert draft.reason() is draft.reason(expect=SIGNED) is Reason.GRANT_INVALID


def test_a_hop_below_one_without_a_key_cannot_be_signed() -> None:
    draft = Draft.of().plain(0)
    draft.chain[0] |= {"iss": ISSUER}
    del draft.chain[1]["cnf"]

    assert draft.reason(expect=SIGNED) is Reason.GRANT_INVALID


def test_a_hop_lifted_from_another_lineage_is_refused() -> None:
    ours, theirs = Draft.of(), Draft.of(root="another")
    assert theirs.reason() is None
    ours.parts[2:] = theirs.parts[2:]
    assert ours.reason() is Reason.CHAIN_MISALIGNED
    # The service may rewrite the plain hop above it, and the lineage still tells.
    ours.parts[1].payload = {**ours.chain[1], "jti": theirs.chain[1]["jti"]}
    assert ours.reason() is Reason.GRANT_INVALID


def test_a_sub_agent_cannot_be_lifted_to_another_place() -> None:
    draft = Draft.of("planner", "mailer", "printer")
    genuine = draft.parts[3]
    # The mailer as first agent, below a root of the service's making; its grant to the printer says place 3.
    root = {**draft.chain[0], "iss": ISSUER}
    first = {**draft.chain[2], "parent": root["jti"]}
    draft.parts = [draft.parts[0], draft.parts[1], genuine]
    draft.plain(0, 1)
    draft.parts[0].payload, draft.parts[1].payload = root, first
    draft.claims["act"] = act("printer", "mailer")
    assert draft.reason(expect=SIGNED) is Reason.GRANT_INVALID
    # Place is all that is wrong with it.
    draft.parts[2].payload["index"] = 2
    assert draft.reason(expect=SIGNED) is None


@pytest.mark.parametrize("index", SIGNED_HOPS)
def test_a_hop_whose_payload_or_header_is_changed_at_any_byte_is_refused(index: int) -> None:
    jws = Draft.of().parts[index].entry["jws"]
    accepted = []
    for position in range(jws.rindex(".")):
        letter = "B" if jws[position] != "B" else "C"
        draft = Draft.of()
        draft.parts[index].key = None
        draft.parts[index].payload = {"jws": jws[:position] + letter + jws[position + 1 :]}
        if draft.reason() is None:
            accepted.append(position)
    assert accepted == []


ARTEFACTS = {"root": 0, "grant": 2}


def test_no_artefact_passes_for_another() -> None:
    draft = Draft.of()
    token = draft.token()
    root, grant = draft.parts[0].entry["jws"], draft.parts[2].entry["jws"]

    assert SIM.reason(root) is SIM.reason(grant) is Reason.WRONG_TYPE
    for index, jws in ((0, token), (0, grant), (2, token), (2, root)):
        other = Draft.of()
        other.parts[index].key, other.parts[index].payload = None, {"jws": jws}
        assert other.reason() is Reason.MALFORMED
    assert draft.reason() is None


@pytest.mark.parametrize("typ", ["at+jwt", "delegation-root+jwt", "delegation-grant+jwt"])
@pytest.mark.parametrize("kind", ["token", "root", "grant"])
def test_the_members_of_one_artefact_under_the_typ_of_another_are_refused(kind: str, typ: str) -> None:
    draft = Draft.of()
    if kind == "token":
        refused: Reason | None = None if typ == "at+jwt" else Reason.WRONG_TYPE
        claims = SIM.claims(SIM.chain("planner"))
        assert SIM.reason(seal(SIM.header(typ=typ), claims, SIM.key)) is refused
        return
    right, wrong = {"root": Reason.ROOT_INVALID, "grant": Reason.GRANT_INVALID}[kind], f"delegation-{kind}+jwt"
    draft.parts[ARTEFACTS[kind]].header["typ"] = typ
    assert draft.reason() is (None if typ == wrong else right)


def test_a_signed_hop_is_attenuated_as_any_other() -> None:
    assert changed(2, scope="crm.read admin").reason() is Reason.NOT_NARROWER
    assert changed(2, scope=Draft.of().chain[1]["scope"]).reason() is Reason.NOT_PROPER
    assert changed(3, exp=Draft.of().chain[0]["exp"] + 1).reason() is Reason.NOT_NARROWER
    assert changed(3, cnf={"jkt": thumbprint("x")}).reason() is Reason.TOKEN_EXCEEDS_GRANT


def test_signed_entries_are_rendered_byte_for_byte_as_they_came() -> None:
    draft = Draft.of()
    entries = [part.entry for part in draft.parts]
    token = SIM.token({**draft.claims, "grant_chain": entries})

    verified = SIM.verify(token, keys=KEYS, expect=FLOORS, proof=PROVEN)

    assert render_grant_chain(verified.chain) == entries
    assert parse_grant_chain(entries) == verified.chain
    assert entries[2]["jws"] not in repr(verified)
