"""What must hold among all whose keys are registered: identity providers, trust domains, clusters. See `publishers`."""

from collections.abc import Callable, Iterator
from typing import Final

from tokensvc.core.jwks_url import parse_jwks_url
from tokensvc.settings.conflict import Conflict, repeats
from tokensvc.settings.model import Settings
from tokensvc.settings.publishers import Publisher, publishers_of

__all__ = ["PUBLISHER_RULES"]


def _names(settings: Settings) -> Iterator[Conflict]:
    """Each stands once in all tables: what a token is, a user's or an agent's, never depends on who reads its `iss`.

    None is the token service: its own tokens never start a delegation, and are no agent's word.
    """
    publishers = tuple(publishers_of(settings))
    for publisher in publishers:
        if publisher.name == settings.issuer:
            yield Conflict(
                key=f"{publisher.key}.{publisher.name_key}",
                problem="is the token service's own issuer",
                remedy=f"Write the iss of the tokens of the {publisher.title}.",
            )
    entries = [(f"{publisher.key}.{publisher.name_key}", publisher.name) for publisher in publishers]
    yield from repeats(entries, "{value} is registered twice", "Keep one of the two tables.")


def _key_sources(settings: Settings) -> Iterator[Conflict]:
    """Keys come from one place, which may be reached."""
    for publisher in publishers_of(settings):
        given = [name for name, is_given in _sources(publisher) if is_given]
        if not given:
            ways = f'{publisher.url_key} = "https://...", {"" if publisher.is_bundle else "discovery = true, "}'
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
    yield "discovery", publisher.discovery


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
        name = publisher.name_key if publisher.discovery else publisher.url_key
        yield Conflict(key=f"{publisher.key}.{name}", problem=f"cannot be fetched from: {exc}", remedy=remedy)


PUBLISHER_RULES: Final[tuple[Callable[[Settings], Iterator[Conflict]], ...]] = (_names, _key_sources)
"""Every rule about those whose keys are registered."""
