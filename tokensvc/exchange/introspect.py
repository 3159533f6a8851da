"""Introspection (RFC 7662): what a token says now, for those it concerns, and nothing at all for anyone else."""

from functools import partial
from typing import Final

from tokensvc.core.chain import PROFILE, render_act, render_grant_chain
from tokensvc.core.details import render_details
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.scope import render_scope
from tokensvc.errors import TokenRefused
from tokensvc.exchange.chain_keys import ChainKeys, judge_with
from tokensvc.exchange.holder import token_type_of
from tokensvc.exchange.parties import Agent, Party, Resource, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.ports import Clock, Signer, Store
from tokensvc.verify import KeySource, VerifiedToken, verify_token
from tokensvc.verify.revocations import UnsafeRevocationElsewhere
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

__all__ = ["INACTIVE", "IntrospectionService"]

INACTIVE: Final[dict[str, JsonValue]] = {"active": False}


class IntrospectionService:
    """Answers for the current actor and for the resource that is the token's `aud`."""

    __slots__ = ("_clock", "_registry", "_signer", "_store", "_terms")

    def __init__(self, *, registry: Registry, terms: Terms, store: Store, signer: Signer, clock: Clock) -> None:
        self._registry = registry
        self._terms = terms
        self._store = store
        self._signer = signer
        self._clock = clock

    async def introspect(self, token: str, caller: Party) -> dict[str, JsonValue]:
        """The members of RFC 7662 s2.2 for an active token; `INACTIVE` for anything else and anyone else.

        Raises: Unavailable when the store cannot tell whether it is revoked, or an authority's key cannot be had.
        """
        try:
            verified = await judge_with(self._keys(), partial(self._verify, token))
        except TokenRefused:
            return dict(INACTIVE)
        if not _concerns(verified, caller):
            return dict(INACTIVE)
        # What was taken back since counts here as it does in the exchange.
        if not (self._registry.knows_user_of(verified) and self._registry.still_allows(verified.actors)):
            return dict(INACTIVE)
        if await self._store.is_revoked(self._registry.revocables_of(verified)):
            return dict(INACTIVE)
        return _describe(verified)

    def _keys(self) -> ChainKeys:
        return ChainKeys(
            issuer=self._terms.issuer, own=self._signer.public_keys(), authorities=self._registry.authorities
        )

    def _verify(self, token: str, keys: KeySource) -> VerifiedToken:
        expect = self._terms.expect(frozenset({self._terms.issuer, *self._registry.resources}))
        return verify_token(
            token,
            keys=keys,
            expect=expect,
            now=self._clock(),
            revocations=UnsafeRevocationElsewhere(),
            # Whoever asks is told what the token is bound to, and checks the proof that came with it.
            proof=UnsafeHolderProvenUpstream(),
        )


def _concerns(token: VerifiedToken, caller: Party) -> bool:
    if isinstance(caller, Resource):
        return caller.id == token.audience
    return isinstance(caller, Agent) and caller.id == token.actor


def _describe(token: VerifiedToken) -> dict[str, JsonValue]:
    # RFC 9396 s9.2: as in the token, where none at all is said by leaving the member out.
    details: dict[str, JsonValue] = {"authorization_details": render_details(token.details)} if token.details else {}
    return {
        "active": True,
        "iss": token.iss,
        "sub": token.sub,
        "aud": token.audience,
        "client_id": token.actor,
        "scope": render_scope(token.scope),
        **details,
        "token_type": token_type_of(token.cnf),
        "iat": token.iat,
        "exp": token.exp,
        "jti": token.jti,
        **({} if token.cnf is None else {"cnf": dict([token.cnf])}),
        "act": render_act(token.actors),
        "grant_profile": PROFILE,
        "grant_chain": render_grant_chain(token.chain),
    }
