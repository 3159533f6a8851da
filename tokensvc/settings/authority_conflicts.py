"""What must hold among authorities, and between them and everybody else. One function for each rule.

One that is disabled is held to the same rules: it can be enabled at any time.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tokensvc.core.jwks_url import parse_jwks_url
from tokensvc.settings.conflict import Conflict, repeats
from tokensvc.settings.model import Authority, Settings

__all__ = ["AUTHORITY_RULES"]


def _issuers(settings: Settings) -> Iterator[Conflict]:
    """Each stands once, and none is the token service: its own word is a plain root."""
    for key, authority in _authorities(settings):
        if authority.iss == settings.issuer:
            yield Conflict(
                key=f"{key}.iss",
                problem="is the token service's own issuer",
                remedy="Write the iss of the authority's roots.",
            )
    entries = [(f"{key}.iss", authority.iss) for key, authority in _authorities(settings)]
    yield from repeats(entries, "{value} is registered twice", "Merge the two [[authority]] tables.")


def _key_sources(settings: Settings) -> Iterator[Conflict]:
    """Keys come from one place, which may be reached."""
    for key, authority in _authorities(settings):
        if authority.jwks_file is not None and authority.jwks_url is not None:
            yield Conflict(key=f"{key}.jwks_url", problem="stands beside jwks_file", remedy="Keep one of the two.")
        elif authority.jwks_url is not None:
            yield from _reachable(key, authority, authority.jwks_url)
        elif authority.jwks_file is None:
            remedy = f'Add jwks_url = "https://..." or jwks_file to {key}.'
            yield Conflict(key=key, problem="says nowhere where its keys are", remedy=remedy)
        elif authority.private_networks:
            remedy = "Remove it, or name a jwks_url."
            yield Conflict(key=f"{key}.private_networks", problem="means nothing beside jwks_file", remedy=remedy)


def _reachable(key: str, authority: Authority, url: str) -> Iterator[Conflict]:
    try:
        parse_jwks_url(url, reach=authority.reach)
    except ValueError as exc:
        remedy = (
            "Write a https URL of a host on the internet. For another, name its network in private_networks; "
            'http is for loopback, with private_networks = ["127.0.0.0/8", "::1/128"].'
        )
        yield Conflict(key=f"{key}.jwks_url", problem=f"cannot be fetched from: {exc}", remedy=remedy)


def _own_key_places(settings: Settings) -> Iterator[Conflict]:
    """An authority signs roots with a key that is not its login key: two sets cannot be one file or URL."""
    urls = {provider.jwks_url for provider in settings.identity_providers if provider.jwks_url is not None}
    for key, authority in _authorities(settings):
        if authority.jwks_url in urls:
            yield Conflict(
                key=f"{key}.jwks_url",
                problem="is where an identity provider publishes the keys of its logins",
                remedy="Sign roots with a key of their own, and publish it elsewhere.",
            )


def _subject_prefixes(settings: Settings) -> Iterator[Conflict]:
    """From the name of a user alone it is seen who vouches for it: one `iss`, whatever its kinds, and nobody else."""
    sources = [(provider.iss, provider.subject_prefix) for provider in settings.identity_providers]
    for key, authority in _authorities(settings):
        iss, prefix = authority.iss, authority.subject_prefix
        if any(other == iss and theirs != prefix for other, theirs in sources):
            problem = "is not that of the identity provider with the same iss: one user would have two names"
            remedy = "Write the subject_prefix of that [[identity_provider]] here too."
            yield Conflict(key=f"{key}.subject_prefix", problem=problem, remedy=remedy)
        elif any(other != iss and _overlap(theirs, prefix) for other, theirs in sources):
            problem = "begins that of another source of users, or the other way round: both could name one user"
            remedy = "Give every [[identity_provider]] and [[authority]] with another iss a subject_prefix of its own."
            yield Conflict(key=f"{key}.subject_prefix", problem=problem, remedy=remedy)
        sources.append((iss, prefix))


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _agents_and_users(settings: Settings) -> Iterator[Conflict]:
    """An agent id is never a user's (RFC 9068 s5). What the providers' prefixes say is said there."""
    said = frozenset(provider.subject_prefix for provider in settings.identity_providers)
    for _, authority in _authorities(settings):
        prefix = authority.subject_prefix
        for index, agent in enumerate(settings.agents):
            if prefix and prefix not in said and agent.id.startswith(prefix):
                yield Conflict(
                    key=f"agent[{index}].id",
                    problem="could be the name of a user: it starts with a subject_prefix",
                    remedy="Rename the agent, or change the subject_prefix of the authority.",
                )


AUTHORITY_RULES: Final[tuple[Callable[[Settings], Iterator[Conflict]], ...]] = (
    _issuers,
    _key_sources,
    _own_key_places,
    _subject_prefixes,
    _agents_and_users,
)
"""Every rule about authorities."""


def _authorities(settings: Settings) -> Iterator[tuple[str, Authority]]:
    """Each with the key of its table."""
    for index, authority in enumerate(settings.authorities):
        yield f"authority[{index}]", authority
