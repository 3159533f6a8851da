"""What the client of a token service works out for itself: where the endpoints are, and whether the answer is good."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tokensvc.cli.outward import call, host_of, is_loopback, require_secure_url, tls_for
from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.errors import KeyRefused, Malformed, Reason, TokenRefused, TokensvcError, Unavailable, printable

if TYPE_CHECKING:
    from tokensvc.core.chain import GrantChain
    from tokensvc.core.claims import AccessTokenClaims
    from tokensvc.verify import Expectation, KeySource, Order, VerifiedToken
    from tokensvc.verify.jwks_http import UnsafeReach

__all__ = ["Judgement", "Metadata", "Sent", "fetch_keys", "fetch_metadata", "is_below_authority", "judge"]

_WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
_OK: Final = 200
_NOT_FOUND: Final = 404
# The longest lifetime that a token service of ours may be configured to give.
_MAX_LIFETIME_S: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a token service says of itself (RFC 8414 s2), as far as a client of the exchange needs it.

    `order` is None where it states one that this version does not know.
    """

    issuer: str
    token_endpoint: str
    jwks_uri: str | None
    auth_methods: frozenset[str]
    order: "Order | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is known of a token: its claims and chain as far as they could be read, and what became of its check.

    Verified, refused for a reason, or `unverified`, which says why it was not checked at all: exactly one of the three.
    """

    claims: "AccessTokenClaims | None" = field(default=None, repr=False)
    chain: "GrantChain | None" = field(default=None, repr=False)
    verified: "VerifiedToken | None" = field(default=None, repr=False)
    refusal: TokenRefused | None = None
    unverified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What went out with a request and has to show in the answer: the grant that was signed, and whose key was proven.

    `jkt` is the thumbprint of that holder key, where the token is for the agent that proved it. `is_below_authority`:
    what was exchanged is a root that an authority signed, or stands below one.
    """

    jkt: str | None = None
    grant: str | None = field(default=None, repr=False)
    is_below_authority: bool = False

    def require_honoured(self, token: "VerifiedToken") -> None:
        """Return for a token that rests on what was sent. Raises: TokenRefused (`holder_unproven`, `grant_invalid`)."""
        from tokensvc.client.held import read_grant

        # A bearer token would be presented without its key, and whoever finds it could do the same (RFC 9449 s5).
        if self.jkt is not None and token.cnf != ("jkt", self.jkt):
            raise TokenRefused(Reason.HOLDER_UNPROVEN, "a key was proven, and the token is not bound to it")
        if self.grant is not None and token.chain.leaf != read_grant(self.grant):
            raise TokenRefused(Reason.GRANT_INVALID, "the last hop of the token is not the grant that was signed")


def is_below_authority(subject_token: str, subject_token_type: str) -> bool:
    """True for a root that an authority signed, and for a token below one."""
    _, chain, _ = _read(subject_token)
    return subject_token_type == "jwt" or (chain is not None and chain.root.claim is not None)


def fetch_metadata(issuer: str) -> Metadata:
    """The metadata of `issuer`, which has to be the very issuer that it names (RFC 8414 s3.3).

    Looked for where RFC 8414 s3.1 puts it, before the path of the issuer, and then after it, where some have it.
    Raises: Unavailable; Malformed for metadata that must not be used.
    """
    parts = urlsplit(issuer)
    path = parts.path.removesuffix("/")
    origin = issuer[: len(issuer) - len(parts.path)]
    places = dict.fromkeys([f"{origin}{_WELL_KNOWN}{path}", f"{origin}{path}{_WELL_KNOWN}"])
    for place in places:
        reply = call(place)
        if reply.status == _OK:
            return _parse_metadata(reply.body, issuer)
        if reply.status != _NOT_FOUND:
            break
    raise Unavailable(f"{host_of(issuer)} answers {reply.status} where the metadata of the token service should be")


def _parse_metadata(body: Mapping[str, JsonValue], issuer: str) -> Metadata:
    if body.get("issuer") != issuer:
        raise Malformed("the metadata is of another issuer than the one that was asked for")
    jwks_uri = body.get("jwks_uri")
    methods = body.get("token_endpoint_auth_methods_supported")
    return Metadata(
        issuer=issuer,
        token_endpoint=_url(body.get("token_endpoint"), "token_endpoint"),
        jwks_uri=None if jwks_uri is None else _url(jwks_uri, "jwks_uri"),
        # RFC 8414 s2: what it is where nothing is said.
        auth_methods=frozenset(map(str, methods)) if isinstance(methods, list) else frozenset({"client_secret_basic"}),
        order=_parse_order(body),
    )


def _url(value: JsonValue, name: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"the metadata names no {name}")
    try:
        require_secure_url(value)
    except Malformed as exc:
        raise Malformed(f"the {name} of the metadata is {exc.description}") from exc
    return value


def _parse_order(body: Mapping[str, JsonValue]) -> "Order | None":
    """How the service compares authority; the strictest where it does not say, None where it is not known here."""
    from tokensvc.verify import Attenuation, Order, ScopeGrammar

    grammar, attenuation = body.get("scope_grammar", "exact"), body.get("attenuation", "scope")
    proper_from = body.get("proper_from", 1)
    if not (isinstance(grammar, str) and isinstance(attenuation, str) and isinstance(proper_from, int)):
        return None
    try:
        return Order(grammar=ScopeGrammar(grammar), attenuation=Attenuation(attenuation), proper_from=proper_from)
    except ValueError:
        return None


def fetch_keys(issuer: str, jwks_uri: str) -> "KeySource":
    """The key set that `issuer` publishes at `jwks_uri`. Raises: Unavailable."""
    from tokensvc.verify.jwks_http import https_keys

    # The reason is told in the answer. Without this it would be logged to standard error as well.
    logging.getLogger("tokensvc.verify").addHandler(logging.NullHandler())
    try:
        keys = https_keys({issuer: jwks_uri}, reach=_reach(issuer, jwks_uri), tls=tls_for(jwks_uri))
    except ValueError as exc:
        raise Unavailable(str(exc)) from exc
    keys.refresh_sync()
    return keys


def _reach(issuer: str, jwks_uri: str) -> "UnsafeReach | None":
    """Where the keys may come from: a host that was named on the command line, or the public internet."""
    from tokensvc.verify.jwks_http import UnsafeReach

    one, other = urlsplit(issuer), urlsplit(jwks_uri)
    if one.scheme == "http" and is_loopback(one.hostname or ""):
        return UnsafeReach(networks=("127.0.0.0/8", "::1/128"), plain_http=True)
    # Many token services have an address of an inner network, and whoever typed it meant that one.
    return UnsafeReach(networks=("0.0.0.0/0", "::/0")) if one.netloc == other.netloc else None


def judge(
    token: str,
    *,
    issuer: str | None,
    audiences: frozenset[str],
    order: "Order | None",
    keys: "KeySource | str",
    sent: Sent,
) -> Judgement:
    """What is to be said of `token`, the answer to `sent`. `keys` are those of `issuer`, or say why there are none.

    `audiences` are what it was asked for; none: whatever it names, as the service chose the resource itself.
    """
    claims, chain, problem = _read(token)
    if isinstance(keys, str) or issuer is None or order is None:
        why = keys if isinstance(keys, str) else "the metadata states an order that is not known here"
        return Judgement(claims=claims, chain=chain, unverified=problem or why)
    if sent.is_below_authority and chain is not None and chain.root.claim is not None:
        # Nothing here knows the keys of authorities. Whoever asked knew that there is one.
        why = f"it stands below a root that {printable(chain.root.iss)} signed: tokensvc verify --expect FILE"
        return Judgement(claims=claims, chain=chain, unverified=why)
    aud = frozenset() if claims is None else frozenset({claims.aud})
    expect = _expectation(issuer, audiences or aud, order)
    try:
        verified = _verify(token, keys, expect)
        sent.require_honoured(verified)
    except TokenRefused as exc:
        return Judgement(claims=claims, chain=chain, refusal=exc)
    except Unavailable as exc:
        return Judgement(claims=claims, chain=chain, unverified=exc.description)
    return Judgement(claims=claims, chain=chain, verified=verified)


def _expectation(issuer: str, audiences: frozenset[str], order: "Order") -> "Expectation":
    from tokensvc.core.chain import HARD_MAX_DEPTH
    from tokensvc.verify import Evidence, Expectation, HolderFloor

    return Expectation(
        issuers=frozenset({issuer}),
        audiences=audiences | {issuer},
        root_floor=Evidence.ISSUER,
        hop_floor=Evidence.ISSUER,
        holder=HolderFloor.BEARER,
        order=order,
        max_depth=HARD_MAX_DEPTH,
    )


def _verify(token: str, keys: "KeySource", expect: "Expectation") -> "VerifiedToken":
    from tokensvc.verify import LifetimeOnly, verify_token
    from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

    return verify_token(
        token,
        keys=keys,
        expect=expect,
        now=int(time.time()),
        revocations=LifetimeOnly(max_s=_MAX_LIFETIME_S),
        # It was issued to us just now. What it is bound to is ours to prove, to others.
        proof=UnsafeHolderProvenUpstream(),
    )


def _read(token: str) -> "tuple[AccessTokenClaims | None, GrantChain | None, str | None]":
    """Claims and chain as the token says them, nothing proven; or why they cannot be read."""
    from tokensvc.core.claims import parse_claims, parse_delegation
    from tokensvc.core.jws import split_compact
    from tokensvc.verify.expectation import MAX_TOKEN_BYTES

    try:
        payload = parse_json_object(split_compact(token, max_bytes=MAX_TOKEN_BYTES).payload)
        return parse_claims(payload), parse_delegation(payload).chain, None
    except (Malformed, KeyRefused, TokenRefused) as exc:
        return None, None, _unread(exc)


def _unread(exc: TokensvcError) -> str:
    return f"it is no token with a chain that can be read ({exc.description})"
