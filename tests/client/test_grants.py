"""Signed grants, judged by the public verifier under the floor that wants them."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

import tokensvc.client
from tests.simulator import API, FILES, ISSUER, NOW, Members, Simulator, ec_key, ed_key, rsa_key
from tokensvc.client import make_delegation_grant
from tokensvc.core.jws import SigningKey, split_compact
from tokensvc.errors import KeyRefused, Malformed
from tokensvc.verify import Evidence, VerifiedToken
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

PLANNER, RESEARCHER = ec_key("planner holder"), ed_key("researcher holder")


def bound_chain(*holders: tuple[str, SigningKey]) -> list[Members]:
    """A root and plain hops that are bound to these keys."""
    simulator = Simulator()
    chain = [simulator.root()]
    for actor, key in holders:
        chain.append(simulator.hop(chain[-1], actor, cnf={"jkt": key.public.thumbprint}))
    return chain


def token_of(chain: list[Members], key: SigningKey, **members: object) -> str:
    simulator = Simulator()
    return simulator.token(simulator.claims(chain, cnf={"jkt": key.public.thumbprint}, **members))


def grant(token: str, **changed: Any) -> str:  # noqa: ANN401 - any parameter
    asked = {"key": PLANNER, "to": "researcher", "holder_jkt": RESEARCHER.public.thumbprint, "scope": "crm.write"}
    return make_delegation_grant(token, **{**asked, "resource": API, "now": NOW, **changed})


def payload(text: str) -> Members:
    members: Members = json.loads(split_compact(text, max_bytes=16_384).payload)
    return members


def redeemed(chain: list[Members], text: str, key: SigningKey) -> VerifiedToken:
    """The token of a service that takes the grant as it is, verified under the floor `delegator`."""
    simulator = Simulator()
    claims = simulator.claims([*chain, payload(text)], cnf={"jkt": key.public.thumbprint}, aud=API)
    claims["grant_chain"] = [*chain, {"jws": text}]
    pins = {(ISSUER, "planner"): frozenset({PLANNER.public.thumbprint})}
    expect = replace(simulator.expect(), hop_floor=Evidence.DELEGATOR, agent_keys=pins)
    return simulator.verify(simulator.token(claims), expect=expect, proof=UnsafeHolderProvenUpstream())


def test_a_verifier_that_wants_the_delegators_word_takes_it() -> None:
    chain = bound_chain(("planner", PLANNER))
    verified = redeemed(chain, grant(token_of(chain, PLANNER)), RESEARCHER)
    assert verified.actors == ("researcher", "planner")
    verified.require(scope="crm.write")


def test_a_grant_says_exactly_what_the_profile_has() -> None:
    chain = bound_chain(("planner", PLANNER))
    text = grant(token_of(chain, PLANNER), scope=["mail.send", "crm.write"], resource=[FILES, API])
    header = json.loads(split_compact(text, max_bytes=16_384).header)
    assert header.keys() == {"typ", "alg", "jwk"}
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}
    members = payload(text)
    assert len(members.pop("jti")) == 22
    assert members == {
        "actor": "researcher",
        "scope": "crm.write mail.send",
        "resources": [API, FILES],
        "max_depth": 2,
        "iat": NOW,
        "exp": chain[-1]["exp"],
        "parent": chain[-1]["jti"],
        "cnf": {"jkt": RESEARCHER.public.thumbprint},
        "iss": "planner",
        "sub": chain[0]["sub"],
        "aud": ISSUER,
        "root": chain[0]["jti"],
        "index": 2,
    }


def test_bounds_are_those_of_the_parent_and_what_was_asked() -> None:
    chain = bound_chain(("planner", PLANNER))
    token = token_of(chain, PLANNER)
    early = payload(grant(token, now=NOW - 10_000, lifetime_s=60))
    assert (early["iat"], early["exp"]) == (chain[-1]["iat"], chain[-1]["iat"] + 60)
    assert payload(grant(token))["exp"] == chain[-1]["exp"]
    # Nothing is cut: that it outlives the parent is for the token service to refuse.
    late = payload(grant(token, lifetime_s=10**9))
    assert late["exp"] == late["iat"] + 10**9
    assert payload(grant(token, may_delegate=True))["max_depth"] == chain[-1]["max_depth"] == 5
    for may_delegate in (False, True):
        assert payload(grant(token, may_delegate=may_delegate, max_depth=3))["max_depth"] == 3


def test_tools_are_said_by_name_or_with_constraints() -> None:
    chain = bound_chain(("planner", PLANNER))
    token = token_of(chain, PLANNER)
    region = {"region": {"constraint_type": "exact", "value": "eu"}}
    assert payload(grant(token, tools={"chat": region}))["authorization_details"] == [
        {"type": "attenuating_agent_token", "tools": {"chat": region}}
    ]
    named = payload(grant(token, tools=["chat", "read"]))["authorization_details"]
    assert named == [
        {
            "type": "attenuating_agent_token",
            "tools": {tool: {"*": {"constraint_type": "wildcard"}} for tool in ("chat", "read")},
        }
    ]
    other = [{"type": "other", "n": 1}]
    assert payload(grant(token, authorization_details=other))["authorization_details"] == other
    assert "authorization_details" not in payload(grant(token))


@pytest.mark.parametrize(
    "changed",
    [
        {"key": ec_key("another")},
        {"holder_jkt": "short"},
        {"scope": ""},
        {"scope": []},
        {"resource": []},
        {"resource": "crm"},
        {"tools": "chat"},
        {"tools": {"chat": {"region": {"constraint_type": "unknown"}}}},
    ],
)
def test_a_grant_that_would_count_nowhere_is_not_made(changed: dict[str, object]) -> None:
    token = token_of(bound_chain(("planner", PLANNER)), PLANNER)
    grant(token)
    with pytest.raises(Malformed):
        grant(token, **changed)


def test_only_holder_keys_sign_and_only_below_ones_own_token() -> None:
    token = token_of(bound_chain(("planner", PLANNER)), PLANNER)
    with pytest.raises(KeyRefused):
        grant(token, key=rsa_key("holder"))
    with pytest.raises(Malformed):
        grant("not.a.token")
    unbound = Simulator().chain("planner")
    with pytest.raises(Malformed, match="not bound to this key"):
        grant(token_of(unbound, PLANNER))


def test_keys_and_grants_need_no_http_client_and_the_package_no_server() -> None:
    script = (
        "import sys; sys.modules['httpx2'] = None\n"
        "import tokensvc.client as c\n"
        "c.make_delegation_grant, c.load_or_create_holder_key\n"
        "try: c.Agent\nexcept ImportError as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == 'Agent needs httpx2: pip install "tokensvc[client]"\n'
    with pytest.raises(AttributeError):
        tokensvc.client.Agnet  # type: ignore[attr-defined]  # noqa: B018 - it raises
    server = ["starlette", "uvicorn", "typer", "rich", "pydantic", "authlib", "structlog", "redis"]
    script = (
        "import sys, tokensvc.client as c\n[getattr(c, name) for name in c.__all__]\n"
        f"print([name for name in {server} if name in sys.modules], 'httpx2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[] True\n"
