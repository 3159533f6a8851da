"""A request of one of the demo's agents as it would send it, whatever it asks for.

The client library refuses to ask for much of what the attacks want. So these are made by hand: with a proof of the
agent's key, where it holds one, and with a grant that it signed, where it delegates.
"""

from tokensvc.client import make_delegation_grant
from tokensvc.core.jws import SigningKey
from tokensvc.demo.cast import Cast, Client
from tokensvc.demo.wire import Answer
from tokensvc.demo.world import World

__all__ = ["ask"]


def ask(
    world: World,
    client: Client,
    subject_token: str,
    *,
    scope: tuple[str, ...] | None,
    resource: str,
    requested_actor: str | None = None,
    requested_lifetime_s: int | None = None,
) -> Answer:
    """POST /token as `client`. What is None is left out."""
    key, grant = client.holder_key, None
    if key is not None and scope is not None and requested_actor not in {None, client.client_id}:
        grant = make_delegation_grant(
            subject_token,
            key=key,
            to=str(requested_actor),
            holder_jkt=_holder_jkt(world.cast, str(requested_actor), key),
            scope=scope,
            resource=resource,
            may_delegate=True,
            lifetime_s=requested_lifetime_s,
        )
        # The grant says how long.
        requested_lifetime_s = None
    return world.wire.exchange(
        client,
        subject_token,
        scope=scope,
        resource=resource,
        requested_actor=requested_actor,
        requested_lifetime_s=requested_lifetime_s,
        proven_by=key,
        grant=grant,
    )


def _holder_jkt(cast: Cast, agent_id: str, otherwise: SigningKey) -> str:
    """The key of that agent, as `GET /agents/{id}` would say; of one without any key, some key."""
    keys = {client.client_id: client.holder_key for client in cast.agents}
    key = keys.get(agent_id)
    return (otherwise if key is None else key).public.thumbprint
