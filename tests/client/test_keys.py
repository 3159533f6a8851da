"""The holder key in its file."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.simulator import rsa_key
from tokensvc.client import load_or_create_holder_key, public_jwks, read_private_key
from tokensvc.core.jsontext import parse_json_object, render_json
from tokensvc.core.keyset import parse_jwks
from tokensvc.errors import ConfigurationError


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_a_key_is_made_once_and_read_from_then_on(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "keys" / "holder.json"
    made = load_or_create_holder_key(path, algorithm)  # type: ignore[arg-type]
    assert made.alg == algorithm
    assert load_or_create_holder_key(path).public == made.public == read_private_key(path).public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["holder.json"]


def test_those_who_start_at_once_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(load_or_create_holder_key, [tmp_path / "holder.json"] * 8))
    assert len({key.public.thumbprint for key in keys}) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "holder.json"
    load_or_create_holder_key(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="other users may read"):
        load_or_create_holder_key(path)
    path.chmod(0o600)
    load_or_create_holder_key(path)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"kty":"oct","k":"secret-part"}'])
def test_a_file_that_holds_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "holder.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        load_or_create_holder_key(path)
    assert path.read_bytes() == content
    assert "secret-part" not in str(caught.value)


def test_an_rsa_key_is_no_holder_key_and_may_authenticate(tmp_path: Path) -> None:
    path = tmp_path / "client.json"
    path.write_bytes(render_json({**rsa_key("client").unsafe_private_jwk()}))
    path.chmod(0o600)
    assert read_private_key(path).public == rsa_key("client").public
    with pytest.raises(ConfigurationError, match="ES256 or Ed25519"):
        load_or_create_holder_key(path)


def test_what_an_operator_registers_is_public(tmp_path: Path) -> None:
    key = load_or_create_holder_key(tmp_path / "holder.json")
    jwks = public_jwks(key)
    assert list(parse_jwks(parse_json_object(json.dumps(jwks).encode()))) == [key.public]
    assert "d" not in jwks["keys"][0]
