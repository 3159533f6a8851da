"""URLs of key sets, and the addresses behind their hosts."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from tests.jwks_server import ISS, TIMEOUT_S, JwksServer, publishes
from tests.simulator import ec_key
from tokensvc.errors import Unavailable
from tokensvc.verify.jwks_http import https_keys
from tokensvc.verify.jwks_url import UnsafeReach, is_reachable, look_up, parse_jwks_url, reachable

LOOPBACK = UnsafeReach(networks=("127.0.0.0/8", "::1/128"))
PLAIN = UnsafeReach(networks=("127.0.0.0/8", "::1/128"), plain_http=True)
INSIDE = UnsafeReach(networks=("10.1.0.0/16", "fd00:1::/32", "169.254.0.0/16", "224.0.0.0/4"))
NAMED = parse_jwks_url("https://keys.example/jwks", reach=None)
TLS = ssl.create_default_context()  # made once: it takes longer than most tests

PUBLIC = ["1.1.1.1", "8.8.8.8", "192.0.1.1", "172.32.0.1", "2606:4700::1111", "2a00::1", "64:ff9b::1.1.1.1"]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - nothing is bound here
    "0.1.2.3",
    "10.0.0.1",
    "10.1.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2606:4700::1111%eth0",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:1::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


class Resolver:
    """Answers every question with the same addresses, and notes the questions."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.addresses


# URLs


@pytest.mark.parametrize(
    ("text", "authority", "port", "target"),
    [
        ("https://keys.example", "keys.example", 443, "/"),
        ("https://keys.example/", "keys.example", 443, "/"),
        ("https://Keys.Example:443/jwks", "keys.example", 443, "/jwks"),
        ("https://keys.example:8443/a/b?p=B2C_1&x=%20/?", "keys.example:8443", 8443, "/a/b?p=B2C_1&x=%20/?"),
        ("https://keys.example?p", "keys.example", 443, "?p"),
        ("https://xn--bcher-kva.example/.well-known/jwks.json", "xn--bcher-kva.example", 443, "/.well-known/jwks.json"),
        ("https://localhost/", "localhost", 443, "/"),
        ("https://1.1.1.1/", "1.1.1.1", 443, "/"),
        ("https://1.a/", "1.a", 443, "/"),
        ("https://[2606:4700::1111]:8443/", "[2606:4700::1111]:8443", 8443, "/"),
        ("https://keys.example:65535/", "keys.example:65535", 65535, "/"),
        ("https://keys.example/" + "a" * 2027, "keys.example", 443, "/" + "a" * 2027),
        ("https://" + "a." * 126 + "a/", "a." * 126 + "a", 443, "/"),
    ],
)
def test_a_url_is_taken_apart(text: str, authority: str, port: int, target: str) -> None:
    url = parse_jwks_url(text, reach=None)
    assert (url.authority, url.port, url.target) == (authority, port, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "keys.example",
        "//keys.example/",
        "HTTPS://keys.example/",
        "file:///etc/passwd",
        "file://keys.example/jwks",
        "ftp://keys.example/",
        "data:application/json,{}",
        "https:keys.example",
        "https:///jwks",
        "https://?",
        "https://user@keys.example/",
        "https://user:hush@keys.example/",
        "https://:hush@keys.example/",
        "https://keys.example@10.0.0.1/",
        "https://keys.example\\@10.0.0.1/",
        "https://keys.example/#fragment",
        "https://keys.example/a b",
        "https://keys.example/\n",
        "https://keys.example/\tx",
        " https://keys.example/",
        "https://keys.example/\r\nx: y",
        "https://keys.example/\u00fc",
        "https://b\u00fccher.example/",
        "https://keys\u3002example/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://keys.example/%",
        "https://keys.example/%2",
        "https://keys.example/%zz",
        "https://keys%2eexample/",
        "https://keys.example./",
        "https://.example/",
        "https://keys..example/",
        "https://-keys.example/",
        "https://keys-.example/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 126 + "aa/",
        "https://keys.example/" + "a" * 2028,
        "https://keys.example:/",
        "https://keys.example:0/",
        "https://keys.example:65536/",
        "https://keys.example:999999/",
        "https://keys.example:-1/",
        "https://keys.example:x/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://[v1.x]/",
        "https://[1.1.1.1]/",
        "https://[:::]/",
        "https://2606:4700::1111/",
    ],
)
def test_what_is_no_plain_https_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        https_keys({ISS: text}, tls=TLS)
    assert str(refused.value).startswith(f"the key set URL of {ISS}: ")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7F000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.1",
        "127.0.1",
        "0",
        "0x",
        "1.1.1",
        "1.1.1.1.1",
        "1.1.1.256",
        "16843009",
        "keys.example.1",
        "keys.0x7f",
    ],
)
@pytest.mark.parametrize("reach", [None, LOOPBACK])
def test_hosts_that_some_resolvers_read_as_an_address_are_refused(host: str, reach: UnsafeReach | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_jwks_url(f"https://{host}/", reach=reach)


def in_url(address: str) -> str:
    return f"https://[{address}]/" if ":" in address else f"https://{address}/"


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_url_with_an_address_inside_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_jwks_url(in_url(address), reach=None)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_url_with_a_public_address_is_taken_without_asking(address: str) -> None:
    resolver = Resolver()
    url = parse_jwks_url(in_url(address), reach=None)
    assert asyncio.run(reachable(url, reach=None, resolve=resolver)) == (ip_address(address),)
    assert resolver.asked == []


@pytest.mark.parametrize("reach", [None, LOOPBACK, INSIDE])
def test_http_needs_its_long_named_permission(reach: UnsafeReach | None) -> None:
    with pytest.raises(ValueError, match="https"):
        parse_jwks_url("http://127.0.0.1/", reach=reach)
    assert parse_jwks_url("http://127.0.0.1/", reach=PLAIN).authority == "127.0.0.1"


@pytest.mark.parametrize(
    "address", [address for address in PUBLIC + NOT_PUBLIC if "127" not in address and address != "::1"]
)
def test_http_goes_nowhere_but_to_loopback(address: str) -> None:
    url = parse_jwks_url("http://localhost/", reach=PLAIN)
    assert not is_reachable(url, ip_address(address), reach=PLAIN)
    assert is_reachable(url, ip_address("127.0.0.1"), reach=PLAIN)
    assert is_reachable(url, ip_address("::ffff:127.0.0.1"), reach=PLAIN)


@pytest.mark.parametrize("networks", [("10.0.0.0/8",), ("127.0.0.0/8", "0.0.0.0/0"), ("::/0",), ("126.0.0.0/7",)])
def test_http_beyond_loopback_is_refused(networks: tuple[str, ...]) -> None:
    UnsafeReach(networks=networks)
    with pytest.raises(ValueError, match="loopback"):
        UnsafeReach(networks=networks, plain_http=True)


@pytest.mark.parametrize("networks", [("10.0.0.1/8",), ("inside",), ("",), "10.0.0.0/8"])
def test_what_is_no_network_is_refused(networks: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        UnsafeReach(networks=networks)


def test_a_url_shows_its_host_only() -> None:
    assert repr(parse_jwks_url("https://keys.example/jwks?key=hush", reach=None)) == "JwksUrl('keys.example')"


# Addresses


def resolved(*addresses: str, reach: UnsafeReach | None = None) -> list[str]:
    return [str(address) for address in asyncio.run(reachable(NAMED, reach=reach, resolve=Resolver(*addresses)))]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert resolved(address) == [str(ip_address(address))]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_one_address_inside_spoils_the_answer(address: str) -> None:
    for addresses in ([address], ["1.1.1.1", address], [address, "1.1.1.1"]):
        with pytest.raises(Unavailable, match="public internet"):
            resolved(*addresses)
    assert resolved("1.1.1.1", "2606:4700::1111", "1.1.1.1") == ["1.1.1.1", "2606:4700::1111"]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("64:ff9b::10.1.2.3", True),
        ("fd00:1::1", True),
        ("169.254.169.254", True),
        ("10.2.0.1", False),
        ("::ffff:10.2.0.1", False),
        ("127.0.0.1", False),
        ("fd00:2::1", False),
    ],
)
def test_networks_are_opened_by_name_and_no_further(address: str, *, allowed: bool) -> None:
    url = parse_jwks_url("https://keys.example/", reach=INSIDE)
    assert is_reachable(url, ip_address(address), reach=INSIDE) is allowed
    assert not is_reachable(url, ip_address(address), reach=None)
    assert is_reachable(url, ip_address("1.1.1.1"), reach=INSIDE)


@pytest.mark.parametrize("addresses", [(), ("keys.example",), ("1.1.1.1", ""), ("127.1",), ("0x7f000001",)])
def test_an_answer_without_addresses_is_refused(addresses: tuple[str, ...]) -> None:
    with pytest.raises(Unavailable):
        resolved(*addresses)


async def test_the_system_is_asked_for_names() -> None:
    addresses = await look_up("localhost", 443)
    assert {"127.0.0.1", "::1"}.issuperset(addresses)
    assert addresses


async def test_a_name_that_nobody_knows_is_a_failure() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    async with https_keys({ISS: "https://keys.example/"}, resolve=unknown, tls=TLS) as keys:
        with pytest.raises(Unavailable):
            await keys.ensure()


# Connections


async def test_a_connection_goes_to_the_address_that_was_judged_and_names_the_host() -> None:
    resolver = Resolver("127.0.0.1")
    async with JwksServer(publishes(ec_key("a"))) as server:
        url = f"http://keys.example:{server.port}/jwks"
        async with https_keys({ISS: url}, reach=PLAIN, resolve=resolver, tls=TLS, timeout_s=TIMEOUT_S) as keys:
            await keys.ensure()
            await keys.refresh()
        assert keys.find(ISS, "a") is not None
        # Once in a fetch: there is no second answer for the connection.
        assert resolver.asked == [("keys.example", server.port)] * 2
        assert b"\r\nhost: keys.example:%d\r\n" % server.port in server.requests[0]


@pytest.mark.parametrize("inside", ["10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "1.1.1.1"])
async def test_a_name_that_turns_inside_is_not_connected_to_at_all(inside: str) -> None:
    resolver = Resolver("127.0.0.1")
    async with JwksServer(publishes(ec_key("a"))) as server:
        url = f"http://keys.example:{server.port}/jwks"
        async with https_keys({ISS: url}, reach=PLAIN, resolve=resolver, tls=TLS, timeout_s=TIMEOUT_S) as keys:
            await keys.ensure()
            for addresses in [("127.0.0.1", inside), (inside, "127.0.0.1")]:
                resolver.addresses = addresses
                with pytest.raises(Unavailable):
                    await keys.refresh()
        assert len(server.requests) == 1


@pytest.mark.parametrize(("dead", "reached"), [(0, True), (1, True), (3, True), (4, False)])
async def test_a_few_addresses_are_tried(dead: int, *, reached: bool) -> None:
    # Nobody listens at 127.0.0.2 and above.
    resolver = Resolver(*(f"127.0.0.{2 + number}" for number in range(dead)), "127.0.0.1")
    async with JwksServer(publishes(ec_key("a"))) as server:
        url = f"http://keys.example:{server.port}/jwks"
        async with https_keys({ISS: url}, reach=PLAIN, resolve=resolver, tls=TLS, timeout_s=TIMEOUT_S) as keys:
            try:
                await keys.ensure()
            except Unavailable:
                assert not reached
        assert len(server.requests) == int(reached)


async def test_a_server_that_was_reached_is_the_one_that_answers() -> None:
    resolver = Resolver("127.0.0.1", "127.0.0.2")
    async with JwksServer(publishes(ec_key("a"), status="500 Down")) as server:
        url = f"http://keys.example:{server.port}/jwks"
        async with https_keys({ISS: url}, reach=PLAIN, resolve=resolver, tls=TLS, timeout_s=TIMEOUT_S) as keys:
            with pytest.raises(Unavailable):
                await keys.ensure()
        assert len(server.requests) == 1


async def test_a_resolver_that_does_not_answer_is_given_up() -> None:
    async def wait(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    async with https_keys({ISS: "https://keys.example/"}, resolve=wait, tls=TLS, timeout_s=0.05) as keys:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(keys.ensure(), TIMEOUT_S)
