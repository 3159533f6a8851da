"""Reading the file and the environment: where problems are said to be, what to do, and what is never shown."""

import json
import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from tests.settings_file import (
    ABSENT,
    JWKS_FILE,
    Place,
    change,
    examine,
    problems,
    render_place,
    sha256,
    valid_values,
    write_settings,
)
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.errors import ConfigurationError
from tokensvc.settings import Settings, examine_settings, load_settings, load_upstream_keys
from tokensvc.signing.keyfiles import make_key


def loaded(folder: Path, **environ: str) -> Settings:
    return load_settings(write_settings(folder, valid_values()), environ)


def remedy_of(folder: Path, place: Place, value: object) -> str:
    found = examine(folder, change(valid_values(), place, value))
    assert isinstance(found, tuple)
    return found[0].remedy


def test_problem_names_file_key_and_remedy(tmp_path: Path) -> None:
    path = write_settings(tmp_path, change(valid_values(), ("agent", 1, "scopes"), ["crm.reed"]))
    with pytest.raises(ConfigurationError) as raised:
        load_settings(path, {})
    error = raised.value
    assert (error.file, error.key) == (str(path), "agent[1].scopes")
    assert error.remedy == "Did you mean crm.read? Else: Add it to the scopes of a [[resource]]."


def test_all_problems_are_found_and_the_first_one_raised_notes_the_others(tmp_path: Path) -> None:
    values = change(change(valid_values(), ("server", "port"), "x"), ("agent", 0, "scope"), "x")
    change(values, ("limits", "depth"), 11)
    assert sorted(problems(tmp_path, values, TOKENSVC_ISUER="x")) == [
        ("TOKENSVC_ISUER", "is no known variable"),
        ("agent[0].scope", "is no known setting"),
        ("limits.depth", "is too large"),
        ("server.port", "is not a whole number"),
    ]
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path / "tokensvc.toml", {})
    assert len(raised.value.__notes__) == 2


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        (("agent", 0, "scope"), "Did you mean scopes?"),
        (("isuer",), "Did you mean issuer?"),
        (("port",), "Did you mean to write it in [server]?"),
        (("iss",), "Did you mean to write it in [[identity_provider]]?"),
        (("server", "agent"), "Did you mean to write it at the top of the file?"),
        (("limits", "bytes"), "Did you mean token_bytes? Else remove it."),
        (("store", "workers"), "Remove it; known here are url, password_file."),
        (("agents",), "Did you mean agent?"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_known_name(tmp_path: Path, place: Place, remedy: str) -> None:
    values = change(valid_values(), place, "x")
    assert problems(tmp_path, values) == [(render_place(place), "is no known setting")]
    assert remedy_of(tmp_path, place, "x") == remedy
    assert problems(tmp_path, change(values, place, ABSENT)) == []


@pytest.mark.parametrize("key", ["version", "gateway"])
def test_key_of_what_is_not_built_or_not_configured_is_unknown(tmp_path: Path, key: str) -> None:
    assert problems(tmp_path, {**valid_values(), key: "scope"}) == [(key, "is no known setting")]


def test_unknown_key_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    assert problems(tmp_path, change(valid_values(), ("\x1b[31m",), "x")) == [("?[31m", "is no known setting")]


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        (("agent", 0, "auth"), "Add auth to [[agent]]; tokensvc init writes an example."),
        (("issuer",), "Add issuer to the top of the file; tokensvc init writes an example."),
        (("resource",), "Add [[resource]] to the top of the file; tokensvc init writes an example."),
        (("identity_provider", 0, "ceiling", "resources"),
         "Add resources to [identity_provider.ceiling]; tokensvc init writes an example."),
    ],
)  # fmt: skip
def test_missing_key_is_named_with_its_table(tmp_path: Path, place: Place, remedy: str) -> None:
    assert remedy_of(tmp_path, place, ABSENT) == remedy


@pytest.mark.parametrize(
    ("place", "value", "remedy"),
    [
        (("keys", "algorithm"), "HS256", "Write 'ES256', 'Ed25519' or 'RS256'."),
        (("keys", "algorithm"), "EdDSA", "Write 'ES256', 'Ed25519' or 'RS256'."),
        (("limits", "depth"), 99, "Write 10 or less."),
        (("limits", "depth"), 0, "Write 1 or more."),
        (("store",), 3, "Write [store] above its keys."),
        (("agent",), 3, "Write [[agent]] above its keys."),
        (("agent", 0, "scopes"), [], "Give at least 1."),
        (("agent", 0, "fronts"), "x", 'Write a list: ["a", "b"].'),
        (("agent", 0, "may_delegate_to"), ["zzz"], "Add an [[agent]] with this id, or remove it."),
    ],
)
def test_remedy_says_what_to_write(tmp_path: Path, place: Place, value: object, remedy: str) -> None:
    assert remedy_of(tmp_path, place, value) == remedy


def test_what_was_written_is_never_shown(tmp_path: Path) -> None:
    values = change(valid_values(), ("agent", 0, "secret_sha256"), ["hunter2", 3])
    change(values, ("agent", 1, "secret_sha256"), "hunter3")
    found = examine(tmp_path, values)
    assert isinstance(found, tuple)
    assert len(found) == 3
    assert "hunter" not in "".join(repr(error) + str(error) + error.remedy for error in found)


def test_settings_are_frozen_and_hide_the_hashes_of_secrets(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert sha256("planner") == settings.agents[0].secret_sha256[0]
    assert sha256("planner") not in repr(settings)
    assert sha256("crm-api") not in repr(settings)
    with pytest.raises(FrozenInstanceError):
        settings.issuer = "https://else.example"  # type: ignore[misc]


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    write_settings(folder, valid_values())
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("etc/tokensvc.toml"), {"TOKENSVC_KEYS__DIR": "private"})
    assert settings.store.sqlite_path == folder / "tokensvc.db"
    assert settings.keys.dir == folder / "private"
    assert settings.identity_providers[0].jwks_file == folder / JWKS_FILE


def test_absolute_paths_stay(tmp_path: Path) -> None:
    settings = loaded(tmp_path, TOKENSVC_STORE__URL="sqlite:////var/a.db", TOKENSVC_KEYS__DIR="/var/keys")
    assert settings.store.sqlite_path == Path("/var/a.db")
    assert settings.keys.dir == Path("/var/keys")


def test_version_is_the_same_for_the_same_settings_and_changes_with_any(tmp_path: Path) -> None:
    version = loaded(tmp_path).version
    values = change(valid_values(), ("limits", "depth"), 5)
    values["agent"][0]["scopes"].reverse()
    spelled_otherwise = load_settings(write_settings(tmp_path, values), {})
    assert len(version) == 12
    assert spelled_otherwise.version == version
    assert loaded(tmp_path, TOKENSVC_LIMITS__DEPTH="4").version != version
    values["agent"][0]["secret_sha256"] = [sha256("new")]
    assert load_settings(write_settings(tmp_path, values), {}).version != version


# --- the environment ---


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    values = change(valid_values(), ("server",), {"host": "::1", "port": 1})
    settings = examine(tmp_path, values, TOKENSVC_SERVER__PORT="8701", TOKENSVC_ISSUER="https://else.example")
    assert isinstance(settings, Settings)
    assert (settings.server.host, settings.server.port, settings.issuer) == ("::1", 8701, "https://else.example")


@pytest.mark.parametrize(
    ("variable", "refused", "accepted"),
    [
        ("TOKENSVC_SERVER__PORT", "http", "8701"),
        ("TOKENSVC_SERVER__PORT", "", "8701"),
        ("TOKENSVC_SERVER__PORT", "8_701", "8701"),
        ("TOKENSVC_SERVER__PORT", "99999", "9999"),
        ("TOKENSVC_LIMITS__DEPTH", "5.0", "5"),
        ("TOKENSVC_KEYS__ALGORITHM", "none", "RS256"),
        ("TOKENSVC_STORE__URL", "redis://", "memory:"),
        ("TOKENSVC_ISSUER", "https://\udcff.example", "https://x.example"),
    ],
)
def test_unusable_variable_is_refused_by_its_own_name(
    tmp_path: Path, variable: str, refused: str, accepted: str
) -> None:
    found = examine(tmp_path, valid_values(), **{variable: refused})
    assert isinstance(found, tuple)
    assert [(error.file, error.key) for error in found] == [("environment", variable)]
    assert isinstance(examine(tmp_path, valid_values(), **{variable: accepted}), Settings)


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("TOKENSVC_SERVER_PORT", "TOKENSVC_SERVER__PORT"),
        ("TOKENSVC_LIMITS__DEPHT", "TOKENSVC_LIMITS__DEPTH"),
        ("TOKENSVC_CONFG", "TOKENSVC_CONFIG"),
    ],
)
def test_unknown_variable_of_ours_is_refused_with_the_nearest(tmp_path: Path, unknown: str, nearest: str) -> None:
    found = examine(tmp_path, valid_values(), **{unknown: "5"})
    assert isinstance(found, tuple)
    assert found[0].key == unknown
    assert found[0].remedy == f"Did you mean {nearest}? Else unset it."
    assert problems(tmp_path, valid_values(), TOKENSVC_LIMITS__DEPTH="5") == []


@pytest.mark.parametrize("variable", ["TOKENSVC_AGENT", "TOKENSVC_AGENT__0__ID", "TOKENSVC_STORE", "TOKENSVC_"])
def test_only_single_settings_can_be_overridden(tmp_path: Path, variable: str) -> None:
    assert problems(tmp_path, valid_values(), **{variable: "x"}) == [(variable, "is no known variable")]


def test_variables_that_are_no_settings_and_those_of_others_are_left_alone(tmp_path: Path) -> None:
    environ = {"TOKENSVC_CONFIG": "x", "TOKENSVC_REQUIRE_ALL": "1", "PATH": "x", "tokensvc_server__port": "x"}
    assert problems(tmp_path, valid_values(), **environ) == []


def test_override_does_not_hide_a_section_that_is_no_table(tmp_path: Path) -> None:
    values = change(valid_values(), ("server",), 3)
    assert problems(tmp_path, values, TOKENSVC_SERVER__PORT="1") == [("server", "is not a table")]


# --- the file itself ---


def _missing(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _written(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(f"{text}\n{path.read_text()}")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_missing, "the file does not exist"),
        (_folder, "the file is not a regular file"),
        (_pipe, "the file is not a regular file"),
        (_endless, "the file is not a regular file"),
        (_written("#" + " " * 4_000_000), "the file is larger than 4000000 bytes"),
        (_written("x = " + "[" * 20_000), "the file nests too deeply"),
        (_written("x = " + "{a=" * 20_000), "the file nests too deeply"),
        (_written(f"x = {'9' * 6000}"), "the file holds a number that is too long"),
        (lambda path: path.write_bytes(b"\xff"), "the file is not UTF-8"),
        (lambda path: path.write_text("issuer = 1\nissuer"), "the file is not TOML: Expected"),
    ],
)
def test_file_that_cannot_be_read_is_refused(tmp_path: Path, spoil: Callable[[Path], object], problem: str) -> None:
    path = write_settings(tmp_path, valid_values())
    assert isinstance(examine_settings(path, {}), Settings)
    spoil(path)
    found = examine_settings(path, {})
    assert isinstance(found, tuple)
    assert len(found) == 1
    assert (found[0].file, found[0].key) == (str(path), "")
    assert found[0].description.startswith(problem)


def test_size_and_numbers_that_can_be_read_are(tmp_path: Path) -> None:
    path = write_settings(tmp_path, valid_values())
    _written("#" + " " * 3_990_000)(path)
    assert isinstance(examine_settings(path, {}), Settings)


@pytest.mark.parametrize("value", ["[" * 50 + "]" * 50, "9" * 4000])
def test_odd_value_that_toml_can_read_is_refused_by_its_key(tmp_path: Path, value: str) -> None:
    path = write_settings(tmp_path, change(valid_values(), ("issuer",), ABSENT))
    _written(f"issuer = {value}")(path)
    found = examine_settings(path, {})
    assert isinstance(found, tuple)
    assert [error.key for error in found] == ["issuer"]


def test_deep_dotted_key_is_refused(tmp_path: Path) -> None:
    path = write_settings(tmp_path, change(valid_values(), ("issuer",), ABSENT))
    _written(f"issuer{'.a' * 5000} = 1")(path)
    assert isinstance(examine_settings(path, {}), tuple)


# --- the identity provider's keys ---


def test_key_set_is_read_by_issuer(tmp_path: Path) -> None:
    keys = load_upstream_keys(loaded(tmp_path))
    assert list(keys) == ["https://idp.example"]
    assert [key.alg for key in keys["https://idp.example"]] == ["RS256"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the key set of the identity provider cannot be read (No such file or directory)"),
        (b"{", "the JSON text does not parse"),
        (b'{"keys": 3}', "a key set is an object with an array named keys"),
        (b'{"keys": []}', "the key set holds no signature key for RS256"),
        (b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', "a secret or private key stands in a public key set"),
        (b" " * 1_000_001, "larger than 1000000 bytes"),
    ],
)
def test_key_set_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = write_settings(tmp_path, valid_values())
    assert isinstance(examine_settings(path, {}), Settings)
    jwks = tmp_path / JWKS_FILE
    jwks.unlink()
    if content is not None:
        jwks.write_bytes(content)
    found = examine_settings(path, {})
    assert isinstance(found, tuple)
    assert [(error.file, error.description) for error in found] == [(str(jwks), problem)]


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.ED25519])
def test_key_set_needs_a_key_for_a_configured_algorithm(tmp_path: Path, algorithm: Algorithm) -> None:
    place: Place = ("identity_provider", 0, "algorithms")
    path = write_settings(tmp_path, change(valid_values(), place, [str(algorithm)]))
    found = examine_settings(path, {})
    assert isinstance(found, tuple)
    assert found[0].description == f"the key set holds no signature key for {algorithm}"
    (tmp_path / JWKS_FILE).write_text(json.dumps(render_jwks(KeySet([make_key(algorithm).public]))))
    assert isinstance(examine_settings(path, {}), Settings)
