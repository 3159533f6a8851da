"""Client authentication (RFC 6749 s2.3, RFC 7521 s4.2, RFC 8705 s2). The one source of a client's identity.

Whatever is wrong before a client has proven who it is, the answer is the same `invalid_client`: an unknown client, a
wrong secret or key, the wrong method and a disabled agent are not told apart.
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from tokensvc.core.certificate import Certificate
from tokensvc.errors import Malformed, OAuthError, OAuthRefused
from tokensvc.exchange.assertion import CLIENT_ASSERTION, Assertion, open_assertion, require_assertion
from tokensvc.exchange.client_certificate import ClientAuthorities
from tokensvc.exchange.parties import Agent, AuthMethod, Party, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.subject import subject_of
from tokensvc.exchange.workload import open_workload_token, platform_of, require_workload_token
from tokensvc.ports import Clock, Committed, IssuanceStore

__all__ = ["ClientAssertion", "ClientAuthenticator", "ClientSecret", "Credentials", "TlsCertificate"]

# No secret has this digest of nothing but zeros; it costs an unknown client what a known one costs.
_NO_DIGEST: Final = ("0" * 64,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """What a client presented. `readings` are (client_id, secret) pairs.

    There is more than one where clients disagree on encoding: RFC 6749 s2.3.1 form-encodes both parts of Basic,
    and many clients do not.
    """

    method: AuthMethod
    readings: tuple[tuple[str, str], ...] = field(repr=False)
    body_client_id: str | None

    @property
    def claimed_id(self) -> str | None:
        """Who the client says it is."""
        return self.readings[0][0] if self.readings else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAssertion:
    """A JWT that a client presented (RFC 7523 s2.2). `is_svid`: it said that it is a JWT-SVID."""

    assertion: str = field(repr=False)
    body_client_id: str | None
    is_svid: bool = False

    @property
    def claimed_id(self) -> str | None:
        """Who the client says it is."""
        return subject_of(self.assertion)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCertificate:
    """A certificate whose key the client proved in the handshake, and `client_id`, which says whose it is to be."""

    client_id: str
    certificate: Certificate

    @property
    def claimed_id(self) -> str | None:
        """Who the client says it is."""
        return self.client_id


Credentials = ClientSecret | ClientAssertion | TlsCertificate


class ClientAuthenticator:
    """Tells who sent a request, at every endpoint alike. An agent's own assertion is used up by that."""

    __slots__ = ("_authorities", "_clock", "_registry", "_store", "_terms")

    def __init__(
        self,
        *,
        registry: Registry,
        terms: Terms,
        store: IssuanceStore,
        clock: Clock,
        authorities: ClientAuthorities | None = None,
    ) -> None:
        """`authorities` may say whose a certificate is; without them none may."""
        self._authorities = ClientAuthorities() if authorities is None else authorities
        self._registry = registry
        self._terms = terms
        self._store = store
        self._clock = clock

    async def authenticate(self, credentials: Credentials | None) -> Party:
        """The agent or resource that `credentials` prove.

        Raises: OAuthRefused (`invalid_client`); Unavailable when the store cannot tell whether an assertion was used,
        or the keys of the client's platform cannot be had.
        """
        match credentials:
            case ClientSecret():
                party = _party_with_secret(credentials, self._registry)
            case ClientAssertion():
                party = await self._agent_with_jwt(credentials)
            case TlsCertificate():
                party = self._agent_with_certificate(credentials)
            case None:
                party = None
        if party is None:
            raise _invalid_client("client authentication failed")
        return party

    async def _agent_with_jwt(self, credentials: ClientAssertion) -> Agent | None:
        """Its own word, where it is registered with a key under the name in it; else that of a platform."""
        party = self._registry.party(credentials.claimed_id or "")
        if party is not None and party.auth is AuthMethod.PRIVATE_KEY_JWT and not credentials.is_svid:
            return await self._agent_with_assertion(credentials)
        return await self._agent_of_platform(credentials)

    async def _agent_of_platform(self, credentials: ClientAssertion) -> Agent | None:
        platform = platform_of(credentials.assertion, self._registry)
        if platform is None or (credentials.is_svid and platform.auth is not AuthMethod.SPIFFE_JWT):
            return None
        try:
            # Before anybody looks who is registered: where the keys cannot be had, nobody is told apart by that.
            payload = await open_workload_token(credentials.assertion, platform)
        except Malformed:
            return None
        agent = self._registry.agent_of_workload(platform, payload.get("sub"))
        if agent is None or credentials.body_client_id not in {None, agent.id}:
            return None
        try:
            require_workload_token(payload, platform, terms=self._terms, now=self._clock())
        except Malformed as exc:
            raise _invalid_client(exc.description) from exc
        return agent

    def _agent_with_certificate(self, credentials: TlsCertificate) -> Agent | None:
        agent, certificate, now = (
            self._registry.enabled_agent(credentials.client_id),
            credentials.certificate,
            self._clock(),
        )
        if agent is None:
            return None
        match agent.auth:
            case AuthMethod.SELF_SIGNED_TLS_CLIENT_AUTH:
                is_its = certificate.thumbprint in agent.certificate_thumbprints and certificate.is_valid_at(now)
            case AuthMethod.TLS_CLIENT_AUTH:
                subject = agent.certificate_subject
                is_its = subject is not None and subject.fits(certificate.content)
                is_its = is_its and self._authorities.vouch_for(certificate, now=now)
            case _:
                is_its = False
        return agent if is_its else None

    async def _agent_with_assertion(self, credentials: ClientAssertion) -> Agent | None:
        agent = self._registry.enabled_agent(credentials.claimed_id or "")
        if agent is None or agent.auth is not AuthMethod.PRIVATE_KEY_JWT:
            return None
        if credentials.body_client_id not in {None, agent.id}:
            return None
        now = self._clock()
        assertion = _judge(credentials.assertion, agent, self._terms, now)
        if assertion is None:
            return None
        if await self._store.claim((assertion.once,), now=now) is Committed.REPLAYED:
            raise _invalid_client("the client_assertion was used before; make one for each request")
        return agent


def _judge(text: str, agent: Agent, terms: Terms, now: int) -> Assertion | None:
    """The assertion; None where the agent did not sign it. Whoever holds its key is told what else is wrong."""
    try:
        payload = open_assertion(text, CLIENT_ASSERTION, agent.keys)
    except Malformed:
        return None
    audiences = {terms.issuer, terms.token_endpoint} if agent.accept_token_endpoint_audience else {terms.issuer}
    try:
        return require_assertion(
            payload,
            CLIENT_ASSERTION,
            iss=agent.id,
            sub=agent.id,
            audiences=frozenset(audiences),
            max_lifetime_s=agent.max_assertion_lifetime_s,
            leeway_s=terms.leeway_s,
            now=now,
        )
    except Malformed as exc:
        raise _invalid_client(exc.description) from exc


def _party_with_secret(credentials: ClientSecret, registry: Registry) -> Party | None:
    proven: Party | None = None
    # Every reading is tried to the end, so that the time tells nothing about which one was right.
    for client_id, secret in credentials.readings:
        party = registry.party(client_id)
        if _is_secret_of(party, secret) and _is_usable(party, credentials):
            proven = party
    return proven


def _is_secret_of(party: Party | None, secret: str) -> bool:
    digest = sha256(secret.encode("utf-8")).hexdigest()
    matches = [hmac.compare_digest(digest, known) for known in (party.secret_sha256 if party else _NO_DIGEST)]
    return party is not None and any(matches)


def _is_usable(party: Party | None, credentials: ClientSecret) -> bool:
    if party is None or party.auth is not credentials.method:
        return False
    if isinstance(party, Agent) and not party.enabled:
        return False
    return credentials.body_client_id in {None, party.client_id}


def _invalid_client(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_CLIENT, None, description)
