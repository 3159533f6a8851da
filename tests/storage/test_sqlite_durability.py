"""What was acknowledged stays: over close, SIGKILL, and among processes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.conformance import NOW, RULE, claim, commit, entry, grant, record, revocation, revoke
from tests.storage.sqlite_process import RACED
from tokensvc.ports import Committed
from tokensvc.storage.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokensvc.db"


def process(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.storage.sqlite_process", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_everything_acknowledged_is_there_after_close_and_open(path: Path) -> None:
    for _ in range(2):
        store = SqliteStore(path, RULE)
        await store.open()
        if await store.find("r1") is None:
            await commit(store, "r1", "v")
            await revoke(store, "r2", revocation("root"))
            await store.append(record("r3", inputs={"a": [1]}))
            await store.claim((claim("once", note="hash"), grant("grant", "hash")), now=NOW)
        await store.close()

    await store.open()
    assert await commit(store, "r4", "v") is Committed.REPLAYED
    assert await store.is_revoked((entry("root"),))
    assert await store.find("r3") == record("r3", inputs={"a": [1]})
    assert await commit(store, "r4", "w") is Committed.STORED
    assert await store.claim((grant("once", "hash"),), now=NOW) is Committed.REPLAYED
    assert await store.claim((grant("grant", "other"),), now=NOW) is Committed.REPLAYED
    assert await store.claim((grant("grant", "hash"),), now=NOW) is Committed.STORED
    await store.close()


def test_everything_acknowledged_is_there_after_sigkill(path: Path) -> None:
    with process("stream", str(path)) as streaming:
        assert streaming.stdout is not None
        said = [streaming.stdout.readline().strip() for _ in range(400)]
        streaming.kill()
        said += [line.strip() for line in streaming.stdout if line.endswith("\n")]

    async def lost() -> list[str]:
        store = SqliteStore(path, RULE)
        await store.open()
        missing = []
        for name in said:
            if int(name.split("-")[1]) % 2:
                is_kept = await store.is_revoked((entry(f"e-{name}"),))
            else:
                is_kept = await commit(store, f"again-{name}", f"v-{name}") is Committed.REPLAYED
            if not is_kept or await store.find(f"r-{name}") is None:
                missing.append(name)
        assert not await store.is_revoked((entry("e-never-1"),))
        assert await commit(store, "control", "v-never-0") is Committed.STORED
        await store.close()
        return missing

    assert len(said) >= 400
    assert all(said)
    assert asyncio.run(lost()) == []


def test_two_processes_racing_for_the_same_claims_never_share_one(path: Path) -> None:
    # The file does not exist yet: creating it is raced for as well.
    racers = [process("race", str(path), name) for name in ("a", "b")]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [racer.communicate(timeout=30)[0].split() for racer in racers]

    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(won[0] + won[1]) == sorted(f"v{n}" for n in range(RACED))


async def test_two_stores_on_one_file_see_each_other(path: Path) -> None:
    store, second = SqliteStore(path, RULE), SqliteStore(path, RULE)
    await store.open()
    await second.open()
    await revoke(store, "r1", revocation("root"))
    assert await second.is_revoked((entry("root"),))
    assert await commit(second, "r2", "v", unless=[entry("root")]) is Committed.REVOKED
    assert await commit(second, "r2", "v") is Committed.STORED
    await second.close()
    assert await commit(store, "r3", "v") is Committed.REPLAYED
    await store.close()
