from dataclasses import replace

import pytest

from tests.simulator import API, FILES, ISSUER, NOW, SCOPE, USER, Simulator, ec_key, ed_key, jti, rsa_key
from tokensvc.core.jws import SigningKey
from tokensvc.errors import AccessDenied, Reason
from tokensvc.verify import Evidence, Expectation, KeySet, StaticKeys, UncheckedStep

SIM = Simulator()
ACTORS = [f"agent-{number}" for number in range(1, 11)]


def test_a_verified_token_says_who_acts_for_whom_and_how_that_came_about() -> None:
    token = SIM.token(SIM.claims(SIM.chain("planner", "mailer")))

    verified = SIM.verify(token)

    assert (verified.iss, verified.sub, verified.audience) == (ISSUER, USER, API)
    assert verified.actors == ("mailer", "planner")
    assert verified.actor == "mailer"
    assert verified.scope == {"crm.write", "files.read", "mail.send"}
    assert (verified.iat, verified.exp, verified.jti) == (NOW - 10, NOW + 300, jti("token"))
    assert (verified.depth, verified.lineage) == (2, jti("root"))
    assert [hop.actor for hop in verified.chain.hops] == ["planner", "mailer"]
    assert (verified.root_evidence, verified.hop_evidence) == (Evidence.ISSUER, (Evidence.ISSUER, Evidence.ISSUER))
    assert verified.not_performed == {UncheckedStep.REVOCATION}
    assert not verified.is_exchange_only


@pytest.mark.requirement("RFC9068-RS256")
@pytest.mark.parametrize(
    "key", [ec_key("service"), ed_key("service"), rsa_key("service")], ids=["ES256", "Ed25519", "RS256"]
)
def test_a_token_under_any_of_the_algorithms_is_accepted(key: SigningKey) -> None:
    sim = Simulator(key=key)

    assert sim.reason(sim.token(sim.claims(sim.chain("planner")))) is None


@pytest.mark.requirement("RFC9068-TYP")
@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "Application/at+JWT"])
def test_both_spellings_of_the_type_are_accepted_in_any_case(typ: str) -> None:
    claims = SIM.claims(SIM.chain("planner"))

    assert SIM.reason(SIM.token(claims, header=SIM.header(typ=typ))) is None


def test_members_of_header_and_payload_may_stand_in_any_order() -> None:
    claims = SIM.claims(SIM.chain("planner"))
    backwards = dict(reversed(claims.items()))
    header = dict(reversed(SIM.header().items()))

    assert SIM.reason(SIM.token(backwards, header=header)) is None


@pytest.mark.requirement("JWT-UNKNOWN-CLAIMS")
def test_claims_that_the_profile_does_not_name_are_ignored() -> None:
    extra = {
        "scp": ["admin"],
        "may_act": {"sub": "x"},
        "azp": 5,
        "x": {"scope": "admin"},
        "Scope": "admin",
        "auth_time": "no",
    }

    verified = SIM.verify(SIM.token(SIM.claims(SIM.chain("planner"), **extra)))

    assert verified == SIM.verify(SIM.token(SIM.claims(SIM.chain("planner"))))


@pytest.mark.parametrize("depth", range(1, 11))
def test_chains_of_every_depth_up_to_the_hard_cap_are_accepted(depth: int) -> None:
    root = SIM.root(scope=" ".join(f"s{number}" for number in range(11)), max_depth=10)
    token = SIM.token(SIM.claims(SIM.chain(*ACTORS[:depth], root=root)))

    verified = SIM.verify(token, expect=replace(SIM.expect(), max_depth=10))

    assert verified.depth == depth
    assert verified.actors == tuple(reversed(ACTORS[:depth]))


def test_an_agent_may_narrow_its_own_grant_and_then_delegate() -> None:
    token = SIM.token(SIM.claims(SIM.chain("planner", "planner", "mailer", "mailer")))

    assert SIM.verify(token).actors == ("mailer", "mailer", "planner", "planner")


def test_a_bound_hop_below_bearer_hops_is_part_of_a_good_chain_but_needs_a_proof() -> None:
    chain = SIM.chain("planner", "mailer")
    bound = {**chain[2], "cnf": {"jkt": ec_key("mailer").public.thumbprint}}

    assert SIM.reason(SIM.token(SIM.claims([*chain[:2], bound]))) is Reason.TOKEN_EXCEEDS_GRANT
    assert SIM.reason(SIM.token(SIM.claims([*chain[:2], bound], cnf=bound["cnf"]))) is Reason.HOLDER_UNPROVEN
    assert SIM.reason(SIM.token(SIM.claims(chain))) is None


@pytest.mark.parametrize("aud", [API, FILES])
def test_a_token_is_for_one_of_the_expected_audiences(aud: str) -> None:
    expect = Expectation.bearer(issuers=[ISSUER], audiences=[API, FILES])

    assert SIM.verify(SIM.token(SIM.claims(SIM.chain("planner"), aud=aud)), expect=expect).audience == aud


def test_a_token_for_the_issuer_is_for_exchange_only_and_allows_no_call() -> None:
    token = SIM.token(SIM.claims(SIM.chain("planner"), aud=ISSUER))

    verified = SIM.verify(token, expect=Expectation.bearer(issuers=[ISSUER], audiences=[ISSUER]))

    assert verified.is_exchange_only
    with pytest.raises(AccessDenied) as denied:
        verified.require(scope="crm.read")
    assert denied.value.reason is Reason.INSUFFICIENT_SCOPE
    assert SIM.reason(token) is Reason.WRONG_AUDIENCE


def test_two_issuers_with_one_kid_have_each_their_own_key() -> None:
    ours = Simulator()
    theirs = Simulator(iss="https://as.other.example", key=ec_key("theirs"))
    expect = Expectation.bearer(issuers=[ours.iss, theirs.iss], audiences=[API])
    keys = StaticKeys({
        ours.iss: KeySet([replace(ours.key.public, kid="k")]),
        theirs.iss: KeySet([replace(theirs.key.public, kid="k")]),
    })  # fmt: skip

    def reason(sim: Simulator, iss: str) -> Reason | None:
        chain = sim.chain("planner", root=sim.root(iss=iss))
        return sim.reason(sim.token(sim.claims(chain, iss=iss), header=sim.header(kid="k")), expect=expect, keys=keys)

    assert reason(ours, ours.iss) is None
    assert reason(theirs, theirs.iss) is None
    assert reason(ours, theirs.iss) is Reason.BAD_SIGNATURE
    assert reason(theirs, ours.iss) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("scope", ["crm.read", "crm.read mail.send", "mail.send crm.read"])
def test_a_call_within_the_scope_is_allowed(scope: str) -> None:
    SIM.verify(SIM.token(SIM.claims(SIM.chain("planner")))).require(scope=scope)


@pytest.mark.requirement("BEARER-INSUFFICIENT-SCOPE")
@pytest.mark.parametrize(
    "scope",
    [
        "crm.delete",
        "crm.read crm.delete",
        "crm",
        "crm.rea",
        "crm.readx",
        "CRM.READ",
        "crm.*",
        "*",
        "",
        " ",
        "crm.read crm.read",
    ],
)
def test_a_call_beyond_the_scope_is_denied(scope: str) -> None:
    verified = SIM.verify(SIM.token(SIM.claims(SIM.chain("planner"))))

    with pytest.raises(AccessDenied) as denied:
        verified.require(scope=scope)
    assert denied.value.reason is Reason.INSUFFICIENT_SCOPE
    assert set(SCOPE.split()) - verified.scope == {"crm.delete"}
