"""Each value alone: what is refused, beside what is accepted in its place."""

from pathlib import Path

import pytest

from tests.settings_file import ABSENT, API, Place, change, examine, problems, render_place, sha256, valid_values
from tokensvc.settings import AuthMethod, Settings

ISSUER: Place = ("issuer",)
URL: Place = ("store", "url")
AGENT: Place = ("agent", 0)
RESOURCE: Place = ("resource", 1)
IDP: Place = ("identity_provider", 0)
MANY = [f"front-{number}" for number in range(1001)]

REFUSED = [
    # The issuer: scheme, host and plain path (RFC 8414 s2).
    (ISSUER, "http://tokens.example", "https://tokens.example", "is not an https URL"),
    (ISSUER, "http://127.0.0.1.example", "http://127.0.0.1:8700", "is not an https URL"),
    (ISSUER, "ftp://localhost", "http://localhost", "is not an https URL"),
    (ISSUER, "tokens.example", "https://tokens.example:8443", "is not an https URL"),
    (ISSUER, "https://tokens.example:x", "https://tokens.example/tenant/a.b", "is not a URL"),
    (ISSUER, "https://[::1", "https://[::1]", "is not a URL"),
    (ISSUER, "https://tokens.example/", "https://tokens.example", "is not scheme, host and plain path alone"),
    (ISSUER, "https://tokens.example/a/", "https://tokens.example/a", "is not scheme, host and plain path alone"),
    (ISSUER, "https://tokens.example/../a", "https://tokens.example/a", "is not scheme, host and plain path alone"),
    (ISSUER, "https://tokens.example/%61", "https://tokens.example/a", "is not scheme, host and plain path alone"),
    (ISSUER, "https://u:p@tokens.example", "https://tokens.example", "is not scheme, host and plain path alone"),
    (ISSUER, "https://tokens.example#f", "https://tokens.example", "is not scheme, host and plain path alone"),
    (ISSUER, "https://", "http://[::1]:8700", "is not scheme, host and plain path alone"),
    (ISSUER, "https://tokens.example?a=b", "https://tokens.example", "has a query"),
    (ISSUER, "https://tokens.example?", "https://tokens.example", "has a query"),
    (ISSUER, 3, "https://tokens.example", "is not text"),
    # The store.
    (URL, "postgres://localhost", "redis://localhost", "names no store that exists"),
    (URL, "sqlite://tokensvc.db", "sqlite:///tokensvc.db", "names no store that exists"),
    (URL, "sqlite:///", "sqlite:////var/lib/tokensvc.db", "names no file"),
    (URL, "sqlite:///:memory:", "memory:", "names no file"),
    (URL, "sqlite:///a.db?mode=ro", "sqlite:///a.db", "has options or characters that a store's file cannot have"),
    # Sections.
    (("server", "port"), "8700", 8701, "is not a whole number"),
    (("server", "port"), 8700.0, 8700, "is not a whole number"),
    (("server", "port"), True, 1, "is not a whole number"),
    (("server", "port"), 65536, 65535, "is too large"),
    (("server", "port"), -1, 0, "is too small"),
    (("server", "host"), "", "::1", "is not 1 to 256 visible ASCII characters"),
    (("server",), 3, {}, "is not a table"),
    (("keys", "algorithm"), "HS256", "RS256", "is not one of the known values"),
    (("keys", "algorithm"), "EdDSA", "Ed25519", "is not one of the known values"),
    (("keys", "dir"), "", "private", "names no file or folder"),
    (("keys", "dir"), 3, "private", "is not text"),
    (("limits", "depth"), 11, 10, "is too large"),
    (("limits", "depth"), 0, 1, "is too small"),
    (("limits", "token_lifetime_s"), 901, 900, "is too large"),
    (("limits", "token_lifetime_s"), "300", 300, "is not a whole number"),
    (("limits", "root_lifetime_s"), 28801, 28800, "is too large"),
    (("limits", "leeway_s"), 61, 60, "is too large"),
    (("limits", "token_bytes"), 16385, 16384, "is too large"),
    (("limits", "token_bytes"), 1023, 1024, "is too small"),
    # The identity provider.
    ((*IDP, "iss"), "", "https://idp.example/", "is not 1 to 256 visible ASCII characters"),
    ((*IDP, "audience"), [], ["a"], "has too few entries"),
    ((*IDP, "audience"), "tokensvc", ["tokensvc"], "is not a list"),
    ((*IDP, "audience"), ABSENT, ["tokensvc"], "is missing, and no ID token is accepted either"),
    ((*IDP, "typ"), [], ["JWT"], "has too few entries"),
    ((*IDP, "algorithms"), [], ["RS256", "ES256", "Ed25519"], "has too few entries"),
    ((*IDP, "subject_prefix"), "ü:", "corp:", "is not 1 to 256 visible ASCII characters"),
    ((*IDP, "session_lifetime_s"), 28801, 28800, "is too large"),
    ((*IDP, "session_lifetime_s"), -1, 0, "is too small"),
    ((*IDP, "ceiling", "max_depth"), 11, 10, "is too large"),
    ((*IDP, "ceiling", "resources"), [], [API], "has too few entries"),
    ((*IDP, "ceiling"), ABSENT, {"resources": [API]}, "is missing"),
    (("identity_provider",), [], valid_values()["identity_provider"], "has too few entries"),
    (
        ("identity_provider",),
        [{**valid_values()["identity_provider"][0], "iss": f"https://idp-{n}.example"} for n in range(101)],
        valid_values()["identity_provider"],
        "has too many entries",
    ),
    (("identity_provider",), {}, valid_values()["identity_provider"], "is not a list of tables"),
    # Agents and resources.
    ((*AGENT, "id"), "a b", "a:b", "is not 1 to 256 visible ASCII characters"),
    ((*AGENT, "id"), "a" * 257, "a" * 256, "is not 1 to 256 visible ASCII characters"),
    ((*AGENT, "id"), 'a"b', "a'b", "is not 1 to 256 visible ASCII characters"),
    ((*AGENT, "auth"), "none", "client_secret_basic", "is not one of the known values"),
    ((*AGENT, "auth"), ABSENT, "client_secret_basic", "is missing"),
    ((*AGENT, "secret_sha256"), [], [sha256("x")], "has too few entries"),
    (
        (*AGENT, "secret_sha256"),
        [sha256(text) for text in "abc"],
        [sha256(text) for text in "ab"],
        "has too many entries",
    ),
    ((*AGENT, "secret_sha256"), [sha256("x")] * 2, [sha256("x")], "an entry stands twice in the list"),
    ((*AGENT, "scopes"), [], ["crm.read"], "has too few entries"),
    ((*AGENT, "scopes"), ["crm.read", "crm.read"], ["crm.read"], "an entry stands twice in the list"),
    ((*AGENT, "resources"), [], [API], "has too few entries"),
    ((*AGENT, "fronts"), MANY, MANY[:1000], "has too many entries"),
    ((*AGENT, "max_lifetime_s"), 0, 1, "is too small"),
    ((*AGENT, "max_depth"), 11, 10, "is too large"),
    ((*AGENT, "enabled"), "yes", False, "is neither true nor false"),
    ((*AGENT, "enabled"), 1, True, "is neither true nor false"),
    ((*AGENT, "default_resource"), "crm", API, "is not an absolute URI without a fragment"),
    ((*RESOURCE, "id"), "https://mail.example#f", "urn:example:mail", "is not an absolute URI without a fragment"),
    ((*RESOURCE, "scopes"), ABSENT, ["a"], "is missing"),
    ((*RESOURCE, "auth"), "none", "client_secret_post", "is not one of the known values"),
    (("resource",), ABSENT, valid_values()["resource"], "is missing"),
    (("agent",), {}, [], "is not a list of tables"),
]


@pytest.mark.parametrize(("place", "refused", "accepted", "problem"), REFUSED)
@pytest.mark.requirement("OAUTH-TLS")
def test_unusable_value_is_refused_where_a_usable_one_is_accepted(
    tmp_path: Path, place: Place, refused: object, accepted: object, problem: str
) -> None:
    assert problems(tmp_path, change(valid_values(), place, refused)) == [(render_place(place), problem)]
    assert isinstance(examine(tmp_path, change(valid_values(), place, accepted)), Settings)


@pytest.mark.parametrize(
    ("place", "refused", "accepted", "problem"),
    [
        ((*AGENT, "secret_sha256"), sha256("x").upper(), sha256("x"), "is not 64 lowercase hexadecimal digits"),
        ((*AGENT, "secret_sha256"), sha256(""), sha256("x"), "is the hash of no secret at all"),
        ((*AGENT, "scopes"), "crm.read crm.write", "crm.read", "is not a scope of RFC 6749 s3.3"),
        ((*AGENT, "scopes"), 3, "crm.read", "is not text"),
        ((*AGENT, "resources"), "api.example", API, "is not an absolute URI without a fragment"),
        ((*AGENT, "may_delegate_to"), "", "researcher", "is not 1 to 256 visible ASCII characters"),
        ((*RESOURCE, "names"), "crm:mail", "crm-mail", "is a URI, which only the id of a resource may be"),
        ((*RESOURCE, "names"), "", "m", "is not 1 to 256 visible ASCII characters"),
        ((*IDP, "algorithms"), "none", "RS256", "is not one of the known values"),
    ],
)
def test_unusable_entry_of_a_list_is_named_by_its_place(
    tmp_path: Path, place: Place, refused: object, accepted: object, problem: str
) -> None:
    assert problems(tmp_path, change(valid_values(), place, [refused])) == [(f"{render_place(place)}[0]", problem)]
    assert isinstance(examine(tmp_path, change(valid_values(), place, [accepted])), Settings)


def test_what_is_left_out_has_its_documented_default(tmp_path: Path) -> None:
    settings = examine(tmp_path, valid_values())
    assert isinstance(settings, Settings)
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8700)
    assert settings.keys.algorithm == "ES256"
    limits = settings.limits
    assert (limits.depth, limits.token_lifetime_s, limits.root_lifetime_s) == (5, 300, 28800)
    assert (limits.leeway_s, limits.token_bytes) == (30, 8000)
    (provider,) = settings.identity_providers
    assert (provider.typ, provider.algorithms) == (frozenset({"at+jwt"}), frozenset({"RS256"}))
    assert (provider.subject_prefix, provider.session_lifetime_s, provider.ceiling.max_depth) == ("", 0, 5)
    researcher = settings.agents[1]
    assert (researcher.may_delegate_to, researcher.fronts, researcher.enabled) == (frozenset(), frozenset(), True)
    assert (researcher.default_resource, researcher.max_lifetime_s, researcher.max_depth) == (None, None, None)
    assert settings.resources[0].auth is AuthMethod.CLIENT_SECRET_BASIC


def test_no_agent_at_all_is_accepted_as_a_service_that_waits_for_its_first(tmp_path: Path) -> None:
    assert isinstance(examine(tmp_path, change(valid_values(), ("agent",), ABSENT)), Settings)


def test_memory_store_has_no_file(tmp_path: Path) -> None:
    settings = examine(tmp_path, change(valid_values(), URL, "memory:"))
    assert isinstance(settings, Settings)
    assert settings.store.sqlite_path is None
