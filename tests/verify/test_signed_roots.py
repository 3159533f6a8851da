"""Roots signed by an authority (TOKEN.md sections 2 and 4, step 11)."""

from dataclasses import replace
from typing import Any

import pytest

from tests.simulator import (
    ABSENT,
    AUTHORITY,
    ISSUER,
    NOW,
    PREFIX,
    USER,
    Members,
    Simulator,
    assemble,
    b64,
    ec_key,
    ed_key,
    jti,
    jwk,
    rsa_key,
    thumbprint,
)
from tests.verify.signed import AUTHORITY_KEY, FLOORS, KEYS, PROVEN, SIGNED, SIM, Draft, holder
from tokensvc.core.jws import SigningKey
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import Reason
from tokensvc.verify import Evidence, KeySet, RevocationList, StaticKeys

OTHER_SERVICE = "https://as.other.example"


def changed(**payload: object) -> Draft:
    draft = Draft.of()
    draft.parts[0].payload = {k: v for k, v in {**draft.parts[0].payload, **payload}.items() if v is not ABSENT}
    return draft


def with_header(**header: object) -> Draft:
    draft = Draft.of()
    draft.parts[0].header = {k: v for k, v in {**draft.parts[0].header, **header}.items() if v is not ABSENT}
    return draft


def keys(*authority: SigningKey, kid: str | None = None) -> StaticKeys:
    """The authority has these keys, the token service its own."""
    public = [key.public if kid is None else replace(key.public, kid=kid) for key in authority]
    return StaticKeys({ISSUER: KeySet([SIM.key.public]), AUTHORITY: KeySet(public)})


def test_the_control_of_every_refusal_here_is_accepted_and_reported() -> None:
    verified = Draft.of().verify()

    assert verified.root_evidence is Evidence.AUTHORITY
    assert (verified.sub, verified.chain.root.iss) == (PREFIX + USER, AUTHORITY)
    assert changed().reason() is with_header().reason() is None


@pytest.mark.parametrize("key", [ec_key("root"), ed_key("root"), rsa_key("root")], ids=lambda key: str(key.alg))
def test_a_root_is_signed_with_any_algorithm_that_the_authority_has_a_key_for(key: SigningKey) -> None:
    draft = with_header(alg=str(key.alg), kid=key.kid)
    draft.parts[0].key = key

    assert draft.reason(keys=keys(key)) is None
    assert draft.reason(keys=keys(AUTHORITY_KEY)) is Reason.ROOT_INVALID
    assert draft.reason(keys=keys(ec_key("x"), kid=key.kid)) is Reason.ROOT_INVALID


@pytest.mark.parametrize(
    "header",
    [
        {"typ": ABSENT},
        {"typ": "at+jwt"},
        {"typ": "delegation-grant+jwt"},
        {"typ": "application/delegation-root+jwt"},
        {"typ": "Delegation-Root+JWT"},
        {"typ": "JWT"},
        {"typ": None},
        {"typ": ["delegation-root+jwt"]},
        {"alg": ABSENT},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "es256"},
        {"alg": "Ed25519"},
        {"alg": "EdDSA"},
        {"alg": None},
        {"alg": ["ES256"]},
        {"kid": ABSENT},
        {"kid": "other"},
        {"kid": ""},
        {"kid": None},
        {"kid": 1},
        {"kid": {}},
        {"kid": ["root signer"]},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"jwk": jwk(AUTHORITY_KEY)},
        {"jku": AUTHORITY},
        {"cty": "JWT"},
        {"x": 1},
        {"": 1},
    ],
)
def test_a_header_that_is_not_exactly_typ_alg_and_kid_is_refused(header: Members) -> None:
    assert with_header(**header).reason() is Reason.ROOT_INVALID


@pytest.mark.parametrize("header", [b"", b"[]", b"{", b'{"typ":1,"typ":1}', b"null", b"\xff", b"[" * 100])
def test_a_header_that_is_no_strict_json_object_is_malformed(header: bytes) -> None:
    draft = Draft.of()
    draft.parts[0].header = header

    assert draft.reason() is Reason.MALFORMED


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", ISSUER),
        ("iss", AUTHORITY + "/"),
        ("iss", "https://IDP.example"),
        ("iss", OTHER_SERVICE),
        ("sub", PREFIX + USER),
        ("sub", "user-2"),
        ("sub", "USER-1"),
        ("aud", OTHER_SERVICE),
        ("aud", AUTHORITY),
        ("aud", ISSUER + "/"),
        ("aud", "planner"),
        ("actor", "mailer"),
        ("actor", "Planner"),
        ("cnf", {"jkt": thumbprint("x")}),
        ("cnf", {"jkt": holder("mailer").public.thumbprint}),
    ],
)
def test_a_root_that_names_another_of_anything_is_refused(claim: str, value: object) -> None:
    assert changed(**{claim: value}).reason() is Reason.ROOT_INVALID
    assert changed(**{claim: value}).reason(expect=SIGNED) is Reason.ROOT_INVALID


@pytest.mark.parametrize("name", sorted(Draft.of().parts[0].payload))
@pytest.mark.parametrize("value", [ABSENT, None, "", [], {}, True, -1])
def test_a_root_without_a_member_or_with_one_of_another_type_is_malformed(name: str, value: object) -> None:
    assert changed(**{name: value}).reason() is Reason.MALFORMED


@pytest.mark.parametrize("value", [[ISSUER], [ISSUER, OTHER_SERVICE]])
def test_a_root_for_several_services_is_malformed(value: object) -> None:
    assert changed(aud=value).reason() is Reason.MALFORMED


@pytest.mark.parametrize("extra", ["parent", "index", "root", "nbf", "jws", "azp", "x", "act"])
def test_a_root_with_any_other_member_is_malformed(extra: str) -> None:
    assert changed(**{extra: jti("x")}).reason() is Reason.MALFORMED


@pytest.mark.parametrize("extra", [{"x": 1}, {"iss": ISSUER}, {"sub": USER}, {"header": {}}])
def test_the_wrapper_of_a_signed_entry_has_exactly_one_member(extra: Members) -> None:
    for index in (0, 2, 3):
        draft = Draft.of()
        entries = [part.entry for part in draft.parts]
        entries[index] = {**entries[index], **extra}
        token = SIM.token({**draft.claims, "grant_chain": entries})
        assert SIM.reason(token, keys=KEYS, expect=FLOORS) is Reason.HOLDER_UNPROVEN
        draft.parts[index].key = None
        draft.parts[index].payload = entries[index]
        assert draft.reason() is Reason.MALFORMED


@pytest.mark.parametrize("first", [{"actor": "archiver"}, {"cnf": {"jkt": thumbprint("x")}}, {"cnf": ABSENT}])
def test_a_first_hop_that_is_not_the_agent_and_key_of_the_root_is_refused(first: Members) -> None:
    draft = Draft.of("planner")
    hop = {**draft.chain[1], **first}
    hop = {name: member for name, member in hop.items() if member is not ABSENT}
    draft.parts[1].payload = hop
    cnf = hop.get("cnf", ABSENT)
    draft.claims = SIM.claims([draft.chain[0], hop], cnf=cnf)

    assert draft.reason() is draft.reason(expect=SIGNED) is Reason.ROOT_INVALID


def test_a_first_hop_below_another_root_is_misaligned() -> None:
    draft = Draft.of()
    draft.parts[0] = Draft.of(root="another").parts[0]

    assert draft.reason() is Reason.CHAIN_MISALIGNED


def test_an_authority_that_is_not_trusted_for_this_issuer_is_refused() -> None:
    draft = Draft.of()
    both = replace(FLOORS, issuers=frozenset({ISSUER, OTHER_SERVICE}))

    assert draft.reason(expect=replace(FLOORS, authorities={})) is Reason.ROOT_INVALID
    assert draft.reason(expect=replace(FLOORS, authorities={(ISSUER, "https://x"): PREFIX})) is Reason.ROOT_INVALID
    elsewhere = replace(both, authorities={(OTHER_SERVICE, AUTHORITY): PREFIX})
    assert draft.reason(expect=elsewhere) is Reason.ROOT_INVALID
    assert draft.reason(expect=both) is None


def test_the_token_service_is_no_authority_of_its_own() -> None:
    draft = changed(iss=ISSUER, sub=PREFIX + USER)
    draft.parts[0].header["kid"] = SIM.key.kid
    draft.parts[0].key = SIM.key

    assert draft.reason() is draft.reason(expect=SIM.expect()) is Reason.ROOT_INVALID


@pytest.mark.parametrize("prefix", ["", "idp", "idp::", "IDP:", PREFIX + USER, PREFIX + USER[:-1]])
def test_a_user_of_an_authority_has_its_prefix_and_no_other(prefix: str) -> None:
    expect = replace(FLOORS, authorities={(ISSUER, AUTHORITY): prefix})

    assert Draft.of().reason(expect=expect) is Reason.ROOT_INVALID
    assert Draft.of().reason() is None


def test_an_empty_prefix_takes_the_users_of_the_authority_as_they_are() -> None:
    expect = replace(FLOORS, authorities={(ISSUER, AUTHORITY): ""})

    assert Draft.of(sub=USER).reason(expect=expect) is None
    assert Draft.of(sub=USER).reason() is Reason.ROOT_INVALID


def test_keys_are_found_by_authority_and_kid_together() -> None:
    draft = with_header(kid="k")
    service = replace(SIM.key.public, kid="k")
    issuer_too = StaticKeys({ISSUER: KeySet([service]), AUTHORITY: KeySet([replace(AUTHORITY_KEY.public, kid="k")])})
    token = Simulator(key=SIM.key).token(
        {**draft.claims, "grant_chain": [part.entry for part in draft.parts]}, header=SIM.header(kid="k")
    )
    assert SIM.reason(token, keys=issuer_too, expect=FLOORS, proof=None) is Reason.HOLDER_UNPROVEN
    terms: dict[str, Any] = {"expect": FLOORS, "proof": PROVEN}
    assert SIM.reason(token, keys=issuer_too, **terms) is None

    # The service signs the root with its own key of that kid.
    draft.parts[0].key = SIM.key
    forged = SIM.token({**draft.claims, "grant_chain": [p.entry for p in draft.parts]}, header=SIM.header(kid="k"))
    assert SIM.reason(forged, keys=issuer_too, **terms) is Reason.ROOT_INVALID
    only_issuer = StaticKeys({ISSUER: KeySet([service])})
    assert SIM.reason(forged, keys=only_issuer, **terms) is Reason.ROOT_INVALID


def test_a_root_whose_payload_is_changed_at_any_byte_is_refused() -> None:
    header, payload, signature = Draft.of().parts[0].entry["jws"].split(".")
    accepted = []
    for position in range(len(payload)):
        letter = "B" if payload[position] != "B" else "C"
        mutated = f"{header}.{payload[:position]}{letter}{payload[position + 1 :]}.{signature}"
        draft = Draft.of()
        draft.parts[0].key, draft.parts[0].payload = None, {"jws": mutated}
        if draft.reason() is None:
            accepted.append(position)
    assert accepted == []


@pytest.mark.parametrize("signature", [b"", b"x", bytes(64), b"x" * 64, b"x" * 63])
def test_a_root_with_another_signature_is_refused(signature: bytes) -> None:
    draft = Draft.of()
    part = draft.parts[0]
    jws = assemble(part.header, part.payload, signature)
    part.key, part.payload = None, {"jws": jws}

    assert draft.reason() is (Reason.ROOT_INVALID if signature else Reason.MALFORMED)


def test_the_ceiling_of_a_signed_root_binds_the_first_hop() -> None:
    for narrower in ({"scope": "mail.send zz"}, {"exp": NOW + 10}, {"resources": ["urn:x"]}, {"iat": NOW}):
        assert changed(**narrower).reason() is Reason.NOT_NARROWER
    assert changed(max_depth=4).reason() is Reason.NOT_NARROWER
    assert changed(max_depth=5, exp=NOW + 3600).reason() is None


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (RevocationKind.USER, PREFIX + USER),
        (RevocationKind.ISSUER, ISSUER),
        (RevocationKind.ISSUER, AUTHORITY),
        (RevocationKind.KEY, holder("planner").public.thumbprint),
        (RevocationKind.ENTRY, jti("root")),
    ],
)
def test_whoever_stands_behind_a_signed_root_can_be_revoked(kind: RevocationKind, subject: str) -> None:
    def view(name: str) -> RevocationList:
        revocation = Revocation(kind=kind, id=name, not_before=None, until=None)
        return RevocationList((revocation,), as_of=NOW, max_staleness_s=1)

    assert Draft.of().reason(revocations=view(subject)) is Reason.REVOKED
    assert Draft.of().reason(revocations=view("x")) is None
    # The authority's own name for the user is nobody here.
    assert Draft.of().reason(revocations=view(USER)) is None


def test_a_jws_that_is_none_is_malformed() -> None:
    none: list[object] = ["a.b.c", "", "..", f"{b64(b'{}')}..", None, 1, {}, ["x"]]
    for jws in none:
        draft = Draft.of()
        draft.parts[0].key, draft.parts[0].payload = None, {"jws": jws}
        assert draft.reason() is Reason.MALFORMED
