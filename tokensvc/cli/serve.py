"""`tokensvc serve`: the token service, until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from tokensvc.cli.console import DEFAULT_CONFIG, ConfigOption, ExitCode, fail, load_or_fail, say, say_next
from tokensvc.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    import socket

    import uvicorn

    from tokensvc.ports import Store
    from tokensvc.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `serve` to `app`."""
    app.command("serve")(_serve)


def _serve(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option("--host", help="Where to listen, else server.host.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Else server.port; 0: the system chooses one.")
    ] = None,
) -> None:
    """Run the token service until Ctrl-C or SIGTERM, which end it with exit code 0.

    Exit code 3: the configuration cannot be used. 4: the port or the store cannot be had now.
    Over http it listens on a loopback address only. Set an https issuer when a proxy in front of it ends TLS.

    Example: `tokensvc serve`

    Example: `tokensvc serve --config /etc/tokensvc/tokensvc.toml --port 8701`
    """
    settings = load_or_fail(config, as_json=False)
    host = settings.server.host if host is None else host
    port = settings.server.port if port is None else port
    from tokensvc.settings.start import require_private_when_plain

    try:
        require_private_when_plain(settings, host, file=str(config))
    except ConfigurationError as exc:
        fail([exc], as_json=False)
    _run(settings, host, port, config)


def _run(settings: "Settings", host: str, port: int, config: Path) -> None:
    import uvicorn

    from tokensvc.telemetry import Telemetry
    from tokensvc.wiring import build_app, open_store, uvicorn_config

    telemetry = Telemetry()
    try:
        store = open_store(settings, telemetry)
        app = build_app(settings, store=store, telemetry=telemetry)
    except ConfigurationError as exc:
        fail([exc], as_json=False)
    server = uvicorn.Server(uvicorn_config(app, telemetry=telemetry))
    with (
        _bind(host, port, config) as listener,
        _stop_signals() as stop,
        asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner,
    ):
        try:
            runner.run(_open_and_serve(store, server, listener, stop, lambda: _announce(settings, listener)))
        except ConfigurationError as exc:
            fail([exc], as_json=False)
        except Unavailable as exc:
            problem = ConfigurationError(
                exc.description, file=str(config), key="store.url", remedy="Start again once the store can be used."
            )
            fail([problem], as_json=False, code=ExitCode.UNREACHABLE)


@dataclass(slots=True)
class _Stop:
    """A plain flag: a lock, as in threading.Event, must not be taken in a signal handler."""

    wanted: bool = False


async def _open_and_serve(
    store: "Store",
    server: "uvicorn.Server",
    listener: "socket.socket",
    stop: _Stop,
    announce: Callable[[], None],
) -> None:
    # The application opens the store as well, which changes nothing by then. Here a failure can be told as it is.
    await store.open()
    if stop.wanted:
        await store.close()
        return
    announce()
    # uvicorn listens for signals from the first step of `serve` on, and knows nothing of one that came before.
    asyncio.get_running_loop().call_soon(_pass_on, stop, server)
    await server.serve(sockets=[listener])
    # uvicorn leaves the application as it is when it is stopped while it starts.
    await store.close()


def _pass_on(stop: _Stop, server: "uvicorn.Server") -> None:
    server.should_exit = server.should_exit or stop.wanted


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    """Notes that we are told to stop. While uvicorn runs it listens itself, and repeats what it heard at its end."""
    stop = _Stop()

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.wanted = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bind(host: str, port: int, config: Path) -> "socket.socket":
    from tokensvc.wiring import bind

    try:
        return bind(host, port)
    except (OSError, UnicodeError) as exc:
        what = exc.strerror if isinstance(exc, OSError) and exc.strerror else "no such address"
        problem = ConfigurationError(
            f"cannot listen on {host} port {port}: {what}",
            file=str(config),
            key="server",
            remedy="Stop what listens there, or change port in [server], and issuer where it names the port.",
        )
        fail([problem], as_json=False, code=ExitCode.UNREACHABLE)


def _announce(settings: "Settings", listener: "socket.socket") -> None:
    """Where to find the service, and what to try first."""
    from tokensvc.server.routes import metadata_paths
    from tokensvc.settings.values import MEMORY

    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    say("listening on", address)
    say("issuer", settings.issuer)
    say("store", "in memory: all is forgotten when this ends" if settings.store.url == MEMORY else settings.store.shown)
    say("to stop", "Ctrl-C")
    say_next(f"curl -s {address}{metadata_paths(settings.issuer)[0]}")
