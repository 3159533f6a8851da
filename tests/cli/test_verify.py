import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.simulator import API, FILES, ISSUER, Members, Simulator
from tokensvc.cli import verify
from tokensvc.core.keyset import KeySet, render_jwks

SIM: Final = Simulator()
PROGRAM: Final = """
import typer
from tokensvc.cli import verify
app = typer.Typer(pretty_exceptions_enable=False)
app.callback()(lambda: None)
verify.register(app)
app()
"""


def make_chain(*actors: str, **root: object) -> list[Members]:
    now = int(time.time())
    return SIM.chain(*actors, root=SIM.root(**{"iat": now - 60, "exp": now + 3600, **root}))


def make_token(chain: list[Members] | None = None, **claims: object) -> str:
    now = int(time.time())
    entries = make_chain("planner", "mailer") if chain is None else chain
    return SIM.token(SIM.claims(entries, **{"iat": now - 10, "exp": now + 300, **claims}))


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(render_jwks(KeySet([SIM.key.public]))))
    return path


def run(*arguments: str, stdin: str | bytes = "", **options: str | Path | None) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    verify.register(app)
    terms = {"issuer": ISSUER, "audience": API, **options}
    given = {f"--{name.replace('_', '-')}": str(value) for name, value in terms.items() if value is not None}
    flags = [text for option in given.items() for text in option]
    return CliRunner().invoke(app, ["verify", *arguments, *flags], input=stdin, env={"NO_COLOR": "1", "COLUMNS": "300"})


def answer(*arguments: str, stdin: str, **options: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("--json", *arguments, stdin=stdin, **options).stdout)
    return document


# The token


def test_a_token_on_standard_input_is_verified_and_its_chain_shown(jwks: Path) -> None:
    result = run(stdin=make_token(), jwks=jwks)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("verified\nuser-1  (user, on the word of https://as.example)\n")
    assert "planner  (hop 1, actor)" in result.stdout
    assert "mailer  (hop 2, current actor)" in result.stdout
    assert "lost         scope crm.delete" in result.stdout
    assert "not checked  revocation" in result.stdout


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "  \n"])
def test_a_token_as_dash_or_as_argument_is_the_same_token(jwks: Path, ending: str) -> None:
    token = make_token()
    results = [run("-", stdin=token + ending, jwks=jwks), run(token + ending, jwks=jwks)]
    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout


@pytest.mark.parametrize(
    ("stdin", "reason"),
    [
        (b"no token", "malformed"),
        (b"\xff\xfe\x00", "malformed"),
        ("tok\u00e9n".encode(), "malformed"),
        (b"a" * 1_000_000, "too_large"),
    ],
)
def test_what_is_no_token_is_refused(jwks: Path, stdin: bytes, reason: str) -> None:
    result = run(stdin=stdin, jwks=jwks)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"refused: {reason}: ")


def test_a_token_with_a_forged_hop_is_refused_with_its_reason(jwks: Path) -> None:
    chain = make_chain("planner", "mailer")
    chain[2]["scope"] = chain[1]["scope"]
    result = run(stdin=make_token(chain), jwks=jwks)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "refused: not_proper: hop 2 has everything that the entry before it has\n"


def test_a_token_longer_lived_than_allowed_is_refused(jwks: Path) -> None:
    token = make_token()  # 310 s
    assert answer(stdin=token, jwks=jwks, max_lifetime="309")["reason"] == "lifetime_exceeded"
    assert answer(stdin=token, jwks=jwks, max_lifetime="310")["verified"] is True


@pytest.mark.parametrize(("lifetime_s", "verified"), [(900, True), (901, False)])
def test_without_an_option_a_token_may_live_fifteen_minutes(jwks: Path, lifetime_s: int, verified: bool) -> None:
    now = int(time.time())
    assert answer(stdin=make_token(iat=now - 10, exp=now - 10 + lifetime_s), jwks=jwks)["verified"] is verified


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"audience": FILES}, "wrong_audience"), ({"issuer": "https://as.example/"}, "untrusted_issuer")],
)
def test_issuer_and_audience_are_compared_exactly(jwks: Path, options: dict[str, str], reason: str) -> None:
    token = make_token()
    assert answer(stdin=token, jwks=jwks, **options)["reason"] == reason
    assert answer(stdin=token, jwks=jwks)["verified"] is True


def test_an_exchange_only_token_is_verified_for_the_issuer_and_shown_as_one(jwks: Path) -> None:
    document = answer(stdin=make_token(aud=ISSUER), jwks=jwks, audience=ISSUER)
    assert (document["verified"], document["exchange_only"]) == (True, True)


# The answer


def test_the_json_answer_is_complete_and_stable(jwks: Path) -> None:
    chain = make_chain("planner", "mailer")
    chain[2].update(resources=[API], exp=chain[1]["exp"] - 100, max_depth=3)
    now = int(time.time())
    document = answer(stdin=make_token(chain, iat=now - 10, exp=now + 300), jwks=jwks)
    root, planner, mailer = chain
    entry = {"max_depth": 5, "iat": root["iat"], "exp": root["exp"], "evidence": "issuer", "resources": [API, FILES]}
    entry["authorization_details"] = []
    hop = {**entry, "jkt": None}
    assert document == {
        "verified": True,
        "reason": None,
        "description": None,
        "issuer": ISSUER,
        "user": "user-1",
        "actors": ["mailer", "planner"],
        "audience": API,
        "exchange_only": False,
        "scope": "crm.write files.read mail.send",
        "authorization_details": [],
        "iat": now - 10,
        "exp": now + 300,
        "jti": document["jti"],
        "lineage": root["jti"],
        "cnf": None,
        "not_performed": ["revocation"],
        "chain": [
            {**entry, "iss": ISSUER, "sub": "user-1", "jti": root["jti"], "scope": root["scope"]},
            {
                **hop,
                "actor": "planner",
                "jti": planner["jti"],
                "parent": root["jti"],
                "scope": planner["scope"],
                "lost": {"scope": "crm.delete", "resources": [], "lifetime_s": 0, "depth": 0},
            },
            {
                **hop,
                "actor": "mailer",
                "jti": mailer["jti"],
                "parent": planner["jti"],
                "scope": mailer["scope"],
                "resources": [API],
                "max_depth": 3,
                "exp": root["exp"] - 100,
                "lost": {"scope": "crm.read", "resources": [FILES], "lifetime_s": 100, "depth": 2},
            },
        ],
    }


def test_a_refusal_in_json_shows_nothing_of_the_token(jwks: Path) -> None:
    forged = make_token()[:-2] + "AA"
    result = run("--json", stdin=forged, jwks=jwks)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "verified": False,
        "reason": "bad_signature",
        "description": "the signature does not verify",
    }


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_name_in_the_token_cannot_steer_the_terminal(jwks: Path, flags: list[str]) -> None:
    name = "\x1b[31m\x9b2J\u202e[bold]x[/bold]\r\n"
    chain = make_chain("planner", sub=name)
    result = run(*flags, stdin=make_token(chain), jwks=jwks)
    assert result.exit_code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in result.stdout)
    assert "\\u202e[bold]x[/bold]\\r\\n" in result.stdout
    if flags:
        assert json.loads(result.stdout)["user"] == name


def test_into_a_pipe_no_line_is_broken(jwks: Path) -> None:
    chain = make_chain("planner", scope=" ".join(f"scope.{number:03}" for number in range(200)))
    result = run(stdin=make_token(chain), jwks=jwks)
    assert f"  {chain[1]['scope']}\n" in result.stdout


# Wrong usage


@pytest.mark.parametrize("stdin", ["", "\n", "   "])
def test_an_empty_token_is_wrong_usage(jwks: Path, stdin: str) -> None:
    result = run(stdin=stdin, jwks=jwks)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the token is empty" in result.stderr


def test_two_tokens_are_wrong_usage_and_are_not_printed(jwks: Path) -> None:
    token = make_token()
    result = run(token, token, jwks=jwks)
    assert result.exit_code == 2
    assert "more than one TOKEN" in result.stderr
    assert token[:40] not in result.output


@pytest.mark.parametrize("options", [{"issuer": ""}, {"audience": ""}, {"max_lifetime": "0"}, {"max_lifetime": "x"}])
def test_terms_that_accept_nothing_are_wrong_usage(jwks: Path, options: dict[str, str]) -> None:
    assert run(stdin=make_token(), jwks=jwks, **options).exit_code == 2
    assert run(stdin=make_token(), jwks=jwks).exit_code == 0


@pytest.mark.parametrize("missing", ["issuer", "audience", "jwks"])
def test_a_missing_option_is_wrong_usage(jwks: Path, missing: str) -> None:
    result = run(stdin=make_token(), **{"jwks": jwks, missing: None})
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--{missing}" in result.stderr


@pytest.mark.parametrize(("name", "why"), [("absent.json", "No such file"), (".", "not a regular file")])
def test_a_file_of_keys_that_cannot_be_read_is_wrong_usage_and_says_why(tmp_path: Path, name: str, why: str) -> None:
    result = run(stdin=make_token(), jwks=tmp_path / name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr


def test_a_file_of_keys_without_end_is_wrong_usage_and_nobody_waits(jwks: Path) -> None:
    text = jwks.read_text()
    jwks.write_text(text + " " * 1_000_000)
    assert "larger than 1000000 bytes" in run(stdin=make_token(), jwks=jwks).stderr
    jwks.unlink()
    os.mkfifo(jwks)
    assert run(stdin=make_token(), jwks=jwks).exit_code == 2
    assert run(stdin=make_token(), jwks="/dev/zero").exit_code == 2
    jwks.unlink()
    jwks.write_text(text)
    assert run(stdin=make_token(), jwks=jwks).exit_code == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": 1}',
        '{"keys": [], "keys": []}',
        json.dumps({"keys": [SIM.key.unsafe_private_jwk()]}),
    ],
    ids=["empty", "array", "object", "number", "twice", "private"],
)
def test_keys_that_must_not_be_used_are_a_configuration_problem(jwks: Path, text: str) -> None:
    assert run(stdin=make_token(), jwks=jwks).exit_code == 0
    jwks.write_text(text)
    result = run(stdin=make_token(), jwks=jwks)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "jwks_uri" in result.stderr
    in_json = run("--json", stdin=make_token(), jwks=jwks)
    assert (in_json.exit_code, json.loads(in_json.stdout)["ok"]) == (3, False)


def test_a_key_set_without_the_key_of_the_token_refuses_it(jwks: Path) -> None:
    jwks.write_text('{"keys": []}')
    assert answer(stdin=make_token(), jwks=jwks)["reason"] == "unknown_key"


def test_no_answer_prints_the_token(jwks: Path, tmp_path: Path) -> None:
    token = make_token()
    cases: list[dict[str, Any]] = [
        {"jwks": jwks},
        {"jwks": jwks, "audience": FILES},
        {"jwks": tmp_path / "absent"},
        {"jwks": jwks, "max_lifetime": "0"},
    ]
    for options in cases:
        for flags in ([], ["--json"]):
            for result in (run(*flags, stdin=token, **options), run(token, *flags, **options)):
                assert not any(part in result.output for part in token.split("."))


def test_without_a_token_a_terminal_is_told_what_to_do_instead_of_waiting(jwks: Path) -> None:
    controller, terminal = os.openpty()
    command = [sys.executable, "-c", PROGRAM, "verify", "--issuer", ISSUER, "--audience", API, "--jwks", str(jwks)]
    try:
        result = subprocess.run(command, stdin=terminal, capture_output=True, text=True, timeout=30, check=False)
    finally:
        os.close(controller)
        os.close(terminal)
    assert (result.returncode, result.stdout) == (2, "")
    assert "standard input" in result.stderr


def test_the_help_names_the_exit_codes_and_prefers_standard_input() -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    verify.register(app)
    result = CliRunner().invoke(app, ["verify", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0
    assert "0 verified, 1 refused, 2" in result.stdout
    assert "history" in result.stdout
