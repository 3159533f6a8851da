"""Small regular files: read whole, or refused without waiting and without filling the memory."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tokensvc.errors import Malformed
from tokensvc.smallfile import read_small_file


def test_a_file_up_to_the_limit_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 11)
    with pytest.raises(Malformed, match="larger than 10 bytes"):
        read_small_file(path, max_bytes=10)
    path.write_bytes(b"x" * 10)
    assert read_small_file(path, max_bytes=10) == b"x" * 10


def test_a_link_to_a_file_is_followed_as_mounted_files_are_links(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert read_small_file(tmp_path / "link", max_bytes=10) == b"x"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "it")
    with pytest.raises(Malformed, match="not a regular file"):
        read_small_file(tmp_path / "it", max_bytes=10)


def test_a_device_without_end_is_refused() -> None:
    with pytest.raises(Malformed, match="not a regular file"):
        read_small_file(Path("/dev/zero"), max_bytes=10)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_small_file(tmp_path / "gone", max_bytes=10)


def test_the_mode_judged_is_that_of_the_file_which_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    path.chmod(0o640)

    def refuse_group(mode: int) -> None:
        if mode & 0o040:
            raise Malformed("the group may read it")

    with pytest.raises(Malformed, match="the group may read it"):
        read_small_file(path, max_bytes=10, require=refuse_group)
    path.chmod(0o600)
    assert read_small_file(path, max_bytes=10, require=refuse_group) == b"x"
