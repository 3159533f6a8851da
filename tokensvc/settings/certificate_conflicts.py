"""Settings about TLS and the certificates of clients, checked against each other. One function for each rule."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

from tokensvc.core.certificate_subject import SubjectKind, parse_subject_rule
from tokensvc.settings.conflict import Conflict
from tokensvc.settings.model import Settings
from tokensvc.settings.parties import Agent, AuthMethod

__all__ = ["CERTIFICATE_RULES"]

_BOUND: Final = "tls_client_certificate_bound_access_tokens"


def _pairs(settings: Settings) -> Iterator[Conflict]:
    """Each of these means nothing without the other."""
    server = settings.server
    pairs = (
        ("tls_certificate_file", server.tls_certificate_file, "tls_key_file", server.tls_key_file),
        ("trusted_proxies", server.trusted_proxies, "client_certificate_header", server.client_certificate_header),
    )
    for one, has_one, other, has_other in pairs:
        if bool(has_one) != bool(has_other):
            missing, given = (other, one) if has_one else (one, other)
            yield Conflict(
                key=f"server.{missing}",
                problem=f"is missing, and {given} means nothing without it",
                remedy=f"Add it, or remove {given}.",
            )


def _one_source(settings: Settings) -> Iterator[Conflict]:
    """Whoever ends TLS sees the certificate. If both did, a request could bring two."""
    server = settings.server
    if server.speaks_tls and server.client_certificate_header is not None:
        yield Conflict(
            key="server.client_certificate_header",
            problem="the service speaks TLS itself: what a proxy in front saw of a client is another connection's",
            remedy="Remove tls_certificate_file and tls_key_file, or trusted_proxies and client_certificate_header.",
        )
    if server.client_ca_file is not None and not server.sees_certificates:
        yield Conflict(
            key="server.client_ca_file",
            problem="has no use: no client's certificate ever comes here",
            remedy=f"Remove it, or {_SOURCE}",
        )


def _https(settings: Settings) -> Iterator[Conflict]:
    """Clients follow the issuer's scheme."""
    if settings.server.speaks_tls and urlsplit(settings.issuer).scheme != "https":
        yield Conflict(
            key="issuer",
            problem="is an http URL, and the service speaks https itself",
            remedy="Write it with https, or remove server.tls_certificate_file and server.tls_key_file.",
        )


def _proxies(settings: Settings) -> Iterator[Conflict]:
    for network in settings.server.trusted_proxies:
        if ip_network(network).prefixlen == 0:
            yield Conflict(
                key="server.trusted_proxies",
                problem=f"{network} is everybody: anybody could claim any certificate",
                remedy="Write the addresses of the proxy alone.",
            )


def _sources(settings: Settings) -> Iterator[Conflict]:
    """What an agent's certificate is needed for works here."""
    server = settings.server
    for index, agent in enumerate(settings.agents):
        key = _needs_certificate(agent)
        if key is None:
            continue
        if not server.sees_certificates:
            yield Conflict(
                key=f"agent[{index}].{key}",
                problem="needs the client's certificate, which the service does not see",
                remedy=_SOURCE.capitalize(),
            )
        elif server.client_ca_file is None and _needs_authorities(agent, by_own_tls=server.speaks_tls):
            yield Conflict(
                key=f"agent[{index}].{key}",
                problem="needs server.client_ca_file: no authority may say whose a certificate is",
                remedy='Set server.client_ca_file, or write auth = "self_signed_tls_client_auth".',
            )


def _needs_certificate(agent: Agent) -> str | None:
    """The key for which the certificate of the connection is needed."""
    if agent.auth.by_certificate:
        return "auth"
    return _BOUND if agent.tls_client_certificate_bound_access_tokens else None


def _needs_authorities(agent: Agent, *, by_own_tls: bool) -> bool:
    # In our own handshakes only certificates pass that are known, whatever they are for.
    is_pinned = agent.auth is AuthMethod.SELF_SIGNED_TLS_CLIENT_AUTH
    return agent.auth is AuthMethod.TLS_CLIENT_AUTH or (by_own_tls and not is_pinned)


def _subjects(settings: Settings) -> Iterator[Conflict]:
    """Exactly one name for `tls_client_auth` (RFC 8705 s2.1.2), and a name of one agent alone."""
    seen = set()
    for index, agent in enumerate(settings.agents):
        rules = agent.subject_rules
        if agent.auth is not AuthMethod.TLS_CLIENT_AUTH:
            for kind, _ in rules:
                problem = f"has no use: auth is {agent.auth}"
                remedy = 'Remove it, or write auth = "tls_client_auth".'
                yield Conflict(key=f"agent[{index}].{kind}", problem=problem, remedy=remedy)
            continue
        if len(rules) != 1:
            yield Conflict(
                key=f"agent[{index}].auth",
                problem=f"{agent.auth} needs exactly one name of the certificate, and there are {len(rules)}",
                remedy=f"Write one of {', '.join(SubjectKind)}.",
            )
        for kind, text in rules:
            rule = parse_subject_rule(kind, text)
            if rule in seen:
                yield Conflict(
                    key=f"agent[{index}].{kind}",
                    problem="names the certificate of another agent",
                    remedy="Give every agent a certificate of its own, with a name of its own.",
                )
            seen.add(rule)


def _one_binding(settings: Settings) -> Iterator[Conflict]:
    """A token is bound to one key."""
    for index, agent in enumerate(settings.agents):
        if agent.tls_client_certificate_bound_access_tokens and agent.holder_jwks_file is not None:
            yield Conflict(
                key=f"agent[{index}].{_BOUND}",
                problem="the tokens of this agent are bound to the keys of its holder_jwks_file already",
                remedy="Remove one of the two.",
            )


_SOURCE: Final = (
    "set server.tls_certificate_file and server.tls_key_file, or server.trusted_proxies and "
    "server.client_certificate_header."
)

CERTIFICATE_RULES: Final[tuple[Callable[[Settings], Iterator[Conflict]], ...]] = (
    _pairs,
    _one_source,
    _https,
    _proxies,
    _sources,
    _subjects,
    _one_binding,
)
