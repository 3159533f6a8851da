"""The big list of naughty strings, as scopes, identifiers and names."""

import pytest

from tests.shared_vectors import read_vectors
from tests.simulator import API, ISSUER, Simulator
from tokensvc.core.authority import is_resource
from tokensvc.core.jsontext import parse_json, render_json
from tokensvc.core.jws import split_compact
from tokensvc.core.keyset import KeySet
from tokensvc.core.scope import is_scope_token, parse_requested_scope
from tokensvc.errors import Malformed, Reason, TokensvcError
from tokensvc.verify import StaticKeys

SIM = Simulator()


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    strings: list[str] = read_vectors("blns", "blns.json")
    assert len(strings) > 500
    return strings


def test_naughty_strings_survive_json(naughty: list[str]) -> None:
    assert parse_json(render_json(naughty)) == naughty


def test_a_naughty_scope_is_refused_or_is_printable_ascii(naughty: list[str]) -> None:
    for text in naughty:
        try:
            scope = parse_requested_scope(text)
        except Malformed:
            assert not is_scope_token(text)
        else:
            assert " ".join(sorted(scope)).isascii()
            assert sorted(set(text.split(" "))) == sorted(scope)


def test_a_naughty_user_agent_or_kid_is_carried_unchanged_or_refused(naughty: list[str]) -> None:
    for text in naughty:
        chain = SIM.chain("planner", text, root=SIM.root(sub=text))
        token = SIM.token(SIM.claims(chain))
        if not text:
            assert SIM.reason(token) is Reason.MALFORMED
        elif text != "planner":
            verified = SIM.verify(token)
            assert (verified.sub, verified.actor, verified.chain.leaf.actor) == (text, text, text)
        assert SIM.reason(SIM.token(SIM.claims(chain), header=SIM.header(kid=text))) in {
            Reason.UNKNOWN_KEY,
            Reason.MALFORMED,
        }


def test_a_naughty_issuer_audience_or_scope_is_never_accepted(naughty: list[str]) -> None:
    chain = SIM.chain("planner")
    keys = StaticKeys({ISSUER: KeySet([SIM.key.public])})
    for text in naughty:
        for claim in ("iss", "aud", "scope", "jti", "client_id"):
            assert SIM.reason(SIM.token(SIM.claims(chain, **{claim: text})), keys=keys) is not None
        assert SIM.reason(text) in {Reason.MALFORMED, Reason.TOO_LARGE}


def test_a_naughty_resource_is_an_absolute_uri_or_none(naughty: list[str]) -> None:
    assert is_resource(API)
    assert not [text for text in naughty if is_resource(text) and not text.isascii()]


def test_a_naughty_token_or_description_raises_nothing_else(naughty: list[str]) -> None:
    for text in naughty:
        with pytest.raises(Malformed):
            split_compact(text, max_bytes=10_000)
        assert TokensvcError(text).description.isascii()
