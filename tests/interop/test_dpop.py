"""Clients that others wrote prove the keys that they hold, and are bound to them, over real HTTP."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.interop.libraries import Connected, NodeProcess, Refused, private_jwk_of
from tests.interop.service import API, Service, holder_key_of, serving
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE

PLANNER: Final = "planner.dpop"
RESEARCHER: Final = "researcher.dpop"


@pytest.fixture(scope="module", params=[False, True], ids=["no nonces", "nonces"])
def proving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("service")
    with serving(folder, dpop_nonces=request.param) as service:
        yield service


@pytest.fixture(params=["openid-client", "oauth4webapi"])
def agents(request: pytest.FixtureRequest, proving: Service, node: NodeProcess) -> tuple[Connected, Connected]:
    connect = partial(node.connect, request.param, proving)
    return connect(PLANNER), connect(RESEARCHER)


def subject(token: str) -> dict[str, str]:
    return {"subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE}


@pytest.mark.requirement("DPOP-ANY-CLIENT")
def test_a_delegation_between_agents_that_hold_keys(proving: Service, agents: tuple[Connected, Connected]) -> None:
    planner, researcher = agents
    to = {"scope": "crm.read crm.write", "requested_actor": RESEARCHER}
    started = planner.exchange(**proving.start(PLANNER))
    handed_on = planner.exchange(**subject(started["access_token"]), **to)["access_token"]
    picked_up = researcher.exchange(**subject(handed_on), **to, resource=API)

    assert [str(answer["token_type"]).lower() for answer in (started, picked_up)] == ["dpop", "dpop"]
    seen = proving.introspect(picked_up["access_token"])
    assert seen["cnf"] == {"jkt": holder_key_of(RESEARCHER).public.thumbprint}
    # Whoever has the client's credentials and not its key has nothing.
    with pytest.raises(Refused) as refused:
        planner.exchange(**subject(handed_on), **to, resource=API)
    assert refused.value.error == "invalid_request"


def test_a_token_is_of_no_use_to_the_same_client_without_its_key(
    proving: Service, agents: tuple[Connected, Connected], node: NodeProcess
) -> None:
    planner, _ = agents
    token = planner.exchange(**proving.start(PLANNER))["access_token"]
    again = {**subject(token), "scope": "crm.export crm.read crm.write", "requested_actor": PLANNER, "resource": API}
    keyless = {"id": PLANNER, "auth": "private_key_jwt", "jwk": private_jwk_of(PLANNER)}

    with pytest.raises(Refused) as refused:
        node.call("oauth4webapi", "exchange", proving.issuer, keyless, again)

    assert refused.value.description is not None
    assert "bound to a key" in refused.value.description
    assert planner.exchange(**again)["access_token"]
