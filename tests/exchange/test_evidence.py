"""Where the settings ask for it, no hop from the second on is the token service's word."""

from dataclasses import replace
from typing import Any

import pytest

from tests.exchange.grants import Site, Verdict
from tests.exchange.holders import holder, presented, registry_with_keys
from tests.exchange.parties import CRM, FILES
from tests.exchange.world import World
from tokensvc.errors import OAuthError, Reason
from tokensvc.exchange.registry import Registry
from tokensvc.verify import Evidence

INSUFFICIENT = (OAuthError.INVALID_REQUEST, Reason.EVIDENCE_INSUFFICIENT)


@pytest.fixture
async def site() -> Site:
    return await Site.make()


def with_resource(uri: str, **agents: Any) -> Registry:  # noqa: ANN401 - members of agents
    """Everybody, this one resource wanting signed hops."""
    known = registry_with_keys(**agents)
    resources = [
        replace(resource, evidence=Evidence.DELEGATOR) if resource.id == uri else resource
        for resource in known.resources.values()
    ]
    return Registry(agents=known.agents.values(), resources=resources, issuers=known.issuers.values())


async def plain(site: Site, world: World, client: str, **parameters: Any) -> Verdict:  # noqa: ANN401 - as a form
    """What an agent is told that asks without a grant, its key proven."""
    request = world.delegation(site.token, **parameters)
    return await world.verdict(client, request, presented(holder(client), world))


async def test_by_default_the_service_s_word_is_enough(site: Site) -> None:
    assert await plain(site, site.world, "planner") is None


async def test_an_agent_that_signs_its_hops_makes_no_other(site: Site) -> None:
    signing = site.world.but(registry=registry_with_keys(planner={"evidence": Evidence.DELEGATOR}))
    assert await plain(site, signing, "planner") == INSUFFICIENT
    assert await plain(site, signing, "planner", requested_actor="planner") == INSUFFICIENT
    refusal = await signing.refused("planner", signing.delegation(site.token), site.proof("planner"))
    assert "delegation_grant" in refusal.description
    assert await site.at(signing).verdicts(site.draft()) == (None, None)
    # Starts and renewals make no hop of its own; and what another makes is the other's affair.
    started = await signing.exchange("planner", signing.starting(), site.proof("planner"))
    assert await signing.verdict("planner", signing.renewal(started.access_token), site.proof("planner")) is None
    below = await site.at(signing).handed_on(site.draft())
    handed_on = {"requested_actor": "fetcher", "scope": "crm.read"}
    assert await plain(below, signing, "researcher", **handed_on) is None


async def test_a_resource_that_wants_signed_hops_is_in_no_other(site: Site) -> None:
    wanting = site.world.but(registry=with_resource(CRM))
    for resources, scope, verdict in (
        ([CRM, FILES], "crm.read files.read", INSUFFICIENT),
        ([CRM], "crm.read", INSUFFICIENT),
        ([FILES], "files.read", None),
    ):
        assert await plain(site, wanting, "planner", resource=resources, scope=scope) == verdict
    assert await site.at(wanting).verdicts(site.draft()) == (None, None)


async def test_everywhere_means_every_hop_from_the_second_on(site: Site) -> None:
    everywhere = site.world.but(evidence=Evidence.DELEGATOR)
    started = await everywhere.exchange("planner", everywhere.starting(), site.proof("planner"))
    assert await everywhere.verdict("planner", everywhere.renewal(started.access_token), site.proof("planner")) is None
    assert await plain(site, everywhere, "planner") == INSUFFICIENT
    assert await plain(site, everywhere, "planner", requested_actor="planner", scope="crm.read") == INSUFFICIENT
    below = await site.at(everywhere).handed_on(site.draft())
    assert await plain(below, everywhere, "researcher", requested_actor="fetcher", scope="crm.read") == INSUFFICIENT
    assert await below.verdicts(below.draft("fetcher")) == (None, None)


@pytest.mark.parametrize("where", ["everywhere", "delegator", "resource"])
async def test_a_server_s_hop_is_plain_and_refused_where_that_is_not_enough(site: Site, where: str) -> None:
    serving = {"serves": frozenset({CRM}), "downstream_resources": frozenset({FILES})}

    def registry(**planner: Any) -> Registry:  # noqa: ANN401 - members of an agent
        return registry_with_keys(researcher=serving, planner=planner)

    shown = await site.world.exchange("planner", site.world.renewal(site.token), site.proof("planner"))
    enough = site.world.but(registry=registry())
    request = enough.delegation(shown.access_token, resource=FILES, scope="files.read", requested_actor=None)
    assert await enough.verdict("researcher", request, site.proof("researcher")) is None
    if where == "everywhere":
        wanting = enough.but(evidence=Evidence.DELEGATOR)
    elif where == "delegator":
        wanting = enough.but(registry=registry(evidence=Evidence.DELEGATOR))
    else:
        wanting = enough.but(registry=with_resource(FILES, researcher=serving))
    assert await wanting.verdict("researcher", request, site.proof("researcher")) == INSUFFICIENT
