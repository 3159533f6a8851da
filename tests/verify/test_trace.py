"""How far a verification came, for whoever explains it."""

import pytest

from tests.simulator import NOW, Simulator, assemble
from tests.verify.signed import FLOORS, KEYS, PROVEN, Draft
from tokensvc.errors import TokenRefused
from tokensvc.verify import LifetimeOnly
from tokensvc.verify.verifier import Trace, _Terms, _verify

SIM = Simulator()


def traced(token: str) -> Trace:
    terms = _Terms(
        keys=KEYS,
        expect=FLOORS,
        now=NOW,
        revocations=LifetimeOnly(max_s=900),
        proof=PROVEN,
        check_expiry=True,
    )
    trace = Trace()
    with pytest.raises(TokenRefused):
        _verify(token, terms, trace)
    return trace


def test_nothing_of_a_token_is_kept_before_its_signature_verified() -> None:
    claims = SIM.claims(SIM.chain("planner"))

    assert traced("x") == Trace(step=1)
    assert traced(assemble(SIM.header(typ="JWT"), claims, b"x")) == Trace(step=2)
    assert traced(assemble(SIM.header(), claims, b"x" * 64)) == Trace(step=4)


def test_the_step_and_the_hop_that_failed_are_told() -> None:
    draft = Draft.of()
    draft.parts[3].payload["index"] = 2
    trace = traced(draft.token())

    assert (trace.step, trace.hop) == (12, 3)
    assert trace.claims is not None
    assert trace.delegation is not None
    assert trace.delegation.chain.actors == trace.delegation.act
    unparsed = traced(SIM.token({"iss": SIM.iss}))
    assert unparsed == Trace(step=5)
