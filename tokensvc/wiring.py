"""The composition root: settings in, a token service out. The only place where concrete classes meet.

app = build_app(load_settings(Path("tokensvc.toml"), os.environ))
uvicorn.Server(uvicorn_config(app)).run(sockets=[bind("127.0.0.1", 8700)])
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from starlette.applications import Starlette

from tokensvc.core.authority import Order
from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import ConfigurationError
from tokensvc.exchange.authenticate import ClientAuthenticator
from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.exchange.operate import OperatorService
from tokensvc.exchange.parties import Agent, Operator, Registry, Resource, Terms, UpstreamIssuer
from tokensvc.exchange.revoke import RevocationService
from tokensvc.exchange.service import ExchangeService
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.ports import Clock, Signer, Store
from tokensvc.server.app import Configured, Current, configure, make_app
from tokensvc.server.listen import bind, uvicorn_config
from tokensvc.settings import NO_TYP, IdentityProvider, Settings, load_agent_keys, load_upstream_keys
from tokensvc.settings.redis_url import RedisUrl
from tokensvc.settings.reload import examine_change
from tokensvc.settings.start import load_store_password, require_own_keys
from tokensvc.signing.local import LocalSigner
from tokensvc.storage.loss import LossRule, StoreEvents
from tokensvc.storage.memory import MemoryStore
from tokensvc.storage.redis import RedisAddress, RedisStore
from tokensvc.storage.sqlite import SqliteStore
from tokensvc.telemetry import Telemetry
from tokensvc.verify.jwks_http import Door, RefreshedKeys, discover, fetch_from, open_door
from tokensvc.verify.jwks_refresh import Fetch, seconds_since_boot

__all__ = [
    "Service",
    "bind",
    "build_app",
    "fetched_keys_of",
    "open_store",
    "registry_of",
    "require_startable",
    "system_clock",
    "terms_of",
    "upstream_keys_of",
    "uvicorn_config",
]

# An identity provider that is slow must not hold up its own users for longer than they wait for a page.
_FETCH_TIMEOUT_S: Final = 5.0
# Whoever sends unknown key ids can cause so many fetches and no more; a new key is taken up as fast as this.
_FETCH_COOLDOWN_S: Final = 30.0
# A key that was withdrawn may go on for so long when the provider says that its answers may be kept for a day.
_MAX_FRESH_S: Final = 900.0
# While an identity provider is down, its users may go on for so long.
_MAX_STALE_S: Final = 3600.0


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
    fetched_keys: RefreshedKeys | None = None,
) -> Starlette:
    """The token service as an ASGI application. Its lifespan opens the store and closes it, and keeps keys fresh.

    What is not given comes from `settings`. Raises: ConfigurationError, also for what only shows when both sides are at
    hand: a key of ours that an identity provider has as well.
    """
    service = Service(settings, clock=clock, store=store, signer=signer, telemetry=telemetry, fetched_keys=fetched_keys)
    return service.app


def require_startable(settings: Settings) -> None:
    """Raises: ConfigurationError, for what would keep the application from being built; nothing is opened."""
    build_app(settings)


class Service:
    """A token service: its application, and the way to give it another configuration while it runs."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = system_clock,
        store: Store | None = None,
        signer: Signer | None = None,
        telemetry: Telemetry | None = None,
        fetched_keys: RefreshedKeys | None = None,
    ) -> None:
        """See `build_app`. Raises: ConfigurationError."""
        self._clock = clock
        self._telemetry = Telemetry() if telemetry is None else telemetry
        self._store = open_store(settings, self._telemetry, clock=clock) if store is None else store
        if signer is None:
            signer = LocalSigner(settings.keys.dir, settings.keys.algorithm, clock=clock, telemetry=self._telemetry)
        self._signer = signer
        self._settings = settings
        self._fetched = fetched_keys_of(settings) if fetched_keys is None else fetched_keys
        self._current = Current(self._configure(settings, self._fetched, signer.public_keys()))
        self.app = make_app(
            self._current,
            store=self._store,
            signer=self._signer,
            telemetry=self._telemetry,
            max_requests=settings.server.max_requests,
        )

    async def reload(self, path: Path, environ: Mapping[str, str]) -> bool:
        """Take over what the configuration file says now, for the next request on; True when that was done.

        With any problem (each is logged) everything stays as it is. What cannot change while it runs is one. One call
        at a time, while the application runs.
        """
        # In threads: a large file takes longer than requests may wait.
        settings = await asyncio.to_thread(examine_change, self._settings, path, environ)
        if not isinstance(settings, Settings):
            self._telemetry.configuration_refused(settings)
            return False
        try:
            fetched = await asyncio.to_thread(self._fetched_for, settings)
            configured = await asyncio.to_thread(self._configure, settings, fetched, self._signer.public_keys())
        except ConfigurationError as exc:
            self._telemetry.configuration_refused([exc])
            return False
        await self._current.replace(configured)
        before, self._settings, self._fetched = self._settings, settings, fetched
        self._telemetry.configuration_reloaded(configuration=settings.version, before=before.version)
        return True

    def _fetched_for(self, settings: Settings) -> RefreshedKeys | None:
        """What fetches go on, with all that was fetched, while they are the same."""
        return self._fetched if _places_of(settings) == _places_of(self._settings) else fetched_keys_of(settings)

    def _configure(self, settings: Settings, fetched: RefreshedKeys | None, own: KeySet) -> Configured:
        require_own_keys(settings, load_upstream_keys(settings), load_agent_keys(settings), own)
        store, signer, clock, terms = self._store, self._signer, self._clock, terms_of(settings)
        registry = registry_of(settings, upstream_keys_of(settings, fetched=fetched, own=signer.public_keys))
        return configure(
            exchange=ExchangeService(registry=registry, terms=terms, store=store, signer=signer, clock=clock),
            introspection=IntrospectionService(registry=registry, terms=terms, store=store, signer=signer, clock=clock),
            revocation=RevocationService(terms=terms, store=store, signer=signer, clock=clock),
            operation=OperatorService(terms=terms, store=store, clock=clock),
            authenticator=ClientAuthenticator(registry=registry, terms=terms, store=store, clock=clock),
            registry=registry,
            terms=terms,
            telemetry=self._telemetry,
            while_running=fetched,
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


def fetched_keys_of(
    settings: Settings,
    *,
    clock: Callable[[], float] = seconds_since_boot,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> RefreshedKeys | None:
    """What fetches the keys of the identity providers that are enabled; None where all keys are in files.

    Nothing is fetched before it is entered. Providers that are down keep nobody from starting. `clock` and `sleep` are
    for tests.
    """
    providers = _fetched_providers(settings)
    if not providers:
        return None
    # One for all: to load the certificate authorities takes longer than most requests.
    door = open_door(timeout_s=_FETCH_TIMEOUT_S)
    fetches = {provider.iss: _fetch_of(provider, replace(door, reach=provider.reach)) for provider in providers}
    return RefreshedKeys(
        fetches,
        timeout_s=_FETCH_TIMEOUT_S,
        cooldown_s=_FETCH_COOLDOWN_S,
        max_fresh_s=_MAX_FRESH_S,
        max_stale_s=_MAX_STALE_S,
        clock=clock,
        sleep=sleep,
    )


def _fetched_providers(settings: Settings) -> list[IdentityProvider]:
    return [provider for provider in settings.identity_providers if provider.enabled and provider.keys_url]


def _places_of(settings: Settings) -> list[tuple[object, ...]]:
    """Whose keys are fetched, and from where."""
    return [(provider.iss, provider.jwks_url, provider.reach) for provider in _fetched_providers(settings)]


def _fetch_of(provider: IdentityProvider, door: Door) -> Fetch:
    return fetch_from(provider.jwks_url, door) if provider.jwks_url else discover(provider.iss, door)


def upstream_keys_of(
    settings: Settings, *, fetched: RefreshedKeys | None, own: Callable[[], Iterable[PublicKey]]
) -> UpstreamKeys:
    """The keys of the identity providers, those in files read now. A key of `own` or of an agent is none of them.

    `fetched` may be older, and go on, while the same providers publish their keys at the same places.
    Raises: ConfigurationError when a file cannot be read.
    """
    return UpstreamKeys(
        pinned=load_upstream_keys(settings),
        fetched=fetched,
        order=[provider.iss for provider in settings.identity_providers],
        own=own,
        agents=[key for keys in load_agent_keys(settings).values() for key in keys],
    )


def registry_of(settings: Settings, keys: UpstreamKeys) -> Registry:
    """Everybody who is registered; an identity provider that is disabled is not.

    Raises: ConfigurationError when the keys of an agent cannot be read.
    """
    agent_keys = load_agent_keys(settings)
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
                upstream_client_ids=dict(agent.upstream_client_ids),
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
        issuers=[_upstream_of(provider, keys) for provider in settings.identity_providers if provider.enabled],
    )


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
