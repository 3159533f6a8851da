"""`tokensvc authority sign`: a root as a token service takes it, from what an identity provider has at hand."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner, Result

from tests.simulator import ec_key, jwk
from tokensvc.cli import authority, make_app
from tokensvc.core.chain import HARD_MAX_DEPTH
from tokensvc.core.entry import parse_root
from tokensvc.core.jws import SigningKey, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.settings import MAX_ROOT_LIFETIME_S
from tokensvc.settings.sources import DEFAULT_DEPTH

ISS, AUD, CRM = "https://idp.example", "https://tokens.example", "https://crm.example/api"
KEY = ec_key("roots")
DETAILS = '[{"type": "payment", "currency": "EUR"}]'


def write_key(folder: Path, key: SigningKey = KEY, *, mode: int = 0o600) -> Path:
    path = folder / "roots.private.jwk.json"
    path.write_text(json.dumps(key.unsafe_private_jwk()))
    path.chmod(mode)
    return path


def write_jwks(folder: Path, *keys: SigningKey) -> Path:
    path = folder / "planner.jwks.json"
    path.write_text(json.dumps(render_jwks(KeySet(key.public for key in keys))))
    return path


def options(key: Path, /, **changes: str | Path | None) -> list[str]:
    """The options of a root that can be signed, each replaceable; None leaves one out."""
    plain: dict[str, str | Path | None] = {
        "key": key,
        "issuer": ISS,
        "audience": AUD,
        "sub": "alice",
        "actor": "planner",
        "actor_jkt": ec_key("planner").public.thumbprint,
        "scope": "crm.read crm.write",
        "resource": CRM,
    }
    present = {name.replace("_", "-"): value for name, value in {**plain, **changes}.items() if value is not None}
    return [word for name, value in present.items() for word in (f"--{name}", str(value))]


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(make_app(), ["authority", "sign", *words], input=stdin)


def claims_of(result: Result) -> dict[str, Any]:
    assert (result.exit_code, result.stderr) == (0, "")
    claims: dict[str, Any] = json.loads(split_compact(result.stdout.rstrip("\n"), max_bytes=10_000).payload)
    return claims


def test_the_root_and_nothing_else_is_printed(tmp_path: Path) -> None:
    before = int(time.time())
    result = run(*options(write_key(tmp_path)), "--resource", "https://files.example")
    claims = claims_of(result)

    text = result.stdout.removesuffix("\n")
    jws = split_compact(text, max_bytes=10_000)
    assert json.loads(jws.header) == {"typ": "delegation-root+jwt", "alg": "ES256", "kid": "roots"}
    assert verify_signature(jws, KEY.public)
    root = parse_root({"jws": text})
    assert (root.iss, root.sub, root.authority.scope) == (ISS, "alice", frozenset({"crm.read", "crm.write"}))
    assert root.authority.resources == frozenset({CRM, "https://files.example"})
    assert root.claim is not None
    assert (root.claim.aud, root.claim.actor) == (AUD, "planner")
    assert root.claim.jkt == ec_key("planner").public.thumbprint
    assert before <= claims["iat"] <= int(time.time())
    assert (claims["exp"] - claims["iat"], claims["max_depth"]) == (3600, 5)
    assert "authorization_details" not in claims


def test_json_has_the_claims_beside_the_root(tmp_path: Path) -> None:
    result = run(*options(write_key(tmp_path), lifetime="600", max_depth="2"), "--json")
    answer = json.loads(result.stdout)

    assert json.loads(split_compact(answer["root"], max_bytes=10_000).payload) == answer["claims"]
    assert answer["claims"]["exp"] - answer["claims"]["iat"] == 600
    assert answer["claims"]["max_depth"] == 2


def test_every_root_has_an_id_of_its_own(tmp_path: Path) -> None:
    words = options(write_key(tmp_path))
    assert claims_of(run(*words))["jti"] != claims_of(run(*words))["jti"]


def test_the_key_of_the_agent_may_stand_in_its_key_set(tmp_path: Path) -> None:
    jwks = write_jwks(tmp_path, ec_key("first"), ec_key("second"))
    words = options(write_key(tmp_path), actor_jkt=None)
    expected = {"jkt": ec_key("first").public.thumbprint}
    assert claims_of(run(*words, "--actor-jwks", str(jwks)))["cnf"] == expected
    assert claims_of(run(*words, "--actor-jwks", "-", stdin=jwks.read_text()))["cnf"] == expected


def test_details_come_from_a_file_or_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "details.json").write_text(DETAILS)
    for given in (DETAILS, str(tmp_path / "details.json")):
        claims = claims_of(run(*options(write_key(tmp_path), authorization_details=given)))
        assert claims["authorization_details"] == json.loads(DETAILS)


NATIVE: list[Any] = [
    (Algorithm.ES256, ec.generate_private_key(ec.SECP256R1())),
    (Algorithm.ED25519, ed25519.Ed25519PrivateKey.generate()),
    (Algorithm.RS256, rsa.generate_private_key(public_exponent=65537, key_size=2048)),
]


@pytest.mark.parametrize(("algorithm", "native"), NATIVE, ids=[str(algorithm) for algorithm, _ in NATIVE])
def test_a_key_may_be_a_jwk_or_pem_of_every_algorithm(tmp_path: Path, algorithm: Algorithm, native: Any) -> None:  # noqa: ANN401 - a key
    pem = native.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = SigningKey.from_jwk({**SigningKey.from_pem(pem, alg=algorithm).unsafe_private_jwk(), "kid": "roots"})
    path = tmp_path / "roots.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    for file, kid in ((write_key(tmp_path, key), "roots"), (path, key.public.thumbprint)):
        jws = split_compact(run(*options(file)).stdout.rstrip("\n"), max_bytes=10_000)
        assert json.loads(jws.header) == {"typ": "delegation-root+jwt", "alg": key.alg, "kid": kid}
        assert verify_signature(jws, key.public)
    named = split_compact(run(*options(path, kid="2026-11")).stdout.rstrip("\n"), max_bytes=10_000)
    assert json.loads(named.header)["kid"] == "2026-11"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scope": "crm.read crm.read"}, "no token service takes this: a scope stands twice"),
        ({"scope": ""}, "no token service takes this"),
        ({"resource": "crm"}, "no token service takes this: a resource is not an absolute URI"),
        ({"sub": ""}, "no token service takes this: the sub of the root"),
        ({"actor_jkt": "short"}, "--actor-jkt: a thumbprint is a SHA-256 value in base64url"),
        ({"actor_jkt": None}, "either --actor-jwks or --actor-jkt"),
        ({"actor_jwks": "x"}, "either --actor-jwks or --actor-jkt"),
        ({"actor_jkt": None, "actor_jwks": "gone.json"}, "--actor-jwks: cannot read the file"),
        ({"authorization_details": "[7]"}, "--authorization-details:"),
        ({"authorization_details": "[{]"}, "--authorization-details:"),
        ({"authorization_details": "gone.json"}, "--authorization-details: cannot read the file"),
        ({"lifetime": "28801"}, "--lifetime"),
        ({"lifetime": "0"}, "--lifetime"),
        ({"max_depth": "11"}, "--max-depth"),
        ({"issuer": None}, "--issuer"),
        ({"key": None}, "--key"),
    ],
    ids=str,
)
def test_what_no_service_would_take_is_not_signed(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    key = write_key(tmp_path)
    result = run(*options(key, **changes))
    assert (result.exit_code, result.stdout) == (2, "")
    assert problem in " ".join(result.stderr.replace("│", " ").split())
    assert run(*options(key)).exit_code == 0


def test_a_key_set_without_a_key_names_no_agent(tmp_path: Path) -> None:
    words = options(write_key(tmp_path), actor_jkt=None, actor_jwks=write_jwks(tmp_path))
    assert run(*words).exit_code == 2
    write_jwks(tmp_path, ec_key("planner"))
    assert run(*words).exit_code == 0


def test_a_private_key_where_the_public_ones_should_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "planner.jwks.json"
    path.write_text(json.dumps({"keys": [ec_key("planner").unsafe_private_jwk()]}))
    result = run(*options(write_key(tmp_path), actor_jkt=None, actor_jwks=path))
    assert result.exit_code == 2
    assert ec_key("planner").unsafe_private_jwk()["d"] not in result.stderr


def test_a_key_that_others_may_read_signs_nothing(tmp_path: Path) -> None:
    result = run(*options(write_key(tmp_path, mode=0o640)))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "other users may read this" in result.stderr
    assert "chmod 600" in result.stderr
    assert run(*options(write_key(tmp_path))).exit_code == 0


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(jwk(KEY)),
        json.dumps({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}),
        "c2VjcmV0LXNlY3JldC1zZWNyZXQ",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXNlY3JldC1zZWNyZXQ\n-----END PRIVATE KEY-----\n",
        "",
    ],
    ids=["public", "symmetric", "text", "PEM", "empty"],
)
def test_what_is_no_private_key_is_said_without_a_word_of_it(tmp_path: Path, content: str) -> None:
    path = write_key(tmp_path)
    path.write_text(content)
    result = run(*options(path))
    shown = run(*options(path), "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "Make one: tokensvc keys client" in result.stderr
    assert json.loads(shown.stdout)["ok"] is False
    assert "c2VjcmV0" not in result.stderr + shown.stdout


def test_a_key_that_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    result = run(*options(tmp_path / "gone.json"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "gone.json" in result.stderr


def test_the_bounds_of_the_help_are_those_of_the_service() -> None:
    assert authority._MAX_LIFETIME_S == MAX_ROOT_LIFETIME_S  # noqa: SLF001 - that they agree is the test
    assert authority._HARD_MAX_DEPTH == HARD_MAX_DEPTH  # noqa: SLF001
    assert authority._DEFAULT_DEPTH == DEFAULT_DEPTH  # noqa: SLF001
