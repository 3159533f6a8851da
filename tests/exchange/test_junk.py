"""Random forms: whatever comes in, the answer is a token, a recorded refusal, or Unavailable. Never anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE
from tests.exchange.watched import finish
from tests.exchange.world import World, make_world
from tests.simulator import USER
from tokensvc.errors import OAuthRefused, Reason
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE, JWT_TYPE
from tokensvc.exchange.service import Issued

WORLD: World = finish(make_world())
FIRST, SECOND, THIRD = finish(WORLD.chain())
FOR_CRM = finish(WORLD.renew(FIRST))
USER_TOKEN = WORLD.user_token()

SCOPES = (*START_SCOPE.split(), "crm.delete", "openid", "x")
KNOWN = {
    "grant_type": [GRANT_TYPE],
    "subject_token": [FIRST, SECOND, THIRD, FOR_CRM, USER_TOKEN],
    "subject_token_type": [ACCESS_TOKEN_TYPE, JWT_TYPE],
    "requested_token_type": [ACCESS_TOKEN_TYPE, JWT_TYPE],
    "requested_actor": ["planner", "researcher", "fetcher", "mailer", "retired"],
    "requested_lifetime_s": ["1", "60", "3600", "999999"],
    "resource": [CRM, FILES, ISSUER],
    "audience": ["crm", "files"],
    "scope": [START_SCOPE],
    "authorization_details": [
        "[]",
        "[{}]",
        '[{"type":"payment"}]',
        '[{"type":"attenuating_agent_token","tools":{"read":{}}}]',
    ],
}
UNKNOWN = ("actor_token", "delegation_grant", "client_id", "dpop", "foo")
CLIENTS = ("planner", "researcher", "fetcher", "mailer", "retired", "crm-api")
text = st.text(min_size=1, max_size=60)


@st.composite
def forms(draw: st.DrawFn, *, wild: bool) -> dict[str, tuple[str, ...]]:
    """A form that is nearly one of ours, or anything at all."""
    form: dict[str, tuple[str, ...]] = {}
    for name, values in KNOWN.items():
        known: st.SearchStrategy[str] = st.sampled_from(values)
        if name == "scope":
            known = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=6).map(" ".join)
        value = st.one_of(known, known, known, text) if wild else known
        most = 3 if name in {"resource", "audience"} or wild else 1
        least = 1 if name in {"grant_type", "subject_token", "subject_token_type"} and not wild else 0
        form[name] = tuple(draw(st.lists(value, min_size=least, max_size=most)))
    if wild:
        form.update(draw(st.dictionaries(st.one_of(st.sampled_from(UNKNOWN), text), st.tuples(text), max_size=2)))
    return {name: values for name, values in form.items() if values}


@settings(max_examples=400)
@given(client=st.sampled_from(CLIENTS), form=st.one_of(forms(wild=False), forms(wild=True)))
def test_any_form_is_answered_with_a_lawful_token_or_a_recorded_refusal(
    client: str, form: dict[str, tuple[str, ...]]
) -> None:
    before = len(WORLD.store.records)

    answer = finish(answer_to(client, form))

    assert len(WORLD.store.records) == before + 1
    if isinstance(answer, OAuthRefused):
        assert answer.reason is None or answer.reason in Reason
        assert answer.record == WORLD.store.records[-1].id
        assert answer.description.isascii()
    else:
        token = WORLD.read(answer.access_token)
        assert set(answer.scope.split()) == set(form["scope"][0].split())
        assert token.actor == form.get("requested_actor", (client,))[0]
        assert token.actor == client or token.is_exchange_only
        assert token.sub == USER


async def answer_to(client: str, form: dict[str, tuple[str, ...]]) -> Issued | OAuthRefused:
    """What is issued, or the refusal. Any other exception is a bug and passes."""
    try:
        return await WORLD.exchange(client, form)
    except OAuthRefused as refusal:
        return refusal


@settings(max_examples=300)
@given(
    token=st.one_of(text, st.binary(max_size=300).map(lambda data: data.decode("latin-1"))),
    client=st.sampled_from(CLIENTS),
)
def test_any_text_is_no_token(token: str, client: str) -> None:
    assert finish(WORLD.introspect(token, client)) == {"active": False}
    finish(WORLD.revoke(token, client))
    with pytest.raises(OAuthRefused):
        finish(WORLD.exchange(client, WORLD.starting(token)))


@settings(max_examples=200)
@given(data=st.data(), token=st.sampled_from([FIRST, SECOND, FOR_CRM, USER_TOKEN]))
def test_any_token_with_letters_changed_is_no_token(data: st.DataObject, token: str) -> None:
    position = data.draw(st.integers(0, len(token) - 1))
    letters = data.draw(st.text(alphabet="AQgwab09-_.=+/ %", max_size=3))
    length = data.draw(st.integers(0, 3))
    changed = token[:position] + letters + token[position + length :]
    for client in ("planner", "researcher"):
        if changed != token:
            assert finish(WORLD.introspect(changed, client)) == {"active": False}
            request = {**WORLD.renewal(SECOND), "subject_token": (changed or ".",)}
            assert finish(WORLD.refused(client, request)).reason is Reason.SUBJECT_TOKEN_INVALID
