"""`tokensvc exchange --holder-key`: proofs, nonces, signed delegations; and refusals that say which option helps."""

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import Result

from tests.cli.service import COMMAND, TIMEOUT_S, Service, holder_key_of, run, running
from tests.settings_file import API, valid_values
from tests.simulator import ec_key, rsa_key, seal
from tokensvc.cli.remedy import exchange_remedy, remedy_of
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import split_compact
from tokensvc.core.keyset import KeySet, render_jwks

ISSUER: Final = "https://tokens.example"
POST: Final = "client_secret_post"
# Every agent holds a key. What signer delegates has to be signed.
AGENTS: Final[dict[str, dict[str, object]]] = {
    "planner": {"holder": True},
    "researcher": {"holder": True},
    "signer": {"holder": True, "may_delegate_to": ["researcher"], "evidence": "delegator"},
}
READ: Final = ("--scope", "crm.read")
SIGN: Final = ("--sign-grant", *READ, "--resource", API)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running(folder, path="/t1", agents=AGENTS, server={"dpop_nonces": True}) as service:
        yield service


@pytest.fixture(scope="module")
def planner_token(service: Service) -> str:
    started = exchange(service, "planner", "--scope", "crm.read crm.write crm.delete", token=service.user_token())
    assert started.exit_code == 0, started.stderr
    return started.stdout


def exchange(
    service: Service, client: str, *options: str | Path, token: str, holder: Path | str | None = "its own"
) -> Result:
    by_key: list[Path | str] = ["--key", service.key(client)]
    who = by_key if client == "signer" else ["--secret-file", service.secret(client)]
    held = [] if holder is None else ["--holder-key", service.holder(client) if holder == "its own" else holder]
    place = ["--issuer", service.issuer, "--client-id", client]
    return run("exchange", *place, *who, *held, *options, stdin=token)


def answer(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def claims_of(token: str) -> dict[str, Any]:
    return dict(parse_json_object(split_compact(token.strip(), max_bytes=16_384).payload))


def jkt_of(client: str) -> str:
    return holder_key_of(client).public.thumbprint


# Proven.


def test_what_is_started_with_a_key_is_bound_to_it_and_that_is_drawn(service: Service) -> None:
    result = exchange(service, "planner", *READ, token=service.user_token())
    assert result.exit_code == 0
    assert claims_of(result.stdout)["cnf"] == {"jkt": jkt_of("planner")}
    lines = [line.strip("└─ ") for line in result.stderr.splitlines()]
    assert lines[0] == "verified"
    assert [line for line in lines if line.startswith("evidence")] == ["evidence     issuer"] * 2
    assert [line for line in lines if line.startswith("holder")] == ["holder       bound to a key (DPoP)"] * 2


def test_json_says_whose_word_each_hop_is_and_what_the_token_is_bound_to(service: Service, planner_token: str) -> None:
    given = answer(exchange(service, "planner", *SIGN, "--for", "signer", "--json", token=planner_token))
    assert (given["verified"], given["token_type"], given["cnf"]) == (True, "DPoP", {"jkt": jkt_of("signer")})
    assert [entry["evidence"] for entry in given["chain"]] == ["issuer", "issuer", "delegator"]
    assert [hop["jkt"] for hop in given["chain"][1:]] == [jkt_of("planner"), jkt_of("signer")]


def test_with_an_assertion_the_nonce_takes_another_one(service: Service, planner_token: str) -> None:
    """signer authenticates by an assertion, which the service takes once; the nonce takes a second request."""
    handed = exchange(service, "planner", *READ, "--for", "signer", token=planner_token).stdout
    options = [*READ, "--for", "signer", "--resource", API, "--actor-token"]
    result = exchange(service, "signer", *options, token=handed)
    assert result.exit_code == 0, result.stderr
    assert claims_of(result.stdout)["cnf"] == {"jkt": jkt_of("signer")}
    tail = run("records", "tail", "--config", service.config, "--json", "-n", "2").stdout.splitlines()
    first, second = (json.loads(line) for line in tail)
    assert (first["client_id"], first["reason"]) == ("signer", "proof_invalid")
    assert first["inputs"]["refusal"]["error"] == "use_dpop_nonce"
    assert (second["client_id"], second["outcome"]) == ("signer", "granted")


# Signed.


def test_a_signed_delegation_is_drawn_as_the_delegators_word(service: Service, planner_token: str) -> None:
    signed = exchange(service, "planner", *SIGN, "--for", "researcher", token=planner_token)
    plain = exchange(service, "planner", *READ, "--for", "researcher", token=planner_token)
    assert (signed.exit_code, plain.exit_code) == (0, 0), signed.stderr
    assert signed.stderr.startswith("verified\n")
    assert signed.stderr.count("evidence     delegator") == 1
    assert "evidence     delegator" not in plain.stderr
    assert "token  (exchange-only)" in signed.stderr
    assert set(claims_of(signed.stdout)["grant_chain"][2]) == {"jws"}


def test_what_was_handed_on_is_picked_up_with_the_key_it_is_bound_to(service: Service, planner_token: str) -> None:
    handed = exchange(service, "planner", *SIGN, "--for", "researcher", token=planner_token).stdout
    options = [*READ, "--for", "researcher", "--resource", API, "--auth", POST]
    stolen = exchange(service, "researcher", *options, token=handed, holder=service.holder("planner"))
    assert (stolen.exit_code, stolen.stdout) == (1, "")
    picked_up = exchange(service, "researcher", *options, token=handed)
    assert picked_up.exit_code == 0, picked_up.stderr
    assert claims_of(picked_up.stdout)["aud"] == API
    assert "evidence     delegator" in picked_up.stderr


def test_every_wish_is_signed(service: Service, planner_token: str) -> None:
    wishes = ["--lifetime", "600", "--max-depth", "2", "--authorization-details", "[]"]
    given = answer(exchange(service, "planner", *SIGN, "--for", "signer", *wishes, "--json", token=planner_token))
    hop = given["chain"][2]
    assert (hop["exp"] - hop["iat"], hop["max_depth"], hop["scope"]) == (600, 2, "crm.read")
    open_wishes = answer(exchange(service, "planner", *SIGN, "--for", "signer", "--json", token=planner_token))
    parent, hop = open_wishes["chain"][1:]
    assert (hop["exp"], hop["max_depth"]) == (parent["exp"], parent["max_depth"])
    details = json.dumps([{"type": "x"}])
    options = [*SIGN, "--for", "signer", "--authorization-details", details, "--json"]
    assert answer(exchange(service, "planner", *options, token=planner_token))["error"] == (
        "invalid_authorization_details"
    )


def test_the_key_of_the_delegatee_may_be_given(service: Service, planner_token: str) -> None:
    who: list[str | Path] = ["--client-id", "planner", "--secret-file", service.secret("planner")]
    who += ["--holder-key", service.holder("planner"), "--token-endpoint", f"{service.issuer}/token"]
    options = [*SIGN, "--for", "researcher", "--holder-jkt"]
    result = run("exchange", *who, *options, jkt_of("researcher"), stdin=planner_token)
    assert result.exit_code == 0, result.stderr
    assert claims_of(result.stdout)["cnf"] == {"jkt": jkt_of("researcher")}
    of_another = run("exchange", *who, *options, jkt_of("planner"), stdin=planner_token)
    assert (of_another.exit_code, of_another.stdout) == (1, "")
    assert "grant_invalid" in of_another.stderr
    assert f"do       {exchange_remedy(None, 'grant_invalid')}\n" in of_another.stderr


def test_where_signatures_are_a_must_the_refusal_names_the_option(service: Service, planner_token: str) -> None:
    handed = exchange(service, "planner", "--scope", "crm.read crm.write", "--for", "signer", token=planner_token)
    own = exchange(service, "signer", "--scope", "crm.read crm.write", "--for", "signer", token=handed.stdout)
    plain = exchange(service, "signer", *READ, "--for", "researcher", token=own.stdout)
    assert (plain.exit_code, plain.stdout) == (1, "")
    first, _, do, *_ = plain.stderr.splitlines()
    assert first == "refused: invalid_request: evidence_insufficient"
    assert "--sign-grant" in do
    # The key of researcher is asked for with an assertion, which goes into a form.
    signed = exchange(service, "signer", *SIGN, "--for", "researcher", token=own.stdout)
    assert signed.exit_code == 0, signed.stderr


def test_an_agent_that_may_not_be_delegated_to_has_no_key_to_tell(service: Service, planner_token: str) -> None:
    result = exchange(service, "planner", *SIGN, "--for", "nobody", token=planner_token)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the agent nobody is unknown" in result.stderr
    assert "--holder-jkt" in result.stderr
    said = answer(exchange(service, "planner", *SIGN, "--for", "nobody", "--json", token=planner_token))
    assert said["ok"] is False


def test_who_is_not_let_in_is_told_no_key(service: Service, planner_token: str) -> None:
    (service.folder / "wrong.secret").write_text("wrong")
    who: list[str | Path] = ["--issuer", service.issuer, "--client-id", "planner"]
    who += ["--holder-key", service.holder("planner"), *SIGN, "--for", "researcher", "--secret-file"]
    result = run("exchange", *who, service.folder / "wrong.secret", stdin=planner_token)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("refused: invalid_client\n")
    assert run("exchange", *who, service.secret("planner"), stdin=planner_token).exit_code == 0


def test_an_agent_without_a_key_gets_nothing_signed(tmp_path: Path) -> None:
    agents = {"planner": {"holder": True}, "signer": {"holder": True}}
    with running(tmp_path, agents=agents) as service:
        token = exchange(service, "planner", "--scope", "crm.read crm.write", token=service.user_token()).stdout
        result = exchange(service, "planner", *SIGN, "--for", "researcher", token=token)
        control = exchange(service, "planner", *SIGN, "--for", "signer", token=token)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the agent researcher is registered without a holder key" in result.stderr
    assert control.exit_code == 0


def test_the_shell_of_the_page_delegates_signed(tmp_path: Path) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "token-service.md").read_text("utf-8")
    script = page.partition("## From a shell\n")[2].partition("```sh\n")[2].partition("```")[0]
    agents: dict[str, dict[str, object]] = {
        "planner": {"holder": True},
        "researcher": {"holder": True, "auth": "client_secret_basic"},
    }
    with running(tmp_path, agents=agents) as service:
        for agent in agents:
            service.secret(agent)
            service.holder(agent).rename(tmp_path / f"{agent}-holder.private.jwk.json")
        (tmp_path / "user.token").write_text(service.user_token())
        script = script.replace("tokensvc exchange", f"{COMMAND} exchange").replace(ISSUER, service.issuer)
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    assert (done.returncode, done.stderr.count("verified\n")) == (0, 3), done.stderr
    # In what planner handed on, and in what researcher made of it.
    assert done.stderr.count("evidence     delegator") == 2
    assert claims_of((tmp_path / "researcher.token").read_text())["cnf"] == {"jkt": jkt_of("researcher")}


# Refused.


@pytest.mark.parametrize(("holder", "codes"), [
    (None, "invalid_request: holder_unproven"),
    ("signer", "invalid_request: holder_unproven"),
])  # fmt: skip
def test_a_key_that_is_not_proven_is_refused_and_the_option_named(
    service: Service, planner_token: str, holder: str | None, codes: str
) -> None:
    key = None if holder is None else service.holder(holder)
    result = exchange(service, "planner", *READ, "--for", "researcher", token=planner_token, holder=key)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"refused: {codes}\n")
    assert f"do       {exchange_remedy(None, 'holder_unproven')}\n" in result.stderr
    assert exchange(service, "planner", *READ, "--for", "researcher", token=planner_token).exit_code == 0


def test_remedies_name_an_option_where_one_helps() -> None:
    for error, reason in [
        ("invalid_request", "holder_unproven"),
        ("invalid_request", "evidence_insufficient"),
        ("use_dpop_nonce", "proof_invalid"),
    ]:
        assert "--holder-key" in (exchange_remedy(error, reason) or "")
    assert "--sign-grant" in (exchange_remedy("invalid_request", "grant_invalid") or "")
    assert exchange_remedy("invalid_scope", "not_narrower") == remedy_of("not_narrower")
    assert exchange_remedy("never heard of", None) is None


# Wrong usage, which is said before anything is sent: nobody listens at this address.

PLACE: Final = ("--issuer", "http://127.0.0.1:9")
WITHOUT_KEY: Final = (*PLACE, *SIGN, "--for", "researcher")
WITH_KEY: Final = (*PLACE, "--holder-key", "planner.holder")
USAGE: Final = [
    (WITHOUT_KEY, "--sign-grant needs --holder-key:"),
    ((*WITH_KEY, *SIGN), "--sign-grant needs --for:"),
    ((*WITH_KEY, "--sign-grant", "--for", "researcher", *READ), "--sign-grant needs --resource:"),
    ((*WITH_KEY, "--sign-grant", "--for", "researcher", "--resource", API), "--sign-grant needs --scope:"),
    ((*PLACE, "--sign-grant"), "--sign-grant needs --for and --holder-key and --scope and --resource:"),
    ((*WITH_KEY, *SIGN, "--for", "planner"), "for another agent than the one that asks"),
    ((*WITH_KEY, *SIGN, "--for", "researcher", "--audience", "crm"), "--sign-grant goes without --audience"),
    (("--token-endpoint", "http://127.0.0.1:9/token", *WITH_KEY[2:], *SIGN, "--for", "researcher"), "or --holder-jkt"),
    ((*WITH_KEY, "--holder-jkt", jkt_of("researcher")), "--holder-jkt needs --sign-grant"),
    ((*WITH_KEY, *SIGN, "--for", "researcher", "--holder-jkt", "short"), "--holder-jkt: a thumbprint is"),
    ((*WITH_KEY, *SIGN, "--for", "researcher", "--resource", "api"), "a resource is an absolute URI"),
    ((*PLACE, "--holder-key", "signer.holder", *SIGN, "--for", "researcher"), "is not bound to this key"),
    ((*PLACE, "--holder-key", "rsa"), "--holder-key: a holder key is of ES256 or Ed25519"),
    ((*PLACE, "--holder-key", "public"), "--holder-key: not a private JWK of ES256 or Ed25519"),
    ((*PLACE, "--holder-key", "secret"), "--holder-key: not a private JWK of ES256 or Ed25519"),
    ((*PLACE, "--holder-key", "none"), "--holder-key: cannot read the file"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "problem"), USAGE)
def test_wrong_usage_is_said_before_anything_is_sent(
    planner_token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {name: holder_key_of(name).unsafe_private_jwk() for name in ("planner", "signer")}
    contents = {f"{name}.holder": json.dumps(key) for name, key in keys.items()}
    contents |= {"rsa": json.dumps(rsa_key("holder").unsafe_private_jwk()), "secret": "S3cret-and-no-key"}
    contents |= {"public": json.dumps(holder_key_of("planner").public.jwk())}
    for name, content in contents.items():
        Path(name).write_text(content)
    result = run("exchange", "--client-id", "planner", "--secret-file", "secret", *options, stdin=planner_token)
    assert (result.exit_code, result.stdout) == (2, "")
    assert problem in " ".join(result.stderr.replace("│", " ").split())
    assert_nothing_secret(result, planner_token, *contents.values())


def test_what_fits_is_sent(planner_token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of all of the above: it fails because nobody listens."""
    monkeypatch.chdir(tmp_path)
    Path("planner.holder").write_text(json.dumps(holder_key_of("planner").unsafe_private_jwk()))
    Path("secret").write_text("secret")
    options = (*WITH_KEY, *SIGN, "--for", "researcher", "--holder-jkt", jkt_of("researcher"))
    result = run("exchange", "--client-id", "planner", "--secret-file", "secret", *options, stdin=planner_token)
    assert result.exit_code == 4


def test_a_token_of_a_user_is_nothing_to_sign_below(service: Service) -> None:
    user_token = service.user_token()
    result = exchange(service, "planner", *SIGN, "--for", "researcher", token=user_token)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not a token of a token service of this profile" in result.stderr
    assert_nothing_secret(result, user_token)


def test_no_key_token_or_grant_is_in_what_is_said(service: Service, planner_token: str) -> None:
    key = service.holder("planner").read_text()
    granted = exchange(service, "planner", *SIGN, "--for", "researcher", token=planner_token)
    results = [
        exchange(service, "planner", *SIGN, "--for", "researcher", "--scope", "mail.send", token=planner_token),
        exchange(service, "planner", *SIGN, "--for", "nobody", token=planner_token),
        exchange(service, "planner", *READ, "--for", "researcher", token=planner_token, holder=key),
    ]
    assert [result.exit_code for result in results] == [1, 1, 2]
    assert granted.stdout[:40] not in granted.stderr
    for result in (granted, *results):
        assert_nothing_secret(result, planner_token, key)


def assert_nothing_secret(result: Result, *secrets: str) -> None:
    """No run of 24 characters of a secret stands in what people read."""
    said = result.stderr.replace("\n", "")
    private = {member for text in secrets if text.startswith("{") for name, member in json.loads(text).items()
               if name in {"d", "p", "q", "dp", "dq", "qi"}}  # fmt: skip
    for text in {*private, *(text.strip() for text in secrets if not text.startswith("{"))}:
        assert len(text) >= 16
        assert all(text[start:end] not in said for start, end in pairwise(range(0, len(text) + 1, 16)))


def test_help_stays_in_panels_and_shows_how_to_sign() -> None:
    result = run("exchange", "--help")
    assert "With a key that it holds" in result.stdout
    assert "--sign-grant --for researcher" in " ".join(result.stdout.split())


# Below a root that an authority signed.


def signed_root(issuer: str) -> str:
    """What an authority lets planner do for one of its users."""
    now = int(time.time())
    claims = {"iss": "https://authority.example", "sub": "ann", "aud": issuer, "actor": "planner", "resources": [API]}
    times = {"iat": now, "exp": now + 600, "jti": secrets.token_urlsafe(16), "max_depth": 3}
    bound = {"scope": "crm.read crm.write crm.delete", "cnf": {"jkt": holder_key_of("planner").public.thumbprint}}
    header = {"typ": "delegation-root+jwt", "alg": "ES256", "kid": "roots"}
    return seal(header, {**claims, **times, **bound}, ec_key("roots"))


def test_a_root_of_an_authority_starts_and_what_stands_below_it_is_said_not_to_be_verified(tmp_path: Path) -> None:
    (tmp_path / "roots.jwks.json").write_text(json.dumps(render_jwks(KeySet([ec_key("roots").public]))))
    ceiling = {"resources": [API]}
    authority = {"iss": "https://authority.example", "subject_prefix": "corp:", "ceiling": ceiling}
    provider = {**valid_values()["identity_provider"][0], "typ": ["at+jwt"], "algorithms": ["RS256"]}
    providers = [{**provider, "ceiling": ceiling, "subject_prefix": "idp:"}]
    tables: dict[str, Any] = {
        "authority": [{**authority, "jwks_file": "roots.jwks.json"}],
        "identity_provider": providers,
    }
    with running(tmp_path, agents={"planner": {"holder": True}}, **tables) as service:
        start = ["--subject-token-type", "jwt", "--scope", "crm.read crm.write"]
        root = signed_root(service.issuer)
        started = exchange(service, "planner", *start, token=root)
        renewed = exchange(
            service, "planner", "--for", "planner", "--scope", "crm.read crm.write", token=started.stdout
        )
        as_access_token = exchange(service, "planner", "--scope", "crm.read crm.write", token=root)

    for result in (started, renewed):
        assert result.exit_code == 0, result.stderr
        assert "not verified here: it stands below a root that https://authority.example signed" in result.stderr
        assert parse_json_object(split_compact(result.stdout.strip(), max_bytes=16_384).payload)["sub"] == "corp:ann"
    assert as_access_token.exit_code == 1
