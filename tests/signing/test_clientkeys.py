"""Key pairs for clients: two files, of which one is private."""

import json
import stat
from pathlib import Path

import pytest

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, parse_jwks
from tokensvc.errors import ConfigurationError
from tokensvc.signing.clientkeys import make_client_keys


@pytest.mark.parametrize("algorithm", [*Algorithm])
def test_the_key_set_holds_the_public_half_of_the_private_key(tmp_path: Path, algorithm: Algorithm) -> None:
    made = make_client_keys(tmp_path / "clients" / "planner", algorithm)
    private = SigningKey.from_jwk(json.loads(made.private.read_text()))
    (public,) = parse_jwks(json.loads(made.jwks.read_text()))

    assert private.alg is algorithm
    assert public.jwk() == private.public.jwk()
    assert not {"d", "p", "q"} & json.loads(made.jwks.read_text())["keys"][0].keys()
    assert [path.name for path in (made.private, made.jwks)] == ["planner.private.jwk.json", "planner.jwks.json"]
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    assert sorted(path.name for path in made.private.parent.iterdir()) == ["planner.jwks.json", made.private.name]


@pytest.mark.parametrize("ending", [".private.jwk.json", ".jwks.json"])
def test_a_file_that_stands_there_is_left_alone(tmp_path: Path, ending: str) -> None:
    there = tmp_path / f"planner{ending}"
    there.write_text("precious")
    with pytest.raises(ConfigurationError) as refused:
        make_client_keys(tmp_path / "planner", Algorithm.ES256)

    assert (refused.value.file, there.read_text(), len([*tmp_path.iterdir()])) == (str(there), "precious", 1)
    there.unlink()
    make_client_keys(tmp_path / "planner", Algorithm.ES256)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be read or written"):
        make_client_keys(tmp_path / "file" / "planner", Algorithm.ES256)
