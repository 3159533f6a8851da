"""The agent's side: start, delegate, receive, renew and narrow at a token service, and calls of APIs with the answer.

    with Agent(issuer=issuer, client_id="planner", auth=ClientSecret(secret)) as planner:
        lease = planner.start(user_token, scope="crm.read crm.comment crm.update", resource=api)
        handed = lease.delegate(to="researcher", scope="crm.read crm.comment")

What does HTTP needs `pip install "tokensvc[client]"`; keys and grants need nothing but the base install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from tokensvc.client.asked import SIGNED_ROOT
from tokensvc.client.auth import JWT_BEARER, JWT_SPIFFE, ClientSecret, PrivateKeyJwt, TlsClientAuth, WorkloadToken
from tokensvc.client.errors import (
    AnswerMalformed,
    ClientAuthenticationFailed,
    ExchangeRefused,
    HolderKeyUnknown,
    ServiceUnavailable,
    TokenWithheld,
)
from tokensvc.client.grant import make_delegation_grant
from tokensvc.client.keys import load_or_create_holder_key, public_jwks, read_private_key
from tokensvc.client.sealed import make_proof

if TYPE_CHECKING:
    from tokensvc.client.agent import Agent, Lease
    from tokensvc.client.async_agent import AsyncAgent, AsyncLease
    from tokensvc.client.lease_auth import LeaseAuth

__all__ = [
    "JWT_BEARER",
    "JWT_SPIFFE",
    "SIGNED_ROOT",
    "Agent",
    "AnswerMalformed",
    "AsyncAgent",
    "AsyncLease",
    "ClientAuthenticationFailed",
    "ClientSecret",
    "ExchangeRefused",
    "HolderKeyUnknown",
    "Lease",
    "LeaseAuth",
    "PrivateKeyJwt",
    "ServiceUnavailable",
    "TlsClientAuth",
    "TokenWithheld",
    "WorkloadToken",
    "load_or_create_holder_key",
    "make_delegation_grant",
    "make_proof",
    "public_jwks",
    "read_private_key",
]

# Imported when they are first asked for: they need httpx2, which who makes a grant alone has no use for.
_OVER_HTTP: Final = {
    "Agent": "agent",
    "AsyncAgent": "async_agent",
    "AsyncLease": "async_agent",
    "Lease": "agent",
    "LeaseAuth": "lease_auth",
}

if not TYPE_CHECKING:  # with it, type checkers would take every name for one of the package

    def __getattr__(name: str) -> object:
        """One of the names that need httpx2. Raises: ImportError where it is not installed."""
        if name not in _OVER_HTTP:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{__name__}.{_OVER_HTTP[name]}"), name)
        except ModuleNotFoundError as exc:
            if exc.name != "httpx2":
                raise
            raise ImportError(f'{name} needs httpx2: pip install "tokensvc[client]"') from exc
