"""Delegations that their delegators sign, at the real service, and judged by a verifier that demands it."""

import time

import pytest

from tests.client.agents import SCOPE, agent, async_agent, started
from tests.interop.service import API, Service, holder_key_of
from tokensvc.client import Agent, ExchangeRefused, HolderKeyUnknown
from tokensvc.client.held import read_held_token
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.keyset import parse_jwks
from tokensvc.errors import TokenRefused
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, VerifiedToken, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

PLANNER = "planner.dpop"
RESEARCHER = "researcher.dpop"


def signing(service: Service, name: str) -> Agent:
    return agent(service, name, sign_grants=True)


def verified(service: Service, token: str) -> VerifiedToken:
    """The token, by a resource that takes the delegators' word alone and knows planner's key."""
    keys = parse_jwks(parse_json_object(service.http.get("/.well-known/jwks.json").content))
    expect = Expectation.delegator_signed(
        issuers=[service.issuer],
        audiences=[API],
        agent_keys={(service.issuer, PLANNER): [holder_key_of(PLANNER).public.thumbprint]},
    )
    return verify_token(
        token,
        keys=StaticKeys({service.issuer: keys}),
        expect=expect,
        now=int(time.time()),
        revocations=LifetimeOnly(max_s=900),
        proof=UnsafeHolderProvenUpstream(),
    )


def test_what_an_agent_signs_a_strict_verifier_takes(service: Service) -> None:
    with signing(service, PLANNER) as planner, signing(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER)
        received = researcher.receive(
            lease.delegate(to=RESEARCHER, scope="crm.read crm.write", may_delegate=True, lifetime_s=600)
        )
        narrower = received.narrow(scope="crm.read")
        for under in (received, narrower):
            assert verified(service, under.token()).actors[-1] == PLANNER
        received.renew()
        assert verified(service, received.token()).actors == (RESEARCHER, PLANNER)
        assert 590 <= received.ends_at - time.time() <= 600
        assert read_held_token(narrower.token()).index == 3


def test_without_signatures_the_same_verifier_refuses(service: Service) -> None:
    with agent(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER)
        received = researcher.receive(lease.delegate(to=RESEARCHER, scope="crm.read"))
        with pytest.raises(TokenRefused) as caught:
            verified(service, received.token())
        assert caught.value.reason == "evidence_insufficient"


def test_a_grant_is_redeemed_by_the_agent_it_names(service: Service) -> None:
    with signing(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER)
        grant = lease.grant(to=RESEARCHER, scope="crm.read crm.write")
        received = researcher.receive(lease.exchange_only_token(), grant=grant)
        assert verified(service, received.token()).scope == {"crm.read", "crm.write"}
        received.renew()

        # For whoever is not named, and beside a token that a resource saw, it is worth nothing.
        with agent(service, "researcher.ES256") as other, pytest.raises(ExchangeRefused) as caught:
            other.receive(lease.exchange_only_token(), grant=grant)
        assert caught.value.reason == "not_current_actor"
        with pytest.raises(ExchangeRefused) as caught:
            researcher.receive(lease.token(), grant=grant)
        assert caught.value.reason == "not_current_actor"


def test_a_grant_is_revoked_by_who_signed_it_before_it_is_redeemed(service: Service) -> None:
    with signing(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER)
        grants = [lease.grant(to=RESEARCHER, scope="crm.read") for _ in range(2)]
        planner.revoke(grants[0])
        with pytest.raises(ExchangeRefused) as caught:
            researcher.receive(lease.exchange_only_token(), grant=grants[0])
        assert caught.value.reason == "revoked"
        assert researcher.receive(lease.exchange_only_token(), grant=grants[1]).token()


def test_more_than_the_delegator_holds_is_refused_under_its_signature_too(service: Service) -> None:
    with signing(service, PLANNER) as planner:
        lease = started(service, planner, PLANNER)
        for scope, reason in [(SCOPE, "not_proper"), ("crm.read crm.delete", "not_narrower")]:
            with pytest.raises(ExchangeRefused) as caught:
                lease.delegate(to=RESEARCHER, scope=scope)
            assert caught.value.reason == reason
        with pytest.raises(ExchangeRefused) as caught:
            lease.delegate(to=RESEARCHER, scope="crm.read", lifetime_s=10**6)
        assert caught.value.reason == "lifetime_exceeded"
        assert lease.delegate(to=RESEARCHER, scope="crm.read", lifetime_s=600)


def test_the_key_of_a_stranger_is_not_told(service: Service) -> None:
    with signing(service, PLANNER) as planner:
        lease = started(service, planner, PLANNER)
        with pytest.raises(HolderKeyUnknown):
            lease.delegate(to="researcher.ES256", scope="crm.read")
        with pytest.raises(HolderKeyUnknown, match="without a holder key"):
            lease.delegate(to="crm-server", scope="crm.read")
        assert lease.delegate(to=RESEARCHER, scope="crm.read")


async def test_the_same_in_an_event_loop(service: Service) -> None:
    async with (
        async_agent(service, PLANNER, sign_grants=True) as planner,
        async_agent(service, RESEARCHER, sign_grants=True) as researcher,
    ):
        lease = await planner.start(service.user_token(PLANNER), scope=SCOPE, resource=API)
        handed = await lease.delegate(to=RESEARCHER, scope="crm.read crm.write", may_delegate=True)
        narrower = await (await researcher.receive(handed)).narrow(scope="crm.read")
        assert verified(service, await narrower.token()).scope == {"crm.read"}
        grant = await lease.grant(to=RESEARCHER, scope="crm.read")
        received = await researcher.receive(await lease.exchange_only_token(), grant=grant)
        assert verified(service, await received.token()).scope == {"crm.read"}
