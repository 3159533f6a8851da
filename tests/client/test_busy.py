"""A service that is busy is asked again, at most twice and for ten seconds; whoever has to wait longer is told."""

import time
from email.utils import formatdate

import httpx2
import pytest

from tests.client.standin import ISSUER, StandIn, answer, holder, proof_of
from tests.simulator import NOW
from tokensvc.client import PrivateKeyJwt, ServiceUnavailable
from tokensvc.client.wire import HttpReply

BUSY = answer(503, {"error": "temporarily_unavailable"}, retry_after="0")


def test_two_busy_answers_are_waited_out_with_a_new_assertion_and_proof_each_time() -> None:
    standin = StandIn(key=holder(), script=[BUSY, BUSY])
    agent = standin.agent(issuer=ISSUER, auth=PrivateKeyJwt(holder()))
    agent.receive(standin.token(aud=ISSUER))

    assert len(standin.requests) == 3
    assert len({standin.form(request)["client_assertion"][0] for request in standin.requests}) == 3
    assert len({proof_of(request)["jti"] for request in standin.requests}) == 3


def test_a_third_busy_answer_is_the_last() -> None:
    standin = StandIn(script=[BUSY, BUSY, BUSY])
    with pytest.raises(ServiceUnavailable) as caught:
        standin.agent().receive(standin.token(aud=ISSUER))
    assert (len(standin.requests), caught.value.retry_after_s) == (3, 0)


def test_nobody_waits_for_longer_than_ten_seconds() -> None:
    standin = StandIn(script=[answer(503, {}, retry_after="11")])
    with pytest.raises(ServiceUnavailable) as caught:
        standin.agent().receive(standin.token(aud=ISSUER))
    assert (len(standin.requests), caught.value.retry_after_s) == (1, 11)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (formatdate(NOW + 5, usegmt=True), 5),
        (formatdate(NOW - 5, usegmt=True), 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("9" * 400, 999_999_999),
        (formatdate(NOW + 5).replace("-0000", "+0000"), 5),
        (formatdate(NOW + 5).replace("-0000", "+99999999999999999999"), None),
        (formatdate(NOW + 5).replace("-0000", "+9999"), None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert HttpReply(status=503, headers={"retry-after": value}).retry_after_s(NOW) == seconds


def test_no_connection_is_unavailable_and_names_the_host_alone() -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("secret detail", request=request)

    standin = StandIn(script=[fail])
    with pytest.raises(ServiceUnavailable) as caught:
        standin.agent().receive(standin.token(aud=ISSUER))
    assert str(caught.value) == "cannot reach https://as.example (ConnectError)"
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_time_that_was_asked_for_is_waited(kind: str) -> None:
    standin = StandIn(now=NOW + 4.99, script=[answer(503, {}, retry_after=formatdate(NOW + 5, usegmt=True))])
    began = time.monotonic()
    if kind == "sync":
        standin.agent().receive(standin.token(aud=ISSUER))
    else:
        await standin.async_agent().receive(standin.token(aud=ISSUER))
    assert time.monotonic() - began >= 0.009
    assert len(standin.requests) == 2


async def test_the_same_in_an_event_loop() -> None:
    standin = StandIn(script=[BUSY, BUSY, BUSY, BUSY, BUSY])
    agent = standin.async_agent()
    with pytest.raises(ServiceUnavailable):
        await agent.receive(standin.token(aud=ISSUER))
    lease = await agent.receive(standin.token(aud=ISSUER))
    assert len(standin.requests) == 6
    assert await lease.token()
