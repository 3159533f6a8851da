"""What is presented, judged: steps 5 to 13 of the exchange, for each kind of subject token.

    our own token          `verify_own_token`, then delegate, accept, renew or narrow: unsigned, or by a signed grant
    a user's token         `verify_user_token`, then start
    an authority's root    `verify_signed_root`, then start

Here stands what has to ask the store or wait for keys; what follows from the answers is pure (`grant`, `grant_hop`,
`start`, `hop`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from tokensvc.core.details import render_details
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import render_scope
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.actor_token import refuse_actor_token, verify_actor_token
from tokensvc.exchange.chain_keys import ChainKeys, judge_with
from tokensvc.exchange.delegation_grant import note_of, open_grant
from tokensvc.exchange.grant import is_server, propose_from_token, require_actor
from tokensvc.exchange.grant_hop import propose_from_grant, require_actor_of_grant
from tokensvc.exchange.holder import Presented, Proven, bad_proof, judge_proof, once_of, require_holder
from tokensvc.exchange.hop import Asker
from tokensvc.exchange.nonce import require_nonce
from tokensvc.exchange.parties import Terms
from tokensvc.exchange.proposal import Proposal
from tokensvc.exchange.record import describe_subject
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ID_TOKEN_TYPE
from tokensvc.exchange.root_token import SignedRoot, is_signed_root, verify_signed_root
from tokensvc.exchange.start import propose_start, propose_start_from_root, require_actor_of_start
from tokensvc.exchange.subject import issuer_of, subject_token_invalid, verify_own_token
from tokensvc.exchange.user_token import UserToken, verify_user_token
from tokensvc.ports import Committed, Signer, Store
from tokensvc.verify import VerifiedToken

__all__ = ["Judge", "Trail", "revoked"]


@dataclass(slots=True)
class Trail:
    """What is known of a request so far: for its record, and when the credentials behind it end."""

    inputs: dict[str, JsonValue]
    lineage: str | None = None
    actor_token_exp: int | None = None


class Judge:
    """Says what a request is granted, or why not."""

    __slots__ = ("_registry", "_signer", "_store", "_terms")

    def __init__(self, *, registry: Registry, terms: Terms, store: Store, signer: Signer) -> None:
        self._registry = registry
        self._terms = terms
        self._store = store
        self._signer = signer

    async def propose(self, asker: Asker, presented: Presented, trail: Trail) -> Proposal:
        """What to issue; `trail` is told what was found out on the way. Raises: OAuthRefused, Unavailable."""
        subject_token = asker.request.subject_token
        iss = issuer_of(subject_token)
        if iss == self._terms.issuer:
            return await self._propose_from_own(asker, presented, trail)
        if is_signed_root(subject_token):
            return await self._propose_from_root(asker, presented, iss, trail)
        return await self._propose_from_user(asker, presented, iss, trail)

    async def _propose_from_own(self, asker: Asker, presented: Presented, trail: Trail) -> Proposal:
        if asker.request.subject_token_type == ID_TOKEN_TYPE:
            raise subject_token_invalid("no ID token is issued here")
        terms, registry = self._terms, self._registry
        subject = await judge_with(  # step 5
            ChainKeys(issuer=terms.issuer, own=self._signer.public_keys(), authorities=registry.authorities),
            partial(
                verify_own_token,
                asker.request.subject_token,
                expect=terms.expect(frozenset({terms.issuer, *registry.resources})),
                now=asker.now,
            ),
        )
        trail.lineage = subject.lineage
        trail.inputs["subject"] = describe_subject(subject)
        _require_alive(subject, is_actor=subject.actor == asker.client.id, leeway_s=self._terms.leeway_s, now=asker.now)
        if asker.request.delegation_grant is not None:
            return await self._propose_from_grant(asker, asker.request.delegation_grant, subject, presented, trail)
        asker = await self._with_proven(asker, presented, trail)  # step 6
        # To a server the actor has proved its key already, with the call that brought the token there.
        if not is_server(asker.client, subject):
            require_holder(subject.cnf, asker.proven)
        await self._use_actor_token(asker, trail)  # step 7
        actor = require_actor(asker, subject)
        await self._require_not_revoked(self._registry.revocables_of(subject))  # step 8
        return propose_from_token(asker, subject, actor)

    async def _propose_from_grant(
        self, asker: Asker, text: str, subject: VerifiedToken, presented: Presented, trail: Trail
    ) -> Proposal:
        hop = open_grant(text, subject)  # step 6: it is signed with the key that the subject token is bound to
        trail.inputs["delegation_grant"] = {"jti": hop.jti, "payload": note_of(hop)}
        asker = await self._with_proven(asker, presented, trail)
        await self._use_actor_token(asker, trail)  # step 7
        actor = require_actor_of_grant(asker, subject, hop)
        await self._require_not_revoked(self._registry.revocables_of(subject))  # step 8
        return propose_from_grant(asker, subject, hop, actor)

    async def _propose_from_user(self, asker: Asker, presented: Presented, iss: str | None, trail: Trail) -> Proposal:
        issuer = None if iss is None else self._registry.issuers.get(iss)
        if issuer is None:
            raise subject_token_invalid("not a token of a registered issuer")
        user = await verify_user_token(  # step 5
            asker.request.subject_token,
            token_type=asker.request.subject_token_type,
            issuer=issuer,
            client=asker.client,
            registry=self._registry,
            leeway_s=self._terms.leeway_s,
            now=asker.now,
        )
        trail.inputs["subject"] = {
            "iss": issuer.iss,
            "sub": user.sub,
            "scope": render_scope(user.scope),
            "authorization_details": render_details(user.details),
            "sha256": user.sha256,
        }
        asker = await self._require_fit_to_start(asker, user, presented, trail)
        return propose_start(asker, user)

    async def _propose_from_root(self, asker: Asker, presented: Presented, iss: str | None, trail: Trail) -> Proposal:
        authority = None if iss is None else self._registry.authorities.get(iss)
        if authority is None:
            raise subject_token_invalid("not a root of a registered authority")
        signed = await verify_signed_root(  # step 5
            asker.request.subject_token,
            token_type=asker.request.subject_token_type,
            authority=authority,
            client=asker.client,
            registry=self._registry,
            terms=self._terms,
            now=asker.now,
        )
        trail.lineage = signed.root.jti
        trail.inputs["subject"] = signed.describe()
        asker = await self._require_fit_to_start(asker, signed, presented, trail)
        return propose_start_from_root(asker, signed)

    async def _require_fit_to_start(
        self, asker: Asker, start: UserToken | SignedRoot, presented: Presented, trail: Trail
    ) -> Asker:
        """Steps 6 to 8 where a chain starts. The asker is returned with what it proved."""
        asker = await self._with_proven(asker, presented, trail)  # step 6
        require_holder(start.cnf, asker.proven)
        await self._use_actor_token(asker, trail)  # step 7
        require_actor_of_start(asker)
        await self._require_not_revoked(start.revocables())  # step 8
        return asker

    async def _with_proven(self, asker: Asker, presented: Presented, trail: Trail) -> Asker:
        """The same with the keys that its sender proves. A proof is used up by that."""
        terms, now = self._terms, asker.now
        proof = judge_proof(presented, subject_token=asker.request.subject_token, terms=terms, now=now)
        if proof is not None:
            if terms.dpop_nonces:
                self._require_nonce(proof.nonce, now)
            if await self._store.claim((once_of(proof, terms),), now=now) is Committed.REPLAYED:
                raise bad_proof(Reason.REPLAYED, "DPoP: the proof was used before; make one for each request")
            trail.inputs["proof"] = {"jkt": proof.jkt, "iat": proof.iat}
        proven = Proven(jkt=None if proof is None else proof.jkt, certificate=presented.certificate)
        return replace(asker, proven=proven)

    def _require_nonce(self, nonce: str | None, now: int) -> None:
        terms = self._terms
        try:
            require_nonce(nonce, self._signer, iss=terms.issuer, now=now, leeway_s=terms.leeway_s)
        except Malformed as exc:
            raise OAuthRefused(
                OAuthError.USE_DPOP_NONCE, Reason.PROOF_INVALID, "DPoP: put the nonce of DPoP-Nonce into the proof"
            ) from exc

    async def _use_actor_token(self, asker: Asker, trail: Trail) -> None:
        text = asker.request.actor_token
        if text is None:
            return
        actor_token = await verify_actor_token(
            text, client=asker.client, registry=self._registry, terms=self._terms, now=asker.now
        )
        once = () if actor_token.once is None else (actor_token.once,)
        if once and await self._store.claim(once, now=asker.now) is Committed.REPLAYED:
            raise refuse_actor_token("used before")
        trail.actor_token_exp = actor_token.exp
        trail.inputs["actor_token"] = {"exp": actor_token.exp}

    async def _require_not_revoked(self, revocables: Sequence[Revocable]) -> None:
        if await self._store.is_revoked(tuple(revocables)):
            raise revoked()


def _require_alive(subject: VerifiedToken, *, is_actor: bool, leeway_s: int, now: int) -> None:
    """A token past its own end is good while its hop lives where it is useless to others: exchange-only, or bound.

    Step 6 is next: of a bound one the key gets proven. Not for a server, which was lent the one token.
    """
    is_safe = subject.is_exchange_only or (is_actor and subject.cnf is not None)
    may_be_late = is_safe and now < subject.chain.leaf.authority.exp
    if now >= subject.exp + leeway_s and not may_be_late:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.EXPIRED, "subject_token: the token has expired")


def revoked() -> OAuthRefused:
    """The refusal for whatever was revoked."""
    return OAuthRefused(
        OAuthError.INVALID_REQUEST, Reason.REVOKED, "the subject_token, the grant, a key or something above was revoked"
    )
