from copy import deepcopy

import pytest

from tests.simulator import ISSUER, Members, Simulator, act, jti
from tokensvc.errors import Reason

SIM = Simulator()


def chain(*actors: str) -> list[Members]:
    return SIM.chain(*(actors or ("planner", "mailer", "printer")))


def reason(entries: list[Members], **claims: object) -> Reason | None:
    return SIM.reason(SIM.token(SIM.claims(entries, **claims)))


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert reason(chain()) is None


def test_a_hop_spliced_from_another_lineage_is_refused() -> None:
    ours = chain()
    theirs = SIM.chain("planner", "mailer", "printer", root=SIM.root(jti=jti("another root")))
    assert reason(theirs) is None

    for cut in (1, 2, 3):
        assert reason([*ours[:cut], *theirs[cut:]]) is Reason.CHAIN_MISALIGNED
        assert reason([*theirs[:cut], *ours[cut:]]) is Reason.CHAIN_MISALIGNED


def test_a_hop_spliced_from_a_sibling_is_refused() -> None:
    ours = chain("planner", "mailer")
    sibling = chain("planner", "archiver")
    below_sibling = SIM.hop(sibling[2], "printer")

    assert reason([*sibling, below_sibling]) is None
    assert reason([*ours, below_sibling]) is Reason.CHAIN_MISALIGNED


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 3), (1, 3)])
def test_reordered_hops_are_refused_whether_or_not_act_follows(first: int, second: int) -> None:
    entries = chain()
    entries[first], entries[second] = entries[second], entries[first]

    assert reason(entries) is Reason.CHAIN_MISALIGNED
    assert reason(chain(), grant_chain=entries) is Reason.CHAIN_MISALIGNED


def test_a_root_that_is_not_first_is_refused() -> None:
    entries = chain()

    assert reason(entries, grant_chain=[entries[1], entries[0], *entries[2:]]) is Reason.MALFORMED
    assert reason(entries, grant_chain=entries[::-1]) is Reason.MALFORMED


@pytest.mark.parametrize("dropped", [1, 2])
def test_a_chain_without_one_of_its_inner_hops_is_refused(dropped: int) -> None:
    entries = chain()
    del entries[dropped]

    assert reason(entries) is Reason.CHAIN_MISALIGNED


def test_a_chain_without_its_root_or_with_two_is_refused() -> None:
    entries = chain()

    assert reason(entries, grant_chain=entries[1:]) is Reason.MALFORMED
    assert reason(entries, grant_chain=[entries[0], *entries]) is Reason.MALFORMED


def test_a_hop_that_stands_twice_is_refused() -> None:
    entries = chain("planner", "mailer")
    doubled = [*entries, deepcopy(entries[2])]

    assert reason(doubled) is Reason.CHAIN_MISALIGNED
    doubled[3]["parent"] = entries[2]["jti"]
    assert reason(doubled) is Reason.CHAIN_MISALIGNED


@pytest.mark.parametrize(("index", "other"), [(1, 0), (2, 0), (2, 1), (3, 1)])
def test_an_identifier_that_stands_twice_is_refused(index: int, other: int) -> None:
    entries = chain()
    entries[index]["jti"] = entries[other]["jti"]
    for entry, above in zip(entries[1:], entries, strict=False):
        entry["parent"] = above["jti"]

    assert reason(entries) is Reason.CHAIN_MISALIGNED


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_token_with_the_identifier_of_an_entry_is_refused(index: int) -> None:
    entries = chain()

    assert reason(entries, jti=entries[index]["jti"]) is Reason.CHAIN_MISALIGNED


@pytest.mark.parametrize("parent", ["root", "self", "nobody", "child"])
def test_a_hop_that_names_another_parent_is_refused(parent: str) -> None:
    entries = chain()
    named = {"root": entries[0], "self": entries[2], "nobody": {"jti": jti("x")}, "child": entries[3]}
    entries[2]["parent"] = named[parent]["jti"]

    assert reason(entries) is Reason.CHAIN_MISALIGNED


@pytest.mark.parametrize(
    "actors",
    [
        ("planner", "mailer", "planner"),
        ("planner", "mailer", "printer", "mailer"),
        ("planner", "planner", "mailer", "planner"),
        ("planner", "mailer", "mailer", "planner"),
    ],
)
def test_an_actor_that_returns_after_another_one_is_refused(actors: tuple[str, ...]) -> None:
    assert reason(chain(*actors)) is Reason.CHAIN_MISALIGNED
    assert reason(chain("planner", "planner", "mailer", "printer")) is None


@pytest.mark.parametrize("actor", ["Planner", "planner ", "plann\u0435r", "admin"])
def test_an_actor_of_another_name_in_the_chain_is_refused(actor: str) -> None:
    entries = chain()
    entries[1]["actor"] = actor

    assert reason(entries, act=act("printer", "mailer", "planner")) is Reason.CHAIN_MISALIGNED


@pytest.mark.parametrize("iss", [ISSUER + "/", "https://idp.example", "HTTPS://AS.example", "x"])
def test_a_root_of_another_issuer_is_refused(iss: str) -> None:
    entries = chain()
    entries[0]["iss"] = iss

    assert reason(entries) is Reason.ROOT_INVALID


@pytest.mark.requirement("TE-SUBJECT-KEPT")
@pytest.mark.parametrize("sub", ["user-2", "USER-1", "user-1 ", "planner", "us\u0435r-1"])
def test_a_token_for_another_user_than_the_root_is_refused(sub: str) -> None:
    entries = chain()
    assert reason(entries, sub=sub) is Reason.ROOT_INVALID

    entries[0]["sub"] = sub
    assert reason(entries, sub="user-1") is Reason.ROOT_INVALID
    assert reason(entries) is None


def test_a_leaf_dropped_to_use_the_wider_parent_is_refused() -> None:
    entries = chain("planner", "mailer")
    token = SIM.claims(entries)

    # All entries are genuine; only the token around them is not the one of the parent hop.
    assert SIM.reason(SIM.token({**token, "grant_chain": entries[:2]})) is Reason.CHAIN_MISALIGNED
    assert (
        SIM.reason(SIM.token({**token, "grant_chain": entries[:2], "act": act("planner")}))
        is Reason.TOKEN_EXCEEDS_GRANT
    )
    assert SIM.reason(SIM.token(token)) is None
