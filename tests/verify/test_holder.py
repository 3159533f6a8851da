"""Tokens that are bound to a key: step 8, the sender holds it, and step 13, the last hop is bound to it as well."""

from dataclasses import replace
from typing import Any, Final

import pytest

from tests.proofs import HOLDER, judge, proof
from tests.simulator import ABSENT, API, ISSUER, Members, Simulator, ec_key, ed_key, rsa_key, thumbprint
from tokensvc.core.jws import SigningKey
from tokensvc.errors import Reason
from tokensvc.verify import ClientCertificate, Expectation, HolderFloor, VerifiedProof
from tokensvc.verify.revocations import UnsafeRevocationElsewhere
from tokensvc.verify.verified import UncheckedStep
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream, unsafe_verify_token_of_any_age

SIM = Simulator()
PROVEN = UnsafeHolderProvenUpstream()
KEY = {"jkt": thumbprint("planner")}
OTHER = {"jkt": thumbprint("other")}
CERTIFICATE = {"x5t#S256": thumbprint("planner")}
CLIENT: Final = ClientCertificate.of(b"the DER of a certificate")
BY_KEY: Final = {"jkt": HOLDER.public.thumbprint}
BY_CERTIFICATE: Final = {"x5t#S256": CLIENT.thumbprint}
STRICT: Final = replace(SIM.expect(), holder=HolderFloor.PROOF)


def token(*keys: Members | None, cnf: object = ABSENT) -> str:
    """A token bound to `cnf` whose hops are bound to `keys`."""
    chain = [SIM.root()]
    for index, key in enumerate(keys):
        chain.append(SIM.hop(chain[-1], f"agent-{index}", cnf=ABSENT if key is None else key))
    return SIM.token(SIM.claims(chain, cnf=cnf))


@pytest.mark.parametrize("cnf", [KEY, CERTIFICATE])
def test_a_bound_token_without_a_proof_is_refused(cnf: Members) -> None:
    assert SIM.reason(token(None, cnf=cnf)) is Reason.HOLDER_UNPROVEN
    assert SIM.reason(token(None, cnf=cnf), proof=PROVEN) is None
    assert SIM.reason(token(None)) is None


def test_a_proof_upstream_is_reported_as_not_checked_here() -> None:
    bound, free = (SIM.verify(token(None, cnf=cnf), proof=PROVEN) for cnf in (KEY, ABSENT))

    assert bound.not_performed == {UncheckedStep.REVOCATION, UncheckedStep.HOLDER}
    assert bound.cnf == ("jkt", thumbprint("planner"))
    assert free.not_performed == {UncheckedStep.REVOCATION}
    assert free.cnf is None


@pytest.mark.parametrize("proof", ["", "a.b.c", True, False, 0, b"x", {}, UnsafeHolderProvenUpstream, object()])
@pytest.mark.parametrize("cnf", [KEY, ABSENT])
def test_nothing_else_counts_as_a_proof(proof: Any, cnf: object) -> None:  # noqa: ANN401 - of any type
    with pytest.raises(TypeError):
        SIM.verify(token(None, cnf=cnf), proof=proof)


def test_of_a_token_of_any_age_no_proof_is_looked_at_and_it_says_so() -> None:
    bound = unsafe_verify_token_of_any_age(
        token(None, cnf=KEY),
        keys=SIM.keys(),
        expect=SIM.expect(),
        now=2_000_000_000,
        revocations=UnsafeRevocationElsewhere(),
    )
    assert bound.not_performed == {UncheckedStep.HOLDER, UncheckedStep.EXPIRY, UncheckedStep.REVOCATION}


@pytest.mark.parametrize(
    ("hops", "cnf", "reason"),
    [
        ([KEY], KEY, None),
        ([KEY], ABSENT, Reason.TOKEN_EXCEEDS_GRANT),
        ([KEY], OTHER, Reason.TOKEN_EXCEEDS_GRANT),
        ([KEY], CERTIFICATE, Reason.TOKEN_EXCEEDS_GRANT),
        ([None], KEY, None),
        ([None], CERTIFICATE, None),
        ([None, KEY], KEY, None),
        ([None, KEY], ABSENT, Reason.TOKEN_EXCEEDS_GRANT),
        ([KEY, OTHER], OTHER, None),
        ([KEY, OTHER], KEY, Reason.TOKEN_EXCEEDS_GRANT),
        ([KEY, KEY], KEY, None),
        ([KEY, None], ABSENT, Reason.NOT_NARROWER),
        ([KEY, None], KEY, Reason.NOT_NARROWER),
        ([None, KEY, None], KEY, Reason.NOT_NARROWER),
        ([None, None], KEY, None),
    ],
)
def test_the_token_is_bound_as_its_last_hop_and_a_bound_hop_has_bound_hops_below(
    hops: list[Members | None], cnf: object, reason: Reason | None
) -> None:
    assert SIM.reason(token(*hops, cnf=cnf), proof=PROVEN) is reason


def test_a_bound_exchange_only_token_needs_its_proof_too() -> None:
    chain = [SIM.root()]
    chain.append(SIM.hop(chain[0], "planner", cnf=KEY))
    exchange_only = SIM.token(SIM.claims(chain, aud=ISSUER, cnf=KEY))
    expect = Expectation.bearer(issuers=[ISSUER], audiences=[ISSUER])

    assert SIM.reason(exchange_only, expect=expect) is Reason.HOLDER_UNPROVEN
    assert SIM.verify(exchange_only, expect=expect, proof=PROVEN).is_exchange_only


# A proof


def prove(text: str | None, key: SigningKey = HOLDER) -> VerifiedProof:
    return judge(proof(text, key=key))


@pytest.mark.parametrize("expect", [SIM.expect(), STRICT], ids=["bearer", "proof"])
@pytest.mark.parametrize("bound_hop", [False, True])
@pytest.mark.requirement("DPOP-ATH")
def test_a_token_is_taken_with_the_proof_of_its_key_that_names_it(expect: Expectation, bound_hop: bool) -> None:
    text = token(BY_KEY if bound_hop else None, cnf=BY_KEY)
    verified = SIM.verify(text, expect=expect, proof=prove(text))

    assert verified.cnf == ("jkt", HOLDER.public.thumbprint)
    assert verified.not_performed == {UncheckedStep.REVOCATION}
    for wrong in (None, prove(text, ec_key("thief")), prove(None), prove(text + "x"), prove(token(None)), CLIENT):
        assert SIM.reason(text, expect=expect, proof=wrong) is Reason.HOLDER_UNPROVEN


@pytest.mark.parametrize("make_key", [ec_key, ed_key, rsa_key])
def test_a_key_of_each_kind_may_hold_a_token(make_key: Any) -> None:  # noqa: ANN401 - a cached function
    key = make_key("agent")
    text = token(None, cnf={"jkt": key.public.thumbprint})
    assert SIM.reason(text, proof=prove(text, key)) is None
    assert SIM.reason(text, proof=prove(text, make_key("other"))) is Reason.HOLDER_UNPROVEN


@pytest.mark.parametrize("expect", [SIM.expect(), STRICT], ids=["bearer", "proof"])
def test_a_token_is_taken_over_the_connection_whose_certificate_it_names(expect: Expectation) -> None:
    text = token(None, cnf=BY_CERTIFICATE)
    verified = SIM.verify(text, expect=expect, proof=CLIENT)

    assert verified.cnf == ("x5t#S256", CLIENT.thumbprint)
    assert verified.not_performed == {UncheckedStep.REVOCATION}
    for wrong in (None, ClientCertificate.of(b"another"), prove(text)):
        assert SIM.reason(text, expect=expect, proof=wrong) is Reason.HOLDER_UNPROVEN


def test_a_thumbprint_of_one_kind_is_not_one_of_the_other() -> None:
    by_key = token(None, cnf=BY_KEY)
    as_key = token(None, cnf={"jkt": CLIENT.thumbprint})
    as_certificate = token(None, cnf={"x5t#S256": HOLDER.public.thumbprint})

    assert SIM.reason(as_key, proof=CLIENT) is Reason.HOLDER_UNPROVEN
    assert SIM.reason(as_certificate, proof=prove(as_certificate)) is Reason.HOLDER_UNPROVEN
    same = ClientCertificate(thumbprint=HOLDER.public.thumbprint)
    assert SIM.reason(by_key, proof=same) is Reason.HOLDER_UNPROVEN
    assert SIM.reason(by_key, proof=prove(by_key)) is None


@pytest.mark.requirement("CNF-PROOF")
def test_a_token_bound_to_no_key_goes_without_a_proof_and_with_any_certificate() -> None:
    text = token(None)
    assert SIM.reason(text, proof=prove(text)) is Reason.HOLDER_UNPROVEN
    assert SIM.reason(text, proof=prove(None)) is Reason.HOLDER_UNPROVEN
    for proof_of_connection in (None, CLIENT, PROVEN):
        assert SIM.reason(text, proof=proof_of_connection) is None


def test_where_a_proof_is_required_a_token_bound_to_no_key_is_refused_whatever_comes_with_it() -> None:
    text, bound = token(None), token(None, cnf=BY_KEY)
    for anything in (None, prove(text), CLIENT, PROVEN):
        assert SIM.reason(text, expect=STRICT, proof=anything) is Reason.HOLDER_UNPROVEN
    assert SIM.verify(bound, expect=STRICT, proof=PROVEN).not_performed == {
        UncheckedStep.REVOCATION,
        UncheckedStep.HOLDER,
    }


def test_the_holder_is_judged_after_the_audience_and_before_the_chain() -> None:
    chain = SIM.chain("planner")
    elsewhere = SIM.token(SIM.claims(chain, aud="https://other.example", cnf=BY_KEY))
    chainless = SIM.token(SIM.claims(chain, cnf=BY_KEY, grant_chain=ABSENT))

    assert SIM.reason(elsewhere) is Reason.WRONG_AUDIENCE
    assert SIM.reason(chainless) is Reason.HOLDER_UNPROVEN
    assert SIM.reason(chainless, proof=prove(chainless)) is Reason.CHAIN_MISSING
    assert API in SIM.expect().audiences
