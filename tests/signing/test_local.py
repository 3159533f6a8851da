"""The signer over files: which key signs, and which are published."""

import io
import json
import shutil
from pathlib import Path

import pytest

from tokensvc.core.jws import seal_compact, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import ConfigurationError, Unavailable
from tokensvc.ports import Signer
from tokensvc.signing.keyfiles import generate_key
from tokensvc.signing.local import LocalSigner
from tokensvc.signing.rotation import RETENTION_S, retire_key, rotate_key
from tokensvc.telemetry import Telemetry

NOW = 1_800_000_000


class Clock:
    """Epoch seconds that a test sets."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


def events(log: io.StringIO) -> list[str]:
    """The names of what was logged since the last time."""
    lines = log.getvalue().splitlines()
    log.truncate(log.seek(0))
    return [json.loads(line)["event"] for line in lines]


def kids(signer: Signer) -> set[str]:
    return {key.kid for key in signer.public_keys()}


@pytest.mark.parametrize("algorithm", [*Algorithm])
def test_what_it_signs_its_published_key_verifies(tmp_path: Path, algorithm: Algorithm) -> None:
    generate_key(tmp_path, algorithm, now=NOW)
    signer: Signer = LocalSigner(tmp_path, algorithm, clock=Clock(NOW))
    token = seal_compact({"sub": "alice"}, typ="at+jwt", key=signer.signing_key())
    published = signer.public_keys().find(signer.signing_key().kid)
    assert published is not None
    assert verify_signature(split_compact(token, max_bytes=8000), published)


def test_the_newest_key_of_the_configured_algorithm_signs_and_all_are_published(tmp_path: Path) -> None:
    made = [generate_key(tmp_path, Algorithm(alg), now=NOW) for alg in ("ES256", "ES256", "RS256", "Ed25519")]
    signer = LocalSigner(tmp_path, Algorithm.ES256, clock=Clock(NOW))
    assert signer.signing_key().kid == made[1].key.kid
    assert {key.kid for key in signer.public_keys()} == {file.key.kid for file in made}
    assert LocalSigner(tmp_path, Algorithm.RS256, clock=Clock(NOW)).signing_key().kid == made[2].key.kid


def test_folder_without_a_key_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError) as raised:
            LocalSigner(directory, Algorithm.ES256, clock=Clock(NOW))
        assert (raised.value.file, raised.value.remedy) == (
            str(directory),
            "Restore the folder from a back-up; on a first start, or without one, run: tokensvc keys generate",
        )
    generate_key(tmp_path, Algorithm.ES256, now=NOW)
    LocalSigner(tmp_path, Algorithm.ES256, clock=Clock(NOW))


def test_folder_without_a_key_of_the_configured_algorithm_is_refused(tmp_path: Path) -> None:
    generate_key(tmp_path, Algorithm.ES256, now=NOW)
    with pytest.raises(ConfigurationError) as raised:
        LocalSigner(tmp_path, Algorithm.RS256, clock=Clock(NOW))
    assert raised.value.description == "no signing key for RS256"
    LocalSigner(tmp_path, Algorithm.ES256, clock=Clock(NOW))


def test_one_key_under_two_names_is_refused(tmp_path: Path) -> None:
    made = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    copy = tmp_path / "copy.key.json"
    shutil.copy2(made.path, copy)
    copy.write_text(copy.read_text().replace(f'"kid":"{made.key.kid}"', '"kid":"copy"'))
    with pytest.raises(ConfigurationError) as raised:
        LocalSigner(tmp_path, Algorithm.ES256, clock=Clock(NOW))
    assert raised.value.description == "a key stands twice in the key set"
    copy.unlink()
    LocalSigner(tmp_path, Algorithm.ES256, clock=Clock(NOW))


def test_repr_names_the_key_and_shows_nothing_of_it(tmp_path: Path) -> None:
    made = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    assert repr(LocalSigner(tmp_path, Algorithm.ES256, clock=Clock(NOW))) == f"LocalSigner(kid={made.key.kid!r})"


def test_a_rotation_is_published_at_once_signs_in_time_and_ends_the_key_before_it(
    tmp_path: Path, log: io.StringIO
) -> None:
    first = generate_key(tmp_path, Algorithm.ES256, now=NOW).key.kid
    clock = Clock(NOW)
    signer = LocalSigner(tmp_path, Algorithm.ES256, clock=clock, telemetry=Telemetry(log))
    second = rotate_key(tmp_path, Algorithm.ES256, now=NOW, delay_s=600).made.key.kid

    # Looked at once a second.
    assert kids(signer) == {first}
    clock.now = NOW + 1
    assert (kids(signer), signer.signing_key().kid) == ({first, second}, first)
    clock.now = NOW + 599
    assert signer.signing_key().kid == first
    clock.now = NOW + 600
    assert (kids(signer), signer.signing_key().kid) == ({first, second}, second)
    clock.now = NOW + 600 + RETENTION_S - 1
    assert kids(signer) == {first, second}
    clock.now += 1
    assert (kids(signer), signer.signing_key().kid) == ({second}, second)
    assert events(log) == ["signing_keys_changed"] * 3


def test_a_clock_that_is_set_back_takes_the_switch_back(tmp_path: Path) -> None:
    first = generate_key(tmp_path, Algorithm.ES256, now=NOW).key.kid
    second = rotate_key(tmp_path, Algorithm.ES256, now=NOW, delay_s=600).made.key.kid
    clock = Clock(NOW + 600)
    signer = LocalSigner(tmp_path, Algorithm.ES256, clock=clock)

    assert signer.signing_key().kid == second
    clock.now = NOW + 10
    assert signer.signing_key().kid == first


def test_a_retired_key_is_gone_within_a_second(tmp_path: Path) -> None:
    first = generate_key(tmp_path, Algorithm.ES256, now=NOW).key.kid
    clock = Clock(NOW)
    signer = LocalSigner(tmp_path, Algorithm.ES256, clock=clock)
    second = rotate_key(tmp_path, Algorithm.ES256, now=NOW, delay_s=0).made.key.kid
    clock.now += 1
    assert kids(signer) == {first, second}

    retire_key(tmp_path, first, Algorithm.ES256, now=clock.now)
    clock.now += 1
    assert (kids(signer), signer.signing_key().kid) == ({second}, second)


@pytest.mark.parametrize("content", [b"", b'{"created": 1, "key": {', b"[]"])
def test_a_file_that_cannot_be_used_leaves_the_last_good_state_and_is_told_once(
    tmp_path: Path, log: io.StringIO, content: bytes
) -> None:
    first = generate_key(tmp_path, Algorithm.ES256, now=NOW).key.kid
    clock = Clock(NOW)
    signer = LocalSigner(tmp_path, Algorithm.ES256, clock=clock, telemetry=Telemetry(log))
    made = rotate_key(tmp_path, Algorithm.ES256, now=NOW, delay_s=0).made
    whole = made.path.read_bytes()
    made.path.write_bytes(content)

    for _ in range(3):
        clock.now += 1
        assert (kids(signer), signer.signing_key().kid) == ({first}, first)
    assert events(log) == ["signing_keys_unusable"]
    made.path.write_bytes(whole)
    clock.now += 1
    assert (kids(signer), signer.signing_key().kid) == ({first, made.key.kid}, made.key.kid)
    assert events(log) == ["signing_keys_usable", "signing_keys_changed"]


def test_a_folder_that_is_away_leaves_the_last_good_state(tmp_path: Path, log: io.StringIO) -> None:
    folder = tmp_path / "keys"
    first = generate_key(folder, Algorithm.ES256, now=NOW).key.kid
    clock = Clock(NOW)
    signer = LocalSigner(folder, Algorithm.ES256, clock=clock, telemetry=Telemetry(log))

    away = folder.rename(tmp_path / "away")
    clock.now += 1
    assert signer.signing_key().kid == first
    away.chmod(0o777)
    away.rename(folder)
    clock.now += 1
    assert signer.signing_key().kid == first
    folder.chmod(0o700)
    clock.now += 1
    assert signer.signing_key().kid == first
    # Two problems, each told once.
    assert events(log) == ["signing_keys_unusable", "signing_keys_unusable", "signing_keys_usable"]


def test_what_is_logged_holds_no_key(tmp_path: Path, log: io.StringIO) -> None:
    made = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    clock = Clock(NOW)
    signer = LocalSigner(tmp_path, Algorithm.ES256, clock=clock, telemetry=Telemetry(log))
    made.path.write_bytes(made.path.read_bytes().replace(b'"kty":"EC"', b'"kty":"RSA"'))
    clock.now += 1
    signer.signing_key()

    logged = log.getvalue()
    assert str(made.path) in logged
    assert made.key.unsafe_private_jwk()["d"] not in logged


def test_without_a_key_that_lives_nothing_is_signed(tmp_path: Path) -> None:
    made = generate_key(tmp_path, Algorithm.ES256, now=NOW)
    members = json.loads(made.path.read_text())
    made.path.write_text(json.dumps({**members, "retire_after": NOW + 10}))
    clock = Clock(NOW)
    signer = LocalSigner(tmp_path, Algorithm.ES256, clock=clock)

    assert signer.signing_key().kid == made.key.kid
    clock.now += 10
    with pytest.raises(Unavailable):
        signer.signing_key()
    assert kids(signer) == set()
    clock.now += 1
    rewritten = {**members, "retire_after": NOW + 20}
    made.path.write_text(json.dumps(rewritten))
    assert signer.signing_key().kid == made.key.kid
