"""What must hold among all whose keys are registered, whatever they vouch for. See `publishers`."""

from collections.abc import Callable, Iterator
from typing import Final

from tokensvc.core.jwks_url import parse_jwks_url
from tokensvc.settings.conflict import Conflict, repeats
from tokensvc.settings.model import Settings
from tokensvc.settings.publishers import Publisher, publishers_of

__all__ = ["PUBLISHER_RULES"]


def _names(settings: Settings) -> Iterator[Conflict]:
    """Each stands once in all tables: what a token is, a user's or an agent's, never depends on who reads its `iss`.

    An authority alone may have the `iss` of an identity provider: its roots are of another kind than logins, by other
    keys. None is the token service: its own tokens start no delegation, and are no agent's word.
    """
    publishers = tuple(publishers_of(settings))
    for publisher in publishers:
        if publisher.iss == settings.issuer:
            yield Conflict(
                key=f"{publisher.key}.{publisher.iss_key}",
                problem="is the token service's own issuer",
                remedy=f"Write the iss of the tokens of the {publisher.title}.",
            )
    # Both passes see trust domains and clusters, and may find one conflict twice.
    found = [conflict for title in ("authority", "identity provider") for conflict in _repeated(publishers, title)]
    yield from dict.fromkeys(found)


def _repeated(publishers: tuple[Publisher, ...], left_out: str) -> Iterator[Conflict]:
    """Who is registered twice among all but those whose title is `left_out`."""
    rest = [publisher for publisher in publishers if publisher.title != left_out]
    entries = [(f"{publisher.key}.{publisher.iss_key}", publisher.iss) for publisher in rest]
    yield from repeats(entries, "{value} is registered twice", "Keep one of the two tables.")


def _key_sources(settings: Settings) -> Iterator[Conflict]:
    """Keys come from one place, which may be reached."""
    for publisher in publishers_of(settings):
        given = [name for name, is_given in _sources(publisher) if is_given]
        if not given:
            ways = f'{publisher.url_key} = "https://...", {"" if publisher.discovery is None else "discovery = true, "}'
            remedy = f"Add {ways}or {publisher.file_key} to {publisher.key}."
            yield Conflict(key=publisher.key, problem="says nowhere where its keys are", remedy=remedy)
        for name in given[1:]:
            problem = f"stands beside {given[0]}"
            yield Conflict(key=f"{publisher.key}.{name}", problem=problem, remedy="Keep one of the two.")
        if len(given) == 1:
            yield from _reachable(publisher)


def _sources(publisher: Publisher) -> Iterator[tuple[str, bool]]:
    yield publisher.file_key, publisher.file is not None
    yield publisher.url_key, publisher.url is not None
    yield "discovery", bool(publisher.discovery)


def _reachable(publisher: Publisher) -> Iterator[Conflict]:
    if publisher.file is not None:
        if publisher.has_networks:
            problem = f"means nothing beside {publisher.file_key}"
            remedy = f"Remove it, or name a {publisher.url_key}."
            yield Conflict(key=f"{publisher.key}.private_networks", problem=problem, remedy=remedy)
        return
    try:
        parse_jwks_url(publisher.keys_url or "", reach=publisher.reach)
    except ValueError as exc:
        remedy = (
            "Write a https URL of a host on the internet. For another, name its network in private_networks; "
            'http is for loopback, with private_networks = ["127.0.0.0/8", "::1/128"].'
        )
        name = publisher.iss_key if publisher.discovery else publisher.url_key
        yield Conflict(key=f"{publisher.key}.{name}", problem=f"cannot be fetched from: {exc}", remedy=remedy)


PUBLISHER_RULES: Final[tuple[Callable[[Settings], Iterator[Conflict]], ...]] = (_names, _key_sources)
"""Every rule about those whose keys are registered."""
