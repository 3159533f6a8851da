"""TLS: the certificate and the host name are checked, and so is what is passed for a TLS context."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.jwks_server import ISS, TIMEOUT_S, JwksServer, publishes
from tests.simulator import ec_key
from tokensvc.errors import Unavailable
from tokensvc.verify.jwks_http import UnsafeReach, https_keys

HOST = "keys.example"
LOOPBACK = UnsafeReach(networks=("127.0.0.0/8",))
TODAY = datetime.now(tz=UTC)


class Authority:
    """A certificate authority of our own, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
        builder = self._builder(self._name, self._key.public_key(), days=30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._usage = x509.KeyUsage(*(name == "sign" for name in ("sign", "", "", "", "", "sign", "", "", "")))
        folder.mkdir()
        self.file = folder / "ca.pem"
        certificate = builder.add_extension(self._usage, critical=True).sign(self._key, SHA256())
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(TODAY - timedelta(days=60))
            .not_valid_after(TODAY + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def server(self, *names: x509.GeneralName, days: int = 30) -> ssl.SSLContext:
        """The context of a server with a certificate for `names`, valid for so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        builder = self._builder(name, key.public_key(), days=days)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, SHA256())
        file = self._folder / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.file)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


async def on_loopback(_host: str, _port: int) -> Sequence[str]:
    return ("127.0.0.1",)


async def is_fetched(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext | None, *, host: str = HOST) -> bool:
    """Whether the key set is fetched. If not, the server must not have seen a request."""
    async with JwksServer(publishes(ec_key("a")), tls=server_tls) as server:
        url = f"https://{host}:{server.port}/jwks"
        keys = https_keys({ISS: url}, tls=client_tls, reach=LOOPBACK, resolve=on_loopback, timeout_s=TIMEOUT_S)
        async with keys:
            try:
                await asyncio.wait_for(keys.ensure(), TIMEOUT_S)
            except Unavailable:
                fetched = False
            else:
                fetched = keys.find(ISS, "a") is not None
        assert len(server.requests) == int(fetched)
    return fetched


async def test_a_certificate_of_the_authority_for_the_host_is_taken(authority: Authority) -> None:
    assert await is_fetched(authority.server(x509.DNSName(HOST)), authority.client())


@pytest.mark.parametrize("name", ["other.example", "*.keys.example", "*.example.keys.example", "127.0.0.1", "example"])
async def test_a_certificate_for_another_host_is_refused(authority: Authority, name: str) -> None:
    assert await is_fetched(authority.server(x509.DNSName(HOST), x509.DNSName(name)), authority.client())
    assert not await is_fetched(authority.server(x509.DNSName(name)), authority.client())


async def test_a_certificate_for_the_address_does_not_stand_for_the_name(authority: Authority) -> None:
    for_address = authority.server(x509.IPAddress(ip_address("127.0.0.1")))
    assert not await is_fetched(for_address, authority.client())
    assert await is_fetched(for_address, authority.client(), host="127.0.0.1")


async def test_a_certificate_for_the_name_does_not_stand_for_the_address(authority: Authority) -> None:
    assert not await is_fetched(authority.server(x509.DNSName(HOST)), authority.client(), host="127.0.0.1")


async def test_a_certificate_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    assert not await is_fetched(other.server(x509.DNSName(HOST)), authority.client())
    assert await is_fetched(other.server(x509.DNSName(HOST)), other.client())


async def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    assert await is_fetched(authority.server(x509.DNSName(HOST), days=1), authority.client())
    assert not await is_fetched(authority.server(x509.DNSName(HOST), days=-1), authority.client())


async def test_the_environment_names_no_authority(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    server_tls = authority.server(x509.DNSName(HOST))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority.file))
    assert not await is_fetched(server_tls, None)
    assert await is_fetched(server_tls, ssl.create_default_context(cafile=authority.file))


async def test_the_server_is_asked_for_the_host_by_name(authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.server(x509.DNSName(HOST))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    assert await is_fetched(context, authority.client())
    assert asked == [HOST]


async def test_plain_http_where_tls_is_due_is_refused(authority: Authority) -> None:
    async with JwksServer(publishes(ec_key("a"))) as server:
        url = f"https://{HOST}:{server.port}/jwks"
        keys = https_keys({ISS: url}, reach=LOOPBACK, tls=authority.client(), resolve=on_loopback, timeout_s=0.2)
        async with keys:
            with pytest.raises(Unavailable):
                await asyncio.wait_for(keys.ensure(), TIMEOUT_S)
        assert server.requests == []


def unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def any_host() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


@pytest.mark.parametrize("make", [unchecked, any_host])
def test_a_context_that_does_not_check_is_refused(make: Callable[[], ssl.SSLContext]) -> None:
    https_keys({ISS: "https://keys.example/"}, tls=ssl.create_default_context())
    with pytest.raises(ValueError, match="tls"):
        https_keys({ISS: "https://keys.example/"}, tls=make())
