"""Public keys out of files; each refusal beside the file that is taken."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.jwks_server import jwks
from tests.simulator import ec_key, rsa_key
from tokensvc.core.keyset import Algorithm, KeySet
from tokensvc.errors import ConfigurationError
from tokensvc.verify.keyfile import read_jwks, read_pem

MAX_BYTES = 256 * 1024
EC = ec.derive_private_key(7, ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - refused is what it must be
PRIVATE = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def pem(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def pem_keys(path: Path) -> KeySet:
    return read_pem(path, alg=Algorithm.ES256)


READERS: list[tuple[Callable[[Path], KeySet], bytes]] = [(read_jwks, jwks(ec_key("a"))), (pem_keys, pem(EC))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "issuer"


def refused(read: Callable[[Path], KeySet], path: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        read(path)
    assert raised.value.file == str(path)
    assert raised.value.remedy
    return raised.value


def test_a_key_set_is_read(path: Path) -> None:
    path.write_bytes(jwks(ec_key("a"), rsa_key("b")))
    assert [*read_jwks(path)] == [ec_key("a").public, rsa_key("b").public]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        json.dumps(ec_key("a").public.jwk()).encode(),
        jwks(ec_key("a"), ec_key("a")),
        jwks(ec_key("a")) + b"x",
        json.dumps({"keys": [ec_key("a").unsafe_private_jwk()]}).encode(),
        json.dumps({"keys": [{**ec_key("a").public.jwk(), "use": "enc"}]}).encode(),
        pem(EC),
    ],
)
def test_what_is_no_key_set_that_can_be_used_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    problem = refused(read_jwks, path)
    assert ec_key("a").unsafe_private_jwk()["d"] not in str(problem)


@pytest.mark.parametrize(("key", "alg"), [(EC, Algorithm.ES256), (RSA, Algorithm.RS256)])
def test_a_pem_key_is_read_and_named_by_its_thumbprint(path: Path, key: Key, alg: Algorithm) -> None:
    path.write_bytes(pem(key))
    (read,) = read_pem(path, alg=alg)
    assert (read.kid, read.alg) == (read.thumbprint, alg)
    (named,) = read_pem(path, alg=alg, kid="2026-a")
    assert (named.kid, named.alg, named.thumbprint) == ("2026-a", alg, read.thumbprint)


def test_text_around_the_pem_key_is_no_matter(path: Path) -> None:
    path.write_bytes(b"Issuer: https://as.example\r\n\r\n" + pem(EC).replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert len(pem_keys(path)) == 1


@pytest.mark.parametrize(
    ("content", "alg"),
    [
        (pem(EC), Algorithm.RS256),
        (pem(RSA), Algorithm.ES256),
        (pem(WEAK_RSA), Algorithm.RS256),
        (pem(ec.derive_private_key(7, ec.SECP384R1())), Algorithm.ES256),
        (pem(ed25519.Ed25519PrivateKey.generate()), Algorithm.ES256),
    ],
)
def test_a_key_that_is_not_fit_for_its_algorithm_is_refused(path: Path, content: bytes, alg: Algorithm) -> None:
    path.write_bytes(content)
    refused(lambda file: read_pem(file, alg=alg), path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        jwks(ec_key("a")),
        PRIVATE,
        PRIVATE + pem(EC),
        pem(EC) + PRIVATE,
        EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        pem(EC) + pem(EC),
        pem(EC) + pem(RSA),
        pem(EC).replace(b"PUBLIC KEY", b"CERTIFICATE"),
        pem(EC).replace(b"PUBLIC KEY", b"RSA PUBLIC KEY"),
        pem(EC).replace(b"PUBLIC KEY", b"public key"),
        pem(EC).replace(b"-----BEGIN", b"----BEGIN"),
        pem(EC).replace(b"-----END", b""),
        pem(EC)[:100],
        b"-----BEGIN PUBLIC KEY-----\n!!!\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        EC.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_what_is_not_one_public_pem_key_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(pem_keys, path)


@pytest.mark.parametrize("content", [PRIVATE, pem(EC) + PRIVATE])
def test_who_publishes_a_private_key_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "private" in refused(pem_keys, path).description


@pytest.mark.parametrize("kid", ["", "x" * 257])
def test_a_kid_that_no_key_can_have_is_refused(path: Path, kid: str) -> None:
    path.write_bytes(pem(EC))
    assert read_pem(path, alg=Algorithm.ES256, kid="x" * 256).find("x" * 256)
    with pytest.raises(ValueError, match="kid"):
        read_pem(path, alg=Algorithm.ES256, kid=kid)


# The file itself


@pytest.mark.parametrize(("read", "content"), READERS)
def test_size_is_bounded(path: Path, read: Callable[[Path], KeySet], content: bytes) -> None:
    path.write_bytes(content.ljust(MAX_BYTES))
    assert len(read(path)) == 1
    path.write_bytes(content.ljust(MAX_BYTES + 1))
    assert "larger" in refused(read, path).description


@pytest.mark.parametrize(("read", "content"), READERS)
def test_links_are_followed(tmp_path: Path, path: Path, read: Callable[[Path], KeySet], content: bytes) -> None:
    (tmp_path / "real").write_bytes(content)
    path.symlink_to(tmp_path / "real")
    assert len(read(path)) == 1


@pytest.mark.parametrize("read", [read for read, _ in READERS])
def test_what_is_not_there_or_no_regular_file_is_refused(path: Path, read: Callable[[Path], KeySet]) -> None:
    refused(read, path)
    path.mkdir()
    refused(read, path)
    path.rmdir()
    os.mkfifo(path)
    refused(read, path)
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(read, path)


@pytest.mark.parametrize(
    ("mode", "taken"), [(0o644, True), (0o664, True), (0o400, True), (0o646, False), (0o666, False)]
)
@pytest.mark.parametrize(("read", "content"), READERS)
def test_a_file_that_everybody_may_write_to_is_refused(
    path: Path, read: Callable[[Path], KeySet], content: bytes, mode: int, *, taken: bool
) -> None:
    path.write_bytes(content)
    path.chmod(mode)
    if taken:
        assert len(read(path)) == 1
    else:
        assert "chmod o-w" in refused(read, path).remedy
