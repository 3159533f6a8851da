"""rediss://: the certificate is checked, and the name in it."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from tests.storage.conformance import RULE, commit
from tests.storage.redis_server import RedisServer
from tests.verify.test_jwks_http_tls import Authority
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed
from tokensvc.storage.redis import RedisAddress, RedisStore

LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


class TlsServer:
    """A Redis server with a certificate for `names`."""

    def __init__(self, authority: Authority, folder: Path, *names: x509.GeneralName) -> None:
        authority.server(*names)
        pem = str(authority.file.with_name("server.pem"))
        folder.mkdir()
        self.server = RedisServer(folder, "--save", "")
        port = str(self.server.port)
        # The last word counts: no port without TLS.
        tls = ("--tls-port", port, "--tls-cert-file", pem, "--tls-key-file", pem, "--tls-auth-clients", "no")
        self.server.options = (*self.server.options, "--port", "0", *tls, "--tls-ca-cert-file", str(authority.file))

    @property
    def address(self) -> RedisAddress:
        return replace(self.server.address, tls=True)


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> Iterator[RedisAddress]:
    made = TlsServer(authority, tmp_path / "redis", LOOPBACK)
    with made.server:
        yield made.address


async def test_a_certificate_of_an_authority_of_the_system_is_trusted_and_no_other(
    server: RedisAddress, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (None, Authority(tmp_path / "other").file):
        if file is not None:
            monkeypatch.setenv("SSL_CERT_FILE", str(file))
        store = RedisStore(server, RULE)
        with pytest.raises(Unavailable):
            await store.open()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    store = RedisStore(server, RULE)
    await store.open()
    assert await commit(store, "r1", "v1") is Committed.STORED
    await store.close()


async def test_a_certificate_for_another_name_is_refused(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    for n, (name, is_right) in enumerate([(x509.DNSName("redis.example"), False), (LOOPBACK, True)]):
        made = TlsServer(authority, tmp_path / f"redis-{n}", name)
        store = RedisStore(made.address, RULE)
        with made.server:
            if is_right:
                await store.open()
            else:
                with pytest.raises(Unavailable):
                    await store.open()
            await store.close()


async def test_tls_is_not_spoken_to_a_server_without_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--save", "") as server:
        for tls in (True, False):
            store = RedisStore(replace(server.address, tls=tls), RULE, timeout_s=2)
            if tls:
                # The other side waits for more of what it takes for a command.
                with pytest.raises(Unavailable):
                    await store.open()
            else:
                await store.open()
            await store.close()
