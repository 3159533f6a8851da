"""Signing keys in files: what is written, and what is refused when read back."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import ConfigurationError
from tokensvc.signing.keyfiles import KeyFile, generate_key, list_keys, make_key

NOW = 1_800_000_000


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(directory: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        list_keys(directory)
    return raised.value


@pytest.fixture
def made(tmp_path: Path) -> KeyFile:
    return generate_key(tmp_path / "keys", Algorithm.ES256, now=NOW)


def rewrite(file: KeyFile, **members: object) -> None:
    file.path.write_text(json.dumps({**json.loads(file.path.read_text()), **members}))


@pytest.mark.parametrize("algorithm", [*Algorithm])
def test_generated_key_is_read_back_and_signs_alike(tmp_path: Path, algorithm: Algorithm) -> None:
    made = generate_key(tmp_path / "keys", algorithm, now=NOW)
    (read,) = list_keys(tmp_path / "keys")
    assert (read.path, read.created, read.key.kid, read.key.alg) == (made.path, NOW, made.key.kid, algorithm)
    assert read.key.unsafe_private_jwk() == made.key.unsafe_private_jwk()


def test_rsa_keys_have_3072_bits() -> None:
    modulus = make_key(Algorithm.RS256).unsafe_private_jwk()["n"]
    assert len(modulus) == 3072 // 8 * 4 // 3


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_user_can_read_what_is_written(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = generate_key(tmp_path / "keys", Algorithm.ES256, now=NOW)
    finally:
        os.umask(before)
    assert (mode_of(made.path), mode_of(made.path.parent)) == (0o600, 0o700)


def test_nothing_but_the_key_is_left_in_the_folder(made: KeyFile) -> None:
    assert [path.name for path in made.path.parent.iterdir()] == [f"{made.key.kid}.key.json"]


def test_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError) as raised:
            generate_key(tmp_path, Algorithm.ES256, now=NOW)
    assert raised.value.description == "the keys cannot be read or written (No space left on device)"
    assert list(tmp_path.iterdir()) == []
    generate_key(tmp_path, Algorithm.ES256, now=NOW)
    assert len(list_keys(tmp_path)) == 1


def test_the_new_key_is_the_newest_whatever_the_clock_says(made: KeyFile) -> None:
    directory = made.path.parent
    second = generate_key(directory, Algorithm.ES256, now=NOW)
    third = generate_key(directory, Algorithm.RS256, now=NOW - 1000)
    assert [file.key.kid for file in list_keys(directory)] == [third.key.kid, second.key.kid, made.key.kid]
    assert third.created == NOW + 2


def test_missing_folder_holds_no_keys(tmp_path: Path) -> None:
    assert list_keys(tmp_path / "keys") == ()


def test_other_files_in_the_folder_are_passed_over(made: KeyFile) -> None:
    for name in ("README.md", ".gitignore", "idp.jwks.json", f".{made.path.name}.x.tmp"):
        (made.path.parent / name).write_text("not a key")
    assert len(list_keys(made.path.parent)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_key_that_others_can_open_is_refused_with_the_command_that_mends_it(made: KeyFile, mode: int) -> None:
    made.path.chmod(mode)
    error = refused(made.path.parent)
    assert (error.file, error.description) == (str(made.path), "other users may read this private key")
    assert f"chmod 600 {made.path}" in error.remedy
    made.path.chmod(0o400)
    assert len(list_keys(made.path.parent)) == 1


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_folder_that_others_can_write_to_is_refused(made: KeyFile, mode: int) -> None:
    directory = made.path.parent
    directory.chmod(mode)
    assert refused(directory).remedy == f"Run: chmod 700 {directory}"
    with pytest.raises(ConfigurationError):
        generate_key(directory, Algorithm.ES256, now=NOW)
    directory.chmod(0o755)
    assert len(list_keys(directory)) == 1


def test_link_to_a_private_file_is_followed_as_mounted_secrets_are_links(made: KeyFile, tmp_path: Path) -> None:
    elsewhere = made.path.rename(tmp_path / "data")
    made.path.symlink_to(elsewhere)
    assert len(list_keys(made.path.parent)) == 1
    elsewhere.chmod(0o644)
    assert refused(made.path.parent).description == "other users may read this private key"


def test_dangling_link_is_refused(made: KeyFile, tmp_path: Path) -> None:
    made.path.unlink()
    made.path.symlink_to(tmp_path / "gone")
    assert refused(made.path.parent).description.endswith("(No such file or directory)")


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    assert refused(tmp_path / "keys").description.endswith("(Not a directory)")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert refused(tmp_path / "dangling").description.endswith("(No such file or directory)")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_without_waiting(made: KeyFile, make: Callable[[Path, int], None]) -> None:
    made.path.unlink()
    make(made.path, 0o700)
    error = refused(made.path.parent)
    assert error.file == str(made.path)
    assert error.description == "not a regular file"


@pytest.mark.parametrize(
    "members",
    [
        {"not_after": NOW},
        {"not_before": True},
        {"not_before": "1800000000"},
        {"retire_after": None},
        {"retire_after": 1.5},
        {"created": "1800000000"},
        {"created": True},
        {"created": None},
        {"key": "secret"},
        {"key": {}},
    ],
)
def test_file_with_other_members_is_refused(made: KeyFile, members: dict[str, object]) -> None:
    assert len(list_keys(made.path.parent)) == 1
    rewrite(made, **members)
    error = refused(made.path.parent)
    assert error.file == str(made.path)
    assert "secret" not in str(error)


YEAR_9999 = 253_402_300_799


@pytest.mark.parametrize(("odd", "good"), [(-1, 0), (-(10**15), 0), (YEAR_9999 + 1, YEAR_9999), (2**53 - 1, 1)])
def test_file_made_at_no_time_of_the_calendar_is_refused(made: KeyFile, odd: int, good: int) -> None:
    rewrite(made, created=odd)
    for name in ("created", "not_before", "retire_after"):
        rewrite(made, **{name: odd})
        problem = f"{name} is not a whole number from 0 to 253402300799 (epoch seconds)"
        assert refused(made.path.parent).description == problem
        rewrite(made, **{name: good})
    (read,) = list_keys(made.path.parent)
    assert (read.created, read.not_before, read.retire_after) == (good, good, good)


def test_a_file_of_before_there_was_rotation_signs_from_the_start(made: KeyFile) -> None:
    made.path.write_text(json.dumps({"created": NOW, "key": made.key.unsafe_private_jwk()}))
    (read,) = list_keys(made.path.parent)
    assert (read.not_before, read.retire_after) == (NOW, None)


def test_no_key_is_made_that_could_not_be_read_back(made: KeyFile) -> None:
    directory = made.path.parent
    rewrite(made, created=YEAR_9999)
    with pytest.raises(ConfigurationError) as raised:
        generate_key(directory, Algorithm.ES256, now=NOW)
    assert (raised.value.file, raised.value.description) == (str(directory), "no key can be newer than the year 9999")
    assert len(list_keys(directory)) == 1
    rewrite(made, created=YEAR_9999 - 1)
    generate_key(directory, Algorithm.ES256, now=NOW)
    assert len(list_keys(directory)) == 2


def test_file_without_created_is_refused(made: KeyFile) -> None:
    made.path.write_text(json.dumps({"key": made.key.unsafe_private_jwk()}))
    assert refused(made.path.parent).description.startswith("not the members created and key")


def test_public_key_is_refused(made: KeyFile) -> None:
    rewrite(made, key=made.key.public.jwk())
    assert refused(made.path.parent).description == "a public key cannot sign"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b" " * (64 * 1024 + 1)])
def test_file_that_is_no_key_is_refused(made: KeyFile, content: bytes) -> None:
    made.path.write_bytes(content)
    assert refused(made.path.parent).file == str(made.path)


def test_file_that_is_not_named_for_its_kid_is_refused(made: KeyFile) -> None:
    renamed = made.path.rename(made.path.with_name("copy.key.json"))
    error = refused(made.path.parent)
    assert error.description == "the file is not named for the kid of its key"
    renamed.rename(made.path)
    assert len(list_keys(made.path.parent)) == 1


def test_key_material_is_in_no_repr_and_no_error(made: KeyFile) -> None:
    private = made.key.unsafe_private_jwk()["d"]
    assert private not in repr(made)
    rewrite(made, key={**made.key.unsafe_private_jwk(), "x": "AAAA"})
    with pytest.raises(ConfigurationError) as raised:
        list_keys(made.path.parent)
    assert private not in repr(raised.value) + str(raised.value)
    assert raised.value.__suppress_context__


def test_made_keys_are_named_by_their_thumbprint_and_differ() -> None:
    first, second = make_key(Algorithm.ES256), make_key(Algorithm.ES256)
    assert isinstance(first, SigningKey)
    assert first.kid == first.public.thumbprint
    assert first.kid != second.kid
