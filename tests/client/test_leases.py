"""Agents and their leases against the real service, over HTTP."""

import time

import pytest

from tests.client.agents import SCOPE, agent, async_agent, started
from tests.interop.service import API, FILES, Service, holder_key_of
from tests.simulator import ec_key
from tokensvc.client import ClientAuthenticationFailed, ClientSecret, ExchangeRefused, PrivateKeyJwt
from tokensvc.client.held import read_held_token

PLANNER = "planner.client_secret_basic"
RESEARCHER = "researcher.client_secret_basic"
WAYS = ["client_secret_basic", "client_secret_post", "ES256", "RS256", "Ed25519", "dpop"]


@pytest.mark.parametrize("way", WAYS)
def test_a_delegation_from_start_to_renewal_with_each_way_to_authenticate(service: Service, way: str) -> None:
    planner_id, researcher_id = f"planner.{way}", f"researcher.{way}"
    with agent(service, planner_id) as planner, agent(service, researcher_id) as researcher:
        lease = started(service, planner, planner_id)
        handed = lease.delegate(to=researcher_id, scope=["crm.read", "crm.write"])
        received = researcher.receive(handed)
        before = received.token()
        received.renew()

        assert read_held_token(handed).is_exchange_only
        assert received.scope == {"crm.read", "crm.write"}
        assert received.token() != before
        assert service.introspect(received.token())["act"] == {"sub": researcher_id, "act": {"sub": planner_id}}


@pytest.mark.parametrize("way", WAYS)
async def test_the_same_in_an_event_loop(service: Service, way: str) -> None:
    planner_id, researcher_id = f"planner.{way}", f"researcher.{way}"
    async with async_agent(service, planner_id) as planner, async_agent(service, researcher_id) as researcher:
        lease = await planner.start(service.user_token(planner_id), scope=SCOPE, resource=API)
        handed = await lease.delegate(to=researcher_id, scope="crm.read crm.write", may_delegate=True)
        received = await researcher.receive(handed)
        before = await received.token()
        await received.renew()
        narrower = await received.narrow(scope="crm.read")

        assert await received.token() != before
        assert service.introspect(await narrower.token())["scope"] == "crm.read"
        assert await received.exchange_only_token()
        await narrower.revoke()
        assert service.introspect(await narrower.token()) == {"active": False}
        assert service.introspect(await received.token())["active"] is True
        await planner.revoke(await lease.exchange_only_token())
        assert service.introspect(await received.token()) == {"active": False}
        assert {repr(planner), repr(lease)[:10]} == {f"AsyncAgent({planner_id!r})", "AsyncLease"}
        assert lease.resources == {API}
        assert lease.ends_at > time.time()


def test_a_refusal_says_its_reason_and_its_record(service: Service) -> None:
    with agent(service, PLANNER) as planner:
        lease = started(service, planner, PLANNER)
        for scope, reason in [(SCOPE, "not_proper"), ("crm.read crm.delete", "not_narrower")]:
            with pytest.raises(ExchangeRefused) as caught:
                lease.delegate(to=RESEARCHER, scope=scope)
            assert (caught.value.error, caught.value.reason) == ("invalid_scope", reason)
            assert caught.value.record
        assert lease.delegate(to=RESEARCHER, scope="crm.read")


def test_what_was_handed_to_another_agent_cannot_be_picked_up(service: Service) -> None:
    with agent(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        handed = started(service, planner, PLANNER).delegate(to=RESEARCHER, scope="crm.read")
        with pytest.raises(ExchangeRefused) as caught:
            planner.receive(handed)
        assert caught.value.reason == "not_current_actor"
        assert researcher.receive(handed).token()


def test_a_helper_hands_on_only_where_that_was_said(service: Service) -> None:
    with agent(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER)
        may_not = researcher.receive(lease.delegate(to=RESEARCHER, scope="crm.read crm.write"))
        may = researcher.receive(lease.delegate(to=RESEARCHER, scope="crm.read crm.write", may_delegate=True))
        with pytest.raises(ExchangeRefused) as caught:
            may_not.narrow(scope="crm.read")
        assert caught.value.reason == "depth_exceeded"
        assert may.narrow(scope="crm.read").scope == {"crm.read"}


def test_a_start_may_be_for_work_that_is_not_handed_on(service: Service) -> None:
    with agent(service, PLANNER) as planner:
        lease = started(service, planner, PLANNER, may_delegate=False)
        with pytest.raises(ExchangeRefused) as caught:
            lease.delegate(to=RESEARCHER, scope="crm.read")
        assert caught.value.reason == "depth_exceeded"
        assert started(service, planner, PLANNER).delegate(to=RESEARCHER, scope="crm.read")


def test_a_lifetime_is_the_delegations(service: Service) -> None:
    with agent(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER)
        received = researcher.receive(lease.delegate(to=RESEARCHER, scope="crm.read", lifetime_s=600))
        assert 590 <= received.ends_at - time.time() <= 600
        assert lease.ends_at > received.ends_at


def test_a_lease_for_several_resources_has_a_token_for_each(service: Service) -> None:
    with agent(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER, scope="crm.read crm.write files.read", resource=[API, FILES])
        handed = lease.delegate(to=RESEARCHER, scope="crm.read files.read", resource=[API, FILES])
        received = researcher.receive(handed)
        assert read_held_token(received.token(API)).claims.aud == API
        assert read_held_token(received.token(FILES)).claims.aud == FILES
        assert read_held_token(lease.token(API)).claims.aud == API
        with pytest.raises(ValueError, match="several"):
            lease.delegate(to=RESEARCHER, scope="crm.read")


def test_a_lease_that_was_missed_is_picked_up_again(service: Service) -> None:
    shift = [0.0]
    with (
        agent(service, PLANNER) as planner,
        agent(service, RESEARCHER, clock=lambda: time.time() + shift[0]) as researcher,
    ):
        received = researcher.receive(started(service, planner, PLANNER).delegate(to=RESEARCHER, scope="crm.read"))
        before = received.token()
        shift[0] = 1000
        assert received.token() != before


def test_a_token_for_the_token_endpoint_alone_keeps_a_lease(service: Service) -> None:
    with agent(service, PLANNER) as planner:
        lease = started(service, planner, PLANNER)
        kept = lease.exchange_only_token()
        assert read_held_token(kept).is_exchange_only
        assert lease.exchange_only_token() == kept
        lease.renew()
        assert planner.receive(kept).token()


def test_a_revoked_delegation_is_over_for_all_below_it(service: Service) -> None:
    with agent(service, PLANNER) as planner, agent(service, RESEARCHER) as researcher:
        lease = started(service, planner, PLANNER)
        received = researcher.receive(lease.delegate(to=RESEARCHER, scope="crm.read"))
        other = researcher.receive(lease.delegate(to=RESEARCHER, scope="crm.read"))
        planner.revoke(received.token(), hop=received.jti)
        with pytest.raises(ExchangeRefused) as caught:
            received.renew()
        assert caught.value.reason == "revoked"
        other.renew()
        lease.revoke()
        with pytest.raises(ExchangeRefused):
            other.renew()


def test_wrong_credentials_are_told_apart(service: Service) -> None:
    for name, wrong in ((PLANNER, ClientSecret("wrong")), ("planner.ES256", PrivateKeyJwt(ec_key("wrong")))):
        with agent(service, name, auth=wrong) as stranger:
            with pytest.raises(ClientAuthenticationFailed) as caught:
                started(service, stranger, name)
            assert (caught.value.status, caught.value.error) == (401, "invalid_client")
        with agent(service, name) as planner:
            assert started(service, planner, name).token()


def test_an_agents_tokens_are_bound_to_its_key_and_to_no_other(service: Service) -> None:
    name = "planner.dpop"
    with agent(service, name) as planner:
        lease = started(service, planner, name)
        assert service.introspect(lease.token())["cnf"] == {"jkt": holder_key_of(name).public.thumbprint}
        for key in (None, ec_key("another holder")):
            with agent(service, name, holder_key=key) as other, pytest.raises(ExchangeRefused) as caught:
                other.receive(lease.exchange_only_token())
            assert caught.value.reason == "holder_unproven"
        assert planner.receive(lease.exchange_only_token()).token()


def test_the_endpoint_alone_is_enough_for_exchanges(service: Service) -> None:
    with agent(service, PLANNER, issuer=None, token_endpoint=f"{service.issuer}/token") as planner:
        lease = started(service, planner, PLANNER)
        assert lease.delegate(to=RESEARCHER, scope="crm.read")
        with pytest.raises(ValueError, match="issuer="):
            lease.revoke()
    with agent(service, PLANNER) as planner:
        started(service, planner, PLANNER).revoke()
