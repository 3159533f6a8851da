"""docs/authorities.md: its table loads, and what its commands sign starts a delegation that a verifier insists on."""

import re
import shlex
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from tests.exchange.holders import proof
from tests.server.world import FixedClock, World, basic, exchange_form, make_world, values
from tests.settings_file import API, problems
from tests.simulator import ec_key
from tokensvc.cli import make_app
from tokensvc.core.entry import Evidence
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import parse_jwks
from tokensvc.errors import Reason, TokenRefused
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, JWT_TYPE
from tokensvc.settings.known import KNOWN
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

PAGE: Final = (Path(__file__).resolve().parents[1] / "docs" / "authorities.md").read_text()
TOKENS, IDP = "https://tokens.example", "https://idp.example"


def configured() -> dict[str, Any]:
    """The usual configuration with the tables of the page; the keys of the roots are in a file."""
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    page = tomllib.loads(block)
    page["identity_provider"][0]["algorithms"] = ["ES256"]
    (authority,) = page["authority"]
    del authority["jwks_url"]
    return {**values(), **page, "authority": [{**authority, "jwks_file": "roots.jwks.json"}]}


def run_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the commands of the page print last: the root."""
    monkeypatch.chdir(folder)
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    *_, root = [_run(line) for line in block.replace("\\\n", " ").splitlines()]
    return root.strip()


def _run(line: str) -> str:
    program, *words = shlex.split(line, comments=True)
    result = CliRunner().invoke(make_app(), words)
    assert (program, result.exit_code, result.stderr) == ("tokensvc", 0, "")
    return result.stdout


def private_key(folder: Path, name: str) -> SigningKey:
    return SigningKey.from_jwk(parse_json_object((folder / f"{name}.private.jwk.json").read_bytes()))


async def answer(world: World, root: str, holder: SigningKey, **parameters: str) -> Any:  # noqa: ANN401 - JSON
    form = exchange_form(root, subject_token_type=JWT_TYPE, scope="crm.read crm.write", resource=API)
    headers = {**basic("planner"), "DPoP": proof(holder, world.clock.now)}
    async with world.running() as client:
        return (await client.post("/token", data={**form, **parameters}, headers=headers)).json()


def test_the_tables_of_the_page_load(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert problems(tmp_path, {**values(), **tomllib.loads(block)}) == []


def test_the_page_names_every_setting_once() -> None:
    section = PAGE.split("## Settings")[1].split("\n## ")[0]
    ours = [path[1] for path in KNOWN if path[0] == "authority" and len(path) == 2]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(ours)


async def test_what_the_commands_sign_starts_a_delegation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = run_page(tmp_path, monkeypatch)
    world = make_world(tmp_path, configured(), clock=FixedClock(int(time.time())))
    holder = private_key(tmp_path, "planner-holder")

    granted = await answer(world, root, holder)
    assert granted["token_type"] == "DPoP"
    assert (await answer(world, root, ec_key("evil")))["reason"] == "holder_unproven"
    assert (await answer(world, root, holder, subject_token_type=ACCESS_TOKEN_TYPE))[
        "reason"
    ] == "subject_token_invalid"

    terms: dict[str, Any] = {
        "keys": StaticKeys(
            {
                TOKENS: world.signer.public_keys(),
                IDP: parse_jwks(parse_json_object((tmp_path / "roots.jwks.json").read_bytes())),
            }
        ),
        "now": world.clock.now,
        "revocations": LifetimeOnly(max_s=900),
        "proof": UnsafeHolderProvenUpstream(),
    }
    expect = replace(
        Expectation.bearer(issuers=[TOKENS], audiences=[API]),
        root_floor=Evidence.AUTHORITY,
        authorities={(TOKENS, IDP): "corp:"},
    )
    verified = verify_token(granted["access_token"], expect=expect, **terms)
    assert (verified.sub, verified.root_evidence) == ("corp:user-1", Evidence.AUTHORITY)

    # A user's token gives a root of the token service's own, which this verifier does not take.
    plain = exchange_form(world.user_token(), scope="crm.read crm.write", resource=API)
    async with world.running() as client:
        issued = (await client.post("/token", data=plain, headers=basic("planner"))).json()["access_token"]
    with pytest.raises(TokenRefused) as refused:
        verify_token(issued, expect=expect, **terms)
    assert refused.value.reason is Reason.EVIDENCE_INSUFFICIENT
    assert verify_token(issued, expect=replace(expect, root_floor=Evidence.ISSUER), **terms).sub == "corp:user-1"


async def test_an_authority_that_is_disabled_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = run_page(tmp_path, monkeypatch)
    disabled = configured()
    disabled["authority"][0]["enabled"] = False
    holder, now = private_key(tmp_path, "planner-holder"), int(time.time())
    for configuration, is_accepted in ((disabled, False), (configured(), True)):
        world = make_world(tmp_path, configuration, clock=FixedClock(now))
        assert ("access_token" in await answer(world, root, holder)) is is_accepted
