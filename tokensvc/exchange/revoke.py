"""Revocation (RFC 7009) with cascade: an entry revoked is every token and every hop below it revoked.

Any token of the chain will do, expired or not. Who may revoke a hop: the agent that holds it and every agent above it.
A root is the operator's to revoke.
"""

from tokensvc.core.chain import HARD_MAX_DEPTH, Hop
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.parties import Party, Registry, Terms
from tokensvc.exchange.record import describe_subject
from tokensvc.exchange.service import REMEMBER_S, new_id
from tokensvc.exchange.subject import verify_own_token
from tokensvc.ports import Clock, Outcome, Record, Signer, Store
from tokensvc.verify import StaticKeys, VerifiedToken

__all__ = ["RevocationService"]


class RevocationService:
    """Revokes hops for the agents of their chain."""

    __slots__ = ("_clock", "_registry", "_signer", "_store", "_terms")

    def __init__(self, *, registry: Registry, terms: Terms, store: Store, signer: Signer, clock: Clock) -> None:
        self._registry = registry
        self._terms = terms
        self._store = store
        self._signer = signer
        self._clock = clock

    async def revoke(self, token: str, caller: Party, *, hop: str | None) -> None:
        """Revoke the last hop of `token`, or the entry of its chain whose `jti` is `hop`.

        A token that is none of ours is answered like a success (RFC 7009 s2.2). When this returns, the revocation is
        durable. Raises: OAuthRefused (`unauthorized_client`, `invalid_request`); Unavailable.
        """
        now = self._clock()
        try:
            verified = self._verify(token, now)
        except OAuthRefused:
            return
        entry = _entry_to_revoke(verified, caller, hop)
        await self._store.revoke(
            revocations=(
                Revocation(
                    kind=RevocationKind.ENTRY,
                    id=entry.jti,
                    not_before=None,
                    # Nothing below the entry can outlive it, and no verifier trusts a clock further than the leeway.
                    until=entry.authority.exp + self._terms.leeway_s + REMEMBER_S,
                ),
            ),
            record=Record(
                id=new_id(),
                at=now,
                outcome=Outcome.REVOKED,
                client_id=caller.client_id,
                reason=None,
                lineage=verified.lineage,
                inputs={
                    "configuration": self._terms.configuration,
                    "revoked": entry.jti,
                    "subject": describe_subject(verified.chain),
                },
            ),
        )

    def _verify(self, token: str, now: int) -> VerifiedToken:
        # The hard cap: a smaller configured depth must not keep anybody from revoking what was issued under a larger.
        return verify_own_token(
            token,
            keys=StaticKeys({self._terms.issuer: self._signer.public_keys()}),
            terms=self._terms,
            audiences=frozenset({self._terms.issuer, *self._registry.resources}),
            max_depth=HARD_MAX_DEPTH,
            now=now,
        )


def _entry_to_revoke(token: VerifiedToken, caller: Party, jti: str | None) -> Hop:
    hops = token.chain.hops
    above_or_at = [hop.actor for hop in hops]
    if caller.client_id not in above_or_at:
        raise _unauthorized("only an agent of the chain may revoke in it")
    if jti == token.chain.root.jti:
        raise _unauthorized("a root is revoked by an operator")
    index = len(hops) - 1 if jti is None else next((i for i, hop in enumerate(hops) if hop.jti == jti), None)
    if index is None:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_INVALID, "hop is no entry of the token's chain")
    if caller.client_id not in above_or_at[: index + 1]:
        raise _unauthorized("a hop is revoked by its own agent or by one above it")
    return hops[index]


def _unauthorized(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, None, description)
