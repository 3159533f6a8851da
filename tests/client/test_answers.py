"""What an agent makes of answers: the good ones used, all others refused, and nothing of them shown."""

import httpx2
import pytest

from tests.client.standin import ISSUER, Scripted, StandIn, answer, holder, refusal
from tests.simulator import API, Simulator
from tokensvc.client import (
    Agent,
    AnswerMalformed,
    ClientAuthenticationFailed,
    ExchangeRefused,
    ServiceUnavailable,
)
from tokensvc.client.held import read_held_token
from tokensvc.client.operations import asked_of
from tokensvc.client.transport import drive
from tokensvc.client.wire import MAX_BYTES


def receive(standin: StandIn) -> str:
    return standin.agent().receive(standin.token(aud=ISSUER)).token()


def test_a_good_answer_is_used() -> None:
    standin = StandIn()
    token = receive(standin)
    assert read_held_token(token).claims.aud == API
    assert len(standin.requests) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"token_type": "N_A"},
        {"token_type": "DPoP"},
        {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"issued_token_type": []},
        {"expires_in": 0},
        {"expires_in": "300"},
        {"expires_in": True},
        {"expires_in": 10**6},
        {"scope": "crm.write files.read mail.send crm.delete"},
        {"scope": None},
        {"access_token": "opaque"},
        {"access_token": None},
    ],
)
def test_an_answer_with_one_member_wrong_is_refused(changed: dict[str, object]) -> None:
    standin = StandIn()
    receive(standin)  # the control

    standin.changed = changed
    with pytest.raises(AnswerMalformed):
        receive(standin)


@pytest.mark.parametrize("claims", [{"client_id": "planner"}, {"cnf": {"jkt": holder().public.thumbprint}}])
def test_a_token_for_somebody_else_or_another_key_is_refused(claims: dict[str, object]) -> None:
    standin = StandIn()
    receive(standin)

    standin.claims = claims
    with pytest.raises(AnswerMalformed):
        receive(standin)


def test_a_token_of_another_service_than_the_one_that_was_asked_is_refused() -> None:
    """Else a grant would be signed below it, for a service that was never asked."""
    standin = StandIn()
    agent = standin.agent(issuer=ISSUER)
    assert agent.receive(standin.token(aud=ISSUER)).token()

    standin.claims = {"iss": "https://other.example"}
    with pytest.raises(AnswerMalformed):
        agent.receive(standin.token(aud=ISSUER))


@pytest.mark.parametrize(
    "scripted",
    [
        lambda _request: httpx2.Response(200, text="<html>"),
        lambda _request: httpx2.Response(200, content=b"{", headers={"content-type": "application/json"}),
        lambda _request: httpx2.Response(200, content=b'{"a":1,"a":2}', headers={"content-type": "application/json"}),
        answer(200, {"pad": "x" * MAX_BYTES}),
        answer(200, ["no object"]),
        answer(200, {}, content_encoding="br"),
        answer(204, {}),
        answer(302, {}, location=f"{ISSUER}/elsewhere"),
        answer(400, {"message": "no"}),
    ],
)
def test_what_is_no_answer_of_a_token_endpoint_is_refused(scripted: Scripted) -> None:
    standin = StandIn(script=[scripted])
    with pytest.raises(AnswerMalformed):
        receive(standin)
    assert len(standin.requests) == 1


def test_a_token_for_another_agent_that_is_not_exchange_only_is_refused() -> None:
    standin = StandIn()
    planner = standin.agent(client_id="planner")
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    # Made for the one who asks, and not for the one who is named.
    with pytest.raises(AnswerMalformed, match="another agent"):
        lease.delegate(to="fetcher", scope="crm.write files.read mail.send")
    with pytest.raises(AnswerMalformed, match="not exchange-only"):
        handed_on(planner, standin)
    standin.claims = {"aud": ISSUER}
    assert handed_on(planner, standin)


def handed_on(planner: Agent, standin: StandIn) -> str:
    """What planner gets for researcher, below a token of its own."""
    simulator = Simulator(iss=ISSUER)
    own = simulator.token(simulator.claims(standin.chain()[:2], aud=ISSUER))
    steps = planner._service.delegate(  # noqa: SLF001 - a lease of planner is what the stand-in does not issue
        read_held_token(own),
        asked_of(scope="crm.write files.read mail.send", resource=API),
        to="researcher",
        may_delegate=False,
        holder_jkt=None,
    )
    return drive(steps, planner._http).held.text  # noqa: SLF001 - the same


def test_a_refusal_says_its_codes_and_is_not_repeated() -> None:
    standin = StandIn(script=[refusal(400, "invalid_request")])
    with pytest.raises(ExchangeRefused) as caught:
        receive(standin)
    refused = caught.value
    assert (refused.error, refused.reason, refused.description) == ("invalid_request", "revoked", "no")
    assert (refused.record, refused.status, len(standin.requests)) == ("r1", 400, 1)
    assert str(refused) == "invalid_request (revoked): no"
    assert not isinstance(refused, ClientAuthenticationFailed)


def test_credentials_that_are_not_taken_are_an_error_of_their_own() -> None:
    standin = StandIn(script=[refusal(401, "invalid_client")])
    with pytest.raises(ClientAuthenticationFailed):
        receive(standin)


@pytest.mark.parametrize(("status", "retry_after"), [(500, None), (502, None), (504, None), (429, 7.0)])
def test_a_server_in_trouble_is_unavailable_and_asked_once(status: int, retry_after: float | None) -> None:
    headers = {} if retry_after is None else {"retry_after": f"{retry_after:.0f}"}
    standin = StandIn(script=[answer(status, {}, **headers)])
    with pytest.raises(ServiceUnavailable) as caught:
        receive(standin)
    assert (caught.value.retry_after_s, len(standin.requests)) == (retry_after, 1)


def test_no_error_and_no_repr_shows_a_token_or_a_secret() -> None:
    standin = StandIn(changed={"expires_in": 0})
    agent = standin.agent()
    with pytest.raises(AnswerMalformed) as caught:
        agent.receive(standin.token(aud=ISSUER))
    standin.changed = {}
    lease = agent.receive(standin.token(aud=ISSUER))
    shown = "".join(map(repr, [agent, lease, lease.issued(), lease.leased, lease.leased.held, caught.value]))
    payload = lease.token().split(".")[1]
    assert payload not in shown
    assert "ClientSecret(" not in shown


def test_a_renewed_token_of_another_delegation_is_refused() -> None:
    standin = StandIn()
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    lease.renew()

    standin.resources = [API, "https://other.example"]
    with pytest.raises(AnswerMalformed, match="another delegation"):
        lease.renew(API)
    assert lease.resources == {API}
