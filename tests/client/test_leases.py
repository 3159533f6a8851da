"""Agents and their leases against the real service, over HTTP."""

from collections.abc import Iterator

import pytest

from tests.interop.service import API, Service, key_of, secret_of, serving
from tokensvc.client import Agent, ClientSecret, PrivateKeyJwt
from tokensvc.client.auth import ClientAuth
from tokensvc.client.held import read_held_token

SCOPE = "crm.export crm.read crm.write"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service")) as served:
        yield served


def auth_of(name: str) -> ClientAuth:
    way = name.partition(".")[2]
    if way.startswith("client_secret"):
        return ClientSecret(secret_of(name), in_body=way == "client_secret_post")
    return PrivateKeyJwt(key_of(name))


def agent(service: Service, name: str) -> Agent:
    return Agent(issuer=service.issuer, client_id=name, auth=auth_of(name))


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post", "ES256", "RS256", "Ed25519"])
def test_a_delegation_from_start_to_renewal_with_each_way_to_authenticate(service: Service, way: str) -> None:
    planner_id, researcher_id = f"planner.{way}", f"researcher.{way}"
    with agent(service, planner_id) as planner, agent(service, researcher_id) as researcher:
        lease = planner.start(service.user_token(planner_id), scope=SCOPE, resource=API)
        handed = lease.delegate(to=researcher_id, scope=["crm.read", "crm.write"])
        received = researcher.receive(handed)
        before = received.token()
        received.renew()

        assert read_held_token(handed).is_exchange_only
        assert received.scope == {"crm.read", "crm.write"}
        assert received.token() != before
        assert service.introspect(received.token())["act"] == {"sub": researcher_id, "act": {"sub": planner_id}}
