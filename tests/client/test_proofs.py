"""What an agent with a holder key proves at the token endpoint (RFC 9449 s5, s8)."""

import httpx2
import pytest

from tests.client.standin import ISSUER, StandIn, answer, holder, proof_of
from tests.simulator import NOW, rsa_key
from tokensvc.client import Agent, AnswerMalformed, ClientSecret, ExchangeRefused, PrivateKeyJwt
from tokensvc.core.proof import token_hash, verify_proof
from tokensvc.errors import KeyRefused, Malformed

USE_NONCE = answer(400, {"error": "use_dpop_nonce"}, dpop_nonce="n1")


@pytest.mark.requirement("CLIENT-PROOF")
def test_every_request_carries_a_new_proof_for_this_request_and_this_token() -> None:
    standin = StandIn(key=holder())
    handed = standin.token(aud=ISSUER)
    agent = standin.agent(token_endpoint=f"{ISSUER}/token?tenant=1")
    agent.receive(handed).renew()

    proofs = [
        verify_proof(request.headers["dpop"], htm="POST", htu=f"{ISSUER}/token", now=NOW, leeway_s=0)
        for request in standin.requests
    ]
    assert len({proof.jti for proof in proofs}) == 2
    assert {proof.jkt for proof in proofs} == {holder().public.thumbprint}
    assert [proof.ath for proof in proofs] == [token_hash(handed)] * 2
    assert proof_of(standin.requests[0]).keys() == {"jti", "htm", "htu", "iat", "ath"}
    assert proof_of(standin.requests[0])["htu"] == f"{ISSUER}/token"


def test_without_a_holder_key_there_is_no_proof() -> None:
    standin = StandIn()
    standin.agent().receive(standin.token(aud=ISSUER))
    assert "dpop" not in standin.requests[0].headers


def test_a_nonce_is_taken_up_once_and_remembered() -> None:
    standin = StandIn(key=holder(), script=[USE_NONCE])
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    lease.renew()
    assert [proof_of(request).get("nonce") for request in standin.requests] == [None, "n1", "n1"]


@pytest.mark.requirement("CLIENT-NONCE")
def test_the_newest_nonce_of_any_answer_is_the_next_one_sent() -> None:
    standin = StandIn(key=holder(), script=[USE_NONCE])
    standin.script.append(lambda request: _with_nonce(standin, request, "n2"))
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    lease.renew()
    assert [proof_of(request).get("nonce") for request in standin.requests] == [None, "n1", "n2"]


@pytest.mark.parametrize("nonce", ["n" * 1025, "n n", 'n"', "n\\", "n\x7f"])
def test_what_is_no_nonce_is_not_carried_along(nonce: str) -> None:
    """Every later proof would be as long, or of no use."""
    standin = StandIn(key=holder(), script=[USE_NONCE])
    standin.script.append(lambda request: _with_nonce(standin, request, nonce))
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    lease.renew()
    assert [proof_of(request).get("nonce") for request in standin.requests] == [None, "n1", "n1"]

    standin.script.append(lambda request: _with_nonce(standin, request, "~" * 1024))
    lease.renew()
    lease.renew()
    assert proof_of(standin.requests[-1])["nonce"] == "~" * 1024


def _with_nonce(standin: StandIn, request: httpx2.Request, nonce: str) -> httpx2.Response:
    response = standin.grant(request)
    response.headers["dpop-nonce"] = nonce
    return response


def test_a_second_demand_for_a_nonce_is_a_refusal() -> None:
    standin = StandIn(key=holder(), script=[USE_NONCE, USE_NONCE])
    with pytest.raises(ExchangeRefused) as caught:
        standin.agent().receive(standin.token(aud=ISSUER))
    assert (caught.value.error, len(standin.requests)) == ("use_dpop_nonce", 2)


@pytest.mark.requirement("CLIENT-DOWNGRADE")
def test_a_bearer_token_for_a_proven_key_is_refused() -> None:
    standin = StandIn(key=holder())
    standin.agent().receive(standin.token(aud=ISSUER))

    standin.changed = {"token_type": "Bearer"}
    with pytest.raises(AnswerMalformed, match="not bound"):
        standin.agent().receive(standin.token(aud=ISSUER))


def test_a_token_that_is_bound_to_another_key_is_refused() -> None:
    standin = StandIn(key=holder())
    standin.claims = {"cnf": {"jkt": "A" * 43}}
    with pytest.raises(AnswerMalformed, match="another key"):
        standin.agent().receive(standin.token(aud=ISSUER))


def test_options_that_do_not_fit_together_are_refused() -> None:
    def make(**options: object) -> Agent:
        return Agent(**{"client_id": "a", "auth": ClientSecret("s"), "issuer": ISSUER, **options})  # type: ignore[arg-type]

    make(holder_key=holder(), sign_grants=True).close()
    make(issuer=None, token_endpoint="http://127.0.0.1:1/token").close()
    for options in (
        {"issuer": None},
        {"issuer": None, "token_endpoint": f"{ISSUER}/token", "auth": PrivateKeyJwt(holder())},
        {"sign_grants": True},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each names its own remedy
            make(**options)
    with pytest.raises(KeyRefused):
        make(holder_key=rsa_key("holder"))
    for url in ("http://as.example", "https://user@as.example", f"{ISSUER}?tenant=1"):
        with pytest.raises(Malformed):
            make(issuer=url)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "tök"])
def test_what_is_no_token_is_not_sent(token: str) -> None:
    standin = StandIn()
    with pytest.raises(Malformed):
        standin.agent().start(token, scope="crm.read")
    assert standin.requests == []
