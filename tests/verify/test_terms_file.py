"""Terms in a file: what it says is expected, and what cannot be meant is refused with its place and what to do."""

import json
import os
from pathlib import Path
from typing import Final

import pytest

from tests.proofs import judge, proof
from tests.simulator import API, AUTHORITY, FILES, ISSUER, PREFIX, Members, ec_key, thumbprint
from tests.verify.signed import AUTHORITY_KEY, SIM, Draft, holder
from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.keyset import KeySet, PublicKey, render_jwks
from tokensvc.errors import ConfigurationError, Reason
from tokensvc.verify import Evidence, Expectation, HolderFloor, ScopeGrammar, load_expectation, load_terms

LEAST: Final = f"""
preset = "bearer"
audiences = ["{API}"]
[[issuer]]
iss = "{ISSUER}"
"""
PLANNER: Final = holder("planner").public
FULL: Final = f"""
preset = "delegator_signed"
audiences = ["{API}", "{FILES}"]
root_floor = "authority"

[order]
attenuation = "authority"
proper_from = 2
scope_grammar = "segments"

[limits]
leeway_s = 5
max_depth = 7
max_token_bytes = 9000

[[issuer]]
iss = "{ISSUER}"
jwks_file = "tokens.jwks"

[[authority]]
iss = "{AUTHORITY}"
issuer = "{ISSUER}"
subject_prefix = "{PREFIX}"
jwks_file = "roots.jwks"

[[agent]]
id = "planner"
jwks_file = "planner.jwks"

[[agent]]
id = "mailer"
issuer = "{ISSUER}"
thumbprints = ["{holder("mailer").public.thumbprint}", "{thumbprint("older")}"]
"""


def jwks(*keys: PublicKey) -> str:
    return json.dumps(render_jwks(KeySet(keys)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tokens.jwks").write_text(jwks(SIM.key.public))
    (tmp_path / "roots.jwks").write_text(jwks(AUTHORITY_KEY.public))
    (tmp_path / "planner.jwks").write_text(jwks(PLANNER))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "terms.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> ConfigurationError:
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as refused:
        load_expectation(path)
    assert refused.value.file == str(path)
    return refused.value


def test_the_least_file_states_a_preset_with_its_defaults(folder: Path) -> None:
    expect = load_expectation(write(folder, LEAST))
    assert expect == Expectation.bearer(issuers=[ISSUER], audiences=[API])


@pytest.mark.parametrize("preset", ["bearer", "proof_required"])
def test_every_preset_is_called_by_its_name(folder: Path, preset: str) -> None:
    expect = load_expectation(write(folder, LEAST.replace("bearer", preset)))
    assert expect == getattr(Expectation, preset)(issuers=[ISSUER], audiences=[API])


def test_the_full_file_states_every_term(folder: Path) -> None:
    older = {holder("mailer").public.thumbprint, thumbprint("older")}
    assert load_expectation(write(folder, FULL)) == Expectation.delegator_signed(
        issuers=[ISSUER],
        audiences=[API, FILES],
        agent_keys={(ISSUER, "planner"): [PLANNER.thumbprint], (ISSUER, "mailer"): older},
        root_floor=Evidence.AUTHORITY,
        order=Order(grammar=ScopeGrammar.SEGMENTS, attenuation=Attenuation.AUTHORITY, proper_from=2),
        authorities={(ISSUER, AUTHORITY): PREFIX},
        leeway_s=5,
        max_depth=7,
        max_token_bytes=9000,
    )


def test_terms_with_their_keys_are_all_that_a_verifier_needs(folder: Path) -> None:
    text = Draft.of().token()
    proven = judge(proof(text, key=holder("printer")))
    path = write(folder, FULL.replace("proper_from = 2", "proper_from = 1"))
    terms = load_terms(path)

    assert SIM.reason(text, expect=terms.expect, keys=terms.keys, proof=proven) is None
    assert SIM.reason(text, expect=terms.expect, keys=terms.keys) is Reason.HOLDER_UNPROVEN
    (folder / "tokens.jwks").write_text(jwks(ec_key("another").public))
    other = load_terms(path)
    assert SIM.reason(text, expect=other.expect, keys=other.keys, proof=proven) is Reason.UNKNOWN_KEY


def test_files_of_keys_count_from_the_folder_of_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    path = write(folder, FULL)
    monkeypatch.chdir(elsewhere)
    assert load_terms(Path("..") / path.name).keys.find(ISSUER, SIM.key.kid) is not None


def test_keys_that_no_file_has_are_asked_for_and_may_be_given_by_the_caller(folder: Path) -> None:
    path = write(folder, LEAST)
    with pytest.raises(ConfigurationError) as refused:
        load_terms(path)
    assert refused.value.key == "issuer[0].jwks_file"
    given = load_terms(path, jwks_files={ISSUER: folder / "tokens.jwks"})
    assert given.keys.find(ISSUER, SIM.key.kid) == SIM.key.public
    instead = load_terms(write(folder, FULL), jwks_files={AUTHORITY: folder / "planner.jwks"})
    assert instead.keys.find(AUTHORITY, PLANNER.kid) == PLANNER


def test_one_authority_may_sign_for_two_issuers(folder: Path) -> None:
    text = f"""
        preset = "bearer"
        audiences = ["{API}"]
        [[issuer]]
        iss = "{ISSUER}"
        jwks_file = "tokens.jwks"
        [[issuer]]
        iss = "https://b.example"
        jwks_file = "planner.jwks"
        [[authority]]
        iss = "{AUTHORITY}"
        issuer = "{ISSUER}"
        jwks_file = "roots.jwks"
        [[authority]]
        iss = "{AUTHORITY}"
        issuer = "https://b.example"
    """
    terms = load_terms(write(folder, text))
    assert terms.expect.authorities == {(ISSUER, AUTHORITY): "", ("https://b.example", AUTHORITY): ""}
    missing = refusal(folder, text.replace(f'issuer = "{ISSUER}"\n', ""))
    assert (missing.key, missing.description) == ("authority[0].issuer", "it is missing")


@pytest.mark.parametrize(
    ("change", "key", "problem", "remedy"),
    [
        (("preset", "prest"), "prest", "no such key", "Did you mean preset?"),
        (("[[issuer]]\niss", "[[issuer]]\nisss"), "issuer[0].isss", "no such key", "Did you mean iss?"),
        (("[order]\n", "[order]\nx1 = 1\n"), "order.x1", "no such key", "known here are attenuation"),
        (("[limits]", "[limitz]"), "limitz", "no such key", "Did you mean limits?"),
        (("delegator_signed", "issuer_signed"), "preset", "no such choice", "bearer, proof_required"),
        (('preset = "delegator_signed"', "preset = 1"), "preset", "not a string", "a string"),
        (('preset = "delegator_signed"', ""), "preset", "missing", "Write it: preset"),
        (('iss = "https://as.example"', 'iss = ""'), "issuer[0].iss", "empty", "Write its value"),
        ((f'["{API}", "{FILES}"]', f'"{API}"'), "audiences", "not a list of strings", "Write a list"),
        ((f'["{API}", "{FILES}"]', "[]"), "audiences", "no audience", "Write the resource"),
        ((f'["{API}", "{FILES}"]', '[""]'), "audiences", "not empty", "Write it so"),
        ((f'["{API}", "{FILES}"]', "[1]"), "audiences", "list of strings", "Write it so"),
        (("leeway_s = 5", "leeway_s = true"), "limits.leeway_s", "not a whole number", "Write a whole number"),
        (("leeway_s = 5", 'leeway_s = "5"'), "limits.leeway_s", "not a whole number", "Write a whole number"),
        (("leeway_s = 5", "leeway_s = 5.0"), "limits.leeway_s", "not a whole number", "Write a whole number"),
        (("leeway_s = 5", "leeway_s = 61"), "", "leeway_s is an integer from 0 to 60", "Mend"),
        (("max_depth = 7", "max_depth = 0"), "", "max_depth is an integer", "Mend"),
        (("proper_from = 2", "proper_from = 3"), "", "proper_from is 1 or 2", "Mend"),
        (('"segments"', '"regex"'), "order.scope_grammar", "no such choice", "exact, segments"),
        (('attenuation = "authority"', 'attenuation = "none"'), "order.attenuation", "no such choice", "scope, "),
        (('root_floor = "authority"', 'root_floor = "delegator"'), "root_floor", "no such choice", "issuer, authority"),
        (('root_floor = "authority"', 'hop_floor = "authority"'), "hop_floor", "no such choice", "issuer, delegator"),
        (('root_floor = "authority"', 'hop_floor = "issuer"'), "hop_floor", "less than the preset", "Leave it out"),
        (('root_floor = "authority"', 'holder = "bearer"'), "holder", "less than the preset", "Leave it out"),
        (('root_floor = "authority"', 'holder = "none"'), "holder", "no such choice", "bearer, proof"),
        (('id = "planner"', f'id = "planner"\nissuer = "{FILES}"'), "agent[0].issuer", "no issuer", ISSUER),
        (('id = "planner"', 'id = "mailer"'), "agent[1].id", "twice", "one [[agent]]"),
        (('jwks_file = "planner.jwks"', ""), "agent[0].thumbprints", "no key", "jwks_file"),
        (('thumbprints = ["', 'thumbprints = ["x", "'), "agent[1].thumbprints", "thumbprint is a SHA-256", "RFC 7638"),
        (("[order]\n", "[[order]]\n"), "order", "not a table", "[order]"),
        (("[[issuer]]", "[issuer]"), "issuer", "tables", "[[issuer]]"),
        (('[[agent]]\nid = "planner"', '[[x]]\nid = "planner"'), "x", "no such key", "known here"),
        ((f'iss = "{AUTHORITY}"', f'iss = "{ISSUER}"'), "", "is none itself", "Mend"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place_and_a_remedy(
    folder: Path, change: tuple[str, str], key: str, problem: str, remedy: str
) -> None:
    assert FULL.count(change[0]) >= 1
    refused = refusal(folder, FULL.replace(*change, 1))

    assert refused.key == key
    assert problem in refused.description
    assert remedy in refused.remedy
    assert load_expectation(write(folder, FULL)).max_depth == 7


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('preset = "bearer"\naudiences = ["x"]', "issuer"),
        (LEAST + "[[authority]]\niss = 'a'\n[[authority]]\niss = 'a'", "authority[1].iss"),
        (LEAST.replace('"bearer"', '"delegator_signed"'), ""),
        ('root_floor = "authority"' + LEAST, "root_floor"),
        ('hop_floor = "delegator"' + LEAST, "hop_floor"),
        ("issuer = [1]\n" + LEAST[: LEAST.index("[[issuer]]")], "issuer"),
    ],
)
def test_terms_that_no_token_could_meet_are_refused(folder: Path, text: str, key: str) -> None:
    assert refusal(folder, text).key == key
    assert load_expectation(write(folder, LEAST)).audiences == {API}


@pytest.mark.parametrize(
    ("stated", "floors"),
    [
        ('holder = "proof"', (Evidence.ISSUER, HolderFloor.PROOF)),
        ('holder = "bearer"', (Evidence.ISSUER, HolderFloor.BEARER)),
        ('hop_floor = "issuer"', (Evidence.ISSUER, HolderFloor.BEARER)),
    ],
)
def test_a_file_may_demand_more_than_its_preset(
    folder: Path, stated: str, floors: tuple[Evidence, HolderFloor]
) -> None:
    expect = load_expectation(write(folder, stated + LEAST))
    assert (expect.hop_floor, expect.holder) == floors


@pytest.mark.parametrize("text", ["= 1", "a = " + "9" * 5000, "a = " + "[" * 5000, "\ud800", "a = 1\na = 2"])
def test_what_is_no_toml_is_refused(folder: Path, text: str) -> None:
    path = folder / "terms.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigurationError, match="the file is not TOML"):
        load_expectation(path)


def test_a_file_that_cannot_be_trusted_or_read_is_refused(folder: Path) -> None:
    path = write(folder, LEAST)
    for unusable in (folder / "absent.toml", folder):
        with pytest.raises(ConfigurationError):
            load_expectation(unusable)
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match="every user of this machine may write"):
        load_expectation(path)
    path.chmod(0o664)
    assert load_expectation(path).issuers == {ISSUER}
    path.write_text(LEAST + "#" * 1_000_000)
    with pytest.raises(ConfigurationError, match="larger than"):
        load_expectation(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConfigurationError):
        load_expectation(path)


@pytest.mark.parametrize("file", ["planner.jwks", "tokens.jwks"])
def test_a_file_of_keys_that_cannot_be_used_is_named(folder: Path, file: str) -> None:
    path = write(folder, FULL)
    assert load_terms(path).expect == load_expectation(path)
    (folder / file).write_text("{}")
    with pytest.raises(ConfigurationError) as refused:
        load_terms(path)
    assert refused.value.file == str(folder / file)


def test_the_file_in_the_documentation_of_the_module_is_one(folder: Path) -> None:
    from tokensvc.verify import terms_file  # noqa: PLC0415 - its text is what is tested

    shown = (terms_file.__doc__ or "").split("\n\n    ", 1)[1].rpartition("\n\n")[0]
    for name in ("tokens.jwks", "idp-roots.jwks"):
        (folder / name).write_text(jwks(ec_key(name).public))
    terms = load_terms(write(folder, "\n".join(line.strip() for line in shown.splitlines())))
    assert terms.expect.holder is HolderFloor.PROOF
    assert len(terms.expect.agent_keys[("https://tokens.example", "planner")]) == 2


def test_the_file_on_the_page_of_the_verifier_is_one(folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "verifier.md").read_text("utf-8")
    for name in ("tokens.jwks", "idp-roots.jwks"):
        (folder / name).write_text(jwks(ec_key(name).public))
    terms = load_terms(write(folder, page.split("```toml\n")[1].split("```")[0]))
    assert (terms.expect.holder, terms.expect.audiences) == (HolderFloor.PROOF, frozenset({"https://api.example"}))


def test_members_are_exactly_typed(folder: Path) -> None:
    odd: Members = {"proper_from = 2": "proper_from = true", "max_depth = 7": 'max_depth = "7"'}
    for change in odd.items():
        assert "whole number" in refusal(folder, FULL.replace(*change)).description
