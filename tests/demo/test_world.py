"""`world.json` keeps every promise of its contract, seen by somebody who was told nothing else."""

import base64
import json
import stat
import time
from typing import Any

from tests.demo.outsider import Outsider, token_of
from tokensvc.core.jws import SigningKey
from tokensvc.demo.folder import CONFIG_FILE, LOG_FILE
from tokensvc.demo.forge import Workpiece
from tokensvc.demo.world import World


def claims(token: str) -> dict[str, Any]:
    """The payload of a JWT, by the standard library."""
    payload = token.split(".")[1]
    parsed: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return parsed


def test_it_has_exactly_the_members_of_the_contract(outsider: Outsider) -> None:
    endpoints = {"issuer", "token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint"}
    subject = {"user", "subject_token", "subject_token_type", "subject_scopes"}
    others = {"resources", "clients", "resource_server", "api_url", "signing_key"}
    assert outsider.told.keys() == endpoints | subject | others
    assert {frozenset(resource) for resource in outsider.told["resources"]} == {frozenset({"id", "scopes"})}
    client_members = {"client_id", "auth_method", "client_secret", "scopes"}
    assert all(client.keys() == client_members for client in outsider.told["clients"])
    assert outsider.told["resource_server"].keys() == {"client_id", "client_secret", "resource", "auth_method"}


def test_it_is_for_its_owner_alone_and_nothing_unfinished_lies_beside_it(world: World) -> None:
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    assert stat.S_IMODE((world.folder / CONFIG_FILE).stat().st_mode) == 0o600
    assert not [path.name for path in world.folder.iterdir() if path.name.endswith(".tmp")]


def test_configuration_and_log_hold_no_secret(world: World, outsider: Outsider) -> None:
    secret = [client["client_secret"] for client in (*outsider.told["clients"], outsider.told["resource_server"])]
    secret += [outsider.told["subject_token"], outsider.told["signing_key"]["d"]]
    text = "".join((world.folder / name).read_text() for name in (CONFIG_FILE, LOG_FILE))
    assert len(set(secret)) == 6
    assert not [value for value in secret if value in text]


def test_the_endpoints_are_those_of_the_metadata(outsider: Outsider) -> None:
    metadata = outsider.get(f"{outsider.told['issuer']}/.well-known/oauth-authorization-server").json()
    for name in ("issuer", "token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint"):
        assert outsider.told[name] == metadata[name]


def test_every_key_of_the_jwks_has_kid_and_alg_and_signing_key_is_the_private_half_of_one(outsider: Outsider) -> None:
    keys = outsider.get(outsider.told["jwks_uri"]).json()["keys"]
    assert keys
    assert all(key["kid"] and key["alg"] for key in keys)
    signing_key = outsider.told["signing_key"]
    assert SigningKey.from_jwk(signing_key).public.jwk() in keys
    assert "d" in signing_key
    assert not [key for key in keys if "d" in key]


def test_the_scopes_are_shared_four_three_and_two_and_the_first_reads(outsider: Outsider) -> None:
    assert len(outsider.told["subject_scopes"]) >= 5
    assert len(outsider.told["clients"]) == 3
    first, second, third = (outsider.shared(index) for index in range(3))
    assert len(first) == 4
    assert second == first[:3]
    assert third == first[:2]
    reader = token_of(outsider.start(scope=first[0]))
    assert outsider.get(outsider.told["api_url"], token=reader).status_code == 200


def test_the_api_refuses_a_token_without_the_read_scope_and_a_call_without_a_token(outsider: Outsider) -> None:
    writer = token_of(outsider.start(scope=outsider.shared(0)[1]))
    assert outsider.get(outsider.told["api_url"], token=writer).status_code == 403
    assert outsider.get(outsider.told["api_url"]).status_code == 401


def test_the_api_says_where_to_get_a_token(outsider: Outsider) -> None:
    challenge = outsider.get(outsider.told["api_url"]).headers["www-authenticate"]
    url = challenge.partition('resource_metadata="')[2].partition('"')[0]
    metadata = outsider.get(url).json()
    assert metadata["resource"] == outsider.api
    assert metadata["authorization_servers"] == [outsider.told["issuer"]]


def test_each_client_delegates_to_the_next_which_picks_up_a_token_for_the_api(outsider: Outsider) -> None:
    tokens = [token_of(outsider.start())]
    for index in (0, 1):
        exchange_only = token_of(outsider.delegate(tokens[-1], by=index))
        assert claims(exchange_only)["aud"] == outsider.told["issuer"]
        assert outsider.get(outsider.told["api_url"], token=exchange_only).status_code == 401
        tokens.append(token_of(outsider.pick_up(exchange_only, index + 1)))
    for index, token in enumerate(tokens):
        said = claims(token)
        assert said["aud"] == outsider.api
        assert said["client_id"] == outsider.told["clients"][index]["client_id"]
        assert said["sub"] == outsider.told["user"]
        assert "cnf" not in said
        assert outsider.get(outsider.told["api_url"], token=token).status_code == 200
        assert outsider.introspect(token)["active"] is True


def test_the_methods_of_authentication_are_mixed_and_only_the_registered_one_works(outsider: Outsider) -> None:
    clients = [dict(client) for client in outsider.told["clients"]]
    assert {client["auth_method"] for client in clients} == {"client_secret_basic", "client_secret_post"}
    other = {"client_secret_basic": "client_secret_post", "client_secret_post": "client_secret_basic"}
    for client in clients:
        assert outsider.post("token_endpoint", {"scope": "crm.read"}, client).status_code == 400
        client["auth_method"] = other[client["auth_method"]]
        assert outsider.post("token_endpoint", {"scope": "crm.read"}, client).status_code == 401


def test_the_subject_token_lives_for_an_hour_at_least_and_carries_the_subject_scopes(outsider: Outsider) -> None:
    said = claims(outsider.told["subject_token"])
    assert said["sub"] == outsider.told["user"]
    assert said["exp"] - time.time() >= 3600
    assert said["scope"].split(" ") == outsider.told["subject_scopes"]


def test_a_token_forged_with_signing_key_is_refused_and_accepted_without_the_forgery(outsider: Outsider) -> None:
    key = SigningKey.from_jwk(outsider.told["signing_key"])
    genuine = Workpiece.of(token_of(outsider.start()))
    wider = genuine.with_last_scope([*genuine.claims.scope, outsider.told["subject_scopes"][4]])
    assert outsider.get(outsider.told["api_url"], token=genuine.seal(key)).status_code == 200
    widest = wider.with_last_scope(genuine.chain.root.authority.scope)
    assert outsider.get(outsider.told["api_url"], token=widest.seal(key)).json()["reason"] == "not_proper"


def test_only_the_user_can_log_in(world: World) -> None:
    assert world.wire.log_in("alice").is_yes
    refused = world.wire.log_in("mallory")
    assert (refused.status, refused.reason) == (400, "invalid_grant")


def test_the_identity_provider_publishes_the_keys_that_the_service_was_given(world: World) -> None:
    published = world.wire.get(f"{world.addresses.idp}/jwks").body
    assert published == json.loads((world.folder / "idp.jwks.json").read_text())


def test_nothing_secret_is_in_the_repr_of_the_world(world: World, outsider: Outsider) -> None:
    shown = repr(world)
    for client in (*outsider.told["clients"], outsider.told["resource_server"]):
        assert client["client_secret"] not in shown
    assert outsider.told["subject_token"] not in shown
    assert outsider.told["signing_key"]["d"] not in shown
