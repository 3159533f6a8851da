"""Tokens that are bound to a key (TOKEN.md section 4, steps 8 and 13)."""

from typing import Any

import pytest

from tests.simulator import ABSENT, ISSUER, Members, Simulator, thumbprint
from tokensvc.errors import Reason
from tokensvc.verify import Expectation
from tokensvc.verify.verified import UncheckedStep
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream, unsafe_verify_token_of_any_age

SIM = Simulator()
PROVEN = UnsafeHolderProvenUpstream()
KEY = {"jkt": thumbprint("planner")}
OTHER = {"jkt": thumbprint("other")}
CERTIFICATE = {"x5t#S256": thumbprint("planner")}


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


def test_a_token_of_any_age_that_is_bound_needs_a_proof_all_the_same() -> None:
    terms = {"keys": SIM.keys(), "expect": SIM.expect(), "now": 2_000_000_000, "revocations": None}
    with pytest.raises(Exception, match="holder_unproven"):
        unsafe_verify_token_of_any_age(token(None, cnf=KEY), **terms)  # type: ignore[arg-type]


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
