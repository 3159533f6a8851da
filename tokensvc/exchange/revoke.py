"""Revocation (RFC 7009) with cascade: an entry revoked is every token and every hop below it revoked.

Any token of the chain will do, expired or not. Who may revoke a hop: the agent that holds it and every agent above it.
A root is the operator's to revoke.
"""

from functools import partial
from typing import Final

from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.chain import HARD_MAX_DEPTH, Hop
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import OAuthError, OAuthRefused, Reason, Unavailable
from tokensvc.exchange.chain_keys import ChainKeys, judge_with
from tokensvc.exchange.parties import Party, Registry, Terms
from tokensvc.exchange.record import describe_subject, record_refused
from tokensvc.exchange.service import REMEMBER_S, new_id
from tokensvc.exchange.subject import audience_of, verify_own_token
from tokensvc.ports import Clock, Outcome, Record, Signer, Store
from tokensvc.verify import KeySource, VerifiedToken

__all__ = ["RevocationService"]

# What any order lets pass, this one does.
_WEAKEST: Final = Order(grammar=ScopeGrammar.SEGMENTS, attenuation=Attenuation.AUTHORITY, proper_from=2)
# The latest moment that a token can name: 2^53 - 1, the largest integer in JSON (`core.jsontext`).
_END_OF_TIME: Final = 9_007_199_254_740_991


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
        durable. Raises: OAuthRefused (`unauthorized_client`, `invalid_request`), recorded; Unavailable.
        """
        now = self._clock()
        try:
            verified = await judge_with(self._keys(), partial(self._verify, token))
        except OAuthRefused as refusal:
            if refusal.reason is Reason.ROOT_INVALID:
                # One of ours, below an authority that is barred or took its key back, and may come again.
                raise Unavailable("the authority that signed the root of this token is not known at present") from None
            return
        try:
            entry = _entry_to_revoke(verified, caller, hop)
        except OAuthRefused as refusal:
            # Whoever asks holds a token of ours that does not concern it: somebody will want to know.
            raise await self._recorded(refusal, caller, verified, now) from refusal
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
                    "subject": describe_subject(verified),
                },
            ),
        )

    async def _recorded(self, refusal: OAuthRefused, caller: Party, token: VerifiedToken, now: int) -> OAuthRefused:
        record = record_refused(
            record_id=new_id(),
            now=now,
            client_id=caller.client_id,
            refusal=refusal,
            lineage=token.lineage,
            inputs={"configuration": self._terms.configuration, "subject": describe_subject(token)},
        )
        await self._store.append(record)
        return refusal.recorded_as(record.id)

    def _keys(self) -> ChainKeys:
        return ChainKeys(
            issuer=self._terms.issuer, own=self._signer.public_keys(), authorities=self._registry.authorities
        )

    def _verify(self, token: str, keys: KeySource) -> VerifiedToken:
        """The proof that `token` is one of ours by signature and chain, whatever its time.

        To be told of success and have nothing revoked is the one thing that must not happen. So no setting that changed
        since counts: the depth is the hard cap, the order the one that refuses least, and the audience, which the last
        hop must grant, may be a resource that was taken out. As of the end of time no token is from a clock ahead of
        ours.
        """
        audiences = frozenset({audience_of(token) or self._terms.issuer})
        return verify_own_token(
            token,
            keys,
            expect=self._terms.expect(audiences, max_depth=HARD_MAX_DEPTH, order=_WEAKEST),
            now=_END_OF_TIME,
        )


def _entry_to_revoke(token: VerifiedToken, caller: Party, jti: str | None) -> Hop:
    hops = token.chain.hops
    above_or_at = [hop.actor for hop in hops]
    if caller.client_id not in above_or_at:
        raise _unauthorized("only an agent of the chain may revoke in it")
    if jti == token.chain.root.jti:
        raise _unauthorized("a root cannot be revoked here: revoke the first hop")
    index = len(hops) - 1 if jti is None else next((i for i, hop in enumerate(hops) if hop.jti == jti), None)
    if index is None:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_INVALID, "hop is no entry of the token's chain")
    if caller.client_id not in above_or_at[: index + 1]:
        raise _unauthorized("a hop is revoked by its own agent or by one above it")
    return hops[index]


def _unauthorized(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, None, description)
