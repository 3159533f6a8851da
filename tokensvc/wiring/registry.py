"""Who is registered and on which terms: from the settings, as the use cases know them."""

from collections.abc import Iterator, Mapping

from tokensvc.core.authority import Order
from tokensvc.core.certificate_subject import parse_subject_rule
from tokensvc.core.entry import Evidence
from tokensvc.exchange.parties import Agent, AuthMethod, Authority, Operator, Platform, Resource, Terms, UpstreamIssuer
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.settings import NO_TYP, AgentKeys, IdentityProvider, Settings, workload_of
from tokensvc.settings import Authority as AuthoritySettings

__all__ = ["registry_of", "terms_of"]


def terms_of(settings: Settings) -> Terms:
    """The service's own identifier and limits."""
    limits = settings.limits
    return Terms(
        issuer=settings.issuer,
        order=Order(grammar=settings.scope_grammar, attenuation=settings.attenuation, proper_from=settings.proper_from),
        max_depth=limits.depth,
        token_lifetime_s=limits.token_lifetime_s,
        root_lifetime_s=limits.root_lifetime_s,
        leeway_s=limits.leeway_s,
        max_issued_bytes=limits.token_bytes,
        configuration=settings.version,
        evidence=Evidence(settings.evidence),
        dpop_nonces=settings.server.dpop_nonces,
        authorities=frozenset((one.iss, one.subject_prefix) for one in settings.authorities if one.enabled),
    )


def registry_of(settings: Settings, keys: UpstreamKeys, agent_keys: Mapping[str, AgentKeys]) -> Registry:
    """Everybody who is registered; who is disabled among identity providers and authorities is not.

    `agent_keys` by the agent's id.
    """
    return Registry(
        agents=[
            Agent(
                id=agent.id,
                auth=agent.auth,
                secret_sha256=agent.secret_sha256,
                keys=keys.of_agent(agent.id, agent_keys.get(agent.id, AgentKeys()).assertion),
                holder_keys=keys.of_agent(agent.id, agent_keys.get(agent.id, AgentKeys()).holder),
                certificate_thumbprints=_thumbprints(agent_keys.get(agent.id, AgentKeys())),
                certificate_subject=next((parse_subject_rule(*rule) for rule in agent.subject_rules), None),
                certificate_bound=agent.tls_client_certificate_bound_access_tokens,
                accept_token_endpoint_audience=agent.accept_token_endpoint_audience,
                max_assertion_lifetime_s=agent.max_assertion_lifetime_s,
                scopes=agent.scopes,
                resources=agent.resources,
                may_delegate_to=agent.may_delegate_to,
                fronts=agent.fronts,
                serves=agent.serves,
                downstream_resources=agent.downstream_resources,
                default_resource=agent.default_resource,
                max_lifetime_s=agent.max_lifetime_s,
                max_depth=agent.max_depth,
                evidence=Evidence(agent.evidence),
                enabled=agent.enabled,
                upstream_client_ids=dict(agent.upstream_client_ids),
                workload=workload_of(agent, settings),
            )
            for agent in settings.agents
        ],
        resources=[
            Resource(
                id=resource.id,
                client_id=resource.client_id,
                names=resource.names,
                scopes=resource.scopes,
                auth=resource.auth,
                secret_sha256=resource.secret_sha256,
                enforces_details=resource.enforces_details,
                evidence=Evidence(resource.evidence),
            )
            for resource in settings.resources
        ],
        operators=[
            Operator(client_id=operator.id, auth=operator.auth, secret_sha256=operator.secret_sha256)
            for operator in settings.operators
        ],
        issuers=[_upstream_of(provider, keys) for provider in settings.identity_providers if provider.enabled],
        authorities=[_authority_of(authority, keys) for authority in settings.authorities if authority.enabled],
        platforms=_platforms_of(settings, keys),
    )


def _authority_of(authority: AuthoritySettings, keys: UpstreamKeys) -> Authority:
    return Authority(
        iss=authority.iss,
        keys=keys.of(authority.key_holder),
        subject_prefix=authority.subject_prefix,
        ceiling_resources=authority.ceiling.resources,
        ceiling_details=authority.ceiling.authorization_details,
        ceiling_max_depth=authority.ceiling.max_depth,
    )


def _thumbprints(keys: AgentKeys) -> frozenset[str]:
    return frozenset(certificate.thumbprint for certificate in keys.certificates)


def _platforms_of(settings: Settings, keys: UpstreamKeys) -> Iterator[Platform]:
    for domain in settings.spiffe_trust_domains:
        yield _platform(domain.name, AuthMethod.SPIFFE_JWT, domain.max_lifetime_s, keys)
    for cluster in settings.kubernetes_clusters:
        yield _platform(cluster.iss, AuthMethod.KUBERNETES_JWT, cluster.max_lifetime_s, keys)


def _platform(name: str, auth: AuthMethod, max_lifetime_s: int, keys: UpstreamKeys) -> Platform:
    return Platform(name=name, auth=auth, keys=keys.of(name), max_lifetime_s=max_lifetime_s)


def _upstream_of(provider: IdentityProvider, keys: UpstreamKeys) -> UpstreamIssuer:
    return UpstreamIssuer(
        iss=provider.iss,
        keys=keys.of(provider.iss),
        audience=provider.audience,
        typ=frozenset(map(_type_of, provider.typ)),
        algorithms=frozenset(str(algorithm) for algorithm in provider.algorithms),
        client_claims=provider.client_claims,
        max_token_lifetime_s=provider.max_token_lifetime_s,
        scope_claim=provider.scope_claim,
        scope_map=dict(provider.scope_map),
        required_claims=provider.required_claims,
        id_tokens=provider.id_tokens,
        actor_tokens=provider.actor_tokens,
        id_token_scope=provider.id_token_scopes,
        subject_prefix=provider.subject_prefix,
        session_lifetime_s=provider.session_lifetime_s,
        ceiling_resources=provider.ceiling.resources,
        ceiling_details=provider.ceiling.authorization_details,
        ceiling_max_depth=provider.ceiling.max_depth,
    )


def _type_of(typ: str) -> str:
    """As it is compared: in lower case without its prefix (RFC 7515 s4.1.9), "" for none."""
    lower = typ.lower()
    return "" if lower == NO_TYP else lower.removeprefix("application/")
