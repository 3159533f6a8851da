from dataclasses import replace
from typing import Any

import pytest

from tests.simulator import NOW, Simulator
from tokensvc.errors import Reason
from tokensvc.verify import LifetimeOnly, UncheckedStep
from tokensvc.verify.verifier import unsafe_verify_token_of_any_age

SIM = Simulator()
CHAIN = SIM.chain("planner")
LEEWAY = SIM.expect().leeway_s


def reason(*, now: int = NOW, leeway_s: int = LEEWAY, **claims: object) -> Reason | None:
    return SIM.reason(SIM.token(SIM.claims(CHAIN, **claims)), now=now, expect=replace(SIM.expect(), leeway_s=leeway_s))


@pytest.mark.requirement("JWT-EXP")
@pytest.mark.parametrize("leeway", [0, 1, 30, 60])
def test_a_token_is_expired_from_its_exp_on_with_leeway_for_clocks(leeway: int) -> None:
    assert reason(exp=NOW, now=NOW + leeway, leeway_s=leeway) is Reason.EXPIRED
    assert reason(exp=NOW, now=NOW + leeway - 1, leeway_s=leeway) is None
    assert reason(exp=NOW, now=NOW + 10**12, leeway_s=leeway) is Reason.EXPIRED


@pytest.mark.requirement("JWT-NBF")
@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize("leeway", [0, 30])
def test_a_token_from_the_future_is_refused_with_leeway_for_clocks(claim: str, leeway: int) -> None:
    assert reason(**{claim: NOW + leeway}, leeway_s=leeway) is None
    assert reason(**{claim: NOW + leeway + 1}, leeway_s=leeway) is Reason.NOT_YET_VALID


def test_a_token_that_is_both_expired_and_from_the_future_is_expired() -> None:
    assert reason(iat=NOW + 1000, exp=NOW - 1000) is Reason.EXPIRED


def test_without_revocations_a_token_of_a_long_life_is_refused() -> None:
    token = SIM.token(SIM.claims(CHAIN, iat=NOW, exp=NOW + 301))

    assert SIM.reason(token, revocations=LifetimeOnly(max_s=300)) is Reason.LIFETIME_EXCEEDED
    assert SIM.reason(token, revocations=LifetimeOnly(max_s=301)) is None


@pytest.mark.parametrize("max_s", [0, -1, True, 1.5, "300", None, float("nan")])
def test_a_lifetime_that_is_no_positive_number_of_seconds_is_no_term(max_s: Any) -> None:  # noqa: ANN401 - wrong types too
    with pytest.raises(ValueError, match="positive"):
        LifetimeOnly(max_s=max_s)


@pytest.mark.parametrize("now", [float(NOW), float("nan"), True, str(NOW), None])
def test_a_time_that_is_no_integer_is_a_fault_of_the_caller(now: object) -> None:
    token = SIM.token(SIM.claims(CHAIN))

    with pytest.raises(TypeError):
        SIM.verify(token, now=now)
    assert SIM.reason(token, now=NOW) is None


def test_no_entry_outlives_the_one_above_so_none_can_expire_before_the_token() -> None:
    chain = SIM.chain("planner", "mailer")
    chain[1]["exp"] = NOW + 100
    assert SIM.reason(SIM.token(SIM.claims(chain, exp=NOW + 100))) is Reason.NOT_NARROWER

    chain[2]["exp"] = NOW + 100
    assert SIM.reason(SIM.token(SIM.claims(chain, exp=NOW + 101))) is Reason.TOKEN_EXCEEDS_GRANT
    assert SIM.reason(SIM.token(SIM.claims(chain, exp=NOW + 100))) is None


def test_a_token_of_any_age_is_read_where_that_is_asked_for_and_says_so() -> None:
    def read(**claims: object) -> frozenset[UncheckedStep]:
        return unsafe_verify_token_of_any_age(
            SIM.token(SIM.claims(CHAIN, **claims)),
            keys=SIM.keys(),
            expect=SIM.expect(),
            now=NOW + 10**6,
            revocations=LifetimeOnly(max_s=900),
        ).not_performed

    assert read() == {UncheckedStep.EXPIRY, UncheckedStep.REVOCATION}
    assert SIM.reason(SIM.token(SIM.claims(CHAIN)), now=NOW + 10**6) is Reason.EXPIRED
    for change, refused in (({"iat": NOW + 2 * 10**6}, Reason.NOT_YET_VALID), ({"aud": "x"}, Reason.WRONG_AUDIENCE)):
        token = SIM.token(SIM.claims(CHAIN, **change))
        with pytest.raises(Exception, match=refused):
            unsafe_verify_token_of_any_age(
                token, keys=SIM.keys(), expect=SIM.expect(), now=NOW + 10**6, revocations=LifetimeOnly(max_s=900)
            )
