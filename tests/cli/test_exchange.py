"""`tokensvc exchange`: the token alone on standard output, its chain drawn and verified, every refusal explained."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import Result

from tests.cli.answering import JSON, METADATA, answering, granted, metadata
from tests.cli.service import COMMAND, TIMEOUT_S, Service, run, running
from tests.settings_file import API
from tests.simulator import Simulator, ec_key
from tokensvc.cli import outward
from tokensvc.cli.issuance import fetch_keys
from tokensvc.cli.remedy import remedy_of
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.errors import Reason, Unavailable


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), path="/t1") as service:
        yield service


@pytest.fixture(scope="module")
def planner_token(service: Service) -> str:
    return service.start()


def exchange(service: Service, *options: str | Path, token: str, client: str = "planner") -> Result:
    who: list[str | Path] = ["--client-id", client, "--secret-file", service.secret(client)]
    return run("exchange", "--issuer", service.issuer, *who, *options, stdin=token)


def answer(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


# Granted.


def test_the_token_stands_alone_on_standard_output_and_its_chain_on_standard_error(
    service: Service, planner_token: str
) -> None:
    result = exchange(service, "--for", "researcher", "--scope", "crm.read", token=planner_token)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert result.stdout.count(".") == 2
    assert result.stderr.startswith(f"verified\nalice  (user, on the word of {service.issuer})\n")
    assert "planner  (hop 1, actor)" in result.stderr
    assert "researcher  (hop 2, current actor)" in result.stderr
    assert "lost         scope crm.write" in result.stderr
    assert "token  (exchange-only)" in result.stderr


def test_a_chain_of_real_processes_ends_in_verify(service: Service, tmp_path: Path) -> None:
    """As a user types it: files, a pipe, and the verifier behind the last exchange."""
    (tmp_path / "user.token").write_text(service.user_token())
    jwks = tmp_path / "jwks.json"
    script = f"""
        set -e -o pipefail
        ask() {{ {COMMAND} exchange --issuer {service.issuer} "$@"; }}
        ask --client-id planner --secret-file {service.secret("planner")} --scope "crm.read crm.write" user.token > p
        ask --client-id planner --secret-file <(cat {service.secret("planner")}) --for signer --scope crm.read < p |
            ask --client-id signer --key {service.key("signer")} --actor-token --for signer --scope crm.read - > s
        curl -s {service.issuer}/.well-known/jwks.json > {jwks}
        {COMMAND} verify --issuer {service.issuer} --audience {API} --jwks {jwks} - < s
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert (done.returncode, done.stderr.count("verified\n")) == (0, 3), done.stderr
    assert done.stdout.startswith("verified\n")
    assert "signer  (hop 2, current actor)" in done.stdout


def test_every_wish_reaches_the_service(service: Service) -> None:
    details = json.dumps([{"type": "x", "locations": [API]}])
    wishes = {"--lifetime": "600", "--max-depth": "2", "--audience": "crm", "--scope": "crm.read"}
    options = [word for option in wishes.items() for word in option]
    given = answer(exchange(service, *options, "--json", token=service.user_token()))
    hop = given["chain"][1]
    assert (given["granted"], given["verified"], given["scope"]) == (True, True, "crm.read")
    assert (hop["exp"] - hop["iat"], hop["max_depth"], hop["resources"]) == (600, 2, [API])
    several = ["--resource", API, "--resource", "https://mail.example", "--scope", "crm.read", "--scope", "mail.send"]
    given = answer(exchange(service, *several, "--json", token=service.user_token()))
    assert given["chain"][1]["scope"] == "crm.read mail.send"
    refused = answer(
        exchange(service, *options, "--authorization-details", details, "--json", token=service.user_token())
    )
    assert (refused["error"], refused["reason"]) == ("invalid_authorization_details", "root_exceeded")


def test_details_may_stand_in_a_file(service: Service, tmp_path: Path) -> None:
    (tmp_path / "details.json").write_text('[{"type": "x"}]\n')
    options = ["--scope", "crm.read", "--json", "--authorization-details"]
    refused = answer(exchange(service, *options, tmp_path / "details.json", token=service.user_token()))
    assert refused["reason"] == "root_exceeded"
    (tmp_path / "details.json").write_text("[]")
    assert answer(exchange(service, *options, tmp_path / "details.json", token=service.user_token()))["granted"]


def test_json_holds_the_answer_and_the_chain(service: Service, planner_token: str) -> None:
    given = answer(exchange(service, "--for", "researcher", "--scope", "crm.read", "--json", token=planner_token))
    assert given["access_token"].count(".") == 2
    assert (given["token_type"], given["verified"], given["not_verified"]) == ("Bearer", True, None)
    assert [entry.get("actor") for entry in given["chain"]] == [None, "planner", "researcher"]
    assert given["chain"][2]["lost"]["scope"] == "crm.write"


def test_by_token_endpoint_alone_nothing_is_verified_and_that_is_said(service: Service, planner_token: str) -> None:
    who: list[str | Path] = [
        "--client-id",
        "planner",
        "--secret-file",
        service.secret("planner"),
        "--scope",
        "crm.read",
    ]
    place = ["--token-endpoint", f"{service.issuer}/token"]
    result = run("exchange", *place, *who, "--for", "researcher", stdin=planner_token)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    assert result.stderr.startswith("not verified here: without --issuer")
    assert "researcher  (hop 2, current actor)" in result.stderr
    assert "not checked  everything" in result.stderr
    assert (
        answer(run("exchange", *place, *who, "--for", "researcher", "--json", stdin=planner_token))["verified"] is None
    )


def test_no_verify_is_taken_at_its_word(service: Service, planner_token: str) -> None:
    result = exchange(service, "--for", "researcher", "--scope", "crm.read", "--no-verify", token=planner_token)
    assert result.exit_code == 0
    assert result.stderr.startswith("not verified here: --no-verify was given\nalice")


def test_a_token_that_does_not_verify_is_not_printed(service: Service, planner_token: str, tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(render_jwks(KeySet([ec_key("another").public]))))
    options = ["--for", "researcher", "--scope", "crm.read"]
    result = exchange(service, *options, "--jwks", jwks, token=planner_token)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "granted, and refused here: unknown_key" in result.stderr
    assert exchange(service, *options, token=planner_token).exit_code == 0
    given = answer(exchange(service, *options, "--jwks", jwks, "--json", token=planner_token))
    assert (given["verified"], given["reason"]) == (False, "unknown_key")


# Refused.


def test_a_refusal_says_why_what_to_do_and_where_it_is_recorded(service: Service, planner_token: str) -> None:
    result = exchange(service, "--for", "researcher", "--scope", "crm.delete", token=planner_token)
    assert (result.exit_code, result.stdout) == (1, "")
    first, because, do, record = result.stderr.splitlines()
    assert first == "refused: invalid_scope: not_narrower"
    assert because == "because  not held by the delegator: crm.delete"
    assert do == f"do       {remedy_of(Reason.NOT_NARROWER)}"
    shown = run("records", "show", "--config", service.config, "--", record.split()[1])
    assert "reason          not_narrower" in shown.stdout
    refused = answer(exchange(service, "--for", "researcher", "--scope", "crm.delete", "--json", token=planner_token))
    assert (refused["granted"], refused["reason"]) == (False, "not_narrower")
    assert refused["remedy"] == remedy_of("not_narrower")


def test_every_reason_has_its_remedy() -> None:
    assert all(remedy_of(reason) for reason in Reason)
    assert remedy_of("never heard of") is None
    assert remedy_of(None) is None


def test_another_way_to_send_the_secret_is_hinted_at(service: Service, planner_token: str) -> None:
    handed = exchange(service, "--for", "researcher", "--scope", "crm.read", token=planner_token).stdout
    options = ["--for", "researcher", "--scope", "crm.read"]
    result = exchange(service, *options, token=handed, client="researcher")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("refused: invalid_client\n")
    assert "try --auth client_secret_post" in result.stderr
    with_post = exchange(service, *options, "--auth", "client_secret_post", token=handed, client="researcher")
    assert with_post.exit_code == 0


def test_a_wrong_key_is_refused_without_a_hint_about_secrets(service: Service, planner_token: str) -> None:
    handed = exchange(service, "--for", "signer", "--scope", "crm.read", token=planner_token).stdout
    options = ["--issuer", service.issuer, "--client-id", "signer", "--for", "signer", "--scope", "crm.read"]
    wrong = run("exchange", *options, "--key", service.key("nobody"), stdin=handed)
    assert wrong.exit_code == 1
    assert "invalid_client" in wrong.stderr
    assert "--auth" not in wrong.stderr
    assert run("exchange", *options, "--key", service.key("signer"), stdin=handed).exit_code == 0


def test_no_secret_key_or_token_is_ever_in_what_is_said(service: Service, planner_token: str) -> None:
    secret = "S3cret-of-somebody-else-that-is-wrong-0123456789"
    (service.folder / "wrong.secret").write_text(secret)
    who = ["--issuer", service.issuer, "--client-id", "planner", "--for", "researcher", "--scope", "crm.read"]
    results = [
        run("exchange", *who, "--secret-file", service.folder / "wrong.secret", stdin=planner_token),
        run("exchange", *who, "--secret-file", secret, stdin=planner_token),
        run("exchange", *who, "--key", service.folder / "wrong.secret", stdin=planner_token),
        run("exchange", *who, "--secret-file", service.secret("planner"), planner_token),
        run("exchange", *who, "--secret-file", service.secret("planner"), "a", planner_token),
    ]
    assert [result.exit_code for result in results] == [1, 2, 2, 2, 2]
    for result in results:
        assert secret not in result.output
        assert planner_token[:40] not in result.output.replace("\n", "")


# Wrong usage.

USAGE: Final = [
    ([], "give --issuer, or --token-endpoint"),
    (["--issuer", "http://tokens.example"], "--issuer: not a https URL"),
    (["--issuer", "https://u:p@tokens.example"], "--issuer: not https://HOST"),
    (["--issuer", "https://tokens.example?x=1"], "an issuer has no query"),
    (["--issuer", "https://tokens.example:x"], "--issuer: not https://HOST"),
    (["--token-endpoint", "http://10.0.0.1/token"], "--token-endpoint: not a https URL"),
    (["--token-endpoint", "http://127.0.0.1/token", "--jwks", "x"], "--jwks needs --issuer"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "-"], "both secret and token"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "s", "--key", "k"], "give one of --secret-file and --key"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "s", "--actor-token"], "--actor-token needs --key"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "s", "--authorization-details", "{}"], "not a JSON array"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "s", "--authorization-details", "[1,]"], "does not parse"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "empty"], "not one line"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "binary"], "not a text of one line"),
    (["--issuer", "http://127.0.0.1", "--secret-file", "large"], "larger than"),
    (["--issuer", "http://127.0.0.1", "--key", "s"], "not a private JWK"),
    (["--issuer", "http://127.0.0.1", "--key", "k", "--auth", "client_secret_post"], "a key has one way only"),
    (["--token-endpoint", "http://127.0.0.1/token", "--key", "k"], "--key needs --issuer"),
    (["--issuer", "http://127.0.0.1", "--client-id", "", "--secret-file", "s"], "--client-id must not be empty"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "problem"), USAGE)
def test_wrong_usage_is_said_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = {"s": b"secret", "empty": b"\n", "binary": b"\xff", "large": b"x" * 70_000}
    for name, content in {**contents, "k": json.dumps(ec_key("k").unsafe_private_jwk()).encode()}.items():
        (tmp_path / name).write_bytes(content)
    result = run("exchange", "--client-id", "planner", *options, stdin="a.b.c")
    assert result.exit_code == 2
    assert problem in result.stderr


def test_an_empty_token_is_wrong_usage(service: Service) -> None:
    result = exchange(service, token=" \n")
    assert result.exit_code == 2
    assert "the token is empty" in result.stderr


# Servers in trouble, and servers that mean ill.


def ask(base: str, tmp_path: Path, *options: str) -> Result:
    (tmp_path / "secret").write_text("secret")
    who: list[str | Path] = ["--client-id", "planner", "--secret-file", tmp_path / "secret"]
    return run("exchange", "--issuer", base, *who, *options, stdin="a.b.c")


def test_a_token_of_another_kind_is_refused_here_and_had_with_no_verify(tmp_path: Path) -> None:
    keys = json.dumps(render_jwks(KeySet([ec_key("service").public]))).encode()
    with answering({METADATA: metadata(), "/token": granted(), "/jwks": (200, JSON, keys)}) as (base, _):
        refused = ask(base, tmp_path)
        taken = ask(base, tmp_path, "--no-verify")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "granted, and refused here: malformed" in refused.stderr
    assert (taken.exit_code, taken.stdout) == (0, "opaque\n")
    assert taken.stderr.startswith("not verified here: it is no token with a chain that can be read")


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"issuer": "{base}/"}, "of another issuer"),
        ({"issuer": None}, "of another issuer"),
        ({"token_endpoint": None}, "names no token_endpoint"),
        ({"token_endpoint": "http://tokens.example/token"}, "token_endpoint of the metadata is not a https URL"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri of the metadata is not https://HOST"),
    ],
)
def test_metadata_that_must_not_be_used_gets_no_secret(tmp_path: Path, members: dict[str, str], problem: str) -> None:
    with answering({METADATA: metadata(**members), "/token": granted()}) as (base, asked):
        result = ask(base, tmp_path, "--no-verify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert problem in result.stderr
    assert asked == [f"GET {METADATA}"]
    with answering({METADATA: metadata(), "/token": granted()}) as (base, asked):
        assert ask(base, tmp_path, "--no-verify").exit_code == 0
    assert asked == [f"GET {METADATA}", "POST /token"]


def test_metadata_is_looked_for_before_and_after_the_path_of_the_issuer(tmp_path: Path) -> None:
    pages = {f"/t1{METADATA}": metadata(issuer="{base}/t1"), "/token": granted()}
    with answering(pages) as (base, asked):
        assert ask(f"{base}/t1", tmp_path, "--no-verify").exit_code == 0
        assert ask(f"{base}/t2", tmp_path, "--no-verify").exit_code == 4
    assert asked[:3] == [f"GET {METADATA}/t1", f"GET /t1{METADATA}", "POST /token"]
    assert asked[3:] == [f"GET {METADATA}/t2", f"GET /t2{METADATA}"]


@pytest.mark.parametrize("page", [METADATA, "/token"])
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((302, {"location": "{base}/elsewhere", **JSON}, b"{}"), "answers 302"),
        ((307, {"location": "{base}/elsewhere"}, b""), "answers 307, without a JSON object"),
        ((200, JSON, b"[]"), "answers 200, without a JSON object"),
        ((200, JSON, b'{"x": "' + b"x" * 300_000 + b'"}'), "more than 262144 bytes"),
        ((503, JSON, b'{"error": "temporarily_unavailable", "error_description": "later\\u001b[31m"}'), "answers 503"),
        ((500, {}, b"<html>"), "answers 500, without a JSON object"),
    ],
)
def test_a_server_in_trouble_is_exit_code_4(
    tmp_path: Path, page: str, answer: tuple[int, dict[str, str], bytes], problem: str
) -> None:
    elsewhere = {"/elsewhere": granted()}
    with answering({METADATA: metadata(), "/token": granted(), **elsewhere, page: answer}) as (base, asked):
        result = ask(base, tmp_path, "--no-verify")
    assert (result.exit_code, result.stdout) == (4, "")
    assert problem in result.stderr
    assert "\x1b" not in result.stderr
    assert "GET /elsewhere" not in asked
    assert "POST /elsewhere" not in asked


def test_keys_that_cannot_be_had_leave_the_token_unverified(tmp_path: Path) -> None:
    simulator = Simulator(iss="https://as.example")
    token = simulator.token(simulator.claims(simulator.chain("planner")))
    pages = {METADATA: metadata(), "/token": granted(access_token=token), "/jwks": (500, JSON, b"{}")}
    with answering(pages) as (base, _):
        result = ask(base, tmp_path)
    with answering({**pages, METADATA: metadata(jwks_uri=None)}) as (base, _):
        unnamed = ask(base, tmp_path)
    with answering({**pages, METADATA: metadata(attenuation="new")}) as (base, _):
        unknown = ask(base, tmp_path)
    assert [r.exit_code for r in (result, unnamed, unknown)] == [0, 0, 0]
    assert "not verified here: the keys of the token service cannot be had" in result.stderr
    assert "planner  (hop 1, current actor)" in result.stderr
    assert "not verified here: nothing says where the keys" in unnamed.stderr
    assert "not verified here" in unknown.stderr


def test_keys_on_another_host_than_the_issuer_come_from_the_public_internet_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Unavailable, match="not an address on the public internet"):
        fetch_keys("https://tokens.example", f"https://{host}/jwks")
    with pytest.raises(Unavailable, match="was not fetched: no answer that can be used"):
        fetch_keys(f"https://{host}", f"https://{host}/jwks")


def test_the_secret_goes_the_way_that_the_metadata_offers(tmp_path: Path) -> None:
    only_post = metadata(token_endpoint_auth_methods_supported=["client_secret_post"])
    refusal = (401, JSON, b'{"error": "invalid_client"}')
    with answering({METADATA: only_post, "/token": refusal}) as (base, _):
        result = ask(base, tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("refused: invalid_client\ndo       look at client id")


def test_nobody_there_is_exit_code_4_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = ask(f"http://127.0.0.1:{port}", tmp_path)
    assert (result.exit_code, result.stdout) == (4, "")
    assert f"cannot reach http://127.0.0.1:{port}" in result.stderr
    said = answer(ask(f"http://127.0.0.1:{port}", tmp_path, "--json"))
    assert said["ok"] is False


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = ask(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path)
    assert result.exit_code == 4
    assert "does not answer within" in result.stderr


def test_help_has_an_example() -> None:
    result = run("exchange", "--help")
    assert "tokensvc exchange --issuer" in result.stdout.partition("Example")[2]
