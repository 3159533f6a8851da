"""The exchange (RFC 8693), step by step. The first failure decides, and is recorded before the answer goes out.

     1 the form                       6 the holder                      11 authority
     2 client authentication          7 the actor, the delegatee        12 policy (none yet)
     3 the client may use this grant  8 not revoked, everybody enabled  13 lifetime and depth
     4 parameters and types           9 depth and loops                 14 build, sign, verify; claim and record
     5 the subject token             10 target                          15 the answer

Steps 1 and 2 are done by the caller, who knows HTTP. Steps 7 and 9 to 13 are pure and stand in `grant.py`.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tokensvc.core.chain import Hop
from tokensvc.core.details import render_details
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import render_scope
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.actor_token import refuse_actor_token, verify_actor_token
from tokensvc.exchange.chain_keys import ChainKeys, judge_with
from tokensvc.exchange.delegation_grant import note_of, once_of_grant, open_grant
from tokensvc.exchange.grant import (
    NewEntry,
    Proposal,
    is_server,
    propose_from_token,
    propose_start,
    propose_start_from_root,
    require_actor,
    require_actor_of_start,
)
from tokensvc.exchange.grant_hop import propose_from_grant, require_actor_of_grant
from tokensvc.exchange.holder import (
    NOTHING_PRESENTED,
    Presented,
    Proven,
    bad_proof,
    judge_proof,
    once_of,
    require_holder,
    token_type_of,
)
from tokensvc.exchange.hop import Asker
from tokensvc.exchange.issue import Product, build_token
from tokensvc.exchange.nonce import make_nonce, require_nonce
from tokensvc.exchange.parties import REMEMBER_S, Agent, Party, Registry, Terms
from tokensvc.exchange.record import describe_request, describe_subject, record_granted, record_refused
from tokensvc.exchange.request import ID_TOKEN_TYPE, ExchangeRequest, Form, parse_exchange_request, require_single
from tokensvc.exchange.root_token import is_signed_root, verify_signed_root
from tokensvc.exchange.subject import issuer_of, subject_token_invalid, verify_own_token
from tokensvc.exchange.user_token import verify_user_token
from tokensvc.ports import Clock, Committed, OneTimeValue, Signer, Store
from tokensvc.verify import VerifiedToken

__all__ = ["ExchangeService", "Issued", "new_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A successful answer (RFC 8693 s2.2.1, RFC 9396 s7). `expires_in` in seconds; details may be none."""

    access_token: str = field(repr=False)
    issued_token_type: str
    token_type: str
    expires_in: int
    scope: str
    authorization_details: list[JsonValue]


def new_id() -> str:
    """128 random bits as 22 base64url characters."""
    return secrets.token_urlsafe(16)


@dataclass(slots=True)
class _Trail:
    """What is known of a request so far: for its record, and when the credentials behind it end."""

    inputs: dict[str, JsonValue]
    lineage: str | None = None
    actor_token_exp: int | None = None


class ExchangeService:
    """Turns a subject token into a narrower one, or says why not."""

    __slots__ = ("_clock", "_registry", "_signer", "_store", "_terms")

    def __init__(self, *, registry: Registry, terms: Terms, store: Store, signer: Signer, clock: Clock) -> None:
        self._registry = registry
        self._terms = terms
        self._store = store
        self._signer = signer
        self._clock = clock

    async def exchange(self, form: Form, client: Party, *, presented: Presented = NOTHING_PRESENTED) -> Issued:
        """The answer to an authenticated client's request, with what it `presented` of keys.

        Raises: OAuthRefused, recorded; Unavailable, and then nothing was issued.
        """
        now = self._clock()
        trail = _Trail(inputs={"configuration": self._terms.configuration, "client_auth": str(client.auth)})
        try:
            return await self._decide(form, client, now, trail, presented)
        except OAuthRefused as refusal:
            record_id = new_id()
            record = record_refused(
                record_id=record_id,
                now=now,
                client_id=client.client_id,
                refusal=refusal,
                lineage=trail.lineage,
                inputs=trail.inputs,
            )
            await self._store.append(record)
            raise refusal.recorded_as(record_id) from refusal

    def nonce(self) -> str | None:
        """What the next DPoP proof has to carry; None where it need not (RFC 9449 s8)."""
        terms = self._terms
        return make_nonce(self._signer, iss=terms.issuer, now=self._clock()) if terms.dpop_nonces else None

    async def _decide(self, form: Form, client: Party, now: int, trail: _Trail, presented: Presented) -> Issued:
        require_single(form)  # step 1
        if not isinstance(client, Agent):  # step 3
            raise OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, None, "this client may not use the token endpoint")
        request = parse_exchange_request(form)  # step 4
        trail.inputs["request"] = describe_request(request)
        asker = Asker(
            request=request, client=client, registry=self._registry, terms=self._terms, now=now, new_id=new_id
        )
        iss = issuer_of(request.subject_token)
        if iss == self._terms.issuer:
            proposal = await self._propose_from_own(asker, presented, trail)
        elif is_signed_root(request.subject_token):
            proposal = await self._propose_from_root(asker, presented, iss, trail)
        else:
            proposal = await self._propose_from_user(asker, presented, iss, trail)
        trail.inputs["shape"] = proposal.shape
        product = build_token(
            proposal.chain,
            proposal.audience,
            cnf=proposal.cnf,
            until=trail.actor_token_exp,
            terms=self._terms,
            key=self._signer.signing_key(),
            authorities=self._registry.authorities,
            now=now,
            new_id=new_id,
        )
        await self._commit(proposal, product, client, now, trail)  # step 14
        return _answer(product, request, now)  # step 15

    async def _propose_from_own(self, asker: Asker, presented: Presented, trail: _Trail) -> Proposal:
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
        self, asker: Asker, text: str, subject: VerifiedToken, presented: Presented, trail: _Trail
    ) -> Proposal:
        hop = open_grant(text, subject)  # step 6: it is signed with the key that the subject token is bound to
        trail.inputs["delegation_grant"] = {"jti": hop.jti, "payload": note_of(hop)}
        asker = await self._with_proven(asker, presented, trail)
        await self._use_actor_token(asker, trail)  # step 7
        actor = require_actor_of_grant(asker, subject, hop)
        await self._require_not_revoked(self._registry.revocables_of(subject))  # step 8
        return propose_from_grant(asker, subject, hop, actor)

    async def _propose_from_user(self, asker: Asker, presented: Presented, iss: str | None, trail: _Trail) -> Proposal:
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
        asker = await self._with_proven(asker, presented, trail)  # step 6
        require_holder(user.cnf, asker.proven)
        await self._use_actor_token(asker, trail)  # step 7
        require_actor_of_start(asker)
        await self._require_not_revoked(user.revocables())  # step 8
        return propose_start(asker, user)

    async def _propose_from_root(self, asker: Asker, presented: Presented, iss: str | None, trail: _Trail) -> Proposal:
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
        asker = await self._with_proven(asker, presented, trail)  # step 6
        require_holder(signed.cnf, asker.proven)
        await self._use_actor_token(asker, trail)  # step 7
        require_actor_of_start(asker)
        await self._require_not_revoked(signed.revocables())  # step 8
        return propose_start_from_root(asker, signed)

    async def _with_proven(self, asker: Asker, presented: Presented, trail: _Trail) -> Asker:
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

    async def _use_actor_token(self, asker: Asker, trail: _Trail) -> None:
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
            raise _revoked()

    async def _commit(self, proposal: Proposal, product: Product, client: Agent, now: int, trail: _Trail) -> None:
        """Claim the new entries, check revocation again and record the grant, all in one step of the store.

        The product exists by now, but it is released only after this: no revocation that was acknowledged can be
        overtaken by a token that was already on its way.
        """
        outcome = await self._store.commit(
            claims=tuple(_claim(new, now) for new in proposal.new_entries),
            unless_revoked=(*self._registry.revocables_of(product.verified), *proposal.also_revocable),
            record=record_granted(
                record_id=new_id(), now=now, client_id=client.client_id, token=product.verified, inputs=trail.inputs
            ),
            now=now,
        )
        match outcome:
            case Committed.STORED:
                return
            case Committed.REVOKED:
                raise _revoked()
            case Committed.REPLAYED:
                raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.REPLAYED, "an entry of the chain was used before")


def _claim(new: NewEntry, now: int) -> OneTimeValue:
    entry = new.entry
    is_signed = entry.claim is not None
    if isinstance(entry, Hop) and is_signed:
        return once_of_grant(entry)
    # A root that others signed may come again, and was made when they say; what is made here exists from now on.
    return OneTimeValue(
        value=entry.jti,
        until=entry.authority.exp + REMEMBER_S,
        made=entry.authority.iat if is_signed else now,
        note=new.made_from,
        repeatable=is_signed,
    )


def _require_alive(subject: VerifiedToken, *, is_actor: bool, leeway_s: int, now: int) -> None:
    """A token past its own end is good while its hop lives where it is useless to others: exchange-only, or bound.

    Step 6 is next: of a bound one the key gets proven. Not for a server, which was lent the one token.
    """
    is_safe = subject.is_exchange_only or (is_actor and subject.cnf is not None)
    may_be_late = is_safe and now < subject.chain.leaf.authority.exp
    if now >= subject.exp + leeway_s and not may_be_late:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.EXPIRED, "subject_token: the token has expired")


def _revoked() -> OAuthRefused:
    return OAuthRefused(
        OAuthError.INVALID_REQUEST, Reason.REVOKED, "the subject_token, the grant or something above was revoked"
    )


def _answer(product: Product, request: ExchangeRequest, now: int) -> Issued:
    token = product.verified
    return Issued(
        access_token=product.access_token,
        issued_token_type=request.issued_token_type,
        token_type=token_type_of(token.cnf),
        expires_in=token.exp - now,
        scope=render_scope(token.scope),
        authorization_details=render_details(token.details),
    )
