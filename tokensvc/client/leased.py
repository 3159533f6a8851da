"""What a lease holds, without I/O and locks: tokens by resource, when they are due, and how they are renewed."""

from dataclasses import dataclass, field
from typing import Final

from tokensvc.client.answers import Issued
from tokensvc.client.asked import Asked
from tokensvc.client.errors import AnswerMalformed
from tokensvc.client.held import HeldToken
from tokensvc.client.service import TokenService
from tokensvc.client.wire import Steps
from tokensvc.core.details import NO_DETAILS
from tokensvc.core.entry import Hop

__all__ = ["Leased"]

# After a renewal that the service could not answer: the token is still good, and the next call would wait again.
_PUT_OFF_S: Final = 5.0


@dataclass(slots=True, kw_only=True)
class Leased:
    """The tokens of one hop. Whoever changes it holds the lease's lock."""

    service: TokenService
    held: HeldToken
    _by_resource: dict[str, Issued] = field(default_factory=dict, init=False, repr=False)
    _kept: HeldToken | None = field(default=None, init=False, repr=False)
    _not_before: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, service: TokenService, issued: Issued, *, picked_up: HeldToken | None = None) -> "Leased":
        """The lease that begins with `issued`; `picked_up` is the exchange-only token that it came of."""
        leased = cls(service=service, held=issued.held)
        leased.adopt(issued)
        if leased._kept is None and picked_up is not None and picked_up.leaf.jti == leased.hop.jti:
            leased._kept = picked_up
        return leased

    @property
    def hop(self) -> Hop:
        """What was delegated."""
        return self.held.leaf

    @property
    def subject(self) -> HeldToken:
        """The token to exchange: an exchange-only one is taken as long as the delegation lives, whatever its `exp`."""
        return self.held if self._kept is None else self._kept

    @property
    def exchange_only(self) -> HeldToken | None:
        """The exchange-only token, if there is one."""
        return self._kept

    def resource_of(self, resource: str | None) -> str:
        """`resource`, or the only one. Raises: ValueError for one that was not delegated, or where none is named."""
        resources = self.hop.authority.resources
        if resource is None:
            if len(resources) > 1:
                raise ValueError("the lease is for several resources: say which one")
            (resource,) = resources
        if resource not in resources:
            raise ValueError("the lease is not for that resource")
        return resource

    def ready(self, resource: str, refused: Issued | None) -> Issued | None:
        """The token for `resource` that needs no renewal yet; never `refused`."""
        issued = self.standing(resource, refused)
        if issued is None:
            return None
        due_at = max(issued.renew_at, self._not_before.get(resource, 0.0))
        return issued if self.service.clock() < due_at else None

    def standing(self, resource: str, refused: Issued | None) -> Issued | None:
        """The token for `resource` that has not expired; never `refused`."""
        issued = self._by_resource.get(resource)
        is_good = issued is not None and issued is not refused and self.service.clock() < issued.expires_at
        return issued if is_good else None

    def put_off(self, resource: str) -> None:
        """A renewal was not answered: the next one is not tried at once."""
        self._not_before[resource] = self.service.clock() + _PUT_OFF_S

    def renewal(self, resource: str) -> Steps[Issued]:
        """The same hop again, for `resource`, which may be the issuer: then the token is exchange-only."""
        authority = self.hop.authority
        asked = Asked(
            scope=authority.scope,
            resources=frozenset({resource}),
            # A renewal repeats them: an agent does not lose its tools by forgetting a parameter.
            details=authority.details if authority.details != NO_DETAILS else None,
            actor=self.service.client_id,
        )
        return self.service.exchange(self.subject.text, asked)

    def adopt(self, issued: Issued) -> None:
        """Hold `issued` from now on. Raises: AnswerMalformed for a token of another hop."""
        if issued.held.leaf != self.hop:
            raise AnswerMalformed("the renewed token is of another delegation")
        if issued.held.is_exchange_only:
            self._kept = issued.held
        else:
            self._by_resource[issued.held.claims.aud] = issued
        self.held = issued.held
