"""A configuration file that is read again: what may differ from what runs, and what may not."""

from pathlib import Path
from typing import Any

import pytest

from tests.settings_file import ABSENT, API, Place, change, valid_values, write_settings
from tokensvc.settings import Settings, load_settings
from tokensvc.settings.reload import examine_change

OTHER = {
    "iss": "https://other.example",
    "jwks_url": "https://other.example/jwks",
    "audience": ["tokensvc"],
    "subject_prefix": "b:",
    "ceiling": {"resources": [API]},
}


@pytest.fixture
def current(tmp_path: Path) -> Settings:
    return load_settings(write_settings(tmp_path, valid_values()), {})


def found(folder: Path, current: Settings, values: dict[str, Any], **environ: str) -> Settings | list[str]:
    """The settings, or the keys of the problems."""
    answer = examine_change(current, write_settings(folder, values), environ)
    return answer if isinstance(answer, Settings) else [problem.key for problem in answer]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("agent", 0, "enabled"), False),
        (("agent", 0, "scopes"), ["crm.read"]),
        (("limits", "depth"), 3),
        (("attenuation",), "authority"),
        (("identity_provider", 0, "session_lifetime_s"), 60),
        (("resource", 0, "secret_sha256"), ["0" * 64]),
    ],
)
def test_who_may_do_what_can_change(tmp_path: Path, current: Settings, place: Place, value: object) -> None:
    after = found(tmp_path, current, change(valid_values(), place, value))
    assert isinstance(after, Settings)
    assert after.version != current.version


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("issuer",), "https://other.example"),
        (("store", "url"), "memory:"),
        (("server", "host"), "127.0.0.2"),
        (("server", "port"), 1),
        (("keys", "dir"), "elsewhere"),
        (("keys", "algorithm"), "RS256"),
        (("limits", "leeway_s"), 60),
    ],
)
def test_what_is_opened_at_the_start_cannot(tmp_path: Path, current: Settings, place: Place, value: object) -> None:
    assert found(tmp_path, current, change(valid_values(), place, value)) == [".".join(map(str, place))]
    assert found(tmp_path, current, valid_values()) == current


def test_every_key_is_named_and_no_value_is_shown(tmp_path: Path, current: Settings) -> None:
    values = {**valid_values(), "issuer": "https://secret.example", "server": {"host": "127.0.0.7", "port": 7}}
    answer = examine_change(current, write_settings(tmp_path, values), {})

    assert not isinstance(answer, Settings)
    assert [problem.key for problem in answer] == ["issuer", "server.host", "server.port"]
    assert not any(text in str(problem) for problem in answer for text in ("secret", "127.0.0.7"))


def test_a_file_that_does_not_load_says_why(tmp_path: Path, current: Settings) -> None:
    values = change(valid_values(), ("agent", 0, "scopes"), ABSENT)
    assert found(tmp_path, current, {**values, "issuer": "https://other.example"}) == ["agent[0].scopes"]


def test_the_environment_counts_as_at_the_start(tmp_path: Path, current: Settings) -> None:
    assert found(tmp_path, current, valid_values(), TOKENSVC_SERVER__PORT="1") == ["server.port"]
    assert found(tmp_path, current, valid_values(), TOKENSVC_SERVER__PORT=str(current.server.port)) == current


def test_an_identity_provider_may_go_or_be_disabled_and_not_be_added(tmp_path: Path, current: Settings) -> None:
    first = valid_values()["identity_provider"][0]
    two = {**valid_values(), "identity_provider": [{**first, "subject_prefix": "a:"}, OTHER]}
    both = load_settings(write_settings(tmp_path, two), {})

    assert found(tmp_path, current, two) == ["identity_provider[1].iss"]
    assert isinstance(found(tmp_path, both, valid_values()), Settings)
    assert isinstance(found(tmp_path, both, change(two, ("identity_provider", 1, "enabled"), value=False)), Settings)
