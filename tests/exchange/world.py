"""A token service without HTTP: who is registered, an identity provider, a clock and a store that tests can watch.

    world = await make_world()
    token = await world.start()                                      # planner's, for the CRM
    token = await world.delegate(token)                              # exchange-only, for researcher
    refusal = await world.refused("planner", world.delegation(token, scope="crm.delete"))

Every request goes through `ExchangeService.exchange` with a form, as the token endpoint calls it.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, IDP, ISSUER, START_SCOPE, TERMS, USER_SCOPE, make_registry, root_key
from tests.exchange.watched import WatchedStore
from tests.simulator import NOW, USER, Members, Simulator, ec_key
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.holder import NOTHING_PRESENTED, Presented
from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.exchange.parties import Party, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE, Form
from tokensvc.exchange.revoke import RevocationService
from tokensvc.exchange.service import ExchangeService, Issued
from tokensvc.ports import Store
from tokensvc.storage.memory import MemoryStore
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, VerifiedToken, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

Parameter = str | Iterable[str] | None
"""What a test gives a form parameter: one value, several, or none."""


class FixedClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class FixedSigner:
    """Implements `ports.Signer`: signs with the last of its keys and publishes them all."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)

    def signing_key(self) -> SigningKey:
        return self.keys[-1]

    def public_keys(self) -> KeySet:
        return KeySet(key.public for key in self.keys)


def form(subject_token: str, **parameters: Parameter) -> dict[str, tuple[str, ...]]:
    """A form; None leaves a parameter out, several values repeat it."""
    plain = {"grant_type": GRANT_TYPE, "subject_token": subject_token, "subject_token_type": ACCESS_TOKEN_TYPE}
    values = {**plain, **parameters}
    return {
        name: (value,) if isinstance(value, str) else tuple(value)
        for name, value in values.items()
        if value is not None
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One token service and its surroundings."""

    registry: Registry
    terms: Terms
    store: WatchedStore
    signer: FixedSigner = field(default_factory=lambda: FixedSigner(ec_key("service")))
    clock: FixedClock = field(default_factory=FixedClock)

    def but(self, *, registry: Registry | None = None, **terms: Any) -> "World":  # noqa: ANN401 - any field of Terms
        """The same service after a change of its settings: store, keys and clock stay."""
        return replace(self, registry=registry or self.registry, terms=replace(self.terms, **terms))

    def party(self, client_id: str) -> Party:
        """A registered client."""
        party = self.registry.party(client_id)
        assert party is not None
        return party

    async def exchange(self, client_id: str, request: Form, presented: Presented = NOTHING_PRESENTED) -> Issued:
        """The answer of the token endpoint."""
        return await self.exchange_service().exchange(request, self.party(client_id), presented=presented)

    async def refused(self, client_id: str, request: Form, presented: Presented = NOTHING_PRESENTED) -> OAuthRefused:
        """The refusal of the token endpoint."""
        with pytest.raises(OAuthRefused) as caught:
            await self.exchange(client_id, request, presented)
        return caught.value

    async def verdict(
        self, client_id: str, request: Form, presented: Presented = NOTHING_PRESENTED
    ) -> tuple[OAuthError, Reason | None] | None:
        """Error and reason of the refusal; None when a token is issued."""
        try:
            await self.exchange(client_id, request, presented)
        except OAuthRefused as refusal:
            return refusal.error, refusal.reason
        return None

    def exchange_service(self) -> ExchangeService:
        return ExchangeService(
            registry=self.registry, terms=self.terms, store=self.store, signer=self.signer, clock=self.clock
        )

    def user_token(self, *, header: Members | None = None, key: SigningKey | None = None, **claims: object) -> str:
        """An access token of the identity provider, obtained by planner; each claim and header member replaceable."""
        simulator = Simulator(iss=IDP, key=key or ec_key("idp"))
        times = {"iat": self.clock.now - 10, "exp": self.clock.now + 3600}
        plain = {"iss": IDP, "sub": USER, "aud": "tokensvc", "client_id": "planner", "scope": USER_SCOPE, **times}
        present = {name: value for name, value in {**plain, **claims}.items() if value is not None}
        return simulator.token(present, header=simulator.header(**(header or {})))

    def starting(self, token: str | None = None, /, **parameters: Parameter) -> Form:
        """The form of a start. Its hop has both resources unless `resource` says otherwise: exchange-only then."""
        wanted: dict[str, Parameter] = {"scope": START_SCOPE, "resource": [CRM, FILES], **parameters}
        return form(self.user_token() if token is None else token, **wanted)

    def delegation(self, token: str, **parameters: Parameter) -> Form:
        """The form of a delegation to researcher."""
        wanted: dict[str, Parameter] = {"requested_actor": "researcher", "scope": "crm.read crm.write files.read"}
        return form(token, **{**wanted, "resource": [CRM, FILES], **parameters})

    def renewal(self, token: str, **parameters: Parameter) -> Form:
        """The form of a renewal, or a pick-up, for the CRM, of whatever `token` says."""
        claims = self.read(token)
        return form(
            token, **{"requested_actor": claims.actor, "scope": scope_of(claims), "resource": CRM, **parameters}
        )

    async def start(self, **parameters: Parameter) -> str:
        """planner's token."""
        return (await self.exchange("planner", self.starting(**parameters))).access_token

    async def delegate(self, token: str, **parameters: Parameter) -> str:
        """What the current actor gets for another agent (exchange-only)."""
        return (await self.exchange(self.read(token).actor, self.delegation(token, **parameters))).access_token

    async def renew(self, token: str, **parameters: Parameter) -> str:
        """The same authority, as a token for the CRM."""
        return (await self.exchange(self.read(token).actor, self.renewal(token, **parameters))).access_token

    async def chain(self) -> tuple[str, str, str]:
        """Exchange-only tokens of planner, researcher and fetcher, each below the one before."""
        first = await self.start()
        second = await self.delegate(first)
        wanted = {"requested_actor": "fetcher", "scope": "crm.read files.read"}
        return first, second, await self.delegate(second, **wanted)

    def read(self, token: str) -> VerifiedToken:
        """`token` by the public verifier, whatever its audience, as of its own `iat`."""
        return self.verify(token, ISSUER, CRM, FILES, now=claims_of(token)["iat"])

    def verify(self, token: str, *audiences: str, now: int | None = None) -> VerifiedToken:
        """`token` by the public verifier, now and for these audiences, offline."""
        return verify_token(
            token,
            keys=StaticKeys({ISSUER: self.signer.public_keys(), **self._root_keys()}),
            expect=replace(
                Expectation.bearer(issuers=[ISSUER], audiences=audiences),
                order=self.terms.order,
                authorities={(ISSUER, iss): one.subject_prefix for iss, one in self.registry.authorities.items()},
            ),
            now=self.clock.now if now is None else now,
            revocations=LifetimeOnly(max_s=900),
            proof=UnsafeHolderProvenUpstream(),
        )

    def _root_keys(self) -> dict[str, KeySet]:
        return {iss: KeySet([root_key(iss).public]) for iss in self.registry.authorities}

    async def introspect(self, token: str, client_id: str) -> Mapping[str, JsonValue]:
        """The answer of the introspection endpoint."""
        service = IntrospectionService(
            registry=self.registry, terms=self.terms, store=self.store, signer=self.signer, clock=self.clock
        )
        return await service.introspect(token, self.party(client_id))

    async def is_active(self, token: str) -> bool:
        """True when introspection by the token's own actor says so."""
        answer = await self.introspect(token, self.read(token).actor)
        assert answer["active"] is True or answer == {"active": False}
        return answer["active"] is True

    async def revoke(self, token: str, client_id: str, *, hop: str | None = None) -> None:
        """A request to the revocation endpoint."""
        service = RevocationService(
            registry=self.registry, terms=self.terms, store=self.store, signer=self.signer, clock=self.clock
        )
        await service.revoke(token, self.party(client_id), hop=hop)


def scope_of(token: VerifiedToken) -> str:
    """Its scopes, separated by spaces."""
    return " ".join(sorted(token.scope))


def claims_of(token: str) -> Members:
    """The claims set as it is, unverified."""
    payload = token.split(".")[1]
    claims: Members = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def make_world(
    store: Store | None = None,
    *,
    registry: Registry | None = None,
    **terms: Any,  # noqa: ANN401 - any field of Terms
) -> World:
    """The service with an open store, in memory unless one is given."""
    watched = WatchedStore(MemoryStore() if store is None else store)
    await watched.open()
    return World(registry=registry or make_registry(), terms=replace(TERMS, **terms), store=watched)
