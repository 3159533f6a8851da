import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.simulator import API, FILES, ISSUER, NOW, Members, Simulator, ec_key, jwk, seal
from tokensvc.demo.chain_view import Loss, chain_tree, loss, show_time, visible
from tokensvc.verify import Expectation, VerifiedToken
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

SIM = Simulator()


def verified(chain: list[Members], **claims: object) -> VerifiedToken:
    return SIM.verify(SIM.token(SIM.claims(chain, **claims)))


def shown(token: VerifiedToken, *, width: int = 1000) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(chain_tree(token))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def two_hops() -> list[Members]:
    chain = SIM.chain("planner", "mailer")
    chain[2].update(resources=[API], exp=chain[1]["exp"] - 100, max_depth=3)
    return chain


def test_the_tree_names_user_then_hops_then_the_token() -> None:
    lines = [line.strip("└─ ") for line in shown(verified(two_hops())).splitlines()]
    assert [line for line in lines if "(" in line or line == "token"] == [
        f"user-1  (user, on the word of {ISSUER})",
        "planner  (hop 1, actor)",
        "mailer  (hop 2, current actor)",
        "token",
    ]


def test_each_hop_says_what_it_lost_against_the_entry_before_it() -> None:
    lines = [line.strip() for line in shown(verified(two_hops())).splitlines()]
    assert [line for line in lines if line.startswith("lost")] == [
        "lost         scope crm.delete",
        f"lost         scope crm.read; resources {FILES}; 100 s; depth 2",
    ]


def test_loss_is_the_difference_in_each_dimension() -> None:
    chain = verified(two_hops()).chain
    lost = loss(chain.hops[0].authority, chain.hops[1].authority)
    assert lost == Loss(scope=frozenset({"crm.read"}), resources=frozenset({FILES}), lifetime_s=100, depth=2)
    nothing = loss(chain.root.authority, chain.root.authority)
    assert nothing == Loss(scope=frozenset(), resources=frozenset(), lifetime_s=0, depth=0)


def test_the_checks_that_were_not_made_are_shown() -> None:
    assert "not checked  revocation" in shown(verified(SIM.chain("planner")))


def test_details_are_shown_where_they_are_granted_and_steer_nothing() -> None:
    details = [{"type": "attenuating_agent_token", "tools": {"read\x1b[2J": {}}}]
    chain = SIM.chain("planner", root=SIM.root(authorization_details=details))
    chain[1]["authorization_details"] = details
    token = verified(chain, authorization_details=details)

    assert shown(token).count("read\\u001b[2J") == 2
    assert "details" not in shown(verified(SIM.chain("planner")))


def test_an_exchange_only_token_is_shown_as_one() -> None:
    token = SIM.token(SIM.claims(SIM.chain("planner"), aud=ISSUER))
    expect = Expectation.bearer(issuers=[ISSUER], audiences=[ISSUER])
    assert "token  (exchange-only)" in shown(SIM.verify(token, expect=expect))
    assert "exchange-only" not in shown(verified(SIM.chain("planner")))


@pytest.mark.parametrize(
    "name",
    [
        "\x1b[31mred",
        "\x1b]8;;https://evil.example\x07click",
        "\x9b2J",
        "line\nbreak",
        "back\rwards",
        "[bold]markup[/bold]",
        "[link=https://evil.example]x[/link]",
        "\u202eevil",
        "zero\u200bwidth",
        "pl\u0430nner",
        "planner  (hop 1, current actor)",
        "\x7f",
        ":smile:",
    ],
)
def test_a_name_neither_steers_the_terminal_nor_passes_for_another(name: str) -> None:
    root = SIM.root(sub=name)
    chain = SIM.chain("planner", root=root)
    text = shown(verified([root, SIM.hop(root, name + "2")], client_id=name + "2"))
    control = shown(verified(chain))
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert len(text.splitlines()) == len(control.splitlines())
    assert f"{visible(name)}  (user, " in text
    assert f"{visible(name)}2  (hop 1, current actor)" in text


@given(st.text())
def test_what_is_shown_of_a_name_is_printable_ascii_and_tells_names_apart(name: str) -> None:
    seen = visible(name)
    assert seen.isascii()
    assert seen.isprintable()
    assert " " not in seen
    assert seen.encode("ascii").decode("unicode_escape") == name


def test_an_ordinary_name_is_shown_as_it_is() -> None:
    assert visible("auth0|user-1@example.com") == "auth0|user-1@example.com"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_hides_nothing(width: int) -> None:
    def squeezed(text: str) -> str:
        return re.sub(r"[\s│└─]", "", unicodedata.normalize("NFC", text))

    token = verified(two_hops())
    assert squeezed(shown(token, width=width)) == squeezed(shown(token))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01 00:00:00Z"),
        (NOW, "2030-03-17 17:46:40Z"),
        (253_402_300_799, "9999-12-31 23:59:59Z"),
        (253_402_300_800, "epoch second 253402300800"),
        (2**53 - 1, "epoch second 9007199254740991"),
    ],
)
def test_any_time_that_a_claim_can_say_is_shown(seconds: int, text: str) -> None:
    assert show_time(seconds) == text


def test_whose_word_each_entry_is_and_what_it_is_bound_to() -> None:
    holder, delegatee = ec_key("planner holder"), ec_key("mailer holder")
    chain = SIM.chain("planner")
    chain[1]["cnf"] = {"jkt": holder.public.thumbprint}
    chain.append(SIM.hop(chain[1], "mailer", cnf={"jkt": delegatee.public.thumbprint}))
    cnf = {"jkt": delegatee.public.thumbprint}
    header = {"typ": "delegation-grant+jwt", "alg": str(holder.alg), "jwk": jwk(holder)}
    signed = [*chain[:2], {"jws": seal(header, SIM.signed_hop(chain, 2), holder)}]
    token = SIM.token({**SIM.claims(chain, cnf=cnf), "grant_chain": signed})
    bound = SIM.verify(token, proof=UnsafeHolderProvenUpstream())
    assert lines_of(bound, "evidence") == ["issuer", "issuer", "delegator"]
    assert lines_of(bound, "holder") == ["bound to a key (DPoP)"] * 3

    bearer = verified(SIM.chain("planner"))
    assert lines_of(bearer, "evidence") == ["issuer", "issuer"]
    assert lines_of(bearer, "holder") == ["not bound to a key"] * 2

    by_certificate = SIM.token(SIM.claims(SIM.chain("planner"), cnf={"x5t#S256": "A" * 43}))
    token_alone = SIM.verify(by_certificate, proof=UnsafeHolderProvenUpstream())
    assert lines_of(token_alone, "holder") == ["not bound to a key", "bound to a certificate"]


def lines_of(token: VerifiedToken, name: str) -> list[str]:
    """What the lines of that name say, from the root down."""
    lines = [line.strip("└─ ") for line in shown(token).splitlines()]
    return [line.removeprefix(name).strip() for line in lines if line.startswith(f"{name} ")]
