"""A lease as the credential of API calls: with which headers, to whom, and how often again."""

import httpx2
import pytest

from tests.client.standin import ISSUER, Scripted, StandIn, answer, holder, proof_of
from tests.simulator import API, FILES, NOW
from tokensvc.client import LeaseAuth, TokenWithheld
from tokensvc.core.proof import token_hash, verify_proof
from tokensvc.errors import Malformed

ORIGIN = "https://crm.example"


class Api:
    """Answers as it is told, then 200; `seen` are the requests."""

    def __init__(self, *script: Scripted) -> None:
        self.script = list(script)
        self.seen: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(httpx2.Request(request.method, request.url, headers=request.headers))
        return self.script.pop(0)(request) if self.script else httpx2.Response(200)

    @property
    def credentials(self) -> list[str | None]:
        return [request.headers.get("authorization") for request in self.seen]


def client_of(api: Api, auth: LeaseAuth, **options: bool) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.MockTransport(api), auth=auth, **options)  # type: ignore[arg-type]


def unauthorized(challenge: str, **headers: str) -> Scripted:
    return answer(401, {}, www_authenticate=challenge, **headers)


def test_a_bearer_token_goes_as_one() -> None:
    standin, api = StandIn(), Api()
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    client_of(api, LeaseAuth(lease)).get(f"{API}/customers?page=2")
    assert api.credentials == [f"Bearer {lease.token()}"]
    assert "dpop" not in api.seen[0].headers


@pytest.mark.requirement("CLIENT-PROOF")
def test_a_bound_token_goes_with_a_proof_for_each_request() -> None:
    standin, api = StandIn(key=holder()), Api()
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    client = client_of(api, LeaseAuth(lease))
    client.get(f"{API}/customers%2F1?page=2#top")
    client.post(f"{API}/customers", json={})

    assert api.credentials == [f"DPoP {lease.token()}"] * 2
    assert proof_of(api.seen[0])["htu"] == f"{API}/customers%2F1"
    proofs = [
        verify_proof(request.headers["dpop"], htm=request.method, htu=str(request.url), now=NOW, leeway_s=0)
        for request in api.seen
    ]
    assert [proof.ath for proof in proofs] == [token_hash(lease.token())] * 2
    assert proofs[0].jti != proofs[1].jti


@pytest.fixture
def bound() -> StandIn:
    return StandIn(key=holder())


@pytest.mark.requirement("CLIENT-NONCE")
def test_a_nonce_is_taken_up_once_and_remembered(bound: StandIn) -> None:
    demand = unauthorized('DPoP error="use_dpop_nonce"', dpop_nonce="n1")
    api = Api(demand)
    client = client_of(api, LeaseAuth(bound.agent().receive(bound.token(aud=ISSUER))))
    assert client.get(API).status_code == 200
    client.get(API)
    assert [proof_of(request).get("nonce") for request in api.seen] == [None, "n1", "n1"]

    api.script = [demand, demand]
    assert client.get(API).status_code == 401
    assert len(api.seen) == 5


def test_a_token_that_the_resource_calls_invalid_is_renewed_once() -> None:
    standin = StandIn()
    invalid = unauthorized('Bearer realm="x", error="invalid_token"')
    api = Api(invalid)
    client = client_of(api, LeaseAuth(standin.agent().receive(standin.token(aud=ISSUER))))
    assert client.get(API).status_code == 200
    assert len(set(api.credentials)) == 2

    api.script = [invalid, invalid]
    assert client.get(API).status_code == 401
    assert len(api.seen) == 4


@pytest.mark.parametrize("challenge", ['Bearer error="insufficient_scope"', "Basic realm=x", ""])
def test_other_challenges_are_the_callers(challenge: str) -> None:
    standin, api = StandIn(), Api(unauthorized(challenge))
    client = client_of(api, LeaseAuth(standin.agent().receive(standin.token(aud=ISSUER))))
    assert client.get(API).status_code == 401
    assert len(api.seen) == 1


class Streaming(httpx2.BaseTransport):
    """Sends a body as a connection does: what came out of a stream is gone."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.SyncByteStream)
        assert b"".join(request.stream)
        return self.api(request)


def test_a_body_that_cannot_be_sent_again_is_not() -> None:
    standin, api = StandIn(), Api(unauthorized('Bearer error="invalid_token"'))
    auth = LeaseAuth(standin.agent().receive(standin.token(aud=ISSUER)))
    client = httpx2.Client(transport=Streaming(api), auth=auth)
    assert client.post(API, content=iter([b"once"])).status_code == 401
    api.script = [unauthorized('Bearer error="invalid_token"')]
    assert client.post(API, content=b"again").status_code == 200


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "https://crm.example:444/", "http://crm.example/", "https://crm.example.evil/"]
)
def test_nothing_goes_to_another_origin(url: str) -> None:
    standin, api = StandIn(), Api()
    client = client_of(api, LeaseAuth(standin.agent().receive(standin.token(aud=ISSUER))))
    with pytest.raises(TokenWithheld):
        client.get(url)
    assert api.seen == []
    client.get("https://crm.example:443/elsewhere")
    assert len(api.seen) == 1


@pytest.mark.requirement("CLIENT-REDIRECT")
def test_a_redirect_elsewhere_goes_without_the_token(bound: StandIn) -> None:
    api = Api(answer(307, {}, location="https://evil.example/"), answer(200, {}, dpop_nonce="evil"))
    lease = bound.agent().receive(bound.token(aud=ISSUER))
    client = client_of(api, LeaseAuth(lease), follow_redirects=True)
    client.get(API)
    assert api.credentials == [f"DPoP {lease.token()}", None]
    client.get(API)
    assert "nonce" not in proof_of(api.seen[2])


def test_other_origins_have_to_be_said_and_are_safe() -> None:
    standin, api = StandIn(resources=[API, FILES]), Api()
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    auth = LeaseAuth(lease, resource=FILES, origins=["https://gateway.example"])
    client_of(api, auth).get("https://gateway.example/files")
    assert api.credentials == [f"Bearer {lease.token(FILES)}"]
    with pytest.raises(TokenWithheld):
        client_of(api, auth).get(FILES)
    with pytest.raises(ValueError, match="say which"):
        LeaseAuth(lease)
    with pytest.raises(Malformed):
        LeaseAuth(lease, resource=FILES, origins=["http://gateway.example"])


async def test_the_same_in_an_event_loop(bound: StandIn) -> None:
    api = Api(unauthorized('DPoP error="use_dpop_nonce"', dpop_nonce="n1"), unauthorized('DPoP error="invalid_token"'))
    lease = await bound.async_agent().receive(bound.token(aud=ISSUER))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api), auth=LeaseAuth(lease)) as client:
        assert (await client.get(API)).status_code == 200
    assert [proof_of(request).get("nonce") for request in api.seen] == [None, "n1", "n1"]
    assert len(set(api.credentials)) == 2


async def test_a_lease_is_for_the_client_of_its_own_kind() -> None:
    standin, api = StandIn(), Api()
    lease = standin.agent().receive(standin.token(aud=ISSUER))
    async_lease = await standin.async_agent().receive(standin.token(aud=ISSUER))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api)) as client:
        with pytest.raises(TypeError):
            await client.get(API, auth=LeaseAuth(lease))
        await client.get(API, auth=LeaseAuth(async_lease))
    with pytest.raises(TypeError):
        client_of(api, LeaseAuth(async_lease)).get(API)
    client_of(api, LeaseAuth(lease)).get(API)
    assert len(api.seen) == 2
