"""Clients that others wrote start a delegation, hand it on, pick it up, look at it and end it, over real HTTP."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

from tests.interop.libraries import PYTHON, Connect, Connected, NodeProcess, Refused
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
SCOPE_ERRORS: Final = {
    "authlib": "OAuthError",
    "requests-oauthlib": "InvalidScopeError",
    "requests_oauth2client": "InvalidScope",
    "openid-client": "ResponseBodyError",
    "oauth4webapi": "ResponseBodyError",
}
"""What each library raises for `invalid_scope`."""
CLIENT_ERRORS: Final = {
    "authlib": "OAuthError",
    "requests-oauthlib": "InvalidClientError",
    "requests_oauth2client": "InvalidClient",
    "openid-client": "WWWAuthenticateChallengeError",
    "oauth4webapi": "WWWAuthenticateChallengeError",
}
"""The same for `invalid_client`."""
BLIND: Final = frozenset({"requests-oauthlib"})
"""Can neither introspect nor revoke."""
CASES: Final = [
    *(("authlib", way) for way in (*SECRETS, "lenient")),
    *(("requests-oauthlib", way) for way in SECRETS),
    *(("requests_oauth2client", way) for way in (*SECRETS, "ES256", "RS256")),
    *(("openid-client", way) for way in (*SECRETS, "ES256", "RS256", "Ed25519")),
    *(("oauth4webapi", way) for way in (*SECRETS, "ES256", "RS256", "Ed25519")),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Planner and researcher, who use one library and one way to authenticate."""

    service: Service
    library: str
    way: str
    planner: Connected
    researcher: Connected

    def delegate(self) -> tuple[str, str, Mapping[str, Any]]:
        """The started token, the one that was handed on, and the answer to the agent that picked it up."""
        to = {"scope": "crm.read crm.write", "requested_actor": f"researcher.{self.way}"}
        started = self.start()
        handed_on: str = self.planner.exchange(**subject(started), **to)["access_token"]
        return started, handed_on, self.researcher.exchange(**subject(handed_on), **to, resource=API)

    def start(self) -> str:
        token: str = self.planner.exchange(**self.service.start(f"planner.{self.way}"))["access_token"]
        return token


def subject(token: str) -> dict[str, str]:
    return {"subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE}


@pytest.fixture
def parties(request: pytest.FixtureRequest, service: Service, monkeypatch: pytest.MonkeyPatch) -> Parties:
    library, way = request.param
    # Else oauthlib speaks https only.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    connect = connector(library, request)
    planner, researcher = (connect(service, f"{agent}.{way}") for agent in ("planner", "researcher"))
    return Parties(service=service, library=library, way=way, planner=planner, researcher=researcher)


def connector(library: str, request: pytest.FixtureRequest) -> Connect:
    if library in PYTHON:
        return PYTHON[library]
    node: NodeProcess = request.getfixturevalue("node")
    return partial(node.connect, library)


def verify(service: Service, token: str) -> VerifiedToken:
    """What our verifier makes of `token` with the published keys, as the resource server of `API`."""
    published = service.http.get("/.well-known/jwks.json").content
    return verify_token(
        token,
        keys=StaticKeys({service.issuer: parse_jwks(parse_json_object(published))}),
        expect=Expectation.bearer(issuers=[service.issuer], audiences=[API]),
        now=int(time.time()),
        revocations=LifetimeOnly(max_s=900),
    )


@pytest.mark.requirement("TE-ANY-CLIENT")
@pytest.mark.parametrize("parties", CASES, indirect=True, ids="-".join)
def test_a_delegation_is_started_handed_on_and_picked_up(service: Service, parties: Parties) -> None:
    _, handed_on, picked_up = parties.delegate()
    token, actors = picked_up["access_token"], (f"researcher.{parties.way}", f"planner.{parties.way}")

    assert str(picked_up["token_type"]).lower() == "bearer"
    assert picked_up["issued_token_type"] == ACCESS_TOKEN_TYPE
    # oauthlib makes a list of it.
    assert picked_up["scope"] in ("crm.read crm.write", ["crm.read", "crm.write"])
    verified = verify(service, token)
    assert (verified.sub, verified.actors) == (USER, actors)
    assert verified.scope == {"crm.read", "crm.write"}
    seen = service.introspect(token)
    assert (seen["active"], seen["client_id"]) == (True, actors[0])
    assert seen["act"] == {"sub": actors[0], "act": {"sub": actors[1]}}
    # What was handed on is for the token service alone.
    assert service.introspect(handed_on) == {"active": False}
    with pytest.raises(TokenRefused):
        verify(service, handed_on)


@pytest.mark.requirement("OAUTH-ERROR")
@pytest.mark.parametrize("parties", CASES, indirect=True, ids="-".join)
def test_a_refusal_is_the_error_that_the_library_has_for_it(parties: Parties) -> None:
    form = {**subject(parties.start()), "requested_actor": f"researcher.{parties.way}"}

    with pytest.raises(Refused) as refused:
        parties.planner.exchange(**form, scope="crm.delete crm.read")

    assert (refused.value.kind, refused.value.error) == (SCOPE_ERRORS[parties.library], "invalid_scope")
    assert refused.value.description is not None
    assert "crm.delete" in refused.value.description
    assert parties.planner.exchange(**form, scope="crm.read")["access_token"]


@pytest.mark.requirement("OAUTH-INVALID-CLIENT")
@pytest.mark.parametrize("parties", [case for case in CASES if case[1] in SECRETS], indirect=True, ids="-".join)
def test_a_wrong_secret_is_the_error_that_the_library_has_for_it(
    request: pytest.FixtureRequest, service: Service, parties: Parties
) -> None:
    agent = f"planner.{parties.way}"
    stranger = connector(parties.library, request)(service, agent, secret="wrong")

    with pytest.raises(Refused) as refused:
        stranger.exchange(**service.start(agent))

    assert refused.value.kind == CLIENT_ERRORS[parties.library]
    assert (refused.value.error, refused.value.description) == ("invalid_client", "client authentication failed")
    assert parties.start()


@pytest.mark.requirement("REVOKE-DONE", "INTROSPECT-CHECKS")
@pytest.mark.parametrize("parties", [case for case in CASES if case[0] not in BLIND], indirect=True, ids="-".join)
def test_its_agents_look_at_a_token_and_revoke_it(service: Service, parties: Parties) -> None:
    started, handed_on, picked_up = parties.delegate()
    planner, researcher, token = parties.planner, parties.researcher, picked_up["access_token"]
    assert planner.revoke is not None
    assert researcher.introspect is not None

    seen = researcher.introspect(token)
    assert (seen["active"], seen["sub"]) == (True, USER)
    planner.revoke(handed_on)
    assert researcher.introspect(token) == {"active": False}
    assert service.introspect(token) == {"active": False}
    assert service.introspect(started)["active"] is True
