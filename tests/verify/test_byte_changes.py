"""A token is what it is to the last byte: CVE-2026-27840 was a truncated token that passed."""

import random

import pytest

from tests.simulator import Simulator, ec_key, rsa_key
from tokensvc.core.jws import SigningKey
from tokensvc.errors import Reason

REFUSED = {Reason.MALFORMED, Reason.WRONG_TYPE, Reason.BAD_SIGNATURE, Reason.UNKNOWN_KEY, Reason.UNTRUSTED_ISSUER}


def of(key: SigningKey) -> tuple[Simulator, str]:
    sim = Simulator(key=key)
    return sim, sim.token(sim.claims(sim.chain("planner")))


KEYS = pytest.mark.parametrize("key", [ec_key("service"), rsa_key("service")], ids=["ES256", "RS256"])


@KEYS
def test_a_token_cut_anywhere_is_refused(key: SigningKey) -> None:
    sim, token = of(key)
    assert sim.reason(token) is None

    for position in range(len(token)):
        assert sim.reason(token[:position]) in REFUSED
        assert sim.reason(token[position + 1 :]) in REFUSED
        assert sim.reason(token[:position] + token[position + 1 :]) in REFUSED


@KEYS
@pytest.mark.parametrize("inserted", ["A", "=", ".", " ", "\n", "AAAA", "\0", "-"])
def test_a_token_with_anything_put_in_anywhere_is_refused(key: SigningKey, inserted: str) -> None:
    sim, token = of(key)
    assert sim.reason(token) is None

    for position in range(len(token) + 1):
        assert sim.reason(token[:position] + inserted + token[position:]) in REFUSED


@KEYS
def test_a_token_with_any_letter_changed_is_refused(key: SigningKey) -> None:
    sim, token = of(key)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    choice = random.Random(1)  # noqa: S311 - which of the letters is tried is no secret

    for position, letter in enumerate(token):
        other = choice.choice(letters.replace(letter, ""))
        assert sim.reason(token[:position] + other + token[position + 1 :]) in REFUSED


@KEYS
def test_no_last_letter_but_the_right_one_is_accepted(key: SigningKey) -> None:
    sim, token = of(key)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    accepted = [letter for letter in letters if sim.reason(token[:-1] + letter) is None]
    assert accepted == [token[-1]]


def test_parts_of_two_tokens_are_no_token() -> None:
    sim, one = of(ec_key("service"))
    other = sim.token(sim.claims(sim.chain("mailer")), header=sim.header(typ="application/at+jwt"))
    parts = list(zip(one.split("."), other.split("."), strict=True))

    for which in range(8):
        mixed = ".".join(pair[which >> index & 1] for index, pair in enumerate(parts))
        assert (sim.reason(mixed) is None) == (mixed in (one, other))
