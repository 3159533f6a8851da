"""The supervisor alone, over workers that do what no server does. Real ones: `tests/cli/test_serve_workers.py`."""

import json
import signal
import subprocess
import sys

# Forks: in a process of its own, that has one thread.
PROGRAM = """
import signal, sys
from tokensvc.server.workers import SIGNALS, supervise
from tokensvc.telemetry import Telemetry

def stubborn(ties):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    ties.ready()
    while True:
        signal.pause()

def obedient(ties):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    ties.ready()
    while True:
        signal.pause()

def broken(ties):
    raise RuntimeError("secret")

code = supervise(
    globals()[sys.argv[1]], 2, reload=lambda: False, when_ready=lambda: print("ready", flush=True),
    when_stopping=lambda: print("stopping", flush=True), telemetry=Telemetry(), stop_s=float(sys.argv[2]),
)
sys.exit(code)
"""
TIMEOUT_S = 30


def run(work: str, *, stop_s: float) -> tuple[int, list[str], str]:
    """Exit code, the events and the output of a supervisor that is told to stop once its first worker is ready."""
    arguments = [sys.executable, "-c", PROGRAM, work, str(stop_s)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert "secret" not in err
    return process.returncode, [json.loads(line)["event"] for line in err.splitlines()], first + out


def test_workers_that_do_not_end_in_time_are_killed() -> None:
    code, events, said = run("stubborn", stop_s=0.2)

    assert (code, said) == (0, "ready\nstopping\n")
    assert {*events} == {"worker_killed"}
    assert run("obedient", stop_s=TIMEOUT_S) == (0, [], "ready\nstopping\n")


def test_a_worker_with_a_fault_ends_with_1_and_shows_nothing_of_it() -> None:
    assert run("broken", stop_s=TIMEOUT_S) == (1, ["fault"], "")
