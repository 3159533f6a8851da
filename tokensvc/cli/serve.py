"""`tokensvc serve`: the token service, in one process or several, until it is told to stop."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn
from urllib.parse import urlsplit

import typer

from tokensvc.cli.console import DEFAULT_CONFIG, ConfigOption, ExitCode, fail, load_or_fail, say, say_next
from tokensvc.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    import socket

    from tokensvc.server.workers import Ties
    from tokensvc.settings import Settings
    from tokensvc.telemetry import Telemetry

__all__ = ["register"]

# More than any machine that this is for has processors.
_MAX_WORKERS: Final = 256


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
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=_MAX_WORKERS, help="How many processes serve: one per processor.")
    ] = 1,
) -> None:
    """Run the token service until Ctrl-C or SIGTERM, which end it with exit code 0 once what is in flight is finished.

    A second one ends it at once. SIGHUP: the configuration file is read again.
    Exit code 3: the configuration cannot be used. 4: the port or the store cannot be had now.
    Over http it listens on a loopback address only. Set an https issuer when a proxy in front of it ends TLS, or
    server.tls_certificate_file for it to do so itself.

    Example: `tokensvc serve`

    Example: `tokensvc serve --workers 4 --config /etc/tokensvc/tokensvc.toml --port 8701`
    """
    settings = load_or_fail(config, as_json=False)
    host = settings.server.host if host is None else host
    port = settings.server.port if port is None else port
    from tokensvc.settings.certificate_files import require_current_certificate
    from tokensvc.settings.start import require_private_when_plain, require_shareable
    from tokensvc.telemetry import Telemetry
    from tokensvc.wiring import require_startable

    try:
        require_private_when_plain(settings, host, file=str(config))
        require_shareable(settings, workers, file=str(config))
        require_current_certificate(settings, now=int(time.time()))
        require_startable(settings)
    except ConfigurationError as exc:
        fail([exc], as_json=False)
    # An absolute path: what is read again later is this file.
    config = config.absolute()
    with _bind(host, port, config) as listener:
        serve = _serve_alone if workers == 1 else _serve_by_workers(workers)
        serve(settings, listener, config, Telemetry())


def _serve_alone(settings: "Settings", listener: "socket.socket", config: Path, telemetry: "Telemetry") -> None:
    from tokensvc.cli.serving import Process, Told

    with Told() as told:
        try:
            process = Process.build(settings, listener=listener, config=config, telemetry=telemetry, told=told)
            process.run(lambda: _announce(settings, listener))
        except (ConfigurationError, Unavailable) as exc:
            _fail_to_start(exc, config)


def _serve_by_workers(count: int) -> Callable[["Settings", "socket.socket", Path, "Telemetry"], None]:
    def serve(settings: "Settings", listener: "socket.socket", config: Path, telemetry: "Telemetry") -> None:
        from tokensvc.server.workers import supervise
        from tokensvc.settings import Settings
        from tokensvc.settings.reload import examine_change
        from tokensvc.wiring import require_startable

        def work(ties: "Ties") -> int:
            # The settings as they are when a worker starts.
            return _work(settings, listener, config, ties)

        def reload() -> bool:
            nonlocal settings
            found = examine_change(settings, config, os.environ)
            try:
                if isinstance(found, Settings):
                    require_startable(found)
            except ConfigurationError as exc:
                found = (exc,)
            if not isinstance(found, Settings):
                telemetry.configuration_refused(found)
                return False
            settings = found
            return True

        def announce() -> None:
            _announce(settings, listener, workers=count)

        code = supervise(
            work, count, reload=reload, when_ready=announce, when_stopping=listener.close, telemetry=telemetry
        )
        if code:
            raise typer.Exit(code)

    return serve


def _work(settings: "Settings", listener: "socket.socket", config: Path, ties: "Ties") -> int:
    """One worker, from its fork to its end; its exit code."""
    from tokensvc.cli.serving import Process, Told
    from tokensvc.telemetry import Telemetry

    telemetry = Telemetry(worker=os.getpid())
    with Told(is_worker=True) as told:
        try:
            process = Process.build(settings, listener=listener, config=config, telemetry=telemetry, told=told)
            process.run(ties.ready, parent=ties.parent)
        except (ConfigurationError, Unavailable) as exc:
            try:
                _fail_to_start(exc, config)
            except typer.Exit as ended:
                return ended.exit_code
    return ExitCode.OK


def _fail_to_start(exc: ConfigurationError | Unavailable, config: Path) -> NoReturn:
    if isinstance(exc, ConfigurationError):
        fail([exc], as_json=False)
    problem = ConfigurationError(
        exc.description, file=str(config), key="store.url", remedy="Start again once the store can be used."
    )
    fail([problem], as_json=False, code=ExitCode.UNREACHABLE)


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


def _announce(settings: "Settings", listener: "socket.socket", *, workers: int = 1) -> None:
    """Where to find the service, and what to try first."""
    from tokensvc.server.routes import metadata_paths
    from tokensvc.settings.values import MEMORY

    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.server.speaks_tls else "http"
    address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    say("listening on", address)
    say("issuer", settings.issuer)
    say("store", "in memory: all is forgotten when this ends" if settings.store.url == MEMORY else settings.store.shown)
    if workers > 1:
        say("workers", str(workers))
    say("to stop", "Ctrl-C")
    # A certificate is for the host of the issuer, and hardly for an address.
    origin = urlsplit(settings.issuer)._replace(path="").geturl() if settings.server.speaks_tls else address
    say_next(f"curl -s {origin}{metadata_paths(settings.issuer)[0]}")
