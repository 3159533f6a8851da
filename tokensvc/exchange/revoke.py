"""Revocation (RFC 7009) with cascade: an entry revoked is every token and every hop below it revoked.

Any token of the chain will do, expired or not. Who may revoke a hop: the agent that holds it and every agent above it.
A grant, which is a hop that stands in no token yet, is revoked by the agent that signed it. A root is the operator's to
revoke.
"""

from functools import partial
from typing import Final

from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.chain import HARD_MAX_DEPTH, Hop
from tokensvc.core.entry import HopClaim
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import OAuthError, OAuthRefused, Reason, Unavailable
from tokensvc.exchange.chain_keys import ChainKeys, judge_with
from tokensvc.exchange.delegation_grant import claim_of, is_grant, once_of_grant, open_lone_grant
from tokensvc.exchange.parties import REMEMBER_S, Agent, Party, Terms
from tokensvc.exchange.record import describe_lone_grant, describe_subject, record_refused
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.service import new_id
from tokensvc.exchange.subject import audience_of, verify_own_token
from tokensvc.ports import Clock, Committed, Outcome, Record, Signer, Store
from tokensvc.settings import MAX_ROOT_LIFETIME_S
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

        `token` may be a `delegation_grant` as well, redeemed or not, which its `iss` revokes. What is none of ours is
        answered like a success (RFC 7009 s2.2). When this returns, the revocation is durable. Raises: OAuthRefused
        (`unauthorized_client`, `invalid_request`), recorded; Unavailable.
        """
        now = self._clock()
        if is_grant(token):
            await self._revoke_grant(token, caller, now, hop=hop)
            return
        try:
            verified = await judge_with(self._keys(), partial(self._verify, token))
        except OAuthRefused as refusal:
            if refusal.reason is Reason.ROOT_INVALID:
                # One of ours, below an authority that is barred or took its key back, and may come again.
                raise Unavailable("the authority that signed the root of this token is not known at present") from None
            return
        inputs: dict[str, JsonValue] = {"subject": describe_subject(verified)}
        try:
            entry = _entry_to_revoke(verified, caller, hop)
        except OAuthRefused as refusal:
            # Whoever asks holds a token of ours that does not concern it: somebody will want to know.
            raise await self._recorded(refusal, caller, now, verified.lineage, inputs) from refusal
        await self._store_revocation(entry, caller, now, verified.lineage, inputs)

    async def _revoke_grant(self, text: str, caller: Party, now: int, *, hop: str | None) -> None:
        """Revoke a grant that may stand in no chain yet.

        Anybody can sign one with a key of his own, in anybody's name. So its `iss` has to be who asks, and its `jti` is
        claimed for it first: nobody ends another's hop by signing a grant with the same `jti`.
        """
        try:
            grant = open_lone_grant(text, issuer=self._terms.issuer)
        except OAuthRefused:
            return
        claim, authority = claim_of(grant), grant.authority
        if authority.exp > now + MAX_ROOT_LIFETIME_S + 2 * self._terms.leeway_s:
            # No root lives as long, so no chain takes it; and the store need not remember it until then.
            return
        inputs: dict[str, JsonValue] = {"delegation_grant": describe_lone_grant(grant)}
        try:
            _require_own_grant(grant, claim, caller, hop)
            await self._claim(grant, now)
        except OAuthRefused as refusal:
            raise await self._recorded(refusal, caller, now, claim.root, inputs) from refusal
        await self._store_revocation(grant, caller, now, claim.root, inputs)

    async def _claim(self, grant: Hop, now: int) -> None:
        if await self._store.claim((once_of_grant(grant),), now=now) is Committed.REPLAYED:
            raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.REPLAYED, "the jti of the grant is another's")

    async def _store_revocation(
        self, entry: Hop, caller: Party, now: int, lineage: str, inputs: dict[str, JsonValue]
    ) -> None:
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
                lineage=lineage,
                inputs={"configuration": self._terms.configuration, "revoked": entry.jti, **inputs},
            ),
        )

    async def _recorded(
        self, refusal: OAuthRefused, caller: Party, now: int, lineage: str, inputs: dict[str, JsonValue]
    ) -> OAuthRefused:
        record = record_refused(
            record_id=new_id(),
            now=now,
            client_id=caller.client_id,
            refusal=refusal,
            lineage=lineage,
            inputs={"configuration": self._terms.configuration, **inputs},
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


def _require_own_grant(grant: Hop, claim: HopClaim, caller: Party, jti: str | None) -> None:
    if not isinstance(caller, Agent) or caller.id != claim.iss:
        raise _unauthorized("a grant is revoked by the agent that signed it")
    if jti not in {None, grant.jti}:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_INVALID, "hop is not the jti of the grant")


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
