"""Certificates in the settings: what goes together, what the files hold, and that no two parties have one key."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.certificates import Authority, constraints, private_key, self_signed, server_certificate
from tests.settings_file import ABSENT, Place, change, examine, problems, valid_values, write_settings
from tests.simulator import ec_key
from tokensvc.core.keyset import Algorithm, KeySet, PublicKey, render_jwks, wrap_key
from tokensvc.errors import ConfigurationError
from tokensvc.settings import Settings, load_agent_keys, load_settings
from tokensvc.settings.certificate_files import load_server_certificate, require_current_certificate
from tokensvc.settings.start import require_own_keys

AUTHORITY = Authority()
PLANNER: Place = ("agent", 0)
RESEARCHER: Place = ("agent", 1)
PROXY = {"trusted_proxies": ["10.0.0.1/32"], "client_certificate_header": "Client-Cert"}
TLS = {"tls_certificate_file": "server.pem", "tls_key_file": "server.key"}
CA = {"client_ca_file": "ca.pem"}
SAN_DNS = "tls_client_auth_san_dns"
BOUND = "tls_client_certificate_bound_access_tokens"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With every file that is named here."""
    server_certificate(AUTHORITY).write(tmp_path, "server")
    self_signed("planner").write(tmp_path, "planner")
    self_signed("researcher").write(tmp_path, "researcher")
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.issued.pem)
    return tmp_path


def with_agent(values: dict[str, Any], agent: Place, **members: object) -> dict[str, Any]:
    """That agent without its secret, and with these."""
    change(values, (*agent, "secret_sha256"), ABSENT)
    for name, member in members.items():
        change(values, (*agent, name), member)
    return values


def by_name(**members: object) -> dict[str, Any]:
    values = with_agent(valid_values(), PLANNER, auth="tls_client_auth", **members)
    return change(values, ("server",), {**PROXY, **CA})


def by_file(server: dict[str, Any] | None = None, file: object = "planner.pem") -> dict[str, Any]:
    values = with_agent(valid_values(), PLANNER, auth="self_signed_tls_client_auth", certificate_file=file)
    return change(values, ("server",), PROXY if server is None else server)


# What goes together


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ({}, []),
        (TLS, []),
        (PROXY, []),
        ({**TLS, **CA}, []),
        ({**PROXY, **CA}, []),
        (
            {"tls_key_file": "server.key"},
            [("server.tls_certificate_file", "is missing, and tls_key_file means nothing without it")],
        ),
        (
            {"tls_certificate_file": "server.pem"},
            [("server.tls_key_file", "is missing, and tls_certificate_file means nothing without it")],
        ),
        (
            {"trusted_proxies": ["10.0.0.1/32"]},
            [("server.client_certificate_header", "is missing, and trusted_proxies means nothing without it")],
        ),
        (
            {"client_certificate_header": "Client-Cert"},
            [("server.trusted_proxies", "is missing, and client_certificate_header means nothing without it")],
        ),
        (
            {**TLS, **PROXY},
            [
                (
                    "server.client_certificate_header",
                    "the service speaks TLS itself: what a proxy in front saw of a client is another connection's",
                )
            ],
        ),
        (CA, [("server.client_ca_file", "has no use: no client's certificate ever comes here")]),
        (
            {**PROXY, "trusted_proxies": ["10.0.0.1/32", "0.0.0.0/0"]},
            [("server.trusted_proxies", "0.0.0.0/0 is everybody: anybody could claim any certificate")],
        ),
        (
            {**PROXY, "trusted_proxies": ["::/0"]},
            [("server.trusted_proxies", "::/0 is everybody: anybody could claim any certificate")],
        ),
    ],
)
def test_where_certificates_come_from_is_one_place(
    folder: Path, server: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert problems(folder, change(valid_values(), ("server",), server)) == found


def test_who_speaks_https_has_an_https_issuer(folder: Path) -> None:
    values = change(valid_values(), ("server",), TLS)

    assert problems(folder, change(values, ("issuer",), "http://127.0.0.1:8700")) == [
        ("issuer", "is an http URL, and the service speaks https itself")
    ]
    assert problems(folder, change(values, ("issuer",), "https://127.0.0.1:8700")) == []


@pytest.mark.parametrize("server", [PROXY, {**TLS, **CA}, TLS])
def test_a_certificate_needs_somebody_who_sees_it(folder: Path, server: dict[str, Any]) -> None:
    assert problems(folder, by_file(server)) == []
    assert problems(folder, by_file({})) == [
        ("agent[0].auth", "needs the client's certificate, which the service does not see")
    ]


def test_names_in_certificates_need_an_authority(folder: Path) -> None:
    named = by_name(tls_client_auth_san_dns="planner.example")
    assert problems(folder, named) == []
    assert problems(folder, change(named, ("server", "client_ca_file"), ABSENT)) == [
        ("agent[0].auth", "needs server.client_ca_file: no authority may say whose a certificate is")
    ]


@pytest.mark.parametrize(
    ("server", "is_enough"), [({}, False), (PROXY, True), (TLS, False), ({**TLS, **CA}, True), ({**PROXY, **CA}, True)]
)
def test_bound_tokens_need_certificates_that_can_come(folder: Path, server: dict[str, Any], *, is_enough: bool) -> None:
    values = change(valid_values(), ("server",), server)
    assert problems(folder, values) == []

    found = problems(folder, change(values, (*PLANNER, BOUND), True))
    assert [key for key, _ in found] == ([] if is_enough else [f"agent[0].{BOUND}"])


def test_tokens_are_bound_to_one_key(folder: Path) -> None:
    (folder / "holder.jwks").write_text(json.dumps(render_jwks(KeySet([ec_key("holder").public]))))
    values = change(change(valid_values(), ("server",), PROXY), (*PLANNER, BOUND), True)
    assert problems(folder, values) == []

    assert problems(folder, change(values, (*PLANNER, "holder_jwks_file"), "holder.jwks")) == [
        (f"agent[0].{BOUND}", "the tokens of this agent are bound to the keys of its holder_jwks_file already")
    ]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({SAN_DNS: "planner.example"}, []),
        ({"tls_client_auth_subject_dn": "CN=planner,O=Example\\, Inc.,C=DE"}, []),
        ({"tls_client_auth_san_uri": "spiffe://example/planner"}, []),
        ({"tls_client_auth_san_ip": "2001:db8::1"}, []),
        ({"tls_client_auth_san_email": "planner@example.com"}, []),
        ({}, [("agent[0].auth", "tls_client_auth needs exactly one name of the certificate, and there are 0")]),
        (
            {SAN_DNS: "planner.example", "tls_client_auth_san_ip": "10.0.0.1"},
            [("agent[0].auth", "tls_client_auth needs exactly one name of the certificate, and there are 2")],
        ),
        (
            {SAN_DNS: "planner.example", "certificate_file": "planner.pem"},
            [("agent[0].certificate_file", "has no use: auth is tls_client_auth")],
        ),
        ({SAN_DNS: "*.example"}, [(f"agent[0].{SAN_DNS}", "is not a DNS name without wildcards")]),
        (
            {"tls_client_auth_subject_dn": "/CN=planner"},
            [("agent[0].tls_client_auth_subject_dn", "is not a distinguished name of RFC 4514")],
        ),
        ({"tls_client_auth_san_ip": "10.0.0.0/8"}, [("agent[0].tls_client_auth_san_ip", "is not an IP address")]),
        ({"tls_client_auth_san_uri": "planner"}, [("agent[0].tls_client_auth_san_uri", "is not an absolute URI")]),
        ({"tls_client_auth_san_email": "planner"}, [("agent[0].tls_client_auth_san_email", "is not an email address")]),
    ],
)
def test_a_certificate_is_known_by_exactly_one_name(
    folder: Path, members: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert problems(folder, by_name(**members)) == found


def test_a_name_has_no_use_without_the_method(folder: Path) -> None:
    values = change(valid_values(), (*PLANNER, SAN_DNS), "planner.example")

    assert problems(folder, values) == [(f"agent[0].{SAN_DNS}", "has no use: auth is client_secret_basic")]


@pytest.mark.parametrize(
    ("kind", "one", "same", "other"),
    [
        (SAN_DNS, "planner.example", "PLANNER.example", "researcher.example"),
        ("tls_client_auth_subject_dn", "CN=p,O=x", "2.5.4.3=p,O=x", "O=x,CN=p"),
        ("tls_client_auth_san_ip", "2001:db8::1", "2001:DB8:0::1", "2001:db8::2"),
        ("tls_client_auth_san_uri", "spiffe://x/p", "spiffe://x/p", "spiffe://x/P"),
    ],
)
def test_two_agents_never_share_a_name(folder: Path, kind: str, one: str, same: str, other: str) -> None:
    values = by_name(**{kind: one})
    with_agent(values, RESEARCHER, auth="tls_client_auth", **{kind: other})
    assert problems(folder, values) == []

    assert problems(folder, change(values, (*RESEARCHER, kind), same)) == [
        (f"agent[1].{kind}", "names the certificate of another agent")
    ]


@pytest.mark.parametrize(
    ("header", "is_good"),
    [("Client-Cert", True), ("x-ssl-cert", True), ("Client Cert", False), ("Authorization", False), ("dpop", False)],
)
def test_the_header_is_one_of_its_own(folder: Path, header: str, *, is_good: bool) -> None:
    values = change(valid_values(), ("server",), {**PROXY, "client_certificate_header": header})

    assert [key for key, _ in problems(folder, values)] == ([] if is_good else ["server.client_certificate_header"])


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
@pytest.mark.parametrize(("table", "place"), [("resource", ("resource", 0)), ("operator", ("operator", 0))])
def test_only_agents_have_certificates(folder: Path, method: str, table: str, place: Place) -> None:
    values = valid_values()
    values["operator"] = [{"id": "ops", "secret_sha256": ["0" * 64]}]
    assert problems(folder, values) == []

    assert problems(folder, change(values, (*place, "auth"), method)) == [
        (f"{table}[0].auth", "only agents prove themselves by a key or a certificate")
    ]


# What the files hold


def server_of(folder: Path) -> Settings:
    return load_settings(write_settings(folder, change(valid_values(), ("server",), TLS)), {})


def test_paths_count_from_the_folder_of_the_file(folder: Path) -> None:
    settings = load_settings(write_settings(folder, by_file({**TLS, **CA})), {})

    assert settings.server.tls_certificate_file == folder / "server.pem"
    assert settings.server.tls_key_file == folder / "server.key"
    assert settings.server.client_ca_file == folder / "ca.pem"
    assert settings.agents[0].certificate_file == folder / "planner.pem"


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("server.pem", None, "the certificate cannot be read (No such file or directory)"),
        ("server.pem", b"", "no certificate stands in the file"),
        ("server.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "does not parse"),
        ("server.pem", b"x" * 1_000_001, "larger than 1000000 bytes"),
        ("server.key", None, "the key cannot be read (No such file or directory)"),
        ("server.key", b"", "no private key stands in the file, or one with a password"),
        ("server.key", b"x" * 100_001, "the key is larger than 100000 bytes"),
        ("server.key", self_signed("x").key_pem, "the key is not the one of the server certificate"),
        ("ca.pem", None, "the certificate cannot be read (No such file or directory)"),
        ("ca.pem", b"no certificate at all", "no certificate stands in the file"),
        ("ca.pem", self_signed("x").pem, "a certificate is no certificate authority"),
        ("ca.pem", AUTHORITY.issued.pem + self_signed("x").pem, "a certificate is no certificate authority"),
        ("ca.pem", Authority(key=ed25519.Ed25519PrivateKey.generate()).issued.pem, "whose signatures are not verified"),
        ("ca.pem", Authority(key=ec.generate_private_key(ec.SECP256K1())).issued.pem, "are not verified"),
        ("ca.pem", Authority(extensions=[constraints(ca=False)]).issued.pem, "is no certificate authority"),
        ("ca.pem", AUTHORITY.issued.key_pem, "something else than certificates stands in the PEM file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(folder: Path, file: str, content: bytes | None, problem: str) -> None:
    values = change(valid_values(), ("server",), {**TLS, **CA})
    assert problems(folder, values) == []
    (folder / file).unlink()
    if content is not None:
        (folder / file).touch(0o600)
        (folder / file).write_bytes(content)
    found = examine(folder, values)

    assert not isinstance(found, Settings)
    assert [(error.file, error.key) for error in found] == [(str(folder / file), "")]
    assert problem in found[0].description
    assert found[0].remedy.endswith(".")


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_authorities_have_the_keys_that_are_usual(folder: Path, key: Any) -> None:  # noqa: ANN401 - any key
    (folder / "ca.pem").write_bytes(Authority(key=key).issued.pem + AUTHORITY.issued.pem)

    assert problems(folder, change(valid_values(), ("server",), {**TLS, **CA})) == []


def test_a_key_that_everybody_may_read_is_refused(folder: Path) -> None:
    values = change(valid_values(), ("server",), TLS)
    (folder / "server.key").chmod(0o640)
    assert problems(folder, values) == []

    (folder / "server.key").chmod(0o644)
    assert problems(folder, values) == [("", "every user may read the key of the server certificate")]


@pytest.mark.parametrize(
    ("end", "now", "problem"),
    [
        (2040, 1_800_000_000, None),
        (2021, 1_800_000_000, "the server certificate has expired"),
        (2040, 1_500_000_000, "the server certificate is not valid yet"),
    ],
)
def test_a_server_certificate_has_to_be_valid_now(folder: Path, end: int, now: int, problem: str | None) -> None:
    server_certificate(AUTHORITY, end=end).write(folder, "server")
    settings = server_of(folder)

    if problem is None:
        require_current_certificate(settings, now=now)
        assert load_server_certificate(settings) is not None
        return
    with pytest.raises(ConfigurationError) as raised:
        require_current_certificate(settings, now=now)
    assert (raised.value.description, raised.value.file) == (problem, str(folder / "server.pem"))


def test_without_tls_there_is_no_server_certificate_to_expire(folder: Path) -> None:
    settings = load_settings(write_settings(folder, valid_values()), {})

    require_current_certificate(settings, now=0)
    assert load_server_certificate(settings) is None


# Own certificates of agents


def test_an_agent_may_have_two_certificates_while_it_replaces_one(folder: Path) -> None:
    old, new, third = self_signed("planner"), self_signed("planner", end=2041), self_signed("planner", end=2042)
    (folder / "planner.pem").write_bytes(old.pem + new.pem)
    settings = load_settings(write_settings(folder, by_file()), {})

    assert load_agent_keys(settings)["planner"].certificates == (old.parsed, new.parsed)
    (folder / "planner.pem").write_bytes(old.pem + new.pem + third.pem)
    assert problems(folder, by_file()) == [("", "there are more than 2 certificates")]


@pytest.mark.parametrize("file", [ABSENT, "nowhere.pem"])
def test_the_certificate_of_an_agent_has_to_be_there(folder: Path, file: object) -> None:
    values = by_file(file="planner.pem")
    assert problems(folder, values) == []
    values = change(values, (*PLANNER, "certificate_file"), file)
    found = ("agent[0].certificate_file", "is missing: auth is self_signed_tls_client_auth")

    assert problems(folder, values) == [
        found if file is ABSENT else ("", "the certificate cannot be read (No such file or directory)")
    ]


def test_two_agents_never_have_one_certificate_or_key(folder: Path) -> None:
    values = by_file()
    with_agent(values, RESEARCHER, auth="self_signed_tls_client_auth", certificate_file="researcher.pem")
    assert problems(folder, values) == []

    for theirs in (self_signed("planner"), self_signed("researcher", key=private_key("client planner"))):
        theirs.write(folder, "researcher")
        assert problems(folder, values) == [("", "a certificate is for a key of another agent")]


@pytest.mark.parametrize("first", ["planner", "researcher"])
def test_a_key_in_a_certificate_stands_in_no_key_set_of_another_agent(folder: Path, first: str) -> None:
    places = {"planner": PLANNER, "researcher": RESEARCHER}
    (second,) = places.keys() - {first}
    values = change(valid_values(), ("server",), PROXY)
    with_agent(values, places[first], auth="self_signed_tls_client_auth", certificate_file="own.pem")
    with_agent(values, places[second], auth="private_key_jwt", jwks_file="own.jwks")
    self_signed("x").write(folder, "own")
    key = PublicKey.of(wrap_key(private_key("client x"), alg=Algorithm.ES256), kid="k", alg=Algorithm.ES256)
    (folder / "own.jwks").write_text(json.dumps(render_jwks(KeySet([key]))))
    problem = (
        "the key set holds a key of another agent"
        if first == "planner"
        else "a certificate is for a key of another agent"
    )

    assert problems(folder, values) == [("", problem)]
    (folder / "own.jwks").write_text(json.dumps(render_jwks(KeySet([ec_key("another").public]))))
    assert problems(folder, values) == []


def test_the_key_of_a_provider_or_of_the_service_is_in_no_certificate_of_an_agent(folder: Path) -> None:
    settings = load_settings(write_settings(folder, by_file()), {})
    agents = load_agent_keys(settings)
    key = PublicKey.of(wrap_key(private_key("client planner"), alg=Algorithm.ES256), kid="k", alg=Algorithm.ES256)
    theirs, others = KeySet([key]), KeySet([ec_key("another").public])

    require_own_keys(settings, {"https://idp.example": others}, agents, KeySet([ec_key("service").public]))
    for upstream, own in (({"https://idp.example": theirs}, others), ({"https://idp.example": others}, theirs)):
        with pytest.raises(ConfigurationError) as raised:
            require_own_keys(settings, upstream, agents, own)
        assert raised.value.file == str(folder / "planner.pem")
