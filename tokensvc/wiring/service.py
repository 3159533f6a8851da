"""The service and the application over it: built from settings, and given other settings while it runs."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette

from tokensvc.core.certificate import Certificate
from tokensvc.core.keyset import KeySet
from tokensvc.errors import ConfigurationError
from tokensvc.exchange.authenticate import ClientAuthenticator
from tokensvc.exchange.client_certificate import ClientAuthorities
from tokensvc.exchange.introspect import IntrospectionService
from tokensvc.exchange.operate import OperatorService
from tokensvc.exchange.revoke import RevocationService
from tokensvc.exchange.service import ExchangeService
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.ports import Clock, Signer, Store
from tokensvc.server.app import Configured, Current, configure, make_app
from tokensvc.server.tls import ServerTls
from tokensvc.settings import Settings, load_agent_keys, load_client_authorities, load_upstream_keys
from tokensvc.settings.reload import examine_change
from tokensvc.settings.start import require_own_keys
from tokensvc.signing.local import LocalSigner
from tokensvc.telemetry import Telemetry
from tokensvc.verify.jwks_http import RefreshedKeys
from tokensvc.wiring.certificates import certificate_methods_of, certificate_source_of, server_tls_of
from tokensvc.wiring.clock import system_clock
from tokensvc.wiring.providers import fetched_keys_of, places_of
from tokensvc.wiring.registry import registry_of, terms_of
from tokensvc.wiring.stores import open_store

__all__ = ["Service", "build_app", "require_startable"]


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
        configured, clients = self._configure(settings, self._fetched, signer.public_keys())
        self._current = Current(configured)
        self._tls = server_tls_of(settings, clients)
        self.app = make_app(
            self._current,
            store=self._store,
            signer=self._signer,
            telemetry=self._telemetry,
            max_requests=settings.server.max_requests,
        )

    @property
    def tls(self) -> ServerTls | None:
        """What encrypts its connections; None where a proxy in front does. A reload renews it."""
        return self._tls

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
            configured, clients = await asyncio.to_thread(
                self._configure, settings, fetched, self._signer.public_keys()
            )
            if self._tls is not None:
                self._tls.renew(clients)
        except ConfigurationError as exc:
            self._telemetry.configuration_refused([exc])
            return False
        await self._current.replace(configured)
        before, self._settings, self._fetched = self._settings, settings, fetched
        self._telemetry.configuration_reloaded(configuration=settings.version, before=before.version)
        return True

    def _fetched_for(self, settings: Settings) -> RefreshedKeys | None:
        """What fetches go on, with all that was fetched, while they are the same."""
        return self._fetched if places_of(settings) == places_of(self._settings) else fetched_keys_of(settings)

    def _configure(
        self, settings: Settings, fetched: RefreshedKeys | None, own: KeySet
    ) -> tuple[Configured, tuple[Certificate, ...]]:
        """What requests are answered by, and the certificates of clients and their authorities."""
        # Read once: what was judged is what is used, also where somebody writes the files at this moment.
        pinned, agent_keys = load_upstream_keys(settings), load_agent_keys(settings)
        authorities = load_client_authorities(settings)
        require_own_keys(settings, pinned, agent_keys, own)
        store, signer, clock, terms = self._store, self._signer, self._clock, terms_of(settings)
        upstream_keys = UpstreamKeys(pinned=pinned, fetched=fetched, own=signer.public_keys)
        registry = registry_of(settings, upstream_keys, agent_keys)
        configured = configure(
            exchange=ExchangeService(registry=registry, terms=terms, store=store, signer=signer, clock=clock),
            introspection=IntrospectionService(registry=registry, terms=terms, store=store, signer=signer, clock=clock),
            revocation=RevocationService(registry=registry, terms=terms, store=store, signer=signer, clock=clock),
            operation=OperatorService(terms=terms, store=store, clock=clock),
            authenticator=ClientAuthenticator(
                registry=registry, terms=terms, store=store, clock=clock, authorities=ClientAuthorities(authorities)
            ),
            registry=registry,
            terms=terms,
            telemetry=self._telemetry,
            certificates=certificate_source_of(settings),
            certificate_methods=certificate_methods_of(settings),
            while_running=fetched,
        )
        own_certificates = (certificate for keys in agent_keys.values() for certificate in keys.certificates)
        return configured, (*authorities, *own_certificates)
