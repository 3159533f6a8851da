"""What anybody may read: metadata (RFC 8414), keys (RFC 7517), health."""

from pathlib import Path

import httpx2
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.server.world import API, ISSUER, FixedSigner, World, make_world, values
from tests.simulator import ec_key, rsa_key

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
ALGORITHMS = ["ES256", "Ed25519", "RS256"]


@pytest.mark.requirement("META-MEMBERS", "META-JSON", "META-AUTH-ALGS", "META-NO-EMPTY")
async def test_the_metadata_says_all_that_is_there_and_nothing_else(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/.well-known/oauth-authorization-server")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.json() == {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/token",
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "introspection_endpoint": f"{ISSUER}/introspect",
        "introspection_endpoint_auth_methods_supported": METHODS,
        "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint": f"{ISSUER}/revoke",
        "revocation_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "grant_types_supported": [GRANT_TYPE],
        "dpop_signing_alg_values_supported": ALGORITHMS,
        "response_types_supported": ["none"],
        "scopes_supported": ["crm.delete", "crm.export", "crm.read", "crm.write"],
        "attenuation": "scope",
        "proper_from": 1,
        "scope_grammar": "exact",
        "grant_profile": 1,
        "delegation_grant_signing_alg_values_supported": ["ES256", "Ed25519"],
    }
    AuthorizationServerMetadata(answer.json()).validate()


@pytest.mark.requirement("RAR-METADATA")
async def test_the_metadata_says_by_which_order_authority_is_compared_and_which_details_there_are(
    tmp_path: Path,
) -> None:
    plain = values()
    tool = {"type": "attenuating_agent_token", "tools": {"search": {}}}
    (provider,) = plain["identity_provider"]
    ceiling = {**provider["ceiling"], "authorization_details": [tool, {"type": "payment"}]}
    order = {"attenuation": "authority", "proper_from": 2, "scope_grammar": "segments"}
    world = make_world(tmp_path, {**plain, **order, "identity_provider": [{**provider, "ceiling": ceiling}]})

    async with world.running() as client:
        metadata = (await client.get("/.well-known/oauth-authorization-server")).json()

    assert {name: metadata[name] for name in order} == order
    assert metadata["authorization_details_types_supported"] == ["attenuating_agent_token", "payment"]


@pytest.mark.parametrize(
    ("issuer", "paths"),
    [
        (
            "https://tokens.example",
            ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"],
        ),
        (
            "https://tokens.example/tenant/a",
            [
                "/.well-known/oauth-authorization-server/tenant/a",
                "/tenant/a/.well-known/oauth-authorization-server",
                "/.well-known/openid-configuration/tenant/a",
                "/tenant/a/.well-known/openid-configuration",
            ],
        ),
    ],
)
@pytest.mark.requirement("META-PATH", "META-ISSUER")
async def test_the_metadata_is_where_clients_look_and_its_endpoints_are_there(
    tmp_path: Path, issuer: str, paths: list[str]
) -> None:
    world = make_world(tmp_path, values(issuer))

    async with world.running() as client:
        documents = [(await client.get(path)).json() for path in paths]
        metadata = documents[0]
        posted = [
            (await client.post(metadata[f"{name}_endpoint"], data={"a": "1"})).status_code
            for name in ("token", "introspection", "revocation")
        ]
        keys = await client.get(metadata["jwks_uri"])
        elsewhere = [(await client.post(path, data={"a": "1"})).status_code for path in ("/tokens", "/x/token")]

    assert all(document == metadata for document in documents)
    assert metadata["issuer"] == issuer
    assert posted == [401, 401, 401]
    assert [key["kid"] for key in keys.json()["keys"]] == ["service"]
    assert elsewhere == [404, 404]


async def test_with_a_path_in_the_issuer_nothing_answers_without_it(tmp_path: Path) -> None:
    world = make_world(tmp_path, values("https://tokens.example/a"))

    async with world.running() as client:
        for path in ("/token", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"):
            assert (await client.post(path)).status_code == 404


async def test_an_http_issuer_on_a_loopback_address_has_valid_metadata(tmp_path: Path) -> None:
    world = make_world(tmp_path, values("http://127.0.0.1:8700"))

    async with world.running() as client:
        metadata = (await client.get("/.well-known/oauth-authorization-server")).json()

    assert metadata["token_endpoint"] == "http://127.0.0.1:8700/token"


@pytest.mark.requirement("META-KEYS")
async def test_the_key_set_is_what_the_signer_has_at_that_moment(tmp_path: Path) -> None:
    signer = FixedSigner(ec_key("service"))
    world = make_world(tmp_path, signer=signer)

    async with world.running() as client:
        before = await client.get("/.well-known/jwks.json")
        signer.keys.append(rsa_key("next"))
        after = await client.get("/.well-known/jwks.json")

    assert [key["kid"] for key in before.json()["keys"]] == ["service"]
    assert {key["kid"]: key["alg"] for key in after.json()["keys"]} == {"service": "ES256", "next": "RS256"}
    assert after.headers["cache-control"] == "public, max-age=300"
    assert all(not {"d", "p", "q"} & key.keys() for key in after.json()["keys"])


async def test_health_and_readiness_are_told_apart(world: World) -> None:
    async with world.client() as client:
        closed = [await client.get("/healthz"), await client.get("/readyz")]
    async with world.running() as client:
        opened = [await client.get("/healthz"), await client.get("/readyz")]

    assert [(answer.status_code, answer.json().get("status")) for answer in opened] == [(200, "ok"), (200, "ready")]
    assert [answer.status_code for answer in closed] == [200, 503]
    assert API not in closed[1].text
    assert "store" not in closed[1].text
