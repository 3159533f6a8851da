"""The signer over files: which key signs, and which are published."""

import shutil
from pathlib import Path

import pytest

from tokensvc.core.jws import seal_compact, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import ConfigurationError
from tokensvc.ports import Signer
from tokensvc.signing.keyfiles import generate_key
from tokensvc.signing.local import LocalSigner

NOW = 1_800_000_000


@pytest.mark.parametrize("algorithm", [*Algorithm])
def test_what_it_signs_its_published_key_verifies(tmp_path: Path, algorithm: Algorithm) -> None:
    generate_key(tmp_path, algorithm, now=NOW)
    signer: Signer = LocalSigner(tmp_path, algorithm)
    token = seal_compact({"sub": "alice"}, typ="at+jwt", key=signer.signing_key())
    published = signer.public_keys().find(signer.signing_key().kid)
    assert published is not None
    assert verify_signature(split_compact(token, max_bytes=8000), published)


def test_the_newest_key_of_the_configured_algorithm_signs_and_all_are_published(tmp_path: Path) -> None:
    made = [generate_key(tmp_path, Algorithm(alg), now=NOW) for alg in ("ES256", "ES256", "RS256", "Ed25519")]
    signer = LocalSigner(tmp_path, Algorithm.ES256)
    assert signer.signing_key().kid == made[1].key.kid
    assert {key.kid for key in signer.public_keys()} == {file.key.kid for file in made}
    assert LocalSigner(tmp_path, Algorithm.RS256).signing_key().kid == made[2].key.kid


def test_folder_without_a_key_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError) as raised:
            LocalSigner(directory, Algorithm.ES256)
        assert (raised.value.file, raised.value.remedy) == (str(directory), "Run: tokensvc keys generate")
    generate_key(tmp_path, Algorithm.ES256, now=NOW)
    LocalSigner(tmp_path, Algorithm.ES256)


def test_folder_without_a_key_of_the_configured_algorithm_is_refused(tmp_path: Path) -> None:
    generate_key(tmp_path, Algorithm.ES256, now=NOW)
    with pytest.raises(ConfigurationError) as raised:
        LocalSigner(tmp_path, Algorithm.RS256)
    assert raised.value.description == "no signing key for RS256"
    LocalSigner(tmp_path, Algorithm.ES256)


def test_one_key_under_two_names_is_refused(tmp_path: Path) -> None:
    made = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    copy = tmp_path / "copy.key.json"
    shutil.copy2(made.path, copy)
    copy.write_text(copy.read_text().replace(f'"kid":"{made.key.kid}"', '"kid":"copy"'))
    with pytest.raises(ConfigurationError) as raised:
        LocalSigner(tmp_path, Algorithm.ES256)
    assert raised.value.description == "a key stands twice in the key set"
    copy.unlink()
    LocalSigner(tmp_path, Algorithm.ES256)


def test_a_key_added_later_signs_from_the_next_start_on(tmp_path: Path) -> None:
    first = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    signer = LocalSigner(tmp_path, Algorithm.ES256)
    second = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    assert signer.signing_key().kid == first.key.kid
    assert LocalSigner(tmp_path, Algorithm.ES256).signing_key().kid == second.key.kid


def test_repr_names_the_key_and_shows_nothing_of_it(tmp_path: Path) -> None:
    made = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    assert repr(LocalSigner(tmp_path, Algorithm.ES256)) == f"LocalSigner(kid={made.key.kid!r})"
