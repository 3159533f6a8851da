"""Which workload of a platform an agent is, as the platform's tokens name it: a SPIFFE ID, a service account."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tokensvc.core.spiffe import parse_spiffe_id
from tokensvc.settings.conflict import Conflict, nearest, repeats
from tokensvc.settings.model import Settings
from tokensvc.settings.parties import Agent

__all__ = ["WORKLOAD_RULES", "WorkloadName", "workload_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadName:
    """The `sub` of a workload's tokens, and who makes them: `spiffe://DOMAIN`, or the `iss` of a cluster."""

    platform: str
    sub: str


def workload_of(agent: Agent, settings: Settings) -> WorkloadName | None:
    """What the agent is called on its platform; None for one that has none. For settings without a conflict."""
    if agent.spiffe_id is not None:
        return WorkloadName(platform=parse_spiffe_id(agent.spiffe_id).platform, sub=agent.spiffe_id)
    if agent.service_account is not None:
        clusters = [cluster.iss for cluster in settings.kubernetes_clusters]
        platform = agent.cluster if agent.cluster is not None else next(iter(clusters), "")
        return WorkloadName(platform=platform, sub=f"system:serviceaccount:{agent.service_account}")
    return None


def _trust_domains(settings: Settings) -> Iterator[Conflict]:
    """An agent's SPIFFE ID is in a trust domain whose keys are known."""
    known = frozenset(domain.trust_domain for domain in settings.spiffe_trust_domains)
    for index, agent in enumerate(settings.agents):
        if agent.spiffe_id is None:
            continue
        domain = parse_spiffe_id(agent.spiffe_id).trust_domain
        if domain not in known:
            yield Conflict(
                key=f"agent[{index}].spiffe_id",
                problem=f"{domain} is no registered trust domain",
                remedy=nearest(domain, known, f'Add a [[spiffe_trust_domain]] with trust_domain = "{domain}".'),
            )


def _clusters(settings: Settings) -> Iterator[Conflict]:
    """It is clear which cluster a service account is in."""
    known = frozenset(cluster.iss for cluster in settings.kubernetes_clusters)
    for index, agent in enumerate(settings.agents):
        key = f"agent[{index}].cluster"
        if agent.cluster is not None and agent.service_account is None:
            remedy = "Remove it, or add service_account."
            yield Conflict(key=key, problem="means nothing without service_account", remedy=remedy)
        elif agent.cluster is not None and agent.cluster not in known:
            remedy = nearest(agent.cluster, known, "Write the iss of a [[kubernetes_cluster]].")
            yield Conflict(key=key, problem=f"{agent.cluster} is no registered cluster", remedy=remedy)
        elif agent.service_account is not None and agent.cluster is None and len(known) != 1:
            problem = "is missing: several clusters are registered" if known else "is missing: no cluster is registered"
            remedy = "Write the iss of the [[kubernetes_cluster]] that the service account is in."
            yield Conflict(key=key, problem=problem, remedy=remedy)


def _one_agent_each(settings: Settings) -> Iterator[Conflict]:
    """A workload is one agent, and the name of one agent is no other agent's workload."""
    named = [
        (index, agent, workload)
        for index, agent in enumerate(settings.agents)
        if (workload := workload_of(agent, settings)) is not None
    ]
    key = {index: "spiffe_id" if agent.spiffe_id is not None else "service_account" for index, agent, _ in named}
    entries = [(f"agent[{index}].{key[index]}", f"{name.sub} of {name.platform}") for index, _, name in named]
    yield from repeats(entries, "{value} is also another agent", "Give every agent a workload identity of its own.")
    ids = frozenset(agent.id for agent in settings.agents)
    for index, agent, workload in named:
        if workload.sub in ids - {agent.id}:
            remedy = "Rename that agent: what a workload calls itself would be two."
            yield Conflict(key=f"agent[{index}].{key[index]}", problem="is the id of another agent", remedy=remedy)


WORKLOAD_RULES: Final[tuple[Callable[[Settings], Iterator[Conflict]], ...]] = (
    _trust_domains,
    _clusters,
    _one_agent_each,
)
"""Every rule about workloads."""
