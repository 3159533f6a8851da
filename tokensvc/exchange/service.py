"""The exchange (RFC 8693), step by step. The first failure decides, and is recorded before the answer goes out.

     1 the form                       6 the holder                      11 authority
     2 client authentication          7 the actor, the delegatee        12 policy (none yet)
     3 the client may use this grant  8 not revoked, everybody enabled  13 lifetime and depth
     4 parameters and types           9 depth and loops                 14 build, sign, verify; claim and record
     5 the subject token             10 target                          15 the answer

Steps 1 and 2 are done by the caller, who knows HTTP. Steps 5 to 13 stand in `judge`, and what is pure of them below it.
"""

import secrets
from dataclasses import dataclass, field

from tokensvc.core.chain import Hop
from tokensvc.core.details import render_details
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.scope import render_scope
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.delegation_grant import once_of_grant
from tokensvc.exchange.holder import NOTHING_PRESENTED, Presented, token_type_of
from tokensvc.exchange.hop import Asker
from tokensvc.exchange.issue import Product, build_token
from tokensvc.exchange.judge import Judge, Trail, revoked
from tokensvc.exchange.nonce import make_nonce
from tokensvc.exchange.parties import REMEMBER_S, Agent, Party, Terms
from tokensvc.exchange.proposal import NewEntry, Proposal
from tokensvc.exchange.record import describe_request, record_granted, record_refused
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ExchangeRequest, Form, parse_exchange_request, require_single
from tokensvc.ports import Clock, Committed, OneTimeValue, Signer, Store

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


class ExchangeService:
    """Turns a subject token into a narrower one, or says why not."""

    __slots__ = ("_clock", "_judge", "_registry", "_signer", "_store", "_terms")

    def __init__(self, *, registry: Registry, terms: Terms, store: Store, signer: Signer, clock: Clock) -> None:
        self._registry = registry
        self._terms = terms
        self._store = store
        self._signer = signer
        self._clock = clock
        self._judge = Judge(registry=registry, terms=terms, store=store, signer=signer)

    async def exchange(self, form: Form, client: Party, *, presented: Presented = NOTHING_PRESENTED) -> Issued:
        """The answer to an authenticated client's request, with what it `presented` of keys.

        Raises: OAuthRefused, recorded; Unavailable, and then nothing was issued.
        """
        now = self._clock()
        trail = Trail(inputs={"configuration": self._terms.configuration, "client_auth": str(client.auth)})
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

    async def _decide(self, form: Form, client: Party, now: int, trail: Trail, presented: Presented) -> Issued:
        require_single(form)  # step 1
        if not isinstance(client, Agent):  # step 3
            raise OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, None, "this client may not use the token endpoint")
        request = parse_exchange_request(form)  # step 4
        trail.inputs["request"] = describe_request(request)
        asker = Asker(
            request=request, client=client, registry=self._registry, terms=self._terms, now=now, new_id=new_id
        )
        proposal = await self._judge.propose(asker, presented, trail)  # steps 5 to 13
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

    async def _commit(self, proposal: Proposal, product: Product, client: Agent, now: int, trail: Trail) -> None:
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
                raise revoked()
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
