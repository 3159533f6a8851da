"""Key sets that an OpenID provider names in its metadata: what of the metadata is believed, and what is fetched."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.jwks_server import TIMEOUT_S, Behaviour, JwksServer, answers, jwks, publishes, sends
from tests.simulator import ec_key
from tokensvc.core.jwks_url import UnsafeReach, discovery_url
from tokensvc.errors import Unavailable
from tokensvc.verify.jwks_http import RefreshedKeys, discover, open_door
from tokensvc.verify.jwks_refresh import seconds_since_boot

TLS = ssl.create_default_context()  # made once: it takes longer than most tests
DOOR = open_door(reach=UnsafeReach(networks=("127.0.0.0/8",), plain_http=True), tls=TLS, timeout_s=TIMEOUT_S)
OLD, NEW = ec_key("old"), ec_key("new")
METADATA = b"GET /.well-known/openid-configuration HTTP/1.1"


class Provider:
    """A server of metadata and one of keys; the metadata may name another."""

    def __init__(self, metadata: JwksServer, keys: JwksServer) -> None:
        self.metadata, self.keys = metadata, keys
        self.iss = metadata.url.removesuffix("/jwks")
        self.source: RefreshedKeys | None = None

    def say(self, **members: object) -> Behaviour:
        """Metadata with some members replaced; None leaves one out."""
        said = {"issuer": self.iss, "jwks_uri": self.keys.url, "authorization_endpoint": "x", **members}
        return answers(json.dumps({name: value for name, value in said.items() if value is not None}).encode())

    async def takes(self, metadata: Behaviour | None = None, **terms: Any) -> bool:  # noqa: ANN401
        """Whether keys are had from a provider that says this."""
        self.metadata.behave = self.say() if metadata is None else metadata
        async with source(self.iss, **terms) as keys:
            try:
                await asyncio.wait_for(keys.ensure(), 2 * TIMEOUT_S)
            except Unavailable:
                return False
            assert keys.find(self.iss, "old") == OLD.public
        return True


def source(iss: str, *, timeout_s: float = TIMEOUT_S, **door: Any) -> RefreshedKeys:  # noqa: ANN401
    return RefreshedKeys(
        {iss: discover(iss, replace(DOOR, **door))},
        timeout_s=timeout_s,
        cooldown_s=30,
        max_fresh_s=900,
        max_stale_s=3600,
        clock=seconds_since_boot,
    )


@asynccontextmanager
async def running() -> AsyncIterator[Provider]:
    async with JwksServer(answers(b"{}")) as metadata, JwksServer(publishes(OLD)) as keys:
        yield Provider(metadata, keys)


async def test_the_key_set_that_the_metadata_names_is_fetched() -> None:
    async with running() as provider:
        assert await provider.takes()
        assert [request.split(b"\r\n")[0] for request in provider.metadata.requests] == [METADATA]
        assert [request.split(b"\r\n")[0] for request in provider.keys.requests] == [b"GET /jwks HTTP/1.1"]


@pytest.mark.requirement("OIDC-DISCOVERY-PATH")
@pytest.mark.parametrize(
    ("iss", "url"),
    [
        ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/t/v2.0", "https://idp.example/t/v2.0/.well-known/openid-configuration"),
        ("https://idp.example//", "https://idp.example//.well-known/openid-configuration"),
    ],
)
def test_the_metadata_stands_below_the_issuer(iss: str, url: str) -> None:
    assert discovery_url(iss) == url


@pytest.mark.parametrize("iss", ["https://idp.example?x", "https://idp.example/#", "https://idp.example/?"])
def test_an_issuer_with_a_query_or_fragment_has_no_metadata(iss: str) -> None:
    with pytest.raises(ValueError, match="issuer identifier"):
        discovery_url(iss)


@pytest.mark.parametrize("iss", ["accounts.google.com", "file:///etc/passwd", "http://idp.example", "https://10.0.0.1"])
def test_an_issuer_that_may_not_be_fetched_from_is_refused_at_once(iss: str) -> None:
    with pytest.raises(ValueError, match=r"not|over"):
        discover(iss, replace(DOOR, reach=None))
    discover("https://idp.example", replace(DOOR, reach=None))


@pytest.mark.requirement("OIDC-DISCOVERY-ISSUER")
@pytest.mark.parametrize(
    "said",
    [
        lambda iss: iss + "/",
        lambda iss: iss.upper(),
        lambda iss: iss + "/other",
        lambda iss: iss.replace("http:", "https:"),
        lambda iss: [iss],
        lambda iss: {iss: iss},
        lambda _iss: "https://login.example/{tenantid}/v2.0",
        lambda _iss: "",
        lambda _iss: None,
        lambda _iss: True,
    ],
)
async def test_metadata_of_another_issuer_gives_no_keys(said: Any) -> None:  # noqa: ANN401
    async with running() as provider:
        assert not await provider.takes(provider.say(issuer=said(provider.iss)))
        assert provider.keys.requests == []
        assert await provider.takes()


@pytest.mark.parametrize(
    "jwks_uri",
    [
        None,
        "",
        7,
        ["https://keys.example/jwks"],
        "jwks",
        "//keys.example/jwks",
        "file:///etc/passwd",
        "data:application/json,{}",
        "ftp://127.0.0.1/jwks",
        "https://user:pass@127.0.0.1/jwks",
        "https://127.0.0.1/jwks#x",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/jwks",
        "https://10.0.0.1/jwks",
        "https://[::ffff:10.0.0.1]/jwks",
        "https://2130706433/jwks",
        "http://keys.example\r\nx: y/jwks",
    ],
)
async def test_a_jwks_uri_that_leads_elsewhere_is_not_followed(jwks_uri: object) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError((host, port))

    async with running() as provider:
        assert not await provider.takes(provider.say(jwks_uri=jwks_uri), resolve=resolve)
        assert provider.keys.requests == []
        assert await provider.takes(resolve=resolve)


async def test_a_jwks_uri_whose_host_resolves_inside_is_not_followed() -> None:
    async def resolve(host: str, _port: int) -> list[str]:
        return {"inside.example": ["10.0.0.1"], "mixed.example": ["127.0.0.1", "10.0.0.1"]}.get(host, ["127.0.0.1"])

    async with running() as provider:
        for host in ("inside.example", "mixed.example"):
            url = f"http://{host}:{provider.keys.port}/jwks"
            assert not await provider.takes(provider.say(jwks_uri=url), resolve=resolve)
        assert provider.keys.requests == []
        assert await provider.takes(
            provider.say(jwks_uri=f"http://else.example:{provider.keys.port}/jwks"), resolve=resolve
        )


async def test_nothing_else_of_the_metadata_is_used() -> None:
    async with running() as provider, JwksServer(publishes(NEW)) as decoy:
        more = {
            "jwks": json.loads(jwks(NEW)),
            "signed_metadata": "e30.e30.AA",
            "mtls_endpoint_aliases": {"jwks_uri": decoy.url},
            "id_token_signing_alg_values_supported": ["none", "HS256"],
            "authorization_endpoint": decoy.url,
            "userinfo_endpoint": decoy.url,
        }
        assert await provider.takes(provider.say(**more))
        assert decoy.requests == []


@pytest.mark.parametrize(
    "behave",
    [
        answers(b""),
        answers(b"[]"),
        answers(b"null"),
        answers(b"<html>"),
        answers(b"{}"),
        answers(b'{"issuer": "a", "issuer": "b"}'),
        answers(b"\xff\xfe{}"),
        answers(b"{}", status="500 Down"),
        answers(b"{}", kind="text/html"),
        answers(b"", status="302 Found", location="http://127.0.0.1/"),
        answers(b'{"x": "' + b"x" * 300_000 + b'"}'),
        answers(b"[" * 100_000),
        sends(b""),
        sends(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{}"),
        sends(b"\x16\x03\x01\x02"),
    ],
)
async def test_metadata_that_cannot_be_read_gives_no_keys_and_no_other_failure(behave: Behaviour) -> None:
    async with running() as provider:
        assert not await provider.takes(behave)
        assert provider.keys.requests == []
        assert await provider.takes()


async def test_the_time_for_metadata_and_keys_together_is_bounded() -> None:
    never = asyncio.Event()

    async def stall(_writer: asyncio.StreamWriter) -> None:
        await never.wait()

    async with running() as provider:
        assert not await provider.takes(stall, timeout_s=0.1)
        provider.keys.behave = stall
        assert not await provider.takes(timeout_s=0.1)
        provider.keys.behave = publishes(OLD)
        assert await provider.takes()


async def test_metadata_that_goes_bad_leaves_the_last_good_set_and_a_new_jwks_uri_is_followed() -> None:
    async with running() as provider, JwksServer(publishes(NEW)) as moved, source(provider.iss) as keys:
        provider.metadata.behave = provider.say()
        await keys.ensure()
        provider.metadata.behave = provider.say(issuer="https://evil.example")
        with pytest.raises(Unavailable, match="another issuer"):
            await keys.refresh()
        assert keys.find(provider.iss, "old") == OLD.public
        provider.metadata.behave = provider.say(jwks_uri=moved.url)
        await keys.refresh()
        assert keys.find(provider.iss, "old") is None
        assert keys.find(provider.iss, "new") == NEW.public
