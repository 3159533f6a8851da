"""The keys of agents: what proves an agent fits its `auth`, and no two parties hold one key."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.settings_file import ABSENT, change, problems, valid_values, write_settings
from tests.simulator import ec_key, ed_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.errors import ConfigurationError
from tokensvc.settings import load_agent_keys, load_settings

PLANNER = ("agent", 0)
RESEARCHER = ("agent", 1)


def by_key(values: dict[str, Any], agent: tuple[str, int], jwks_file: str) -> dict[str, Any]:
    """That agent authenticates by the keys of that file."""
    change(values, (*agent, "auth"), "private_key_jwt")
    change(values, (*agent, "secret_sha256"), ABSENT)
    return change(values, (*agent, "jwks_file"), jwks_file)


def write_keys(folder: Path, name: str, *keys: SigningKey) -> str:
    (folder / name).write_text(json.dumps(render_jwks(KeySet(key.public for key in keys))))
    return name


def faults(folder: Path, values: dict[str, Any]) -> list[tuple[str, str]]:
    return problems(folder, values)


def test_the_keys_of_an_agent_are_read_beside_the_file(tmp_path: Path) -> None:
    values = by_key(valid_values(), PLANNER, write_keys(tmp_path, "planner.jwks", ec_key("a"), ed_key("b")))
    settings = load_settings(write_settings(tmp_path, values), {})

    (agent, keys), *others = load_agent_keys(settings).items()
    assert (agent, sorted(key.kid for key in keys.assertion), others) == ("planner", ["a", "b"], [])


@pytest.mark.parametrize(
    ("auth", "members", "found"),
    [
        ("private_key_jwt", {"jwks_file": "planner.jwks", "secret_sha256": ABSENT}, []),
        ("client_secret_post", {}, []),
        (
            "private_key_jwt",
            {"secret_sha256": ABSENT},
            [("agent[0].jwks_file", "is missing: auth is private_key_jwt")],
        ),
        (
            "private_key_jwt",
            {"jwks_file": "planner.jwks"},
            [("agent[0].secret_sha256", "has no use: auth is private_key_jwt")],
        ),
        (
            "client_secret_basic",
            {"secret_sha256": ABSENT},
            [("agent[0].secret_sha256", "is missing: auth is client_secret_basic")],
        ),
        (
            "client_secret_basic",
            {"jwks_file": "planner.jwks"},
            [("agent[0].jwks_file", "has no use: auth is client_secret_basic")],
        ),
    ],
)
def test_what_proves_an_agent_fits_its_auth(
    tmp_path: Path, auth: str, members: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    write_keys(tmp_path, "planner.jwks", ec_key("a"))
    values = change(valid_values(), (*PLANNER, "auth"), auth)
    for name, member in members.items():
        change(values, (*PLANNER, name), member)

    assert faults(tmp_path, values) == found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the key set of an agent cannot be read (No such file or directory)"),
        ("{", "the JSON text does not parse"),
        ('{"keys": []}', "the key set holds no signature key"),
        (json.dumps({"keys": [ec_key("a").unsafe_private_jwk()]}), "private"),
    ],
)
def test_a_key_set_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, problem: str) -> None:
    values = by_key(valid_values(), PLANNER, "planner.jwks")
    if content is not None:
        (tmp_path / "planner.jwks").write_text(content)
    (fault,) = faults(tmp_path, values)

    assert fault[0] == ""
    assert problem in fault[1]
    write_keys(tmp_path, "planner.jwks", ec_key("a"))
    assert faults(tmp_path, values) == []


def test_two_agents_never_hold_one_key(tmp_path: Path) -> None:
    values = by_key(valid_values(), PLANNER, write_keys(tmp_path, "planner.jwks", ec_key("a"), ec_key("b")))
    by_key(values, RESEARCHER, write_keys(tmp_path, "researcher.jwks", ec_key("c"), ec_key("b")))
    assert faults(tmp_path, values) == [("", "the key set holds a key of another agent")]

    write_keys(tmp_path, "researcher.jwks", ec_key("c"))
    assert faults(tmp_path, values) == []
    with pytest.raises(ConfigurationError):
        load_settings(write_settings(tmp_path, change(values, (*RESEARCHER, "jwks_file"), "planner.jwks")), {})
