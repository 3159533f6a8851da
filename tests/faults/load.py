"""The load: families of requests that race one another, each family about one chain and its end.

A family starts a chain; then planner renews it, narrows it and delegates it to clerk, who picks it up, all at once,
while somebody revokes the first hop, clerk's hop, or the root, or nobody does. Once that was answered each asks again.
"""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from tests.faults.journal import Attempt, Journal, Kind, Token
from tests.faults.site import CLERK_KEY, ISSUER, Site
from tests.server.world import IDP, USER, USER_SCOPE, basic, exchange_form
from tests.simulator import Simulator, ec_key, seal
from tokensvc.ports import Clock
from tokensvc.wiring import system_clock

__all__ = ["Callers", "Load"]

# So much is a hang: the service itself gives up after seconds.
_TIMEOUT_S: Final = 30
_LANES: Final = 4
_TURNS: Final = 4
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SCOPE_OF: Final = {"planner": "crm.export crm.read crm.write", "clerk": "crm.read crm.write"}

Answer = tuple[int | None, Mapping[str, Any]]


class Callers:
    """The clients of the service, on connections that they keep, and the user, by a clock."""

    def __init__(
        self, site: Site | None, journal: Journal, http: httpx2.AsyncClient, *, clock: Clock = system_clock
    ) -> None:
        """Without a site `http` knows where to go."""
        self.journal = journal
        self._site = site
        self._http = http
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, site: Site, journal: Journal) -> AsyncIterator["Callers"]:
        # Below the 5 s after which the server hangs up: it must not be in the middle of that.
        limits = httpx2.Limits(keepalive_expiry=2)
        async with httpx2.AsyncClient(timeout=_TIMEOUT_S, limits=limits, trust_env=False) as http:
            yield cls(site, journal, http)

    def user_token(self) -> Token:
        """A user's token, obtained by planner, and none like it."""
        now = self._clock()
        claims = {"iss": IDP, "sub": USER, "aud": "tokensvc", "client_id": "planner", "scope": USER_SCOPE}
        members = {**claims, "iat": now - 10, "exp": now + 3600, "jti": str(uuid.uuid4())}
        return Token(Simulator(iss=IDP, key=ec_key("idp")).token(members))

    def assertion(self, jti: str | None = None) -> str:
        """A client assertion of clerk: one that was never used, unless its `jti` was."""
        now, key = self._clock(), ec_key(CLERK_KEY)
        claims = {"iss": "clerk", "sub": "clerk", "aud": ISSUER, "jti": jti or str(uuid.uuid4())}
        return seal({"typ": "JWT", "alg": "ES256", "kid": key.kid}, {**claims, "iat": now, "exp": now + 240}, key)

    async def ask(self, client: str, path: str, form: Mapping[str, Any], *, assertion: str | None = None) -> Answer:
        """Status and body; no status where the connection was cut."""
        headers = basic(client) if assertion is None else {}
        proof = {} if assertion is None else {"client_assertion": assertion, "client_assertion_type": _ASSERTION}
        address = "" if self._site is None else self._site.address
        try:
            answer = await self._http.post(address + path, data={**form, **proof}, headers=headers)
        except httpx2.TransportError:
            return None, {}
        return answer.status_code, answer.json() if answer.content else {}

    async def exchange(self, kind: Kind, client: str, family: int, subject: Token, **wanted: str) -> Attempt:
        """A request to the token endpoint."""
        assertion = self.assertion() if client == "clerk" else None
        sent = self.journal.tick()
        status, body = await self.ask(client, "/token", exchange_form(subject.text, **wanted), assertion=assertion)
        return self.journal.note(
            Attempt(
                kind=kind,
                client=client,
                family=family,
                subject=subject,
                sent=sent,
                answered=self.journal.tick(),
                status=status,
                body=body,
                assertion=assertion,
            )
        )

    async def renew(self, client: str, family: int, subject: Token, *, kind: Kind = Kind.RENEW) -> Attempt:
        """The same authority again, for the API."""
        scope = subject.claims["scope"]
        return await self.exchange(kind, client, family, subject, requested_actor=client, scope=scope)

    async def start(self, family: int, subject: Token) -> Attempt:
        return await self.exchange(Kind.START, "planner", family, subject, scope=_SCOPE_OF["planner"])

    async def revoke(self, client: str, family: int, subject: Token, entry: str) -> Attempt:
        """End the entry `entry` of the chain of `subject`: by planner, or by the operator ops."""
        sent = self.journal.tick()
        if client == "ops":
            status, body = await self.ask(client, "/operator/revocations", {"kind": "entry", "id": entry})
        else:
            status, body = await self.ask(client, "/revoke", {"token": subject.text, "hop": entry})
        return self.journal.note(
            Attempt(
                kind=Kind.REVOKE,
                client=client,
                family=family,
                subject=subject,
                sent=sent,
                answered=self.journal.tick(),
                status=status,
                body=body,
                revokes=entry,
            )
        )

    async def is_active(self, token: Token) -> bool:
        """What introspection says to the resource, or to clerk of a token that is for the exchange only."""
        is_for_exchange = token.claims["aud"] == ISSUER
        client, assertion = ("clerk", self.assertion()) if is_for_exchange else ("crm-api", None)
        status, body = await self.ask(client, "/introspect", {"token": token.text}, assertion=assertion)
        assert status == 200, (status, body)
        active: bool = body["active"]
        return active

    async def accepts(self, assertion: str) -> bool:
        """True when clerk can authenticate with it."""
        status, body = await self.ask("clerk", "/introspect", {"token": "x"}, assertion=assertion)
        assert status in {200, 401}, (status, body)
        return status == 200


@dataclass(slots=True)
class _Family:
    number: int
    first: Token
    picked: list[Token] = field(default_factory=list)
    asked: int = 0
    # Set when it is time for the end.
    is_ripe: asyncio.Event = field(default_factory=asyncio.Event)


class Load:
    """Families in some lanes, until told to stop."""

    def __init__(self, site: Site, callers: Callers, *, lanes: int = _LANES, numbers: "itertools.count[int]") -> None:
        self._site = site
        self._callers = callers
        self._lanes = lanes
        self._numbers = numbers
        self._is_stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At the end the families that live are finished."""
        async with asyncio.TaskGroup() as lanes:
            for _ in range(self._lanes):
                lanes.create_task(self._lane())
            try:
                yield
            finally:
                self._is_stopping = True
                # Nobody waits for a service that will not come back.
                self._site.is_up.set()

    async def _lane(self) -> None:
        while not self._is_stopping:
            await self._site.is_up.wait()
            if not self._is_stopping:
                await self.family()

    async def family(self) -> None:
        """One family, from its start to its end, or to the first answer that tells nothing."""
        number = next(self._numbers)
        started = await self._callers.start(number, self._callers.user_token())
        if not started.is_granted:
            return
        family = _Family(number, started.token)
        racers: list[Callable[[_Family], Awaitable[bool]]] = [self._delegate, self._renew, self._narrow]
        await asyncio.gather(*(self._race(family, racer) for racer in racers), self._end(family))
        for racer in racers:
            await racer(family)

    async def _race(self, family: _Family, racer: Callable[[_Family], Awaitable[bool]]) -> None:
        for _ in range(_TURNS):
            goes_on = await racer(family)
            family.asked += 1
            if family.asked > family.number % 5:
                family.is_ripe.set()
            if not goes_on:
                break
        family.is_ripe.set()

    async def _end(self, family: _Family) -> None:
        await family.is_ripe.wait()
        root, hop = family.first.entries
        revoke = self._callers.revoke
        match family.number % 4:
            case 0:
                await revoke("planner", family.number, family.first, hop)
            case 1:
                await revoke("ops", family.number, family.first, root)
            case 2 if family.picked:
                await revoke("planner", family.number, family.picked[0], family.picked[0].entries[-1])
            case _:
                # This one lives on: what is not revoked must not be lost either.
                pass

    async def _renew(self, family: _Family) -> bool:
        return (await self._callers.renew("planner", family.number, family.first)).is_granted

    async def _narrow(self, family: _Family) -> bool:
        wanted = {"requested_actor": "planner", "scope": "crm.read"}
        return (await self._callers.exchange(Kind.NARROW, "planner", family.number, family.first, **wanted)).is_granted

    async def _delegate(self, family: _Family) -> bool:
        wanted = {"requested_actor": "clerk", "scope": _SCOPE_OF["clerk"]}
        given = await self._callers.exchange(Kind.DELEGATE, "planner", family.number, family.first, **wanted)
        if not given.is_granted:
            return False
        family.picked.append(given.token)
        for token in (given.token, family.picked[0]):
            await self._callers.renew("clerk", family.number, token, kind=Kind.PICK_UP)
        return True
