"""Against oidc-provider (npm), a certified OpenID provider: its users log in, and their tokens start delegations here.

Both run over real HTTP on the clock of the system. Nothing of the provider is told to the token service but its `iss`.
"""

import base64
import hashlib
import json
import secrets
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import jwt
import pytest
import uvicorn

from tests.jwks_server import FakeClock
from tests.programs import require_node_package
from tests.settings_file import sha256, write_settings
from tokensvc.core.keyset import Algorithm
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE, ID_TOKEN_TYPE, JWT_TYPE
from tokensvc.settings import load_settings
from tokensvc.signing.keyfiles import generate_key
from tokensvc.wiring import bind, build_app, fetched_keys_of, uvicorn_config

SCRIPT: Final = Path(__file__).resolve().parents[1] / "node" / "provider.mjs"
TIMEOUT_S: Final = 20
API: Final = "https://api.example"
# How the provider calls the token service and the agent.
RESOURCE: Final = "https://tokens.example"
CLIENT: Final = "idp-planner"
CALLBACK: Final = "http://127.0.0.1/callback"
SCOPE: Final = "openid crm.read crm.write crm.export crm.delete"
COOLDOWN_S: Final = 30
MAX_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's process."""

    issuer: str
    process: subprocess.Popen[str]

    def rotate(self) -> None:
        """From now on it has another key, and forgets its sessions."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("rotate\n")
        self.process.stdin.flush()
        assert json.loads(self.process.stdout.readline()) == {"rotated": True}

    def log_in(self, user: str, *, client_id: str = CLIENT) -> dict[str, str]:
        """The tokens that `user` gets by logging in at `client_id` (authorization code flow, RFC 7636, RFC 8707)."""
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": client_id,
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "nonce": "n",
        }
        with httpx2.Client(timeout=TIMEOUT_S) as browser:
            query = httpx2.QueryParams(
                {**asked, "resource": RESOURCE, "code_challenge": challenge, "code_challenge_method": "S256"}
            )
            code = _authorize(browser, f"{self.issuer}/auth?{query}", user)
            form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
            answer = browser.post(
                f"{self.issuer}/token",
                data={**form, "redirect_uri": CALLBACK, "resource": RESOURCE},
                auth=(client_id, f"{client_id}-secret"),
            )
        assert answer.status_code == 200, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens


def _authorize(browser: httpx2.Client, url: str, user: str) -> str:
    """The code, after the provider's pages to log in and to consent were filled in."""
    for _ in range(MAX_STEPS):
        if url.startswith(CALLBACK):
            return parse_qs(urlsplit(url).query)["code"][0]
        answer = browser.get(url)
        if answer.status_code == 200:
            page = answer.text
            filled = {"prompt": "login", "login": user, "password": "any"} if 'value="login"' in page else {}
            answer = browser.post(url, data=filled or {"prompt": "consent"})
        url = urljoin(url, answer.headers["location"])
    raise AssertionError(url)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    node = require_node_package("oidc-provider")
    pipe = subprocess.PIPE
    with subprocess.Popen([node, SCRIPT], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Provider(json.loads(process.stdout.readline())["issuer"], process)
        finally:
            process.stdin.close()
            process.wait(TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Service:
    """The token service, and the clock by which it may fetch keys again."""

    issuer: str
    key_clock: FakeClock

    def start(self, token: str, token_type: str, *, agent: str = "planner", scope: str = "crm.read") -> dict[str, Any]:
        """The answer to `agent`, which starts a delegation."""
        form = {"grant_type": GRANT_TYPE, "subject_token": token, "subject_token_type": token_type, "scope": scope}
        credentials = (agent, f"{agent}-secret")
        answer = httpx2.post(f"{self.issuer}/token", data=form, auth=credentials, timeout=TIMEOUT_S)
        body: dict[str, Any] = answer.json()
        assert (answer.status_code == 200) == ("access_token" in body)
        return body


def _values(issuer: str, provider: Provider) -> dict[str, Any]:
    def agent(name: str, **members: object) -> dict[str, object]:
        bare = {"id": name, "auth": "client_secret_basic", "secret_sha256": [sha256(f"{name}-secret")]}
        scopes = ["crm.read", "crm.write"]
        return {**bare, "scopes": scopes, "resources": [API], "default_resource": API, **members}

    upstream = {
        "iss": provider.issuer,
        "discovery": True,
        "private_networks": ["127.0.0.0/8"],
        "audience": [RESOURCE],
        "typ": ["at+jwt"],
        "algorithms": ["ES256"],
        "required_claims": {"tid": "tenant-1"},
        "id_tokens": True,
        "scope_claim": "roles",
        "scope_map": {"CRM Reader": "crm.read", "CRM Writer": ["crm.write", "crm.export"]},
        "max_token_lifetime_s": 600,
        "subject_prefix": "idp:",
        "ceiling": {"resources": [API]},
    }
    resource = {"id": API, "client_id": "api", "secret_sha256": [sha256("api")]}
    return {
        "issuer": issuer,
        "store": {"url": "memory:"},
        "identity_provider": [upstream],
        "agent": [agent("planner", upstream_client_ids={provider.issuer: CLIENT}), agent("researcher")],
        "resource": [{**resource, "scopes": ["crm.read", "crm.write", "crm.export", "crm.delete"]}],
    }


@pytest.fixture(scope="module")
def service(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder, listener, clock = tmp_path_factory.mktemp("service"), bind("127.0.0.1", 0), FakeClock()
    issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
    generate_key(folder / "keys", Algorithm.ES256, now=1)
    settings = load_settings(write_settings(folder, _values(issuer, provider)), {})
    app = build_app(settings, fetched_keys=fetched_keys_of(settings, clock=clock))
    server = uvicorn.Server(uvicorn_config(app, graceful_shutdown_s=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Service(issuer, clock)
    server.should_exit = True
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def tokens(provider: Provider) -> Mapping[str, str]:
    return provider.log_in("alice")


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


@pytest.mark.parametrize(
    ("member", "token_type"),
    [("access_token", ACCESS_TOKEN_TYPE), ("access_token", JWT_TYPE), ("id_token", ID_TOKEN_TYPE)],
)
def test_its_tokens_start_a_delegation_of_its_user(
    service: Service, tokens: Mapping[str, str], member: str, token_type: str
) -> None:
    root = claims_of(service.start(tokens[member], token_type)["access_token"])["grant_chain"][0]

    assert root["sub"] == "idp:alice"
    assert root["scope"] == "crm.export crm.read crm.write"
    assert root["exp"] == claims_of(tokens[member])["exp"]


def test_its_two_kinds_of_tokens_differ_as_the_settings_expect(tokens: Mapping[str, str]) -> None:
    for member, typ, aud in (("access_token", "at+jwt", RESOURCE), ("id_token", "JWT", CLIENT)):
        assert jwt.get_unverified_header(tokens[member])["typ"] == typ
        assert claims_of(tokens[member])["aud"] == aud


@pytest.mark.requirement("JWT-BCP-EXCLUSIVE")
@pytest.mark.parametrize(
    ("member", "token_type"),
    [("access_token", ID_TOKEN_TYPE), ("id_token", ACCESS_TOKEN_TYPE), ("id_token", JWT_TYPE)],
)
def test_neither_kind_of_token_passes_for_the_other(
    service: Service, tokens: Mapping[str, str], member: str, token_type: str
) -> None:
    assert service.start(tokens[member], token_type)["reason"] == "subject_token_invalid"


@pytest.mark.parametrize(("member", "token_type"), [("access_token", ACCESS_TOKEN_TYPE), ("id_token", ID_TOKEN_TYPE)])
def test_what_another_client_got_starts_nothing_for_this_agent(
    service: Service, provider: Provider, tokens: Mapping[str, str], member: str, token_type: str
) -> None:
    others = provider.log_in("alice", client_id="idp-other")

    assert service.start(others[member], token_type)["reason"] == "subject_token_invalid"
    assert service.start(tokens[member], token_type, agent="researcher")["reason"] == "subject_token_invalid"
    assert "access_token" in service.start(tokens[member], token_type)


def test_scopes_that_the_user_has_no_role_for_are_refused(service: Service, tokens: Mapping[str, str]) -> None:
    refused = service.start(tokens["access_token"], ACCESS_TOKEN_TYPE, scope="crm.delete")
    assert (refused["error"], refused["reason"]) == ("invalid_scope", "root_exceeded")


def test_a_changed_token_starts_nothing(service: Service, tokens: Mapping[str, str]) -> None:
    header, payload, signature = tokens["access_token"].split(".")
    forged = base64.urlsafe_b64encode(json.dumps({**claims_of(tokens["access_token"]), "sub": "root"}).encode())
    for token in (f"{header}.{forged.rstrip(b'=').decode()}.{signature}", f"{header}.{payload}."):
        assert service.start(token, ACCESS_TOKEN_TYPE)["reason"] == "subject_token_invalid"


# Last: from here on the provider signs with other keys.


def test_a_key_that_the_provider_rotates_is_taken_up_without_a_restart(
    service: Service, provider: Provider, tokens: Mapping[str, str]
) -> None:
    assert "access_token" in service.start(tokens["access_token"], ACCESS_TOKEN_TYPE)
    provider.rotate()
    renewed = provider.log_in("alice")
    service.key_clock.now += COOLDOWN_S
    for member, token_type in (("access_token", ACCESS_TOKEN_TYPE), ("id_token", ID_TOKEN_TYPE)):
        assert "access_token" in service.start(renewed[member], token_type)
        # The provider has withdrawn the key of these.
        assert service.start(tokens[member], token_type)["reason"] == "subject_token_invalid"
    provider.rotate()
    again = provider.log_in("alice")
    # Unknown key ids cause no more than a fetch for each cool-down.
    assert service.start(again["access_token"], ACCESS_TOKEN_TYPE)["reason"] == "subject_token_invalid"
    service.key_clock.now += COOLDOWN_S
    assert "access_token" in service.start(again["access_token"], ACCESS_TOKEN_TYPE)
