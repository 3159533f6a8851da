"""The certificate of a request: from the TLS extension or the header of a trusted proxy, as the configuration says."""

from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from tests.certificates import self_signed
from tests.server.certified import (
    AUTHORITY,
    PLANNER,
    PROXY_HEADER,
    RESEARCHER,
    STRANGER,
    certified_world,
    write_certificates,
)
from tests.server.world import World, basic, call, exchange_form, make_world, values
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.server.client_certificate import FromProxy, FromTls, source_of, tls_extension

INVALID_CLIENT = {"error": "invalid_client", "error_description": "client authentication failed"}
HEADER = PROXY_HEADER.lower().encode()
NETWORKS = ("10.0.0.0/24", "2001:db8::1/128")


def source() -> FromProxy:
    found = source_of(speaks_tls=False, header=PROXY_HEADER, proxies=NETWORKS)
    assert isinstance(found, FromProxy)
    return found


def scope(*headers: tuple[bytes, bytes], peer: object = ("10.0.0.7", 50000), **more: object) -> dict[str, Any]:
    return {"type": "http", "headers": list(headers), "client": peer, **more}


# From a proxy


@pytest.mark.parametrize(
    ("peer", "is_believed"),
    [
        (("10.0.0.7", 1), True),
        (("::ffff:10.0.0.7", 1), True),
        (("2001:db8::1", 1), True),
        (("10.0.1.7", 1), False),
        (("::ffff:10.0.1.7", 1), False),
        (("2001:db8::2", 1), False),
        (("127.0.0.1", 1), False),
        (("", 1), False),
        (("proxy", 1), False),
        (None, False),
    ],
)
@pytest.mark.requirement("MTLS-PROXY")
def test_a_header_is_believed_from_the_proxy_alone(peer: object, *, is_believed: bool) -> None:
    found = source().certificate_of(scope((HEADER, PLANNER.escaped), peer=peer))

    assert found == (PLANNER.parsed if is_believed else None)


def test_whoever_is_not_the_proxy_may_send_what_it_likes_and_is_not_heard() -> None:
    for headers in ([(HEADER, b"rubbish")], [(HEADER, PLANNER.escaped)] * 2):
        assert source().certificate_of(scope(*headers, peer=("192.0.2.1", 1))) is None
        with pytest.raises(OAuthRefused):
            source().certificate_of(scope(*headers))


@pytest.mark.parametrize("value", [PLANNER.escaped, b":" + b64encode(PLANNER.der) + b":"])
def test_both_spellings_are_read_and_other_headers_are_not(value: bytes) -> None:
    assert source().certificate_of(scope((HEADER, value))) == PLANNER.parsed
    assert source().certificate_of(scope((b"client-cert", value), (b"x-client-cert-2", value))) is None


def test_no_header_or_an_empty_one_is_no_certificate() -> None:
    assert source().certificate_of(scope()) is None
    assert source().certificate_of(scope((HEADER, b""))) is None


def test_two_of_them_are_refused() -> None:
    for second in (PLANNER.escaped, RESEARCHER.escaped, b""):
        with pytest.raises(OAuthRefused) as raised:
            source().certificate_of(scope((HEADER, PLANNER.escaped), (HEADER, second)))
        assert (raised.value.error, raised.value.reason) == (OAuthError.INVALID_REQUEST, Reason.PARAMETER_REPEATED)


@pytest.mark.parametrize("value", [b"rubbish", PLANNER.escaped[:-20], PLANNER.escaped + b"," + PLANNER.escaped])
def test_what_the_proxy_says_and_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(OAuthRefused) as raised:
        source().certificate_of(scope((HEADER, value)))
    assert (raised.value.error, raised.value.reason) == (OAuthError.INVALID_CLIENT, None)
    # What TLS says elsewhere is not looked at either.
    tls = {"tls": tls_extension(RESEARCHER.pem.decode(), None)}
    assert source().certificate_of(scope(extensions=tls)) is None


# From our own TLS


def test_the_tls_extension_holds_the_certificate() -> None:
    found = source_of(speaks_tls=True, header=None, proxies=())
    assert isinstance(found, FromTls)
    shown = {"tls": tls_extension(PLANNER.pem.decode(), 0x0304)}

    assert found.certificate_of(scope(extensions=shown)) == PLANNER.parsed
    assert found.certificate_of(scope(extensions={"tls": tls_extension(None, 0x0304)})) is None
    assert found.certificate_of(scope(extensions={})) is None
    assert found.certificate_of(scope((HEADER, PLANNER.escaped), (b"client-cert", PLANNER.escaped))) is None


@pytest.mark.parametrize("pem", ["", "rubbish", "ü", PLANNER.pem.decode() + RESEARCHER.pem.decode()])
def test_what_is_no_certificate_there_is_refused(pem: str) -> None:
    with pytest.raises(OAuthRefused) as raised:
        FromTls().certificate_of(scope(extensions={"tls": tls_extension(pem, None)}))
    assert raised.value.error is OAuthError.INVALID_CLIENT


def test_without_a_source_there_is_none() -> None:
    assert source_of(speaks_tls=False, header=None, proxies=()) is None


# Over the endpoints


@pytest.fixture
def world(tmp_path: Path) -> World:
    return certified_world(tmp_path, proxies=("10.0.0.1/32",))


async def post(world: World, path: str, form: dict[str, object], *certificates: bytes, **headers: str) -> Any:  # noqa: ANN401
    """The answer to the proxy, which hands these over."""
    sent = [*((PROXY_HEADER, value.decode()) for value in certificates), *headers.items()]
    transport = httpx2.ASGITransport(app=world.app, client=("10.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="https://tokens.example") as client:
        return await client.post(path, data=form, headers=sent)


@pytest.mark.parametrize("path", ["/introspect", "/revoke", "/token", "/operator/revocations"])
@pytest.mark.requirement("MTLS-CLIENT-ID")
async def test_at_every_endpoint_a_certificate_and_client_id_are_who_sent_it(world: World, path: str) -> None:
    form: dict[str, object] = {"token": "x"}
    async with world.running():
        good = await post(world, path, {**form, "client_id": "planner"}, PLANNER.escaped)
        own = await post(world, path, {**form, "client_id": "researcher"}, RESEARCHER.escaped)
        refused = [
            await post(world, path, form, PLANNER.escaped),
            await post(world, path, {**form, "client_id": "researcher"}, PLANNER.escaped),
            await post(world, path, {**form, "client_id": "keeper"}, PLANNER.escaped),
            await post(world, path, {**form, "client_id": "crm-api"}, PLANNER.escaped),
            await post(world, path, {**form, "client_id": "nobody"}, PLANNER.escaped),
            await post(world, path, {**form, "client_id": "planner"}, STRANGER.escaped),
            await post(world, path, {**form, "client_id": "planner"}),
            await post(world, path, {**form, "client_id": "planner", "client_secret": "x"}, PLANNER.escaped),
            await post(world, path, {**form, "client_id": "planner"}, PLANNER.escaped, **basic("planner", "x")),
            await post(world, path, {**form, "client_id": "planner", "client_assertion_type": "x"}, PLANNER.escaped),
            await post(world, path, {**form, "client_id": "planner"}, PLANNER.escaped, Authorization="Bearer x"),
        ]

    assert {good.status_code, own.status_code}.isdisjoint({401})
    assert [(answer.status_code, answer.json()) for answer in refused] == [(401, INVALID_CLIENT)] * len(refused)


async def test_a_failed_certificate_is_counted_like_every_failure(world: World) -> None:
    async with world.running():
        await post(world, "/introspect", {"token": "x", "client_id": "planner"}, STRANGER.escaped)
        unread = await post(world, "/introspect", {"token": "x", "client_id": "planner"}, b"rubbish")

    failures = [event for event in world.events() if event["event"] == "client_authentication_failed"]
    assert [event["client_id"] for event in failures] == ["planner", "planner"]
    assert (unread.status_code, unread.json()["error"]) == (401, "invalid_client")
    assert "CERTIFICATE" not in world.log.getvalue()


@pytest.mark.requirement("MTLS-BOUND")
async def test_a_token_is_bound_and_needs_the_same_certificate_again(world: World) -> None:
    async with world.running():
        started = await post(world, "/token", world.start(client_id="planner"), PLANNER.escaped)
        shown = {"token": started.json()["access_token"], "client_id": "planner"}
        seen = await post(world, "/introspect", shown, PLANNER.escaped)
        # The same name, the same authority: another certificate of the same agent.
        follower = AUTHORITY.issue("planner", key=self_signed("follows").key, san_dns="planner.agents.example")
        again = exchange_form(
            started.json()["access_token"], client_id="planner", requested_actor="planner", scope="crm.read"
        )
        other = await post(world, "/token", again, follower.escaped)
        same = await post(world, "/token", again, PLANNER.escaped)

    assert seen.json()["cnf"] == {"x5t#S256": PLANNER.parsed.thumbprint}
    assert (seen.json()["token_type"], started.json()["token_type"]) == ("Bearer", "Bearer")
    assert (other.status_code, other.json()["reason"]) == (400, "holder_unproven")
    assert (same.status_code, same.json().get("reason")) == (200, None)


@pytest.mark.requirement("MTLS-BOUND")
async def test_an_agent_with_bound_tokens_gets_none_without_a_certificate(world: World) -> None:
    start = exchange_form(world.user_token(client_id="keeper"), scope="crm.read")
    async with world.running():
        without = await post(world, "/token", start, **basic("keeper"))
        refused = [await post(world, "/token", start, *two, **basic("keeper")) for two in ([PLANNER.escaped] * 2,)]
        bound = await post(world, "/token", start, RESEARCHER.escaped, **basic("keeper"))

    assert (without.status_code, without.json()["reason"]) == (400, "holder_unproven")
    assert [(answer.status_code, answer.json()["reason"]) for answer in refused] == [(400, "parameter_repeated")]
    assert bound.status_code == 200


async def test_a_header_changes_nothing_where_no_proxy_is_configured(tmp_path: Path) -> None:
    world = make_world(tmp_path, values())
    form = urlencode({"token": "x", "client_id": "planner"}).encode()
    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (HEADER, PLANNER.escaped)]
    async with world.running():
        answer = await call(world.app, "POST", "/introspect", headers=headers, chunks=[form])

    assert (answer.status, answer.json()) == (401, INVALID_CLIENT)


# What is published

SECRETS_AND_KEYS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]


@pytest.mark.parametrize(
    ("server", "methods"),
    [
        ({}, []),
        (
            {"trusted_proxies": ["10.0.0.1/32"], "client_certificate_header": "Client-Cert"},
            ["self_signed_tls_client_auth"],
        ),
        (
            {
                "trusted_proxies": ["10.0.0.1/32"],
                "client_certificate_header": "Client-Cert",
                "client_ca_file": "clients.pem",
            },
            ["tls_client_auth", "self_signed_tls_client_auth"],
        ),
        ({"tls_certificate_file": "server.pem", "tls_key_file": "server.key"}, ["self_signed_tls_client_auth"]),
    ],
)
@pytest.mark.requirement("MTLS-METADATA")
async def test_the_metadata_name_what_works_here(tmp_path: Path, server: dict[str, Any], methods: list[str]) -> None:
    write_certificates(tmp_path)
    async with make_world(tmp_path, {**values(), "server": server}).running() as client:
        metadata = (await client.get("/.well-known/oauth-authorization-server")).json()

    for endpoint in ("token", "introspection", "revocation"):
        assert metadata[f"{endpoint}_endpoint_auth_methods_supported"] == SECRETS_AND_KEYS + methods
    assert "tls_client_certificate_bound_access_tokens" not in metadata
    assert "mtls_endpoint_aliases" not in metadata


@pytest.mark.requirement("MTLS-METADATA")
async def test_the_metadata_say_when_tokens_of_an_agent_are_bound(world: World) -> None:
    async with world.running() as client:
        metadata = (await client.get("/.well-known/oauth-authorization-server")).json()

    assert metadata["tls_client_certificate_bound_access_tokens"] is True
