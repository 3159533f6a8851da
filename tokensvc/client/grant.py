"""A delegation that its delegator signs: the hop itself, made by the agent, so that no token service can widen it.

Nothing here does I/O; whoever has another HTTP client uses this alone.
"""

import time
from collections.abc import Iterable, Mapping

from tokensvc.client.asked import Names, Tools, parse_asked_details, parse_asked_resources, parse_asked_scope
from tokensvc.client.held import HeldToken, read_held_token
from tokensvc.client.keys import require_holder_key
from tokensvc.client.sealed import new_jti, seal_with_jwk
from tokensvc.core.details import Details, render_details
from tokensvc.core.evidence import GRANT_TYP
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.jws import SigningKey
from tokensvc.core.members import parse_thumbprint
from tokensvc.core.scope import ScopeSet, render_scope
from tokensvc.errors import Malformed

__all__ = ["make_delegation_grant", "seal_grant"]


def make_delegation_grant(
    token: str,
    *,
    key: SigningKey,
    to: str,
    holder_jkt: str,
    scope: Names,
    resource: Names,
    tools: Tools | None = None,
    authorization_details: Iterable[Mapping[str, object]] | None = None,
    may_delegate: bool = False,
    max_depth: int | None = None,
    lifetime_s: int | None = None,
    now: float | None = None,
) -> str:
    """A signed grant below `token`, which is this agent's own: for the agent `to`, whose holder key is `holder_jkt`.

    `key` is the holder key that the token's last hop is bound to. `lifetime_s` in seconds, None for all that is left; a
    grant for more than that is refused by the token service. `max_depth` is the highest hop that may stand below, None
    what `may_delegate` says: as high as below `token`, or none. `now` in epoch seconds; None: this machine's clock.
    Raises: Malformed, KeyRefused.
    """
    held = read_held_token(token)
    return seal_grant(
        held,
        key=key,
        to=to,
        holder_jkt=holder_jkt,
        scope=parse_asked_scope(scope),
        resources=parse_asked_resources(resource),
        details=parse_asked_details(tools, authorization_details),
        may_delegate=may_delegate,
        max_depth=max_depth,
        lifetime_s=lifetime_s,
        now=time.time() if now is None else now,
    )


def seal_grant(
    held: HeldToken,
    *,
    key: SigningKey,
    to: str,
    holder_jkt: str,
    scope: ScopeSet,
    resources: frozenset[str],
    details: Details | None,
    may_delegate: bool,
    lifetime_s: int | None,
    now: float,
    max_depth: int | None = None,
) -> str:
    """The grant over parsed values. Raises: Malformed, KeyRefused."""
    require_holder_key(key)
    leaf, claims = held.leaf, held.claims
    if leaf.jkt != key.public.thumbprint:
        raise Malformed("the last hop of the token is not bound to this key, so a grant signed with it counts nowhere")
    if not resources:
        raise Malformed("a grant names at least one resource")
    index = held.index + 1
    if max_depth is None:
        max_depth = leaf.authority.max_depth if may_delegate else index
    # Not before the parent's, whatever this clock says: a hop begins within the one above it.
    iat = max(int(now), leaf.authority.iat)
    members: dict[str, JsonValue] = {
        "actor": to,
        "scope": render_scope(scope),
        "resources": sorted(resources),
        "max_depth": max_depth,
        "iat": iat,
        # What is too long is refused by the token service; it is not cut here, where nobody would notice.
        "exp": leaf.authority.exp if lifetime_s is None else iat + lifetime_s,
        "jti": new_jti(),
        "parent": leaf.jti,
        "cnf": {"jkt": parse_thumbprint(holder_jkt)},
        "iss": claims.client_id,
        "sub": claims.sub,
        "aud": claims.iss,
        "root": held.chain.root.jti,
        "index": index,
    }
    if details:
        members["authorization_details"] = render_details(details)
    return seal_with_jwk(members, typ=GRANT_TYP, key=key)
