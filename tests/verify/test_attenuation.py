from dataclasses import replace

import pytest

from tests.simulator import API, FILES, NOW, SCOPE, Members, Simulator, thumbprint
from tokensvc.errors import Reason

SIM = Simulator()


def reason(entries: list[Members], *, max_depth: int = 5, **claims: object) -> Reason | None:
    return SIM.reason(SIM.token(SIM.claims(entries, **claims)), expect=replace(SIM.expect(), max_depth=max_depth))


def changed(index: int, **members: object) -> list[Members]:
    """A good chain of three hops in which one entry differs, and those below it follow from it as before."""
    entries = SIM.chain("planner", "mailer", "printer")
    entries[index] |= members
    return entries


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert reason(changed(1)) is None


@pytest.mark.parametrize("index", [1, 2, 3])
@pytest.mark.parametrize(
    "scope", ["admin", "Mail.send", "mail.send admin", "mail", "mail.send_all", "mail.*", "*", "mail.send:x"]
)
@pytest.mark.parametrize("suffix", ["", " files.read"])
def test_a_scope_that_the_entry_above_has_not_is_refused(index: int, scope: str, suffix: str) -> None:
    assert reason(changed(index, scope=scope + suffix)) is Reason.NOT_NARROWER


@pytest.mark.parametrize("parent", ["files:*", "files:**", "files", "files:read", "fil*"])
@pytest.mark.parametrize("child", ["files:x", "files:read:../admin", "filesystem:read", "fil", "Files"])
def test_no_scope_covers_another_spelling_of_itself(parent: str, child: str) -> None:
    root = SIM.root(scope=f"{parent} zz")

    assert reason([root, SIM.hop(root, "planner", scope=child)]) is Reason.NOT_NARROWER
    assert reason([root, SIM.hop(root, "planner", scope=parent)]) is None


def test_a_scope_dropped_above_never_comes_back() -> None:
    entries = SIM.chain("planner", "mailer", "printer")
    assert "crm.read" in entries[1]["scope"]
    assert "crm.read" not in entries[2]["scope"]

    entries[3]["scope"] = "mail.send crm.read"
    assert reason(entries) is Reason.NOT_NARROWER
    entries[3]["scope"] = "mail.send"
    assert reason(entries) is None


@pytest.mark.parametrize("index", [1, 2, 3])
@pytest.mark.parametrize(
    "resource",
    [
        "https://other.example",
        API + "/",
        API.upper(),
        API.replace("https", "http"),
        API + "/deeper",
        API + "?",
        "urn:x",
        "https://crm.example:443/api",
        "https://CRM.example/api",
        "https://crm.example/%61pi",
        "https://crm.example/./api",
    ],
)
def test_a_resource_that_the_entry_above_has_not_is_refused(index: int, resource: str) -> None:
    assert reason(changed(index, resources=[API, resource])) is Reason.NOT_NARROWER
    assert reason(changed(index, resources=[resource]), aud=API) is Reason.NOT_NARROWER


def test_a_resource_dropped_above_never_comes_back() -> None:
    entries = changed(1, resources=[API])
    assert reason(entries) is Reason.NOT_NARROWER
    for entry in entries[2:]:
        entry["resources"] = [API]
    assert reason(entries) is None


@pytest.mark.parametrize("index", [1, 2, 3])
@pytest.mark.parametrize("seconds", [1, 10**6])
def test_a_hop_that_outlives_the_entry_above_is_refused(index: int, seconds: int) -> None:
    assert reason(changed(index, exp=NOW + 3600 + seconds)) is Reason.NOT_NARROWER
    assert reason(changed(3, exp=NOW + 3600 - 1)) is None


@pytest.mark.parametrize("index", [1, 2, 3])
@pytest.mark.parametrize("seconds", [1, 10**6])
def test_a_hop_that_is_older_than_the_entry_above_is_refused(index: int, seconds: int) -> None:
    assert reason(changed(index, iat=NOW - 60 - seconds)) is Reason.NOT_NARROWER
    assert reason(changed(3, iat=NOW - 60 + 1)) is None


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_hop_that_raises_max_depth_is_refused(index: int) -> None:
    assert reason(changed(index, max_depth=6)) is Reason.NOT_NARROWER
    assert reason(changed(3, max_depth=4)) is None


def test_a_bearer_hop_below_a_bound_one_is_refused() -> None:
    entries = SIM.chain("planner", "mailer", "printer")
    entries[2]["cnf"] = {"jkt": thumbprint("mailer")}

    assert reason(entries) is Reason.NOT_NARROWER
    entries[3]["cnf"] = {"jkt": thumbprint("printer")}
    assert reason(entries) is Reason.TOKEN_EXCEEDS_GRANT


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_hop_with_every_scope_of_the_entry_above_is_refused(index: int) -> None:
    entries = SIM.chain("planner", "mailer", "printer")
    entries[index]["scope"] = " ".join(reversed(entries[index - 1]["scope"].split()))

    assert reason(entries) is Reason.NOT_PROPER


def test_nothing_else_that_is_less_makes_up_for_keeping_every_scope() -> None:
    root = SIM.root()
    hop = SIM.hop(root, "planner", resources=[API], exp=NOW + 60, iat=NOW - 5, max_depth=1)
    assert reason([root, hop], exp=NOW + 60, iat=NOW - 5) is None

    hop["scope"] = root["scope"]
    assert reason([root, hop], exp=NOW + 60, iat=NOW - 5) is Reason.NOT_PROPER


def test_a_self_narrowing_that_narrows_nothing_is_refused() -> None:
    entries = SIM.chain("planner", "planner")
    entries[2]["scope"] = entries[1]["scope"]

    assert reason(entries) is Reason.NOT_PROPER


@pytest.mark.parametrize(("max_depth", "accepted"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3)])
@pytest.mark.parametrize("index", [0, 1])
def test_no_hop_stands_deeper_than_any_entry_above_allows(index: int, max_depth: int, accepted: int) -> None:
    entries = SIM.chain("planner", "mailer", "printer")
    for entry in entries[index:]:
        entry["max_depth"] = max_depth

    for hops in (1, 2, 3):
        # An entry's own max_depth binds those below it.
        deep_enough = hops <= max(accepted, index)
        assert reason(entries[: hops + 1]) is (None if deep_enough else Reason.DEPTH_EXCEEDED)


@pytest.mark.parametrize("max_depth", [1, 2, 3])
def test_no_chain_is_deeper_than_the_verifier_allows(max_depth: int) -> None:
    entries = SIM.chain("planner", "mailer", "printer")

    for hops in (1, 2, 3):
        expected = None if hops <= max_depth else Reason.DEPTH_EXCEEDED
        assert reason(entries[: hops + 1], max_depth=max_depth) is expected


def test_a_child_cannot_raise_depth_by_delegating_again() -> None:
    entries = SIM.chain("planner", "mailer")
    entries[1]["max_depth"] = 1
    entries[2]["max_depth"] = 1

    assert reason(entries) is Reason.DEPTH_EXCEEDED
    entries[2]["max_depth"] = 2
    assert reason(entries) is Reason.NOT_NARROWER
    entries[1]["max_depth"] = 2
    assert reason(entries) is None


def test_the_oldest_faulty_hop_decides() -> None:
    entries = SIM.chain("planner", "mailer", "printer")
    entries[1]["scope"] = SCOPE
    entries[2]["scope"] = "admin"
    assert reason(entries) is Reason.NOT_PROPER

    entries[1]["resources"] = [API, FILES, "urn:x"]
    assert reason(entries) is Reason.NOT_NARROWER
