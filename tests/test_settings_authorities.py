"""Authorities in the settings: each rule with a configuration that breaks it, and the nearest that does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.settings_file import ABSENT, API, Place, change, examine, problems, valid_values, write_settings
from tests.simulator import ec_key, rsa_key
from tokensvc.core.keyset import KeySet, PublicKey, render_jwks
from tokensvc.errors import ConfigurationError
from tokensvc.settings import Settings, load_settings, load_upstream_keys
from tokensvc.settings.agent_keys import AgentKeys
from tokensvc.settings.reload import examine_change
from tokensvc.settings.start import require_own_keys

IDP: Place = ("identity_provider", 0)
FIRST: Place = ("authority", 0)
ISS = "https://idp.example"
OTHER = "https://authority.example"
KEY = "authority[0]"
REACHED_HOW = (
    "Write a https URL of a host on the internet. For another, name its network in private_networks; "
    'http is for loopback, with private_networks = ["127.0.0.0/8", "::1/128"].'
)


def with_authority(*, prefix: str = "corp:", **members: Any) -> dict[str, Any]:  # noqa: ANN401 - any value a file may hold
    """One provider, and one authority under the same `iss`, with `members`."""
    values = change(valid_values(), (*IDP, "subject_prefix"), prefix)
    plain = {"iss": ISS, "jwks_url": f"{ISS}/roots", "subject_prefix": prefix, "ceiling": {"resources": [API]}}
    present = {name: value for name, value in {**plain, **members}.items() if value is not ABSENT}
    return {**values, "authority": [present]}


def publish(folder: Path, name: str, *keys: PublicKey) -> None:
    (folder / name).write_text(json.dumps(render_jwks(KeySet(keys))))


def with_file(folder: Path, *keys: PublicKey, **members: Any) -> dict[str, Any]:  # noqa: ANN401
    """The same with the keys of the roots in a file."""
    publish(folder, "roots.json", *keys)
    return with_authority(jwks_url=ABSENT, jwks_file="roots.json", **members)


def test_an_authority_is_read_as_it_is_written(tmp_path: Path) -> None:
    ceiling = {"resources": [API], "authorization_details": [{"type": "x"}], "max_depth": 2}
    settings = examine(tmp_path, with_file(tmp_path, ec_key("roots").public, ceiling=ceiling, enabled=False))

    assert isinstance(settings, Settings)
    (authority,) = settings.authorities
    assert (authority.iss, authority.enabled, authority.subject_prefix) == (ISS, False, "corp:")
    assert authority.jwks_file == tmp_path / "roots.json"
    assert (authority.ceiling.resources, authority.ceiling.max_depth) == (frozenset({API}), 2)
    assert len(authority.ceiling.authorization_details) == 1


def test_no_authority_has_to_be_there(tmp_path: Path) -> None:
    settings = examine(tmp_path, valid_values())
    assert isinstance(settings, Settings)
    assert settings.authorities == ()


@pytest.mark.parametrize("name", ["iss", "ceiling"])
def test_what_an_authority_has_to_say(tmp_path: Path, name: str) -> None:
    assert problems(tmp_path, with_authority()) == []
    without: dict[str, Any] = {name: ABSENT}
    assert problems(tmp_path, with_authority(**without)) == [(f"{KEY}.{name}", "is missing")]


def test_the_token_service_is_no_authority(tmp_path: Path) -> None:
    found = problems(tmp_path, with_authority(iss="https://tokens.example", subject_prefix="own:"))
    assert found == [(f"{KEY}.iss", "is the token service's own issuer")]


def test_each_authority_stands_once(tmp_path: Path) -> None:
    values = with_authority()
    values["authority"].append({**values["authority"][0], "jwks_url": f"{ISS}/more"})
    assert problems(tmp_path, values) == [("authority[1].iss", f"{ISS} is registered twice")]
    values["authority"][1] |= {"iss": OTHER, "subject_prefix": "other:"}
    assert problems(tmp_path, values) == []


def test_keys_come_from_one_place(tmp_path: Path) -> None:
    publish(tmp_path, "roots.json", ec_key("roots").public)
    assert problems(tmp_path, with_authority(jwks_url=ABSENT)) == [(KEY, "says nowhere where its keys are")]
    both = with_authority(jwks_file="roots.json")
    assert problems(tmp_path, both) == [(f"{KEY}.jwks_url", "stands beside jwks_file")]
    networks = with_file(tmp_path, ec_key("roots").public, private_networks=["10.0.0.0/8"])
    assert problems(tmp_path, networks) == [(f"{KEY}.private_networks", "means nothing beside jwks_file")]
    assert problems(tmp_path, with_file(tmp_path, ec_key("roots").public)) == []


@pytest.mark.parametrize("reached", [{"private_networks": ["10.0.0.0/8"]}, {"jwks_url": "https://roots.example/jwks"}])
def test_keys_are_fetched_from_where_the_settings_reach(tmp_path: Path, reached: dict[str, Any]) -> None:
    found = examine(tmp_path, with_authority(jwks_url="https://10.0.0.1/jwks"))
    assert not isinstance(found, Settings)
    assert [(error.key, error.remedy) for error in found] == [(f"{KEY}.jwks_url", REACHED_HOW)]
    assert problems(tmp_path, with_authority(**{"jwks_url": "https://10.0.0.1/jwks", **reached})) == []


def test_roots_are_not_signed_with_the_keys_of_logins(tmp_path: Path) -> None:
    values = with_authority(jwks_url=f"{ISS}/jwks")
    del values["identity_provider"][0]["jwks_file"]
    values["identity_provider"][0]["jwks_url"] = f"{ISS}/jwks"
    problem = "is where an identity provider publishes the keys of its logins"
    assert problems(tmp_path, values) == [(f"{KEY}.jwks_url", problem)]
    assert problems(tmp_path, change(values, (*FIRST, "jwks_url"), f"{ISS}/roots")) == []


def test_no_file_holds_a_key_of_logins_and_of_roots(tmp_path: Path) -> None:
    publish(tmp_path, "login.json", rsa_key("login").public)
    values = with_file(tmp_path, ec_key("roots").public, rsa_key("login").public)
    change(values, (*IDP, "jwks_file"), "login.json")
    assert problems(tmp_path, values) == [("", f"the key set holds a key of the identity provider {ISS}")]
    publish(tmp_path, "roots.json", ec_key("roots").public)
    assert problems(tmp_path, values) == []


def test_no_two_authorities_share_a_key(tmp_path: Path) -> None:
    values = with_file(tmp_path, ec_key("roots").public)
    second = {"iss": OTHER, "jwks_file": "other.json", "subject_prefix": "other:", "ceiling": {"resources": [API]}}
    values["authority"].append(second)
    publish(tmp_path, "other.json", ec_key("other").public, ec_key("roots").public)
    assert problems(tmp_path, values) == [("", f"the key set holds a key of another authority, {ISS}")]
    publish(tmp_path, "other.json", ec_key("other").public)
    assert problems(tmp_path, values) == []


def test_the_file_of_an_authority_holds_a_key(tmp_path: Path) -> None:
    values = with_file(tmp_path)
    assert problems(tmp_path, values) == [("", "the key set holds no signature key for ES256 or Ed25519 or RS256")]
    assert problems(tmp_path, change(values, (*FIRST, "enabled"), False)) == []


def test_the_keys_of_one_iss_are_kept_apart(tmp_path: Path) -> None:
    publish(tmp_path, "login.json", rsa_key("login").public)
    values = change(with_file(tmp_path, ec_key("roots").public), (*IDP, "jwks_file"), "login.json")
    settings = load_settings(write_settings(tmp_path, values), {})

    keys = load_upstream_keys(settings)
    assert {holder: [key.kid for key in found] for holder, found in keys.items()} == {
        ISS: ["login"],
        settings.authorities[0].key_holder: ["roots"],
    }


@pytest.mark.parametrize(
    ("iss", "prefix", "is_accepted"),
    [
        (ISS, "corp:", True),
        (ISS, "other:", False),
        (ISS, "", False),
        (OTHER, "other:", True),
        (OTHER, "corp:", False),
        (OTHER, "corp:x", False),
        (OTHER, "co", False),
        (OTHER, "", False),
    ],
)
def test_a_name_is_of_one_source_of_users(tmp_path: Path, iss: str, prefix: str, *, is_accepted: bool) -> None:
    found = problems(tmp_path, with_authority(iss=iss, subject_prefix=prefix))
    assert [key for key, _ in found] == ([] if is_accepted else [f"{KEY}.subject_prefix"])


def test_two_authorities_never_name_one_user(tmp_path: Path) -> None:
    values = with_authority()
    second = {"iss": OTHER, "jwks_url": f"{OTHER}/roots", "subject_prefix": "a:", "ceiling": {"resources": [API]}}
    third = {**second, "iss": "https://third.example", "jwks_url": f"{OTHER}/third", "subject_prefix": "a:b"}
    values["authority"] += [second, third]
    assert [key for key, _ in problems(tmp_path, values)] == ["authority[2].subject_prefix"]
    assert problems(tmp_path, change(values, ("authority", 2, "subject_prefix"), "b:")) == []


def test_no_agent_has_the_name_of_an_authoritys_user(tmp_path: Path) -> None:
    values = with_authority(iss=OTHER, subject_prefix="plan")
    assert problems(tmp_path, values) == [
        ("agent[0].id", "could be the name of a user: it starts with a subject_prefix")
    ]
    assert problems(tmp_path, change(values, (*FIRST, "subject_prefix"), "Plan")) == []
    # Said once, whoever shares the prefix.
    assert len(problems(tmp_path, with_authority(prefix="plan"))) == 1


def test_the_resources_of_the_ceiling_are_registered(tmp_path: Path) -> None:
    found = problems(tmp_path, with_authority(ceiling={"resources": [API, "https://gone.example"]}))
    assert found == [(f"{KEY}.ceiling.resources", "https://gone.example is not registered")]


@pytest.mark.parametrize("typ", ["delegation-root+jwt", "application/Delegation-Grant+JWT", "actor+jwt", "dpop+jwt"])
def test_a_type_of_ours_is_no_access_tokens(tmp_path: Path, typ: str) -> None:
    found = problems(tmp_path, change(valid_values(), (*IDP, "typ"), ["JWT", typ]))
    assert found == [("identity_provider[0].typ", f"{typ} is the type of something else than an access token")]
    assert problems(tmp_path, change(valid_values(), (*IDP, "typ"), ["JWT", f"x-{typ}"])) == []


@pytest.mark.parametrize("name", ["planner", "service"])
def test_a_key_speaks_for_one_party(tmp_path: Path, name: str) -> None:
    settings = load_settings(write_settings(tmp_path, with_file(tmp_path, ec_key("roots").public)), {})
    agents = {"planner": AgentKeys(assertion=KeySet([ec_key("planner").public]))}
    own = KeySet([ec_key("service").public])
    require_own_keys(settings, load_upstream_keys(settings), agents, own)

    publish(tmp_path, "roots.json", ec_key("roots").public, ec_key(name).public)
    with pytest.raises(ConfigurationError, match="authority"):
        require_own_keys(settings, load_upstream_keys(settings), agents, own)


def test_an_authority_cannot_be_added_while_the_service_runs(tmp_path: Path) -> None:
    before = load_settings(write_settings(tmp_path, valid_values()), {})
    values = with_authority(prefix="")
    found = examine_change(before, write_settings(tmp_path, values), {})
    assert not isinstance(found, Settings)
    assert [(error.key, error.description) for error in found] == [
        (f"{KEY}.iss", "an authority cannot be added while the service runs")
    ]
    running = load_settings(write_settings(tmp_path, values), {})
    path = write_settings(tmp_path, change(values, (*FIRST, "enabled"), False))
    assert isinstance(examine_change(running, path, {}), Settings)
