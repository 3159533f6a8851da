"""docs/identity-providers.md: every table on it loads, and a token as the product makes it starts a delegation."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tests.server.world import World, basic, exchange_form, values
from tests.server.world import make_world as make_server_world
from tests.settings_file import problems
from tests.simulator import ABSENT, NOW, Members, Simulator, rsa_key
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE
from tokensvc.settings.known import KNOWN

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "identity-providers.md"
SECTIONS: Final = {
    heading: tomllib.loads(block)
    for heading, block in re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?```toml\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
}
KEYCLOAK, ENTRA, OKTA, AUTH0, GOOGLE, COGNITO = SECTIONS


def configured(heading: str) -> dict[str, Any]:
    """The usual configuration with what the page says of identity provider and agent."""
    plain, page = values(), SECTIONS[heading]
    for agent in page.get("agent", []):
        plain["agent"][0] |= agent
    return {**plain, "identity_provider": page["identity_provider"]}


def world_of(folder: Path, heading: str) -> World:
    (jwk,) = render_jwks(KeySet([rsa_key("upstream").public]))["keys"]
    # Entra ID leaves `alg` out and adds certificates; Keycloak publishes a key for encryption as well.
    bare = {name: value for name, value in jwk.items() if name != "alg"}
    with_certificate = {
        **bare,
        "x5c": ["MII"],
        "x5t": "x",
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
    }
    for_encryption = {**jwk, "kid": "enc", "use": "enc", "alg": "RSA-OAEP"}
    (folder / "upstream.json").write_text(json.dumps({"keys": [with_certificate, for_encryption]}))
    page = configured(heading)
    # Nobody answers for these addresses here: the keys are in a file.
    provider = {name: value for name, value in page["identity_provider"][0].items() if name != "discovery"}
    page["identity_provider"] = [{**provider, "jwks_file": "upstream.json"}]
    return make_server_world(folder, page)


def client_at(world: World) -> str:
    (provider,) = world.settings.identity_providers
    return dict(world.settings.agents[0].upstream_client_ids).get(provider.iss, "planner")


# What each product puts into a token, `typ` and claims; the client is filled in. From their documentation.
ACCESS: Final[dict[str, tuple[object, str, Members]]] = {
    KEYCLOAK: ("JWT", "azp", {"aud": ["tokensvc", "account"], "typ": "Bearer", "scope": "openid email", "acr": "1",
                              "realm_access": {"roles": ["crm-editor", "offline_access", "default-roles-main"]}}),
    ENTRA: ("JWT", "azp", {"aud": "66666666-7777-8888-9999-000000000000", "scp": "Crm.Read Crm.Write", "ver": "2.0",
                           "tid": "11111111-2222-3333-4444-555555555555", "oid": "o", "azpacr": "1", "uti": "u"}),
    OKTA: (ABSENT, "cid", {"aud": "api://tokensvc", "scp": ["openid", "crm.read", "crm.write"], "uid": "00u"}),
    AUTH0: ("at+jwt", "client_id", {"aud": ["https://tokens.example", "https://example.eu.auth0.com/userinfo"],
                                    "scope": "openid profile", "permissions": ["crm.read", "crm.write"]}),
    COGNITO: (ABSENT, "client_id", {"aud": "https://tokens.example", "token_use": "access", "scope": "openid",
                                    "cognito:groups": ["editors"], "username": "u", "origin_jti": "j"}),
}  # fmt: skip
IDENTITY: Final[dict[str, tuple[object, str | None, Members]]] = {
    GOOGLE: ("JWT", "azp", {"hd": "example.com", "email": "u@example.com", "email_verified": True, "at_hash": "h"}),
    COGNITO: (ABSENT, None, {"token_use": "id", "cognito:groups": ["editors"], "at_hash": "h", "email_verified": True}),
}
KINDS: Final = [
    *((heading, ACCESS_TOKEN_TYPE, token) for heading, token in ACCESS.items()),
    *((heading, ID_TOKEN_TYPE, token) for heading, token in IDENTITY.items()),
]


async def answer(world: World, token_type: str, token: tuple[object, str | None, Members], **changes: object) -> Any:  # noqa: ANN401
    typ, client_claim, claims = token
    (provider,) = world.settings.identity_providers
    client = client_at(world)
    named = {} if client_claim is None else {client_claim: client}
    for_whom = {"aud": client} if token_type == ID_TOKEN_TYPE else {}
    whole: Members = {
        "iss": provider.iss,
        "sub": "u-1",
        "iat": NOW - 10,
        "exp": NOW + 3000,
        **for_whom,
        **named,
        **claims,
    }
    simulator = Simulator(iss=provider.iss, key=rsa_key("upstream"))
    header = simulator.header(typ=typ, kid="upstream")
    signed = simulator.token({**whole, **changes}, header=header)
    form = exchange_form(signed, subject_token_type=token_type, scope="crm.read")
    async with world.running() as client_of_ours:
        return (await client_of_ours.post("/token", data=form, headers=basic("planner"))).json()


@pytest.mark.parametrize(("heading", "token_type", "token"), KINDS, ids=[f"{row[0]}-{row[1][-12:]}" for row in KINDS])
async def test_a_token_as_the_product_makes_it_starts_and_one_for_another_client_does_not(
    tmp_path: Path, heading: str, token_type: str, token: tuple[object, str | None, Members]
) -> None:
    assert "access_token" in await answer(world_of(tmp_path, heading), token_type, token)
    changes = {"aud": "another"} if token_type == ID_TOKEN_TYPE else {token[1]: "another"}
    refused = await answer(
        world_of(tmp_path, heading), token_type, token, **{str(name): value for name, value in changes.items()}
    )
    assert refused["reason"] == "subject_token_invalid"


@pytest.mark.parametrize(
    ("heading", "changes"),
    [
        (ENTRA, {"tid": "99999999-2222-3333-4444-555555555555"}),
        (ENTRA, {"idtyp": "app"}),
        (KEYCLOAK, {"typ": "Refresh"}),
        (COGNITO, {"token_use": "id"}),
        (AUTH0, {"aud": ["https://example.eu.auth0.com/userinfo"]}),
        (OKTA, {"scp": None}),
    ],
)
async def test_what_the_page_promises_to_refuse_is_refused(tmp_path: Path, heading: str, changes: Members) -> None:
    refused = await answer(world_of(tmp_path, heading), ACCESS_TOKEN_TYPE, ACCESS[heading], **changes)
    assert refused["reason"] == "subject_token_invalid"


@pytest.mark.parametrize("changes", [{"hd": "evil.example"}, {"email_verified": "true"}, {"exp": NOW + 3591}])
async def test_a_google_account_of_somebody_else_is_refused(tmp_path: Path, changes: Members) -> None:
    refused = await answer(world_of(tmp_path, GOOGLE), ID_TOKEN_TYPE, IDENTITY[GOOGLE], **changes)
    assert refused["reason"] == "subject_token_invalid"


def test_the_page_names_every_setting_once() -> None:
    table = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    ours = [path[1] for path in KNOWN if path[0] == "identity_provider" and len(path) == 2]
    assert sorted(table) == sorted(ours)


def test_every_product_has_its_section() -> None:
    products = ["Keycloak", "Microsoft Entra ID", "Okta", "Auth0", "Google", "Amazon Cognito"]
    assert list(SECTIONS) == products


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_tables_of_the_page_load(tmp_path: Path, heading: str) -> None:
    assert problems(tmp_path, configured(heading)) == []


def test_all_of_them_load_together(tmp_path: Path) -> None:
    every = [page["identity_provider"][0] for page in SECTIONS.values()]
    assert problems(tmp_path, {**values(), "identity_provider": every}) == []
