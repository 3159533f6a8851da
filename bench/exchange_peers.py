"""An exchange over oidc-provider (npm), a certified OpenID provider, at what comes closest.

Its side is `tests/node/exchange_provider.mjs`: the same form, authenticated by `private_key_jwt` with replay detection;
the same subject token, verified by `jose`; a JWT access token signed with ES256, with `act`. It keeps its state in
memory, looks for no revocation, writes no record, knows no chain and does not verify what it signed. Ours does all
that, with Redis and `appendfsync always`, and each subject token is new to both.

`client credentials` is what oidc-provider has without any code of ours: the same authentication, no subject token.

Run: .venv/bin/python -m bench.exchange_peers [--json] [--quick]
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from bench._measure import Goal, Plan, Row, progress, run_script
from bench._processes import ROOT, Server, can_measure, running, running_redis
from bench._rounds import LOAD, LOAD_QUICK, Measured, Target, absent, compare, take_turns
from bench._service import LISTENING, Exchanges, jwks, running_service
from bench._tokens import ISSUER, RESOURCE, Key, agent, agent_key, scopes

GROUP: Final = "exchange over oidc-provider"
_GOAL: Final = Goal(">=", 2)
_SCRIPT: Final = ROOT / "tests" / "node" / "exchange_provider.mjs"
_PACKAGE: Final = ROOT / "tests" / "node" / "node_modules" / "oidc-provider"
_OURS: Final = "ours"
_SAME: Final = "exchange"
_LESS: Final = "client credentials"


def measure(plan: Plan) -> Iterator[Row]:
    """Throughput and server time, over the exchange and over what is there without one."""
    if why := _missing():
        yield from absent(GROUP, {f"exchange, over oidc-provider's {_SAME}": _GOAL}, why)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        progress(f"{GROUP}: servers start")
        targets = _start(Path(folder), stack)
        progress(f"{GROUP}: {plan.rounds} rounds")
        taken = take_turns(plan, targets)
    ours = taken[_OURS]
    for name, goal in ((_SAME, _GOAL), (_LESS, None)):
        yield from _rows(f"exchange, over oidc-provider's {name}", ours, taken[name], goal)


def _missing() -> str:
    if not can_measure():
        return "needs Linux"
    missing = [name for name in ("redis-server", "node") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    return "" if _PACKAGE.is_dir() else "needs oidc-provider (make node-packages)"


def _start(folder: Path, stack: ExitStack) -> dict[str, Target]:
    redis = stack.enter_context(running_redis(folder / "redis", "always"))
    service = running_service(folder / "service", f"redis://127.0.0.1:{redis.port}/0")
    server, exchanges = stack.enter_context(service)
    provider = stack.enter_context(_running_provider(folder / "provider", exchanges.key))
    theirs = Exchanges(exchanges.key, audience=f"http://127.0.0.1:{provider.port}")
    return {
        _OURS: Target(server=server, requests=exchanges.cold, behind=redis),
        _SAME: Target(server=provider, requests=theirs.cold),
        _LESS: Target(server=provider, requests=theirs.client_credentials),
    }


def _running_provider(log: Path, service: Key) -> AbstractContextManager[Server]:
    terms = {
        "agent": agent(1),
        "client": jwks(agent_key(1)),
        "service": jwks(service),
        "issuer": ISSUER,
        "resource": RESOURCE,
        "scope": " ".join(scopes(4)),
    }
    return running([shutil.which("node") or "node", _SCRIPT, json.dumps(terms)], log, ready=LISTENING)


def _rows(name: str, ours: list[Measured], theirs: list[Measured], goal: Goal | None) -> Iterator[Row]:
    pairs = list(zip(ours, theirs, strict=True))
    yield compare(f"{name}, throughput", [a.per_s / b.per_s for a, b in pairs], ours, theirs, group=GROUP, goal=goal)
    yield compare(f"{name}, server time", [b.cpu_us / a.cpu_us for a, b in pairs], ours, theirs, group=GROUP, goal=goal)


if __name__ == "__main__":
    run_script(measure, "Exchanges under load, over oidc-provider.", full=LOAD, quick=LOAD_QUICK)
