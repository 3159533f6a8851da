"""What a client may know of another agent: the key that a delegation to it is bound to."""

from tokensvc.core.jsontext import JsonValue
from tokensvc.exchange.parties import Agent, Party
from tokensvc.exchange.registry import Registry

__all__ = ["describe_agent"]


def describe_agent(registry: Registry, client: Party, agent_id: str) -> dict[str, JsonValue] | None:
    """The agent of that id, as those see it who may delegate to it, and itself: its `cnf`, where it holds a key.

    None for everybody else, and for an agent that is unknown or disabled: nobody learns who exists.
    """
    agent = registry.enabled_agent(agent_id)
    if agent is None or not isinstance(client, Agent):
        return None
    if client.id != agent.id and not registry.may_delegate(client.id, agent.id):
        return None
    jkt = agent.holder_jkt
    cnf: dict[str, JsonValue] = {} if jkt is None else {"cnf": {"jkt": jkt}}
    return {"id": agent.id, **cnf}
