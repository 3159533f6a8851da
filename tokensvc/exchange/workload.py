"""The token by which a platform says which workload it runs: a SPIFFE JWT-SVID, a Kubernetes service account token.

The platform makes it for this service, keeps it, and hands it out again and again while it lives. So it is not used up,
not by a `jti` either, which both kinds may carry: the second request of an agent would be refused. Whoever copies one
has the agent's name until it ends. What limits that: it is for this service alone, and lives for `max_lifetime_s`.

                JWT-SVID                               service account token
    platform    the trust domain of `sub`              the cluster whose issuer is `iss`
    typ         JWT, JOSE, or none                     JWT, or none
    times       exp; iat and nbf where they are        exp, iat, nbf
    besides                                            `kubernetes.io` says what `sub` does
"""

from collections.abc import Mapping
from typing import Final

from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.jws import split_compact, verify_signature
from tokensvc.core.keyset import find_algorithm
from tokensvc.core.members import parse_integer, parse_text
from tokensvc.core.spiffe import parse_spiffe_id
from tokensvc.errors import Malformed
from tokensvc.exchange.assertion import require_current
from tokensvc.exchange.jwt_header import parse_header, parse_typ
from tokensvc.exchange.parties import Agent, AuthMethod, Platform, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.subject import issuer_of, subject_of

__all__ = ["claimed_agent", "open_workload_token", "platform_of", "require_workload_token"]

# A kubelet's token with RS256 and all that it says of the pod takes 1.5 KB.
_MAX_BYTES: Final = 8_192
_NAMES: Final = {AuthMethod.SPIFFE_JWT: "JWT-SVID", AuthMethod.KUBERNETES_JWT: "service account token"}
# JWT-SVID s2.3. Kubernetes writes no `typ`.
_TYP: Final = {AuthMethod.SPIFFE_JWT: frozenset({"", "jwt", "jose"}), AuthMethod.KUBERNETES_JWT: frozenset({"", "jwt"})}
# What access tokens and delegations have. A token that is bound to a key (`cnf`) is nobody's word without that key.
_REFUSED: Final = frozenset({"act", "azp", "client_id", "cnf", "grant_chain", "may_act", "scope"})
_KUBERNETES: Final = "kubernetes.io"


def platform_of(text: str, registry: Registry) -> Platform | None:
    """The platform that an unverified token would have to be of: a hint whose keys to look for, nothing more."""
    try:
        name = parse_spiffe_id(subject_of(text) or "").platform
    except Malformed:
        name = issuer_of(text) or ""
    return registry.platforms.get(name)


def claimed_agent(text: str, registry: Registry) -> Agent | None:
    """The agent whose workload an unverified token names, for the log."""
    platform = platform_of(text, registry)
    return None if platform is None else registry.agent_of_workload(platform, subject_of(text))


async def open_workload_token(text: str, platform: Platform) -> Mapping[str, JsonValue]:
    """The claims of `text`, which `platform` signed. Waits for nothing but its keys.

    Raises: Malformed, not for a stranger to see; Unavailable when the keys cannot be had.
    """
    jws = split_compact(text, max_bytes=_MAX_BYTES)
    header = parse_header(jws.header)
    if parse_typ(header) not in _TYP[platform.auth]:
        raise Malformed(f"typ is none of a {_NAMES[platform.auth]}")
    algorithm = find_algorithm(header.get("alg"))
    if algorithm is None:
        raise Malformed("alg is none that is in use")
    key = await platform.keys.find(parse_text(header.get("kid"), "kid"))
    if key is None or key.alg is not algorithm or not verify_signature(jws, key):
        raise Malformed("no key of the platform made the signature")
    return parse_json_object(jws.payload)


def require_workload_token(payload: Mapping[str, JsonValue], platform: Platform, *, terms: Terms, now: int) -> int:
    """The `exp` of an opened token that is for this service alone, and for now.

    Whose it is, is the caller's to compare. Raises: Malformed, whose description the workload may see.
    """
    name = _NAMES[platform.auth]
    if not payload.keys().isdisjoint(_REFUSED):
        raise Malformed(f"the {name} has a claim that belongs to another kind of token")
    if payload.get("aud") not in (terms.issuer, [terms.issuer]):
        # Another audience could present it here.
        raise Malformed(f"aud of the {name} is this service's issuer alone")
    if platform.auth is AuthMethod.KUBERNETES_JWT:
        _require_service_account(payload, platform)
    exp, _ = require_current(payload, name, max_lifetime_s=platform.max_lifetime_s, leeway_s=terms.leeway_s, now=now)
    return exp


def _require_service_account(payload: Mapping[str, JsonValue], platform: Platform) -> None:
    """What else tokens of the TokenRequest API say. Those in secrets, which never end, have none of these times."""
    if payload.get("iss") != platform.name:
        raise Malformed("iss is not that of the cluster")
    for time in ("exp", "iat", "nbf"):
        parse_integer(payload.get(time), time)
    if _KUBERNETES in payload and _named(payload[_KUBERNETES]) != payload.get("sub"):
        raise Malformed(f"{_KUBERNETES} and sub of the service account token name different accounts")


def _named(value: JsonValue) -> str | None:
    """The `sub` that the claim `kubernetes.io` stands for."""
    account = value.get("serviceaccount") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(account, Mapping):
        return None
    namespace, name = value.get("namespace"), account.get("name")
    is_text = isinstance(namespace, str) and isinstance(name, str)
    return f"system:serviceaccount:{namespace}:{name}" if is_text else None
