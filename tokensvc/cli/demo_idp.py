"""`tokensvc demo-idp`: the stand-in identity provider of a configuration that `tokensvc init` wrote."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tokensvc.cli.console import DEFAULT_CONFIG, ConfigOption, ExitCode, fail, load_or_fail, say, say_next
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed

if TYPE_CHECKING:
    import uvicorn

    from tokensvc.core.jws import SigningKey
    from tokensvc.settings import Settings

__all__ = ["register"]

# As `init` names it.
_PRIVATE_KEY: Final = "idp-dev.jwk.json"
# An RSA key of 8192 bits takes 7 KB as a JWK.
_MAX_BYTES: Final = 64 * 1024


def register(app: typer.Typer) -> None:
    """Add `demo-idp` to `app`."""
    app.command("demo-idp")(_demo_idp)


def _demo_idp(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0: the system chooses one.")] = 8701,
) -> None:
    """Run the stand-in identity provider that `tokensvc init` wrote, to try things out. It asks nobody for a password.

    POST /login with user=alice and client_id=AGENT answers with alice's token for that agent. Whoever reaches it is
    alice, so let nobody reach it but yourself. Exit codes: 3 there is no stand-in in this configuration; 4 the port
    cannot be had.

    Example: `tokensvc demo-idp`
    """
    settings = load_or_fail(config, as_json=False)
    try:
        key = _read_key(config.absolute().with_name(_PRIVATE_KEY))
        server = _make_server(settings, key, file=str(config))
    except ConfigurationError as exc:
        fail([exc], as_json=False)
    _run(server, host, port)


def _read_key(path: Path) -> "SigningKey":
    from tokensvc.core.jsontext import parse_json_object
    from tokensvc.core.jws import SigningKey
    from tokensvc.smallfile import read_small_file

    try:
        return SigningKey.from_jwk(parse_json_object(read_small_file(path, max_bytes=_MAX_BYTES)))
    except OSError as exc:
        raise _no_stand_in(path, f"its private key cannot be read ({exc.strerror})") from exc
    except (Malformed, KeyRefused) as exc:
        raise _no_stand_in(path, f"its private key cannot be used ({exc.description})") from exc


def _make_server(settings: "Settings", key: "SigningKey", *, file: str) -> "uvicorn.Server":
    """What answers as the identity provider. Raises: ConfigurationError when none of `settings` has that key."""
    import uvicorn

    from tokensvc.demo.idp import make_stand_in
    from tokensvc.telemetry import Telemetry
    from tokensvc.wiring import system_clock, uvicorn_config

    app = make_stand_in(settings, key, clock=system_clock)
    if app is None:
        raise _no_stand_in(file, "no identity provider in it has the key of the stand-in")
    return uvicorn.Server(uvicorn_config(app, telemetry=Telemetry()))


def _no_stand_in(file: Path | str, problem: str) -> ConfigurationError:
    remedy = "Name a configuration that tokensvc init wrote; with an identity provider of your own, log in there."
    return ConfigurationError(f"no stand-in identity provider: {problem}", file=str(file), key="", remedy=remedy)


def _run(server: "uvicorn.Server", host: str, port: int) -> None:
    from tokensvc.wiring import bind

    try:
        listener = bind(host, port)
    except (OSError, UnicodeError) as exc:
        what = exc.strerror if isinstance(exc, OSError) and exc.strerror else "no such address"
        problem = ConfigurationError(f"cannot listen ({what})", file=host, key=str(port), remedy="Name another --port.")
        fail([problem], as_json=False, code=ExitCode.UNREACHABLE)
    address = f"http://{host}:{listener.getsockname()[1]}"
    with _signals_end_it():
        say("listening on", address)
        say_next(f"curl -s {address}/login -d user=alice -d client_id=AGENT")
        sys.stdout.flush()
        server.run(sockets=[listener])


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """While uvicorn runs it listens itself, and repeats what it heard at its end: with exit code 0 then."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise typer.Exit(ExitCode.OK)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
