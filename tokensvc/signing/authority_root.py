"""How an authority signs a root: the reference, short enough to be copied into an identity provider.

    root = sign_root(root_claims(iss="https://idp.example", sub="alice", actor="planner", ...), key)

The root says what a user lets one agent do, and with which key that agent comes. It is good at the one token service
that `aud` names, for the agent that proves that key, and nothing has to be kept secret about it. Sign with a key that
signs nothing else: whoever could have a login token signed with it as they like could have a root.
"""

from collections.abc import Sequence

from tokensvc.core.entry import parse_root
from tokensvc.core.evidence import ROOT_TYP
from tokensvc.core.jsontext import JsonObject, JsonValue
from tokensvc.core.jws import SigningKey, seal_compact

__all__ = ["root_claims", "sign_root"]


def root_claims(
    *,
    iss: str,
    sub: str,
    aud: str,
    actor: str,
    jkt: str,
    scope: str,
    resources: Sequence[str],
    max_depth: int,
    iat: int,
    exp: int,
    jti: str,
    authorization_details: Sequence[JsonValue] = (),
) -> dict[str, JsonValue]:
    """The claims of a root: exactly these, and `authorization_details` (RFC 9396) where there are some.

    `sub` is the user as the authority calls them; `jkt` the RFC 7638 thumbprint (SHA-256, base64url) of the agent's
    key; `scope` has single spaces between scopes; `iat` and `exp` are epoch seconds; `jti` is 128 fresh random bits as
    22 base64url characters.
    """
    claims: dict[str, JsonValue] = {"iss": iss, "sub": sub, "aud": aud, "actor": actor, "cnf": {"jkt": jkt}}
    claims |= {"scope": scope, "resources": [*resources], "max_depth": max_depth, "iat": iat, "exp": exp, "jti": jti}
    if authorization_details:
        claims["authorization_details"] = [*authorization_details]
    return claims


def sign_root(claims: JsonObject, key: SigningKey) -> str:
    """`claims` signed by the authority: a compact JWS whose header is exactly `typ`, `alg` and `kid`.

    Raises: Malformed for claims that no token service would take for a root's.
    """
    root = seal_compact(claims, typ=ROOT_TYP, key=key)
    parse_root({"jws": root})
    return root
