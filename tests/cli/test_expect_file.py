"""`tokensvc verify` and `explain` on the terms of a file."""

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.proofs import HOLDER
from tests.simulator import API, FILES, ISSUER, Simulator, ec_key
from tokensvc.cli import explain, verify
from tokensvc.core.keyset import KeySet, render_jwks

SIM: Final = Simulator()
OTHER: Final = "https://other.example"
COMMANDS: Final = ("verify", "explain")


def run(command: str, *arguments: str | Path, stdin: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    verify.register(app)
    explain.register(app)
    environment = {"NO_COLOR": "1", "COLUMNS": "300"}
    return CliRunner().invoke(app, [command, *map(str, arguments)], input=stdin, env=environment)


def answer(command: str, *arguments: str | Path, stdin: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(command, "--json", *arguments, stdin=stdin).stdout)
    return document


def make_token(**claims: object) -> str:
    now = int(time.time())
    chain = SIM.chain("planner", "mailer", root=SIM.root(iat=now - 60, exp=now + 3600))
    return SIM.token(SIM.claims(chain, **{"iat": now - 10, "exp": now + 300, **claims}))


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(render_jwks(KeySet([SIM.key.public]))))
    return path


@pytest.fixture
def terms(jwks: Path) -> Path:
    return write(jwks.parent, f'[[issuer]]\niss = "{ISSUER}"\njwks_file = "jwks.json"')


def write(folder: Path, issuers: str, preset: str = "bearer") -> Path:
    path = folder / "terms.toml"
    path.write_text(f'preset = "{preset}"\naudiences = ["{API}", "{FILES}"]\n{issuers}\n')
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_of_terms_is_all_that_is_needed(command: str, terms: Path) -> None:
    for audience in (API, FILES):
        assert answer(command, "--expect", terms, stdin=make_token(aud=audience))["verified"] is True
    assert answer(command, "--expect", terms, stdin=make_token(aud=OTHER))["reason"] == "wrong_audience"
    assert run(command, stdin=make_token()).exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_issuer_and_audience_choose_among_those_of_the_file(command: str, terms: Path) -> None:
    token = make_token()
    assert answer(command, "--expect", terms, "--audience", API, "--issuer", ISSUER, stdin=token)["verified"] is True
    assert answer(command, "--expect", terms, "--audience", FILES, stdin=token)["reason"] == "wrong_audience"
    for flags in (["--audience", OTHER], ["--audience", ""], ["--issuer", OTHER]):
        result = run(command, "--expect", terms, *flags, stdin=token)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "the file of terms states" in result.stderr


def test_of_several_issuers_one_is_chosen_with_what_belongs_to_it(jwks: Path) -> None:
    pin = f'[[agent]]\nid = "planner"\nissuer = "{OTHER}"\nthumbprints = ["{HOLDER.public.thumbprint}"]'
    issuers = f'[[issuer]]\niss = "{ISSUER}"\n[[issuer]]\niss = "{OTHER}"\n{pin}\n'
    roots = f'[[authority]]\niss = "https://idp.example"\nissuer = "{OTHER}"\njwks_file = "jwks.json"'
    terms, token = write(jwks.parent, issuers + roots), make_token()

    which = run("verify", "--expect", terms, "--jwks", jwks, stdin=token)
    assert (which.exit_code, "say which with --issuer" in which.stderr) == (2, True)
    unnamed = run("verify", "--expect", terms, stdin=token)
    assert (unnamed.exit_code, "jwks_file" in unnamed.stderr) == (3, True)
    terms.write_text(terms.read_text().replace(f'iss = "{OTHER}"\n', f'iss = "{OTHER}"\njwks_file = "jwks.json"\n'))
    chosen = answer("verify", "--expect", terms, "--issuer", ISSUER, "--jwks", jwks, stdin=token)
    assert chosen["verified"] is True


@pytest.mark.parametrize("command", COMMANDS)
def test_keys_on_the_command_line_go_before_those_of_the_file(command: str, jwks: Path, terms: Path) -> None:
    other = jwks.parent / "other.json"
    other.write_text(json.dumps(render_jwks(KeySet([ec_key("another").public]))))
    token = make_token()
    assert answer(command, "--expect", terms, "--jwks", other, stdin=token)["reason"] == "unknown_key"
    assert answer(command, "--expect", terms, "--jwks", jwks, stdin=token)["verified"] is True


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_requires_a_proof_is_kept_and_what_was_not_proven_is_said(command: str, jwks: Path) -> None:
    terms = write(jwks.parent, f'[[issuer]]\niss = "{ISSUER}"\njwks_file = "jwks.json"', preset="proof_required")
    bound = make_token(cnf={"jkt": HOLDER.public.thumbprint})

    assert answer(command, "--expect", terms, stdin=make_token())["reason"] == "holder_unproven"
    assert answer(command, "--expect", terms, stdin=bound)["reason"] == "holder_unproven"
    judged = answer(command, "--expect", terms, "--unsafe-without-proof", stdin=bound)
    assert (judged["verified"], judged["not_performed"]) == (True, ["holder", "revocation"])
    shown = run(command, "--expect", terms, "--unsafe-without-proof", stdin=bound)
    assert "holder" in shown.stdout


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "flags",
    [
        ["--scope-grammar", "exact"],
        ["--attenuation", "scope"],
        ["--proper-from", "1"],
        ["--root-floor", "issuer"],
        ["--hop-floor", "issuer"],
        ["--agent-key", "planner=x"],
        ["--authority", "x"],
        ["--authority-jwks", "x"],
        ["--authority-prefix", "x"],
    ],
)
def test_what_stands_in_the_file_is_not_said_twice(command: str, terms: Path, flags: list[str]) -> None:
    result = run(command, "--expect", terms, *flags, stdin=make_token())
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{flags[0]}: with --expect it stands in the file" in result.stderr
    assert run(command, "--expect", terms, "--max-lifetime", "900", stdin=make_token()).exit_code == 0


def test_a_file_of_terms_that_cannot_be_used_is_a_configuration_problem_with_its_remedy(terms: Path) -> None:
    assert run("verify", "--expect", terms, stdin=make_token()).exit_code == 0
    terms.write_text(terms.read_text().replace("audiences", "audience"))
    result = run("verify", "--expect", terms, stdin=make_token())
    assert (result.exit_code, result.stdout) == (3, "")
    assert "Did you mean audiences?" in result.stderr
    in_json = answer("verify", "--expect", terms, stdin=make_token())
    assert in_json["problems"][0]["key"] == "audience"
    assert run("verify", "--expect", terms.parent / "absent", stdin=make_token()).exit_code == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_shows_how_it_is_done(command: str) -> None:
    assert f"tokensvc {command} --expect terms.toml" in run(command, "--help", stdin="").stdout
