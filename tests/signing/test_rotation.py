"""Which key signs at a moment, and how one follows another."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator import ec_key
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import ConfigurationError
from tokensvc.settings.model import MAX_LEEWAY_S
from tokensvc.settings.values import MAX_ROOT_LIFETIME_S
from tokensvc.signing import rotation
from tokensvc.signing.keyfiles import KeyFile, generate_key, list_keys
from tokensvc.signing.rotation import RETENTION_S, retire_key, rotate_key, signing_at

NOW = 1_800_000_000
ES256 = Algorithm.ES256


@pytest.fixture
def first(tmp_path: Path) -> KeyFile:
    return generate_key(tmp_path / "keys", ES256, now=NOW)


def signer_of(directory: Path, now: int) -> str | None:
    file = signing_at(list_keys(directory), ES256, now)
    return None if file is None else file.key.kid


def ends(directory: Path) -> dict[str, int | None]:
    return {file.key.kid: file.retire_after for file in list_keys(directory)}


def test_the_retention_outlives_every_chain() -> None:
    assert RETENTION_S > MAX_ROOT_LIFETIME_S + MAX_LEEWAY_S


def test_the_next_key_signs_after_the_delay_and_the_one_before_ends_when_nothing_of_it_lives(first: KeyFile) -> None:
    directory = first.path.parent
    done = rotate_key(directory, ES256, now=NOW + 100, delay_s=600)

    assert done.made.not_before == NOW + 700
    assert [file.key.kid for file in done.retiring] == [first.key.kid]
    assert ends(directory) == {first.key.kid: NOW + 700 + RETENTION_S, done.made.key.kid: None}
    assert signer_of(directory, NOW + 699) == first.key.kid
    assert signer_of(directory, NOW + 700) == done.made.key.kid
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_at_once_means_that_the_next_key_signs_now(first: KeyFile) -> None:
    made = rotate_key(first.path.parent, ES256, now=NOW, delay_s=0).made
    assert signer_of(first.path.parent, NOW) == made.key.kid


def test_an_emergency_overtakes_a_rotation_that_waits(first: KeyFile) -> None:
    directory = first.path.parent
    waiting = rotate_key(directory, ES256, now=NOW, delay_s=600).made
    emergency = rotate_key(directory, ES256, now=NOW, delay_s=0).made

    assert [signer_of(directory, NOW + later) for later in (0, 600, 10**6)] == [emergency.key.kid] * 3
    assert ends(directory)[waiting.key.kid] is not None


def test_a_key_that_has_a_successor_keeps_its_end(first: KeyFile) -> None:
    directory = first.path.parent
    second = rotate_key(directory, ES256, now=NOW, delay_s=600).made
    third = rotate_key(directory, ES256, now=NOW + 1000, delay_s=600).made

    assert ends(directory) == {
        first.key.kid: NOW + 600 + RETENTION_S,
        second.key.kid: NOW + 1600 + RETENTION_S,
        third.key.kid: None,
    }


def test_a_key_that_goes_on_signing_lives_longer(first: KeyFile) -> None:
    directory = first.path.parent
    rotate_key(directory, ES256, now=NOW, delay_s=600)
    # Its successor does not sign yet, and may be taken away: until the third signs, the first may.
    rotate_key(directory, ES256, now=NOW + 500, delay_s=600)

    assert ends(directory)[first.key.kid] == NOW + 1100 + RETENTION_S


def test_files_whose_time_is_over_go_with_the_next_rotation(first: KeyFile) -> None:
    directory = first.path.parent
    second = rotate_key(directory, ES256, now=NOW, delay_s=0).made
    over = NOW + RETENTION_S

    assert rotate_key(directory, ES256, now=over - 1, delay_s=0).removed == ()
    assert first.path.exists()
    assert rotate_key(directory, ES256, now=over, delay_s=0).removed == (first.key.kid,)
    assert not first.path.exists()
    assert second.path.exists()


def test_keys_of_other_algorithms_are_left_alone(first: KeyFile) -> None:
    directory = first.path.parent
    other = generate_key(directory, Algorithm.ED25519, now=NOW)
    rotate_key(directory, ES256, now=NOW, delay_s=600)

    assert ends(directory)[other.key.kid] is None
    retire_key(directory, other.key.kid, ES256, now=NOW)
    assert other.key.kid not in ends(directory)


def test_a_rotation_that_was_cut_off_leaves_two_keys_and_the_next_one_ends_both(
    first: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = first.path.parent

    def full(_file: KeyFile) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(rotation, "write_key_file", full)
        with pytest.raises(ConfigurationError, match="No space left"):
            rotate_key(directory, ES256, now=NOW, delay_s=600)

    assert [*ends(directory).values()] == [None, None]
    made = rotate_key(directory, ES256, now=NOW, delay_s=600).made
    assert [kid for kid, end in ends(directory).items() if end is None] == [made.key.kid]


def test_without_a_first_key_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError) as refused:
            rotate_key(directory, ES256, now=NOW, delay_s=0)
        assert "tokensvc keys generate" in refused.value.remedy
    generate_key(tmp_path, ES256, now=NOW)
    rotate_key(tmp_path, ES256, now=NOW, delay_s=0)


def test_the_key_that_signs_is_retired_only_once_it_has_a_successor(first: KeyFile) -> None:
    directory = first.path.parent
    with pytest.raises(ConfigurationError) as refused:
        retire_key(directory, first.key.kid, ES256, now=NOW)
    assert "tokensvc keys rotate --now" in refused.value.remedy
    assert first.path.exists()

    rotate_key(directory, ES256, now=NOW, delay_s=0)
    assert retire_key(directory, first.key.kid, ES256, now=NOW).key.kid == first.key.kid
    assert not first.path.exists()


def test_the_next_key_is_not_retired_while_only_keys_that_end_are_left(first: KeyFile) -> None:
    directory = first.path.parent
    second = rotate_key(directory, ES256, now=NOW, delay_s=600).made
    with pytest.raises(ConfigurationError):
        retire_key(directory, second.key.kid, ES256, now=NOW)

    rotate_key(directory, ES256, now=NOW, delay_s=600)
    with pytest.raises(ConfigurationError):
        # The third does not sign yet, and the first is to end.
        retire_key(directory, second.key.kid, ES256, now=NOW)
    rotate_key(directory, ES256, now=NOW, delay_s=0)
    retire_key(directory, second.key.kid, ES256, now=NOW)
    assert not second.path.exists()


def test_a_compromised_key_goes_while_its_successor_waits_which_then_signs_at_once(first: KeyFile) -> None:
    directory = first.path.parent
    second = rotate_key(directory, ES256, now=NOW, delay_s=600).made
    retire_key(directory, first.key.kid, ES256, now=NOW)
    assert signer_of(directory, NOW) == second.key.kid


def test_an_unknown_kid_is_refused(first: KeyFile) -> None:
    rotate_key(first.path.parent, ES256, now=NOW, delay_s=0)
    with pytest.raises(ConfigurationError, match="no key has that kid"):
        retire_key(first.path.parent, f"{first.key.kid}x", ES256, now=NOW)
    retire_key(first.path.parent, first.key.kid, ES256, now=NOW)


def test_a_folder_that_may_not_be_written_is_said_so(first: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(ConfigurationError, match="Permission denied"):
            rotate_key(first.path.parent, ES256, now=NOW, delay_s=0)
    rotate_key(first.path.parent, ES256, now=NOW, delay_s=0)


def file_of(created: int, not_before: int, retire_after: int | None) -> KeyFile:
    return KeyFile(
        path=Path(str(created)),
        created=created,
        not_before=not_before,
        retire_after=retire_after,
        key=ec_key(f"rotation-{created}"),
    )


times = st.integers(min_value=0, max_value=20)


@given(st.lists(st.tuples(times, st.none() | times), max_size=5), times)
def test_what_signs_is_alive_and_the_newest_that_has_begun(rows: list[tuple[int, int | None]], now: int) -> None:
    files = [file_of(index, *row) for index, row in enumerate(rows)]
    alive = [file for file in files if file.is_live(now)]
    signing = signing_at(files, ES256, now)

    assert (signing is None) == (not alive)
    if signing is not None:
        assert signing in alive
        begun = [file.created for file in alive if file.not_before <= now]
        assert signing.created == max(begun) if begun else signing.not_before == min(f.not_before for f in alive)


# Each rotation waits for the disk several times.
@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 1000), st.sampled_from([0, 1, 600])), min_size=1, max_size=5))
def test_no_key_ends_before_what_it_signed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    directory, now = tmp_path_factory.mktemp("keys"), NOW
    generate_key(directory, ES256, now=now)
    for wait_s, delay_s in steps:
        now += wait_s
        rotate_key(directory, ES256, now=now, delay_s=delay_s)
    files = list_keys(directory)
    last_signed = {}
    for moment in range(NOW, now + 601, 50):
        signing = signing_at(files, ES256, moment)
        assert signing is not None
        last_signed[signing.key.kid] = moment

    for file in files:
        assert file.retire_after is None or file.retire_after >= last_signed.get(file.key.kid, 0) + MAX_ROOT_LIFETIME_S
    assert files[0].retire_after is None
    assert all(json.loads(file.path.read_text())["not_before"] == file.not_before for file in files)
