"""`/agents/{id}`: the key that a delegation to an agent is bound to, for whoever may delegate to it. Ours.

A delegator that signs its grants has to name that key. GET is for clients that prove themselves in a header, POST with
a form for those that do so in the body. An id is one path segment of letters, digits and `-._~:@`, which no client and
no proxy has to escape, written in one way only; an agent of another name cannot be asked about.
"""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tokensvc.exchange.agents import describe_agent
from tokensvc.exchange.registry import Registry
from tokensvc.server.answer import uncached_json
from tokensvc.server.client_auth import Door
from tokensvc.server.routes import Endpoint

__all__ = ["AGENT_SEGMENT", "agent_endpoint"]

AGENT_SEGMENT: Final = r"(?P<agent_id>[A-Za-z0-9._~:@-]+)"
"""The last segment of the path, as a pattern."""

_NOT_FOUND: Final = 404


def agent_endpoint(door: Door, registry: Registry) -> Endpoint:
    """The endpoint that says to which key a delegation to an agent is bound."""

    async def agent(request: Request) -> Response:
        admitted = await (door.admit(request) if request.method == "POST" else door.admit_without_form(request))
        described = describe_agent(registry, admitted.client, request.path_params["agent_id"])
        if described is None:
            raise HTTPException(_NOT_FOUND)
        return uncached_json(described)

    return agent
