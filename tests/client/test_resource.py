"""Leases at a resource that checks proofs: the real middleware, with nonces, below the real service."""

from typing import Any, Final

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.client.agents import SCOPE, async_agent
from tests.interop.service import API, Service, holder_key_of
from tokensvc.client import AsyncAgent, AsyncLease, LeaseAuth
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.keyset import parse_jwks
from tokensvc.integrations.asgi import TokenMiddleware, metadata_url, verified_token
from tokensvc.integrations.nonces import ServerNonces
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys

PLANNER: Final = "planner.dpop"
RESEARCHER: Final = "researcher.dpop"


@pytest.fixture
def api(service: Service) -> Starlette:
    """The resource `API`: it takes delegations that their delegators signed, and knows planner's key."""

    async def read(request: Request) -> JSONResponse:
        token = verified_token(request.scope)
        token.require(scope="crm.read")
        return JSONResponse({"by": list(token.actors)})

    guard = Middleware(
        TokenMiddleware,
        keys=StaticKeys(
            {service.issuer: parse_jwks(parse_json_object(service.http.get("/.well-known/jwks.json").content))}
        ),
        expect=Expectation.delegator_signed(
            issuers=[service.issuer],
            audiences=[API],
            agent_keys={(service.issuer, PLANNER): [holder_key_of(PLANNER).public.thumbprint]},
        ),
        revocations=LifetimeOnly(max_s=900),
        resource_metadata=metadata_url(API),
        nonces=ServerNonces(b"n" * 32),
    )
    return Starlette(routes=[Route("/api/customers", read, methods=["GET", "POST"])], middleware=[guard])


class Watched(httpx2.AsyncBaseTransport):
    """Keeps the status of every answer, also of those that are answered by another try."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - as httpx2 types ASGI applications
        self._inner = httpx2.ASGITransport(app=app)
        self.seen: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        self.seen.append(response.status_code)
        return response


async def received(service: Service, planner: AsyncAgent, researcher: AsyncAgent) -> AsyncLease:
    lease = await planner.start(service.user_token(PLANNER), scope=SCOPE, resource=API)
    return await researcher.receive(await lease.delegate(to=RESEARCHER, scope="crm.read"))


async def test_a_call_brings_its_proof_and_takes_up_the_nonce(service: Service, api: Starlette) -> None:
    transport = Watched(api)
    async with (
        async_agent(service, PLANNER, sign_grants=True) as planner,
        async_agent(service, RESEARCHER) as researcher,
    ):
        lease = await received(service, planner, researcher)
        async with httpx2.AsyncClient(transport=transport, auth=LeaseAuth(lease)) as http:
            first = await http.get(f"{API}/customers", params={"page": "2"})
            second = await http.post(f"{API}/customers", content=b"{}")
        assert first.json() == second.json() == {"by": [RESEARCHER, PLANNER]}
        assert transport.seen == [401, 200, 200]

        # The token alone is worth nothing, also as a bearer token.
        async with httpx2.AsyncClient(transport=transport) as thief:
            for scheme in ("DPoP", "Bearer"):
                headers = {"authorization": f"{scheme} {await lease.token()}"}
                assert (await thief.get(f"{API}/customers", headers=headers)).status_code == 401


async def test_an_unsigned_delegation_is_refused_after_one_renewal(service: Service, api: Starlette) -> None:
    transport = Watched(api)
    async with async_agent(service, PLANNER) as planner, async_agent(service, RESEARCHER) as researcher:
        lease = await received(service, planner, researcher)
        before = await lease.token()
        async with httpx2.AsyncClient(transport=transport, auth=LeaseAuth(lease)) as http:
            refused = await http.get(f"{API}/customers")
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        assert set(transport.seen) == {401}
        assert len(transport.seen) <= 3
        assert await lease.token() != before
