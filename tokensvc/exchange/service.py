"""The exchange (RFC 8693), step by step. The first failure decides, and is recorded before the answer goes out.

     1 the form                       6 the holder (nothing is bound yet)   11 authority
     2 client authentication          7 the actor, the delegatee            12 policy (none yet)
     3 the client may use this grant  8 not revoked, everybody enabled      13 lifetime and depth
     4 parameters and types           9 depth and loops                     14 build, sign, verify; claim and record
     5 the subject token             10 target                              15 the answer

Steps 1 and 2 are done by the caller, who knows HTTP. Steps 7 and 9 to 13 are pure and stand in `grant.py`.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tokensvc.core.details import render_details
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.revocation import Revocable
from tokensvc.core.scope import render_scope
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.actor_token import refuse_actor_token, verify_actor_token
from tokensvc.exchange.grant import (
    NewEntry,
    Proposal,
    propose_from_token,
    propose_start,
    require_actor,
    require_actor_of_start,
)
from tokensvc.exchange.hop import Asker
from tokensvc.exchange.issue import Product, build_token
from tokensvc.exchange.parties import Agent, Party, Registry, Terms
from tokensvc.exchange.record import describe_request, describe_subject, record_granted, record_refused
from tokensvc.exchange.request import ID_TOKEN_TYPE, ExchangeRequest, Form, parse_exchange_request, require_single
from tokensvc.exchange.subject import issuer_of, subject_token_invalid, verify_own_token
from tokensvc.exchange.user_token import verify_user_token
from tokensvc.ports import Clock, Committed, OneTimeValue, Signer, Store
from tokensvc.verify import StaticKeys, VerifiedToken

__all__ = ["REMEMBER_S", "ExchangeService", "Issued", "new_id"]

# How long past its end an entry's id is remembered, so that clocks a minute apart still agree that it was used.
REMEMBER_S: Final = 60


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

    async def exchange(self, form: Form, client: Party, *, unsupported_header: str | None = None) -> Issued:
        """The answer to an authenticated client's request.

        `unsupported_header` names a header of the request that means something which is not built; it is refused like
        such a parameter. Raises: OAuthRefused, recorded; Unavailable, and then nothing was issued.
        """
        now = self._clock()
        trail = _Trail(inputs={"configuration": self._terms.configuration, "client_auth": str(client.auth)})
        try:
            return await self._decide(form, client, now, trail, unsupported_header)
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

    async def _decide(
        self, form: Form, client: Party, now: int, trail: _Trail, unsupported_header: str | None
    ) -> Issued:
        require_single(form)  # step 1
        if not isinstance(client, Agent):  # step 3
            raise OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, None, "this client may not use the token endpoint")
        request = parse_exchange_request(form)  # step 4
        trail.inputs["request"] = describe_request(request)
        if unsupported_header is not None:
            raise OAuthRefused(
                OAuthError.INVALID_REQUEST,
                Reason.PARAMETER_UNSUPPORTED,
                f"the header {unsupported_header} is not supported",
            )
        asker = Asker(
            request=request, client=client, registry=self._registry, terms=self._terms, now=now, new_id=new_id
        )
        iss = issuer_of(request.subject_token)
        if iss == self._terms.issuer:
            proposal = await self._propose_from_own(asker, trail)
        else:
            proposal = await self._propose_from_user(asker, iss, trail)
        trail.inputs["shape"] = proposal.shape
        product = build_token(
            proposal.chain,
            proposal.audience,
            until=trail.actor_token_exp,
            terms=self._terms,
            key=self._signer.signing_key(),
            now=now,
            new_id=new_id,
        )
        await self._commit(proposal, product, client, now, trail)  # step 14
        return _answer(product, request, now)  # step 15

    async def _propose_from_own(self, asker: Asker, trail: _Trail) -> Proposal:
        if asker.request.subject_token_type == ID_TOKEN_TYPE:
            raise subject_token_invalid("no ID token is issued here")
        subject = verify_own_token(  # step 5
            asker.request.subject_token,
            keys=StaticKeys({self._terms.issuer: self._signer.public_keys()}),
            expect=self._terms.expect(frozenset({self._terms.issuer, *self._registry.resources})),
            now=asker.now,
        )
        trail.lineage = subject.lineage
        trail.inputs["subject"] = describe_subject(subject.chain)
        _require_alive(subject, leeway_s=self._terms.leeway_s, now=asker.now)
        await self._use_actor_token(asker, trail)  # step 7
        actor = require_actor(asker, subject)
        await self._require_not_revoked(self._registry.revocables_of(subject))  # step 8
        return propose_from_token(asker, subject, actor)

    async def _propose_from_user(self, asker: Asker, iss: str | None, trail: _Trail) -> Proposal:
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
        await self._use_actor_token(asker, trail)  # step 7
        require_actor_of_start(asker)
        await self._require_not_revoked(user.revocables())  # step 8
        return propose_start(asker, user)

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
    return OneTimeValue(value=entry.jti, until=entry.authority.exp + REMEMBER_S, made=now, note=new.made_from)


def _require_alive(subject: VerifiedToken, *, leeway_s: int, now: int) -> None:
    """A token past its own end is good for a late pick-up only: exchange-only, and its hop still lives."""
    may_be_late = subject.is_exchange_only and now < subject.chain.leaf.authority.exp
    if now >= subject.exp + leeway_s and not may_be_late:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.EXPIRED, "subject_token: the token has expired")


def _revoked() -> OAuthRefused:
    return OAuthRefused(
        OAuthError.INVALID_REQUEST, Reason.REVOKED, "the subject_token or something above it was revoked"
    )


def _answer(product: Product, request: ExchangeRequest, now: int) -> Issued:
    token = product.verified
    return Issued(
        access_token=product.access_token,
        issued_token_type=request.issued_token_type,
        token_type="Bearer",
        expires_in=token.exp - now,
        scope=render_scope(token.scope),
        authorization_details=render_details(token.details),
    )
