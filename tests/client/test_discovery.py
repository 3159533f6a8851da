"""What an agent learns of its token service, and of other agents, and what it does not believe."""

from typing import Any

import pytest

from tests.client.standin import ISSUER, Scripted, StandIn, answer, holder
from tests.simulator import API
from tokensvc.client import (
    AnswerMalformed,
    ClientSecret,
    ExchangeRefused,
    HolderKeyUnknown,
    PrivateKeyJwt,
    ServiceUnavailable,
    TlsClientAuth,
)

ENDPOINTS = {"token_endpoint": f"{ISSUER}/t", "revocation_endpoint": f"{ISSUER}/r"}
JKT = holder().public.thumbprint


def metadata(**changed: object) -> Scripted:
    return answer(200, {"issuer": ISSUER, **ENDPOINTS, **changed})


def discovering(standin: StandIn, **options: object) -> Any:  # noqa: ANN401 - an Agent
    return standin.agent(**{"issuer": ISSUER, "token_endpoint": None, **options})


def test_metadata_is_fetched_once_and_by_nobody_else_than_asked() -> None:
    standin = StandIn(script=[metadata()])
    agent = discovering(standin)
    for _ in range(2):
        agent.receive(standin.token(aud=ISSUER))
    assert [str(request.url) for request in standin.requests] == [
        f"{ISSUER}/.well-known/oauth-authorization-server",
        f"{ISSUER}/t",
        f"{ISSUER}/t",
    ]
    assert "authorization" not in standin.requests[0].headers


def test_the_metadata_of_an_issuer_with_a_path_stands_before_it() -> None:
    issuer = f"{ISSUER}/t1"
    standin = StandIn(script=[metadata(issuer=issuer)], claims={"iss": issuer})
    discovering(standin, issuer=issuer).receive(standin.token(aud=ISSUER))
    assert str(standin.requests[0].url) == f"{ISSUER}/.well-known/oauth-authorization-server/t1"


@pytest.mark.requirement("CLIENT-ISSUER")
@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": f"{ISSUER}/"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://as.example/t"},
        {"token_endpoint": 1},
        {"revocation_endpoint": "/r"},
    ],
)
def test_metadata_that_must_not_be_used_is_not(changed: dict[str, object]) -> None:
    standin = StandIn(script=[metadata(**changed), metadata()])
    agent = discovering(standin)
    with pytest.raises(AnswerMalformed):
        agent.receive(standin.token(aud=ISSUER))
    assert len(standin.requests) == 1
    assert agent.receive(standin.token(aud=ISSUER))


def test_metadata_that_is_not_to_be_had_is_asked_for_again() -> None:
    standin = StandIn(script=[answer(404, {}), metadata()])
    agent = discovering(standin)
    with pytest.raises(ServiceUnavailable):
        agent.receive(standin.token(aud=ISSUER))
    assert agent.receive(standin.token(aud=ISSUER))


def test_an_agent_with_a_certificate_goes_where_certificates_are_asked_for() -> None:
    aliases = {"token_endpoint": "https://mtls.as.example/t"}
    for auth, url in ((TlsClientAuth(), aliases["token_endpoint"]), (ClientSecret("s"), ENDPOINTS["token_endpoint"])):
        standin = StandIn(script=[metadata(mtls_endpoint_aliases=aliases)])
        discovering(standin, auth=auth).receive(standin.token(aud=ISSUER))
        assert str(standin.requests[1].url) == url


def test_a_service_without_revocation_says_so() -> None:
    standin = StandIn(script=[metadata(revocation_endpoint=None)])
    with pytest.raises(ValueError, match="revocation_endpoint"):
        discovering(standin).revoke(standin.token())


def delegated(standin: StandIn, **options: object) -> str:
    """What is handed to the next agent under a signed grant, with the key that the service tells."""
    agent = standin.agent(issuer=ISSUER, sign_grants=True, **options)
    lease = agent.receive(standin.token(aud=ISSUER))
    grant: str = lease.grant(to="fet/cher", scope="crm.write")
    return grant


def asking(scripted: Scripted) -> StandIn:
    """A service that grants one pick-up, and answers the next request as scripted."""
    standin = StandIn(key=holder())
    standin.script = [standin.grant, scripted]
    return standin


def test_the_key_of_another_agent_is_asked_for_as_the_client_authenticates() -> None:
    known = answer(200, {"id": "fet/cher", "cnf": {"jkt": JKT}})
    for auth, method in (
        (ClientSecret("s"), "GET"),
        (ClientSecret("s", in_body=True), "POST"),
        (PrivateKeyJwt(holder()), "POST"),
    ):
        standin = asking(known)
        assert delegated(standin, auth=auth)
        request = standin.requests[1]
        assert (request.method, str(request.url)) == (method, f"{ISSUER}/agents/fet%2Fcher")
        assert ("authorization" in request.headers) is (method == "GET")
        assert bool(request.content) is (method == "POST")


@pytest.mark.parametrize(
    ("scripted", "error"),
    [
        (answer(404, {"error": "not_found"}), HolderKeyUnknown),
        (answer(200, {"id": "fet/cher"}), HolderKeyUnknown),
        (answer(200, {"id": "another", "cnf": {"jkt": JKT}}), AnswerMalformed),
        (answer(200, {"id": "fet/cher", "cnf": {"jkt": "short"}}), AnswerMalformed),
        (answer(200, {"id": "fet/cher", "cnf": None}), AnswerMalformed),
        (answer(403, {"error": "unauthorized_client"}), ExchangeRefused),
    ],
)
def test_nothing_is_signed_for_a_key_that_is_not_known(scripted: Scripted, error: type[Exception]) -> None:
    with pytest.raises(error):
        delegated(asking(scripted))
    assert delegated(asking(answer(200, {"id": "fet/cher", "cnf": {"jkt": JKT}})))


def test_a_key_that_the_caller_knows_is_not_asked_for() -> None:
    standin = StandIn(key=holder())
    lease = standin.agent(sign_grants=True).receive(standin.token(aud=ISSUER))
    assert lease.grant(to="fetcher", scope="crm.write", resource=API, holder_jkt=JKT)
    assert len(standin.requests) == 1
    with pytest.raises(HolderKeyUnknown, match="issuer="):
        lease.grant(to="fetcher", scope="crm.write", resource=API)


def test_an_agent_without_a_key_signs_nothing() -> None:
    standin = StandIn()
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    with pytest.raises(HolderKeyUnknown):
        lease.grant(to="fetcher", scope="crm.write", holder_jkt=JKT)
