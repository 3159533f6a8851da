"""An agent at its token service, and the leases that it works under, for code that waits in threads."""

import threading
import time
from collections.abc import Callable
from typing import Self

import httpx2

from tokensvc.client import operations
from tokensvc.client.answers import Issued
from tokensvc.client.asked import ACCESS_TOKEN, Names, Tools
from tokensvc.client.auth import ClientAuth
from tokensvc.client.errors import ServiceUnavailable
from tokensvc.client.leased import Leased
from tokensvc.client.operations import Entries, asked_of, delegation
from tokensvc.client.service import TokenService
from tokensvc.client.transport import drive, make_client
from tokensvc.core.jws import SigningKey

__all__ = ["Agent", "Lease"]


class Agent:
    """An agent. It may be shared by threads; `close` it, or use it in a `with` block.

    `issuer` finds the endpoints in its metadata (RFC 8414); `token_endpoint` needs none. With `holder_key` every token
    is bound to that key (RFC 9449); with `sign_grants` the agent signs what it delegates. `http` is a client of your
    own, for proxies and certificates; else one is made that looks at nothing in the environment but SSL_CERT_FILE.
    `clock` returns epoch seconds. Raises: ValueError, Malformed, KeyRefused for what does not fit together.

    Every operation raises ExchangeRefused, ClientAuthenticationFailed, ServiceUnavailable or AnswerMalformed.
    """

    def __init__(
        self,
        *,
        client_id: str,
        auth: ClientAuth,
        issuer: str | None = None,
        token_endpoint: str | None = None,
        holder_key: SigningKey | None = None,
        sign_grants: bool = False,
        http: httpx2.Client | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = TokenService(
            client_id=client_id,
            auth=auth,
            issuer=issuer,
            token_endpoint=token_endpoint,
            holder_key=holder_key,
            sign_grants=sign_grants,
            clock=clock,
        )
        self._owns_http = http is None
        self._http = make_client(auth, issuer, token_endpoint) if http is None else http

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Agent({self._service.client_id!r})"

    def close(self) -> None:
        """Close the connections, but for those of a client of your own."""
        if self._owns_http:
            self._http.close()

    def start(
        self,
        user_token: str,
        *,
        scope: Names,
        resource: Names | None = None,
        tools: Tools | None = None,
        authorization_details: Entries | None = None,
        may_delegate: bool = True,
        lifetime_s: int | None = None,
        subject_token_type: str = ACCESS_TOKEN,
    ) -> "Lease":
        """Begin to work for a user, by a token that the user's identity provider made for this agent.

        A root that an authority signed is one of the type `SIGNED_ROOT`. `lifetime_s` in seconds. A server that goes on
        with a token that was presented to it (*accept*) starts from it likewise.
        """
        asked = asked_of(
            scope=scope,
            resource=resource,
            tools=tools,
            authorization_details=authorization_details,
            lifetime_s=lifetime_s,
        )
        steps = operations.start(
            self._service, user_token, asked, may_delegate=may_delegate, subject_token_type=subject_token_type
        )
        return Lease(drive(steps, self._http), self._http)

    def receive(
        self,
        handed_token: str,
        *,
        scope: Names | None = None,
        resource: Names | None = None,
        grant: str | None = None,
    ) -> "Lease":
        """Pick up what another agent handed over; also late, while the delegation lives.

        What is not named is what was delegated. With `grant`, the token is the other agent's exchange-only one.
        """
        steps = operations.pick_up(self._service, handed_token, scope=scope, resource=resource, grant=grant)
        return Lease(drive(steps, self._http), self._http)

    def revoke(self, token: str, *, hop: str | None = None) -> None:
        """End the last hop of `token`, or the hop whose `jti` is given, and all that was delegated below it."""
        drive(self._service.revoke(token, hop=hop), self._http)


class Lease:
    """What was delegated to this agent, as long as it is renewed. It may be shared by threads."""

    def __init__(self, leased: Leased, http: httpx2.Client) -> None:
        self.leased = leased
        self._http = http
        # One renewal at a time; whoever comes meanwhile gets the token that still stands.
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Lease({self.leased.service.client_id!r}, scope={sorted(self.scope)}, ends_at={self.ends_at})"

    @property
    def scope(self) -> frozenset[str]:
        """What was delegated."""
        return self.leased.hop.authority.scope

    @property
    def resources(self) -> frozenset[str]:
        """Where it counts."""
        return self.leased.hop.authority.resources

    @property
    def ends_at(self) -> int:
        """When the delegation ends and no renewal goes on (epoch seconds, by the token service's clock)."""
        return self.leased.hop.authority.exp

    @property
    def jti(self) -> str:
        """The id of the hop: what `revoke` and the operator's records name."""
        return self.leased.hop.jti

    def token(self, resource: str | None = None) -> str:
        """An access token for `resource` that is valid now, renewed in time; None: for the only resource."""
        return self.issued(resource).held.text

    def renew(self, resource: str | None = None) -> None:
        """Renew now. Without `resource`, a lease for several renews the token that the others are made from."""
        several = resource is None and len(self.resources) > 1
        target = self.leased.held.claims.iss if several else self.leased.resource_of(resource)
        with self._lock:
            self.leased.adopt(drive(self.leased.renewal(target), self._http))

    def delegate(
        self,
        *,
        to: str,
        scope: Names,
        resource: Names | None = None,
        tools: Tools | None = None,
        authorization_details: Entries | None = None,
        may_delegate: bool = False,
        lifetime_s: int | None = None,
        holder_jkt: str | None = None,
    ) -> str:
        """A token for the agent `to` to pick up: exchange-only, of no use to anybody else.

        It has to hold less than this lease. Without `may_delegate` that agent hands on nothing, and cannot narrow what
        it has either. `tools` are `{tool: {argument: constraint}}` or names; `lifetime_s` in seconds, without it as
        long as this lease. `holder_jkt` is the key to bind a signed grant to, where the token service is not to be
        asked for it.
        """
        asked = asked_of(
            scope=scope,
            resource=resource,
            tools=tools,
            authorization_details=authorization_details,
            lifetime_s=lifetime_s,
        )
        steps = self.leased.service.delegate(
            self.leased.subject,
            delegation(self.leased, asked),
            to=to,
            may_delegate=may_delegate,
            holder_jkt=holder_jkt,
        )
        return drive(steps, self._http).held.text

    def grant(
        self,
        *,
        to: str,
        scope: Names,
        resource: Names | None = None,
        tools: Tools | None = None,
        authorization_details: Entries | None = None,
        may_delegate: bool = False,
        lifetime_s: int | None = None,
        holder_jkt: str | None = None,
    ) -> str:
        """A signed grant for the agent `to`, to be handed over beside `exchange_only_token`: it then asks itself."""
        asked = asked_of(
            scope=scope,
            resource=resource,
            tools=tools,
            authorization_details=authorization_details,
            lifetime_s=lifetime_s,
        )
        steps = self.leased.service.grant(
            self.leased.subject,
            delegation(self.leased, asked),
            to=to,
            may_delegate=may_delegate,
            holder_jkt=holder_jkt,
        )
        return drive(steps, self._http)

    def exchange_only_token(self) -> str:
        """A token that only this agent can use, and only at the token endpoint, as long as the delegation lives.

        Once it was asked for, a lease that nobody renewed in time is not lost.
        """
        with self._lock:
            if self.leased.exchange_only is None:
                self.leased.adopt(drive(self.leased.renewal(self.leased.held.claims.iss), self._http))
            return self.leased.subject.text

    def narrow(
        self,
        *,
        scope: Names,
        resource: Names | None = None,
        tools: Tools | None = None,
        authorization_details: Entries | None = None,
        lifetime_s: int | None = None,
    ) -> "Lease":
        """A lease of this agent for less than this one, which goes on. Tools that are not named are dropped."""
        asked = asked_of(
            scope=scope,
            resource=resource,
            tools=tools,
            authorization_details=authorization_details,
            lifetime_s=lifetime_s,
        )
        return Lease(drive(operations.narrowing(self.leased, asked), self._http), self._http)

    def revoke(self) -> None:
        """End this delegation and all below it."""
        drive(self.leased.service.revoke(self.leased.subject.text, hop=None), self._http)

    def issued(self, resource: str | None = None, *, refused: Issued | None = None) -> Issued:
        """The token with its kind and times, for whoever presents it. `refused` is one that a resource did not take."""
        leased = self.leased
        resource = leased.resource_of(resource)
        ready = leased.ready(resource, refused)
        if ready is not None:
            return ready
        standing = leased.standing(resource, refused)
        if not self._lock.acquire(blocking=standing is None) and standing is not None:
            return standing
        try:
            # Somebody else may have renewed it meanwhile.
            return leased.ready(resource, refused) or self._renewed(resource, standing)
        finally:
            self._lock.release()

    def _renewed(self, resource: str, standing: Issued | None) -> Issued:
        try:
            issued = drive(self.leased.renewal(resource), self._http)
        except ServiceUnavailable:
            if standing is None:
                raise
            self.leased.put_off(resource)
            return standing
        self.leased.adopt(issued)
        return issued
