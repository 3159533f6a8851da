from typing import Any

import pytest

from tests.simulator import ABSENT, Members, Simulator, act
from tokensvc.errors import Reason

SIM = Simulator()
CHAIN = SIM.chain("planner", "mailer", "printer")
ACT = act("printer", "mailer", "planner")


def reason(value: object, **claims: object) -> Reason | None:
    return SIM.reason(SIM.token(SIM.claims(CHAIN, act=value, **claims)))


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert reason(ACT) is None


@pytest.mark.requirement("TE-ACT-OBJECT")
@pytest.mark.parametrize(
    "value",
    [ABSENT, None, "printer", 1, True, [], [ACT], {}, {"act": ACT}, {"sub": ""}, {"sub": None}, {"sub": ["printer"]}],
)
def test_an_act_that_is_no_object_with_a_sub_is_refused(value: object) -> None:
    assert reason(value) is Reason.MALFORMED


@pytest.mark.requirement("TE-ACT-MEMBERS")
@pytest.mark.parametrize(
    "extra", ["exp", "nbf", "iat", "aud", "scope", "iss", "client_id", "cnf", "may_act", "", "Sub"]
)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_an_act_with_any_other_member_is_refused_at_every_level(extra: str, level: int) -> None:
    changed: Members = act("printer", "mailer", "planner")
    inner = changed
    for _ in range(level):
        inner = inner["act"]
    inner[extra] = "x"

    assert reason(changed) is Reason.MALFORMED


@pytest.mark.parametrize("inner", [None, "mailer", 0, False, [], {}, [act("mailer", "planner")], {"sub": 1}])
def test_a_prior_actor_that_is_no_object_with_a_sub_is_refused(inner: Any) -> None:  # noqa: ANN401 - wrong types too
    assert reason({"sub": "printer", "act": inner}) is Reason.MALFORMED


@pytest.mark.requirement("TE-ACT-NESTED")
@pytest.mark.parametrize(
    "actors",
    [
        ("printer",),
        ("printer", "mailer"),
        ("printer", "planner"),
        ("mailer", "planner"),
        ("planner", "mailer", "printer"),
        ("printer", "planner", "mailer"),
        ("mailer", "printer", "planner"),
        ("printer", "mailer", "planner", "planner"),
        ("printer", "printer", "mailer", "planner"),
        ("printer", "mailer", "planner", "admin"),
        ("admin", "printer", "mailer", "planner"),
        ("admin", "mailer", "planner"),
        ("printer", "admin", "planner"),
        ("Printer", "mailer", "planner"),
        ("printer ", "mailer", "planner"),
        ("pr\u0456nter", "mailer", "planner"),
    ],
)
def test_actors_that_are_not_exactly_those_of_the_chain_are_refused(actors: tuple[str, ...]) -> None:
    assert reason(act(*actors)) is Reason.CHAIN_MISALIGNED
    assert reason(act(*actors), client_id=actors[0]) is Reason.CHAIN_MISALIGNED


def test_as_many_actors_as_the_hard_cap_are_read_and_no_more() -> None:
    assert reason(act(*[f"a{number}" for number in range(10)])) is Reason.CHAIN_MISALIGNED
    assert reason(act(*[f"a{number}" for number in range(11)])) is Reason.MALFORMED


def test_ten_thousand_nested_actors_are_refused_before_any_key_is_sought() -> None:
    class CountingKeys:
        calls = 0

        def find(self, iss: str, kid: str) -> None:
            type(self).calls += 1
            raise AssertionError((iss, kid))

    nested = b'{"act":' * 10_000 + b'"x"' + b"}" * 10_000
    token = SIM.token(b'{"iss":"' + SIM.iss.encode() + b'","act":' + nested + b"}")

    assert SIM.reason(token, keys=CountingKeys()) is Reason.TOO_LARGE
    nested = b'{"act":' * 1_000 + b'"x"' + b"}" * 1_000
    token = SIM.token(b'{"iss":"' + SIM.iss.encode() + b'","act":' + nested + b"}")
    assert SIM.reason(token, keys=CountingKeys()) is Reason.MALFORMED
    assert CountingKeys.calls == 0


def test_a_may_act_says_nothing_to_a_resource() -> None:
    assert reason(ACT, may_act={"sub": "somebody-else"}) is None
