"""Nobody's files are overwritten: a demo takes a new folder, an empty one, or an earlier demo's as that left it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tokensvc.demo.folder import CONFIG_FILE, KEYS_FOLDER, WORLD_FILE, demo_folder, write_config, write_private
from tokensvc.errors import ConfigurationError


def left_by_a_demo(folder: Path) -> Path:
    """A folder with every file that a demo writes, and no demo in it any more."""
    with demo_folder(folder):
        write_config(folder, "issuer = 1\n")
        (folder / KEYS_FOLDER).mkdir()
        (folder / KEYS_FOLDER / "a.key.json").write_text("{}")
        for name in (WORLD_FILE, "world.json.tmp", "idp.jwks.json", "tokensvc.log", "tokensvc.db", "tokensvc.db-wal"):
            (folder / name).write_text("old")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_temporary_folder_goes_with_the_demo() -> None:
    with demo_folder(None) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        write_config(folder, "x = 1\n")
    assert not folder.exists()


def test_a_new_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with demo_folder(tmp_path / "a" / "b") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.exists()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    with demo_folder(tmp_path) as folder:
        assert folder == tmp_path


def test_what_an_earlier_demo_left_is_cleared(tmp_path: Path) -> None:
    with demo_folder(left_by_a_demo(tmp_path)) as folder:
        assert list(folder.iterdir()) == []


def test_what_a_demo_left_that_was_stopped_before_its_keys_is_cleared(tmp_path: Path) -> None:
    with demo_folder(tmp_path):
        write_config(tmp_path, "issuer = 1\n")
    with demo_folder(tmp_path) as folder:
        assert list(folder.iterdir()) == []


def somebody_s_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def edited(folder: Path) -> None:
    path = folder / CONFIG_FILE
    path.write_text(path.read_text().replace("issuer = 1", "issuer = 2"))


def extended(folder: Path) -> None:
    with (folder / CONFIG_FILE).open("a") as stream:
        stream.write("[limits]\n")


def without_configuration(folder: Path) -> None:
    (folder / CONFIG_FILE).unlink()


def linked_configuration(folder: Path) -> None:
    (folder / CONFIG_FILE).rename(folder / "tokensvc.log")
    (folder / CONFIG_FILE).symlink_to(folder / "tokensvc.log")


def unreadable_configuration(folder: Path) -> None:
    (folder / CONFIG_FILE).write_bytes(b"\xff")


def another_key(folder: Path) -> None:
    (folder / KEYS_FOLDER / "b.key.json").write_text("{}")


@pytest.mark.parametrize(
    "change",
    [
        somebody_s_file,
        edited,
        extended,
        without_configuration,
        linked_configuration,
        unreadable_configuration,
        another_key,
    ],
)
def test_anything_else_is_refused_and_left_as_it_is(tmp_path: Path, change: Callable[[Path], None]) -> None:
    left_by_a_demo(tmp_path)
    change(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(ConfigurationError) as refused, demo_folder(tmp_path):
        raise AssertionError
    assert everything(tmp_path) == before
    assert (refused.value.file, refused.value.key) == (str(tmp_path), "--dir")
    assert "new or empty" in refused.value.remedy


def test_a_folder_in_which_a_demo_runs_is_refused(tmp_path: Path) -> None:
    with (
        demo_folder(tmp_path),
        pytest.raises(ConfigurationError, match="another demo is running"),
        demo_folder(tmp_path),
    ):
        raise AssertionError
    with demo_folder(tmp_path):
        pass


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ConfigurationError, match="cannot be used"), demo_folder(file):
        raise AssertionError
    assert file.read_text() == "mine"


def test_a_private_file_appears_whole_and_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").read_text() == "text"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_private_file_is_never_written_through_a_link_that_lay_there(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "secret.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "secret", "text")
    assert victim.read_text() == "mine"
