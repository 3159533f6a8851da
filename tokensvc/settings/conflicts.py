"""Settings checked against each other: what each value alone cannot show. One function for each rule.

The rules about everybody whose keys are registered are in `publisher_conflicts`, those about identity providers in
`provider_conflicts`, about authorities in `authority_conflicts`, about certificates in `certificate_conflicts`, about
the workloads that agents are in `workloads`.

Two rules cannot be settled here. With an empty `subject_prefix` any agent id could be a user's, so the exchange refuses
a user who bears the id of an agent. And what needs more than the settings (where `serve` was told to listen, the
service's own keys) is in `start`.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tokensvc.core.scope import ScopeGrammar, require_grammar, usable_scope
from tokensvc.errors import Malformed
from tokensvc.settings.authority_conflicts import AUTHORITY_RULES
from tokensvc.settings.certificate_conflicts import CERTIFICATE_RULES
from tokensvc.settings.conflict import Conflict, nearest, repeats
from tokensvc.settings.model import Settings
from tokensvc.settings.parties import Agent, AuthMethod, Operator, Resource
from tokensvc.settings.provider_conflicts import PROVIDER_RULES
from tokensvc.settings.publisher_conflicts import PUBLISHER_RULES
from tokensvc.settings.workloads import WORKLOAD_RULES

__all__ = ["Conflict", "find_conflicts"]


def find_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every conflict, rule by rule."""
    others = (*PUBLISHER_RULES, *PROVIDER_RULES, *AUTHORITY_RULES, *CERTIFICATE_RULES, *WORKLOAD_RULES)
    for rule in (*_RULES, *others):
        yield from rule(settings)


def _own_issuer(settings: Settings) -> Iterator[Conflict]:
    """The token service itself is no resource."""
    for index, resource in enumerate(settings.resources):
        if resource.id == settings.issuer:
            yield Conflict(
                key=f"resource[{index}].id",
                problem="is the token service's own issuer",
                remedy="Register the API that tokens are for; the token service is not one.",
            )


def _store_password(settings: Settings) -> Iterator[Conflict]:
    """The password of a Redis server has one place; other stores have none."""
    if settings.store.password_file is None:
        return
    redis_url = settings.store.redis_url
    if redis_url is None or redis_url.password is not None:
        yield Conflict(
            key="store.password_file",
            problem="store.url has a password as well" if redis_url else "is for a Redis store only",
            remedy="Leave the password out of store.url." if redis_url else "Remove it.",
        )


def _parties_unique(settings: Settings) -> Iterator[Conflict]:
    """Agents, resource servers and operators share one namespace of client ids."""
    clients = [(f"agent[{index}].id", agent.id) for index, agent in enumerate(settings.agents)]
    clients += [
        (f"resource[{index}].client_id", resource.client_id) for index, resource in enumerate(settings.resources)
    ]
    clients += [(f"operator[{index}].id", operator.id) for index, operator in enumerate(settings.operators)]
    yield from repeats(
        clients,
        "{value} is also the id of another client",
        "Give every agent, resource server and operator its own id.",
    )
    resources = [(f"resource[{index}].id", resource.id) for index, resource in enumerate(settings.resources)]
    yield from repeats(resources, "{value} is registered twice", "Merge the two [[resource]] tables.")
    names = [
        (f"resource[{index}].names", name)
        for index, resource in enumerate(settings.resources)
        for name in sorted(resource.names)
    ]
    yield from repeats(names, "{value} is also the name of another resource", "A name may stand at one resource only.")


def _secrets_unique(settings: Settings) -> Iterator[Conflict]:
    """Two parties with one secret could act as each other."""
    tables: dict[str, tuple[Agent | Resource | Operator, ...]] = {
        "agent": settings.agents,
        "resource": settings.resources,
        "operator": settings.operators,
    }
    hashes = [
        (f"{table}[{index}].secret_sha256", digest)
        for table, parties in tables.items()
        for index, party in enumerate(parties)
        for digest in party.secret_sha256
    ]
    yield from repeats(hashes, "holds the secret of another client", "Generate a secret for each.")


def _credentials(settings: Settings) -> Iterator[Conflict]:
    """What proves a client fits its `auth`, and nothing else lies about."""
    for index, agent in enumerate(settings.agents):
        wanted = _WANTED.get(agent.auth, "secret_sha256")
        for name, what in _CREDENTIALS.items():
            if name == wanted and not getattr(agent, name):
                remedy = f"Add {name}: {what}."
                yield Conflict(key=f"agent[{index}].{name}", problem=f"is missing: auth is {agent.auth}", remedy=remedy)
            if name != wanted and getattr(agent, name):
                remedy = f"Remove it, or change auth: {name} is {what}."
                yield Conflict(key=f"agent[{index}].{name}", problem=f"has no use: auth is {agent.auth}", remedy=remedy)
    others: dict[str, tuple[Resource | Operator, ...]] = {
        "resource": settings.resources,
        "operator": settings.operators,
    }
    for table, parties in others.items():
        for index, party in enumerate(parties):
            if party.auth in _WANTED:
                yield Conflict(
                    key=f"{table}[{index}].auth",
                    problem="only agents prove themselves by a key or a certificate",
                    remedy="Write client_secret_basic or client_secret_post.",
                )


def _scope_grammar(settings: Settings) -> Iterator[Conflict]:
    """A `*` means what the grammar says: written as a letter, it is everything to a verifier that reads segments."""
    places = [(f"agent[{index}].scopes", agent.scopes) for index, agent in enumerate(settings.agents)]
    places += [(f"resource[{index}].scopes", resource.scopes) for index, resource in enumerate(settings.resources)]
    for key, scopes in places:
        for scope in sorted(scope for scope in scopes if "*" in scope):
            if settings.scope_grammar is ScopeGrammar.EXACT:
                problem = f"{scope} has a wildcard, and scopes are compared as whole names"
                yield Conflict(
                    key=key,
                    problem=problem,
                    remedy='Register each scope by its name, or set scope_grammar = "segments".',
                )
            elif not _is_in_grammar(scope, settings.scope_grammar):
                problem = f"{scope} has a wildcard that is not its last segment"
                yield Conflict(key=key, problem=problem, remedy="Write it like crm.* or crm:*.")


def _registered_scopes(settings: Settings) -> Iterator[Conflict]:
    """Each scope has meaning somewhere. A wildcard is registered itself; a name may also be below a registered one."""
    known = frozenset[str]().union(*(resource.scopes for resource in settings.resources))
    for index, agent in enumerate(settings.agents):
        for scope in sorted(agent.scopes - usable_scope(known, agent.scopes, settings.scope_grammar)):
            yield Conflict(
                key=f"agent[{index}].scopes",
                problem=f"{scope} is registered at no resource",
                remedy=nearest(scope, known, "Add it to the scopes of a [[resource]]."),
            )


def _registered_resources(settings: Settings) -> Iterator[Conflict]:
    known = frozenset(resource.id for resource in settings.resources)
    places = [
        (f"identity_provider[{index}].ceiling.resources", provider.ceiling.resources)
        for index, provider in enumerate(settings.identity_providers)
    ]
    places += [
        (f"authority[{index}].ceiling.resources", authority.ceiling.resources)
        for index, authority in enumerate(settings.authorities)
    ]
    for index, agent in enumerate(settings.agents):
        places += [(f"agent[{index}].resources", agent.resources), (f"agent[{index}].serves", agent.serves)]
    for key, resources in places:
        for resource in sorted(resources - known):
            yield Conflict(
                key=key,
                problem=f"{resource} is not registered",
                remedy=nearest(resource, known, "Add a [[resource]] with this id."),
            )


def _default_resources(settings: Settings) -> Iterator[Conflict]:
    for index, agent in enumerate(settings.agents):
        if agent.default_resource is not None and agent.default_resource not in agent.resources:
            yield Conflict(
                key=f"agent[{index}].default_resource",
                problem="is not among the agent's resources",
                remedy=nearest(agent.default_resource, agent.resources, f"Add it to agent[{index}].resources."),
            )


def _servers(settings: Settings) -> Iterator[Conflict]:
    """A server goes on at resources that it may use at all, and has something to go on from."""
    for index, agent in enumerate(settings.agents):
        for resource in sorted(agent.downstream_resources - agent.resources):
            yield Conflict(
                key=f"agent[{index}].downstream_resources",
                problem=f"{resource} is not among the agent's resources",
                remedy=nearest(resource, agent.resources, f"Add it to agent[{index}].resources."),
            )
        for name, other in (("serves", "downstream_resources"), ("downstream_resources", "serves")):
            if getattr(agent, name) and not getattr(agent, other):
                yield Conflict(
                    key=f"agent[{index}].{name}",
                    problem=f"means nothing without {other}",
                    remedy=f"Say in agent[{index}].{other} "
                    + (
                        "where it goes on, or remove it."
                        if name == "serves"
                        else "what it is the server of, or remove it."
                    ),
                )


def _delegatees(settings: Settings) -> Iterator[Conflict]:
    known = frozenset(agent.id for agent in settings.agents)
    for index, agent in enumerate(settings.agents):
        for delegatee in sorted(agent.may_delegate_to - (known - {agent.id})):
            if delegatee == agent.id:
                problem, remedy = "names the agent itself", "Remove it: an agent may always narrow its own token."
            else:
                problem = f"{delegatee} is no registered agent"
                remedy = nearest(delegatee, known - {agent.id}, "Add an [[agent]] with this id, or remove it.")
            yield Conflict(key=f"agent[{index}].may_delegate_to", problem=problem, remedy=remedy)


def _fronts(settings: Settings) -> Iterator[Conflict]:
    """A front belongs to one agent, or a forwarded login token would let an agent leave the chain."""
    ids = frozenset(agent.id for agent in settings.agents)
    fronts = [
        (f"agent[{index}].fronts", front)
        for index, agent in enumerate(settings.agents)
        for front in sorted(agent.fronts)
    ]
    yield from repeats(fronts, "{value} is also the front of another agent", "A front may stand at one agent only.")
    for index, agent in enumerate(settings.agents):
        for front in sorted(agent.fronts & (ids - {agent.id})):
            yield Conflict(
                key=f"agent[{index}].fronts",
                problem=f"{front} is the id of another agent",
                remedy="Remove it: a user's token obtained by an agent starts that agent's delegations only.",
            )


_RULES: Final[tuple[Callable[[Settings], Iterator[Conflict]], ...]] = (
    _own_issuer,
    _store_password,
    _parties_unique,
    _secrets_unique,
    _credentials,
    _scope_grammar,
    _registered_scopes,
    _registered_resources,
    _default_resources,
    _servers,
    _delegatees,
    _fronts,
)


_CREDENTIALS: Final = {
    "jwks_file": "the agent's public keys as a JWK set, for private_key_jwt",
    "secret_sha256": "the hashes of its secrets, for client_secret_basic and client_secret_post",
    "spiffe_id": "the agent's SPIFFE ID, for spiffe_jwt",
    "service_account": "the agent's Kubernetes service account, for kubernetes_jwt",
    "certificate_file": "the agent's own certificate, for self_signed_tls_client_auth",
}
# Of a method that is not here, the hashes. What tls_client_auth needs, `certificate_conflicts` knows.
_WANTED: Final = {
    AuthMethod.PRIVATE_KEY_JWT: "jwks_file",
    AuthMethod.SELF_SIGNED_TLS_CLIENT_AUTH: "certificate_file",
    AuthMethod.SPIFFE_JWT: "spiffe_id",
    AuthMethod.KUBERNETES_JWT: "service_account",
    AuthMethod.TLS_CLIENT_AUTH: "",
}


def _is_in_grammar(scope: str, grammar: ScopeGrammar) -> bool:
    try:
        require_grammar(frozenset({scope}), grammar)
    except Malformed:
        return False
    return True
