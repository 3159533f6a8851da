"""`tokensvc exchange --holder-key` at servers that do not keep to what was sent: nothing of it is printed."""

import json
import time
from pathlib import Path
from typing import Final

import pytest
from typer.testing import Result

from tests.cli.answering import JSON, METADATA, answering, granted, metadata
from tests.cli.service import holder_key_of, run
from tests.simulator import API, Members, Simulator
from tokensvc.cli.remedy import exchange_remedy
from tokensvc.core.keyset import KeySet, render_jwks

JKT: Final = holder_key_of("planner").public.thumbprint
OTHER_JKT: Final = holder_key_of("researcher").public.thumbprint
AGENT: Final = "/agents/researcher"


def ask(base: str, folder: Path, *options: str, token: str = "a.b.c", holder: bool = True) -> Result:
    (folder / "secret").write_text("secret")
    (folder / "holder").write_text(json.dumps(holder_key_of("planner").unsafe_private_jwk()))
    held = ["--holder-key", str(folder / "holder")] if holder else []
    who = ["--client-id", "planner", "--secret-file", str(folder / "secret")]
    return run("exchange", "--issuer", base, *who, *held, *options, stdin=token)


def chain(simulator: Simulator, *actors: str) -> list[Members]:
    """A chain that stands now, every hop bound to planner's key."""
    now = int(time.time())
    root = simulator.root(iat=now - 60, exp=now + 3600)
    first, *others = actors
    entries = [root, simulator.hop(root, first, cnf={"jkt": JKT})]
    for actor in others:
        entries.append(simulator.hop(entries[-1], actor, cnf={"jkt": OTHER_JKT}))
    return entries


def token(simulator: Simulator, entries: list[Members], **claims: object) -> str:
    now = int(time.time())
    return simulator.token(simulator.claims(entries, iat=now - 10, exp=now + 300, **claims))


def keys(simulator: Simulator) -> tuple[int, dict[str, str], bytes]:
    return 200, JSON, json.dumps(render_jwks(KeySet([simulator.key.public]))).encode()


@pytest.mark.parametrize(
    ("headers", "holder", "times"),
    [({"DPoP-Nonce": "n1"}, True, 2), ({"DPoP-Nonce": "n1"}, False, 1), ({}, True, 1)],
)
def test_a_nonce_is_sent_once_and_only_with_a_key(
    tmp_path: Path, headers: dict[str, str], times: int, *, holder: bool
) -> None:
    body = {"error": "use_dpop_nonce", "reason": "proof_invalid", "error_description": "with the nonce"}
    refusal = (400, {**JSON, **headers}, json.dumps(body).encode())
    with answering({METADATA: metadata(), "/token": refusal}) as (base, asked):
        result = ask(base, tmp_path, holder=holder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert asked.count("POST /token") == times
    assert result.stderr.startswith("refused: use_dpop_nonce: proof_invalid\n")
    assert f"do       {exchange_remedy('use_dpop_nonce', 'proof_invalid')}\n" in result.stderr


@pytest.mark.parametrize("bound_to", [JKT, OTHER_JKT, None])
def test_a_token_that_is_not_bound_to_the_key_that_was_proven_is_not_printed(
    tmp_path: Path, bound_to: str | None
) -> None:
    pages = {METADATA: metadata()}
    with answering(pages) as (base, _):
        simulator = Simulator(iss=base)
        now = int(time.time())
        cnf = {} if bound_to is None else {"cnf": {"jkt": bound_to}}
        entries = simulator.chain("planner", root=simulator.root(iat=now - 60, exp=now + 3600))
        entries[1] |= cnf
        pages |= {"/jwks": keys(simulator), "/token": granted(access_token=token(simulator, entries, **cnf))}
        result = ask(base, tmp_path, "--resource", API)
        without_key = ask(base, tmp_path, "--resource", API, holder=False)
    assert without_key.exit_code == 0, without_key.stderr
    if bound_to == JKT:
        assert result.exit_code == 0, result.stderr
    else:
        assert (result.exit_code, result.stdout) == (1, "")
        assert "granted, and refused here: holder_unproven" in result.stderr


@pytest.mark.parametrize("signs", [True, False])
def test_a_hop_of_the_service_in_the_place_of_the_one_that_was_signed_is_not_printed(
    tmp_path: Path, *, signs: bool
) -> None:
    """The control asks for no signed hop, and is answered the same."""
    known = json.dumps({"id": "researcher", "cnf": {"jkt": OTHER_JKT}}).encode()
    pages = {METADATA: metadata(), AGENT: (200, JSON, known)}
    with answering(pages) as (base, asked):
        simulator = Simulator(iss=base)
        own = token(simulator, chain(simulator, "planner"), cnf={"jkt": JKT})
        entries = chain(simulator, "planner", "researcher")
        handed = token(simulator, entries, aud=base, cnf={"jkt": OTHER_JKT})
        pages |= {"/jwks": keys(simulator), "/token": granted(access_token=handed)}
        options = ["--scope", "crm.read", "--resource", API, "--for", "researcher"]
        result = ask(base, tmp_path, *options, *(["--sign-grant"] if signs else []), token=own)
    assert (f"GET {AGENT}" in asked) is signs
    if signs:
        assert (result.exit_code, result.stdout) == (1, "")
        assert "granted, and refused here: grant_invalid" in result.stderr
    else:
        assert (result.exit_code, result.stdout) == (0, f"{handed}\n"), result.stderr


@pytest.mark.parametrize(
    ("answer", "code", "problem"),
    [
        ((404, JSON, b"{}"), 1, "the agent researcher is unknown"),
        ((200, JSON, b'{"id": "researcher"}'), 1, "registered without a holder key"),
        ((200, JSON, b'{"id": "another", "cnf": {}}'), 4, "about another agent"),
        ((200, JSON, b'{"id": "researcher", "cnf": {"jkt": "x"}}'), 4, "the cnf of an agent"),
        ((200, {}, b"<html>"), 4, "not application/json"),
        ((302, {"location": "{base}/elsewhere", **JSON}, b"{}"), 4, "answers 302"),
        ((500, JSON, b"{}"), 4, "cannot answer (500)"),
        ((403, JSON, b'{"error": "unauthorized_client", "error_description": "not\\u001b[31m"}'), 1, "unauthorized"),
    ],
)
def test_without_the_key_of_the_delegatee_no_token_goes_out(
    tmp_path: Path, answer: tuple[int, dict[str, str], bytes], code: int, problem: str
) -> None:
    with answering({METADATA: metadata(), AGENT: answer}) as (base, asked):
        simulator = Simulator(iss=base)
        own = token(simulator, chain(simulator, "planner"), cnf={"jkt": JKT})
        options = ["--sign-grant", "--scope", "crm.read", "--resource", API, "--for", "researcher"]
        result = ask(base, tmp_path, *options, token=own)
    assert (result.exit_code, result.stdout) == (code, "")
    assert problem in result.stderr
    assert "\x1b" not in result.stderr
    assert asked == [f"GET {METADATA}", f"GET {AGENT}"]
