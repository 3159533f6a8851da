"""Redis cannot be used: refused with a remedy where it must not be, Unavailable and recovery where it can be again."""

import asyncio
import itertools
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from tests.storage.conformance import RULE, HeardEvents, commit, entry, record, revocation, revoke
from tests.storage.redis_server import DURABLE, RedisServer
from tokensvc.errors import ConfigurationError, Unavailable
from tokensvc.ports import Committed
from tokensvc.storage.redis import RedisAddress, RedisStore
from tokensvc.storage.redis_server import doubts_about, parse_info, require_usable

Started = Callable[..., RedisServer]
PASSWORD = "correct-horse"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Starts servers with options, each in its own folder, and ends them."""
    servers: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, *options))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@asynccontextmanager
async def opened(server: RedisServer, **changes: object) -> AsyncIterator[RedisStore]:
    store = RedisStore(replace(server.address, **changes), RULE, timeout_s=0.3)  # type: ignore[arg-type] # by name
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def require_unavailable(store: RedisStore, because: str, *, reads: bool = False) -> None:
    """Nothing is stored, and what cannot be known is not answered; `reads` tells whether reading goes on."""
    for call in (store.ping(), commit(store, "r-no", "v-no"), revoke(store, "r-no", revocation("no"))):
        with pytest.raises(Unavailable, match=because):
            await call
    if reads:
        assert not await store.is_revoked((entry("root"),))
    else:
        with pytest.raises(Unavailable, match=because):
            await store.is_revoked((entry("root"),))


async def require_well(store: RedisStore, n: int = 0) -> None:
    """Nothing of what was refused is there, and the store serves as before."""
    await store.ping()
    assert await store.find("r-no") is None
    assert not await store.is_revoked((entry("no"),))
    assert await commit(store, f"well-{n}", "v0") is Committed.REPLAYED
    assert await commit(store, f"well-{n}", f"well-{n}") is Committed.STORED


# Refused with a remedy.


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl"])
@pytest.mark.parametrize("maxmemory", ["0", "100mb"])
async def test_a_server_that_evicts_is_refused(started: Started, policy: str, maxmemory: str) -> None:
    server = started("--maxmemory", maxmemory, "--maxmemory-policy", policy)
    with pytest.raises(ConfigurationError, match="drops keys") as refused:
        async with opened(server):
            pass
    assert refused.value.file == f"redis://127.0.0.1:{server.port}/0"
    assert refused.value.key == "maxmemory-policy"
    assert "noeviction" in refused.value.remedy
    assert server.command("DBSIZE") == 0
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    async with opened(server) as store:
        await store.ping()


async def test_a_server_that_evicts_since_its_restart_is_unavailable_until_it_is_mended(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        server.kill()
        plain, server.options = server.options, (*server.options, "--maxmemory-policy", "allkeys-lfu")
        server.start()
        await require_unavailable(store, "drops keys")
        server.kill()
        server.options = plain
        server.start()
        await require_well(store)


async def test_a_replica_is_refused_and_its_primary_is_not(started: Started) -> None:
    primary = started("--save", "")
    replica = started("--save", "", "--replicaof", f"127.0.0.1 {primary.port}")
    with pytest.raises(ConfigurationError, match="is a replica") as refused:
        async with opened(replica):
            pass
    assert refused.value.key == "replicaof"
    async with opened(primary) as store:
        await store.ping()


async def test_a_node_of_a_cluster_is_refused(started: Started) -> None:
    with pytest.raises(ConfigurationError, match="node of a cluster") as refused:
        async with opened(started("--cluster-enabled", "yes")):
            pass
    assert refused.value.key == "cluster-enabled"
    async with opened(started("--cluster-enabled", "no")) as store:
        await store.ping()


@pytest.mark.parametrize(
    ("info", "key"),
    [
        ("redis_version:6.0.16", "redis_version"),
        ("redis_version:5.9.9", "redis_version"),
        ("redis_version:6.2.0", None),
        ("redis_version:8.0.0-rc1", None),
        ("redis_mode:cluster", "cluster-enabled"),
        ("role:slave", "replicaof"),
        ("maxmemory_policy:volatile-lru", "maxmemory-policy"),
        ("redis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\nmaxmemory_policy:noeviction", None),
        ("", None),
    ],
)
def test_what_a_server_says_of_itself_is_judged(info: str, key: str | None) -> None:
    if key is None:
        require_usable(parse_info(f"# Server\r\n{info}\r\n"), "redis://h")
        return
    with pytest.raises(ConfigurationError) as refused:
        require_usable(parse_info(f"# Server\r\n{info}\r\n"), "redis://h")
    assert (refused.value.file, refused.value.key) == ("redis://h", key)


@pytest.mark.parametrize(
    ("options", "doubt"),
    [
        (("--appendonly", "no", "--save", ""), "nothing is written to disk"),
        (("--appendonly", "no", "--save", "3600 1"), "since the last snapshot"),
        (("--appendonly", "yes", "--appendfsync", "no"), "appendfsync is no"),
        (("--appendonly", "yes", "--appendfsync", "everysec"), None),
        (("--appendonly", "yes", "--appendfsync", "always"), None),
    ],
)
async def test_a_server_that_may_forget_is_told_of(
    started: Started, options: tuple[str, ...], doubt: str | None
) -> None:
    events = HeardEvents()
    store = RedisStore(started(*options).address, RULE, events=events)
    for _ in range(2):
        await store.open()
        await store.close()
    assert len(events.doubts) == (0 if doubt is None else 1)
    assert all(doubt is not None and doubt in told for told in events.doubts)


async def test_a_server_whose_configuration_nobody_may_ask_for_is_told_of(started: Started) -> None:
    events = HeardEvents()
    store = RedisStore(started(*DURABLE, "--rename-command", "CONFIG", "").address, RULE, events=events)
    await store.open()
    await store.ping()
    await store.close()
    assert len(events.doubts) == 1
    assert "CONFIG" in events.doubts[0]


def test_what_could_not_be_checked_is_told_of() -> None:
    assert len(doubts_about({}, None)) == 2
    assert doubts_about({"aof_enabled": "1"}, {"save": "", "appendfsync": "always"}) == []


# Who may talk to it.


def shown(error: BaseException) -> str:
    return "".join([repr(error), *traceback.format_exception(error)])


@pytest.mark.parametrize(
    "changes",
    [{}, {"password": "wrong-horse"}, {"username": "other", "password": PASSWORD}, {"username": "default"}],
)
async def test_who_does_not_know_the_password_is_refused(started: Started, changes: dict[str, str]) -> None:
    server = started("--requirepass", PASSWORD)
    with pytest.raises(ConfigurationError, match="refuses the password") as refused:
        async with opened(server, **changes):
            pass
    assert PASSWORD not in shown(refused.value)
    assert "wrong-horse" not in shown(refused.value)
    for user in ({}, {"username": "default"}):
        async with opened(server, password=PASSWORD, **user) as store:
            await store.ping()


async def test_a_password_changed_meanwhile_is_unavailable_and_shown_to_nobody(started: Started) -> None:
    server = started("--requirepass", PASSWORD)
    async with opened(server, password=PASSWORD) as store:
        await commit(store, "r0", "v0")
        server.password = PASSWORD
        server.command("CONFIG", "SET", "requirepass", "another")
        server.password = "another"
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(Unavailable, match="AuthenticationError") as refused:
            await store.ping()
        assert PASSWORD not in shown(refused.value)
        server.command("CONFIG", "SET", "requirepass", PASSWORD)
        await require_well(store)


def documented_acl() -> list[str]:
    """The words of the ACL in docs/operations.md."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("ACL SETUSER")]
    return line.replace(">PASSWORD", f">{PASSWORD}").split()


@pytest.mark.parametrize(("left_out", "doubts"), [((), 0), (("+config|get",), 1), (("+config|get", "+info"), 2)])
async def test_the_documented_acl_suffices(started: Started, left_out: tuple[str, ...], doubts: int) -> None:
    server = started(*DURABLE)
    acl = [word for word in documented_acl() if word not in left_out]
    assert len(acl) == len(documented_acl()) - len(left_out)
    server.command(*acl)
    events = HeardEvents()
    address = replace(server.address, username="tokensvc", password=PASSWORD)
    store = RedisStore(address, RULE, events=events)
    await store.open()
    await commit(store, "r0", "v0", unless=[entry("x")])
    await revoke(store, "r1", revocation("x", until=1), revocation("y"))
    await require_well(store)
    assert len(await store.list_records(after=None, limit=9)) == 3
    assert len(await store.list_records(after=None, limit=9, newest=True)) == 3
    assert await store.note_of("v0") is None
    await store.close()
    assert len(events.doubts) == doubts
    assert PASSWORD not in "".join(events.doubts) + str(events.heard) + str(address) + repr(address)


async def test_no_word_of_the_documented_acl_is_idle(started: Started) -> None:
    server = started(*DURABLE)
    address = replace(server.address, username="tokensvc", password=PASSWORD)
    acl = documented_acl()
    # EVAL is for a server that does not know the script; INFO and CONFIG are asked at the start and may be missing.
    needed = [word for word in acl if word.startswith("+") and word not in {"+eval", "+info", "+config|get", "+select"}]
    for word in needed:
        server.command("ACL", "DELUSER", "tokensvc")
        server.command(*(each for each in acl if each != word))
        with pytest.raises((Unavailable, ConfigurationError), match=r"NOPERM|does not allow"):
            await _use_everything(address)
        server.command("FLUSHALL")
        server.command(*acl)
        await _use_everything(address)
        server.command("FLUSHALL")


async def _use_everything(address: RedisAddress) -> None:
    store = RedisStore(address, RULE)
    try:
        await store.open()
        await commit(store, "r0", "v0", unless=[entry("x")])
        await revoke(store, "r1", revocation("x", until=1), revocation("y"))
        await commit(store, "r2", "v2")
        await store.find("r0")
        await store.list_records(after=None, limit=9)
        await store.list_records(after=None, limit=9, newest=True)
    finally:
        await store.close()


async def test_a_user_with_other_keys_is_refused(started: Started) -> None:
    server = started(*DURABLE)
    server.command(*documented_acl(), "resetkeys", "~else:*")
    with pytest.raises(ConfigurationError, match="does not allow") as refused:
        async with opened(server, username="tokensvc", password=PASSWORD):
            pass
    assert "docs/operations.md" in refused.value.remedy
    server.command(*documented_acl())
    async with opened(server, username="tokensvc", password=PASSWORD) as store:
        await store.ping()


async def test_databases_are_told_apart_by_their_number(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as first, opened(server, db=3) as second:
        assert await commit(first, "r1", "v") is Committed.STORED
        assert await commit(second, "r1", "v") is Committed.STORED
        assert await commit(second, "r2", "v") is Committed.REPLAYED


# Unavailable, and back again.


async def test_a_server_that_is_not_there_is_unavailable_until_it_is(started: Started) -> None:
    server = started(*DURABLE)
    server.kill()
    store = RedisStore(server.address, RULE)
    with pytest.raises(Unavailable, match="ConnectionError"):
        await store.open()
    with pytest.raises(Unavailable, match="not open"):
        await store.ping()
    server.start()
    await store.open()
    await store.ping()
    await store.close()


async def test_a_name_that_is_none_is_unavailable() -> None:
    store = RedisStore(RedisAddress(host="no-such-host.invalid", port=6379), RULE)
    with pytest.raises(Unavailable):
        await store.open()
    await store.close()


async def test_a_killed_server_is_unavailable_until_it_is_back(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        for n in range(2):
            server.kill()
            await require_unavailable(store, "ConnectionError")
            server.start()
            await require_well(store, n)


async def test_a_server_that_hangs_is_unavailable_until_it_goes_on(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        server.send(SIGSTOP)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await store.is_revoked((entry("root"),))
        server.send(SIGCONT)
        await require_well(store)


async def test_a_step_whose_answer_was_lost_is_not_done_twice_and_not_reported(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        server.send(SIGSTOP)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await commit(store, "r1", "v1")
        server.send(SIGCONT)
        # The server has read what waited before it hung.
        server.command("PING")
        # It was stored all the same, once: whoever asks again with the same value is told that it was used.
        assert [each.record.id for each in await store.list_records(after=None, limit=9)] == ["r1"]
        assert await commit(store, "r2", "v1") is Committed.REPLAYED
        assert await commit(store, "r2", "v2") is Committed.STORED


async def test_whoever_waits_for_a_server_that_hangs_is_answered_by_one_timeout(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        before = server.command("INFO", "stats")["total_connections_received"]
        server.send(SIGSTOP)
        answers = await asyncio.gather(
            *(commit(store, f"r{n}", f"v{n}") for n in range(1, 1000)), return_exceptions=True
        )
        server.send(SIGCONT)
        assert all(isinstance(answer, Unavailable) for answer in answers)
        await require_well(store)
        # One to ask after it went on, one for either of these two questions: no call was made for those who waited.
        assert server.command("INFO", "stats")["total_connections_received"] - before == 2


async def test_whoever_went_away_while_the_server_hung_disturbs_nobody(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        server.send(SIGSTOP)
        calls = [asyncio.ensure_future(commit(store, f"r{n}", f"v{n}")) for n in range(1, 20)]
        # By then each waits for its answer, or to be asked.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        server.send(SIGCONT)
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
        assert all(isinstance(answer, Unavailable) for answer in answers[1::2])
        await require_well(store)


async def test_an_answer_that_comes_late_is_nobody_s(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        await revoke(store, "r0", revocation("root"))
        for n in range(5):
            server.send(SIGSTOP)
            with pytest.raises(Unavailable):
                await store.is_revoked((entry("root"),))
            server.send(SIGCONT)
            assert await store.find(f"none-{n}") is None
            assert await commit(store, f"r1-{n}", f"v{n}") is Committed.STORED


async def test_connections_cut_by_the_server_are_made_again(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        for n in range(5):
            assert await commit(store, f"r{n}", f"v{n}") is Committed.STORED
            server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await commit(store, "r9", "v0") is Committed.REPLAYED


async def test_a_full_memory_is_unavailable_stores_no_half_and_recovers(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        server.command("CONFIG", "SET", "maxmemory", "1")
        await require_unavailable(store, "OutOfMemoryError", reads=True)
        assert await store.find("r0") == record("r0")
        server.command("CONFIG", "SET", "maxmemory", "0")
        await require_well(store)


async def test_a_memory_that_fills_up_loses_nothing_that_was_acknowledged(started: Started) -> None:
    server = started(*DURABLE)
    async with opened(server) as store:
        used = int(server.command("INFO", "memory")["used_memory"])
        server.command("CONFIG", "SET", "maxmemory", used + 2_000_000)
        stored = []
        for n in itertools.count():
            try:
                await store.append(record(f"r{n}", inputs={"x": "x" * 100_000}))
            except Unavailable:
                break
            stored.append(f"r{n}")
        assert stored
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert [each.record.id for each in await store.list_records(after=None, limit=999)] == stored


@pytest.mark.parametrize(("stale", "because"), [("yes", "ReadOnlyError|READONLY"), ("no", "MasterDownError")])
async def test_a_primary_that_became_a_replica_is_unavailable_until_it_is_primary_again(
    started: Started, stale: str, because: str
) -> None:
    server, other = started(*DURABLE, "--replica-serve-stale-data", stale), started(*DURABLE)
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        other.kill()
        server.command("REPLICAOF", "127.0.0.1", other.port)
        with pytest.raises(Unavailable, match=because):
            await store.ping()
        # From then on not even a question is answered: what a replica knows may be old.
        await require_unavailable(store, "is a replica")
        server.command("REPLICAOF", "NO", "ONE")
        await require_well(store)


async def test_a_server_that_cannot_save_is_unavailable_until_it_can(started: Started) -> None:
    server = started("--save", "3600 1")
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        # Where the snapshot should go there is a folder.
        (server.folder / "dump.rdb").mkdir()
        _take_snapshot(server)
        await require_unavailable(store, "MISCONF", reads=True)
        (server.folder / "dump.rdb").rmdir()
        _take_snapshot(server)
        await require_well(store)


def _take_snapshot(server: RedisServer) -> None:
    server.command("BGSAVE")
    while server.command("INFO", "persistence")["rdb_bgsave_in_progress"]:
        pass


async def test_a_server_that_still_loads_is_unavailable_until_it_has(started: Started) -> None:
    server = started("--save", "", "--rdbcompression", "no")
    async with opened(server) as store:
        await commit(store, "r0", "v0")
        for n in range(300):
            server.command("SET", f"other-{n}", "x" * 10_000)
        server.command("SAVE")
        server.kill()
        # It answers between two keys, and takes its time for each.
        slowly = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
        server.options = (*server.options, *slowly)
        server.start(wait=False)
        server.wait_for("Loading RDB")
        await require_unavailable(store, "BusyLoadingError")
        server.command("CONFIG", "SET", "key-load-delay", "0")
        server.wait_for("Ready to accept connections")
        await require_well(store)
