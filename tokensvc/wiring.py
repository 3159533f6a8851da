"""The composition root: settings in, a token service out. The only place where concrete classes meet.

app = build_app(load_settings(Path("tokensvc.toml"), os.environ))
uvicorn.Server(uvicorn_config(app)).run(sockets=[bind("127.0.0.1", 8700)])
"""

import time
from pathlib import Path

from starlette.applications import Starlette

from tokensvc.core.authority import Order
from tokensvc.core.keyset import KeySet
from tokensvc.exchange.authenticate import ClientAuthenticator
from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.exchange.operate import OperatorService
from tokensvc.exchange.parties import Agent, Operator, Registry, Resource, Terms, UpstreamIssuer
from tokensvc.exchange.revoke import RevocationService
from tokensvc.exchange.service import ExchangeService
from tokensvc.ports import Clock, Signer, Store
from tokensvc.server.app import make_app
from tokensvc.server.listen import bind, uvicorn_config
from tokensvc.settings import IdentityProvider, Settings, load_agent_keys, load_upstream_keys
from tokensvc.settings.redis_url import RedisUrl
from tokensvc.settings.start import load_store_password, require_own_keys
from tokensvc.signing.local import LocalSigner
from tokensvc.storage.loss import LossRule, StoreEvents
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.redis import RedisAddress, RedisStore
from tokensvc.storage.sqlite import SqliteStore
from tokensvc.telemetry import Telemetry

__all__ = ["bind", "build_app", "open_store", "registry_of", "system_clock", "terms_of", "uvicorn_config"]


def system_clock() -> int:
    """The time of the system in whole epoch seconds."""
    return int(time.time())


def build_app(
    settings: Settings,
    *,
    clock: Clock = system_clock,
    store: Store | None = None,
    signer: Signer | None = None,
    telemetry: Telemetry | None = None,
) -> Starlette:
    """The token service as an ASGI application. Its lifespan opens the store and closes it.

    What is not given comes from `settings`. Raises: ConfigurationError, also for what only shows when both sides are at
    hand: a key of ours that an identity provider has as well.
    """
    registry, terms = registry_of(settings), terms_of(settings)
    telemetry = Telemetry() if telemetry is None else telemetry
    store = open_store(settings, telemetry, clock=clock) if store is None else store
    signer = LocalSigner(settings.keys.dir, settings.keys.algorithm) if signer is None else signer
    require_own_keys(
        settings,
        {issuer.iss: issuer.keys for issuer in registry.issuers.values()},
        {agent.id: agent.keys for agent in registry.agents.values()},
        signer.public_keys(),
    )
    return make_app(
        exchange=ExchangeService(registry=registry, terms=terms, store=store, signer=signer, clock=clock),
        introspection=IntrospectionService(registry=registry, terms=terms, store=store, signer=signer, clock=clock),
        revocation=RevocationService(terms=terms, store=store, signer=signer, clock=clock),
        operation=OperatorService(terms=terms, store=store, clock=clock),
        authenticator=ClientAuthenticator(registry=registry, terms=terms, store=store, clock=clock),
        registry=registry,
        terms=terms,
        store=store,
        signer=signer,
        telemetry=telemetry,
    )


def open_store(settings: Settings, events: StoreEvents, *, clock: Clock = system_clock, may_make: bool = True) -> Store:
    """The store that `store.url` names. It answers once it is opened (`Store.open`), which the application does.

    Without `may_make`, opening it refuses to make one where there is none.

    Raises: ConfigurationError when the file with its password cannot be read.
    """
    rule = LossRule(
        issuer=settings.issuer,
        upstream=tuple(provider.iss for provider in settings.identity_providers),
        leeway_s=settings.limits.leeway_s,
        clock=clock,
    )
    if (path := settings.store.sqlite_path) is not None:
        return SqliteStore(path, rule, events=events, may_make=may_make)
    if (url := settings.store.redis_url) is not None:
        address = _address_of(url, settings.store.password_file)
        return RedisStore(address, rule, events=events, may_make=may_make)
    return MemoryStore(rule)


def _address_of(url: RedisUrl, password_file: Path | None) -> RedisAddress:
    return RedisAddress(
        host=url.host,
        port=url.port,
        db=url.db,
        username=url.username,
        password=url.password if password_file is None else load_store_password(password_file),
        tls=url.tls,
    )


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
    )


def registry_of(settings: Settings) -> Registry:
    """Everybody who is registered. Raises: ConfigurationError when the keys of one of them cannot be read."""
    keys, agent_keys = load_upstream_keys(settings), load_agent_keys(settings)
    return Registry(
        agents=[
            Agent(
                id=agent.id,
                auth=agent.auth,
                secret_sha256=agent.secret_sha256,
                keys=agent_keys.get(agent.id, KeySet([])),
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
                enabled=agent.enabled,
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
            )
            for resource in settings.resources
        ],
        operators=[
            Operator(client_id=operator.id, auth=operator.auth, secret_sha256=operator.secret_sha256)
            for operator in settings.operators
        ],
        issuers=[_upstream_of(provider, keys[provider.iss]) for provider in settings.identity_providers],
    )


def _upstream_of(provider: IdentityProvider, keys: KeySet) -> UpstreamIssuer:
    return UpstreamIssuer(
        iss=provider.iss,
        keys=keys,
        audience=provider.audience,
        # A type is compared in lower case without its prefix (RFC 7515 s4.1.9).
        typ=frozenset(typ.lower().removeprefix("application/") for typ in provider.typ),
        algorithms=frozenset(str(algorithm) for algorithm in provider.algorithms),
        subject_prefix=provider.subject_prefix,
        session_lifetime_s=provider.session_lifetime_s,
        ceiling_resources=provider.ceiling.resources,
        ceiling_details=provider.ceiling.authorization_details,
        ceiling_max_depth=provider.ceiling.max_depth,
    )
