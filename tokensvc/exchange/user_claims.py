"""What the claims of a user's token say, as its issuer was configured: its scopes, and whether every rule holds.

Pure, and deaf to every claim that the configuration does not name.
"""

from collections.abc import Mapping

from tokensvc.core.jsontext import JsonValue
from tokensvc.core.scope import ScopeSet, is_scope_token, parse_requested_scope
from tokensvc.errors import Malformed
from tokensvc.exchange.parties import UpstreamIssuer

__all__ = ["find_claim", "parse_user_scope", "require_claims"]


def find_claim(payload: Mapping[str, JsonValue], path: tuple[str, ...]) -> JsonValue:
    """The value that `path` leads to, from the claims set inwards; None where there is none."""
    value: JsonValue = dict(payload)
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def parse_user_scope(payload: Mapping[str, JsonValue], issuer: UpstreamIssuer) -> ScopeSet | None:
    """The scopes of the issuer's `scope_claim` in our names; None where the token has no such claim.

    A text is scopes separated by spaces (RFC 6749 s3.3), an array has one name in each entry. A name that is no scope
    and has no mapping grants nothing: roles are often called `Domain Users`. Raises: Malformed.
    """
    claim = find_claim(payload, issuer.scope_claim)
    match claim:
        case None:
            return None
        case str() if claim:
            theirs = parse_requested_scope(claim)
        case list() if all(isinstance(name, str) for name in claim):
            theirs = frozenset(str(name) for name in claim)
        case _:
            raise Malformed("the scope claim is neither text nor an array of texts")
    if issuer.scope_map:
        return frozenset[str]().union(*(issuer.scope_map.get(name, frozenset()) for name in theirs))
    return frozenset(filter(is_scope_token, theirs))


def require_claims(payload: Mapping[str, JsonValue], issuer: UpstreamIssuer) -> None:
    """Return when each claim that the issuer's tokens must have has its value, or is an array that holds it.

    Equal by type as well: "1", 1 and true differ. Raises: Malformed.
    """
    for path, allowed in issuer.required_claims:
        claim = find_claim(payload, path)
        values = claim if isinstance(claim, list) else [claim]
        if not any(_is_same(value, one) for value in values for one in allowed):
            raise Malformed(f"the claim {'.'.join(path)} is not as this issuer is configured")


def _is_same(value: JsonValue, wanted: str | int | bool) -> bool:  # noqa: FBT001 - a value, not a flag
    return type(value) is type(wanted) and value == wanted
