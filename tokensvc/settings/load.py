"""From a file and the environment to frozen `Settings`, or to every problem that stands in the way.

    1. Read the file. 2. Lay the environment over it. 3. Check each value alone. 4. Resolve paths.
    5. Check the values against each other, and read the keys of providers and agents.

A value that cannot be used (2, 3) ends the examination before step 5, which needs them all.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from tokensvc.errors import ConfigurationError, Malformed
from tokensvc.settings.agent_keys import load_agent_keys
from tokensvc.settings.conflicts import find_conflicts
from tokensvc.settings.environment import read_overrides, refuse_unknown, with_overrides
from tokensvc.settings.explain import explain
from tokensvc.settings.model import Settings, StoreSettings
from tokensvc.settings.upstream import find_key_problems
from tokensvc.settings.values import SQLITE
from tokensvc.smallfile import read_small_file

__all__ = ["examine_settings", "load_settings"]

# A thousand agents and as many resources take less; anything larger is another file.
_MAX_BYTES: Final = 4_000_000
_SETTINGS: Final = TypeAdapter(Settings)


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the file at `path`, with the `TOKENSVC_` variables of `environ` over them.

    Relative paths count from the folder of the file, wherever they are written.
    Raises: ConfigurationError, the first of the problems, with the others as its notes.
    """
    found = examine_settings(path, environ)
    if isinstance(found, Settings):
        return found
    first, *others = found
    for other in others:
        first.add_note(str(other))
    raise first


def examine_settings(path: Path, environ: Mapping[str, str]) -> Settings | tuple[ConfigurationError, ...]:
    """The settings, or every problem found: what `load_settings` does, for those who show them all."""
    file = str(path)
    try:
        values = _read_toml(path)  # 1
    except ConfigurationError as exc:
        return (exc,)
    overrides = read_overrides(environ)  # 2
    problems = list(refuse_unknown(environ))
    variables = {override.path: override.variable for override in overrides}
    try:
        # By their names in the file alone: `agents` is ours, `agent` is the file's.  3
        settings = _SETTINGS.validate_python(with_overrides(values, overrides), by_alias=True, by_name=False)
    except ValidationError as exc:
        return (*problems, *explain(exc, file=file, variables=variables))
    settings = _resolve_paths(settings, path.absolute().parent)  # 4
    problems += [  # 5
        ConfigurationError(conflict.problem, file=file, key=conflict.key, remedy=conflict.remedy)
        for conflict in find_conflicts(settings)
    ]
    problems += find_key_problems(settings)
    try:
        load_agent_keys(settings)
    except ConfigurationError as exc:
        problems.append(exc)
    return tuple(problems) or settings


def _read_toml(path: Path) -> dict[str, object]:
    try:
        text = read_small_file(path, max_bytes=_MAX_BYTES).decode("utf-8")
        return tomllib.loads(text)
    except FileNotFoundError as exc:
        remedy = "Run tokensvc init to write one, or name another with --config or TOKENSVC_CONFIG."
        raise _unusable(path, "the file does not exist", remedy) from exc
    except OSError as exc:
        raise _unusable(path, f"the file cannot be read ({exc.strerror})", "Make it a readable file.") from exc
    except Malformed as exc:
        raise _unusable(path, f"the file is {exc.description}", "Name the configuration file.") from exc
    except UnicodeDecodeError as exc:
        raise _unusable(path, "the file is not UTF-8", "Save it as UTF-8.") from exc
    except tomllib.TOMLDecodeError as exc:
        raise _unusable(path, f"the file is not TOML: {exc}", "Mend that line.") from exc
    except RecursionError as exc:
        raise _unusable(path, "the file nests too deeply", "Write lists and tables as tokensvc init does.") from exc
    except ValueError as exc:
        # What Python itself refuses to convert: 10 000 digits, say.
        raise _unusable(path, "the file holds a number that is too long", "Shorten it.") from exc


def _unusable(path: Path, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, file=str(path), key="", remedy=remedy)


def _resolve_paths(settings: Settings, folder: Path) -> Settings:
    database = settings.store.sqlite_path
    secret = settings.store.password_file
    store = StoreSettings(
        url=settings.store.url if database is None else f"{SQLITE}{folder / database}",
        password_file=None if secret is None else folder / secret,
    )
    providers = tuple(
        provider if provider.jwks_file is None else replace(provider, jwks_file=folder / provider.jwks_file)
        for provider in settings.identity_providers
    )
    domains = tuple(
        domain if domain.bundle_file is None else replace(domain, bundle_file=folder / domain.bundle_file)
        for domain in settings.spiffe_trust_domains
    )
    clusters = tuple(
        cluster if cluster.jwks_file is None else replace(cluster, jwks_file=folder / cluster.jwks_file)
        for cluster in settings.kubernetes_clusters
    )
    agents = tuple(
        agent if agent.jwks_file is None else replace(agent, jwks_file=folder / agent.jwks_file)
        for agent in settings.agents
    )
    keys = replace(settings.keys, dir=folder / settings.keys.dir)
    return replace(
        settings,
        store=store,
        keys=keys,
        identity_providers=providers,
        spiffe_trust_domains=domains,
        kubernetes_clusters=clusters,
        agents=agents,
    )
