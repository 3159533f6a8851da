"""What must hold among identity providers, and between them and everybody else. One function for each rule.

A provider that is disabled is held to the same rules: it can be enabled at any time. What holds for everybody whose
keys are registered stands in `publisher_conflicts`.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tokensvc.core.evidence import GRANT_TYP, ROOT_TYP
from tokensvc.core.scope import usable_scope
from tokensvc.settings.conflict import Conflict, nearest
from tokensvc.settings.model import Settings
from tokensvc.settings.parties import Agent
from tokensvc.settings.sources import IdentityProvider

__all__ = ["PROVIDER_RULES"]

# A root of an authority, a grant of an agent, what an agent says of itself, a proof of a key.
_OTHER_KINDS: Final = frozenset({ROOT_TYP, GRANT_TYP, "actor+jwt", "client-authentication+jwt", "dpop+jwt"})


def _subject_prefixes(settings: Settings) -> Iterator[Conflict]:
    """Two providers never name one user: from the name alone it is seen whose user it is."""
    seen: list[str] = []
    for key, provider in _providers(settings):
        prefix = provider.subject_prefix
        clash = next((other for other in seen if other.startswith(prefix) or prefix.startswith(other)), None)
        if clash is not None:
            problem = "begins another identity provider's, or the other way round: both could name one user"
            remedy = 'Give every [[identity_provider]] a subject_prefix of its own, such as "corp:" and "partner:".'
            yield Conflict(key=f"{key}.subject_prefix", problem=problem, remedy=remedy)
        seen.append(prefix)


def _types(settings: Settings) -> Iterator[Conflict]:
    """A `typ` that means something else here is no access token's (RFC 8725 s3.11)."""
    for key, provider in _providers(settings):
        for typ in sorted(provider.typ):
            if typ.lower().removeprefix("application/") in _OTHER_KINDS:
                problem = f"{typ} is the type of something else than an access token"
                yield Conflict(key=f"{key}.typ", problem=problem, remedy='Write "at+jwt", "JWT" or "none".')


def _agents_and_users(settings: Settings) -> Iterator[Conflict]:
    """An agent id is never a user's (RFC 9068 s5). An empty prefix says nothing; see the top of `conflicts`."""
    for _, provider in _providers(settings):
        for index, agent in enumerate(settings.agents):
            if provider.subject_prefix and agent.id.startswith(provider.subject_prefix):
                yield Conflict(
                    key=f"agent[{index}].id",
                    problem="could be the name of a user: it starts with a subject_prefix",
                    remedy="Rename the agent, or change the subject_prefix of the identity provider.",
                )


def _upstream_client_ids(settings: Settings) -> Iterator[Conflict]:
    """A client at a provider is one agent's, as itself or as its front."""
    known = frozenset(provider.iss for provider in settings.identity_providers)
    for index, agent in enumerate(settings.agents):
        key = f"agent[{index}].upstream_client_ids"
        for iss, client_id in agent.upstream_client_ids:
            if iss not in known:
                remedy = nearest(iss, known, "Write the iss of an [[identity_provider]].")
                yield Conflict(key=key, problem=f"{iss} is no registered identity provider", remedy=remedy)
            others = [other for other in settings.agents if other.id != agent.id]
            if any(client_id in _client_ids(other, iss) for other in others):
                remedy = "Give every agent a client of its own at the identity provider."
                yield Conflict(key=key, problem=f"{client_id} is also a client of another agent", remedy=remedy)


def _audiences(settings: Settings) -> Iterator[Conflict]:
    """Access tokens are for this service, ID tokens for clients: by `aud` they differ even where `typ` does not."""
    for key, provider in _providers(settings):
        if not provider.audience and not provider.id_tokens:
            remedy = 'Add audience = ["..."], as this service is called in access tokens, or id_tokens = true.'
            problem = "is missing, and no ID token is accepted either"
            yield Conflict(key=f"{key}.audience", problem=problem, remedy=remedy)
        for agent in settings.agents:
            for name in sorted(provider.audience & _client_ids(agent, provider.iss)):
                problem = f"{name} is a client of the agent {agent.id}, whose ID tokens would pass for access tokens"
                remedy = "Name this service at the identity provider by an audience that is no client's."
                yield Conflict(key=f"{key}.audience", problem=problem, remedy=remedy)


def _id_tokens(settings: Settings) -> Iterator[Conflict]:
    for key, provider in _providers(settings):
        if provider.id_token_scopes and not provider.id_tokens:
            remedy = "Set id_tokens = true, or remove it."
            yield Conflict(key=f"{key}.id_token_scopes", problem="means nothing without id_tokens", remedy=remedy)


def _registered_scopes(settings: Settings) -> Iterator[Conflict]:
    """What a provider's names are mapped to has meaning at a resource that its users can reach."""
    for key, provider in _providers(settings):
        reachable = (resource for resource in settings.resources if resource.id in provider.ceiling.resources)
        known = frozenset(scope for resource in reachable for scope in resource.scopes)
        mapped = frozenset(scope for _, ours in provider.scope_map for scope in ours)
        for name, scopes in (("scope_map", mapped), ("id_token_scopes", provider.id_token_scopes)):
            for scope in sorted(scopes - usable_scope(known, scopes, settings.scope_grammar)):
                remedy = nearest(scope, known, "Add it to the scopes of a [[resource]] of the ceiling.")
                problem = f"{scope} is registered at no resource of the ceiling"
                yield Conflict(key=f"{key}.{name}", problem=problem, remedy=remedy)


PROVIDER_RULES: Final[tuple[Callable[[Settings], Iterator[Conflict]], ...]] = (
    _subject_prefixes,
    _types,
    _agents_and_users,
    _upstream_client_ids,
    _audiences,
    _id_tokens,
    _registered_scopes,
)
"""Every rule about identity providers."""


def _providers(settings: Settings) -> Iterator[tuple[str, IdentityProvider]]:
    """Each with the key of its table."""
    for index, provider in enumerate(settings.identity_providers):
        yield f"identity_provider[{index}]", provider


def _client_ids(agent: Agent, iss: str) -> frozenset[str]:
    """What `agent` and its fronts are called at the provider `iss`."""
    return agent.fronts | {dict(agent.upstream_client_ids).get(iss, agent.id)}
