"""`tokensvc check-config`: every problem of the configuration at once."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokensvc.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    ExitCode,
    JsonOption,
    fail,
    load_or_fail,
    render_command,
    say,
    say_json,
    say_next,
)
from tokensvc.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from tokensvc.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `check-config` to `app`."""
    app.command("check-config")(_check_config)


def _check_config(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    fetch: Annotated[bool, typer.Option("--fetch", help="Also fetch the keys of those who publish them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the configuration file, the environment and the keys that they name.

    Every problem is shown with its file, its key and what to do; the exit code is then 3, or 4 where only keys that
    others publish could not be fetched: the service starts without them.

    Example: `tokensvc check-config --config /etc/tokensvc/tokensvc.toml --fetch`

    Example: `TOKENSVC_SERVER__PORT=8701 tokensvc check-config --json`
    """
    settings = load_or_fail(config, as_json=as_json)
    signing_kid = _require_startable(settings, config, as_json=as_json)
    if fetch and (problems := tuple(_fetch_problems(settings, config))):
        fail(problems, as_json=as_json, code=ExitCode.UNREACHABLE)
    if as_json:
        say_json({"ok": True, **_summarise(settings, config), "signing_kid": signing_kid})
        return
    for name, value in _summarise(settings, config).items():
        say(name.replace("_", " "), value if isinstance(value, str) else ", ".join(value))
    say("signing kid", signing_kid)
    say_next(render_command("serve", config=config))


def _require_startable(settings: "Settings", config: Path, *, as_json: bool) -> str:
    """The kid of the key that would sign; fails with everything that would keep `serve` from starting."""
    from tokensvc.settings import load_agent_keys, load_upstream_keys
    from tokensvc.settings.certificate_files import require_current_certificate
    from tokensvc.settings.start import load_store_password, require_own_keys, require_private_when_plain
    from tokensvc.signing.local import LocalSigner

    problems: list[ConfigurationError] = []
    signing_kid = ""
    try:
        require_private_when_plain(settings, settings.server.host, file=str(config))
    except ConfigurationError as exc:
        problems.append(exc)
    try:
        require_current_certificate(settings, now=int(time.time()))
    except ConfigurationError as exc:
        problems.append(exc)
    try:
        if settings.store.password_file is not None:
            load_store_password(settings.store.password_file)
    except ConfigurationError as exc:
        problems.append(exc)
    try:
        signer = LocalSigner(settings.keys.dir, settings.keys.algorithm, clock=lambda: int(time.time()))
        signing_kid = signer.signing_key().kid
        require_own_keys(settings, load_upstream_keys(settings), load_agent_keys(settings), signer.public_keys())
    except ConfigurationError as exc:
        problems.append(exc)
    if problems:
        fail(problems, as_json=as_json)
    return signing_kid


def _fetch_problems(settings: "Settings", config: Path) -> Iterator[ConfigurationError]:
    """What keeps keys that others publish from being fetched from here."""
    from tokensvc.settings import publishers_of
    from tokensvc.wiring import fetched_keys_of

    keys = fetched_keys_of(settings)
    for publisher in publishers_of(settings):
        if keys is None or not publisher.enabled or publisher.keys_url is None:
            continue
        try:
            keys.refresh_sync(publisher.name)
        except Unavailable as exc:
            yield ConfigurationError(
                exc.description,
                file=str(config),
                key=publisher.place,
                remedy=f"See what {publisher.keys_url} answers to this machine, or name a {publisher.file_key}.",
            )


def _summarise(settings: "Settings", config: Path) -> dict[str, str | list[str]]:
    """What a person looks at to see that it is the configuration they meant."""
    return {
        "config": str(config),
        "version": settings.version,
        "issuer": settings.issuer,
        "listens_on": f"{settings.server.host}:{settings.server.port}",
        "store": settings.store.shown,
        "identity_providers": [provider.iss for provider in settings.identity_providers if provider.enabled],
        **_authorities(settings),
        **_disabled(settings),
        **_platforms(settings),
        "agents": [agent.id for agent in settings.agents],
        "resources": [resource.id for resource in settings.resources],
    }


def _authorities(settings: "Settings") -> dict[str, list[str]]:
    enabled = [authority.iss for authority in settings.authorities if authority.enabled]
    return {"authorities": enabled} if enabled else {}


def _disabled(settings: "Settings") -> dict[str, list[str]]:
    found = {
        "disabled_identity_providers": [one.iss for one in settings.identity_providers if not one.enabled],
        "disabled_authorities": [one.iss for one in settings.authorities if not one.enabled],
    }
    return {name: disabled for name, disabled in found.items() if disabled}


def _platforms(settings: "Settings") -> dict[str, list[str]]:
    domains = [domain.name for domain in settings.spiffe_trust_domains]
    platforms = domains + [cluster.iss for cluster in settings.kubernetes_clusters]
    return {"platforms": platforms} if platforms else {}
