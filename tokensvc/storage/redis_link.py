"""One connection to Redis, and the steps that wait for it: one call of the script carries all of them.

While a call is under way the next steps gather; it leaves when the answer has come. So however many requests there are,
Redis answers one call at a time, and with `appendfsync always` they share its fsync.

A call whose answer did not come is not repeated: what it did is unknown, and a second time its values would be
replayed. Its steps are answered Unavailable and the connection is given up, so that no answer can be taken for that of
another call. Whoever waits behind such a call is answered likewise, at once: nobody waits longer than for two calls.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from tokensvc.errors import TokensvcError, Unavailable
from tokensvc.storage.loss import LossRule, Seen
from tokensvc.storage.redis_steps import Found, Reply, Step, parse_found, render_call

__all__ = ["Link", "RedisAddress", "is_forbidden", "unavailable"]

T = TypeVar("T")

_SCRIPT: Final = (Path(__file__).parent / "redis_step.lua").read_bytes()
# Redis names scripts by SHA-1; it proves nothing here.
_SCRIPT_NAME: Final = hashlib.sha1(_SCRIPT, usedforsecurity=False).hexdigest()
_KEYS: Final = ("state", "marks", "revocations", "ends", "records", "index", "claim:")

# The code that begins an error of Redis, where the driver leaves it: never the text, which may repeat arguments.
_CODE: Final = re.compile(r"[A-Z]{2,20}(?= )")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where a Redis server listens, and as whom to talk to it. `tls` verifies its certificate against the system's."""

    host: str
    port: int
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        """As a URL, without the password."""
        user = "" if self.username is None else f"{self.username}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{user}{host}:{self.port}/{self.db}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A step, and who waits for it."""

    step: Step[object]
    future: "asyncio.Future[object]"


class Link:
    """The connection and its queue. `seen` is what this process saw of the store last."""

    def __init__(
        self,
        address: RedisAddress,
        rule: LossRule,
        *,
        prefix: str,
        timeout_s: float,
        capacity: int,
        check: Callable[[], Awaitable[None]],
        when_lost: Callable[[], None],
    ) -> None:
        """`capacity` steps wait at a time; each call is given `timeout_s`, connecting included.

        `check` may ask the server with `request`, and refuses what is found behind a new connection.
        """
        self._rule = rule
        # The hash tag: all keys of one store would lie on one node.
        self._keys = tuple(f"{{{prefix}}}:{name}" for name in _KEYS)
        self._timeout_s = timeout_s
        self._capacity = capacity
        self._check = check
        self._when_lost = when_lost
        # One for good, connected anew when need be: the authorities that TLS trusts are read once.
        self._connection = _new_connection(address, timeout_s)
        self._jobs: list[_Job] = []
        self._flights: asyncio.Task[None] | None = None
        self.seen: Seen | None = None

    async def ask(self, step: Step[T]) -> T:
        """The answer to `step`. Raises: Unavailable, ValueError."""
        if len(self._jobs) >= self._capacity:
            raise Unavailable("the store has too much to do")
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(step=step, future=future))
        if self._flights is None:
            # Runs in the next turn of the loop: with everything that was asked in this one.
            self._flights = asyncio.create_task(self._fly())
        # The future gets what this step's own `answer` returned.
        return cast("T", await future)

    async def make(self) -> bool:
        """Find the store or make one; true where there was none. Raises: RedisError, OSError, what `check` raises."""
        found = await self._call((), may_make=True)
        return found.is_made

    async def exists(self) -> bool:
        """True where there is a store already. Raises: RedisError, OSError, what `check` raises."""
        async with asyncio.timeout(self._timeout_s):
            return await self._exchange(("HGET", self._keys[0], "id")) is not None

    async def request(self, *command: str | int | bytes) -> Reply:
        """The reply to one command, for `check`. Raises: RedisError, OSError."""
        return await self._exchange(command)

    async def close(self) -> None:
        """Finish what was accepted and hang up."""
        while self._flights is not None:
            await asyncio.shield(self._flights)
        await self._hang_up()

    async def _fly(self) -> None:
        try:
            # A turn of the loop for what came in while nothing was asked: that the server has hung up, say.
            await asyncio.sleep(0)
            while group := self._next_group():
                await self._serve(group)
        finally:
            self._flights = None

    def _next_group(self) -> list[_Job]:
        """Everything that waits now and was not given up: so nobody waits for a third call."""
        return [job for job in self._taken() if not job.future.done()]

    def _taken(self) -> list[_Job]:
        jobs, self._jobs = self._jobs, []
        return jobs

    async def _serve(self, jobs: Sequence[_Job]) -> None:
        try:
            found = await self._call([job.step for job in jobs], may_make=False)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the callers get an answer and the next call leaves
            for job in (*jobs, *self._taken()):
                # One error per caller: an exception object that many raise would gather all their tracebacks.
                _fail(job, unavailable(exc))
            await self._hang_up()
            return
        for job, reply in zip(jobs, found.replies, strict=True):
            _settle(job, reply)

    async def _call(self, steps: Sequence[Step[object]], *, may_make: bool) -> Found:
        now, arguments = render_call(steps, self._rule, self.seen, may_make=may_make)
        tail = (len(self._keys), *self._keys, *arguments)
        async with asyncio.timeout(self._timeout_s):
            try:
                reply = await self._exchange(("EVALSHA", _SCRIPT_NAME, *tail))
            except NoScriptError:
                # Redis has not run anything: it restarted, and learns the script from its text.
                reply = await self._exchange(("EVAL", _SCRIPT, *tail))
        found = parse_found(reply, now)
        self.seen = found.seen
        if found.is_lost:
            self._when_lost()
        return found

    async def _exchange(self, command: Sequence[str | int | bytes]) -> Reply:
        connection = await self._connected()
        await connection.send_command(*command)
        reply: Any = await connection.read_response()
        return reply

    async def _connected(self) -> Connection:
        # Something to read before anything was asked: the server has hung up, or says something that is no answer.
        if self._connection.is_connected and await self._connection.can_read():
            await self._hang_up()
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call] # as the driver has it
            # Each time: behind a name may stand another server by now.
            await self._check()
        return self._connection

    async def _hang_up(self) -> None:
        # The driver waits for the other side, which TLS asks for, no longer than for a connection.
        with suppress(RedisError, OSError):
            await self._connection.disconnect()


def _new_connection(address: RedisAddress, timeout_s: float) -> Connection:
    options: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": timeout_s,
        "socket_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,  # one command less that an ACL would have to allow
    }
    if address.tls:
        return SSLConnection(**options, ssl_cert_reqs="required", ssl_check_hostname=True)
    return Connection(**options)


def _settle(job: _Job, reply: Reply) -> None:
    if job.future.done():
        return
    try:
        job.future.set_result(job.step.answer(reply))
    except (Unavailable, ValueError) as exc:
        job.future.set_exception(exc)
    except Exception as exc:  # noqa: BLE001 - a reply that is none of ours must not let the others wait for ever
        job.future.set_exception(unavailable(exc))


def _fail(job: _Job, error: Unavailable) -> None:
    if not job.future.done():
        job.future.set_exception(error)


def unavailable(exc: BaseException) -> Unavailable:
    """What a caller is told of `exc`: our own words, or names of errors; no value."""
    error = Unavailable(f"the Redis server cannot answer ({_name_of(exc)})")
    error.__cause__ = exc
    return error


def is_forbidden(exc: BaseException) -> bool:
    """True when an ACL of Redis forbids a command or a key, in the script or outside."""
    if isinstance(exc, NoPermissionError):
        return True
    # Within a script it has no code of its own; the second is that of Redis 7.2 and newer.
    text = str(exc) if isinstance(exc, ResponseError) else ""
    return text.startswith(("The user executing the script", "ACL failure in script"))


def _name_of(exc: BaseException) -> str:
    if isinstance(exc, TokensvcError):
        return exc.description
    if is_forbidden(exc):
        return "NOPERM"
    code = _CODE.match(str(exc)) if isinstance(exc, ResponseError) else None
    return type(exc).__name__ if code is None else code.group()
