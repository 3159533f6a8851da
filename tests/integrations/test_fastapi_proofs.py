"""Bound tokens in FastAPI apps: each refusal stands beside a call that passes."""

from dataclasses import replace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket

from tests.integrations.asgi_calls import BOUND, SIM, TOKEN, call, drive, present
from tests.integrations.test_fastapi import BEARER, World, make_guard
from tests.proofs import proof
from tests.simulator import NOW, jti
from tokensvc.integrations.nonces import ServerNonces
from tokensvc.integrations.proof_memory import ProofMemory
from tokensvc.verify import ClientCertificate, HolderFloor, VerifiedToken


@pytest.mark.parametrize("path", ["/customers", "/sync", "/judged?needs=crm.read"])
async def test_a_bound_token_comes_with_its_proof_and_each_proof_once(path: str) -> None:
    world = World()
    app = world.app()
    text = proof(BOUND, htu=f"https://crm.example{path}")
    assert (await present(app, BOUND, text, path=path)).status_code == 200
    replayed = await present(app, BOUND, text, path=path)
    bearer = await present(app, BOUND, scheme="Bearer", path=path)
    assert (replayed.status_code, replayed.json()["detail"]["error"]) == (401, "invalid_dpop_proof")
    assert (bearer.status_code, bearer.json()["detail"]["reason"]) == (401, "holder_unproven")
    assert replayed.headers["www-authenticate"].startswith('DPoP algs="ES256 Ed25519 RS256", error=')
    assert len(world.seen) == 1


async def test_several_dependencies_of_one_call_use_up_one_proof() -> None:
    guard = make_guard()
    router = APIRouter(prefix="/v1", dependencies=[Depends(guard.require(scope="crm.read"))])

    @router.get("/customers")
    async def read(
        one: Annotated[VerifiedToken, Depends(guard.require(scope="crm.write"))],
        two: Annotated[VerifiedToken, Depends(guard.require())],
    ) -> bool:
        return one is two

    @router.get("/delete")
    async def delete(_: Annotated[VerifiedToken, Security(guard, scopes=["crm.delete"])]) -> None:
        raise AssertionError

    app = FastAPI()
    app.include_router(router)
    for number, (path, status) in enumerate([("/v1/customers", 200), ("/v1/delete", 403), ("/v1/customers", 200)]):
        text = proof(BOUND, htu=f"https://crm.example{path}", jti=jti(str(number)))
        response = await present(app, BOUND, text, path=path)
        assert response.status_code == status
        again = await present(app, BOUND, text, path=path)
        assert (again.status_code, again.json()["detail"]["error"]) == (401, "invalid_dpop_proof")
    assert (
        'scope="crm.delete"'
        in (await present(app, TOKEN, scheme="Bearer", path="/v1/delete")).headers["www-authenticate"]
    )


async def test_nonces_are_asked_for_and_renewed() -> None:
    nonces = ServerNonces(bytes(32))
    app = World(guard=make_guard(nonces=nonces)).app()
    first = await present(app, BOUND, proof(BOUND))
    assert (first.status_code, first.json()["detail"]["error"]) == (401, "use_dpop_nonce")
    fresh = await present(app, BOUND, proof(BOUND, nonce=first.headers["dpop-nonce"]))
    old = await present(app, BOUND, proof(BOUND, nonce=nonces.make(NOW - 200), jti=jti("old")))
    assert (fresh.status_code, old.status_code) == (200, 200)
    assert ("dpop-nonce" in fresh.headers, old.headers["dpop-nonce"]) == (False, nonces.make(NOW))


async def test_where_a_proof_is_required_the_openapi_document_says_dpop() -> None:
    strict = replace(SIM.expect(), holder=HolderFloor.PROOF)
    app = World(guard=make_guard(expect=strict)).app()
    schemes = app.openapi()["components"]["securitySchemes"]
    assert (list(schemes), schemes["DPoP"]["type"], schemes["DPoP"]["scheme"]) == (["DPoP"], "http", "DPoP")
    unbound = await call(app, BEARER)
    assert (unbound.status_code, unbound.json()["detail"]["reason"]) == (401, "holder_unproven")
    assert (await present(app, BOUND, proof(BOUND))).status_code == 200


async def test_a_base_url_a_store_and_a_source_of_certificates_may_be_given() -> None:
    der = b"a certificate"
    by_certificate = SIM.token(SIM.claims(SIM.chain("planner"), cnf={"x5t#S256": ClientCertificate.of(der).thumbprint}))
    memory = ProofMemory(clock=lambda: NOW)
    terms: dict[str, Any] = {"proofs": memory, "base_url": "https://gateway.example", "certificate": lambda _scope: der}
    app = World(guard=make_guard(**terms)).app()
    assert (await present(app, BOUND, proof(BOUND, htu="https://gateway.example/customers"))).status_code == 200
    assert (await present(app, by_certificate, scheme="Bearer")).status_code == 200
    assert (await present(World().app(), by_certificate, scheme="Bearer")).status_code == 401
    assert len(memory) == 1


@pytest.mark.parametrize("age", [0, 200])
async def test_a_websocket_is_opened_with_a_proof(age: int) -> None:
    nonces = ServerNonces(bytes(32))
    guard, app = make_guard(nonces=nonces), FastAPI()

    @app.websocket("/feed")
    async def feed(websocket: WebSocket, token: Annotated[VerifiedToken, Depends(guard.require())]) -> None:
        await websocket.accept()
        await websocket.send_text(token.sub)

    text = proof(BOUND, htu="https://crm.example/feed", nonce=nonces.make(NOW - age))
    headers = [(b"authorization", f"DPoP {BOUND}".encode()), (b"dpop", text.encode())]
    scope = {"type": "websocket", "path": "/feed", "headers": headers, "query_string": b""}
    # A server makes a scope for each connection.
    opened, closed = [await drive(app, {**scope}, {"type": "websocket.connect"}) for _ in range(2)]
    assert [message["type"] for message in opened] == ["websocket.accept", "websocket.send"]
    assert [message["type"] for message in closed] == ["websocket.close"]
