import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from tests.cli.test_verify import jwks as jwks  # noqa: PLC0414 - a fixture
from tests.cli.test_verify import make_chain, make_token
from tests.simulator import API, AUTHORITY, ISSUER, NOW, PREFIX, Members, Simulator, b64, ec_key, jti, thumbprint
from tests.verify import signed
from tokensvc.cli import make_app
from tokensvc.cli.explanation_view import show_explanation
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.verify import LifetimeOnly, explain_token

SIM: Final = Simulator()
COMMANDS: Final = ("verify", "explain")


def run(command: str, *arguments: str, stdin: str = "", jwks: Path, **options: str | Path) -> Result:
    terms = {"issuer": ISSUER, "audience": API, "jwks": jwks, **options}
    flags = [text for name, value in terms.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    environ = {"NO_COLOR": "1", "COLUMNS": "300"}
    return CliRunner().invoke(make_app(), [command, *flags, *arguments], input=stdin, env=environ)


def explain(token: str, *flags: str, jwks: Path, **options: str | Path) -> Result:
    return run("explain", *flags, stdin=token, jwks=jwks, **options)


def answer(token: str, *flags: str, jwks: Path, **options: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(explain(token, "--json", *flags, jwks=jwks, **options).stdout)
    return document


def widened() -> list[Members]:
    chain = make_chain("planner", "mailer", "printer")
    chain[2]["scope"] = "crm.read evil.scope"
    return chain


def lines_of(result: Result) -> list[str]:
    return [line.strip("│└─ ") for line in result.stdout.splitlines()]


# In text


def test_an_accepted_token_is_explained_step_by_step_and_hop_by_hop(jwks: Path) -> None:
    chain = make_chain("planner", "mailer")
    chain[2].update(resources=[API], exp=chain[1]["exp"] - 100, max_depth=3)
    result = explain(make_token(chain), jwks=jwks)

    assert (result.exit_code, result.stderr) == (0, "")
    lines = lines_of(result)
    assert lines[0] == "verified"
    assert "passed          1  size and alphabet" in lines
    assert "not performed  14  revocation" in lines
    mailer = lines[lines.index("mailer  (hop 2, passed, evidence issuer)") :]
    assert [line for line in mailer[1:12] if not line.startswith("lifetime")] == [
        "scope        narrowed  crm.write files.read mail.send",
        "gone      crm.read",
        "details      kept      none",
        f"resources    narrowed  {API}",
        "gone      https://files.example",
        "gone      100 s at its end",
        "depth        narrowed  3 at most",
        "gone      2 of depth",
        "holder       kept      not bound to a key",
        "proper       yes",
    ]
    assert mailer[12:15] == ["token", "user         user-1", "actors       mailer for planner"]
    assert lines[-1] == "not checked  revocation"


def test_a_refused_token_shows_the_first_failure_and_which_hop_widened_what(jwks: Path) -> None:
    result = explain(make_token(widened()), jwks=jwks)

    assert (result.exit_code, result.stderr) == (1, "")
    lines = lines_of(result)
    assert lines[0] == "refused: not_narrower: hop 2 widens the scope of the entry before it"
    assert "FAILED         12  every hop against the entry before it (hop 2)" in lines
    assert "not reached    13  the token against the last hop" in lines
    mailer = lines[lines.index("mailer  (hop 2, FAILED: not_narrower, evidence issuer)") :]
    assert mailer[1:4] == [
        "scope        widened   crm.read evil.scope",
        "gone      crm.write files.read mail.send",
        "new       evil.scope",
    ]
    assert "printer  (hop 3, not reached, evidence issuer; not compared)" in mailer
    assert "not checked" not in result.stdout


def test_a_hop_that_keeps_everything_is_said_not_to_be_proper(jwks: Path) -> None:
    chain = make_chain("planner")
    chain[1]["scope"] = chain[0]["scope"]

    result = explain(make_token(chain), jwks=jwks)
    assert "proper       no: it has everything that counts of the one above" in lines_of(result)
    assert "proper       yes" in lines_of(explain(make_token(make_chain("planner")), jwks=jwks))


def test_of_a_forged_signature_nothing_is_shown(jwks: Path) -> None:
    token = make_token(make_chain("planner-7", sub="user-7"), sub="user-7")
    forged = token[: token.rindex(".") + 1] + b64(b"x" * 64)
    for flags in ([], ["--json"]):
        refused, control = explain(forged, *flags, jwks=jwks), explain(token, *flags, jwks=jwks)
        assert (refused.exit_code, control.exit_code) == (1, 0)
        assert "bad_signature" in refused.output
        for name in ("user-7", "planner-7", ISSUER, API, "crm.read"):
            assert name not in refused.output
            assert name in control.output
    assert "Nothing of the token is shown" in explain(forged, jwks=jwks).stdout


def test_a_token_without_a_chain_is_shown_alone(jwks: Path) -> None:
    result = explain(make_token(grant_profile=2), jwks=jwks)

    assert result.exit_code == 1
    assert "actors       mailer" in lines_of(result)
    assert "(hop" not in result.stdout


def test_details_and_keys_are_shown_where_there_are_any(jwks: Path) -> None:
    details = [{"type": "attenuating_agent_token", "tools": {"read\x1b[2J": {}}}]
    chain = make_chain("planner", authorization_details=details)
    chain[1].update(authorization_details=details, cnf={"jkt": thumbprint("x")})
    token = make_token(chain, authorization_details=details, cnf={"jkt": thumbprint("x")})
    result = explain(token, "--unsafe-without-proof", jwks=jwks)

    assert result.exit_code == 0
    assert result.stdout.count("read\\u001b[2J") == 3
    assert "holder       narrowed  bound to a key" in lines_of(result)
    assert "not performed   8  holder" in lines_of(result)
    assert lines_of(result)[-1] == "not checked  holder revocation"
    assert answer(token, jwks=jwks)["reason"] == "holder_unproven"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_name_in_a_token_cannot_steer_the_terminal(jwks: Path, flags: list[str]) -> None:
    name = "\x1b[31m\x9b2J\u202e[bold]x[/bold]\r\n"
    chain = make_chain(f"{name}1", f"{name}2", f"{name}3", sub=name)
    chain[2]["scope"] = chain[0]["scope"]
    result = explain(make_token(chain), *flags, jwks=jwks)

    assert result.exit_code == 1
    assert all(letter.isprintable() or letter == "\n" or letter in "│└─" for letter in result.stdout)
    for ending in ("", "1", "2", "3"):
        assert f"\\u202e[bold]x[/bold]\\r\\n{ending}" in result.stdout


def test_colour_is_for_terminals_only(jwks: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(make_token(widened()))
    command = [str(Path(sys.executable).with_name("tokensvc")), "explain", "--issuer", ISSUER, "--audience", API]
    environ = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": "300"}
    controller, terminal = pty.openpty()
    try:
        with (tmp_path / "token").open("rb") as token:
            arguments = [*command, "--jwks", str(jwks)]
            piped = subprocess.run(arguments, stdin=token, capture_output=True, env=environ, timeout=60, check=False)
            token.seek(0)
            done = subprocess.run(arguments, stdin=token, stdout=terminal, env=environ, timeout=60, check=False)
        shown = os.read(controller, 100)
    finally:
        os.close(terminal)
        os.close(controller)
    assert (piped.returncode, done.returncode) == (1, 1)
    assert b"\x1b" not in piped.stdout
    assert shown.startswith(b"\x1b[1;31mrefused: not_narrower")


def test_into_a_pipe_no_line_is_broken(jwks: Path) -> None:
    chain = make_chain("planner", scope=" ".join(f"scope.{number:03}" for number in range(200)))
    result = explain(make_token(chain), jwks=jwks)
    assert f"narrowed  {chain[1]['scope']}\n" in result.stdout


# In JSON


def test_the_json_answer_is_complete_and_stable(jwks: Path) -> None:
    chain = make_chain("planner", "mailer")
    chain[2].update(scope="crm.read evil.scope", resources=[API], exp=chain[1]["exp"] + 5, max_depth=3)
    document = answer(make_token(chain), jwks=jwks)
    steps = document.pop("steps")
    claims = document["token"]
    root, planner, mailer = chain
    entry = {name: root[name] for name in ("iat", "exp", "max_depth", "resources")}
    entry["authorization_details"] = []

    assert steps[11] == {"step": 12, "name": "every hop against the entry before it", "state": "failed"}
    assert [step["state"] for step in steps] == ["passed"] * 11 + ["failed"] + ["not_reached"] * 3
    assert [step["step"] for step in steps] == [*range(1, 16)]
    kept = dict.fromkeys(["scope", "authorization_details", "resources", "lifetime", "depth", "holder"], "kept")
    assert document == {
        "verified": False,
        "reason": "not_narrower",
        "description": "hop 2 widens the scope of the entry before it",
        "step": 12,
        "hop": 2,
        "token": {
            "issuer": ISSUER,
            "user": "user-1",
            "client_id": "mailer",
            "audience": API,
            "exchange_only": False,
            "scope": "crm.read evil.scope",
            "authorization_details": [],
            "iat": claims["iat"],
            "exp": claims["exp"],
            "nbf": None,
            "jti": jti("token"),
            "cnf": None,
        },
        "actors": ["mailer", "planner"],
        "root": {
            "evidence": "issuer",
            "entry": {**entry, "iss": ISSUER, "sub": "user-1", "jti": root["jti"], "scope": root["scope"]},
        },
        "hops": [
            {
                "index": 1,
                "state": "passed",
                "evidence": "issuer",
                "entry": {
                    **entry,
                    "actor": "planner",
                    "jti": planner["jti"],
                    "parent": root["jti"],
                    "jkt": None,
                    "scope": planner["scope"],
                },
                "comparison": {
                    "changes": {**kept, "scope": "narrowed"},
                    "scope_gone": "crm.delete",
                    "scope_new": "",
                    "resources_gone": [],
                    "resources_new": [],
                    "ends_earlier_s": 0,
                    "starts_later_s": 0,
                    "depth_gone": 0,
                    "proper": True,
                },
            },
            {
                "index": 2,
                "state": "failed",
                "evidence": "issuer",
                "entry": {
                    **entry,
                    "actor": "mailer",
                    "jti": mailer["jti"],
                    "parent": planner["jti"],
                    "jkt": None,
                    "scope": mailer["scope"],
                    "resources": [API],
                    "exp": root["exp"] + 5,
                    "max_depth": 3,
                },
                "comparison": {
                    "changes": {
                        **kept,
                        "scope": "widened",
                        "resources": "narrowed",
                        "lifetime": "widened",
                        "depth": "narrowed",
                    },
                    "scope_gone": "crm.write files.read mail.send",
                    "scope_new": "evil.scope",
                    "resources_gone": ["https://files.example"],
                    "resources_new": [],
                    "ends_earlier_s": -5,
                    "starts_later_s": 0,
                    "depth_gone": 2,
                    "proper": True,
                },
            },
        ],
        "not_performed": [],
    }


def test_the_json_answer_of_an_accepted_token_says_what_was_not_checked(jwks: Path) -> None:
    document = answer(make_token(), jwks=jwks)

    assert [document[name] for name in ("verified", "reason", "description", "step", "hop")] == [True, *[None] * 4]
    assert document["not_performed"] == ["revocation"]


def test_of_a_signed_entry_that_was_not_proven_nothing_is_shown(jwks: Path, authority: dict[str, str | Path]) -> None:
    token = signed_token(at=make_chain())
    flag = "--unsafe-without-proof"
    hidden = "signed, and the signature was not proven: nothing of it is shown"
    lines = lines_of(explain(token, flag, jwks=jwks))

    assert f"the root  ({hidden})" in lines
    assert f"hop 2  (not reached; {hidden})" in lines
    document = answer(token, flag, jwks=jwks)
    assert document["root"] == {"evidence": None, "entry": None}
    unproven = {"index": 2, "state": "not_reached", "evidence": None, "entry": None, "comparison": None}
    assert document["hops"][1] == unproven
    control = answer(token, flag, jwks=jwks, **authority)
    assert (control["root"]["evidence"], control["hops"][1]["evidence"]) == ("authority", "delegator")
    assert hidden not in explain(token, flag, jwks=jwks, **authority).stdout


# The options that it shares with verify


@pytest.mark.parametrize("command", COMMANDS)
def test_a_token_comes_from_standard_input_or_the_argument(jwks: Path, command: str) -> None:
    token = make_token()
    results = [run(command, "-", stdin=token, jwks=jwks), run(command, token, jwks=jwks)]

    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout
    empty = run(command, stdin="\n", jwks=jwks)
    assert (empty.exit_code, empty.stdout) == (2, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_order_is_stated_as_the_token_service_states_it(jwks: Path, command: str) -> None:
    wild = make_chain("planner", scope="crm.* mail.send")
    wild[1]["scope"] = "crm.read mail.send"
    wild_token = make_token(wild)
    assert run(command, stdin=wild_token, jwks=jwks, scope_grammar="segments").exit_code == 0
    assert run(command, stdin=wild_token, jwks=jwks).exit_code == 1
    one_resource = make_chain("planner")
    one_resource[1].update(scope=one_resource[0]["scope"], resources=[API])
    token = make_token(one_resource)
    assert run(command, stdin=token, jwks=jwks, attenuation="authority").exit_code == 0
    assert run(command, stdin=token, jwks=jwks, proper_from="2").exit_code == 0
    assert run(command, stdin=token, jwks=jwks).exit_code == 1


def signed_token(*, at: list[Members]) -> str:
    """A token as `signed.Draft` makes it, of the times of `at`."""
    draft = signed.Draft.of("planner", "mailer")
    times = {name: at[0][name] for name in ("iat", "exp")}
    for entry in (*draft.chain, *(part.payload for part in draft.parts)):
        entry.update(times)
    return SIM.token(
        {**draft.claims, "iat": times["iat"], "exp": times["iat"] + 300, "grant_chain": [p.entry for p in draft.parts]}
    )


@pytest.fixture
def authority(tmp_path: Path) -> dict[str, str | Path]:
    path = tmp_path / "authority.json"
    path.write_text(json.dumps(render_jwks(KeySet([signed.AUTHORITY_KEY.public]))))
    return {"authority": AUTHORITY, "authority_jwks": path, "authority_prefix": PREFIX}


@pytest.mark.parametrize("command", COMMANDS)
def test_signed_entries_are_asked_for_by_floors(jwks: Path, command: str, authority: dict[str, str | Path]) -> None:
    token, plain = signed_token(at=make_chain()), make_token()
    floors = {"root_floor": "authority", "hop_floor": "delegator", **authority}

    def code(text: str, **options: str | Path) -> int:
        return run(command, "--unsafe-without-proof", stdin=text, jwks=jwks, **options).exit_code

    assert code(token, **floors) == code(token, **authority) == 0
    assert code(plain, **floors) == 1
    assert code(plain, **authority) == 0
    assert code(token) == 1
    assert code(token, **{**floors, "authority_prefix": "x:"}) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_pinned_agent_stands_in_no_hop_without_its_key(
    jwks: Path, command: str, authority: dict[str, str | Path]
) -> None:
    token = signed_token(at=make_chain())
    right, wrong = signed.holder("planner").public.thumbprint, ec_key("thief").public.thumbprint

    def code(*pins: str) -> int:
        flags = [text for pin in pins for text in ("--agent-key", pin)]
        return run(command, "--unsafe-without-proof", *flags, stdin=token, jwks=jwks, **authority).exit_code

    assert code(f"planner={right}") == code(f"planner={wrong}", f"planner={right}") == code(f"a=b={wrong}") == 0
    assert code(f"planner={wrong}") == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--root-floor", "authority"], "needs --authority"),
        (["--root-floor", "delegator"], "root-floor"),
        (["--hop-floor", "delegator"], "needs --agent-key or --authority"),
        (["--hop-floor", "authority"], "hop-floor"),
        (["--agent-key", "planner"], "AGENT=THUMBPRINT"),
        (["--agent-key", "planner=short"], "AGENT=THUMBPRINT"),
        (["--agent-key", f"={thumbprint('x')}"], "must not be empty"),
        (["--authority", AUTHORITY], "given together"),
        (["--authority-prefix", "x:"], "given together"),
        (["--authority-jwks", "x"], "given together"),
        (["--authority", "", "--authority-jwks", "x"], "given together"),
        (["--authority", ISSUER, "--authority-jwks", "x"], "another one than --issuer"),
        (["--authority", AUTHORITY, "--authority-jwks", "absent"], "--authority-jwks: cannot read"),
        (["--proper-from", "3"], "proper-from"),
        (["--scope-grammar", "x"], "scope-grammar"),
        (["--attenuation", "none"], "attenuation"),
        (["--issuer", ""], "must not be empty"),
        (["--audience", ""], "must not be empty"),
    ],
)
def test_terms_that_cannot_be_meant_are_wrong_usage(jwks: Path, command: str, flags: list[str], why: str) -> None:
    result = run(command, *flags, stdin=make_token(), jwks=jwks)

    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr
    assert run(command, stdin=make_token(), jwks=jwks).exit_code == 0


def test_both_commands_have_the_same_options() -> None:
    helps = [CliRunner().invoke(make_app(), [name, "--help"], env={"COLUMNS": "300"}).stdout for name in COMMANDS]
    options = [text[text.index("Arguments") :] for text in helps]

    assert options[0] == options[1]
    assert "tokensvc explain --issuer" in helps[1]
    assert "0 verified, 1 refused, 2" in helps[1]


def test_no_answer_prints_the_token(jwks: Path) -> None:
    for token in (make_token(), make_token(widened())):
        for flags in ([], ["--json"]):
            result = explain(token, *flags, jwks=jwks)
            assert not any(part in result.output for part in token.split("."))


@pytest.mark.parametrize("width", [20, 80])
def test_a_narrow_terminal_hides_nothing(width: int) -> None:
    token = SIM.token(SIM.claims(SIM.chain("planner", "mailer")))
    explanation = explain_token(
        token, keys=SIM.keys(), expect=SIM.expect(), now=NOW, revocations=LifetimeOnly(max_s=900)
    )

    def shown(columns: int) -> str:
        console = Console(file=io.StringIO(), width=columns, highlight=False)
        show_explanation(console, explanation)
        assert isinstance(console.file, io.StringIO)
        return re.sub(r"[\s│└─]", "", console.file.getvalue())

    assert shown(width) == shown(1000)
