"""Identity providers in the settings: each rule with a configuration that breaks it, and the nearest that does not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.settings_file import API, JWKS_FILE, Place, change, examine, problems, valid_values, write_settings
from tests.simulator import ec_key, rsa_key
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.settings import Settings

IDP: Place = ("identity_provider", 0)
PLANNER: Place = ("agent", 0)
ISS = "https://idp.example"
PARTNER = "https://partner.example"
KEY = "identity_provider[0]"


def two_providers(**members: object) -> dict[str, Any]:
    """Two that agree, the second with `members`."""
    values = change(valid_values(), (*IDP, "subject_prefix"), "corp:")
    second = {"iss": PARTNER, "jwks_url": f"{PARTNER}/jwks", "audience": ["tokensvc"], "subject_prefix": "partner:"}
    values["identity_provider"].append({**second, "ceiling": {"resources": [API]}, **members})
    return values


def with_source(**members: object) -> dict[str, Any]:
    """One provider whose keys are where `members` say."""
    values = valid_values()
    del values["identity_provider"][0]["jwks_file"]
    values["identity_provider"][0] |= members
    return values


VALUES = [
    ("enabled", "yes", False, "is neither true nor false"),
    ("jwks_url", "https://idp example", None, "is not 1 to 256 visible ASCII characters"),
    ("discovery", 1, False, "is neither true nor false"),
    ("typ", [""], ["none", "at+jwt"], "is not 1 to 256 visible ASCII characters"),
    ("client_claims", [], ["cid"], "has too few entries"),
    ("max_token_lifetime_s", 0, 1, "is too small"),
    ("id_tokens", "true", True, "is neither true nor false"),
    ("private_networks", ["10.0.0.1/8"], [], "is no network"),
    ("private_networks", "10.0.0.0/8", [], "is not a list"),
    ("private_networks", ["localhost"], [], "is no network"),
    *(
        ("scope_claim", refused, accepted, "is no name of a claim, nor a path to one")
        for refused, accepted in [
            ("", "scp"),
            ("a..b", "a.b"),
            (".roles", "roles"),
            ("a\nb", "a b"),
            ("a.b.c.d.e.f.g.h.i", "a.b.c.d.e.f.g.h"),
            ([], ["resource_access", "a.b", "roles"]),
            (["roles", 1], ["roles"]),
            ({"a": "b"}, "https://a.example/roles"),
            (7, "7"),
        ]
    ),
    *(
        ("scope_map", refused, {"CRM Reader": "crm.read", "x": ["crm.read", "crm.write"]}, problem)
        for refused, problem in [
            ("crm.read", "is not a table of their names and your scopes"),
            ([["a", "crm.read"]], "is not a table of their names and your scopes"),
            ({"a": "crm read"}, "maps a name to what is no scope of RFC 6749 s3.3"),
            ({"a": []}, "maps a name to what is no scope of RFC 6749 s3.3"),
            ({"": "crm.read"}, "maps a name to what is no scope of RFC 6749 s3.3"),
            ({"a": 7}, "maps a name to what is no scope of RFC 6749 s3.3"),
            ({"a": {"b": "crm.read"}}, "maps a name to what is no scope of RFC 6749 s3.3"),
            ({}, "maps no name"),
        ]
    ),
    *(
        ("required_claims", refused, {"tid": "t", "a.b": [1, 2], "email_verified": True}, problem)
        for refused, problem in [
            ("tid", "is not a table of claims and the values they must have"),
            ({"tid": []}, "has a claim whose value is no text, whole number or boolean, nor a list of them"),
            ({"tid": 1.5}, "has a claim whose value is no text, whole number or boolean, nor a list of them"),
            ({"tid": {"a": "b"}}, "has a claim whose value is no text, whole number or boolean, nor a list of them"),
            ({"tid": [["a"]]}, "has a claim whose value is no text, whole number or boolean, nor a list of them"),
            ({"a..b": "t"}, "is no name of a claim, nor a path to one"),
        ]
    ),
]


@pytest.mark.parametrize(("name", "refused", "accepted", "problem"), VALUES)
def test_a_value_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, refused: object, accepted: object, problem: str
) -> None:
    assert problems(tmp_path, change(valid_values(), (*IDP, name), refused)) == [(_key_of(name, refused), problem)]
    if accepted is not None:
        assert problems(tmp_path, change(valid_values(), (*IDP, name), accepted)) == []


def _key_of(name: str, value: object) -> str:
    """Entries of lists have a place of their own."""
    is_entry = isinstance(value, list) and value and name in {"typ", "private_networks"}
    return f"{KEY}.{name}[0]" if is_entry else f"{KEY}.{name}"


def test_paths_maps_and_rules_are_read_as_they_are_written(tmp_path: Path) -> None:
    values = valid_values()
    values["identity_provider"][0] |= {
        "scope_claim": "realm_access.roles",
        "scope_map": {"boss": ["crm.read", "crm.write"], "Reader": "crm.read"},
        "required_claims": {"tid": "t", "https://a.example/x": [1, True], "org.id": "o"},
    }
    values["agent"][0]["upstream_client_ids"] = {ISS: "0oa1"}
    settings = examine(tmp_path, values)

    assert isinstance(settings, Settings)
    (provider,) = settings.identity_providers
    assert provider.scope_claim == ("realm_access", "roles")
    assert dict(provider.scope_map) == {"boss": {"crm.read", "crm.write"}, "Reader": {"crm.read"}}
    assert provider.required_claims == (
        (("tid",), ("t",)),
        (("https://a.example/x",), (1, True)),
        (("org", "id"), ("o",)),
    )
    assert settings.agents[0].upstream_client_ids == ((ISS, "0oa1"),)
    # A copy checks its values again.
    assert replace(provider) == provider
    assert replace(settings.agents[0]) == settings.agents[0]
    assert settings.version == _version(tmp_path, values)
    assert settings.version != _version(tmp_path, change(values, (*IDP, "required_claims", "tid"), "u"))


def _version(folder: Path, values: dict[str, Any]) -> str:
    settings = examine(folder, values)
    assert isinstance(settings, Settings)
    return settings.version


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, [(KEY, "says nowhere where its keys are")]),
        ({"discovery": False}, [(KEY, "says nowhere where its keys are")]),
        ({"jwks_url": f"{ISS}/jwks"}, []),
        ({"discovery": True}, []),
        ({"jwks_file": JWKS_FILE}, []),
        ({"jwks_url": f"{ISS}/jwks", "discovery": True}, [(f"{KEY}.discovery", "stands beside jwks_url")]),
        ({"jwks_file": JWKS_FILE, "jwks_url": f"{ISS}/jwks"}, [(f"{KEY}.jwks_url", "stands beside jwks_file")]),
        (
            {"jwks_file": JWKS_FILE, "private_networks": ["10.0.0.0/8"]},
            [(f"{KEY}.private_networks", "means nothing beside jwks_file")],
        ),
    ],
)
def test_keys_come_from_one_place(tmp_path: Path, members: dict[str, object], found: list[tuple[str, str]]) -> None:
    assert problems(tmp_path, with_source(**members)) == found


@pytest.mark.parametrize(
    ("url", "networks", "is_accepted"),
    [
        ("https://keys.example/jwks?x=1", [], True),
        ("http://keys.example/jwks", [], False),
        ("http://127.0.0.1:8080/jwks", [], False),
        ("http://127.0.0.1:8080/jwks", ["127.0.0.0/8"], True),
        ("http://[::1]/jwks", ["127.0.0.0/8", "::1/128"], True),
        ("http://10.0.0.1/jwks", ["10.0.0.0/8"], False),
        ("http://127.0.0.1/jwks", ["127.0.0.0/8", "10.0.0.0/8"], False),
        ("https://10.0.0.1/jwks", ["10.0.0.0/8"], True),
        ("https://10.0.0.1/jwks", [], False),
        ("https://10.0.0.1/jwks", ["10.1.0.0/16"], False),
        ("file:///etc/passwd", [], False),
        ("https://user:secret@keys.example/", [], False),
    ],
)
def test_keys_are_fetched_from_where_that_is_allowed(
    tmp_path: Path, url: str, networks: list[str], *, is_accepted: bool
) -> None:
    found = problems(tmp_path, with_source(jwks_url=url, private_networks=networks))
    assert [key for key, _ in found] == ([] if is_accepted else [f"{KEY}.jwks_url"])
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("iss", "is_accepted"),
    [(ISS, True), (f"{ISS}/", True), ("idp", False), ("accounts.google.com", False), (f"{ISS}?x", False)],
)
def test_discovery_needs_an_issuer_that_is_a_url(tmp_path: Path, iss: str, *, is_accepted: bool) -> None:
    found = problems(tmp_path, with_source(discovery=True, iss=iss))
    assert [key for key, _ in found] == ([] if is_accepted else [f"{KEY}.iss"])
    assert problems(tmp_path, with_source(jwks_url=f"{ISS}/jwks", iss=iss)) == []


PREFIX_PROBLEM = "begins another identity provider's, or the other way round: both could name one user"


@pytest.mark.parametrize(
    ("prefix", "is_accepted"),
    [("partner:", True), ("corp:", False), ("corp:x", False), ("co", False), ("", False), ("Corp:", True)],
)
def test_two_identity_providers_never_name_one_user(tmp_path: Path, prefix: str, *, is_accepted: bool) -> None:
    found = problems(tmp_path, two_providers(subject_prefix=prefix))
    assert found == ([] if is_accepted else [("identity_provider[1].subject_prefix", PREFIX_PROBLEM)])


@pytest.mark.parametrize("enabled", [True, False])
def test_an_identity_provider_stands_once_enabled_or_not(tmp_path: Path, *, enabled: bool) -> None:
    found = problems(tmp_path, two_providers(iss=ISS, enabled=enabled))
    assert found == [("identity_provider[1].iss", f"{ISS} is registered twice")]
    assert problems(tmp_path, two_providers(iss=f"{ISS}/", enabled=enabled)) == []


RULES = [
    ("an audience is no agent's id", (*IDP, "audience"), ["tokensvc", "planner"], ["tokensvc"],
     f"{KEY}.audience", "planner is a client of the agent planner, whose ID tokens would pass for access tokens"),
    ("an audience is no front", (*IDP, "audience"), ["chat-ui"], ["chat-ui2"],
     f"{KEY}.audience", "chat-ui is a client of the agent planner, whose ID tokens would pass for access tokens"),
    ("a mapped scope is registered", (*IDP, "scope_map"), {"a": "crm.reed"}, {"a": "crm.read"},
     f"{KEY}.scope_map", "crm.reed is registered at no resource of the ceiling"),
    ("a mapped scope can be reached", (*IDP, "scope_map"), {"a": "mail.send"}, {"a": "crm.write"},
     f"{KEY}.scope_map", "mail.send is registered at no resource of the ceiling"),
    ("scopes of ID tokens need ID tokens", (*IDP, "id_token_scopes"), ["crm.read"], [],
     f"{KEY}.id_token_scopes", "means nothing without id_tokens"),
    ("client ids are at a registered provider", (*PLANNER, "upstream_client_ids"), {f"{ISS}/": "x"}, {ISS: "x"},
     "agent[0].upstream_client_ids", f"{ISS}/ is no registered identity provider"),
    ("a client id is no other agent's id", (*PLANNER, "upstream_client_ids"), {ISS: "researcher"}, {ISS: "planner"},
     "agent[0].upstream_client_ids", "researcher is also a client of another agent"),
    ("a client id is no other agent's front", ("agent", 1, "upstream_client_ids"), {ISS: "chat-ui"}, {ISS: "x"},
     "agent[1].upstream_client_ids", "chat-ui is also a client of another agent"),
    ("client ids are a table", (*PLANNER, "upstream_client_ids"), [], {},
     "agent[0].upstream_client_ids", "is not a table of identity providers and client ids"),
    ("a client id is a name", (*PLANNER, "upstream_client_ids"), {ISS: "a b"}, {ISS: "a_b"},
     "agent[0].upstream_client_ids", "has a client id that is not 1 to 256 visible ASCII characters"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "refused", "accepted", "found"),
    [(*row[1:4], row[4:]) for row in RULES],
    ids=[row[0] for row in RULES],
)
def test_conflicting_settings_are_refused_where_agreeing_ones_are_accepted(
    tmp_path: Path, place: Place, refused: object, accepted: object, found: tuple[str, str]
) -> None:
    assert problems(tmp_path, change(valid_values(), place, refused)) == [found]
    assert problems(tmp_path, change(valid_values(), place, accepted)) == []


def test_two_agents_are_not_one_client_and_an_audience_is_no_client_by_any_name(tmp_path: Path) -> None:
    values = valid_values()
    for index in (0, 1):
        change(values, ("agent", index, "upstream_client_ids"), {ISS: "0oa1"})
    assert problems(tmp_path, values) == [
        (f"agent[{index}].upstream_client_ids", "0oa1 is also a client of another agent") for index in (0, 1)
    ]
    change(values, ("agent", 1, "upstream_client_ids"), {ISS: "0oa2"})
    assert problems(tmp_path, values) == []
    assert len(problems(tmp_path, change(values, (*IDP, "audience"), ["0oa2"]))) == 1
    # An agent that is called otherwise there leaves its own id to others.
    assert problems(tmp_path, change(values, (*IDP, "audience"), ["researcher"])) == []


def test_without_an_audience_id_tokens_must_be_accepted(tmp_path: Path) -> None:
    values = valid_values()
    del values["identity_provider"][0]["audience"]
    assert problems(tmp_path, values) == [(f"{KEY}.audience", "is missing, and no ID token is accepted either")]
    values["identity_provider"][0] |= {"id_tokens": True, "id_token_scopes": ["crm.read"]}
    assert problems(tmp_path, values) == []


def publish(folder: Path, name: str, *keys: object) -> None:
    (folder / name).write_text(json.dumps(render_jwks(KeySet(keys))))  # type: ignore[arg-type]


def test_one_key_in_two_files_is_refused_and_a_disabled_provider_is_not_looked_at(tmp_path: Path) -> None:
    values = two_providers(jwks_file="partner.json", algorithms=["ES256", "RS256"])
    del values["identity_provider"][1]["jwks_url"]
    write_settings(tmp_path, values)
    first = json.loads((tmp_path / JWKS_FILE).read_text())["keys"]
    (tmp_path / "partner.json").write_text(json.dumps({"keys": [{**first[0], "kid": "mine"}]}))

    (problem,) = problems(tmp_path, values)
    assert problem == ("", f"the key set holds a key of another identity provider, {ISS}")
    assert problems(tmp_path, change(values, ("identity_provider", 1, "enabled"), False)) == []
    publish(tmp_path, "partner.json", ec_key("partner").public, rsa_key("partner-rsa").public)
    assert problems(tmp_path, change(values, ("identity_provider", 1, "enabled"), True)) == []


def test_every_file_that_cannot_be_used_is_shown_at_once(tmp_path: Path) -> None:
    values = two_providers(jwks_file="partner.json")
    del values["identity_provider"][1]["jwks_url"]
    change(values, (*IDP, "jwks_file"), "gone.json")

    found = examine(tmp_path, values)
    assert not isinstance(found, Settings)
    assert [Path(error.file).name for error in found] == ["gone.json", "partner.json"]
