"""The target of a request: which resources, and what the token's `aud` becomes (step 10; RFC 8707 s2)."""

from dataclasses import dataclass

from tokensvc.core.authority import is_resource
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.parties import Agent, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import ExchangeRequest

__all__ = ["Target", "named_resources", "require_target_allowed", "resolve_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The resources asked for. `names_issuer` says that the token is wanted for the token endpoint alone."""

    resources: frozenset[str]
    names_issuer: bool

    def audience(self, issuer: str) -> str:
        """The one resource, or the issuer (exchange-only) where there are several."""
        if self.names_issuer or len(self.resources) != 1:
            return issuer
        (resource,) = self.resources
        return resource


def resolve_target(request: ExchangeRequest, client: Agent, *, registry: Registry, terms: Terms) -> Target:
    """What `resource` and `audience` name, or the client's default. Names are looked up, nothing is normalised.

    Raises: OAuthRefused (`invalid_target`) for an unknown name, a text that is no absolute URI, and none at all.
    """
    asked = named_resources(request, registry)
    if not asked and client.default_resource is not None:
        asked.append(client.default_resource)
    if not asked:
        raise _invalid_target("name a resource or an audience: this client has no default_resource")
    if not all(map(is_resource, asked)):
        raise _invalid_target("a resource is an absolute URI without fragment")
    resources = frozenset(asked)
    names_issuer = terms.issuer in resources
    if names_issuer and len(resources) > 1:
        raise _invalid_target("the issuer is named alone or not at all")
    return Target(resources=resources - {terms.issuer}, names_issuer=names_issuer)


def named_resources(request: ExchangeRequest, registry: Registry) -> list[str]:
    """What `resource` and `audience` name, as it came. Raises: OAuthRefused (`invalid_target`) for an unknown name."""
    named = [*request.resource]
    for name in request.audience:
        resource = registry.resource_named(name)
        if resource is None:
            raise _invalid_target("an audience is not a registered name")
        named.append(resource.id)
    return named


def require_target_allowed(target: Target, *, parent: frozenset[str], actor: Agent, registry: Registry) -> None:
    """Return when every resource is registered, inside the parent's, and allowed for `actor`.

    Raises: OAuthRefused (`invalid_target`); one that is not refuses them all.
    """
    if target.names_issuer:
        raise _invalid_target("the issuer may be named in a renewal only")
    for resource in sorted(target.resources):
        if resource not in registry.resources or resource not in parent or resource not in actor.resources:
            raise _invalid_target("a resource is not registered, not in what was delegated, or not allowed here")


def _invalid_target(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED, description)
