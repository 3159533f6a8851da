"""What must hold among authorities, and between them and everybody else. One function for each rule.

One that is disabled is held to the same rules: it can be enabled at any time. What holds for everybody whose keys are
registered stands in `publisher_conflicts`.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tokensvc.settings.conflict import Conflict
from tokensvc.settings.model import Settings
from tokensvc.settings.sources import Authority

__all__ = ["AUTHORITY_RULES"]


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
    _own_key_places,
    _subject_prefixes,
    _agents_and_users,
)
"""Every rule about authorities."""


def _authorities(settings: Settings) -> Iterator[tuple[str, Authority]]:
    """Each with the key of its table."""
    for index, authority in enumerate(settings.authorities):
        yield f"authority[{index}]", authority
