"""A token service as users have it, real processes on a real store, and everything that may happen to them.

async with Site.open(folder, "redis", workers=2) as site:
    await site.suffer(Fault.STORE)          # kill -9, and back again
    async with site.store() as store: ...   # what it left behind, through the port
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tests.cli.running import ISSUER, Running, configured, serving, until
from tests.server.world import API, secret_of, values
from tests.settings_file import sha256
from tests.simulator import ec_key
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.core.jsontext import render_json
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.ports import Store
from tokensvc.settings import load_settings
from tokensvc.telemetry import Telemetry
from tokensvc.wiring import open_store

__all__ = ["CLERK_KEY", "ISSUER", "SITES", "Fault", "Site", "faults_at", "site_values"]

CLERK_KEY: Final = "clerk"
"""The name of the key (`tests.simulator.ec_key`) by which the agent clerk authenticates."""
SITES: Final = [("sqlite", 1), ("sqlite", 2), ("redis", 1), ("redis", 2)]
"""What the tests run on: the store, and how many workers."""


class Fault(StrEnum):
    """Who is killed with SIGKILL."""

    WORKER = "a worker"
    STORE = "Redis"
    BOTH = "Redis and a worker"
    SERVICE = "the whole service"
    ALL = "the whole service and Redis"


def faults_at(store: str, workers: int) -> list[Fault]:
    """What can be killed there, in turn.

    A worker that dies young is replaced ever later, so each turn ends with the whole service, which begins afresh.
    """
    of_workers = [Fault.WORKER, Fault.WORKER] if workers > 1 else []
    if store == "sqlite":
        return [*of_workers, Fault.SERVICE]
    return [*of_workers, Fault.STORE, *([Fault.BOTH] if workers > 1 else []), Fault.ALL, Fault.SERVICE]


def site_values(folder: Path) -> dict[str, Any]:
    """The configuration of `tests.server.world` with clerk, who authenticates by a key, and the operator ops."""
    plain = values(ISSUER)
    planner, *others = plain["agent"]
    clerk = {
        "id": "clerk",
        "auth": "private_key_jwt",
        "jwks_file": "clerk.jwks.json",
        "scopes": ["crm.read", "crm.write"],
        "resources": [API],
        "default_resource": API,
    }
    (folder / "clerk.jwks.json").write_bytes(render_json(render_jwks(KeySet([ec_key(CLERK_KEY).public]))))
    agents = [{**planner, "may_delegate_to": ["clerk", "researcher"]}, *others, clerk]
    return {**plain, "agent": agents, "operator": [{"id": "ops", "secret_sha256": [sha256(secret_of("ops"))]}]}


class Site:
    """The processes. While `is_up` is set, somebody is there to answer."""

    def __init__(self, config: Path, workers: int, redis: RedisServer | None) -> None:
        self.config = config
        self.workers = workers
        self.redis = redis
        self.is_up = asyncio.Event()
        self.address = ""
        self.running: Running | None = None
        self._life = ExitStack()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, store: str, workers: int, *, database: str = "tokens.db"
    ) -> AsyncIterator["Site"]:
        """The service, started. `store` is `sqlite`, in `database`, or `redis`, which is set to fsync each write."""
        with ExitStack() as servers:
            url, redis = f"sqlite:///{database}", None
            if store == "redis":
                (folder / "redis").mkdir(exist_ok=True)
                redis = servers.enter_context(RedisServer(folder / "redis", *DURABLE))
                url = f"redis://127.0.0.1:{redis.port}"
            config = configured(folder, **{**site_values(folder), "store": {"url": url}})
            site = cls(config, workers, redis)
            try:
                await asyncio.to_thread(site.start)
                yield site
            finally:
                site._life.close()

    def start(self) -> None:
        """Start the service on a new port; return once all its workers serve."""
        words = ["--workers", str(self.workers)] if self.workers > 1 else []
        self.running = self._life.enter_context(serving(self.config, *words))
        self.running.announced()
        self.running.wait_for("started", count=self.workers)
        self.address = self.running.address
        self.is_up.set()

    def kill(self) -> None:
        """Every process of the service, at one moment."""
        assert self.running is not None
        self.is_up.clear()
        os.killpg(self.running.process.pid, signal.SIGKILL)
        self.running.process.wait()
        self._life.close()

    async def stop(self) -> int:
        """As an operator stops it; its exit code."""
        assert self.running is not None
        self.is_up.clear()
        self.running.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.running.ends)
        self._life.close()
        return code

    def kill_worker(self) -> None:
        """Any one worker; the others serve on."""
        assert self.running is not None
        worker = _children_of(self.running.process.pid)[0]
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)

    async def suffer(self, fault: Fault) -> None:
        """Kill, and bring back what does not come back by itself; return once everybody is there again."""
        if fault in {Fault.STORE, Fault.BOTH, Fault.ALL}:
            assert self.redis is not None
            self.is_up.clear()
            self.redis.kill()
        if fault in {Fault.WORKER, Fault.BOTH}:
            self.kill_worker()
        if fault in {Fault.SERVICE, Fault.ALL}:
            self.kill()
        await asyncio.to_thread(self._bring_back, fault)
        self.is_up.set()

    def _bring_back(self, fault: Fault) -> None:
        assert self.running is not None
        if fault in {Fault.STORE, Fault.BOTH, Fault.ALL}:
            assert self.redis is not None
            self.redis.start()
        if fault in {Fault.SERVICE, Fault.ALL}:
            self.start()
        elif self.workers > 1:
            parent = self.running.process.pid
            until(lambda: len(_children_of(parent)) == self.workers)

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The store that the service uses, beside it."""
        store = open_store(load_settings(self.config, {}), Telemetry())
        await store.open()
        try:
            yield store
        finally:
            await store.close()


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
