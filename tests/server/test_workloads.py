"""Agents that prove themselves by what their platform says, over HTTP, from the settings on."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.jwks_server import FakeClock, JwksServer, answers
from tests.server.world import API, ISSUER, World, make_world, values
from tests.settings_file import write_settings
from tests.simulator import ABSENT, NOW, Members, ec_key, jwk, rsa_key, seal
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import Service

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_SPIFFE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
PLANNER: Final = "spiffe://example.org/agents/planner"
RESEARCHER: Final = "system:serviceaccount:agents:researcher"
CLUSTER: Final = "https://kubernetes.default.svc.cluster.local"
GENERIC: Final = {"error": "invalid_client", "error_description": "client authentication failed"}


def bundle(*keys: SigningKey) -> bytes:
    """As a bundle endpoint answers: X.509 authorities too, no `alg`."""
    authority = {**jwk(ec_key("ca")), "use": "x509-svid", "x5c": ["MIIB"]}
    signers = [{**jwk(key), "kid": key.kid, "use": "jwt-svid"} for key in keys]
    return json.dumps({"keys": [authority, *signers], "spiffe_sequence": 7, "spiffe_refresh_hint": 300}).encode()


def configured(folder: Path, **domain: object) -> dict[str, Any]:
    """planner is in a trust domain, researcher in a cluster."""
    (folder / "bundle.json").write_bytes(bundle(ec_key("spire")))
    (folder / "cluster.json").write_text(json.dumps(render_jwks(KeySet([rsa_key("cluster").public]))))
    plain = values()
    for agent in plain["agent"][:2]:
        del agent["secret_sha256"]
    plain["agent"][0] |= {"auth": "spiffe_jwt", "spiffe_id": PLANNER}
    plain["agent"][1] |= {"auth": "kubernetes_jwt", "service_account": "agents:researcher"}
    plain["spiffe_trust_domain"] = [{"trust_domain": "example.org", **(domain or {"bundle_file": "bundle.json"})}]
    plain["kubernetes_cluster"] = [{"iss": CLUSTER, "jwks_file": "cluster.json"}]
    return plain


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, configured(tmp_path))


def svid(*, key: str = "spire", kid: str | None = None, **claims: Any) -> str:  # noqa: ANN401 - any claim
    plain: Members = {"aud": [ISSUER], "exp": NOW + 300, "iat": NOW, "sub": PLANNER, **claims}
    header = {"alg": "ES256", "kid": kid or key, "typ": "JWT"}
    return seal(header, {name: member for name, member in plain.items() if member is not ABSENT}, ec_key(key))


def account_token(**claims: Any) -> str:  # noqa: ANN401 - any claim
    plain: Members = {"aud": [ISSUER], "exp": NOW + 3600, "iat": NOW, "nbf": NOW, "iss": CLUSTER, "sub": RESEARCHER}
    return seal({"alg": "RS256", "kid": "cluster"}, {**plain, **claims}, rsa_key("cluster"))


def by(assertion: str, kind: str = JWT_BEARER, **parameters: str) -> dict[str, str]:
    return {"client_assertion": assertion, "client_assertion_type": kind, **parameters}


async def introspect(client: httpx2.AsyncClient, **credentials: str) -> Any:  # noqa: ANN401 - JSON
    return (await client.post("/introspect", data={"token": "x", **credentials})).json()


async def test_a_delegation_goes_from_one_platform_to_the_other_without_a_secret(world: World) -> None:
    async with world.running() as client:
        start = await client.post("/token", data={**world.start(), **by(svid(), JWT_SPIFFE)})
        handed = await client.post(
            "/token",
            data={
                **world.start(),
                "subject_token": start.json()["access_token"],
                "requested_actor": "researcher",
                "scope": "crm.read crm.write",
                **by(svid()),
            },
        )
        picked_up = await client.post(
            "/token",
            data={
                **world.start(),
                "subject_token": handed.json()["access_token"],
                "requested_actor": "researcher",
                "scope": "crm.read crm.write",
                "resource": API,
                "actor_token": account_token(),
                "actor_token_type": "urn:ietf:params:oauth:token-type:jwt",
                **by(account_token()),
            },
        )
        token = picked_up.json()["access_token"]
        seen = (await client.post("/introspect", data={"token": token, **by(account_token())})).json()
        revoked = await client.post("/revoke", data={"token": token, **by(account_token())})
        after = (await client.post("/introspect", data={"token": token, **by(account_token())})).json()

    assert [answer.status_code for answer in (start, handed, picked_up, revoked)] == [200] * 4
    assert seen["act"] == {"sub": "researcher", "act": {"sub": "planner"}}
    assert (seen["active"], after) == (True, {"active": False})


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke", "/operator/revocations"])
@pytest.mark.parametrize(
    "credentials",
    [
        by(svid(key="stranger", kid="spire")),
        by(svid(sub="spiffe://example.org/nobody")),
        by(svid(sub="spiffe://unheard.example/x")),
        by(svid(sub="planner")),
        by(svid(sub="retired")),
        by(svid(), client_id="researcher"),
        by(svid(), "urn:ietf:params:oauth:client-assertion-type:jwt-other"),
        by(account_token(), JWT_SPIFFE),
        by(account_token(sub="system:serviceaccount:agents:other")),
        by(account_token(iss="https://unheard.example")),
        by(account_token(), client_id="planner"),
        {"client_id": "planner", "client_secret": "x"},
    ],
)
async def test_every_failure_gets_the_one_answer(world: World, path: str, credentials: dict[str, str]) -> None:
    async with world.running() as client:
        refused = await client.post(path, data={"token": "x", **credentials})
        assert (refused.status_code, refused.json()) == (401, GENERIC)
        assert await introspect(client, **by(svid())) == {"active": False}


@pytest.mark.parametrize("credentials", [by(svid(aud=API)), by(account_token(exp=NOW + 9999)), by(svid(exp=ABSENT))])
async def test_who_has_the_platforms_word_is_told_what_is_wrong_with_it(
    world: World, credentials: dict[str, str]
) -> None:
    async with world.running() as client:
        answer = await client.post("/introspect", data={"token": "x", **credentials})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json() != GENERIC


async def test_nothing_of_a_token_is_logged_and_the_agent_is(world: World) -> None:
    refused = svid(key="stranger", kid="spire")
    async with world.running() as client:
        await introspect(client, **by(refused))
        await introspect(client, **by(svid()))

    text = world.log.getvalue()
    failures = [event for event in world.events() if event["event"] == "client_authentication_failed"]
    assert [event["client_id"] for event in failures] == ["planner"]
    for part in (*refused.split("."), *svid().split("."), PLANNER):
        assert part not in text


async def test_the_metadata_names_what_is_registered(tmp_path: Path) -> None:
    expected = {"plain": [], "workloads": ["spiffe_jwt", "kubernetes_jwt"]}
    for name, methods in expected.items():
        folder = tmp_path / name
        folder.mkdir()
        world = make_world(folder, values() if name == "plain" else configured(folder))
        async with world.running() as client:
            metadata = (await client.get("/.well-known/oauth-authorization-server")).json()
        AuthorizationServerMetadata(metadata).validate()
        for endpoint in ("token", "introspection", "revocation"):
            found = metadata[f"{endpoint}_endpoint_auth_methods_supported"]
            assert found == ["client_secret_basic", "client_secret_post", "private_key_jwt", *methods]


@asynccontextmanager
async def fetching(folder: Path, server: JwksServer) -> AsyncIterator[tuple[httpx2.AsyncClient, FakeClock]]:
    clock = FakeClock()
    settings = configured(folder, bundle_url=server.url, private_networks=["127.0.0.0/8"])
    world = make_world(folder, settings, key_clock=clock)
    async with world.running() as client:
        yield client, clock


async def test_a_bundle_is_fetched_and_followed_when_it_changes(tmp_path: Path) -> None:
    async with JwksServer(answers(bundle(ec_key("spire")))) as server, fetching(tmp_path, server) as (client, clock):
        assert await introspect(client, **by(svid())) == {"active": False}
        assert await introspect(client, **by(svid(key="spire-next"))) == GENERIC
        server.behave = answers(bundle(ec_key("spire-next")))
        clock.now += 30
        assert await introspect(client, **by(svid(key="spire-next"))) == {"active": False}
        assert await introspect(client, **by(svid())) == GENERIC


@pytest.mark.parametrize(
    "behave",
    [
        answers(b"", status="500 Down"),
        answers(b'{"keys": []}'),
        # A key set of an identity provider: none of its keys is for JWT-SVIDs.
        answers(json.dumps(render_jwks(KeySet([ec_key("spire").public]))).encode()),
    ],
)
async def test_without_a_bundle_only_its_agents_wait(tmp_path: Path, behave: Any) -> None:  # noqa: ANN401 - Behaviour
    async with JwksServer(behave) as server, fetching(tmp_path, server) as (client, clock):
        waiting = await client.post("/introspect", data={"token": "x", **by(svid())})
        unknown = await client.post("/introspect", data={"token": "x", **by(svid(sub="spiffe://example.org/nobody"))})
        assert (waiting.status_code, waiting.json()["error"]) == (503, "temporarily_unavailable")
        assert (unknown.status_code, unknown.json()) == (waiting.status_code, waiting.json())
        assert await introspect(client, **by(account_token())) == {"active": False}
        server.behave = answers(bundle(ec_key("spire")))
        clock.now += 30
        assert await introspect(client, **by(svid())) == {"active": False}


async def test_a_fetched_bundle_that_copies_the_keys_of_a_cluster_has_none_of_them(tmp_path: Path) -> None:
    """What is pinned keeps its key, and the copy speaks for nobody."""
    copies = answers(bundle(rsa_key("cluster"), ec_key("spire")))
    async with JwksServer(copies) as server, fetching(tmp_path, server) as (client, _):
        forged = seal(
            {"alg": "RS256", "kid": "cluster"},
            {"aud": [ISSUER], "exp": NOW + 300, "iat": NOW, "sub": PLANNER},
            rsa_key("cluster"),
        )
        assert await introspect(client, **by(forged)) == GENERIC
        assert await introspect(client, **by(account_token())) == {"active": False}
        assert await introspect(client, **by(svid())) == {"active": False}


async def test_a_platform_may_come_and_go_while_the_service_runs(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    service = Service(
        world.settings,
        clock=world.clock,
        store=world.store,
        signer=world.signer,
        telemetry=Telemetry(world.log),
    )
    transport = httpx2.ASGITransport(app=service.app)
    async with (
        service.app.router.lifespan_context(service.app),
        httpx2.AsyncClient(transport=transport, base_url=ISSUER) as client,
    ):
        found = [await introspect(client, **by(svid()))]
        for configuration in (configured(tmp_path), values()):
            keys = (tmp_path / "idp.jwks.json").read_bytes()
            path = write_settings(tmp_path, configuration)
            (tmp_path / "idp.jwks.json").write_bytes(keys)
            assert await service.reload(path, {})
            found.append(await introspect(client, **by(svid())))

    assert found == [GENERIC, {"active": False}, GENERIC]
