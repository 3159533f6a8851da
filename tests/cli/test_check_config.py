"""`tokensvc check-config`: every problem with file, key and remedy; the exit code 3."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from tests.certificates import Authority, server_certificate
from tests.jwks_server import JwksServer, answers, publishes, serving
from tests.settings_file import change, valid_values, write_settings
from tests.simulator import ec_key, jwk, rsa_key
from tokensvc.cli import make_app
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.signing.keyfiles import generate_key, list_keys


def run(*arguments: str | Path, **environ: str | None) -> Result:
    words = ["check-config", *(str(word) for word in arguments)]
    return CliRunner().invoke(make_app(), words, env={"TOKENSVC_CONFIG": None, **environ})


def configured(folder: Path, **values: object) -> Path:
    generate_key(folder / "keys", Algorithm.ES256, now=1)
    return write_settings(folder, {**valid_values(), **values})


def test_good_configuration_is_summed_up_and_the_next_command_named(tmp_path: Path) -> None:
    path = configured(tmp_path)
    result = run("--config", path)
    assert result.exit_code == 0
    assert "planner, researcher" in result.stdout
    assert "https://tokens.example" in result.stdout
    assert result.stdout.rstrip().endswith(f"Next: tokensvc serve --config {path}")


def test_good_configuration_in_json(tmp_path: Path) -> None:
    answer = json.loads(run("--config", configured(tmp_path), "--json", TOKENSVC_SERVER__PORT="8701").stdout)
    assert answer["ok"] is True
    assert answer["listens_on"] == "127.0.0.1:8701"
    assert answer["agents"] == ["planner", "researcher"]
    assert (len(answer["version"]), len(answer["signing_kid"])) == (12, 43)


def test_every_problem_is_shown_with_file_key_and_remedy(tmp_path: Path) -> None:
    path = configured(tmp_path, server={"prot": 1}, limits={"depth": 11})
    result = run("--config", path)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{path}: server.prot",
        "  is no known setting",
        "  Did you mean port?",
        f"{path}: limits.depth",
        "  is too large",
        "  Write 10 or less.",
    ]


def test_every_problem_in_json(tmp_path: Path) -> None:
    path = configured(tmp_path, server={"prot": 1})
    result = run("--config", path, "--json")
    assert result.exit_code == 3
    problem = {
        "file": str(path),
        "key": "server.prot",
        "problem": "is no known setting",
        "remedy": "Did you mean port?",
    }
    assert json.loads(result.stdout) == {"ok": False, "problems": [problem]}


def test_brackets_in_keys_are_shown_as_they_are(tmp_path: Path) -> None:
    values = change(valid_values(), ("agent", 0, "scopes"), ["[red]"])
    result = run("--config", configured(tmp_path, **values))
    assert "agent[0].scopes" in result.stderr
    assert "[red] is registered at no resource" in result.stderr
    assert "[[resource]]" in result.stderr


def test_missing_signing_key_is_a_problem(tmp_path: Path) -> None:
    path = write_settings(tmp_path, valid_values())
    result = run("--config", path)
    assert result.exit_code == 3
    assert "run: tokensvc keys generate" in result.stderr
    configured(tmp_path)
    assert run("--config", path).exit_code == 0


def test_configuration_is_found_by_the_environment(tmp_path: Path) -> None:
    path = configured(tmp_path)
    assert run(TOKENSVC_CONFIG=str(path)).exit_code == 0
    missing = run(TOKENSVC_CONFIG=str(tmp_path / "gone.toml"))
    assert missing.exit_code == 3
    assert "the file does not exist" in missing.stderr


def test_unknown_variable_is_a_problem(tmp_path: Path) -> None:
    result = run("--config", configured(tmp_path), TOKENSVC_SERVER_PORT="1")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[0] == "environment: TOKENSVC_SERVER_PORT"


def test_http_beyond_this_machine_is_a_problem_here_too(tmp_path: Path) -> None:
    path = configured(tmp_path, issuer="http://127.0.0.1:8700", server={"host": "0.0.0.0"})  # noqa: S104 - what is refused
    result = run("--config", path)
    assert result.exit_code == 3
    assert result.stderr.splitlines()[0] == f"{path}: server.host"
    assert run("--config", path, TOKENSVC_SERVER__HOST="127.0.0.1").exit_code == 0
    configured(tmp_path, server={"host": "0.0.0.0"})  # noqa: S104 - behind a proxy that ends TLS
    assert run("--config", path).exit_code == 0


def test_signing_key_that_the_identity_provider_has_as_well_is_a_problem_here_too(tmp_path: Path) -> None:
    path = configured(tmp_path)
    jwks = tmp_path / "idp.jwks.json"
    good = jwks.read_text()
    ours = render_jwks(KeySet(file.key.public for file in list_keys(tmp_path / "keys")))
    jwks.write_text(json.dumps({"keys": [*json.loads(good)["keys"], *json.loads(json.dumps(ours))["keys"]]}))
    result = run("--config", path)
    assert result.exit_code == 3
    assert result.stderr.splitlines()[0] == str(jwks)
    assert "holds a signing key of this token service" in result.stderr
    jwks.write_text(good)
    assert run("--config", path).exit_code == 0


def test_all_problems_that_only_the_start_would_meet_are_shown_together(tmp_path: Path) -> None:
    host = {"host": "198.51.100.1"}
    path = write_settings(tmp_path, {**valid_values(), "issuer": "http://127.0.0.1:8700", "server": host})
    answer = json.loads(run("--config", path, "--json").stdout)
    assert [problem["file"] for problem in answer["problems"]] == [str(path), str(tmp_path / "keys")]


def fetching(folder: Path, server: JwksServer, **members: object) -> Path:
    """A configuration whose identity provider publishes its keys at `server`."""
    values = valid_values()
    provider = values["identity_provider"][0]
    del provider["jwks_file"]
    provider |= {"jwks_url": server.url, "private_networks": ["127.0.0.0/8"], "subject_prefix": "corp:", **members}
    return configured(folder, **values)


def test_keys_are_fetched_only_when_asked_for(tmp_path: Path) -> None:
    with serving(answers(b"", status="500 Down")) as server:
        path = fetching(tmp_path, server)
        assert run("--config", path).exit_code == 0
        assert server.requests == []
        refused = run("--config", path, "--fetch")
        assert refused.exit_code == 4
        assert refused.stderr.splitlines() == [
            f"{path}: identity_provider[0].jwks_url",
            "  the key set of https://idp.example was not fetched: the answer has the status 500",
            f"  See what {server.url} answers to this machine, or name a jwks_file.",
        ]
        server.behave = publishes(rsa_key("idp"))
        assert run("--config", path, "--fetch").exit_code == 0


def test_metadata_of_another_issuer_is_told(tmp_path: Path) -> None:
    with serving(answers(b'{"issuer": "https://idp.example"}')) as server:
        path = fetching(tmp_path, server, discovery=True, iss=server.url.removesuffix("/jwks"))
        text = path.read_text().replace(f', "jwks_url" = "{server.url}"', "")
        path.write_text(text)
        problem = json.loads(run("--config", path, "--fetch", "--json").stdout)["problems"][0]
        assert problem["key"] == "identity_provider[0].discovery"
        assert problem["problem"].endswith("the metadata is that of another issuer")


def test_a_provider_that_is_disabled_is_named_and_not_fetched_from(tmp_path: Path) -> None:
    with serving(publishes(rsa_key("idp"))) as server:
        path = fetching(tmp_path, server, enabled=False)
        answer = json.loads(run("--config", path, "--fetch", "--json").stdout)
        assert answer["identity_providers"] == []
        assert answer["disabled_identity_providers"] == ["https://idp.example"]
        assert server.requests == []


def test_a_bundle_is_fetched_too_and_its_trust_domain_named(tmp_path: Path) -> None:
    values = valid_values()
    spire = {**jwk(ec_key("spire")), "use": "jwt-svid", "kid": "spire"}
    with serving(answers(b'{"keys": []}')) as server:
        domain = {"trust_domain": "example.org", "bundle_url": server.url, "private_networks": ["127.0.0.0/8"]}
        path = configured(tmp_path, **values, spiffe_trust_domain=[domain])
        assert json.loads(run("--config", path, "--json").stdout)["platforms"] == ["spiffe://example.org"]
        refused = run("--config", path, "--fetch")
        assert (refused.exit_code, refused.stderr.splitlines()) == (
            4,
            [
                f"{path}: spiffe_trust_domain[0].bundle_url",
                "  the key set of spiffe://example.org was not fetched: the key set holds no key that can be used here",
                f"  See what {server.url} answers to this machine, or name a bundle_file.",
            ],
        )
        server.behave = answers(json.dumps({"keys": [spire], "spiffe_sequence": 1}).encode())
        assert run("--config", path, "--fetch").exit_code == 0


def test_an_expired_server_certificate_is_shown_with_its_file(tmp_path: Path) -> None:
    path = configured(tmp_path, server={"tls_certificate_file": "tls.pem", "tls_key_file": "tls.key"})
    authority = Authority()
    server_certificate(authority, end=2021).write(tmp_path, "tls")
    result = run("--config", path, "--json")
    (problem,) = json.loads(result.stdout)["problems"]

    assert result.exit_code == 3
    assert (problem["file"], problem["problem"]) == (str(tmp_path / "tls.pem"), "the server certificate has expired")
    server_certificate(authority).write(tmp_path, "tls")
    assert run("--config", path).exit_code == 0


def with_authority(folder: Path, server: JwksServer, **members: object) -> Path:
    """A configuration with an authority that publishes the keys of its roots at `server`."""
    values = change(valid_values(), ("identity_provider", 0, "subject_prefix"), "corp:")
    plain = {"iss": "https://idp.example", "jwks_url": server.url, "private_networks": ["127.0.0.0/8"]}
    authority = {**plain, "subject_prefix": "corp:", "ceiling": {"resources": ["https://api.example"]}, **members}
    return configured(folder, **values, authority=[authority])


def test_the_keys_of_an_authority_are_fetched_too(tmp_path: Path) -> None:
    with serving(answers(b"", status="500 Down")) as server:
        path = with_authority(tmp_path, server)
        assert json.loads(run("--config", path, "--json").stdout)["authorities"] == ["https://idp.example"]
        refused = run("--config", path, "--fetch")
        assert refused.exit_code == 4
        assert refused.stderr.splitlines() == [
            f"{path}: authority[0].jwks_url",
            "  the key set of authority https://idp.example was not fetched: the answer has the status 500",
            f"  See what {server.url} answers to this machine, or name a jwks_file.",
        ]
        server.behave = publishes(rsa_key("roots"))
        assert run("--config", path, "--fetch").exit_code == 0


def test_an_authority_that_is_disabled_is_named_and_not_fetched_from(tmp_path: Path) -> None:
    with serving(publishes(rsa_key("roots"))) as server:
        path = with_authority(tmp_path, server, enabled=False)
        answer = json.loads(run("--config", path, "--fetch", "--json").stdout)
        assert answer["disabled_authorities"] == ["https://idp.example"]
        assert "authorities" not in answer
        assert server.requests == []
