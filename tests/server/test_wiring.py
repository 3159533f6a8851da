"""The composition root: what settings become."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.server.world import API, IDP, FixedSigner, make_world, values
from tests.settings_file import sha256
from tests.simulator import ec_key
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.core.revocation import Revocable, RevocationKind
from tokensvc.errors import ConfigurationError
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.settings import Settings, StoreSettings, load_agent_keys, load_upstream_keys
from tokensvc.signing.keyfiles import generate_key
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.redis import RedisStore
from tokensvc.storage.sqlite import SqliteStore
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import build_app, open_store, registry_of, system_clock, terms_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    configured = values()
    configured["agent"][0] |= {"max_lifetime_s": 60, "max_depth": 2, "fronts": ["chat-ui"]}
    configured["limits"] = {"depth": 4, "token_lifetime_s": 100, "root_lifetime_s": 1000, "leeway_s": 5}
    configured["limits"]["token_bytes"] = 7000
    configured["agent"][0]["upstream_client_ids"] = {IDP: "0oa1"}
    configured["identity_provider"][0] |= {"typ": ["application/AT+JWT", "JWT", "none"], "subject_prefix": "corp:"}
    configured["identity_provider"][0] |= {"session_lifetime_s": 500, "max_token_lifetime_s": 600}
    configured["identity_provider"][0] |= {"id_tokens": True, "id_token_scopes": ["crm.read"]}
    configured["identity_provider"][0] |= {"client_claims": ["azp", "cid"], "required_claims": {"tid": "t"}}
    configured["identity_provider"][0] |= {"scope_claim": "a.b", "scope_map": {"boss": ["crm.read", "crm.write"]}}
    return make_world(tmp_path, configured).settings


def test_terms_are_the_limits(settings: Settings) -> None:
    terms = terms_of(settings)

    assert (terms.issuer, terms.configuration) == (settings.issuer, settings.version)
    assert (terms.max_depth, terms.token_lifetime_s, terms.root_lifetime_s) == (4, 100, 1000)
    assert (terms.leeway_s, terms.max_issued_bytes) == (5, 7000)


async def test_the_registry_is_everybody_configured(settings: Settings) -> None:
    keys = UpstreamKeys(pinned=load_upstream_keys(settings), own=FixedSigner(ec_key("o")).public_keys)
    registry = registry_of(settings, keys, load_agent_keys(settings))

    planner, retired, api = registry.agents["planner"], registry.agents["retired"], registry.resources[API]
    assert (planner.auth, planner.max_lifetime_s, planner.max_depth) == ("client_secret_basic", 60, 2)
    assert planner.may_delegate_to == {"researcher"}
    assert planner.fronts == {"chat-ui"}
    assert (planner.default_resource, planner.enabled, retired.enabled) == (API, True, False)
    assert planner.secret_sha256 == (sha256("planner-secret-" + "x" * 32),)
    assert (api.client_id, registry.resource_named("crm")) == ("crm-api", api)
    provider = registry.issuers[IDP]
    assert provider.typ == {"at+jwt", "jwt", ""}
    assert provider.algorithms == {"ES256"}
    assert (provider.subject_prefix, provider.session_lifetime_s) == ("corp:", 500)
    assert provider.ceiling_resources == {API}
    assert provider.ceiling_max_depth == 5
    assert provider.audience == {"tokensvc"}
    assert provider.id_tokens
    assert provider.id_token_scope == {"crm.read"}
    assert provider.client_claims == {"azp", "cid"}
    assert provider.scope_claim == ("a", "b")
    assert provider.scope_map == {"boss": {"crm.read", "crm.write"}}
    assert provider.required_claims == ((("tid",), ("t",)),)
    assert provider.max_token_lifetime_s == 600
    assert planner.client_ids_at(IDP) == {"chat-ui", "0oa1"}
    key = await provider.keys.find("idp")
    assert key is not None
    assert key.thumbprint == ec_key("idp").public.thumbprint


def test_the_store_is_the_one_its_url_names(settings: Settings, tmp_path: Path) -> None:
    sqlite = replace(settings, store=StoreSettings(url=f"sqlite:///{tmp_path}/tokens.db"))

    redis = replace(settings, store=StoreSettings(url="redis://user:secret@127.0.0.1:1"))

    assert isinstance(open_store(settings, Telemetry()), MemoryStore)
    assert isinstance(open_store(sqlite, Telemetry()), SqliteStore)
    assert isinstance(open_store(redis, Telemetry()), RedisStore)


@pytest.mark.parametrize("url", ["memory:", "sqlite:///tokens.db"])
async def test_what_was_issued_before_the_store_was_made_is_dead(settings: Settings, tmp_path: Path, url: str) -> None:
    url = url.replace("///", f"///{tmp_path}/")
    store = open_store(replace(settings, store=StoreSettings(url=url)), Telemetry(), clock=lambda: 1000)
    await store.open()
    for iss, iat, is_dead in ((settings.issuer, 999, True), (settings.issuer, 1000, False), (IDP, 999, False)):
        assert await store.is_revoked((Revocable(kind=RevocationKind.ISSUER, id=iss, iat=iat),)) is is_dead
    await store.close()


async def test_what_is_not_given_comes_from_the_settings(settings: Settings, tmp_path: Path) -> None:
    made = generate_key(tmp_path / "keys", Algorithm.ES256, now=1)
    settings = replace(settings, store=StoreSettings(url=f"sqlite:///{tmp_path}/tokens.db"))

    app = build_app(settings)

    async with app.router.lifespan_context(app):
        assert (tmp_path / "tokens.db").exists()
    assert settings.keys.dir == made.path.parent


def test_without_a_signing_key_nothing_is_built(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="keys generate"):
        build_app(settings)


def test_one_key_under_two_issuers_is_refused(settings: Settings) -> None:
    file = settings.identity_providers[0].jwks_file
    assert file is not None
    other = FixedSigner(ec_key("service"))

    with pytest.raises(ConfigurationError) as refused:
        build_app(settings, signer=FixedSigner(ec_key("idp"), ec_key("service")))

    assert refused.value.file == str(file)
    build_app(settings, signer=other)
    file.write_text(json.dumps(render_jwks(KeySet([ec_key("service").public]))))
    with pytest.raises(ConfigurationError):
        build_app(settings, signer=other)


def test_the_clock_counts_whole_seconds() -> None:
    assert type(system_clock()) is int
