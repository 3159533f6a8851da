"""Clients that others wrote start a delegation, hand it on, pick it up, look at it and end it, over real HTTP."""

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import pytest

from tests.interop.libraries import PYTHON, Connected, NodeProcess, Refused
from tests.interop.service import API, USER, Service
from tokensvc.errors import TokenRefused
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE
from tokensvc.verify import (
    Expectation,
    LifetimeOnly,
    StaticKeys,
    VerifiedToken,
    parse_json_object,
    parse_jwks,
    verify_token,
)

SECRETS: Final = ("client_secret_basic", "client_secret_post")
ERRORS: Final = {
    "authlib": "OAuthError",
    "requests-oauthlib": "CustomOAuth2Error",
    "requests_oauth2client": "InvalidScope",
    "openid-client": "ResponseBodyError",
    "oauth4webapi": "ResponseBodyError",
}
"""What each library raises for `invalid_scope`."""
CASES: Final = [
    *(("authlib", way) for way in (*SECRETS, "lenient")),
    *(("requests-oauthlib", way) for way in SECRETS),
    *(("requests_oauth2client", way) for way in (*SECRETS, "ES256", "RS256")),
    *(("openid-client", way) for way in (*SECRETS, "ES256", "RS256", "Ed25519")),
    *(("oauth4webapi", way) for way in (*SECRETS, "ES256", "RS256", "Ed25519")),
]
LOOKING: Final = [case for case in CASES if case[0] != "requests-oauthlib"]
"""requests-oauthlib can neither introspect nor revoke."""


@pytest.fixture
def parties(request: pytest.FixtureRequest, service: Service) -> tuple[Connected, Connected]:
    """`planner` and `researcher` of one library and one way to authenticate."""
    library, way = request.param
    agents = (f"planner.{way}", f"researcher.{way}")
    if library in PYTHON:
        planner, researcher = (PYTHON[library](service, agent) for agent in agents)
    else:
        node: NodeProcess = request.getfixturevalue("node")
        planner, researcher = (node.connect(library, service, agent) for agent in agents)
    return planner, researcher


@pytest.fixture
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The library and the way of `parties`."""
    library, way = request.node.callspec.params["parties"]
    return library, way


def delegate(parties: tuple[Connected, Connected], service: Service, way: str) -> tuple[str, str, Mapping[str, Any]]:
    """The started token, the one that was handed on, and the answer to the agent that picked it up."""
    planner, researcher = parties
    agent = f"researcher.{way}"
    started = planner.exchange(**service.start(f"planner.{way}"))["access_token"]
    handed_on = planner.exchange(**subject(started), scope="crm.read crm.write", requested_actor=agent)["access_token"]
    picked_up = researcher.exchange(
        **subject(handed_on), scope="crm.read crm.write", requested_actor=agent, resource=API
    )
    return started, handed_on, picked_up


def subject(token: str) -> dict[str, str]:
    return {"subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE}


def verify(service: Service, token: str) -> VerifiedToken:
    """What our verifier makes of `token` with the published keys, as the resource server of `API`."""
    published = httpx2.get(f"{service.issuer}/.well-known/jwks.json").content
    return verify_token(
        token,
        keys=StaticKeys({service.issuer: parse_jwks(parse_json_object(published))}),
        expect=Expectation.issuer_signed(issuers=[service.issuer], audiences=[API]),
        now=int(time.time()),
        revocations=LifetimeOnly(max_s=900),
    )


@pytest.mark.requirement("TE-ANY-CLIENT")
@pytest.mark.parametrize("parties", CASES, indirect=True, ids="-".join)
def test_a_delegation_is_started_handed_on_and_picked_up(
    service: Service, parties: tuple[Connected, Connected], case: tuple[str, str]
) -> None:
    _, handed_on, picked_up = delegate(parties, service, case[1])
    token = picked_up["access_token"]
    actors = (f"researcher.{case[1]}", f"planner.{case[1]}")

    assert str(picked_up["token_type"]).lower() == "bearer"
    assert (picked_up["issued_token_type"], picked_up["scope"]) == (ACCESS_TOKEN_TYPE, "crm.read crm.write")
    verified = verify(service, token)
    assert (verified.sub, verified.actors, verified.scope) == (USER, actors, {"crm.read", "crm.write"})
    seen = service.introspect(token)
    assert (seen["active"], seen["client_id"]) == (True, actors[0])
    assert seen["act"] == {"sub": actors[0], "act": {"sub": actors[1]}}
    # What was handed on is for the token service alone.
    assert service.introspect(handed_on) == {"active": False}
    with pytest.raises(TokenRefused):
        verify(service, handed_on)


@pytest.mark.requirement("OAUTH-ERROR")
@pytest.mark.parametrize("parties", CASES, indirect=True, ids="-".join)
def test_a_refusal_is_the_error_that_the_library_has_for_it(
    service: Service, parties: tuple[Connected, Connected], case: tuple[str, str]
) -> None:
    library, way = case
    planner, researcher = parties[0], f"researcher.{way}"
    started = planner.exchange(**service.start(f"planner.{way}"))["access_token"]

    with pytest.raises(Refused) as refused:
        planner.exchange(**subject(started), scope="crm.delete crm.read", requested_actor=researcher)

    assert (refused.value.kind, refused.value.error) == (ERRORS[library], "invalid_scope")
    assert refused.value.description is not None
    assert "crm.delete" in refused.value.description
    assert planner.exchange(**subject(started), scope="crm.read", requested_actor=researcher)["access_token"]


@pytest.mark.requirement("REVOKE-DONE", "INTROSPECT-CHECKS")
@pytest.mark.parametrize("parties", LOOKING, indirect=True, ids="-".join)
def test_its_agents_look_at_a_token_and_revoke_it(
    service: Service, parties: tuple[Connected, Connected], case: tuple[str, str]
) -> None:
    planner, researcher = parties
    started, handed_on, picked_up = delegate(parties, service, case[1])
    assert planner.revoke is not None
    assert researcher.introspect is not None

    seen = researcher.introspect(picked_up["access_token"])
    assert (seen["active"], seen["sub"]) == (True, USER)
    planner.revoke(handed_on)
    assert researcher.introspect(picked_up["access_token"]) == {"active": False}
    assert service.introspect(picked_up["access_token"]) == {"active": False}
    assert service.introspect(started)["active"] is True
