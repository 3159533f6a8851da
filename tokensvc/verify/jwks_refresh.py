"""Key sets that are fetched again and again: when to fetch, and how long what was fetched may be used.

    no good fetch yet           Unavailable
    fresh                       as long as max-age says, within bounds; a `kid` that it lacks asks for a refresh
    stale                       still answers, while a refresh is tried once in a cool-down
    older than `max_stale_s`    Unavailable, until a fetch succeeds

A fetch that fails in any way leaves the last good set as it is. Of one that succeeds nothing old remains: a key that
is gone from the set is refused from then on. Issuers share nothing. How to fetch is not known here.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import KeyRefused, Malformed, Unavailable, printable

__all__ = ["Fetch", "FetchedKeys", "RefreshedKeys", "seconds_since_boot"]

_log: Final = logging.getLogger(__name__)

# Where the issuer does not say: how long a key that it withdrew may go on, against a request every five minutes.
_FRESH_S: Final = 300
# Each holds one of the places that a service has for requests, 128 by default, for as long as a fetch takes: one issuer
# that is slow may hold a sixteenth of them. The others can try again, and do not stand in the way of everybody.
_MAX_WAITING: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedKeys:
    """A key set and the max-age that came with it, in seconds; None when none did."""

    keys: KeySet
    max_age_s: int | None


Fetch = Callable[[], Awaitable[FetchedKeys]]
"""Fetches one issuer's key set, once. Whatever it raises is a failure."""


def seconds_since_boot() -> float:
    """The time on a clock that nobody sets, and that goes on while the machine sleeps, as keys age meanwhile."""
    # On macOS CLOCK_MONOTONIC goes on; on Linux it stops.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """When a key came to a set, on the clock: after `lacked`, where it was ever seen without, and by `had`.

    Both are -inf for what the first attempt brought: like the keys in files it was there from the start.
    """

    lacked: float
    had: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Good:
    """A key set that was fetched, and until when (on the clock) it is fresh and may be used.

    `began` is when the fetch did; `seen` has the thumbprint of each key.
    """

    keys: KeySet
    began: float
    seen: Mapping[str, _Seen]
    fresh_until: float
    usable_until: float


@dataclass(slots=True, kw_only=True, eq=False)
class _Held:
    """What is known of one issuer. `good` is replaced as a whole, so that other threads may read it at any time."""

    iss: str
    fetch: Fetch
    good: _Good | None = None
    next_attempt: float = -math.inf
    attempt: asyncio.Task[Unavailable | None] | None = None
    waiting: int = 0
    asked: bool = False

    def is_due(self, now: float) -> bool:
        """True when an attempt may start: none runs, and the last one began a cool-down ago."""
        return (self.attempt is None or self.attempt.done()) and now >= self.next_attempt

    def is_fresh(self, now: float) -> bool:
        return self.good is not None and now < self.good.fresh_until

    def is_usable(self, now: float) -> bool:
        return self.good is not None and now < self.good.usable_until


class RefreshedKeys:
    """A `KeySource` that keeps one key set for each issuer, by `fetches`. No token has a say in what is fetched.

    Seconds: `timeout_s` for a whole fetch; `cooldown_s` from one attempt for an issuer to the next, whatever asks for
    it; `max_fresh_s` bounds max-age from above, the cool-down from below; `max_stale_s` after the last good fetch began
    its keys are refused. asyncio only. Raises: ValueError for terms that cannot be meant.
    """

    def __init__(
        self,
        fetches: Mapping[str, Fetch],
        *,
        timeout_s: float,
        cooldown_s: float,
        max_fresh_s: float,
        max_stale_s: float,
        clock: Callable[[], float] = seconds_since_boot,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not fetches:
            raise ValueError("no issuer, no keys")
        if not (0 < cooldown_s <= max_fresh_s <= max_stale_s < math.inf and 0 < timeout_s < math.inf):
            raise ValueError("seconds are 0 < cooldown_s <= max_fresh_s <= max_stale_s and 0 < timeout_s, all finite")
        self._held = {iss: _Held(iss=iss, fetch=fetch) for iss, fetch in fetches.items()}
        self._timeout_s, self._cooldown_s, self._max_fresh_s = timeout_s, cooldown_s, max_fresh_s
        self._max_stale_s, self._clock, self._sleep = max_stale_s, clock, sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._syncing = threading.Lock()

    def find(self, iss: str, kid: str) -> PublicKey | None:
        """The key of that issuer and `kid`, or None. Never waits; any thread may call it.

        While `async with` is active, a stale set or an unknown `kid` asks for a refresh, once in a cool-down.
        None for an issuer that is not configured. Raises: Unavailable before the first good fetch, and `max_stale_s`
        after the last one began.
        """
        held = self._held.get(iss)
        if held is None:
            return None
        now, good = self._clock(), held.good
        key = None if good is None else good.keys.find(kid)
        if good is None or key is None or now >= good.fresh_until:
            self._ask(held, now)
        if good is None or now >= good.usable_until:
            raise _not_now()
        return key

    async def look_up(self, iss: str, kid: str) -> PublicKey | None:
        """As `find`, but what an unknown `kid` or a missing set asks for is waited for, `timeout_s` at most.

        One fetch is shared, and the cool-down holds: after a failure nobody waits until it has passed. A few callers of
        one issuer wait; for the others it cannot be told at once. Raises: Unavailable; RuntimeError outside of
        `async with`.
        """
        self._require_entered()
        held = self._held.get(iss)
        if held is None:
            return None
        good = held.good
        if good is None or not held.is_usable(self._clock()) or good.keys.find(kid) is None:
            self._start_if_due(self._loop, held)
            await _wait_in_line(held)
        return self.find(iss, kid)

    def holder_of(self, thumbprint: str) -> str | None:
        """The issuer that a key belongs to, by its RFC 7638 thumbprint; None when no last good set has it.

        An issuer that was still without the key when another had it copied it. Where fetches do not tell, as of keys
        that all had when they were first fetched, it belongs to the one that stands first in `fetches`.
        """
        seen = {
            iss: good.seen[thumbprint]
            for iss, held in self._held.items()
            if (good := held.good) is not None and thumbprint in good.seen
        }
        first_had = min((one.had for one in seen.values()), default=math.inf)
        return next((iss for iss, one in seen.items() if one.lacked <= first_had), None)

    async def __aenter__(self) -> Self:
        """Start to keep every set fresh, in the background. Raises: RuntimeError when that is so already."""
        if self._loop is not None:
            raise RuntimeError("entered already")
        self._loop = asyncio.get_running_loop()
        for held in self._held.values():
            held.asked = False
        self._keeper = asyncio.create_task(self._keep_fresh())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, fetches on their way included. What was fetched still answers until it is too old."""
        self._loop = None
        tasks = [task for task in (self._keeper, *(held.attempt for held in self._held.values())) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ensure(self, *issuers: str) -> None:
        """Return once the sets of `issuers` (none named: of all) can be used; at once when they can.

        Any number of callers share one fetch, and the cool-down holds: calls may wait for this. Raises: Unavailable;
        LookupError for an issuer that is not configured; RuntimeError outside of `async with`.
        """
        chosen = self._chosen(issuers)
        self._require_entered()
        lacking = [held for held in chosen if not held.is_usable(self._clock())]
        for held in lacking:
            self._start_if_due(self._loop, held)
        await _finished([held.attempt for held in lacking if held.attempt is not None])
        for held in lacking:
            if not held.is_usable(self._clock()):
                raise Unavailable(f"the key set of {held.iss} cannot be had at the moment")

    async def refresh(self, *issuers: str) -> None:
        """Fetch the sets of `issuers` (none named: of all) now, or join the fetches that are on their way.

        The cool-down does not hold: for operators and tests, not for what a caller can trigger. Raises: Unavailable
        when a fetch failed, after all are done, and the last good set stays; LookupError for an issuer that is not
        configured; RuntimeError outside of `async with`.
        """
        chosen = self._chosen(issuers)
        self._require_entered()
        attempts = [self._attempt_of(held) for held in chosen]
        await _finished(attempts)
        stopped = Unavailable("stopped while it was fetched")
        _require_fetched(chosen, [stopped if task.cancelled() else task.result() for task in attempts])

    def refresh_sync(self, *issuers: str) -> None:
        """As `refresh`, for scripts: waits, and needs no event loop.

        Raises: as `refresh`, but RuntimeError within `async with`, and where an event loop runs: it would stand still.
        """
        chosen = self._chosen(issuers)
        if self._loop is not None or _in_event_loop():
            raise RuntimeError("refresh_sync is for programs without an event loop: use async with, and refresh")
        with self._syncing:
            _require_fetched(chosen, asyncio.run(self._attempt_each(chosen)))

    # From here on: who starts an attempt, and what an attempt is.

    def _ask(self, held: _Held, now: float) -> None:
        loop = self._loop
        if loop is None or held.asked or not held.is_due(now):
            return
        held.asked = True
        # A loop that is closed by now starts nothing any more, and its keys get old.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._start_if_due, loop, held)

    def _start_if_due(self, loop: asyncio.AbstractEventLoop | None, held: _Held) -> None:
        held.asked = False
        # Asked, and left before the loop came to it: a task would have no owner.
        if loop is not None and loop is self._loop and held.is_due(self._clock()):
            self._attempt_of(held)

    def _attempt_of(self, held: _Held) -> asyncio.Task[Unavailable | None]:
        """The attempt that runs, or a new one. Only in the owner's loop: one at a time for an issuer."""
        if held.attempt is None or held.attempt.done():
            held.attempt = asyncio.create_task(self._attempt(held))
        return held.attempt

    async def _keep_fresh(self) -> None:
        """Fetches what nobody asks for: a verifier that idled all night has its keys in the morning."""
        while True:
            for held in self._held.values():
                if not held.is_fresh(self._clock()):
                    self._start_if_due(self._loop, held)
            await self._sleep(self._cooldown_s)

    async def _attempt_each(self, chosen: Sequence[_Held]) -> Sequence[Unavailable | None]:
        return await asyncio.gather(*(self._attempt(held) for held in chosen))

    async def _attempt(self, held: _Held) -> Unavailable | None:
        """One fetch. The failure, if it was one, is returned: it is nobody's in particular."""
        began = self._clock()  # what is published while we wait may be missing from the answer
        is_first = held.next_attempt == -math.inf
        held.next_attempt = began + self._cooldown_s
        try:
            async with asyncio.timeout(self._timeout_s):
                fetched = await held.fetch()
            _require_keys(fetched.keys)
        except Exception as exc:  # noqa: BLE001 - whatever it is, there is no new key set, and the old one stays
            failure = _failure(exc)
            cause = printable(f"{type(exc).__name__}: {exc}")
            _log.warning("key set of %s not refreshed: %s (%s)", printable(held.iss), failure.description, cause)
            return failure
        # From below it is bounded by the cool-down, as every fetch is.
        fresh_s = min(_FRESH_S if fetched.max_age_s is None else fetched.max_age_s, self._max_fresh_s)
        held.good = _Good(
            keys=fetched.keys,
            began=began,
            seen=_seen(fetched.keys, held.good, had=-math.inf if is_first else self._clock()),
            fresh_until=began + fresh_s,
            usable_until=began + self._max_stale_s,
        )
        return None

    def _chosen(self, issuers: Sequence[str]) -> Sequence[_Held]:
        if not issuers:
            return tuple(self._held.values())
        if not self._held.keys() >= set(issuers):
            raise LookupError("an issuer that is not configured")
        return tuple(self._held[iss] for iss in dict.fromkeys(issuers))

    def _require_entered(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("only within async with, in the same event loop")


async def _finished(attempts: Sequence[asyncio.Task[Unavailable | None]]) -> None:
    """Wait for all of them. Whoever stops waiting stops nobody's fetch."""
    if attempts:
        await asyncio.wait(attempts)


async def _wait_in_line(held: _Held) -> None:
    """Wait for the attempt that runs, if one does. Raises: Unavailable when too many wait for it."""
    if held.attempt is None or held.attempt.done():
        return
    if held.waiting >= _MAX_WAITING:
        raise _not_now()
    held.waiting += 1
    try:
        await _finished([held.attempt])
    finally:
        held.waiting -= 1


def _not_now() -> Unavailable:
    return Unavailable("the key set of the issuer cannot be had at the moment")


def _seen(keys: KeySet, before: _Good | None, *, had: float) -> Mapping[str, _Seen]:
    """Since when each of `keys` is known, given the set `before`. One that was gone comes anew."""
    fresh = _Seen(lacked=-math.inf if before is None else before.began, had=had)
    known = {} if before is None else before.seen
    return {key.thumbprint: known.get(key.thumbprint, fresh) for key in keys}


def _require_keys(keys: KeySet) -> None:
    # An issuer that signs has a key: an empty set is a fault, and must not throw out the keys that we have.
    if len(keys) == 0:
        raise Unavailable("the key set holds no key that can be used here")


def _require_fetched(chosen: Sequence[_Held], failures: Sequence[Unavailable | None]) -> None:
    for held, failure in zip(chosen, failures, strict=True):
        if failure is not None:
            raise Unavailable(f"the key set of {held.iss} was not fetched: {failure.description}") from failure


def _failure(exc: Exception) -> Unavailable:
    """What may be said to anybody; the class and text of `exc` are for the log."""
    match exc:
        case Unavailable():
            return exc
        case Malformed() | KeyRefused():
            return Unavailable(exc.description)
        case TimeoutError():
            return Unavailable("no whole answer in time")
        case _:
            return Unavailable("no answer that can be used")


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
