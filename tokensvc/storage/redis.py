"""The shared store: one Redis server, for several processes of the token service."""

from typing import Final, TypeVar

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import ConfigurationError, Unavailable
from tokensvc.ports import Committed, ListedRecord, OneTimeValue, Record
from tokensvc.storage.ledger import Listing
from tokensvc.storage.loss import LossRule, StoreEvents, UnreportedEvents
from tokensvc.storage.redis_link import Link, RedisAddress, is_forbidden, unavailable
from tokensvc.storage.redis_server import doubts_about, parse_info, require_usable
from tokensvc.storage.redis_steps import (
    Step,
    appending,
    asking_note,
    asking_revoked,
    claiming,
    committing,
    finding,
    listing_records,
    pinging,
    revoking,
)

__all__ = ["RedisAddress", "RedisStore"]

T = TypeVar("T")

# A step takes a millisecond; a second is a server in trouble. With one call before it, a step waits two at most.
_TIMEOUT_S: Final = 1.0
# More than a process has in flight. All of them are one call, during which Redis serves nobody else: 0.1 s, or 0.2 s
# where it has less than a core to itself.
_CAPACITY: Final = 1024


class RedisStore:
    """Implements `ports.Store` in a Redis server (6.2 or newer, one primary, `maxmemory-policy noeviction`).

    Any number of processes may share it. What was acknowledged survives as Redis persists it (docs/operations.md).
    While Redis cannot be used every call raises Unavailable; once it can, the store answers again. Redis that comes
    back empty or with older data is noticed, and `rule` applied.
    """

    def __init__(
        self,
        address: RedisAddress,
        rule: LossRule,
        *,
        prefix: str = "tokensvc",
        timeout_s: float = _TIMEOUT_S,
        capacity: int = _CAPACITY,
        events: StoreEvents | None = None,
        may_make: bool = True,
    ) -> None:
        """`prefix` begins every key; `timeout_s` bounds each call to Redis, `capacity` how many steps may wait.

        Without `may_make` a store has to be there already.
        """
        self._place = str(address)
        self._events = UnreportedEvents() if events is None else events
        self._may_make = may_make
        self._link = Link(
            address,
            rule,
            prefix=prefix,
            timeout_s=timeout_s,
            capacity=capacity,
            check=self._check_server,
            when_lost=lambda: self._events.store_lost(self._place),
        )
        self._is_open = False
        # Told once, not at every new connection.
        self._doubts: set[str] = set()

    async def open(self) -> None:
        """Connect, check the server, find the store in it or make one; an open store stays as it is.

        Raises: ConfigurationError for a server that must not be used, Unavailable for one that cannot be used now.
        """
        if self._is_open:
            return
        try:
            is_made = await self._find_or_make()
        except BaseException as exc:
            await self._link.close()
            if isinstance(exc, (RedisError, OSError)):
                raise self._explained(exc) from exc
            raise
        self._is_open = True
        if is_made:
            self._events.store_made(self._place)

    async def ping(self) -> None:
        """Return when Redis has written something. Raises: Unavailable."""
        await self._ask(pinging())

    async def close(self) -> None:
        """Finish what was accepted and hang up. Calling it twice is fine; `open` opens again."""
        self._is_open = False
        await self._link.close()

    async def claim(self, claims: tuple[OneTimeValue, ...], *, now: int) -> Committed:
        """See `ports.IssuanceStore.claim`. Raises: Unavailable, ValueError."""
        return await self._ask(claiming(claims, now))

    async def commit(
        self, *, claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
    ) -> Committed:
        """See `ports.IssuanceStore.commit`. Raises: Unavailable, ValueError."""
        return await self._ask(committing(claims, unless_revoked, record, now))

    async def note_of(self, value: str) -> str | None:
        """See `ports.IssuanceStore.note_of`. Raises: Unavailable, ValueError."""
        return await self._ask(asking_note(value))

    async def revoke(self, *, revocations: tuple[Revocation, ...], record: Record) -> None:
        """See `ports.RevocationStore.revoke`. Raises: Unavailable, ValueError."""
        await self._ask(revoking(revocations, record))

    async def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        """See `ports.RevocationStore.is_revoked`. Raises: Unavailable, ValueError."""
        return await self._ask(asking_revoked(revocables))

    async def append(self, record: Record) -> None:
        """See `ports.RecordStore.append`. Raises: Unavailable, ValueError."""
        await self._ask(appending(record))

    async def find(self, record_id: str) -> Record | None:
        """See `ports.RecordStore.find`. Raises: Unavailable, ValueError."""
        return await self._ask(finding(record_id))

    async def list_records(self, *, after: str | None, limit: int, newest: bool = False) -> tuple[ListedRecord, ...]:
        """See `ports.RecordStore.list_records`. Raises: Unavailable, ValueError."""
        return await self._ask(listing_records(Listing(after, limit, newest)))

    async def _ask(self, step: Step[T]) -> T:
        if not self._is_open:
            raise Unavailable("the store is not open")
        return await self._link.ask(step)

    async def _find_or_make(self) -> bool:
        """True where there was none."""
        if not self._may_make and not await self._link.exists():
            remedy = "Correct store.url, or start the service once: tokensvc serve"
            raise ConfigurationError("this Redis server has no store", file=self._place, key="", remedy=remedy)
        return await self._link.make()

    async def _check_server(self) -> None:
        try:
            info = parse_info((await self._link.request("INFO")).decode("utf-8", "replace"))
        except NoPermissionError:
            info = {}
        require_usable(info, self._place)
        for problem in doubts_about(info, await self._config()):
            if problem not in self._doubts:
                self._doubts.add(problem)
                self._events.store_doubtful(self._place, problem)

    async def _config(self) -> dict[str, str] | None:
        """The settings of Redis that INFO does not tell; None where they may not be asked for."""
        config = {}
        try:
            for name in ("save", "appendfsync"):
                reply = await self._link.request("CONFIG", "GET", name)
                config[name] = reply[1].decode() if reply else ""
        except ResponseError:
            # The ACL forbids it, or the command is taken away, as managed servers do.
            return None
        return config

    def _explained(self, exc: Exception) -> Exception:
        if isinstance(exc, AuthenticationError):
            problem, remedy = "the Redis server refuses the password", "Mend the user or password in store.url."
        elif is_forbidden(exc):
            problem = "the Redis server does not allow this user what a store needs"
            remedy = "Give it the ACL that docs/operations.md shows."
        else:
            return unavailable(exc)
        return ConfigurationError(problem, file=self._place, key="", remedy=remedy)
