from copy import deepcopy
from typing import Any

import pytest

from tests.simulator import ABSENT, API, NOW, Members, Simulator, jti, thumbprint
from tokensvc.errors import Reason

SIM = Simulator()
CHAIN = SIM.chain("planner", "mailer")


def reason(chain: object, **claims: object) -> Reason | None:
    return SIM.reason(SIM.token(SIM.claims(CHAIN, grant_chain=chain, **claims)))


def with_member(index: int, name: str, value: object) -> list[Members]:
    chain = deepcopy(CHAIN)
    if value is ABSENT:
        del chain[index][name]
    else:
        chain[index][name] = value
    return chain


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert reason(CHAIN) is None


@pytest.mark.parametrize(
    "value", [None, "x", 1, True, {}, [], [CHAIN], [[], []], CHAIN[:1], [CHAIN[0], None], [CHAIN[0], "x"]]
)
def test_a_chain_that_is_no_array_of_a_root_and_hops_is_refused(value: object) -> None:
    assert reason(value) is Reason.MALFORMED


def test_a_chain_longer_than_the_hard_cap_is_refused() -> None:
    assert reason([CHAIN[0], *[CHAIN[1]] * 10]) is Reason.CHAIN_MISALIGNED
    assert reason([CHAIN[0], *[CHAIN[1]] * 11]) is Reason.MALFORMED


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_entry_without_any_one_of_its_members_is_refused(index: int) -> None:
    for name in CHAIN[index]:
        assert (name, reason(with_member(index, name, ABSENT))) == (name, Reason.MALFORMED)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize(
    "extra", ["nbf", "aud", "tools", "authorization_details", "Scope", "", "x", "jws", "index", "root"]
)
def test_an_entry_with_any_other_member_is_refused(index: int, extra: str) -> None:
    assert reason(with_member(index, extra, "x")) is Reason.MALFORMED


@pytest.mark.parametrize(("index", "extra"), [(0, "actor"), (0, "cnf"), (0, "parent"), (1, "iss"), (1, "sub")])
def test_a_root_has_no_members_of_a_hop_nor_a_hop_those_of_a_root(index: int, extra: str) -> None:
    assert reason(with_member(index, extra, jti("x"))) is Reason.MALFORMED


@pytest.mark.parametrize("value", ["", None, 1, True, [], ["x"], {}])
@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "iss"),
        (0, "sub"),
        (0, "jti"),
        (0, "scope"),
        (1, "actor"),
        (1, "scope"),
        (1, "jti"),
        (2, "parent"),
        (2, "scope"),
    ],
)
def test_a_member_that_must_be_text_and_is_not_is_refused(index: int, name: str, value: object) -> None:
    assert reason(with_member(index, name, value)) is Reason.MALFORMED


@pytest.mark.parametrize("value", [None, True, -1, 1.5, float(NOW), "", "5", [], [5], {}])
@pytest.mark.parametrize("name", ["iat", "exp", "max_depth"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_member_that_must_be_an_integer_and_is_not_is_refused(index: int, name: str, value: object) -> None:
    assert reason(with_member(index, name, value)) is Reason.MALFORMED


@pytest.mark.requirement("URI-ABSOLUTE", "URI-NO-FRAGMENT")
@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        "",
        API,
        {},
        [None],
        [""],
        [1],
        [[API]],
        [API, API],
        ["*"],
        ["crm"],
        ["/api"],
        [API + "#x"],
        [API, "x y"],
        [API, ""],
    ],
)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_resources_that_are_no_list_of_different_absolute_uris_are_refused(index: int, value: object) -> None:
    assert reason(with_member(index, "resources", value)) is Reason.MALFORMED


@pytest.mark.parametrize("value", ["read read", " read", "read  write", 'a"b', ["read"], "read\n"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_entry_whose_scope_is_none_is_refused(index: int, value: object) -> None:
    assert reason(with_member(index, "scope", value)) is Reason.MALFORMED


@pytest.mark.parametrize(
    "value", ["x", jti("x") + "A", jti("x")[:-1], jti("x")[:-1] + "B", jti("x")[:-1] + "=", jti("x") + "\n"]
)
@pytest.mark.parametrize(("index", "name"), [(0, "jti"), (1, "jti"), (1, "parent"), (2, "jti"), (2, "parent")])
def test_an_entry_identifier_that_is_not_128_bits_is_refused(index: int, name: str, value: str) -> None:
    assert reason(with_member(index, name, value)) is Reason.MALFORMED


CNF: list[Any] = [
    None,
    {},
    [],
    "x",
    thumbprint("x"),
    {"jkt": None},
    {"jkt": ""},
    {"jkt": "x"},
    {"jkt": thumbprint("x") + "="},
    {"jkt": thumbprint("x"), "x": 1},
    {"jwk": {}},
    {"x5t#S256": thumbprint("x")},
    {"jkt": thumbprint("x"), "jwk": {}},
]


@pytest.mark.parametrize("value", CNF)
def test_a_hop_bound_to_anything_but_one_thumbprint_is_refused(value: object) -> None:
    assert reason(with_member(1, "cnf", value)) is Reason.MALFORMED
    # The control is refused only much later: its own shape is good.
    assert reason(with_member(1, "cnf", {"jkt": thumbprint("x")})) is Reason.NOT_NARROWER


@pytest.mark.parametrize("jws", ["a.b.c", "", None, 1, {}])
def test_a_signed_entry_that_is_no_jws_is_refused(jws: object) -> None:
    assert reason([{"jws": jws}, *CHAIN[1:]]) is Reason.MALFORMED
    assert reason([CHAIN[0], {"jws": jws}, CHAIN[2]]) is Reason.MALFORMED
    assert reason([*CHAIN[:2], {"jws": jws}]) is Reason.MALFORMED


def test_an_entry_is_never_both_plain_and_signed() -> None:
    for index in (0, 1, 2):
        assert reason(with_member(index, "jws", "a.b.c")) is Reason.MALFORMED


@pytest.mark.parametrize("details", [[], None, {}, "x", [1], [{}], [{"type": "x"}, {"type": "x"}], [{"type": ""}]])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_authorization_details_that_state_nothing_or_are_none_are_refused(index: int, details: object) -> None:
    assert reason(CHAIN, authorization_details=details) is Reason.MALFORMED
    assert reason(with_member(index, "authorization_details", details)) is Reason.MALFORMED
