"""The agents of `tests.interop.service`, as their own code makes them."""

from typing import Any, Final

from tests.interop.service import API, Service, holder_key_of, key_of, secret_of
from tokensvc.client import Agent, AsyncAgent, ClientSecret, Lease, PrivateKeyJwt
from tokensvc.client.auth import ClientAuth

__all__ = ["SCOPE", "agent", "async_agent", "started"]

SCOPE: Final = "crm.export crm.read crm.write"


def auth_of(name: str) -> ClientAuth:
    way = name.partition(".")[2]
    if way.startswith("client_secret") or not way:
        return ClientSecret(secret_of(name), in_body=way == "client_secret_post")
    return PrivateKeyJwt(key_of(name))


def options_of(service: Service, name: str) -> dict[str, Any]:
    holder_key = holder_key_of(name) if name.endswith(".dpop") else None
    return {"issuer": service.issuer, "client_id": name, "auth": auth_of(name), "holder_key": holder_key}


def agent(service: Service, name: str, **options: Any) -> Agent:  # noqa: ANN401 - any option of Agent
    return Agent(**{**options_of(service, name), **options})


def async_agent(service: Service, name: str, **options: Any) -> AsyncAgent:  # noqa: ANN401 - any option of AsyncAgent
    return AsyncAgent(**{**options_of(service, name), **options})


def started(service: Service, planner: Agent, name: str, **asked: Any) -> Lease:  # noqa: ANN401 - any parameter of start
    """What planner gets for a user's token."""
    return planner.start(service.user_token(name), **{"scope": SCOPE, "resource": API, **asked})
